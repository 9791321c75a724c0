"""Rows of the paper from the index to tables and figures: what bin/reproduce and notebooks call."""

import pathlib
import sys
import tempfile
from typing import Callable, Optional, Sequence

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.gin_files import GIN_FOLDER
from hypertransformer_tf.plotting.canvas import can_draw
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.child_commands import CommandError
from hypertransformer_tf.reproduction.index import IndexRow, in_parts, read_index, select_rows
from hypertransformer_tf.reproduction.outputs import write_outputs
from hypertransformer_tf.reproduction.places import Places
from hypertransformer_tf.reproduction.results import DONE, budgets_in, read_results
from hypertransformer_tf.reproduction.row_files import measured_row_speed, write_files_of_minutes
from hypertransformer_tf.reproduction.row_plan import (
    RowPlan,
    Speeds,
    duration_text,
    episodes_to_train,
    plan_rows,
    seconds_of,
    work_of,
)
from hypertransformer_tf.reproduction.run_row import run_row
from hypertransformer_tf.runs.local_path import local_path


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
    plans = plan_rows(index, chosen, read_results(places.results, budget.name), seeds)
    speeds = Speeds(places.runs / "speeds.json")
    experiments = {} if outputs_only else {plan.name: load_experiment(str(GIN_FOLDER / plan.file)) for plan in plans}
    if not outputs_only:
        _measure_a_speed(plans, experiments, budget, places, speeds)
        say(_announcement(plans, experiments, chosen, budget, speeds))
    if plan_only:
        return True
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
    say("made " + ", ".join(str(path) for path in made))
    return not failed


def _require_writable(flag: str, folder: pathlib.Path) -> None:
    """Finds out before hours of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--{flag}={folder} cannot be written: {error.strerror or error}; choose another.") from None


def listing(results: str = "results") -> str:
    """All tables and figures with the number of their rows, and how many of them are done on which budget.

    Raises:
      UserError: `results` is not a local folder.
    """
    index, folder = read_index(), local_path(results)
    done = {
        budget: {name for name, result in read_results(folder, budget).items() if result.state == DONE}
        for budget in budgets_in(folder)
    }
    lines = []
    for kind, parts in (
        ("table", in_parts(index, lambda row: row.table)),
        ("figure", in_parts(index, lambda row: row.figure)),
    ):
        for name, rows in parts.items():
            names = {row.name for row in rows}
            counts = [f"{len(names & of)} done at {budget}" for budget, of in done.items() if names & of]
            lines.append(f"--{kind}={name:<16} {len(names):>3} rows; {', '.join(counts) or 'none done'}")
    lines += ["", "rows:"]
    for name in dict.fromkeys(row.name for row in index):
        budgets = [budget for budget, of in done.items() if name in of]
        lines.append(f"  {name}" + (f"  (done at {', '.join(budgets)})" if budgets else ""))
    return "\n".join(lines)


def _measure_a_speed(
    plans: Sequence[RowPlan], experiments: dict[str, Experiment], budget: Budget, places: Places, speeds: Speeds
) -> None:
    """Makes sure that at least one speed is known, from which others can be estimated. Needs data of some row."""
    if budget.minutes is not None or speeds.any_known(budget.is_full):
        return
    tried = set()
    for plan in plans:
        experiment = experiments[plan.name]
        if experiment.data.source in tried or not experiment.method.is_meta_trained:
            continue
        tried.add(experiment.data.source)
        try:
            speed = measured_row_speed(plan, experiment, budget, places)
        except CommandError:
            continue  # the row itself will say why
        speeds.add(plan.name, budget.is_full, speed, work_of(experiment))
        return


def _announcement(
    plans: Sequence[RowPlan],
    experiments: dict[str, Experiment],
    chosen: Sequence[IndexRow],
    budget: Budget,
    speeds: Speeds,
) -> str:
    total = len({row.name for row in chosen})
    models = sum(len(plan.seeds) for plan in plans)
    if not models:
        return f"{_counted(total, 'row')}, all done."
    times = []
    for plan in plans:
        experiment = experiments[plan.name]
        speed = speeds.estimate(plan.name, budget.is_full, work_of(experiment))
        own = budget.of_method(experiment.method.is_meta_trained)
        time = seconds_of(own, speed, episodes_to_train(experiment, own))
        times.append(None if time is None else time * len(plan.seeds))
    text = f"{_counted(total, 'row')}, {total - len(plans)} done; {_counted(models, 'model')} to train"
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        return f"{text}; how long it takes is not known without their data."
    return f"{text}, about {duration_text(sum(known))} here."


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


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
    for plan in plans:
        result = run_row(plan, experiments[plan.name], budget, places, speeds, say)
        if result.state == DONE:
            shown = f"{result.accuracy:.1f}% +- {result.interval:.1f}"
            say(f"{plan.name}: {shown}")
        else:
            failed = True
            print(f"{plan.name} {result.state}: {result.reason}", file=sys.stderr)
    return failed
