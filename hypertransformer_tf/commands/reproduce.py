"""bin/reproduce: rows of the paper's tables and figures, trained and measured on a budget."""

import argparse

from hypertransformer_tf.commands import cli
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.reproduction.budget import parse_budget

_DESCRIPTION = """\
Trains and measures the rows of the paper's tables and figures, each a file in gin/paper, and puts the numbers
beside the paper's: a JSON file for each row, tables (Markdown, CSV) and figures (PNG, SVG) made from them.

Without --table, --figure and --row, --plan and --outputs_only are about all of them.
Only what is missing is run. Stopped in whatever way, the same command goes on where it was. A row that cannot be
run is named and skipped; the exit status is then 1."""

_EXAMPLES = """\
  bin/reproduce --list --table=table_4
  bin/reproduce --row=omniglot_1shot_all_layers_8ch --budget=5min
  bin/reproduce --table=table_4 --budget=4000 --seeds=2
      4000 steps of our own recipe for each of two models a row
  bin/reproduce --figure=figure_4 --plan
      what there is to run with the authors' 4,000,000 steps, and how long it would take here
  bin/reproduce --table=table_4 --budget=4000 --outputs_only
      makes table and figure again from the JSON files"""


def main() -> int:
    status = [0]
    return cli.run(lambda: status.__setitem__(0, _command())) or status[0]


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError, also where nothing was named: hundreds of models would be trained."""
    parser = cli.Parser("reproduce", _DESCRIPTION, _EXAMPLES)
    parser.add_argument(
        "--list", action="store_true", help="what there is and what is done; with a table, figure or row its rows"
    )
    for name, what in (("table", "a table"), ("figure", "a figure"), ("row", "a row, by the name of its file")):
        parser.add_argument(
            f"--{name}", metavar="NAME", action="append", default=[], help=f"{what}; may be given several times"
        )
    parser.add_argument(
        "--budget",
        metavar="B",
        default="full",
        help="steps (4000) or time (20min, 1h) of our own recipe for each model; full (the default) is the authors' "
        "recipe to its end",
    )
    parser.add_argument("--seeds", metavar="N", type=cli.at_least(1), default=1, help="models of each row (default: 1)")
    parser.add_argument("--plan", action="store_true", help="only say what would be run, and how long it would take")
    parser.add_argument("--outputs_only", action="store_true", help="run nothing; only make tables and figures again")
    parser.add_argument(
        "--results", metavar="DIR", default="results", help="JSON files, tables, figures (default: results)"
    )
    parser.add_argument(
        "--runs", metavar="DIR", default="runs/reproduce", help="run directories (default: runs/reproduce)"
    )
    cli.add_data_flag(parser)
    flags = parser.parse()
    flags.budget = parse_budget(flags.budget)
    named = flags.table or flags.figure or flags.row
    if not (named or flags.list or flags.plan or flags.outputs_only):
        raise UserError("Nothing was named to train: give --row, --table or --figure; --list shows what there is.")
    return flags


def _command() -> int:
    flags = read_flags()
    from hypertransformer_tf.reproduction import reproduce  # late: the help does not need these
    from hypertransformer_tf.reproduction.listing import listing

    if flags.list:
        print(listing(flags.results, flags.table, flags.figure, flags.row))
        return 0
    done = reproduce.reproduce(
        tables=flags.table,
        figures=flags.figure,
        rows=flags.row,
        budget=flags.budget,
        seeds=flags.seeds,
        results=flags.results,
        runs=flags.runs,
        data_dir=flags.data_dir,
        plan_only=flags.plan,
        outputs_only=flags.outputs_only,
    )
    return 0 if done else 1


if __name__ == "__main__":
    raise SystemExit(main())
