"""Keras layers of the weight generator: the only place where variables live."""
