"""The gin file that a row's models are trained from: written once, when minutes become steps of this machine."""

import pathlib
from typing import Callable, Mapping, Optional, Sequence

from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.reproduction import child_commands
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.composed_file import composed_text, steps_of
from hypertransformer_tf.reproduction.places import Places
from hypertransformer_tf.reproduction.row_plan import RowPlan, Speeds, work_of
from hypertransformer_tf.runs.atomic_file import write_atomically

_STEPS_OF_A_TRIAL = 1000  # as many as the schedule needs to be one


def gin_file_of(
    plan: RowPlan, experiment: Experiment, budget: Budget, places: Places, speeds: Speeds, say: Callable[[str], None]
) -> pathlib.Path:
    """The row's composed file; once it is there it is not changed, so that runs can be continued.

    Raises:
      CommandError: its speed cannot be measured.
    """
    path = _path(plan, budget, places)
    if path.exists():
        return path
    own = budget.of_method(experiment.method.is_meta_trained)
    steps = own.steps if own.minutes is None else plan.known_steps
    if own.minutes is not None and steps is None:
        speed = measured_row_speed(plan, experiment, budget, places)
        steps = _minutes_in_steps(plan, experiment, own, speed, speeds, say)
    _write(path, plan, experiment, steps)
    return path


def write_files_of_minutes(
    plans: Sequence[RowPlan],
    experiments: Mapping[str, Experiment],
    budget: Budget,
    places: Places,
    speeds: Speeds,
    say: Callable[[str], None],
) -> None:
    """Writes the files of rows that stand in one column of a panel, after measuring their speeds in turns.

    On a machine whose speed changes from minute to minute, equal times would be unequal otherwise. Rows of which that
    cannot be said, as data of one is not there, are left to `gin_file_of`.

    Args:
      plans: rows; those that share `beside` are measured together.
      experiments: what their files say, by name.
      budget: of minutes; with another one nothing is done.
      places, speeds, say: as for `run_row`.
    """
    if budget.minutes is None:
        return
    together: dict[tuple[str, str], list[RowPlan]] = {}
    for plan in plans:
        open_ = plan.known_steps is None and not _path(plan, budget, places).exists()
        if open_ and experiments[plan.name].method.is_meta_trained:
            together.setdefault(plan.beside, []).append(plan)
    for group in together.values():
        if len(group) < 2:
            continue
        trials = [_trial(plan, experiments[plan.name], budget, places) for plan in group]
        try:
            measured = child_commands.measured_speeds(trials, places.data_dir)
        except child_commands.CommandError as error:
            say(f"{', '.join(plan.name for plan in group)}: not measured in turns, but each by itself: {error}")
            continue
        for plan, speed in zip(group, measured):
            steps = _minutes_in_steps(plan, experiments[plan.name], budget, speed, speeds, say)
            _write(_path(plan, budget, places), plan, experiments[plan.name], steps)


def measured_row_speed(plan: RowPlan, experiment: Experiment, budget: Budget, places: Places) -> float:
    """Episodes per second of a row here, with the recipe that the budget chooses. Raises CommandError."""
    return child_commands.measured_speeds([_trial(plan, experiment, budget, places)], places.data_dir)[0]


def _minutes_in_steps(
    plan: RowPlan, experiment: Experiment, budget: Budget, speed: float, speeds: Speeds, say: Callable[[str], None]
) -> int:
    speeds.add(plan.name, budget.is_full, speed, work_of(experiment))
    steps = steps_of(budget, speed)
    say(f"{plan.name}: {speed:.1f} episodes/s here, so {budget.minutes:g} minutes are {steps} steps")
    return steps


def _path(plan: RowPlan, budget: Budget, places: Places) -> pathlib.Path:
    return places.row(budget, plan.name) / f"{plan.name}.gin"


def _trial(plan: RowPlan, experiment: Experiment, budget: Budget, places: Places) -> pathlib.Path:
    """A file to measure the row's speed with."""
    path = places.row(budget, plan.name) / "speed.gin"
    _write(path, plan, experiment, None if budget.is_full else _STEPS_OF_A_TRIAL)
    return path.resolve()


def _write(path: pathlib.Path, plan: RowPlan, experiment: Experiment, steps: Optional[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, composed_text(plan.file, steps, experiment).encode())
