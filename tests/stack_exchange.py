"""What one stack writes and the other takes up; `test_stacks.py` runs this program with the Python of each.

stack_exchange.py write FOLDER    trains runs, whole ones and first halves, and exports models
stack_exchange.py go_on FOLDER    trains the halves to their end, and asks the exported models
"""

import pathlib
import sys

import numpy as np
import served_model as served
import small_cnns
import small_model as small
import small_runs
import tensorflow as tf

from hypertransformer_tf.deployment.export_saved_model import write_saved_model
from hypertransformer_tf.deployment.presets import load_preset, save_preset
from hypertransformer_tf.serving.export import export

# What differs between them is what a checkpoint holds of the optimiser.
RUNS = {
    "sgdw": ("optimizer.name = 'sgdw'", "optimizer.weight_decay = 0.1"),
    "adam_averaged": ("optimizer.average = 0.9", "optimizer.warmup_steps = 0"),
    "nadam_averaged": ("optimizer.name = 'nadam'", "optimizer.average = 0.9", "optimizer.clip_norm = 0.1"),
    "adamw_scheduled": ("optimizer.name = 'adamw'", "optimizer.schedule = 'exponential'", "optimizer.decay_steps = 5"),
    "lamb_averaged": ("optimizer.name = 'lamb'", "optimizer.weight_decay = 0.1", "optimizer.average = 0.9"),
}
LAYOUT = "colour, inverted, odd size"


def write(folder: pathlib.Path) -> None:
    """Writes FOLDER/halves, whole, preset, served, classifier, and expected.npz with what the models answer."""
    for name, changes in RUNS.items():
        gin_file = small_runs.write_gin(folder / f"{name}.gin", *changes)
        small_runs.train_here(gin_file, folder / "whole" / name)
        small_runs.train_here(gin_file, folder / "halves" / name, steps=3)
    model, cnn = served.make_model(), small_cnns.make_cnn(LAYOUT)
    save_preset(model, folder / "preset")
    export(folder / "preset", folder / "served" / "1")
    write_saved_model(cnn, folder / "classifier")
    expected = {"preset": _answer(model), "classifier": small_cnns.expected_probabilities(cnn, _pictures(cnn))}
    np.savez(folder / "expected.npz", served=tf.nn.softmax(expected["preset"]), **expected)


def go_on(folder: pathlib.Path) -> None:
    """Finishes FOLDER/halves and writes answers.npz, which is to be like expected.npz."""
    for name in RUNS:
        small_runs.train_here(folder / f"{name}.gin", folder / "halves" / name)
    few_shot = _signature(folder / "served" / "1", "few_shot")
    classify = _signature(folder / "classifier", "serving_default")
    pictures = _pictures(small_cnns.make_cnn(LAYOUT))
    np.savez(
        folder / "answers.npz",
        preset=_answer(load_preset(folder / "preset")),
        served=few_shot(**{name: tf.constant(value) for name, value in served.few_shot().items()})["probabilities"],
        classifier=classify(images=tf.constant(pictures, tf.float32))["probabilities"],
    )


def _answer(model) -> np.ndarray:
    weights = model.generate(small.SUPPORT, served.LABELS, served.MASK, n_way=tf.constant(served.CLASSES))
    return model.classify(small.QUERY, weights).numpy()


def _pictures(cnn) -> np.ndarray:
    return small_cnns.random_pictures(cnn, 3)


def _signature(directory: pathlib.Path, name: str):
    loaded = tf.saved_model.load(str(directory))
    signature = loaded.signatures[name]
    signature.keep_alive = loaded  # its variables are the loaded object's
    return signature


if __name__ == "__main__":
    # As in the fast tests: rewriting graphs takes longer than what these few steps compute.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    {"write": write, "go_on": go_on}[sys.argv[1]](pathlib.Path(sys.argv[2]))
