"""The tables of gin/README.md, and our numbers in gin/index.csv: both made from the index and the results."""

import dataclasses
from typing import Mapping, Sequence

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.reproduction.index import HEADINGS, IndexRow, columns_of, in_parts
from hypertransformer_tf.reproduction.results import RowResult

BEGIN, END = "<!-- rows: made by bin/gin_index -->", "<!-- end of rows -->"


def with_our_numbers(rows: Sequence[IndexRow], best: Mapping[str, RowResult]) -> list[IndexRow]:
    """The index with what was measured here; a row without a result gets empty fields."""
    return [dataclasses.replace(row, **_fields(best.get(row.name))) for row in rows]


def readme_text(text: str, rows: Sequence[IndexRow]) -> str:
    """README with the part between the two marks made anew. Raises UserError if a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"gin/README.md has lost its marks {BEGIN} and {END}: put them where the tables belong.")
    return f"{before}{BEGIN}\n{row_tables(rows)}\n{END}{after}"


def row_tables(rows: Sequence[IndexRow]) -> str:
    """A Markdown table for each table of the index: the paper's number and ours, linked to the gin file."""
    parts = []
    for table, of_table in in_parts(rows, lambda row: row.table).items():
        parts += ["", f"### {HEADINGS.get(table, table)}", "", f"`bin/reproduce --table={table}`"]
        for panel, of_panel in in_parts(of_table, lambda row: row.panel).items():
            columns = columns_of(of_panel)
            parts += ["", f"| {panel} | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
            for series, of_series in in_parts(of_panel, lambda row: row.series).items():
                by_x = {row.x: row for row in of_series}
                parts.append(f"| {series} | {' | '.join(_cell(by_x[x]) if x in by_x else '' for x in columns)} |")
    return "\n".join(parts) + "\n"


def _cell(row: IndexRow) -> str:
    """'87.2, 77.9 +- 0.3 (5 minutes)' as a link to the file; without the paper's number where it has none."""
    ours = f"{row.ours} +- {row.interval} ({row.budget.replace('_', ' ')})" if row.ours else "-"
    in_paper = row.note.startswith(("paper", "see the paper"))
    return f"[{row.paper or '?'}, {ours}]({row.file})" if in_paper else f"[{ours}]({row.file})"


def _fields(result: RowResult | None) -> dict[str, str]:
    if result is None:
        names = ("ours", "interval", "ours_train", "episodes", "seeds", "budget", "machine", "command", "date")
        return dict.fromkeys(names, "")
    last = result.seeds[-1]
    return {
        "ours": f"{result.accuracy:.1f}",
        "interval": f"{result.interval:.1f}",
        "ours_train": "" if result.train_accuracy is None else f"{result.train_accuracy:.1f}",
        "episodes": str(min(seed.episodes for seed in result.seeds)),
        "seeds": str(len(result.seeds)),
        "budget": result.budget,
        "machine": last.machine,
        "command": last.command,
        "date": last.date,
    }
