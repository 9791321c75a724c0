"""Where the results and the runs of rows lie."""

import dataclasses
import pathlib
from typing import Optional

from hypertransformer_tf.reproduction.budget import Budget


@dataclasses.dataclass(frozen=True)
class Places:
    """Where things lie.

    Attributes:
      results: JSON files, tables and figures, to be kept.
      runs: run directories and what is known of this machine.
      data_dir: as for `train`.
    """

    results: pathlib.Path
    runs: pathlib.Path
    data_dir: Optional[str] = None

    def row(self, budget: Budget, name: str) -> pathlib.Path:
        """The folder of a row's runs."""
        return self.runs / budget.name / name
