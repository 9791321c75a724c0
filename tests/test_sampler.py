"""What an episode consists of, and that nothing but its number decides it."""

import subprocess
import sys
import zlib

import numpy as np
import pytest

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import UserError

ALL_AUGMENTATIONS = AugmentationConfig(
    rotate_by_90=True,
    rotation_probability=0.5,
    roll_probability=0.5,
    resize_probability=0.5,
    contrast_probability=0.5,
    smooth_probability=0.5,
    negate_probability=0.5,
)
NO_IMAGE_AUGMENTATION = ImageAugmentationConfig()
GOLDEN_SUPPORT = [5007, 6, 28005]  # 1000 * class + sample
GOLDEN_QUERY = [5009, 5014, 12, 9, 28003, 28011]


def marked_images(counts=(20,) * 30, splits=None, size=6):
    """Every image holds its class in the first row, its place within the class in the second one.

    The last rows hold a shape without symmetry.
    """
    images = np.zeros((sum(counts), size, size, 1), np.uint8)
    images[:, 0] = np.repeat(np.arange(len(counts)), counts)[:, None, None]
    images[:, 1] = np.concatenate([np.arange(count) for count in counts])[:, None, None]
    images[:, 2:, 0] = 255
    images[:, -1, 1:3] = 128
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if splits is None:
        order = np.arange(len(counts)) * 7 % len(counts)
        splits = {"train": order[:-10], "validation": order[-10:-5], "test": order[-5:]}
    names = tuple(f"class {c}" for c in range(len(counts)))
    return ImagesByClass("marked", images, offsets, names, splits)


def sampler(
    images=None,
    split="train",
    config=EpisodeConfig(5, 2, 3),
    augmentation=AugmentationConfig(),
    image_augmentation=NO_IMAGE_AUGMENTATION,
    seed=0,
):
    return EpisodeSampler(images or marked_images(), split, config, augmentation, image_augmentation, seed)


def marks(images):
    """(..., H, W, C) to pairs (class, sample), as one integer each."""
    return images[..., 0, 0, 0].astype(int) * 1000 + images[..., 1, 0, 0]


def assert_equal(one, other):
    for field, left, right in zip(one._fields, one, other):
        np.testing.assert_array_equal(left, right, err_msg=field)
        assert left.dtype == right.dtype


def test_shapes_and_dtypes():
    episode = sampler(config=EpisodeConfig(5, 2, 3, 4)).episode(0)
    shapes = [field.shape for field in episode]
    assert shapes == [(30, 6, 6, 1), (30,), (30,), (15, 6, 6, 1), (15,)]
    assert [field.dtype for field in episode] == [np.uint8, np.int32, np.int32, np.uint8, np.int32]


def test_labels_are_classes_in_order_and_classes_those_of_the_split():
    images = marked_images()
    for i in range(20):
        episode = sampler(images).episode(i)
        assert episode.support_labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        assert episode.query_labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
        classes = marks(episode.support_images) // 1000
        np.testing.assert_array_equal(images.splits["train"][episode.support_classes], classes)
        class_of_label = dict(zip(episode.support_labels.tolist(), classes.tolist()))
        assert len(set(class_of_label.values())) == 5
        assert [class_of_label[label] for label in episode.query_labels.tolist()] == (
            marks(episode.query_images) // 1000
        ).tolist()


def test_unlabelled_samples_follow_the_labelled_ones():
    images = marked_images()
    episode = sampler(images, config=EpisodeConfig(3, 2, 1, 2)).episode(4)
    assert episode.support_labels.tolist() == [0, 0, 1, 1, 2, 2] + [-1] * 6
    classes = marks(episode.support_images) // 1000
    np.testing.assert_array_equal(np.repeat(classes[:6:2], 2), classes[6:])
    np.testing.assert_array_equal(images.splits["train"][episode.support_classes], classes)


def test_query_images_are_never_support_images_and_none_comes_twice():
    chosen = sampler(config=EpisodeConfig(5, 4, 8, 8))  # all twenty samples of each class
    for i in range(20):
        episode = chosen.episode(i)
        used = np.concatenate([marks(episode.support_images), marks(episode.query_images)])
        assert len(set(used.tolist())) == 5 * 20


def test_independent_queries_are_support_images_as_often_as_chance_makes_them():
    images = marked_images(counts=(20,) * 10, splits={"train": np.arange(10)})
    together = sampler(images, config=EpisodeConfig(5, 1, 3, disjoint_queries=False)).task_batch(0, 1000)
    support, query = marks(together.support_images), marks(together.query_images)
    repeated = query == support.repeat(3, axis=1)
    assert abs(repeated.mean() - 1 / 20) < 5 * np.sqrt(0.05 * 0.95 / repeated.size)
    assert not np.any(query[:, 0::3] == query[:, 1::3]) and not np.any(query[:, 1::3] == query[:, 2::3])


def test_independent_queries_leave_the_support_set_and_need_no_more_samples_than_one_set():
    apart = EpisodeConfig(5, 4, 8, 8, disjoint_queries=False)
    episode = sampler(marked_images(counts=(12,) * 30), config=apart).episode(3)
    np.testing.assert_array_equal(
        marks(episode.support_images)[:20],
        marks(sampler(marked_images(counts=(12,) * 30), config=EpisodeConfig(5, 4, 8)).episode(3).support_images),
    )
    with pytest.raises(UserError, match="has 11 samples, an episode needs 12"):
        sampler(marked_images(counts=(11,) * 30), config=apart)


def test_further_independent_query_batches_may_hold_support_images():
    images = marked_images(counts=(4,) * 10, splits={"train": np.arange(10)})
    apart = sampler(images, config=EpisodeConfig(5, 2, 2, disjoint_queries=False))
    batches, _ = apart.query_batches(0, 40)
    np.testing.assert_array_equal(batches[0], apart.episode(0).query_images)
    assert np.isin(marks(batches[1:]), marks(apart.episode(0).support_images)).any()


def test_an_episode_depends_on_its_number_only():
    config = dict(augmentation=ALL_AUGMENTATIONS, image_augmentation=ImageAugmentationConfig(True))
    alone = sampler(**config).episode(7)
    after_others = sampler(**config)
    for i in (3, 9, 7, 0):
        after_others.episode(i)
    assert_equal(after_others.episode(7), alone)
    batch = sampler(**config).task_batch(5, 4)
    assert all(field.shape[0] == 4 for field in batch)
    assert_equal(type(batch)(*(field[2] for field in batch)), alone)


def test_another_process_draws_the_same_episode():
    code = (
        "import sys, zlib; sys.path[:0] = sys.argv[1:]; import test_sampler\n"
        "e = test_sampler.sampler(augmentation=test_sampler.ALL_AUGMENTATIONS).episode(7)\n"
        "print(zlib.crc32(e.support_images.tobytes() + e.query_images.tobytes()))"
    )
    here = sampler(augmentation=ALL_AUGMENTATIONS).episode(7)
    expected = zlib.crc32(here.support_images.tobytes() + here.query_images.tobytes())
    result = subprocess.run([sys.executable, "-c", code, *sys.path], check=True, capture_output=True, text=True)
    assert int(result.stdout) == expected


def test_images_drawn_are_those_of_the_first_version():
    """Published episodes must stay what they are."""
    episode = sampler(config=EpisodeConfig(3, 1, 2), seed=2022).episode(7)
    assert marks(episode.support_images).tolist() == GOLDEN_SUPPORT
    assert marks(episode.query_images).tolist() == GOLDEN_QUERY


def test_seeds_splits_and_numbers_differ():
    same_classes = marked_images(splits={"train": np.arange(15), "test": np.arange(15, 30)})
    drawn = [
        marks(sampler(same_classes, split, seed=seed).episode(i).query_images) % 1000
        for split in ("train", "test")
        for seed in (0, 1)
        for i in (0, 1)
    ]
    assert len({tuple(d) for d in drawn}) == 8


def test_augmentations_do_not_change_which_images_are_drawn():
    plain = sampler().episode(3)
    negated = sampler(augmentation=AugmentationConfig(negate_probability=1.0)).episode(3)
    np.testing.assert_array_equal(255 - negated.query_images, plain.query_images)
    np.testing.assert_array_equal(255 - negated.support_images, plain.support_images)
    quarter = AugmentationConfig(rotate_by_90=True)
    both = AugmentationConfig(rotate_by_90=True, negate_probability=1.0)
    np.testing.assert_array_equal(
        255 - sampler(augmentation=both).episode(3).query_images, sampler(augmentation=quarter).episode(3).query_images
    )


def test_more_queries_leave_the_support_set_as_it_is():
    few = sampler(config=EpisodeConfig(5, 2, 3)).episode(1)
    many = sampler(config=EpisodeConfig(5, 2, 10)).episode(1)
    np.testing.assert_array_equal(few.support_images, many.support_images)


def test_a_class_is_rotated_as_one():
    """Support and query samples of a class share its rotation; all four rotations occur."""
    plain, rotated = sampler(), sampler(augmentation=AugmentationConfig(rotate_by_90=True))
    turns_seen = set()
    for i in range(10):
        before, after = plain.episode(i), rotated.episode(i)
        turns_of_class = {}
        for images, labels in (("support_images", "support_labels"), ("query_images", "query_labels")):
            for old, new, label in zip(getattr(before, images), getattr(after, images), getattr(before, labels)):
                (turns,) = [k for k in range(4) if np.array_equal(np.rot90(old, k), new)]
                assert turns_of_class.setdefault(int(label), turns) == turns
        turns_seen.add(tuple(turns_of_class.values()))
    assert len(turns_seen) > 5 and set().union(*turns_seen) == {0, 1, 2, 3}


def test_classes_and_samples_are_drawn_equally_often():
    images = marked_images(counts=(8,) * 12, splits={"train": np.arange(12)})
    batch = sampler(images, config=EpisodeConfig(4, 1, 2)).task_batch(0, 1500)
    used = marks(np.concatenate([batch.support_images, batch.query_images], axis=1)).ravel()
    _, counts = np.unique(used, return_counts=True)
    expected = 1500 * 12 / 96
    assert len(counts) == 96 and np.all(np.abs(counts - expected) < 6 * np.sqrt(expected))
    labels_of_class_0 = batch.support_labels[batch.support_classes == 0]
    assert np.all(np.abs(np.bincount(labels_of_class_0) - 125) < 70)


def test_classes_of_unequal_size_are_used_whole():
    counts = (3, 90, 5, 40)
    images = marked_images(counts, splits={"test": np.arange(4)})
    batch = sampler(images, "test", EpisodeConfig(4, 1, 2)).task_batch(0, 400)
    used = set(marks(np.concatenate([batch.support_images, batch.query_images], axis=1)).ravel().tolist())
    assert used == {c * 1000 + s for c, count in enumerate(counts) for s in range(count)}


def test_query_batches_start_with_the_own_one_and_avoid_the_support_set():
    chosen = sampler(config=EpisodeConfig(5, 4, 6, 3), augmentation=AugmentationConfig(negate_probability=1.0))
    episode = chosen.episode(2)
    images, labels = chosen.query_batches(2, 12)
    assert images.shape == (12, 30, 6, 6, 1) and images.dtype == np.uint8
    assert labels.shape == (12, 30) and labels.dtype == np.int32
    np.testing.assert_array_equal(images[0], episode.query_images)
    np.testing.assert_array_equal(labels, np.tile(episode.query_labels, (12, 1)))
    support = set(marks(255 - episode.support_images).tolist())
    own_classes = marks(255 - episode.query_images) // 1000
    batches = [marks(255 - batch).tolist() for batch in images]
    for batch in batches:
        assert len(set(batch)) == 30 and not support & set(batch)
        np.testing.assert_array_equal(np.array(batch) // 1000, own_classes)
    assert len({tuple(batch) for batch in batches}) == 12
    assert len(set().union(*batches)) == 5 * (20 - 7)  # in the end all that is left of each class


def test_a_query_batch_does_not_depend_on_how_many_are_asked_for():
    chosen = sampler(augmentation=ALL_AUGMENTATIONS, image_augmentation=ImageAugmentationConfig(True))
    many, _ = chosen.query_batches(5, 6)
    few, _ = chosen.query_batches(5, 2)
    np.testing.assert_array_equal(many[:2], few)
    np.testing.assert_array_equal(many[0], chosen.episode(5).query_images)


def test_query_batches_share_the_augmentation_of_their_class():
    rotated, plain = sampler(augmentation=AugmentationConfig(rotate_by_90=True)), sampler()
    images, labels = rotated.query_batches(3, 4)
    unaltered, _ = plain.query_batches(3, 4)
    turns = [
        {
            k
            for k in range(4)
            for new, old in zip(images[labels == way], unaltered[labels == way])
            if np.array_equal(np.rot90(old, k), new)
        }
        for way in range(5)
    ]
    assert all(len(of_class) == 1 for of_class in turns)


def test_support_and_query_set_get_image_augmentations_of_their_own():
    images = marked_images(splits={"train": np.arange(30)})
    images.images[:] = np.arange(36, dtype=np.uint8).reshape(6, 6, 1) * 5  # all the same
    chosen = sampler(images, image_augmentation=ImageAugmentationConfig(True))
    altered = [chosen.episode(i) for i in range(6)]
    means = [(e.support_images.mean(), e.query_images.mean()) for e in altered]
    assert min(abs(support - query) for support, query in means) > 1


def test_drawing_leaves_the_data_alone_and_is_free_to_be_changed():
    images = marked_images()
    before = images.images.copy()
    chosen = sampler(images)
    episode = chosen.episode(0)
    for field in episode:
        field[...] = 7
    np.testing.assert_array_equal(images.images, before)
    assert chosen.episode(0).query_labels.tolist() != [7] * 15


def test_memory_mapped_images_give_plain_arrays(tmp_path):
    images = marked_images()
    np.save(tmp_path / "images.npy", images.images)
    mapped = ImagesByClass(
        images.name, np.load(tmp_path / "images.npy", mmap_mode="r"), images.offsets, images.class_names, images.splits
    )
    assert type(sampler(mapped).episode(0).query_images) is np.ndarray
    assert_equal(sampler(mapped).episode(0), sampler(images).episode(0))


def test_too_many_ways_are_named_with_split_and_classes():
    with pytest.raises(UserError, match=r"n_way = 6.*'test'.*only 5 classes"):
        sampler(split="test", config=EpisodeConfig(6, 1, 1))


def test_a_class_with_too_few_samples_is_named():
    images = marked_images(counts=(20, 7, 20), splits={"train": np.arange(3)})
    with pytest.raises(UserError, match=r"'class 1'.*'train'.*7 samples.*needs 8.*1 of 3 classes"):
        sampler(images, config=EpisodeConfig(2, 2, 5, 1))
    assert sampler(images, config=EpisodeConfig(2, 2, 5)).episode(0).query_images.shape[0] == 10


def test_an_unknown_split_is_answered_with_those_there_are():
    with pytest.raises(UserError, match=r"no split 'dev'.*'train', 'validation', 'test'"):
        sampler(split="dev")


def test_right_angles_need_square_images():
    images = marked_images()
    oblong = ImagesByClass("oblong", images.images[:, :4], images.offsets, images.class_names, images.splits)
    with pytest.raises(UserError, match="rotate_by_90.*4 x 6"):
        sampler(oblong, augmentation=AugmentationConfig(rotate_by_90=True))
    assert sampler(oblong).episode(0).query_images.shape == (15, 4, 6, 1)
