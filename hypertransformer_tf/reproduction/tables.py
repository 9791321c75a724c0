"""Tables of results, as Markdown and CSV: text that is a function of the index and the results alone."""

import csv
import io
from typing import Mapping, Optional, Sequence

from hypertransformer_tf.reproduction.index import IndexRow, columns_of, in_parts
from hypertransformer_tf.reproduction.results import DONE, RowResult

_COLUMNS = (
    "file",
    "panel",
    "series",
    "x",
    "paper",
    "paper_train",
    "ours",
    "interval_95",
    "worst_seed",
    "best_seed",
    "ours_train",
    "seeds",
    "episodes",
    "state",
    "reason",
    "note",
)


def markdown_table(name: str, budget: str, rows: Sequence[IndexRow], results: Mapping[str, RowResult]) -> str:
    """Our numbers beside the paper's: one part for each panel, a line for each series, a column for each x."""
    lines = [f"# {name}, budget {budget.replace('_', ' ')}", "", *_explanation(budget, rows, results)]
    for panel, of_panel in in_parts(rows, lambda row: row.panel).items():
        columns = columns_of(of_panel)
        lines += ["", f"## {panel}", "", f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
        for series, of_series in in_parts(of_panel, lambda row: row.series).items():
            by_x = {row.x: row for row in of_series}
            cells = [_cell(by_x.get(x), results) for x in columns]
            lines.append(f"| {series} | {' | '.join(cells)} |")
    missing = {row.name: results[row.name] for row in rows if row.name in results and results[row.name].state != DONE}
    if missing:
        lines += ["", "Not done:", ""]
        lines += [f"* {row}: {result.state}. {result.reason}" for row, result in missing.items()]
    noted = {row.name: results[row.name].note for row in rows if row.name in results and results[row.name].note}
    if noted:
        lines += ["", "Marked with a star:", "", *(f"* {row}: {note}" for row, note in noted.items())]
    return "\n".join(lines) + "\n"


def csv_table(rows: Sequence[IndexRow], results: Mapping[str, RowResult]) -> str:
    """One line for each row of the index."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow(_csv_line(row, results.get(row.name)))
    return text.getvalue()


def shown_accuracy(result: RowResult) -> str:
    """'84.2 +- 0.3', and with several seeds what the worst and the best of them came to."""
    text = f"{result.accuracy:.1f} +- {result.interval:.1f}"
    if len(result.seeds) < 2:
        return text
    return f"{text} (seeds {result.spread[0]:.1f} to {result.spread[1]:.1f})"


def _explanation(budget: str, rows: Sequence[IndexRow], results: Mapping[str, RowResult]) -> list[str]:
    used = [results[row.name] for row in rows if row.name in results and results[row.name].seeds]
    machines = sorted({seed.machine for result in used for seed in result.seeds})
    text = (
        "Test accuracy in %, with the 95% interval over episodes; *paper* is at second hand, of full training. "
        "A dash: not run. An accuracy after a slash is on the training classes."
    )
    if budget != "full":
        text += (
            " On a budget the HyperTransformer is trained by a recipe of our own, and its logits layer is generated "
            "from the last map itself too, which the paper's model does not read (gin/README.md)."
        )
    return [text] + [f"Measured on: {machine}." for machine in machines]


def _cell(row: Optional[IndexRow], results: Mapping[str, RowResult]) -> str:
    if row is None:
        return ""
    result = results.get(row.name)
    ours = "-"
    if result is not None and result.seeds:
        ours = shown_accuracy(result)
        ours += "" if result.train_accuracy is None else f" / {result.train_accuracy:.1f}"
        ours += " *" if result.note else ""
    elif result is not None:
        ours = result.state
    paper = row.paper + (f" / {row.paper_train}" if row.paper_train else "")
    return f"{ours}; paper {paper}" if paper else ours


def _csv_line(row: IndexRow, result: Optional[RowResult]) -> dict[str, str]:
    line = {name: getattr(row, name) for name in _COLUMNS[:6]}
    if result is None:
        return line
    line.update(state=result.state, reason=result.reason, note=result.note, seeds=str(len(result.seeds)))
    if result.seeds:
        worst, best = result.spread
        line.update(
            ours=f"{result.accuracy:.2f}",
            interval_95=f"{result.interval:.2f}",
            worst_seed=f"{worst:.2f}",
            best_seed=f"{best:.2f}",
            ours_train="" if result.train_accuracy is None else f"{result.train_accuracy:.2f}",
            episodes=" ".join(str(seed.episodes) for seed in result.seeds),
        )
    return line
