"""bin/plot: pictures of what a model attends to, sees and writes."""

import argparse

from hypertransformer_tf.commands import cli

_DESCRIPTION = """\
Draws a model at work on an episode, each figure as PNG and SVG:

  attention         what the transformer of every CNN layer attends to, samples sorted by label
  attention_logits  the logits layer's alone: which samples each class looks at, head by head
  embedding         t-SNE of the shared features of ten classes, or of your own pictures
  kernels           the kernels generated for two episodes, and their difference
  allocation        with --beside, the kernels of two models beside each other, such as one that writes a token's
                    weights by output channel and one by place in the kernel, and their change between two episodes

The episodes are those of a run's own test classes, or folders with a sub-folder of pictures for each class."""

_EXAMPLES = """\
  bin/plot --run_dir=runs/quickstart --out=figures
  bin/plot --model=omniglot --support=my_classes --unlabelled=more --out=figures
  bin/plot --run_dir=runs/quickstart --support=one --support=another --out=figures --figures=kernels
  bin/plot --run_dir=runs/output --beside=runs/spatial --out=figures --figures=allocation"""


def main() -> int:
    return cli.run(_command)


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("plot", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("--run_dir", metavar="DIR", help="the directory that bin/train made")
    parser.add_argument("--model", metavar="MODEL", help="or the name of a preset, or its directory; needs --support")
    parser.add_argument(
        "--support",
        metavar="FOLDER",
        action="append",
        default=[],
        help="your own pictures, a sub-folder for each class; given twice, the two are compared",
    )
    parser.add_argument(
        "--unlabelled",
        metavar="FOLDER",
        help="more pictures of these classes, without saying which is which; needs --support",
    )
    parser.add_argument(
        "--beside",
        metavar="RUN_OR_MODEL",
        help="a second model, of the same image shape and the same convolutions; adds the figure allocation",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="where the figures go")
    parser.add_argument(
        "--figures",
        metavar="NAMES",
        default="attention,embedding,kernels",
        help="some of attention,embedding,kernels, separated by commas (default: all), and allocation with --beside",
    )
    parser.add_argument(
        "--split", choices=("train", "validation", "test"), default="test", help="which classes (default: test)"
    )
    parser.add_argument(
        "--episode",
        metavar="N",
        type=cli.at_least(0),
        default=0,
        help="number of the episode; its kernels are compared with the next one's (default: 0)",
    )
    cli.add_data_flag(parser)
    return parser.parse()


def _command() -> None:
    flags = read_flags()
    from hypertransformer_tf.plotting.plot import plot  # late: it may need TensorFlow, the help does not

    files = plot(
        out=flags.out,
        run_dir=flags.run_dir,
        model=flags.model,
        support=flags.support,
        figures=[name.strip() for name in flags.figures.split(",") if name.strip()],
        split=flags.split,
        episode=flags.episode,
        data_dir=flags.data_dir,
        unlabelled=flags.unlabelled,
        beside=flags.beside,
    )
    print("made " + ", ".join(map(str, files)) if files else "Nothing could be drawn.")


if __name__ == "__main__":
    raise SystemExit(main())
