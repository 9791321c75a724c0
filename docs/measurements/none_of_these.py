"""How well a preset tells pictures of other classes from those of its support set, on classes never trained on.

    python docs/measurements/none_of_these.py --model=omniglot

An episode has twice its n-way of Omniglot's test classes: a classifier is made for one half and asked about pictures
of both. The score of a picture is its resemblance to the classes, which bin/predict compares with the threshold.
Prints a Markdown table: area under the ROC curve over the pictures of all episodes, that of the highest probability for
comparison, and what the classifiers' own thresholds do (in the first `--thresholds` episodes: finding one takes long).
"""

import argparse
from typing import Any, Iterator, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.calibration import calibrate, softmax
from hypertransformer_tf.deployment.compiled_generation import compiled_generation
from hypertransformer_tf.deployment.resemblance import class_means, resemblance_to_classes
from hypertransformer_tf.deployment.trained_models import load_model
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.sampler import EpisodeSampler

SIZES = ((5, 1), (5, 5), (20, 1))  # n-way of the classifier, k-shot
QUERIES = 3  # of each class


class Scores(NamedTuple):
    """Of the queries of one episode: whether it is of a class of the classifier, resemblance, highest probability."""

    known: np.ndarray
    resemblance: np.ndarray
    probability: np.ndarray
    threshold: float  # NaN where it was not asked for


def scores(model: Any, sampler: EpisodeSampler, n_way: int, episodes: int, thresholds: int) -> Iterator[Scores]:
    generate = compiled_generation(model, n_way)
    for number in range(episodes):
        episode = sampler.episode(number)
        mine = episode.support_labels < n_way
        images, labels = episode.support_images[mine], episode.support_labels[mine]
        weights = generate(images, labels)
        means = class_means(np.asarray(model.features(images, weights)), labels, n_way)
        features = np.asarray(model.features(episode.query_images, weights))
        logits = features @ np.asarray(weights.logits.kernel) + np.asarray(weights.logits.bias)
        calibrated = number < thresholds
        threshold = calibrate(model, images, labels, n_way, generate).threshold if calibrated else np.nan
        resemblance = resemblance_to_classes(features, means).max(axis=1)
        yield Scores(episode.query_labels < n_way, resemblance, softmax(logits).max(axis=1), threshold)


def row(n_way: int, k_shot: int, found: list) -> str:
    known, resemblance, probability = (np.concatenate(each) for each in list(zip(*found))[:3])
    asked = [each for each in found if not np.isnan(each.threshold)]
    taken = np.concatenate([each.resemblance >= each.threshold for each in asked])
    of_class = np.concatenate([each.known for each in asked])
    areas = (roc_auc_score(known, each) for each in (resemblance, probability))
    cells = [n_way, k_shot, *(f"{area:.3f}" for area in areas)]
    cells += [f"{100 * share:.1f}%" for share in (1 - taken[of_class].mean(), taken[~of_class].mean())]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="omniglot", help="a preset's name or directory, or a run")
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--thresholds", type=int, default=100, help="episodes whose thresholds are found")
    flags = parser.parse_args()
    model = load_model(flags.model).model
    images = load_images(DataConfig(source="omniglot_averaged", image_size=model.image_shape[0]))
    print("| n-way | k-shot | area, resemblance | area, probability | known classes refused | other classes taken |")
    print("| --- " * 6 + "|")
    for n_way, k_shot in SIZES:
        sizes = EpisodeConfig(n_way=2 * n_way, k_shot=k_shot, queries_per_class=QUERIES)
        augmentations = AugmentationConfig(), ImageAugmentationConfig(enabled=False)
        sampler = EpisodeSampler(images, flags.split, sizes, *augmentations, seed=0)
        found = list(scores(model, sampler, n_way, flags.episodes, flags.thresholds))
        print(row(n_way, k_shot, found), flush=True)


if __name__ == "__main__":
    main()
