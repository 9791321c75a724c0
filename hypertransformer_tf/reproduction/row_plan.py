"""What is to be run: rows, seeds, steps, and how long it will take here."""

import dataclasses
import json
import pathlib
from typing import Optional, Sequence

from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.composed_file import episodes_of_a_step
from hypertransformer_tf.reproduction.index import WITH_TRAINING_ACCURACY, IndexRow
from hypertransformer_tf.reproduction.results import RowResult
from hypertransformer_tf.runs.atomic_file import write_atomically

_SECONDS_AROUND_TRAINING = 90.0  # imports, compilation and the measurement, per model


@dataclasses.dataclass(frozen=True)
class RowPlan:
    """A row of which models are missing.

    Attributes:
      name, file: the row.
      seeds: that are to be trained.
      with_training_accuracy: whether to measure on the training classes too.
      beside: panel and column of its table: rows that share them are compared with each other.
      known_steps: that models of this row were trained for on this budget; None where there are none yet.
    """

    name: str
    file: str
    seeds: tuple[int, ...]
    with_training_accuracy: bool
    beside: tuple[str, str] = ("", "")
    known_steps: Optional[int] = None


def plan_rows(
    index: Sequence[IndexRow], rows: Sequence[IndexRow], known: dict[str, RowResult], seeds: int
) -> list[RowPlan]:
    """The files of some rows of the index, each once, without the models that are there already.

    A file that any table shows with its accuracy on the training classes is measured on them, whichever asks for it.
    """
    with_training = {row.name for row in index if row.table in WITH_TRAINING_ACCURACY}
    plans: dict[str, RowPlan] = {}
    for row in rows:
        models = known[row.name].seeds if row.name in known else ()
        missing = tuple(seed for seed in range(seeds) if seed not in {model.seed for model in models})
        if missing:
            steps = models[0].steps if models else None
            plan = RowPlan(row.name, row.file, missing, row.name in with_training, (row.panel, row.x), steps)
            plans.setdefault(row.name, plan)
    return list(plans.values())


class Speeds:
    """Episodes per second of rows on this machine, kept in a file; speeds of others are estimated from them.

    The authors' recipe (`full`) and our own differ in episodes per step, so that each has speeds of its own.

    Args:
      path: the file; it need not be there.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, dict[str, list[float]]] = known if isinstance(known, dict) else {}
        self._assumed: Optional[tuple[float, float]] = None

    def add(self, row: str, full: bool, episodes_per_second: float, work: float) -> None:
        """Notes a speed; `work` as `work_of` gives it."""
        self._of(full)[row] = [episodes_per_second, work]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, (json.dumps(self._known, indent=1) + "\n").encode())

    def assume(self, episodes_per_second: float, work: float) -> None:
        """A speed of something else, to estimate from where nothing is known; it is not kept."""
        self._assumed = (episodes_per_second, work)

    def any_known(self, full: bool) -> bool:
        """Whether there is anything to estimate from."""
        return bool(self._of(full))

    def estimate(self, row: str, full: bool, work: float) -> Optional[float]:
        """The measured speed, or that of the row with the most similar work, scaled; None where nothing is known."""
        known = self._of(full)
        if row in known:
            return known[row][0]
        measured: list[Sequence[float]] = [*known.values()]
        if not measured and not full and self._assumed is not None:
            measured = [self._assumed]
        if not measured:
            return None
        speed, its_work = min(measured, key=lambda entry: abs(entry[1] - work))
        return speed * its_work / work

    def _of(self, full: bool) -> dict[str, list[float]]:
        return self._known.setdefault("authors" if full else "budget", {})


def work_of(experiment: Experiment) -> float:
    """A rough measure of the work of an episode: pixels seen, times channels made of them."""
    return experiment.episodes.images * experiment.data.image_size**2 * (8.0 + experiment.cnn.channels)


def episodes_to_train(experiment: Experiment, budget: Budget) -> float:
    """Episodes that a model of a row is trained on; of the oracle, as many as hold the images that it is trained on."""
    if experiment.method.name == "pixels":
        return 0.0
    if not experiment.method.is_meta_trained:
        images = experiment.evaluation.episodes * experiment.oracle.steps * experiment.oracle.batch
        return images / experiment.episodes.images
    training = experiment.training
    return training.steps * training.task_batch if budget.is_full else (budget.steps or 0) * episodes_of_a_step()


def seconds_of(budget: Budget, speed: Optional[float], episodes: float) -> Optional[float]:
    """How long a model takes, or None where nothing is known of its speed.

    Args:
      budget: minutes are what they are.
      speed: episodes per second.
      episodes: to train on.
    """
    if budget.minutes is not None:
        return 60 * budget.minutes + _SECONDS_AROUND_TRAINING
    if not episodes:
        return _SECONDS_AROUND_TRAINING
    return None if speed is None else episodes / speed + _SECONDS_AROUND_TRAINING


def duration_text(seconds: float) -> str:
    """'40 s', '12 min', '3.5 h' or '2.1 days'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
