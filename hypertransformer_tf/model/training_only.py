"""Which variables of a model only meta-training uses. Needs no TensorFlow."""

import re

_HEADS = re.compile(r"shared_head/|layer_\d+_head(_generator)?/")


def is_for_training_only(name: str) -> bool:
    """Whether a variable, by its name in the model, is of the head on the shared features or of a warm-up head."""
    return _HEADS.match(name) is not None
