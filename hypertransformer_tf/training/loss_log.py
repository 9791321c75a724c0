"""The losses since the last line of the log: looked at now and then, averaged over a line's steps."""

import collections
import math
import time
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Tuple

from hypertransformer_tf.training.losses import Losses

RECENT_STEPS = 20
NAMES = {"loss": "total", "cross_entropy": "cross_entropy", "accuracy": "accuracy"}  # in the log, in `Losses`


class NotFinite(NamedTuple):
    """A loss that is not a number, and the step it came at."""

    loss: float
    step: int


class LossLog:
    """Collects what each step returned.

    Looking at a loss waits for its step, so that an accelerator would idle if each were looked at at once.

    Args:
      task_batch: episodes of a step.
    """

    def __init__(self, task_batch: int):
        self._task_batch = task_batch
        self._unseen: List[Losses] = []
        self._line: List[Tuple[float, ...]] = []
        self._recent: Deque[Tuple[float, ...]] = collections.deque(maxlen=RECENT_STEPS)
        self._seconds = self._speed = 0.0
        self.restart_clock()

    def add(self, losses: Losses) -> None:
        """Takes a step's losses, on whatever device they are."""
        self._unseen.append(losses)

    def look(self, step: int) -> Optional[NotFinite]:
        """Looks at the losses since the last look, `step` being the steps done; the first that is not finite."""
        first, count = step - len(self._unseen) + 1, len(self._unseen)
        for offset, losses in enumerate(self._unseen):
            values = tuple(float(getattr(losses, name)) for name in NAMES.values())
            if not math.isfinite(values[0]):
                return NotFinite(values[0], first + offset)
            self._line.append(values)
            self._recent.append(values)
        self._unseen.clear()
        seconds = time.monotonic() - self._since
        self.restart_clock()
        if count:
            self._seconds += seconds
            self._speed = count * self._task_batch / max(seconds, 1e-9)
        return None

    def restart_clock(self) -> None:
        """Leaves the time since the last look out of the speed: it went to something else than training."""
        self._since = time.monotonic()

    def recent(self) -> Dict[str, float]:
        """Means over the last steps, and the speed between the last two looks, in episodes per second."""
        return {**_means(self._recent), "episodes_per_second": self._speed}

    def take_line(self) -> Dict[str, float]:
        """Means over the steps since the last line, and their speed; empty without any. The next line begins anew."""
        if not self._line:
            return {}
        speed = len(self._line) * self._task_batch / max(self._seconds, 1e-9)
        line = {**_means(self._line), "episodes_per_second": speed}
        self._line.clear()
        self._seconds = 0.0
        return line


def _means(rows: Any) -> Dict[str, float]:
    return {name: math.fsum(column) / len(rows) for name, column in zip(NAMES, zip(*rows))}
