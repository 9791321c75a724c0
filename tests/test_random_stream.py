"""A random stream is a pure function of a seed and a path."""

import hashlib

import numpy as np
import pytest

from hypertransformer_tf.episodes import random_stream
from hypertransformer_tf.episodes.random_stream import RandomStream

GOLDEN_UNIFORM = ["0x1.2407d71bea500p-7", "0x1.d052a3b86784cp-2", "0x1.874fa9af747f0p-4"]
GOLDEN_INTEGERS = [483, 84, 4, 498, 155, 972]
GOLDEN_CHOICE = [852, 1112, 578, 436, 1132, 808]


def test_equal_paths_give_equal_numbers_and_others_different_ones():
    paths = [
        (0, "train", 7),
        (1, "train", 7),
        (0, "test", 7),
        (0, "train", 8),
        (0, "train", 7, 0),
        (0, "train7"),
        (0, "train", "7"),
        (0, "t", "rain", 7),
        (-1,),
    ]
    numbers = [tuple(RandomStream(*path).uniform((4,))) for path in paths]
    assert len(set(numbers)) == len(paths)
    assert numbers == [tuple(RandomStream(*path).uniform((4,))) for path in paths]


def test_a_child_depends_on_the_path_only():
    parent = RandomStream(3, "train")
    fresh = parent.child(5, "roll").uniform((6,))
    parent.uniform((100,))
    np.testing.assert_array_equal(parent.child(5).child("roll").uniform((6,)), fresh)
    np.testing.assert_array_equal(RandomStream(3, "train", 5, "roll").uniform((6,)), fresh)


def test_numbers_are_those_of_the_first_version():
    """Published episodes must stay what they are under other versions of NumPy."""
    stream = RandomStream(2022, "train", 7, "draw")
    assert [float(u).hex() for u in stream.uniform((3,))] == GOLDEN_UNIFORM
    assert stream.integers(0, 1000, (6,)).tolist() == GOLDEN_INTEGERS
    assert stream.choice_without_replacement(1150, 6).tolist() == GOLDEN_CHOICE


def test_numbers_are_the_top_bits_of_philox_words():
    key = hashlib.blake2b(b"i5;s3:abc", digest_size=16).digest()
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(5)
    expected = [int(word) // 2**11 / 2**53 for word in words]
    assert RandomStream(5, "abc").uniform((5,)).tolist() == expected


def test_drawing_in_parts_equals_drawing_at_once():
    stream = RandomStream(1)
    parts = np.concatenate([stream.uniform((3,)), stream.uniform((2, 2)).ravel(), [stream.uniform()]])
    np.testing.assert_array_equal(parts, RandomStream(1).uniform((8,)))


def test_numbers_cover_their_range_evenly():
    stream = RandomStream(11)
    between = stream.uniform_between(-2.0, 6.0, (20000,))
    assert -2 <= between.min() < -1.99 and 5.99 < between.max() < 6
    assert abs(between.mean() - 2) < 0.1
    counts = np.bincount(stream.integers(3, 8, (20000,)), minlength=8)
    assert counts[:3].sum() == 0 and np.all(np.abs(counts[3:] - 4000) < 300)
    assert abs(stream.bernoulli(0.3, (20000,)).mean() - 0.3) < 0.02
    assert not stream.bernoulli(0.0, (1000,)).any() and stream.bernoulli(1.0, (1000,)).all()


@pytest.mark.parametrize("n", [6, 300])
def test_choice_gives_each_number_equally_often_and_none_twice(n):
    stream = RandomStream(0, "choice")
    draws = np.array([stream.choice_without_replacement(n, 5) for _ in range(2000)])
    assert all(len(set(draw)) == 5 for draw in draws.tolist())
    counts = np.bincount(draws.ravel(), minlength=n)
    expected = 10000 / n
    assert len(counts) == n and np.all(np.abs(counts - expected) < 6 * np.sqrt(expected))


def test_choice_of_all_is_a_permutation_and_of_more_an_error():
    assert sorted(RandomStream(0).choice_without_replacement(100, 100)) == list(range(100))
    assert RandomStream(0).choice_without_replacement(100, 0).shape == (0,)
    with pytest.raises(ValueError, match="5 different numbers out of 4"):
        RandomStream(0).choice_without_replacement(4, 5)


@pytest.mark.parametrize("shape,k", [((200,), 3), ((4, 20), 20), ((3, 500), 30), ((2, 3, 90), 88), ((2, 100), 1)])
def test_order_of_smallest_is_the_start_of_a_stable_sort(shape, k):
    values = np.random.default_rng(0).random(shape)
    values[..., ::3] = np.round(values[..., ::3], 1)  # ties
    values[..., 5:9] = np.inf
    for scale in (1.0, 1000.0):  # beyond 1 the short cut fails and the whole row is sorted
        expected = np.argsort(values * scale, axis=-1, kind="stable")[..., :k]
        np.testing.assert_array_equal(random_stream.order_of_smallest(values * scale, k), expected)


def test_a_path_of_fractions_is_refused():
    with pytest.raises(TypeError):
        RandomStream(0.5)
