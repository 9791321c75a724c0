"""What bin/generate costs from a folder of pictures to a classifier: time, memory and the sizes of what it writes.

    python docs/measurements/cost.py --support=my_classes

The command runs in a process of its own, once that is not counted, so that its files are in the disk cache, and then
`--runs` times. Prints a Markdown table. How long one picture takes afterwards is measured by latency.py.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, NamedTuple

from hypertransformer_tf.deployment.classifier_folder import CARD

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = ("weights.npz", "classifier.tflite", "classifier_int8.tflite", "classifier.onnx")
_UNITS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB


class Run(NamedTuple):
    """Seconds of the whole process, and the card of what it wrote."""

    seconds: float
    card: Dict[str, Any]


def generate_once(support: pathlib.Path, model: str) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "classifier"
        command = [sys.executable, str(ROOT / "bin" / "generate")]
        command += [f"--support={support.absolute()}", f"--out={out}", f"--model={model}"]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return Run(time.perf_counter() - started, json.loads((out / CARD).read_text(encoding="utf-8")))


def rows(runs: List[Run]) -> Dict[str, str]:
    """What was measured, by its name; of several runs the least and the most."""
    generation = [1000 * run.card["generation"]["seconds"] for run in runs]
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / _UNITS_PER_MIB  # the largest of all runs
    files = runs[-1].card["files"]
    return {
        "the whole command, files in the disk cache": _range([run.seconds for run in runs], "{:.1f}", "s"),
        "generating the weights": _range(generation, "{:.0f}", "ms"),
        "peak memory": f"{memory:.0f} MiB",
        **{f"`{name}`": f"{files[name]['bytes'] / 1000:.1f} KB" for name in SIZES},
    }


def _range(values: List[float], form: str, unit: str) -> str:
    least, most = form.format(min(values)), form.format(max(values))
    return f"{least} {unit}" if least == most else f"{least} to {most} {unit}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--support", type=pathlib.Path, required=True, help="a folder with a sub-folder for each class")
    parser.add_argument("--model", default="omniglot", help="a preset's name or directory, or a run")
    parser.add_argument("--runs", type=int, default=3)
    flags = parser.parse_args()
    generate_once(flags.support, flags.model)
    print("| | |\n| --- | --- |")
    for name, value in rows([generate_once(flags.support, flags.model) for _ in range(flags.runs)]).items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
