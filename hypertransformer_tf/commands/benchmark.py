"""bin/benchmark: how fast a configuration trains on this machine."""

import argparse
import dataclasses
import json

from hypertransformer_tf.commands import cli

_DESCRIPTION = """\
Measures the training step of a configuration on this machine: episodes per second, the part of the time
in which a step waited for its input, the time from start to the first finished step, and peak memory.
Nothing is kept."""

_EXAMPLES = """\
  bin/benchmark --gin_file=gin/omniglot_4layer.gin
  bin/benchmark --gin_file=gin/quickstart.gin --gin_bindings="training.task_batch = 4" --json"""


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
    return parser.parse()


def _command() -> None:
    flags = read_flags()
    from hypertransformer_tf.training import benchmark  # late: it may need TensorFlow, the help does not

    result = benchmark.benchmark(
        gin_file=flags.gin_file,
        gin_bindings=flags.gin_bindings,
        data_dir=flags.data_dir,
        seconds=flags.seconds,
        strategy=flags.strategy,
    )
    print(json.dumps(dataclasses.asdict(result)) if flags.json else result)


if __name__ == "__main__":
    raise SystemExit(main())
