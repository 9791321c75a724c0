"""How accuracy depends on which pictures are asked about together, by source of the normalisation statistics.

    python docs/measurements/normalisation_modes.py runs/query runs/support runs/task

The runs are those of gin/normalisation/. Prints a Markdown table of accuracies on classes never trained on: a row for
every run and episode size, a column for every way of asking.
"""

import argparse

from hypertransformer_tf.evaluation.asked import ASKED
from hypertransformer_tf.evaluation.evaluate import evaluate
from hypertransformer_tf.experiment import load_experiment

SIZES = ((20, 1), (20, 5), (5, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dirs", nargs="+")
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--data_dir")
    flags = parser.parse_args()
    print("| `cnn.normalisation` | episodes | " + " | ".join(each.replace("_", " ") for each in ASKED) + " |")
    print("| --- " * (2 + len(ASKED)) + "|")
    for run_dir in flags.run_dirs:
        source = load_experiment(f"{run_dir}/config.gin").cnn.normalisation
        for n_way, k_shot in SIZES:
            size = {"n_way": n_way, "k_shot": k_shot, "data_dir": flags.data_dir}
            measured = [evaluate(run_dir, "test", flags.episodes, 1, asked=asked, **size) for asked in ASKED]
            cells = [f"{100 * each.accuracy:.1f}% +- {100 * each.interval_95:.1f}" for each in measured]
            print(f"| `{source}` | {n_way}-way {k_shot}-shot | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
