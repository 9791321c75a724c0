"""bin/export: a trained HyperTransformer as a SavedModel for TensorFlow Serving."""

import argparse
import dataclasses
import json

from hypertransformer_tf.commands import cli

_DESCRIPTION = """\
Writes a whole HyperTransformer as a SavedModel for TensorFlow Serving. It has the signatures few_shot (labelled
pictures and queries in, probabilities out), generate and classify (the same in two steps, so that a client generates
once and asks often), and few_shot_bytes (PNG, GIF or JPEG). It needs TensorFlow and nothing else to run.
docs/serving/README.md says how to serve it."""

_EXAMPLES = """\
  bin/export --model=omniglot --out=served/omniglot/1
  bin/export --run_dir=runs/omniglot_task --out=served/mine/1 --overwrite"""


def main() -> int:
    return cli.run(_command)


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("export", _DESCRIPTION, _EXAMPLES)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run_dir", metavar="DIR", help="the directory that bin/train made")
    source.add_argument("--model", metavar="NAME", help="a trained model of the package, or a preset's directory")
    parser.add_argument(
        "--out", metavar="DIR/VERSION", required=True, help="where to; the last part is the version, such as 1"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an export that is there")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object (directory, signatures, ...) and nothing else"
    )
    return parser.parse()


def _command() -> None:
    flags = read_flags()
    from hypertransformer_tf.serving import export  # late: it may need TensorFlow, the help does not

    result = export.export(flags.run_dir or flags.model, flags.out, flags.overwrite)
    print(json.dumps(dataclasses.asdict(result)) if flags.json else result)


if __name__ == "__main__":
    raise SystemExit(main())
