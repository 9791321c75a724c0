"""Mean accuracy over episodes, with its 95% interval."""

import dataclasses
from typing import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Accuracy over episodes.

    Attributes:
      mean: from 0 to 1.
      interval_95: half the width of the 95% interval of the mean: 1.96 standard errors over episodes.
      episodes: how many.
    """

    mean: float
    interval_95: float
    episodes: int

    @classmethod
    def of_episodes(cls, accuracies: Sequence[float]) -> "Accuracy":
        """From the accuracy of each episode (at least one), from 0 to 1."""
        values = np.asarray(accuracies, np.float64)
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
        return cls(float(values.mean()), float(1.96 * error), len(values))

    def __str__(self) -> str:
        return f"{100 * self.mean:.2f}% +- {100 * self.interval_95:.2f} ({self.episodes} episodes)"
