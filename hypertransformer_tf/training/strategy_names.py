"""The names of the strategies, for commands and checks that come before TensorFlow is imported."""

import os

from hypertransformer_tf.errors import UserError

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")


def check_strategy(name: str) -> None:
    """Raises UserError if there is no such strategy, or the machines of several workers are not named."""
    if name not in STRATEGIES:
        raise UserError(f"--strategy={name} is not known: use {', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}.")
    if name == "multi_worker" and "TF_CONFIG" not in os.environ:
        raise UserError("--strategy=multi_worker needs the environment variable TF_CONFIG, which names the workers.")
