"""bin/benchmark: how fast a configuration trains on this machine."""

import argparse
import dataclasses
import json
from typing import Sequence

from hypertransformer_tf.commands import cli
from hypertransformer_tf.errors import UserError

_DESCRIPTION = """\
Measures the training step of a configuration on this machine: episodes per second, the part of the time
in which a step waited for its input, the time from start to the first finished step, and peak memory.
With --sweep, tries task batches, groups, precisions, XLA and forms of the convolutions, each in a process
of its own, and names the fastest (of a baseline: task batches, groups and XLA).
With --beside, measures other configurations too, in turns, so that a slow moment of the machine slows them
all, and says how many times as long an episode of each takes. Nothing is kept."""

_EXAMPLES = """\
  bin/benchmark --gin_file=gin/omniglot_4layer.gin
  bin/benchmark --gin_file=gin/quickstart.gin --gin_bindings="training.task_batch = 4" --json
  bin/benchmark --gin_file=gin/omniglot_4layer_fast.gin --sweep
  bin/benchmark --gin_file=gin/omniglot_4layer.gin --beside=gin/omniglot_4layer_fast.gin
  bin/benchmark --gin_file=gin/omniglot_4layer_fast.gin --costs --json > measured.json"""


def main() -> int:
    return cli.run(_command)


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("benchmark", _DESCRIPTION, _EXAMPLES)
    cli.add_configuration_flags(parser)
    cli.add_data_flag(parser)
    cli.add_strategy_flag(parser)
    parser.add_argument(
        "--seconds", metavar="S", type=cli.positive_seconds, default=20.0, help="how long to measure (default: 20)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object (episodes_per_second, ...) and nothing else"
    )
    parser.add_argument(
        "--costs",
        action="store_true",
        help="with --json: also measure what docs/scaling/predict.py reads (drawing, checkpoints, evaluation, bytes)",
    )
    parser.add_argument("--sweep", action="store_true", help="find the fastest settings; --seconds is for each of them")
    parser.add_argument(
        "--beside",
        metavar="FILE",
        action="append",
        default=[],
        help="another configuration, measured in turns with --gin_file; may be given several times",
    )
    flags = parser.parse()
    if flags.costs and (flags.sweep or flags.beside or not flags.json):
        raise UserError(
            "--costs goes with --json, and not with --sweep or --beside: it is read by docs/scaling/predict.py."
        )
    if flags.sweep and flags.beside:
        raise UserError("--sweep and --beside do not go together: sweep each configuration by itself.")
    return flags


def _command() -> None:
    flags = read_flags()
    asked = {name: getattr(flags, name) for name in ("gin_bindings", "data_dir", "seconds", "strategy")}
    if flags.beside:
        _in_turns([flags.gin_file, *flags.beside], asked, flags.json)
        return
    asked["gin_file"] = flags.gin_file
    if flags.sweep:
        _sweep(asked, flags.json)
        return
    from hypertransformer_tf.training import benchmark  # late: it may need TensorFlow, the help does not

    result = benchmark.benchmark(**asked, costs=flags.costs)
    print(json.dumps(dataclasses.asdict(result)) if flags.json else result)


def _in_turns(gin_files: Sequence[str], asked: dict, as_json: bool) -> None:
    from hypertransformer_tf.training.turns import speeds_in_turns

    speeds = speeds_in_turns(gin_files, **asked)
    if as_json:
        print(json.dumps({"speeds": [dataclasses.asdict(speed) for speed in speeds]}))
    else:
        print("\n".join(str(speed) for speed in speeds))


def _sweep(asked: dict, as_json: bool) -> None:
    from hypertransformer_tf.benchmarks import sweep

    if as_json:
        print(json.dumps(sweep.sweep(**asked).as_dict()))
        return
    reported: list[sweep.Row] = []

    def report(row: sweep.Row) -> None:
        if not reported:
            print(sweep.heading(row), flush=True)
        print(sweep.line(row), flush=True)
        reported.append(row)

    result = sweep.sweep(**asked, report=report)
    print(f"\nOn {result.best.machine}, fastest at {result.best.episodes_per_second:.1f} episodes/s:\n")
    print("\n".join(result.gin_lines))


if __name__ == "__main__":
    raise SystemExit(main())
