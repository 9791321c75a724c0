"""How accuracy depends on which pictures are asked about together, by source of the normalisation statistics.

    python docs/measurements/normalisation_modes.py runs/query runs/support runs/task

The runs are those of gin/normalisation/. Prints a Markdown table of accuracies on classes never trained on: a row for
every run and episode size, a column for every way of asking.
"""

import argparse
import dataclasses
import pathlib

from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.evaluation.asked import ASKED
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.runs.checkpoints import load_for_use
from hypertransformer_tf.runs.restore import restore_for_use

SIZES = ((20, 1), (20, 5), (5, 1))  # n-way, k-shot
QUERIES = 60  # of a query set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dirs", nargs="+")
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--data_dir")
    flags = parser.parse_args()
    print("| `cnn.normalisation` | episodes | " + " | ".join(each.replace("_", " ") for each in ASKED) + " |")
    print("| --- " * (2 + len(ASKED)) + "|")
    for run_dir in flags.run_dirs:
        print_run(run_dir, flags.episodes, flags.data_dir)


def print_run(run_dir: str, episodes: int, data_dir: str | None) -> None:
    """The rows of one run. Not compiled: that takes longer, for each of these shapes, than the few calls of it."""
    experiment = load_experiment(f"{run_dir}/config.gin", data_dir=data_dir)
    images = load_images(experiment.data, experiment.episodes.most_classes)
    checkpoint = load_for_use(pathlib.Path(run_dir) / "checkpoints", print)
    evaluator = Evaluator(restore_for_use(experiment, images, checkpoint), compile=False)
    for n_way, k_shot in SIZES:
        size = {"n_way": n_way, "k_shot": k_shot, "queries_per_class": QUERIES // n_way, "unlabelled_per_class": 0}
        drawn = dataclasses.replace(experiment.measured_episodes, mixture=(), **size)
        sampler = experiment.evaluation_sampler(images, "test", drawn)
        measured = [evaluator.measure(sampler, episodes, asked=asked) for asked in ASKED]
        cells = [f"{100 * each.mean:.1f}% +- {100 * each.interval_95:.1f}" for each in measured]
        source = experiment.cnn.normalisation
        print(f"| `{source}` | {n_way}-way {k_shot}-shot | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
