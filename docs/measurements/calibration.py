"""How true the probabilities of a preset's classifiers are, at temperature 1 and at the temperature they find.

    python docs/measurements/calibration.py --model=omniglot

A classifier is made from the support set of each episode, and finds its temperature in the support set alone. Prints
a Markdown table: accuracy and expected calibration error (10 bins) over the query pictures of all episodes, and the
median temperature. `--split=validation` is for choosing between ways of finding the temperature.
"""

import argparse
from typing import List, NamedTuple

import numpy as np
from preset_data import data_of

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.calibration import calibrate, expected_calibration_error, softmax
from hypertransformer_tf.deployment.compiled_generation import compiled_generation
from hypertransformer_tf.deployment.trained_models import TrainedModel, load_model
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.sampler import EpisodeSampler

SIZES = ((5, 1), (5, 5), (20, 1), (20, 5))  # n-way, k-shot
QUERIES = 5  # of each class


class Asked(NamedTuple):
    """One episode's query pictures: logits (Q, n_way), labels (Q,); the classifier's temperature."""

    logits: np.ndarray
    labels: np.ndarray
    temperature: float


def ask(
    trained: TrainedModel, images: ImagesByClass, split: str, n_way: int, k_shot: int, episodes: int
) -> List[Asked]:
    """What the classifiers of some episodes answer about their query pictures."""
    sizes = EpisodeConfig(n_way=n_way, k_shot=k_shot, queries_per_class=QUERIES)
    sampler = EpisodeSampler(images, split, sizes, AugmentationConfig(), ImageAugmentationConfig(enabled=False), seed=0)
    model, generate, asked = trained.model, compiled_generation(trained.model, n_way), []
    for number in range(episodes):
        episode = sampler.episode(number)
        support = episode.support_images, episode.support_labels.astype(np.int32)
        temperature = calibrate(model, *support, n_way, generate).temperature
        logits = np.asarray(model.classify(episode.query_images, generate(*support)))
        asked.append(Asked(logits, episode.query_labels, temperature))
    return asked


def row(asked: List[Asked]) -> str:
    labels = np.concatenate([each.labels for each in asked])
    logits = np.concatenate([each.logits for each in asked])
    calibrated = np.concatenate([softmax(each.logits / each.temperature) for each in asked])
    before, after = (expected_calibration_error(each, labels) for each in (softmax(logits), calibrated))
    accuracy, temperature = np.mean(logits.argmax(1) == labels), np.median([each.temperature for each in asked])
    return f"{len(labels):,} | {100 * accuracy:.1f}% | {before:.3f} | {after:.3f} | {temperature:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="omniglot", help="a preset's name or directory, or a run")
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--data_dir")
    flags = parser.parse_args()
    trained = load_model(flags.model)
    images = load_images(data_of(trained, flags.data_dir), trained.model.n_way)
    print("| n-way | k-shot | pictures | accuracy | error at temperature 1 | as calibrated | median temperature |")
    print("| --- " * 7 + "|")
    for n_way, k_shot in SIZES:
        if n_way <= trained.model.n_way:
            asked = ask(trained, images, flags.split, n_way, k_shot, flags.episodes)
            print(f"| {n_way} | {k_shot} | {row(asked)}", flush=True)


if __name__ == "__main__":
    main()
