"""Training and measuring the models of one row; what is finished is kept, what was cut off goes on."""

import dataclasses
import datetime
import json
import pathlib
from typing import Any, Callable, Optional, Sequence

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.reproduction import child_commands
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.places import Places
from hypertransformer_tf.reproduction.recipe_digest import recipe_digest
from hypertransformer_tf.reproduction.results import (
    DONE,
    FAILED,
    SKIPPED,
    RowResult,
    SeedResult,
    read_result,
    result_file,
    write_result,
)
from hypertransformer_tf.reproduction.row_files import gin_file_of
from hypertransformer_tf.reproduction.row_plan import RowPlan, Speeds
from hypertransformer_tf.runs.metrics_file import read_metrics


def run_row(
    plan: RowPlan,
    experiment: Experiment,
    budget: Budget,
    places: Places,
    speeds: Speeds,
    say: Callable[[str], None],
) -> RowResult:
    """Trains the missing models of a row, one after the other, and writes the row's JSON after each.

    Args:
      plan: which models.
      experiment: what the row's file says.
      budget: how long; minutes become steps once, and the same steps for all seeds and after a restart.
      places: where to.
      speeds: gets what was measured.
      say: is told of progress, a sentence at a time.

    Returns:
      The row's result; a failure is in it. Models are not added to some of another recipe: that is a failure too, and
      leaves the file as it is.

    Raises:
      SaveError: the result cannot be written.
      KeyboardInterrupt: Ctrl-C.
    """
    path = result_file(places.results, budget.name, plan.name)
    known = read_result(path)
    row = known or RowResult(plan.name, budget.name, DONE, "", ())
    seeds = row.seeds
    state, reason = DONE, ""
    try:
        gin_file = gin_file_of(plan, experiment, budget, places, speeds, say)
        recipe = _recipe_of(gin_file)
        others = [str(seed.seed) for seed in seeds if seed.recipe not in (None, recipe)]
        if others:  # what is on file stays as it is
            mixed = _mixed(path, places.row(budget, plan.name), others)
            return dataclasses.replace(row, state=FAILED, reason=mixed)
        for seed in plan.seeds:
            trained = _run_seed(plan, experiment, seed, gin_file, budget, places, say)
            seeds += (dataclasses.replace(trained, recipe=recipe),)
            write_result(path, dataclasses.replace(row, state=DONE, reason="", seeds=seeds))
    except child_commands.CommandError as error:
        refused = error.refused and not _has_begun(plan, budget, places)
        state, reason = (SKIPPED if refused else FAILED), str(error)
    result = dataclasses.replace(row, state=state, reason=reason, seeds=seeds)
    write_result(path, result)
    return result


def _recipe_of(gin_file: pathlib.Path) -> str:
    """Raises CommandError for a file that cannot be used, as the command that trains from it would."""
    try:
        return recipe_digest(load_experiment(str(gin_file)).effective())
    except UserError as error:
        raise child_commands.CommandError(str(error), refused=True) from error


def _mixed(path: pathlib.Path, runs: pathlib.Path, seeds: Sequence[str]) -> str:
    """The sentence for a row of which a model was trained otherwise: a mean over both would be of neither."""
    return (
        f"{path} holds a model of another configuration (seed {', '.join(seeds)}): remove it, and {runs} if it is "
        "there, to train all models of the row by the present one."
    )


def _has_begun(plan: RowPlan, budget: Budget, places: Places) -> bool:
    """Whether one of the models has been trained at all: what then ends it, such as a loss that is not finite, is not
    that data or a value is missing."""
    return any((_run_dir(plan, seed, budget, places) / "run.json").exists() for seed in plan.seeds)


def _run_dir(plan: RowPlan, seed: int, budget: Budget, places: Places) -> pathlib.Path:
    return places.row(budget, plan.name) / f"seed_{seed}"


def _run_seed(
    plan: RowPlan,
    experiment: Experiment,
    seed: int,
    gin_file: pathlib.Path,
    budget: Budget,
    places: Places,
    say: Callable[[str], None],
) -> SeedResult:
    run_dir = _run_dir(plan, seed, budget, places)
    flags = [f"--gin_file={gin_file.resolve()}", f"--run_dir={run_dir}", f"--seed={seed}"]
    log = places.row(budget, plan.name) / "log.txt"
    say(f"{plan.name}, seed {seed}: training; its progress is in {run_dir / 'metrics.jsonl'}, what it said in {log}")
    child_commands.run_command("train", [*flags, *child_commands.data_flag(places.data_dir)], log)
    training_accuracy = None
    if plan.with_training_accuracy:
        episodes = experiment.evaluation.episodes
        training_accuracy = child_commands.measured_accuracy(run_dir, "train", episodes, places.data_dir)
    command = f"bin/reproduce --row={plan.name} --budget={budget.name} --seeds={seed + 1}"
    return _result_of_run(run_dir, seed, training_accuracy, command)


def _result_of_run(run_dir: pathlib.Path, seed: int, train_accuracy: Optional[float], command: str) -> SeedResult:
    """What a finished run's directory says. Raises CommandError if it was not measured."""
    measured = [line for line in read_metrics(run_dir / "metrics.jsonl") if "test/accuracy" in line]
    if not measured:
        raise child_commands.CommandError(f"{run_dir} has no test accuracy: there are no test classes.", False)
    last = measured[-1]
    configuration = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    starts = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["starts"]
    machine = starts[-1]["machine"]
    return SeedResult(
        seed=seed,
        steps=last["step"],
        episodes=last["step"] * configuration["training"]["task_batch"],
        accuracy=last["test/accuracy"],
        interval_95=last["test/interval_95"],
        train_accuracy=train_accuracy,
        seconds=_seconds(starts),
        machine=f"{machine['processor']}, {machine['cores']} cores",
        command=command,
        date=starts[-1]["ended"][:10],
        versions={**starts[-1]["versions"], "git_revision": starts[-1]["git_revision"]},
    )


def _seconds(starts: list[dict[str, Any]]) -> Optional[float]:
    """Time of all starts of a run; None where one was killed, which then did not note its end."""
    if any("ended" not in start for start in starts):
        return None
    times = [[datetime.datetime.fromisoformat(start[name]) for name in ("started", "ended")] for start in starts]
    return sum((ended - started).total_seconds() for started, ended in times)
