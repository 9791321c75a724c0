"""bin/evaluate: the accuracy of a trained run or a preset on episodes of classes it has not trained on."""

import argparse
import dataclasses
import json

from hypertransformer_tf.commands import cli
from hypertransformer_tf.evaluation.asked import ASKED

_DESCRIPTION = """\
Measures a trained HyperTransformer: the mean accuracy over many episodes of one split of the classes,
with its 95% interval. The default is the authors' protocol: 1024 episodes (tasks) of the test classes, each
asked about with 16 query batches. The authors' batches have 100 pictures; those here have as many of each class as
the run's evaluation.queries_per_class says (5 in gin/omniglot_4layer.gin, which makes 100), or else its training.
With --model it measures a preset, on the data that its card names."""

_EXAMPLES = """\
  bin/evaluate --run_dir=runs/quickstart
  bin/evaluate --run_dir=runs/quickstart --split=validation --episodes=200 --json
  bin/evaluate --model=omniglot --n_way=20 --k_shot=1 --episodes=400 --query_batches=1"""

_SHARED = (  # by runs and presets
    "split",
    "episodes",
    "query_batches",
    "data_dir",
    "n_way",
    "k_shot",
    "queries_per_class",
    "asked",
)


def main() -> int:
    return cli.run(_command)


def read_flags() -> argparse.Namespace:
    """The flags of sys.argv. Raises UserError."""
    parser = cli.Parser("evaluate", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("--run_dir", metavar="DIR", help="the directory that bin/train made")
    parser.add_argument(
        "--model", metavar="NAME_OR_DIR", help="a preset instead of a run: its name in the package, or its directory"
    )
    parser.add_argument(
        "--split", choices=("train", "validation", "test"), default="test", help="which classes (default: test)"
    )
    parser.add_argument(
        "--episodes", metavar="N", type=cli.at_least(2), default=1024, help="how many episodes (default: 1024)"
    )
    parser.add_argument(
        "--query_batches",
        metavar="N",
        type=cli.at_least(1),
        default=16,
        help="query batches asked per episode (default: 16)",
    )
    parser.add_argument(
        "--n_way", metavar="N", type=cli.at_least(2), help="classes per episode, if not the run's or the card's"
    )
    parser.add_argument("--k_shot", metavar="K", type=cli.at_least(1), help="labelled samples per class, likewise")
    parser.add_argument(
        "--queries_per_class", metavar="Q", type=cli.at_least(1), help="query pictures per class, likewise"
    )
    parser.add_argument(
        "--asked",
        choices=ASKED,
        default="together",
        help="how a CNN is asked about its query pictures; only a transductive model's answers differ",
    )
    parser.add_argument(
        "--disjoint_queries",
        action="store_true",
        default=None,
        help="ask no support picture, though the run's episodes do (the authors' do)",
    )
    cli.add_data_flag(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object (accuracy from 0 to 1, interval_95, ...) and nothing else",
    )
    flags = parser.parse()
    if (flags.run_dir is None) == (flags.model is None):
        parser.error("give either --run_dir, a run, or --model, a preset" + (", not both" if flags.run_dir else ""))
    return flags


def _command() -> None:
    flags = read_flags()
    shared = {name: getattr(flags, name) for name in _SHARED}
    # Late: they may need TensorFlow, the help does not.
    if flags.model is not None:
        from hypertransformer_tf.deployment import preset_accuracy

        result = preset_accuracy.evaluate_preset(model=flags.model, **shared)
    else:
        from hypertransformer_tf.evaluation import evaluate

        result = evaluate.evaluate(run_dir=flags.run_dir, **shared, disjoint_queries=flags.disjoint_queries)
    print(json.dumps(dataclasses.asdict(result)) if flags.json else result)


if __name__ == "__main__":
    raise SystemExit(main())
