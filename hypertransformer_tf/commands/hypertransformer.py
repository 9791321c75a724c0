"""hypertransformer: all commands of bin/ under one name, for who installed the package without its repository."""

import importlib
import sys

import hypertransformer_tf
from hypertransformer_tf.commands import cli
from hypertransformer_tf.errors import UserError

_WHAT_IT_DOES = {
    "train": "trains a configuration, or goes on training it",
    "evaluate": "measures a run on new classes",
    "benchmark": "tells how fast a configuration trains here",
    "generate": "makes a small classifier of a folder with pictures",
    "predict": "asks such a classifier about pictures",
    "export": "makes a SavedModel for TF Serving",
    "demo": "shows a page on which classes are drawn",
    "plot": "draws attention, embeddings and generated kernels",
    "reproduce": "trains and measures rows of the paper's tables",
}


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] in _WHAT_IT_DOES:
        name = sys.argv[1]
        sys.argv = [f"{cli.INSTALLED_AS} {name}", *sys.argv[2:]]
        return importlib.import_module(f"hypertransformer_tf.commands.{name}").main()
    return cli.run(lambda: _say_what_there_is(sys.argv[1:]))


def _say_what_there_is(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print(hypertransformer_tf.__version__)
        return
    if arguments not in ([], ["-h"], ["--help"]):
        raise UserError(
            f"{cli.INSTALLED_AS}: {arguments[0]!r} is none of its commands, which are {', '.join(_WHAT_IT_DOES)}."
        )
    print(f"usage: {cli.INSTALLED_AS} COMMAND [--help]\n\ncommands:")
    for name, what in _WHAT_IT_DOES.items():
        print(f"  {name:<11}{what}")
