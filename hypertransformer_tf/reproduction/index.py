"""`gin/index.csv`: for every row of the paper's tables and figures its gin file, the paper's number and ours.

A row is a point: `table` and `figure` say where it belongs, `panel`, `series` and `x` where in them. One file can be
several rows, such as the model that two studies begin with.
"""

import csv
import dataclasses
import io
import pathlib
from typing import Callable, Mapping, Optional, Sequence

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.gin_files import GIN_FOLDER, nearest

INDEX = GIN_FOLDER / "index.csv"
# Tables in which the paper gives the accuracy on the training classes too.
WITH_TRAINING_ACCURACY = ("table_4",)
# What the rows of each table are about.
HEADINGS = {
    "table_1": "HyperTransformer by channels, beside MAML++ and RFS (paper, Table 1)",
    "table_4": "How much to generate, in small CNNs (paper, Table 4 and Figure 3)",
    "methods": "HyperTransformer beside prototypical networks, MAML and RFS (rows of our own)",
    "colour": "CIFAR-FS and FC100 (rows of our own)",
    "semi_supervised": "Unlabelled samples and transformer layers (paper, Figure 4)",
    "parameters_16ch": "Parameter study of the 16-channel model (paper)",
    "parameters_4ch": "Parameter study of the 4-channel model (paper)",
    "mixtures": "Trained and generated layers (paper)",
    "allocation": "Output against spatial allocation (paper)",
    "others": "LGM-Net's and LEO's settings (paper)",
    "options": "Options of the authors' program",
}


@dataclasses.dataclass(frozen=True)
class IndexRow:
    """One line of the index; all of it text, empty where there is nothing.

    Attributes:
      file: the gin file, by its name within gin/.
      table, figure: names of `bin/reproduce --table` and `--figure`.
      panel: the part of the table or figure, such as the task.
      series: the row of the table, the line of the figure.
      x: the column of the table, the place on the figure's axis.
      paper, paper_train: the paper's accuracy on test and training classes, in %.
      note: where the paper's number is from.
      ours, interval, ours_train: the same from here, and half the width of the 95% interval.
      episodes: that each of our models was trained on.
      seeds: how many models were trained.
      budget, machine, command, date: how our number came about.
    """

    file: str
    table: str
    figure: str
    panel: str
    series: str
    x: str
    paper: str = ""
    paper_train: str = ""
    note: str = ""
    ours: str = ""
    interval: str = ""
    ours_train: str = ""
    episodes: str = ""
    seeds: str = ""
    budget: str = ""
    machine: str = ""
    command: str = ""
    date: str = ""

    @property
    def name(self) -> str:
        """What the row is called: its file without folder and ending."""
        return pathlib.PurePosixPath(self.file).stem


def read_index(path: pathlib.Path = INDEX) -> list[IndexRow]:
    """All rows, in order.

    Raises:
      UserError: the file is missing, or its columns are not those of `IndexRow`.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            lines = list(reader)
    except OSError as error:
        raise UserError(f"The index {path} cannot be read ({error.strerror}).") from error
    columns = [field.name for field in dataclasses.fields(IndexRow)]
    if reader.fieldnames != columns:
        raise UserError(f"The index {path} must have the columns {', '.join(columns)}.")
    wrong = [number for number, line in enumerate(lines, 2) if None in line or None in line.values()]
    if wrong:
        raise UserError(f"The index {path} has another number of values than columns in line {wrong[0]}.")
    return [IndexRow(**line) for line in lines]


def index_text(rows: Sequence[IndexRow]) -> str:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(IndexRow))
    writer.writerows(dataclasses.astuple(row) for row in rows)
    return text.getvalue()


def select_rows(
    rows: Sequence[IndexRow],
    tables: Sequence[str] = (),
    figures: Sequence[str] = (),
    files: Sequence[str] = (),
) -> list[IndexRow]:
    """The rows of some tables, figures and files, all of them if none is named, in the order of the index.

    Args:
      tables, figures: such as 'table_1' and 'figure_3'.
      files: such as 'omniglot_1shot_all_layers_8ch', with or without folder and ending.

    Raises:
      UserError: a name is not there; the nearest ones are offered.
    """
    wanted = [
        ("table", tables, lambda row: row.table),
        ("figure", figures, lambda row: row.figure),
        ("row", [pathlib.PurePosixPath(file).name.removesuffix(".gin") for file in files], lambda row: row.name),
    ]
    known = {kind: {of_row(row) for row in rows} for kind, _, of_row in wanted}
    for kind, names, _ in wanted:
        _check_names(kind, names, known[kind], known)
    if not any(names for _, names, _ in wanted):
        return list(rows)
    return [row for row in rows if any(of_row(row) in names for _, names, of_row in wanted)]


def in_parts(rows: Sequence[IndexRow], part: Callable[[IndexRow], str]) -> dict[str, list[IndexRow]]:
    """The rows by their table, figure, panel or series, each in the order of the index."""
    parts: dict[str, list[IndexRow]] = {}
    for row in rows:
        parts.setdefault(part(row), []).append(row)
    return parts


def columns_of(rows: Sequence[IndexRow]) -> list[str]:
    """The different `x` of some rows: numbers by size, other values in the order in which they come."""
    values = list(dict.fromkeys(row.x for row in rows))
    numbers = {value: number for value in values if (number := number_of(value)) is not None}
    return sorted(values, key=numbers.__getitem__) if len(numbers) == len(values) else values


def number_of(text: str) -> Optional[float]:
    """The number that a field holds, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def _check_names(kind: str, names: Sequence[str], known: set[str], elsewhere: Mapping[str, set[str]]) -> None:
    for name in names:
        if name not in known:
            others = [other for other, there in elsewhere.items() if name in there]
            hint = f"; it is a {others[0]}: --{others[0]}={name}" if others else nearest(name, known)
            raise UserError(f"There is no {kind} {name!r} in {INDEX.name}{hint}.")
