"""Bridges to other programs: the authors' settings, variables and checkpoints."""
