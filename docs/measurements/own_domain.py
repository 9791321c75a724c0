"""A preset on drawings of other kinds than it was trained on, beside two ways of comparing pixels.

    python docs/measurements/own_domain.py --model=omniglot --json=own_domain.json

Kinds: the glyphs of the library, handwritten digits (scikit-learn's `load_digits`), and letters in 22 fonts that come
with matplotlib. Every kind is prepared as bin/generate prepares pictures. Prints a Markdown table.
"""

import argparse
import json
import pathlib
import string
from typing import Callable, Dict, Iterator, List

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.preprocessing import Preprocessing, should_invert
from hypertransformer_tf.deployment.trained_models import load_model
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.pixel_baseline import pixel_accuracy
from hypertransformer_tf.evaluation.protocol import Evaluator

FONTS = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral", "cmb", "cmr", "cmss", "cmti", "cmtt", "cmmi")
NOT_TEXT = ("Display",)
SIZES = ((5, 1), (5, 5), (10, 1))


def glyphs() -> Dict[str, List[np.ndarray]]:
    images = load_images(DataConfig(source="glyphs"))
    return {images.class_names[index]: list(images.class_images(index)) for index in images.splits["test"]}


def digits() -> Dict[str, List[np.ndarray]]:
    data = load_digits()
    pictures = (data.images * (255 / 16)).astype(np.uint8)
    return {str(digit): list(pictures[data.target == digit]) for digit in range(10)}


def letters() -> Dict[str, List[np.ndarray]]:
    folder = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [path for path in sorted(folder.glob("*.ttf")) if path.name.startswith(FONTS)]
    fonts = [path for path in fonts if not any(word in path.name for word in NOT_TEXT)]
    return {letter: [drawn(letter, font) for font in fonts] for letter in string.ascii_uppercase}


def drawn(letter: str, font: pathlib.Path) -> np.ndarray:
    """A black letter on white, 64 pixels."""
    picture = Image.new("L", (64, 64), 255)
    ImageDraw.Draw(picture).text((32, 32), letter, fill=0, font=ImageFont.truetype(str(font), 44), anchor="mm")
    return np.asarray(picture)


def prepared(name: str, pictures: Dict[str, List[np.ndarray]], image_size: int, background: str) -> ImagesByClass:
    """One kind as a data set whose classes are all test classes."""
    plain = Preprocessing(image_size, 1)
    arrays = [np.stack([plain.apply(picture) for picture in each]) for each in pictures.values()]
    images = np.concatenate(arrays)
    images = 255 - images if should_invert(images, background) else images
    splits = {"train": [], "validation": [], "test": range(len(arrays))}
    splits = {split: np.array(classes, np.int64) for split, classes in splits.items()}
    return ImagesByClass(name, images, offsets_of([len(each) for each in arrays]), tuple(pictures), splits)


def logistic_regression(sampler: EpisodeSampler, episodes: int) -> Accuracy:
    """Fitted on the pixels of each support set."""
    return Accuracy.of_episodes([regression_accuracy(sampler.episode(index)) for index in range(episodes)])


def regression_accuracy(episode: Episode) -> float:
    flat = [images.reshape(len(images), -1) / 255.0 for images in (episode.support_images, episode.query_images)]
    fitted = LogisticRegression(max_iter=1000).fit(flat[0], episode.support_labels)
    return float(fitted.score(flat[1], episode.query_labels))


def rows(model_name: str, episodes: int) -> Iterator[dict]:
    trained = load_model(model_name)
    evaluator = Evaluator(trained.model)
    kinds: Dict[str, Callable] = {"glyphs": glyphs, "digits": digits, "letters": letters}
    for kind, make in kinds.items():
        images = prepared(kind, make(), trained.model.image_shape[0], trained.background)
        for n_way, k_shot in SIZES:
            sizes = EpisodeConfig(n_way=n_way, k_shot=k_shot, queries_per_class=10)
            plain = AugmentationConfig(), ImageAugmentationConfig(enabled=False)
            sampler = EpisodeSampler(images, "test", sizes, *plain, seed=0)
            measured = {
                "hypertransformer": evaluator.measure(sampler, episodes),
                "nearest_neighbour": pixel_accuracy(sampler, episodes),
                "logistic_regression": logistic_regression(sampler, episodes),
            }
            values = {name: (result.mean, result.interval_95) for name, result in measured.items()}
            yield {"kind": kind, "n_way": n_way, "k_shot": k_shot, "episodes": episodes, **values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="omniglot", help="a preset's name or directory, or a run")
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--json", help="a file for the rows")
    flags = parser.parse_args()
    measured = list(rows(flags.model, flags.episodes))
    methods = ("hypertransformer", "nearest_neighbour", "logistic_regression")
    print(
        "| kind | n-way | k-shot | HyperTransformer | nearest neighbour | logistic regression |\n" + "| --- " * 6 + "|"
    )
    for row in measured:
        cells = [f"{100 * mean:.1f}% +- {100 * interval:.1f}" for mean, interval in (row[name] for name in methods)]
        print(f"| {row['kind']} | {row['n_way']} | {row['k_shot']} | " + " | ".join(cells) + " |")
    if flags.json:
        pathlib.Path(flags.json).write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
