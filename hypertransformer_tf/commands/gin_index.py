"""bin/gin_index: brings gin/index.csv and the tables of gin/README.md up to date with the results."""

import argparse
import pathlib

from hypertransformer_tf.commands import cli
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.gin_files import GIN_FOLDER
from hypertransformer_tf.reproduction.index import INDEX, index_text, read_index
from hypertransformer_tf.reproduction.readme_tables import readme_text, with_our_numbers
from hypertransformer_tf.reproduction.results import best_known
from hypertransformer_tf.runs.atomic_file import write_atomically

_DESCRIPTION = """\
Writes our numbers into gin/index.csv, for each row from the result that was trained on the most episodes, and makes
the tables of gin/README.md from it. The index itself, which rows there are and what the paper says, is kept by hand.
Rows without a result in that folder are left without a number."""

_EXAMPLES = """\
  bin/gin_index
  bin/gin_index --results=elsewhere"""


def main() -> int:
    return cli.run(_command)


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("gin_index", _DESCRIPTION, _EXAMPLES)
    parser.add_argument(
        "--results",
        metavar="DIR",
        default="docs/results",
        help="the results of bin/reproduce (default: docs/results, those of this repository)",
    )
    return parser.parse()


def _command() -> None:
    flags = read_flags()
    best = best_known(pathlib.Path(flags.results))
    if not best:
        raise UserError(
            f"--results={flags.results} holds no results, so that every number would be lost: name their folder."
        )
    rows = with_our_numbers(read_index(), best)
    readme = GIN_FOLDER / "README.md"
    text = readme_text(readme.read_text(encoding="utf-8"), rows)
    write_atomically(INDEX, index_text(rows).encode())
    write_atomically(readme, text.encode())


if __name__ == "__main__":
    raise SystemExit(main())
