"""Kills bin/reproduce in the middle of each of two rows, and compares what comes of it to trainings left alone.

    python docs/measurements/unattended.py --budget=5min

bin/reproduce makes two rows on a budget and gets SIGKILL, and is started again, once while it trains the first row and
once while it trains the second. Beside it each row is trained once more without a break, as its composed gin file says,
as soon as that is there. Prints a Markdown table; status 1 if a weight, bit for bit, or an accuracy differs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Dict, Iterator

from random_kills import newest, newest_step

from hypertransformer_tf.runs.metrics_file import read_metrics

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = ("omniglot_1shot_logits_only_4ch", "omniglot_1shot_prototypical_4ch")
POLL = 0.5  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", default="5min", help="of each row")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs, results = pathlib.Path(folder) / "runs", pathlib.Path(folder) / "results"
        command = [sys.executable, "bin/reproduce", *(f"--row={row}" for row in ROWS), "--seeds=1"]
        command += [f"--budget={flags.budget}", f"--runs={runs}", f"--results={results}"]
        whole: Dict[str, subprocess.Popen] = {}
        kills = {row: kill_in_the_middle(command, runs, row, whole) for row in ROWS}
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        for process in whole.values():
            if process.wait():
                raise SystemExit("A training that was left alone failed.")
        print("| row | steps | killed after step | accuracy | left alone | arrays that differ |\n|" + " --- |" * 6)
        return int(any([compare(row, kills[row], runs, results) for row in ROWS]))


def kill_in_the_middle(command: list, runs: pathlib.Path, row: str, whole: Dict[str, subprocess.Popen]) -> int:
    """Starts the command, kills it in the second half of a row's training; the newest checkpoint's step then."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        time.sleep(POLL)
        for name, gin_file in composed_files(runs):
            if name not in whole:
                alone = [sys.executable, "bin/train", f"--gin_file={gin_file}", "--seed=0"]
                alone.append(f"--run_dir={runs.parent / 'whole' / name}")
                whole[name] = subprocess.Popen(alone, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if name == row and newest_step(gin_file.parent / "seed_0") >= steps_of(gin_file) / 2:
                process.kill()
                process.wait()
                return newest_step(gin_file.parent / "seed_0")
    raise SystemExit(f"bin/reproduce ended with {process.returncode} before {row} was half trained.")


def composed_files(runs: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
    for row in ROWS:
        for path in runs.glob(f"*/{row}/{row}.gin"):
            yield row, path


def steps_of(gin_file: pathlib.Path) -> int:
    return next(int(line.split("=")[1]) for line in gin_file.read_text().splitlines() if "training.steps" in line)


def compare(row: str, killed_after: int, runs: pathlib.Path, results: pathlib.Path) -> bool:
    """Prints a row; whether anything differs."""
    alone = runs.parent / "whole" / row
    ours, theirs = newest(next(runs.glob(f"*/{row}")) / "seed_0"), newest(alone)
    accuracy = json.loads(next(results.glob(f"*/rows/{row}.json")).read_text())["seeds"][0]["accuracy"]
    expected = [line["test/accuracy"] for line in read_metrics(alone / "metrics.jsonl") if "test/accuracy" in line][-1]
    different = [name for name in ours.arrays if ours.arrays[name].tobytes() != theirs.arrays[name].tobytes()]
    cells = [row, ours.step, killed_after, f"{100 * accuracy:.2f}%", f"{100 * expected:.2f}%", len(different)]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return bool(different) or accuracy != expected or ours.step != theirs.step


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    raise SystemExit(main())
