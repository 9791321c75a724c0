"""How well a preset tells pictures of other classes from those of its support set, on classes never trained on.

    python docs/measurements/none_of_these.py --model=omniglot

An episode has twice its n-way of Omniglot's test classes: a classifier is made for one half and asked about pictures
of both. The score of a picture is the probability of its most probable class, which bin/predict compares with the
threshold. Prints a Markdown table: area under the ROC curve over the pictures of all episodes, and what the
classifiers' own thresholds do.
"""

import argparse
from typing import Tuple

import numpy as np
from sklearn.metrics import roc_auc_score

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.few_shot_classifier import FewShotClassifier
from hypertransformer_tf.deployment.trained_models import load_model
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.sampler import EpisodeSampler

SIZES = ((5, 1), (5, 5))  # n-way of the classifier, k-shot
QUERIES = 3  # of each class


def scores_of(episode: Episode, n_way: int, model: str) -> Tuple[np.ndarray, np.ndarray, float]:
    """The score of each query, whether it is of a class of the classifier, and the classifier's threshold."""
    mine = episode.support_labels < n_way
    classifier = FewShotClassifier(model).fit(episode.support_images[mine], episode.support_labels[mine])
    scores = classifier.predict_proba(episode.query_images).max(axis=1)
    return scores, episode.query_labels < n_way, classifier.threshold_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="omniglot", help="a preset's name or directory, or a run")
    parser.add_argument("--episodes", type=int, default=1000)
    flags = parser.parse_args()
    side = load_model(flags.model).model.image_shape[0]
    images = load_images(DataConfig(source="omniglot_averaged", image_size=side))
    print("| n-way | k-shot | area under the ROC curve | known classes refused | other classes taken |")
    print("| --- " * 5 + "|")
    for n_way, k_shot in SIZES:
        sizes = EpisodeConfig(n_way=2 * n_way, k_shot=k_shot, queries_per_class=QUERIES)
        sampler = EpisodeSampler(images, "test", sizes, AugmentationConfig(), ImageAugmentationConfig(enabled=False), 0)
        found = [scores_of(sampler.episode(number), n_way, flags.model) for number in range(flags.episodes)]
        known = np.concatenate([of_class for _, of_class, _ in found])
        taken = np.concatenate([scores >= threshold for scores, _, threshold in found])
        area = roc_auc_score(known, np.concatenate([scores for scores, _, _ in found]))
        print(
            f"| {n_way} | {k_shot} | {area:.3f} | {100 * (1 - taken[known].mean()):.1f}% | "
            f"{100 * taken[~known].mean():.1f}% |",
            flush=True,
        )


if __name__ == "__main__":
    main()
