"""What there is to reproduce and what is done of it, as text: what bin/reproduce --list prints."""

import pathlib
from typing import Mapping, Sequence

from hypertransformer_tf.reproduction.index import HEADINGS, IndexRow, in_parts, read_index, select_rows
from hypertransformer_tf.reproduction.results import DONE, budgets_in, read_results
from hypertransformer_tf.runs.local_path import local_path

_MORE = "bin/reproduce --list --table=NAME names the rows of one; its figure has the same."


def listing(
    results: str = "results", tables: Sequence[str] = (), figures: Sequence[str] = (), rows: Sequence[str] = ()
) -> str:
    """All tables with the number of their rows, or the rows that were named, and what of them is done on which budget.

    Args:
      results: folder of the JSON files.
      tables, figures, rows: names; none at all means all tables, without their rows.

    Raises:
      UserError: `results` is not a local folder, or a name is not there.
    """
    folder, index = local_path(results), read_index()
    chosen, done = select_rows(index, tables, figures, rows), _done(folder)
    if not (tables or figures or rows):
        return "\n\n".join([*(_table(name, part, done) for name, part in _tables(chosen)), _MORE])
    whole = dict(_tables(index))
    return "\n\n".join(_rows(name, part, len(_names(whole[name])), done) for name, part in _tables(chosen))


def _done(folder: pathlib.Path) -> dict[str, set[str]]:
    """The rows that are done, by budget."""
    return {
        budget: {name for name, result in read_results(folder, budget).items() if result.state == DONE}
        for budget in budgets_in(folder)
    }


def _tables(rows: Sequence[IndexRow]) -> list[tuple[str, list[IndexRow]]]:
    return list(in_parts(rows, lambda row: row.table).items())


def _names(rows: Sequence[IndexRow]) -> set[str]:
    return {row.name for row in rows}


def _title(table: str, rows: Sequence[IndexRow]) -> str:
    """'--table=table_4, --figure=figure_3: what they are about'."""
    flags = [f"--table={table}", *(f"--figure={name}" for name in in_parts(rows, lambda row: row.figure))]
    return f"{', '.join(flags)}: {HEADINGS.get(table, table)}"


def _table(name: str, rows: Sequence[IndexRow], done: Mapping[str, set[str]]) -> str:
    names = _names(rows)
    counts = [f"{len(names & of)} done at {budget}" for budget, of in done.items() if names & of]
    return f"{_title(name, rows)}\n  {len(names)} rows; {', '.join(counts) or 'none done'}"


def _rows(name: str, rows: Sequence[IndexRow], total: int, done: Mapping[str, set[str]]) -> str:
    shown = len(_names(rows))
    lines = [_title(name, rows) + ("" if shown == total else f"; {shown} of its {total} rows")]
    for panel, of_panel in in_parts(rows, lambda row: row.panel).items():
        lines.append(f"  {panel}")
        for row in dict.fromkeys(row.name for row in of_panel):
            budgets = [budget for budget, of in done.items() if row in of]
            lines.append(f"    {row}" + (f"  (done at {', '.join(budgets)})" if budgets else ""))
    return "\n".join(lines)
