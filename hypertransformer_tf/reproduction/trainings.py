"""What each training of a budget came to: so that who compares two rows sees what went into them."""

import csv
import io
from typing import Mapping

from hypertransformer_tf.reproduction.results import RowResult, SeedResult

_COLUMNS = (
    "row",
    "seed",
    "steps",
    "episodes",
    "seconds",
    "accuracy",
    "interval_95",
    "train_accuracy",
    "machine",
    "date",
    "revision",
)
_SHOWN_OF_A_REVISION = 7


def trainings_csv(results: Mapping[str, RowResult]) -> str:
    """One line for each trained model, accuracies in %, by row and seed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for name, result in results.items():
        writer.writerows({"row": name, **_line(seed)} for seed in result.seeds)
    return text.getvalue()


def trainings_markdown(budget: str, results: Mapping[str, RowResult]) -> str:
    """The same as a table to read."""
    lines = [
        f"# Trainings, budget {budget.replace('_', ' ')}",
        "",
        "Seconds are of training and measuring together, as far as they were noted; a revision that ends in -dirty is "
        "of a working tree with changes.",
        "",
        f"| {' | '.join(_COLUMNS)} |".replace("_", " "),
        "| --- |" + " --- |" * (len(_COLUMNS) - 1),
    ]
    for name, result in results.items():
        lines += [f"| {name} | {' | '.join(_line(seed).values())} |" for seed in result.seeds]
    return "\n".join(lines) + "\n"


def _line(seed: SeedResult) -> dict[str, str]:
    revision, _, changed = str(seed.versions.get("git_revision") or "").partition("-")
    return {
        "seed": str(seed.seed),
        "steps": str(seed.steps),
        "episodes": str(seed.episodes),
        "seconds": "" if seed.seconds is None else f"{seed.seconds:.0f}",
        "accuracy": f"{100 * seed.accuracy:.2f}",
        "interval_95": f"{100 * seed.interval_95:.2f}",
        "train_accuracy": "" if seed.train_accuracy is None else f"{100 * seed.train_accuracy:.2f}",
        "machine": seed.machine,
        "date": seed.date,
        "revision": revision[:_SHOWN_OF_A_REVISION] + (f"-{changed}" if changed else ""),
    }
