"""Accuracy over episodes, with its interval, and the protocols it is measured by."""
