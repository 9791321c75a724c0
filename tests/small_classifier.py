"""A small inductive model with random variables, its preset, and a folder of pictures it can be given."""

import dataclasses
import hashlib
import pathlib

import numpy as np
from layer_checks import randomise
from PIL import Image
from small_model import changed

from hypertransformer_tf.deployment.card import write_card
from hypertransformer_tf.deployment.classifier_folder import FORMAT_VERSION
from hypertransformer_tf.deployment.portable_cnn import portable_cnn
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.deployment.presets import save_preset
from hypertransformer_tf.deployment.resemblance import class_means
from hypertransformer_tf.deployment.weights_file import weights_file
from hypertransformer_tf.model.hypertransformer import HyperTransformer

SHAPE, N_WAY = (16, 16, 1), 4


def make_inductive_model(normalisation="task", shape=SHAPE, n_way=N_WAY):
    config = changed(cnn={"normalisation": normalisation})
    return randomise(HyperTransformer(shape, n_way, config, name="small"), scale=0.3)


def save_small_preset(folder: pathlib.Path, background=None, shape=SHAPE) -> str:
    """Writes the model as a preset; the directory."""
    save_preset(make_inductive_model(shape=shape), folder, {"about": "a test"}, background)
    return str(folder)


def draw(label: int, sample: int, size: int = 16) -> np.ndarray:
    """(size, size) uint8: dark bars on light ground, as many as the class's number and one, with noise."""
    stream = np.random.default_rng((label, sample))
    pixels = np.full((size, size), 220, np.uint8)
    for bar in range(label + 1):
        pixels[2:-2, 2 + 3 * bar : 4 + 3 * bar] = 30
    return pixels + stream.integers(0, 30, pixels.shape, dtype=np.uint8)


def drawings(classes: int = 3, samples: int = 3):
    """(N, 16, 16) uint8 and labels (N,) int."""
    labels = np.repeat(np.arange(classes), samples)
    images = [draw(label, sample) for label in range(classes) for sample in range(samples)]
    return np.stack(images), labels


def save_drawings(folder: pathlib.Path, names=("one bar", "zwei Bäume", "三"), samples: int = 3) -> pathlib.Path:
    """Writes a sub-folder of PNG files per class."""
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for sample in range(samples):
            Image.fromarray(draw(label, sample)).save(folder / name / f"{sample}.png")
    return folder


def save_small_classifier(folder: pathlib.Path, names=("one bar", "zwei Bäume", "三"), **card) -> pathlib.Path:
    """Writes a classifier directory with what bin/predict reads, generated from drawings; `card` changes the card."""
    images, labels = drawings(len(names))
    model = make_inductive_model()
    weights = model.generate(images[..., np.newaxis], labels.astype(np.int32), n_way=len(names))
    cnn = portable_cnn(weights, model.architecture, model.config.cnn.activation, temperature=0.5, invert=False)
    means = class_means(np.asarray(model.features(images[..., np.newaxis], weights)), labels, len(names))
    contents = {"weights.npz": weights_file(cnn, means), "labels.txt": "".join(f"{name}\n" for name in names).encode()}
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    values = {
        "format_version": FORMAT_VERSION,
        "model": {"name": "small", "sha256": None},
        "cnn": dataclasses.asdict(model.config.cnn),
        "preprocessing": Preprocessing(SHAPE[0], SHAPE[2]).to_dict(),
        "classes": list(names),
        "temperature": 0.5,
        "threshold": 0.0,
        "files": {name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in contents.items()},
    }
    write_card(folder, {**values, **card})
    return folder
