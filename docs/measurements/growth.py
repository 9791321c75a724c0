"""How the time of an episode grows with its work: channels, support set and image size, beside the arithmetic's growth.

    python docs/measurements/growth.py --out=docs/measurements/growth

Each setting changes one value of gin/omniglot_4layer_fast.gin; bin/benchmark measures those of one kind in turns.
Support sets are drawn from CIFAR-100 in grey, 28 pixels, as Omniglot has 20 drawings of a character and not 28.
Images larger than 28 pixels are computed one episode a group, which is faster than two groups at 56 pixels only.
The arithmetic is what TensorFlow's profiler counts in the forward pass of one episode, convolutions in the plain form.
Writes growth.csv and a log-log plot, growth.svg, below --out, and prints a Markdown table.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Dict, Iterator, List

from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.experiment import load_experiment

ROOT = pathlib.Path(__file__).resolve().parents[2]
GIN_FILE = "gin/omniglot_4layer_fast.gin"
MANY_PICTURES = ("data.source = 'tfds:cifar100'", "data.channels = 1")  # of a class
AXES: Dict[str, List[tuple]] = {  # what varies: (its value, bindings)
    "channels": [(each, (f"cnn.channels = {each}", f"features.local_dim = {each}")) for each in (8, 16, 32, 64)],
    "support images": [(20 * k, (*MANY_PICTURES, f"episodes.k_shot = {k}")) for k in (1, 2, 5, 10, 25)],
    "image size": [(28, ()), *((each, (f"data.image_size = {each}", "training.groups = 8")) for each in (42, 56, 84))],
}


def measured_in_turns(settings: List[tuple], seconds: float) -> List[dict]:
    """What bin/benchmark says of each setting: its speed, and how many times as long as the first an episode takes."""
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / f"{value}.gin" for value, _ in settings]
        for file, (_, bindings) in zip(files, settings):
            file.write_text("\n".join([f"include '{ROOT / GIN_FILE}'", *bindings, ""]))
        first, *others = files
        command = [sys.executable, "bin/benchmark", f"--gin_file={first}", *(f"--beside={each}" for each in others)]
        command += ["--json", f"--seconds={seconds}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["speeds"]


def arithmetic(bindings: tuple) -> float:
    """Millions of floating-point operations of the forward pass of an episode."""
    import tensorflow as tf

    from hypertransformer_tf.runs.restore import build_model

    experiment = load_experiment(str(ROOT / GIN_FILE), bindings)
    images = load_images(experiment.data, experiment.episodes.most_classes)
    model, episodes = build_model(experiment, images, convolution_form="plain"), experiment.episodes
    size = tuple(images.image_shape)
    support, queries = (episodes.n_way * each for each in (episodes.k_shot, episodes.queries_per_class))

    @tf.function(autograph=False)
    def forward(support_images: tf.Tensor, support_labels: tf.Tensor, query_images: tf.Tensor) -> tf.Tensor:
        return model.classify(query_images, model.generate(support_images, support_labels))

    graph = forward.get_concrete_function(
        tf.TensorSpec((1, support, *size)), tf.TensorSpec((1, support), tf.int32), tf.TensorSpec((1, queries, *size))
    ).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    ).with_empty_output()
    return tf.compat.v1.profiler.profile(graph, options=options.build()).total_float_ops / 1e6


def rows(seconds: float) -> Iterator[dict]:
    for axis, settings in AXES.items():
        work = [arithmetic(bindings) for _, bindings in settings]
        for (value, _), speed, operations in zip(settings, measured_in_turns(settings, seconds), work):
            yield {
                "axis": axis,
                "value": value,
                "ms_per_episode": round(1000 / speed["episodes_per_second"], 2),
                "episodes_per_second": round(speed["episodes_per_second"], 1),
                "forward_mflop": round(operations, 1),
                "time_grows": round(speed["times_as_long"], 2),
                "arithmetic_grows": round(operations / work[0], 2),
            }


def plot(measured: List[dict], path: pathlib.Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(AXES), figsize=(10, 3.2), sharey=True)
    for each, axis in zip(axes, AXES):
        mine = [row for row in measured if row["axis"] == axis]
        for name in ("time_grows", "arithmetic_grows"):
            each.loglog([row["value"] for row in mine], [row[name] for row in mine], "o-", label=name.split("_")[0])
        each.set_xlabel(axis)
    axes[0].set_ylabel("growth")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="a folder")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each setting, in all its turns")
    flags = parser.parse_args()
    measured = []
    for row in rows(flags.seconds):
        if not measured:
            print("| " + " | ".join(row) + " |\n" + "| --- " * len(row) + "|")
        print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
        measured.append(row)
    flags.out.mkdir(parents=True, exist_ok=True)
    with (flags.out / "growth.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, measured[0])
        writer.writeheader()
        writer.writerows(measured)
    plot(measured, flags.out / "growth.svg")


if __name__ == "__main__":
    main()
