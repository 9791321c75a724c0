"""Draws docs/figures/example.png: five pictures in, a CNN out, and what it says of pictures it has not seen.

    python docs/figures/example.py

The characters are glyphs, which the library draws itself and on which the preset `omniglot` was never trained.
"""

import pathlib
from typing import Any

import numpy as np

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.few_shot_classifier import FewShotClassifier
from hypertransformer_tf.deployment.trained_models import load_model
from hypertransformer_tf.inspection.kernels import generated_kernels, kernel_grid
from hypertransformer_tf.plotting.canvas import COLOURS, new_figure, saved, style

CLASSES, QUERIES, NAMES = 5, 4, "ABCDE"
OUT = pathlib.Path(__file__).with_name("example.png")


def draw(support: np.ndarray, kernels: np.ndarray, queries: np.ndarray, answers: np.ndarray, names: list) -> Any:
    """One row of support pictures, the first layer's kernels, and a row of queries for each class with the answers."""
    figure = new_figure(6.0, 6.2)
    grid = figure.add_gridspec(2 + QUERIES, CLASSES, height_ratios=[1, 0.7] + [1] * QUERIES)
    for place in range(CLASSES):
        _picture(figure.add_subplot(grid[0, place]), support[place], f"given: {names[place]}", "black")
        for row in range(QUERIES):
            index = place * QUERIES + row
            best = answers[index].argmax()
            colour = COLOURS[2] if best == place else COLOURS[1]
            axes = figure.add_subplot(grid[2 + row, place])
            _picture(axes, queries[index], f"{names[best]}, {100 * answers[index][best]:.0f}%", colour)
    axes = figure.add_subplot(grid[1, :])
    axes.imshow(kernels, cmap="coolwarm")
    axes.set_title("the first layer that was written for them", fontsize=9)
    axes.axis("off")
    return figure


def _picture(axes: Any, picture: np.ndarray, title: str, colour: str) -> None:
    axes.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=9, color=colour)
    axes.axis("off")


def main() -> None:
    images = load_images(DataConfig(source="glyphs"))
    test = images.splits["test"]
    chosen = test[:: len(test) // CLASSES][:CLASSES]
    pictures = [images.class_images(each) for each in chosen]
    support = np.stack([each[0] for each in pictures])
    queries = np.concatenate([each[1 : 1 + QUERIES] for each in pictures])
    classifier = FewShotClassifier("omniglot").fit(support, list(NAMES))
    kernels = generated_kernels(load_model("omniglot").model, support, np.arange(CLASSES), CLASSES)
    with style():
        figure = draw(support, kernel_grid(kernels[0]), queries, classifier.predict_proba(queries), list(NAMES))
        OUT.write_bytes(saved(figure)["png"])


if __name__ == "__main__":
    main()
