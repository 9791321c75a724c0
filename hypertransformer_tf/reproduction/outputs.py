"""Writing the tables and figures of a budget beside the results they are made from."""

import pathlib
from typing import Sequence

from hypertransformer_tf.errors import SaveError
from hypertransformer_tf.reproduction.figures import draw_figure
from hypertransformer_tf.reproduction.index import IndexRow, in_parts
from hypertransformer_tf.reproduction.results import read_results
from hypertransformer_tf.reproduction.tables import csv_table, markdown_table
from hypertransformer_tf.reproduction.trainings import trainings_csv, trainings_markdown
from hypertransformer_tf.runs.atomic_file import write_atomically


def outputs_of(
    index: Sequence[IndexRow], folder: pathlib.Path, budget: str, tables: Sequence[str], figures: Sequence[str]
) -> dict[str, bytes]:
    """Tables (Markdown, CSV) and figures (PNG, SVG) by file name, made from the JSON files alone.

    `trainings` lists what was trained on that budget, whatever the tables asked for.

    Args:
      index: all rows.
      folder: of the results.
      budget: its name.
      tables, figures: their names.

    Raises:
      UserError: a result is damaged.
      ImportError: there are figures to draw and matplotlib is not installed.
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
    content["trainings.md"] = trainings_markdown(budget, results).encode()
    content["trainings.csv"] = trainings_csv(results).encode()
    return content


def write_outputs(
    index: Sequence[IndexRow], folder: pathlib.Path, budget: str, tables: Sequence[str], figures: Sequence[str]
) -> list[pathlib.Path]:
    """Writes `outputs_of` into the budget's sub-folder of the results; the files.

    Raises:
      UserError, ImportError: as `outputs_of`.
      SaveError: a file cannot be written.
    """
    written = []
    for name, text in outputs_of(index, folder, budget, tables, figures).items():
        path = folder / budget / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
        except OSError as error:
            raise SaveError(f"{path} could not be written: {error.strerror or error}.") from error
        written.append(path)
    return written
