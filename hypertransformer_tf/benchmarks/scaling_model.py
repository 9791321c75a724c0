"""What more devices would do, from what one was measured to need (docs/scaling).

A step is computing, then the all-reduce of one gradient; episodes are drawn meanwhile, on one thread for all devices of
a process. Now and then all wait for the copy of a checkpoint, which is then written beside training, and for a
validation, which the devices share.
"""

import dataclasses
import json
import math
import os
from typing import Any, Dict, List, Mapping, Sequence, Union

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.config import EPISODES_AT_ONCE

DEVICES = (1, 8, 64, 1_000)
_COLUMNS = (
    "devices",
    "with work",
    "task batch",
    "ms a step",
    "episodes/s",
    "of ideal",
    "steps of the run",
    "limited by",
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What `bin/benchmark --costs --json` says of a configuration on one machine.

    Attributes:
      machine: which.
      step_seconds: of a step on all the devices that were measured.
      devices: how many these were.
      task_batch: episodes of such a step.
      gradient_bytes: what devices exchange in a step.
      episode_bytes: of an episode's images and labels.
      drawing_seconds: of an episode, on one thread.
      checkpoint_copy_seconds, checkpoint_write_seconds, checkpoint_bytes: of a checkpoint; training waits for the copy.
      evaluation_seconds: of an episode, on one device.
      steps, checkpoint_every, validate_every, validation_episodes: of the configuration.
    """

    machine: str
    step_seconds: float
    devices: int
    task_batch: int
    gradient_bytes: int
    episode_bytes: int
    drawing_seconds: float
    checkpoint_copy_seconds: float
    checkpoint_write_seconds: float
    checkpoint_bytes: int
    evaluation_seconds: float
    steps: int
    checkpoint_every: int
    validate_every: int
    validation_episodes: int

    @classmethod
    def read(cls, path: Union[str, os.PathLike]) -> "Measured":
        """From a file with the JSON object. Raises UserError if it cannot be read or lacks the costs."""
        try:
            with open(path, encoding="utf-8") as file:
                told: Dict[str, Any] = json.load(file)
            step_seconds = told["measured_seconds"] / told["measured_steps"]
            first = {"machine": told["machine"], "step_seconds": step_seconds, "devices": told["replicas"]}
            first["task_batch"] = told["task_batch"]
            names = [field.name for field in dataclasses.fields(cls) if field.name not in first]
            return cls(**first, **{name: told["costs"][name] for name in names})
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is not what bin/benchmark --costs --json prints: measure again, with both flags."
            ) from error


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Devices that are asked about; these figures are assumed and not measured.

    Attributes:
      bandwidth: bytes per second that a device sends while it receives as many.
      latency: seconds until a message between two devices arrives.
      device_speed: how many times as fast as a measured device each computes.
      devices_per_process: devices that one process draws the episodes for.
    """

    bandwidth: float
    latency: float
    device_speed: float = 1.0
    devices_per_process: int = 8


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a number of devices would do.

    Attributes:
      devices: how many.
      working: how many of them have work.
      task_batch: episodes of a step.
      seconds: of a step, on average, by what they are spent on: `computing`, `all-reduce`, `input` (waiting for
        episodes), `checkpoints` and `evaluation`.
      steps: in which as many episodes are seen as in the configuration's run.
      ideal: episodes per second if there were nothing but computing, on all devices.
    """

    devices: int
    working: int
    task_batch: int
    seconds: Mapping[str, float]
    steps: int
    ideal: float

    @property
    def episodes_per_second(self) -> float:
        """Over the whole run, with checkpoints and validations."""
        return self.task_batch / sum(self.seconds.values())

    @property
    def limit(self) -> str:
        """What takes most of a step's time."""
        return max(self.seconds, key=lambda name: self.seconds[name])


def predict(measured: Measured, cluster: Cluster, devices: int, growing: bool) -> Prediction:
    """What a number of devices would do.

    Args:
      measured: what one machine needs.
      cluster: what the devices are assumed to be.
      devices: how many.
      growing: whether the task batch grows with them, so that each computes as many episodes as a measured device;
        otherwise they share the configuration's, of which each needs one episode at least.
    """
    share = measured.task_batch / measured.devices
    per_episode = measured.step_seconds / share / cluster.device_speed
    working = devices if growing else min(devices, measured.task_batch)
    own = share if growing else math.ceil(measured.task_batch / working)  # the device with most episodes
    task_batch = round(share * devices) if growing else measured.task_batch
    computing, exchange = own * per_episode, all_reduce_seconds(working, measured.gradient_bytes, cluster)
    drawing = own * min(working, cluster.devices_per_process) * measured.drawing_seconds
    seconds = {"computing": computing, "all-reduce": exchange, "input": max(0.0, drawing - computing - exchange)}
    step = sum(seconds.values())
    unwritten = measured.checkpoint_write_seconds - measured.checkpoint_every * step
    seconds["checkpoints"] = (measured.checkpoint_copy_seconds + max(0.0, unwritten)) / measured.checkpoint_every
    seconds["evaluation"] = _evaluation_seconds(measured, cluster, working)
    steps = math.ceil(measured.steps * measured.task_batch / task_batch)
    return Prediction(devices, working, task_batch, seconds, steps, devices / per_episode)


def all_reduce_seconds(devices: int, size: float, cluster: Cluster) -> float:
    """Time to add up vectors of `size` bytes over devices: round a ring, or up and down a tree, which is better.

    A ring sends little in many messages, a tree all of it in few (Thakur, Rabenseifner and Gropp, 2005).
    """
    if devices == 1:
        return 0.0
    ring = 2 * (devices - 1) * (cluster.latency + size / devices / cluster.bandwidth)
    tree = 2 * math.ceil(math.log2(devices)) * (cluster.latency + size / cluster.bandwidth)
    return min(ring, tree)


def table(predictions: Sequence[Prediction]) -> str:
    """In Markdown."""
    lines = [_row(_COLUMNS), f"|{' --- |' * len(_COLUMNS)}"]
    return "\n".join(lines + [_row(_cells(each)) for each in predictions])


def _cells(prediction: Prediction) -> List[str]:
    total = sum(prediction.seconds.values())
    return [
        f"{prediction.devices:,}",
        f"{prediction.working:,}",
        f"{prediction.task_batch:,}",
        f"{1000 * total:.3g}",
        f"{prediction.episodes_per_second:,.0f}",
        f"{prediction.episodes_per_second / prediction.ideal:.0%}",
        f"{prediction.steps:,}",
        f"{prediction.limit} ({prediction.seconds[prediction.limit] / total:.0%})",
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _evaluation_seconds(measured: Measured, cluster: Cluster, working: int) -> float:
    """Of a step: validation episodes are measured in batches, dealt out to the devices."""
    if measured.validate_every == 0 or measured.validation_episodes == 0:
        return 0.0
    batch = min(EPISODES_AT_ONCE, measured.validation_episodes)
    batches = math.ceil(measured.validation_episodes / batch / working)
    return batches * batch * measured.evaluation_seconds / cluster.device_speed / measured.validate_every
