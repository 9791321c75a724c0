"""Accuracy after equal steps in each precision, three seeds each.

    python docs/measurements/precision.py

Each run is the quick start, whole but for its validations: the last step's variables are measured, in the precision
that they were trained in. A seed begins with the same variables and sees the same episodes in each precision; compare
differences with the spread of float32's seeds. Prints a Markdown table, after nine trainings.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.training.config import PRECISIONS

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = range(3)
BINDINGS = ("training.validate_every = 0", "evaluation.pixel_baseline = False")


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(
        f"| precision |{''.join(f' seed {seed} |' for seed in SEEDS)} mean difference |\n|{' --- |' * (len(SEEDS) + 2)}"
    )
    reference: list[float] = []
    for precision in PRECISIONS:  # float32 is the first
        found = [accuracy_after_training(precision, seed) for seed in SEEDS]
        reference = reference or found
        difference = sum(ours - theirs for ours, theirs in zip(found, reference)) / len(found)
        cells = [*(f"{100 * each:.1f}%" for each in found), f"{100 * difference:+.1f} points"]
        print(f"| {precision} | {' | '.join(cells)} |", flush=True)


def accuracy_after_training(precision: str, seed: int) -> float:
    """From 0 to 1, on test classes."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        command = [sys.executable, "bin/train", "--gin_file=gin/quickstart.gin", f"--run_dir={run}", f"--seed={seed}"]
        command += [f"--gin_bindings={each}" for each in (f"training.precision = {precision!r}", *BINDINGS)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return next(line["test/accuracy"] for line in read_metrics(run / "metrics.jsonl") if "test/accuracy" in line)


if __name__ == "__main__":
    main()
