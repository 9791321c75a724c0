"""What bin/reproduce says before it trains: how much there is to do, and what it leaves as it is."""

from typing import Mapping, Sequence

from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.index import IndexRow
from hypertransformer_tf.reproduction.places import Places
from hypertransformer_tf.reproduction.row_plan import (
    RowPlan,
    Speeds,
    duration_text,
    episodes_to_train,
    seconds_of,
    work_of,
)


def announcement(
    plans: Sequence[RowPlan],
    experiments: Mapping[str, Experiment],
    chosen: Sequence[IndexRow],
    budget: Budget,
    speeds: Speeds,
) -> str:
    """How many models are to be trained and how long that takes here, as far as it is known.

    Args:
      plans: of the rows of which models are missing.
      experiments: what their files say, by name.
      chosen: all rows that were asked for.
      budget: how long each model is trained.
      speeds: what is known of this machine.
    """
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
    if not known:
        return f"{text}; how long it takes is not known."
    unknown = len(times) - len(known)
    more = f" Of {unknown} of these rows it is not known how long they take beside that." if unknown else ""
    return f"{text}, about {duration_text(sum(known))} here.{more}"


def what_is_outdated(rows: Sequence[str], budget: Budget, places: Places) -> str:
    """That rows, one at least, have models which were trained otherwise than they would be today."""
    were, are = ("was", "is") if len(rows) == 1 else ("were", "are")
    return "\n".join(
        [
            f"{_counted(len(rows), 'row')} {were} trained by another configuration than today's and {are} kept; seeds "
            f"cannot be added. To train one anew, remove its file in "
            f"{places.results / budget.name / 'rows'}, and its folder in {places.runs / budget.name} if it is there:",
            *(f"  {row}" for row in rows),
        ]
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
