"""Nearest neighbour on pixels, the figure that a trained model is held against."""

import numpy as np
import pytest
from small_runs import glyphs, noise

from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.pixel_baseline import pixel_accuracy


def _sampler(images, split="train", **episodes):
    config = EpisodeConfig(**{"n_way": 4, "queries_per_class": 3, **episodes})
    return EpisodeSampler(images, split, config, AugmentationConfig(), ImageAugmentationConfig(), seed=0)


def _slowly(sampler, episodes):
    """The same, image by image."""
    results = []
    for index in range(episodes):
        episode, right = sampler.episode(index), 0
        for image, label in zip(episode.query_images.astype(int), episode.query_labels):
            distances = [
                ((image - support.astype(int)) ** 2).sum() if known >= 0 else np.inf
                for support, known in zip(episode.support_images, episode.support_labels)
            ]
            right += episode.support_labels[int(np.argmin(distances))] == label
        results.append(right / len(episode.query_labels))
    return results


@pytest.mark.parametrize("sizes", [{}, {"k_shot": 3}, {"unlabelled_per_class": 2}])
def test_each_query_gets_the_label_of_the_nearest_labelled_support_image(sizes):
    sampler = _sampler(glyphs(), **sizes)
    accuracy = pixel_accuracy(sampler, 6)
    results = _slowly(sampler, 6)
    assert accuracy.mean == pytest.approx(np.mean(results))
    assert accuracy.interval_95 == pytest.approx(1.96 * np.std(results, ddof=1) / 6**0.5)
    assert accuracy.episodes == 6


def test_classes_of_one_brightness_each_are_told_apart_without_error():
    images = np.repeat(np.arange(0, 250, 25, dtype=np.uint8), 6)[:, None, None, None] + np.zeros((1, 8, 8, 1), np.uint8)
    images += np.random.default_rng(0).integers(0, 6, images.shape, dtype=np.uint8)
    splits = {"train": np.arange(10)}
    plain = ImagesByClass("brightness", images, offsets_of([6] * 10), tuple(map(str, range(10))), splits)
    assert pixel_accuracy(_sampler(plain), 20).mean == 1.0


def test_noise_is_guessed():
    accuracy = pixel_accuracy(_sampler(noise(classes=30, samples=5, shape=(6, 6, 1))), 300)
    assert abs(accuracy.mean - 0.25) < 2 * accuracy.interval_95


def test_glyphs_are_hard_for_it():
    accuracy = pixel_accuracy(_sampler(glyphs(), "test", n_way=5), 200)
    assert 0.2 < accuracy.mean < 0.6
