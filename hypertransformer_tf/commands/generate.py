"""bin/generate: from a folder of pictures to a small classifier of its own."""

import argparse
import warnings

from hypertransformer_tf.commands import cli
from hypertransformer_tf.deployment.default_model import DEFAULT_MODEL

_DESCRIPTION = """\
Generates a small CNN for the classes of a folder, from a few pictures of each, and writes it to a directory
that needs neither this library nor the model any more:

  classifier.keras, savedmodel/, classifier.tflite, classifier_int8.tflite, classifier.onnx
  weights.npz (the numbers), labels.txt, card.json (what it was made from, how to prepare pictures, what was measured)

All take pictures (N, H, W, C) as float32 from 0 to 255 and give probabilities; each is loaded again and
compared with the model. The directory appears complete or not at all."""

_EXAMPLES = """\
  bin/generate --support=pictures --out=classifiers/mine
      pictures/ has a sub-folder for each class, with one picture or more
  bin/generate --support=pictures --out=classifiers/mine --model=runs/my_run --formats=tflite,onnx --overwrite"""


def main() -> int:
    return cli.run(_command)


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("generate", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("--support", metavar="FOLDER", required=True, help="a folder with a sub-folder for each class")
    parser.add_argument("--out", metavar="DIR", required=True, help="the directory to make")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"a trained model: a preset's name, or the directory of a preset or a run (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--unlabelled", metavar="FOLDER", help="more pictures of these classes, without saying which is which"
    )
    parser.add_argument(
        "--formats",
        metavar="NAMES",
        help="some of keras,savedmodel,tflite,tflite_int8,onnx, separated by commas (default: all)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a classifier that is in DIR already")
    return parser.parse()


def _command() -> None:
    flags = read_flags()
    from PIL.Image import DecompressionBombWarning

    # Pillow's own warning of large pictures: those that are too large are left out with a sentence.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    from hypertransformer_tf.deployment import generate  # late: it may need TensorFlow, the help does not

    result = generate.generate(
        support=flags.support,
        out=flags.out,
        model=flags.model,
        unlabelled=flags.unlabelled,
        formats=None if flags.formats is None else [name.strip() for name in flags.formats.split(",") if name.strip()],
        overwrite=flags.overwrite,
    )
    print(result)


if __name__ == "__main__":
    raise SystemExit(main())
