"""Whether there is but a CPU, for which some operations have a form of their own."""

import tensorflow as tf


def cpu_alone() -> bool:
    """Whether this machine has no accelerator that TensorFlow sees; asked when a program is traced."""
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
