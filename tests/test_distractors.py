"""Unlabelled samples of classes that an episode does not ask about."""

import numpy as np
import pytest
from test_sampler import ALL_AUGMENTATIONS, GOLDEN_QUERY, GOLDEN_SUPPORT, marked_images, marks, sampler

from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.errors import UserError

WITH, WITHOUT = EpisodeConfig(3, 2, 2, 4, distractor_classes=5), EpisodeConfig(3, 2, 2, 4)


def test_distractors_come_last_without_a_label_and_of_other_classes():
    images = marked_images()
    for i in range(20):
        episode = sampler(images, config=WITH).episode(i)
        assert len(episode.support_labels) == WITH.support_size == 3 * 6 + 5 * 4
        assert episode.support_labels.tolist() == [0, 0, 1, 1, 2, 2] + [-1] * (3 + 5) * 4
        classes = marks(episode.support_images) // 1000
        np.testing.assert_array_equal(images.splits["train"][episode.support_classes], classes)
        own, distractors = set(classes[:18].tolist()), classes[18:].reshape(5, 4)
        assert (distractors == distractors[:, :1]).all()
        assert len(own) == 3 and len(own | set(distractors[:, 0].tolist())) == 8
        assert len(set(marks(episode.support_images).tolist())) == 38


def test_all_but_the_distractors_is_the_episode_without_them():
    with_them, without = (sampler(config=config, augmentation=ALL_AUGMENTATIONS) for config in (WITH, WITHOUT))
    for i in range(3):
        one, other = with_them.episode(i), without.episode(i)
        for name, field in other._asdict().items():
            np.testing.assert_array_equal(getattr(one, name)[: len(field)], field, err_msg=name)
        for batches, expected in zip(with_them.query_batches(i, 3), without.query_batches(i, 3)):
            np.testing.assert_array_equal(batches, expected)


def test_every_other_class_is_a_distractor_at_times():
    images = marked_images(counts=(8,) * 12, splits={"train": np.arange(12)})
    config = EpisodeConfig(4, 1, 1, 1, distractor_classes=2)
    batch = sampler(images, config=config).task_batch(0, 600)
    _, counts = np.unique(batch.support_classes[:, -2:], return_counts=True)
    assert len(counts) == 12 and np.all(np.abs(counts - 100) < 60)
    own = batch.support_classes[:, :4]
    assert not any(set(left) & set(right) for left, right in zip(own.tolist(), batch.support_classes[:, -2:].tolist()))


def test_an_episode_without_distractors_is_that_of_the_first_version():
    episode = sampler(config=EpisodeConfig(3, 1, 2, distractor_classes=0), seed=2022).episode(7)
    assert marks(episode.support_images).tolist() == GOLDEN_SUPPORT
    assert marks(episode.query_images).tolist() == GOLDEN_QUERY


def test_distractors_without_unlabelled_samples_would_have_no_effect():
    with pytest.raises(UserError, match=r"episodes.distractor_classes = 2 .*episodes.unlabelled_per_class above 0"):
        EpisodeConfig(distractor_classes=2)
    with pytest.raises(UserError, match=r"episodes.distractor_classes = -1"):
        EpisodeConfig(unlabelled_per_class=1, distractor_classes=-1)


def test_too_many_classes_together_are_named():
    with pytest.raises(UserError, match=r"n_way = 4 and episodes.distractor_classes = 2.*'test'.*only 5 classes"):
        sampler(split="test", config=EpisodeConfig(4, 1, 1, 1, distractor_classes=2))
