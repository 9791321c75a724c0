"""Which devices train: a `tf.distribute` strategy by name."""

import os

import tensorflow as tf

from hypertransformer_tf.errors import UserError

VIRTUAL_DEVICES = "HT_VIRTUAL_DEVICES"


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of that name.

    Args:
      name: `one_device`; `mirrored` (all accelerators of this machine, or its virtual CPU devices); `multi_worker`
        (the machines in TF_CONFIG); `tpu`; or `auto`, which is `mirrored` where there are several accelerators or
        virtual devices, otherwise `one_device`.

    The environment variable HT_VIRTUAL_DEVICES=N splits the CPU into N devices, for trying things out.

    Raises:
      UserError: the name is unknown, or what it needs is not there.
    """
    _split_cpu()
    devices = _devices()
    if name == "auto":
        name = "mirrored" if len(devices) > 1 else "one_device"
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy(devices[0])
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(devices)
    if name == "multi_worker":
        if "TF_CONFIG" not in os.environ:
            raise UserError(
                "--strategy=multi_worker needs the environment variable TF_CONFIG, which names the workers."
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        return _tpu()
    raise UserError(f"--strategy={name} is not known: use auto, one_device, mirrored, multi_worker or tpu.")


def _devices() -> list:
    accelerators = tf.config.list_logical_devices("GPU")
    return [device.name for device in accelerators or tf.config.list_logical_devices("CPU")]


def _split_cpu() -> None:
    wanted = os.environ.get(VIRTUAL_DEVICES)
    if wanted is None:
        return
    if not wanted.isdigit() or int(wanted) < 1:
        raise UserError(f"{VIRTUAL_DEVICES}={wanted} is not right: give a whole number of at least 1.")
    cpu = tf.config.list_physical_devices("CPU")[0]
    configuration = [tf.config.LogicalDeviceConfiguration()] * int(wanted)
    if tf.config.get_logical_device_configuration(cpu) != configuration:
        try:
            tf.config.set_logical_device_configuration(cpu, configuration)
        except RuntimeError as error:
            raise UserError(
                f"{VIRTUAL_DEVICES}={wanted} comes too late, TensorFlow is running with other devices already: "
                "set it before the process starts."
            ) from error


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise UserError(f"--strategy=tpu found no TPU: {str(error).splitlines()[0]}") from error
    return tf.distribute.TPUStrategy(resolver)
