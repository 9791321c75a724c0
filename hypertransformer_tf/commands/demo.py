"""bin/demo: a local web page to try it."""

import argparse
import signal

from hypertransformer_tf.commands import cli
from hypertransformer_tf.deployment.default_model import DEFAULT_MODEL

_DESCRIPTION = """\
Serves a web page on this machine: draw or drop pictures into classes, generate a classifier from them,
and draw another picture while the classes' probabilities change. The classifier can be downloaded as bin/generate
writes it. Nothing leaves this machine. Needs pip install -e ".[demo]"."""

_EXAMPLES = """\
  bin/demo
      then open http://127.0.0.1:7860 in a browser; Ctrl-C ends it
  bin/demo --model=runs/my_run --port=8000"""


def main() -> int:
    return cli.run(_command)


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("demo", _DESCRIPTION, _EXAMPLES)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"a trained model: a preset's name, or the directory of a preset or a run (default: {DEFAULT_MODEL})",
    )
    parser.add_argument("--port", metavar="N", type=_port, default=7860, help="to listen on (default: 7860)")
    parser.add_argument(
        "--host",
        metavar="NAME",
        default="127.0.0.1",
        help="the network interface; 0.0.0.0 lets other machines in (default: 127.0.0.1, this machine only)",
    )
    return parser.parse()


def _port(text: str) -> int:
    value = cli.at_least(1)(text)
    if value > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: ports go from 1 to 65535")
    return value


def _command() -> None:
    flags = read_flags()
    from hypertransformer_tf.demo.serve import serve  # late: it may need TensorFlow, the help does not

    # Ended in whatever way, it leaves no files behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(flags.model, flags.host, flags.port)


if __name__ == "__main__":
    raise SystemExit(main())
