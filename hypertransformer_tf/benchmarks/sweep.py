"""Which settings train fastest on this machine: one short benchmark for each, in a process of its own."""

import dataclasses
import json
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.reproduction.child_commands import CommandError, data_flag, run_command
from hypertransformer_tf.training.config import CONVOLUTION_FORMS, PRECISIONS, TrainingConfig

SWEPT = ("task_batch", "groups", "precision", "compile", "convolution_form")  # of `training`
_HYPERTRANSFORMER_ONLY = ("precision", "convolution_form")  # baselines refuse them
_FORMS = tuple(form for form in CONVOLUTION_FORMS if form != "auto")
_FACTORS, _GROUPS = (0.5, 1, 2, 4), (1, 2, 4)
Settings = Dict[str, Any]


class Row(NamedTuple):
    """What one choice of settings gave.

    Attributes:
      settings: what was swept, by name.
      episodes_per_second: of the training step; None where it could not be measured.
      why: why not, in a sentence; empty where it could.
      machine: as the benchmark names it; empty where it could not be measured.
    """

    settings: Settings
    episodes_per_second: Optional[float]
    why: str = ""
    machine: str = ""

    def cells(self) -> List[str]:
        """As cells of a table."""
        named = ["yes" if value is True else "no" if value is False else str(value) for value in self.settings.values()]
        speed = f"not measured: {self.why}" if self.episodes_per_second is None else f"{self.episodes_per_second:.1f}"
        return [*named, speed]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All that was measured, in its order; at least one row has a speed."""

    rows: Tuple[Row, ...]

    @property
    def best(self) -> Row:
        """The fastest."""
        return _fastest(self.rows)

    @property
    def gin_lines(self) -> List[str]:
        """What chooses the fastest in a gin file."""
        return [f"training.{name} = {value!r}" for name, value in self.best.settings.items()]

    def as_dict(self) -> Dict[str, Any]:
        """For JSON."""
        best = self.best._asdict()
        return {"rows": [row._asdict() for row in self.rows], "best": best, "gin_bindings": self.gin_lines}


def heading(row: Row) -> str:
    """The first two lines of the table that a row belongs to."""
    names = ["XLA" if name == "compile" else name.replace("_", " ") for name in row.settings] + ["episodes/s"]
    return f"| {' | '.join(names)} |\n|{' --- |' * len(names)}"


def line(row: Row) -> str:
    """A row of the table."""
    return f"| {' | '.join(row.cells())} |"


def sweep(
    gin_file: str,
    gin_bindings: Sequence[str] = (),
    data_dir: Optional[str] = None,
    seconds: float = 10.0,
    strategy: str = "auto",
    report: Callable[[Row], None] = lambda row: None,
) -> Sweep:
    """Measures settings one kind after the other, each kind with the fastest of what was measured before.

    First the form of the convolutions with and without XLA, then the precision, then task batch and groups. A baseline
    has one form and one precision, and these are left out.

    Args:
      gin_file, gin_bindings, data_dir: the configuration, as for `train`.
      seconds: how long each is measured, after it has been compiled.
      strategy: as for `train`, but for `multi_worker`.
      report: is told each row when it is known.

    Raises:
      UserError: a value that cannot be used, or nothing could be measured.
    """
    if strategy == "multi_worker":
        raise UserError("--sweep measures this machine alone: leave out --strategy=multi_worker.")
    experiment = load_experiment(gin_file, gin_bindings, data_dir)
    flags = [f"--gin_file={gin_file}", f"--seconds={seconds}", f"--strategy={strategy}", "--json", *data_flag(data_dir)]
    flags += [f"--gin_bindings={binding}" for binding in gin_bindings]
    swept = swept_with(experiment.method.name)
    rows = search(experiment.training, swept, lambda settings: _measure(flags, settings), report)
    if all(row.episodes_per_second is None for row in rows):
        raise UserError(f"No settings could be measured; the first said: {rows[0].why}")
    return Sweep(tuple(rows))


def swept_with(method: str) -> Tuple[str, ...]:
    """What of SWEPT has an effect with a method of that name."""
    return tuple(name for name in SWEPT if method == "hypertransformer" or name not in _HYPERTRANSFORMER_ONLY)


def search(
    training: TrainingConfig,
    swept: Sequence[str],
    measure: Callable[[Settings], Row],
    report: Callable[[Row], None],
) -> List[Row]:
    """The rows of `sweep`, for settings by name and a way to measure; `report` gets each."""
    rows: List[Row] = []
    start = {name: getattr(training, name) for name in swept}
    for changes in _kinds(training.task_batch):
        measured = any(row.episodes_per_second is not None for row in rows)
        base = _fastest(rows).settings if measured else start
        for change in changes:
            settings = {name: change.get(name, base[name]) for name in swept}
            if settings not in [row.settings for row in rows]:
                rows.append(measure(settings))
                report(rows[-1])
    return rows


def _kinds(task_batch: int) -> Iterator[List[Mapping[str, Any]]]:
    yield [{"compile": compiled, "convolution_form": form} for compiled in (True, False) for form in _FORMS]
    yield [{"precision": precision} for precision in PRECISIONS]
    batches = [int(task_batch * factor) for factor in _FACTORS if task_batch * factor >= 1]
    yield [{"task_batch": batch, "groups": groups} for batch in batches for groups in _GROUPS if batch % groups == 0]


def _fastest(rows: Sequence[Row]) -> Row:
    return max(rows, key=lambda row: row.episodes_per_second or 0.0)


def _measure(flags: Sequence[str], settings: Settings) -> Row:
    bindings = [f"--gin_bindings=training.{name} = {value!r}" for name, value in settings.items()]
    try:
        result = json.loads(run_command("benchmark", [*flags, *bindings]).strip().splitlines()[-1])
    except CommandError as error:
        return Row(settings, None, str(error))
    return Row(settings, result["episodes_per_second"], machine=result["machine"])
