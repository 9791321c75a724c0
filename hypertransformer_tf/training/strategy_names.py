"""The names of the strategies, for commands and checks that come before TensorFlow is imported."""

import os

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.training.cluster import read_cluster

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
VIRTUAL_DEVICES = "HT_VIRTUAL_DEVICES"


def check_strategy(name: str) -> None:
    """Raises UserError if there is no such strategy, or the environment does not say who the workers are."""
    if name not in STRATEGIES:
        raise UserError(f"--strategy={name} is not known: use {', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}.")
    if name == "multi_worker":
        read_cluster()
        if VIRTUAL_DEVICES in os.environ:
            raise UserError(
                f"{VIRTUAL_DEVICES}={os.environ[VIRTUAL_DEVICES]} has no effect with --strategy=multi_worker, which "
                "uses a process's CPU as one device: unset it, and start more processes."
            )
