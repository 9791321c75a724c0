"""bin/train: trains a HyperTransformer, or continues a run."""

import argparse
import logging

from hypertransformer_tf.commands import cli
from hypertransformer_tf.training import restarts
from hypertransformer_tf.training.interruption import ended_by_sigterm

_DESCRIPTION = """\
Trains a HyperTransformer as a gin file says, and keeps everything about the run in one directory:
configuration, checkpoints (the best by validation episodes among them), metrics, TensorBoard scalars.

A run that was stopped, in whatever way, continues where it was when the same command is given again.
Ctrl-C and SIGTERM save and stop.

With --strategy=multi_worker the same command is given on every machine; docs/scaling/README.md says how."""

_EXAMPLES = """\
  bin/train --gin_file=gin/quickstart.gin
      5-way 1-shot on drawn glyphs: no data needed, some minutes on two cores
  bin/train --gin_file=gin/omniglot_4layer_fast.gin --run_dir=runs/seed_1 --seed=1
  bin/train --gin_file=gin/presets/fine_tune.gin --run_dir=runs/mine --gin_bindings="data.source = 'folder:my_images'"
      your own images: a folder with one sub-folder per class; the run can be given to bin/generate
  bin/train --gin_file=gin/omniglot_4layer.gin --steps=32_000
      stops there; the same command with more steps goes on from it
  bin/train --gin_file=gin/omniglot_4layer.gin --restarts=10
      goes on by itself if it is killed"""


def main() -> int:
    return cli.run(_command)


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("train", _DESCRIPTION, _EXAMPLES)
    cli.add_configuration_flags(parser)
    parser.add_argument("--run_dir", metavar="DIR", help="where the run is kept (default: runs/NAME OF THE GIN FILE)")
    cli.add_data_flag(parser)
    parser.add_argument(
        "--steps",
        metavar="N",
        type=cli.at_least(1),
        help="train up to this step, instead of training.steps of the gin file",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=cli.at_least(0),
        help="seed of initial weights and episodes, instead of training.seed",
    )
    cli.add_strategy_flag(parser)
    parser.add_argument(
        "--restarts",
        metavar="N",
        type=cli.at_least(0),
        default=0,
        help="start the training again up to N times if it dies of a signal or loses another worker (default: 0)",
    )
    return parser.parse()


def _command() -> None:
    flags = read_flags()
    if flags.restarts and not restarts.is_supervised():
        raise SystemExit(restarts.run_with_restarts(flags.restarts, logging.warning))
    with ended_by_sigterm():
        from hypertransformer_tf.training import train  # late: it may need TensorFlow, the help does not

        train.train(
            gin_file=flags.gin_file,
            gin_bindings=flags.gin_bindings,
            run_dir=flags.run_dir,
            data_dir=flags.data_dir,
            steps=flags.steps,
            seed=flags.seed,
            strategy=flags.strategy,
        )


if __name__ == "__main__":
    raise SystemExit(main())
