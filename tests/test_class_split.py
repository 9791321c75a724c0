"""Claims about splitting classes at random."""

import random

import numpy as np
import pytest

from hypertransformer_tf.data.class_split import split_by_counts, split_classes
from hypertransformer_tf.errors import UserError


def sizes(splits):
    return [len(splits[name]) for name in ("train", "validation", "test")]


@pytest.mark.parametrize("num_classes", [3, 4, 5, 7, 10, 11, 100, 1623])
def test_every_class_is_in_exactly_one_split_and_no_split_is_empty(num_classes):
    splits = split_classes(num_classes, (0.7, 0.1, 0.2), 0, "toy")
    assert sorted(np.concatenate(list(splits.values()))) == list(range(num_classes))
    assert min(sizes(splits)) >= 1


@pytest.mark.parametrize(
    "fractions, expected",
    [
        ((0.7, 0.1, 0.2), [70, 10, 20]),
        ((0.64, 0.16, 0.2), [64, 16, 20]),
        ((0, 0, 1), [0, 0, 100]),
        ((1, 0, 0), [100, 0, 0]),
        ((0.999, 0.0005, 0.0005), [98, 1, 1]),
        ((1 / 3, 1 / 3, 1 / 3), [34, 33, 33]),
    ],
)
def test_split_sizes_follow_the_fractions(fractions, expected):
    assert sizes(split_classes(100, fractions, 0, "toy")) == expected


def test_a_seed_gives_one_split_and_another_seed_another():
    first, again, other = (split_classes(50, (0.7, 0.1, 0.2), seed, "toy")["train"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_split_does_not_change_between_versions():
    assert split_classes(10, (0.7, 0.1, 0.2), 0, "toy")["train"].tolist() == [7, 8, 1, 5, 3, 4, 2]


def test_too_few_classes_for_three_splits_are_refused_with_the_way_out():
    with pytest.raises(UserError, match=r"toy holds 2 class.* 3 classes.*\(0, 0, 1\)"):
        split_classes(2, (0.7, 0.1, 0.2), 0, "toy")


def test_one_class_is_enough_for_one_split():
    assert sizes(split_classes(1, (0, 0, 1), 0, "toy")) == [0, 0, 1]


@pytest.mark.parametrize(
    "num_classes, expected",
    [(50, [35, 5, 10]), (20, [10, 5, 5]), (15, [5, 5, 5]), (14, [9, 0, 5]), (10, [5, 0, 5]), (9, [5, 0, 4])],
)
def test_small_sets_leave_every_split_the_classes_of_an_episode(num_classes, expected):
    assert sizes(split_classes(num_classes, (0.7, 0.1, 0.2), 0, "toy", least=5)) == expected


def test_without_a_seed_classes_are_split_in_order():
    splits = split_by_counts(100, (64, 16, 20), None, "toy")
    assert [splits[name].tolist() for name in ("train", "validation", "test")] == [
        list(range(64)),
        list(range(64, 80)),
        list(range(80, 100)),
    ]
    assert split_classes(10, (0.7, 0.1, 0.2), None, "toy")["test"].tolist() == [8, 9]


def test_counts_and_seed_give_the_authors_split_of_omniglot():
    splits = split_by_counts(1623, (1150, 50, 423), 2022, "toy")
    order = list(range(1623))
    random.Random(2022).shuffle(order)
    assert sizes(splits) == [1150, 50, 423] and splits["validation"].tolist() == order[1150:1200]


@pytest.mark.parametrize("counts", [(64, 16, 19), (64, 16, 21)])
def test_counts_that_do_not_add_up_to_the_classes_are_refused(counts):
    with pytest.raises(UserError, match=f"add up to {sum(counts)} classes where toy holds 100"):
        split_by_counts(100, counts, None, "toy")
