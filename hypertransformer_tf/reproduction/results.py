"""What came of a row: one JSON file for each row and budget, and the numbers that tables and figures show."""

import dataclasses
import json
import pathlib
from typing import Any, Optional, Sequence

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs.atomic_file import write_atomically

DONE, SKIPPED, FAILED = "done", "skipped", "failed"


@dataclasses.dataclass(frozen=True)
class SeedResult:
    """One trained model.

    Attributes:
      seed: of its weights and episodes.
      steps, episodes: that it was trained for.
      accuracy, interval_95: on the test classes, from 0 to 1.
      train_accuracy: on the training classes, where the paper gives it too.
      seconds: of training and measuring, as far as they were noted.
      machine, command, date: where, how and when.
      versions: of the library and what it stands on.
      recipe: the name of its configuration, of `recipe_digest`; None where it was not noted.
    """

    seed: int
    steps: int
    episodes: int
    accuracy: float
    interval_95: float
    train_accuracy: Optional[float]
    seconds: Optional[float]
    machine: str
    command: str
    date: str
    versions: dict[str, Any]
    recipe: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class RowResult:
    """All models of a row on one budget.

    Attributes:
      row: its name.
      budget: the budget's name.
      state: 'done', 'skipped' (a value or data is missing) or 'failed'; models that were finished are kept.
      reason: why not done.
      seeds: the models.
      note: what a reader of its numbers has to know, such as that the recipe has changed since; written by hand.
    """

    row: str
    budget: str
    state: str
    reason: str
    seeds: tuple[SeedResult, ...]
    note: str = ""

    @property
    def accuracy(self) -> float:
        """Mean over models, in %."""
        return 100 * _mean([seed.accuracy for seed in self.seeds])

    @property
    def interval(self) -> float:
        """Half the width of the 95% interval over the episodes of all models, in points.

        It says how well these models were measured, not how models of other seeds would differ: see `spread`.
        """
        return 100 * sum(seed.interval_95**2 for seed in self.seeds) ** 0.5 / len(self.seeds)

    @property
    def spread(self) -> tuple[float, float]:
        """The worst and the best model, in %."""
        accuracies = [100 * seed.accuracy for seed in self.seeds]
        return min(accuracies), max(accuracies)

    @property
    def train_accuracy(self) -> Optional[float]:
        """Mean over models on the training classes, in %."""
        known = [seed.train_accuracy for seed in self.seeds if seed.train_accuracy is not None]
        return 100 * _mean(known) if len(known) == len(self.seeds) else None


def result_file(folder: pathlib.Path, budget: str, row: str) -> pathlib.Path:
    """Where a row's result on a budget lies."""
    return folder / budget / "rows" / f"{row}.json"


def read_result(path: pathlib.Path) -> Optional[RowResult]:
    """What a file holds, or None where there is none. Raises UserError if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        seeds = tuple(SeedResult(**seed) for seed in content.pop("seeds"))
        return RowResult(**content, seeds=seeds)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} cannot be read as a result ({error}): remove it to run the row again.") from error


def write_result(path: pathlib.Path, result: RowResult) -> None:
    """Writes a result, whole or not at all. Raises SaveError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(dataclasses.asdict(result), indent=2) + "\n").encode())
    except OSError as error:
        raise SaveError(f"{path} could not be written: {error.strerror or error}.") from error


def read_results(folder: pathlib.Path, budget: str) -> dict[str, RowResult]:
    """All results on a budget, by row."""
    results = [read_result(path) for path in sorted((folder / budget / "rows").glob("*.json"))]
    return {result.row: result for result in results if result is not None}


def budgets_in(folder: pathlib.Path) -> list[str]:
    """Names of the budgets of which there are results."""
    return sorted({path.parent.parent.name for path in folder.glob("*/rows/*.json")})


def best_known(folder: pathlib.Path) -> dict[str, RowResult]:
    """For each row the result whose models were trained on the most episodes."""
    best: dict[str, RowResult] = {}
    for budget in budgets_in(folder):
        for row, result in read_results(folder, budget).items():
            if result.seeds and (row not in best or _episodes(result) > _episodes(best[row])):
                best[row] = result
    return best


def _episodes(result: RowResult) -> int:
    return min(seed.episodes for seed in result.seeds)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
