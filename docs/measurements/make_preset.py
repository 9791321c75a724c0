"""Makes a preset of a run and measures it for its card, on classes that were never trained on.

    python docs/measurements/make_preset.py --run_dir=runs/omniglot --out=hypertransformer_tf/presets/omniglot \
        --licence="..." --no_good_for="..."
"""

import argparse
import json
import pathlib

from hypertransformer_tf.data.background import training_background
from hypertransformer_tf.data.config import parse_source
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.preset_accuracy import measured, sampler_of
from hypertransformer_tf.deployment.presets import save_preset
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.runs.checkpoints import load_for_use
from hypertransformer_tf.runs.preset_files import CARD, find_preset
from hypertransformer_tf.runs.restore import restore_for_use

SIZES = ((5, 1), (5, 5), (10, 1), (20, 1), (20, 5), (2, 1), (3, 1), (2, 5))  # n_way, k_shot
_OF_PRESETS = ("data", "command", "git_revision", "episodes", "begun_with", "sha256")


def data_of(experiment: Experiment, images: ImagesByClass) -> dict:
    """What finds the data again and splits it alike; of data in a folder only what they are called."""
    settings = experiment.data
    if parse_source(settings.source)[0] != "tfds":
        return {"data": images.name}
    split = {"split_fractions": list(settings.split_fractions), "split_seed": settings.split_seed}
    return {"data": settings.source, **split}


def command_of(start: dict) -> list:
    """What trained the run, without the places on the machine where it ran."""
    _, *flags = start["command_line"]
    return ["bin/train", *(flag for flag in flags if not flag.startswith(("--run_dir", "--data_dir")))]


def training_of(folder: pathlib.Path, experiment: Experiment, step: int) -> dict:
    """How the model was trained, and the one that it began with."""
    start = json.loads((folder / "run.json").read_text())["starts"][0]
    told = {
        "command": command_of(start),
        "git_revision": start.get("git_revision"),
        "episodes": step * experiment.training.task_batch,
    }
    if experiment.training.model_from:
        told["begun_with"] = begun_with(experiment.training.model_from)
    return told


def begun_with(model: str) -> dict:
    """How the model of a preset or of a run was trained."""
    preset = find_preset(model)
    if preset is not None:
        card = json.loads((preset / CARD).read_text())
        return {name: card[name] for name in _OF_PRESETS if name in card}
    folder = pathlib.Path(model)
    experiment = load_experiment(str(folder.absolute() / "config.gin"))
    return training_of(folder, experiment, load_for_use(folder / "checkpoints", print).step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--data_dir")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--licence", required=True, help="of the data and the weights, for the card")
    parser.add_argument("--no_good_for", required=True, help="what the model should not be used for")
    flags = parser.parse_args()
    folder = pathlib.Path(flags.run_dir)
    experiment = load_experiment(str(folder.absolute() / "config.gin"), data_dir=flags.data_dir)
    images = load_images(experiment.data, experiment.episodes.most_classes)
    checkpoint = load_for_use(folder / "checkpoints", print)
    model = restore_for_use(experiment, images, checkpoint)
    # As bin/evaluate --model measures, so that it finds these numbers again: without the run's unlabelled samples.
    evaluator = Evaluator(model, experiment.training.compile)
    name = pathlib.Path(flags.out).name
    accuracies = [
        measured(evaluator, name, sampler_of(images, "test", *size), "test", flags.episodes)
        for size in SIZES
        if size[0] <= experiment.episodes.most_classes
    ]
    card = {
        **data_of(experiment, images),
        "meta_train_classes": len(images.splits["train"]),
        "licence": flags.licence,
        **training_of(folder, experiment, checkpoint.step),
        "test_accuracy": [
            {name: getattr(each, name) for name in ("n_way", "k_shot", "episodes", "accuracy", "interval_95")}
            for each in accuracies
        ],
        "no_good_for": flags.no_good_for,
    }
    save_preset(model, flags.out, card, training_background(images))
    for each in accuracies:
        print(each)


if __name__ == "__main__":
    main()
