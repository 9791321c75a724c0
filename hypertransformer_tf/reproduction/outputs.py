"""Writing the tables and figures of a budget beside the results they are made from."""

import pathlib
from typing import Sequence

from hypertransformer_tf.errors import SaveError
from hypertransformer_tf.reproduction.figures import draw_figure
from hypertransformer_tf.reproduction.index import IndexRow, in_parts
from hypertransformer_tf.reproduction.results import read_results
from hypertransformer_tf.reproduction.tables import csv_table, markdown_table
from hypertransformer_tf.runs.atomic_file import write_atomically


def write_outputs(
    index: Sequence[IndexRow], folder: pathlib.Path, budget: str, tables: Sequence[str], figures: Sequence[str]
) -> list[pathlib.Path]:
    """Makes tables (Markdown, CSV) and figures (PNG, SVG) again from the JSON files alone.

    Args:
      index: all rows.
      folder: of the results; the files go into its sub-folder of the budget.
      budget: its name.
      tables, figures: their names.

    Returns:
      The files.

    Raises:
      UserError: a result is damaged.
      SaveError: a file cannot be written.
    """
    results = read_results(folder, budget)
    content: dict[str, bytes] = {}
    by_table, by_figure = in_parts(index, lambda row: row.table), in_parts(index, lambda row: row.figure)
    for name in tables:
        content[f"{name}.md"] = markdown_table(name, budget, by_table[name], results).encode()
        content[f"{name}.csv"] = csv_table(by_table[name], results).encode()
    for name in figures:
        for kind, drawn in draw_figure(name, budget, by_figure[name], results).items():
            content[f"{name}.{kind}"] = drawn
    written = []
    for name, text in content.items():
        path = folder / budget / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
        except OSError as error:
            raise SaveError(f"{path} could not be written: {error.strerror or error}.") from error
        written.append(path)
    return written
