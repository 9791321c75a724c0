"""Rows of the paper from the index to tables and figures: what bin/reproduce and notebooks call."""

import pathlib
import sys
import tempfile
from typing import Callable, Optional, Sequence

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.gin_files import GIN_FOLDER
from hypertransformer_tf.plotting.canvas import can_draw
from hypertransformer_tf.reproduction.announcement import announcement, what_is_outdated
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.child_commands import CommandError
from hypertransformer_tf.reproduction.index import in_parts, read_index, select_rows
from hypertransformer_tf.reproduction.outputs import write_outputs
from hypertransformer_tf.reproduction.places import Places
from hypertransformer_tf.reproduction.present_recipe import outdated_rows
from hypertransformer_tf.reproduction.results import DONE, RowResult, read_results
from hypertransformer_tf.reproduction.row_files import measured_row_speed, write_files_of_minutes
from hypertransformer_tf.reproduction.row_plan import RowPlan, Speeds, plan_rows, work_of
from hypertransformer_tf.reproduction.run_row import run_row
from hypertransformer_tf.runs.local_path import local_path

_WITHOUT_DATA = "quickstart"  # what a speed can be measured of anywhere


def reproduce(
    tables: Sequence[str] = (),
    figures: Sequence[str] = (),
    rows: Sequence[str] = (),
    budget: Budget = Budget(),
    seeds: int = 1,
    results: str = "results",
    runs: str = "runs/reproduce",
    data_dir: Optional[str] = None,
    plan_only: bool = False,
    outputs_only: bool = False,
    say: Callable[[str], None] = print,
) -> bool:
    """Runs what is missing of some rows and makes their tables and figures.

    Args:
      tables, figures, rows: names; none at all means every row of the index.
      budget: how long each model is trained.
      seeds: models of each row.
      results: folder of JSON files, tables and figures.
      runs: folder of run directories.
      data_dir: as for `train`.
      plan_only: only say what would be run and how long it would take.
      outputs_only: run nothing; make tables and figures again from the JSON files.
      say: is told of progress.

    Returns:
      Whether every row is done.

    Raises:
      UserError: a name or value that cannot be used.
      SaveError: something could not be saved.
    """
    index = read_index()
    chosen = select_rows(index, tables, figures, rows)
    places = Places(local_path(results), local_path(runs), data_dir)
    if not plan_only:
        _require_writable("results", places.results)
    if not outputs_only:  # a plan may need a speed, which is measured and kept there
        _require_writable("runs", places.runs)
    known = read_results(places.results, budget.name)
    plans = plan_rows(index, chosen, known, seeds)
    speeds = Speeds(places.runs / "speeds.json")
    experiments = {} if outputs_only else {plan.name: load_experiment(str(GIN_FOLDER / plan.file)) for plan in plans}
    if not outputs_only:
        reasons = _measure_a_speed(plans, experiments, budget, places, speeds, say)
        if reasons and plan_only:  # in a run each row says its own
            say(_assume_a_speed(budget, places, speeds, reasons))
        say(announcement(plans, experiments, chosen, budget, speeds))
        outdated = outdated_rows(chosen, known, budget)
        if outdated:
            say(what_is_outdated(outdated, budget, places))
    if plan_only:
        if plans:
            say("Whether the data of each row is here is seen when it is run.")
        return True
    for name in dict.fromkeys(row.name for row in chosen):
        if name in known and known[name].seeds and name not in experiments:
            say(_accuracy(known[name]))
    failed = False if outputs_only else _run_all(plans, experiments, budget, places, speeds, say)
    if not can_draw():
        say("Figures are left out, as they need matplotlib: pip install matplotlib, then give --outputs_only.")
    made = write_outputs(
        index,
        places.results,
        budget.name,
        list(in_parts(chosen, lambda row: row.table)),
        list(in_parts(chosen, lambda row: row.figure)) if can_draw() else [],
    )
    say(f"made {len(made)} tables and figures in {places.results / budget.name}")
    return not failed


def _require_writable(flag: str, folder: pathlib.Path) -> None:
    """Finds out before hours of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--{flag}={folder} cannot be written: {error.strerror or error}; choose another.") from None


def _measure_a_speed(
    plans: Sequence[RowPlan],
    experiments: dict[str, Experiment],
    budget: Budget,
    places: Places,
    speeds: Speeds,
    say: Callable[[str], None],
) -> list[str]:
    """Makes sure, if it can, that a speed is known, from which others can be estimated; why it cannot for some rows."""
    if budget.minutes is not None or speeds.any_known(budget.is_full):
        return []
    tried, reasons = set(), []
    for plan in plans:
        experiment = experiments[plan.name]
        if experiment.data.source in tried or not experiment.method.is_meta_trained:
            continue
        tried.add(experiment.data.source)
        say(f"{plan.name}: measuring its speed, about a minute")
        try:
            speed = measured_row_speed(plan, experiment, budget, places)
        except CommandError as error:
            reasons.append(str(error))
            continue
        speeds.add(plan.name, budget.is_full, speed, work_of(experiment))
        return []
    return reasons


def _assume_a_speed(budget: Budget, places: Places, speeds: Speeds, reasons: Sequence[str]) -> str:
    """For a plan of rows of which no speed could be measured: what to say of that, and that of glyphs instead."""
    why = "\n".join(["No speed could be measured of these rows:", *reasons])
    if budget.is_full:
        return why
    plan, experiment = RowPlan(_WITHOUT_DATA, f"{_WITHOUT_DATA}.gin", (0,), False), load_experiment(_WITHOUT_DATA)
    try:
        speeds.assume(measured_row_speed(plan, experiment, budget, places), work_of(experiment))
    except CommandError:
        return why
    return f"{why}\nTheir time is estimated from what {plan.file} takes, which needs no data."


def _run_all(
    plans: Sequence[RowPlan],
    experiments: dict[str, Experiment],
    budget: Budget,
    places: Places,
    speeds: Speeds,
    say: Callable[[str], None],
) -> bool:
    """Runs the rows; whether any is not done."""
    write_files_of_minutes(plans, experiments, budget, places, speeds, say)
    failed = False
    reasons: dict[str, str] = {}  # the first row of each
    for plan in plans:
        result = run_row(plan, experiments[plan.name], budget, places, speeds, say)
        if result.state == DONE:
            say(_accuracy(result))
        else:
            failed = True
            first = reasons.setdefault(result.reason, plan.name)
            reason = result.reason if first == plan.name else f"as {first}"
            print(f"{plan.name} {result.state}: {reason}", file=sys.stderr)
    return failed


def _accuracy(result: RowResult) -> str:
    return f"{result.row}: {result.accuracy:.1f}% +- {result.interval:.1f}"
