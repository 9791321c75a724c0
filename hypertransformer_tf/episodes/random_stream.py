"""Random numbers that depend on a seed and a path of names only.

Episodes must be the same on every machine and for any number of workers, so nothing is kept
between draws: a stream is named by what it is for, for example (seed, 'train', 7, 'draw').
"""

import hashlib
import operator
from typing import Any, Optional, Union

import numpy as np

from hypertransformer_tf import philox

PathPart = Union[int, str]

_SORT_WHOLE_ROWS_UP_TO = 64
_SPARE_CANDIDATES = 8  # twice k and these are practically always enough to hold the k smallest


class RandomStream:
    """A sequence of random numbers, a pure function of `seed` and `path`.

    Only the raw words of NumPy's Philox bit generator are used: NumPy guarantees them over its
    versions, which it does not for the methods of `np.random.Generator`.

    Args:
      seed: any integer.
      *path: integers and strings that name the use, such as a split, an episode's number, a
        purpose. Two different paths give independent streams.
    """

    def __init__(self, seed: int, *path: PathPart):
        self._path = hashlib.blake2b(digest_size=16)
        for part in (seed, *path):
            self._path.update(_encoded(part))
        self._words: Optional[np.random.Philox] = None

    def child(self, *path: PathPart) -> "RandomStream":
        """The stream whose path is this one's followed by `path`, wherever this one has got to."""
        stream = object.__new__(RandomStream)
        stream._path = self._path.copy()
        for part in path:
            stream._path.update(_encoded(part))
        stream._words = None
        return stream

    def uniform(self, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Float64 numbers of the given shape, uniform in [0, 1), multiples of 2**-53."""
        if self._words is None:
            self._words = np.random.Philox(_Key(self._path.digest()))  # type: ignore[arg-type]  # NumPy's stub knows one kind only
        return philox.uniforms(self._words, shape)

    def uniform_between(self, low: float, high: float, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Float64 numbers of the given shape, uniform in [low, high)."""
        return low + (high - low) * self.uniform(shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Int64 numbers of the given shape, uniform over low, ..., high - 1."""
        return low + np.floor((high - low) * self.uniform(shape)).astype(np.int64)

    def bernoulli(self, probability: float, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Booleans of the given shape, True with the given probability (0 never, 1 always)."""
        return self.uniform(shape) < probability

    def choice_without_replacement(self, n: int, k: int) -> np.ndarray:
        """`k` different int64 numbers out of 0, ..., n - 1, in random order; needs k <= n."""
        if not 0 <= k <= n:
            raise ValueError(f"cannot choose {k} different numbers out of {n}")
        return order_of_smallest(self.uniform((n,)), k)


class _Key(np.random.bit_generator.ISeedSequence):
    """A key of 16 bytes as NumPy's bit generators take it.

    `Philox(key=...)` gives the same stream but asks the operating system for entropy first,
    which takes longer than all the rest.
    """

    def __init__(self, key: bytes):
        self._key = np.frombuffer(key, dtype="<u8").astype(np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        """The key, whatever is asked for: Philox asks for its two 64-bit words."""
        return self._key


def order_of_smallest(values: np.ndarray, k: int) -> np.ndarray:
    """Indices of the `k` smallest of the last axis, smallest first, ties by position.

    Equal to `np.argsort(values, axis=-1, kind='stable')[..., :k]`, and fast where most values
    are uniform in [0, 1): of a long row only the part that must hold the smallest is sorted.

    Args:
      values: (..., n) float64, n >= k.

    Returns:
      (..., k) int64.
    """
    n = values.shape[-1]
    if n <= _SORT_WHOLE_ROWS_UP_TO:
        return np.argsort(values, axis=-1, kind="stable")[..., :k]
    rows = values.reshape(-1, n)
    chosen = [_order_of_smallest_in_row(row, k) for row in rows]
    return np.array(chosen, dtype=np.int64).reshape(*values.shape[:-1], k)


def _order_of_smallest_in_row(row: np.ndarray, k: int) -> np.ndarray:
    candidates = np.flatnonzero(row < (2 * k + _SPARE_CANDIDATES) / len(row))
    if len(candidates) < k:
        candidates = np.arange(len(row))
    return candidates[np.argsort(row[candidates], kind="stable")[:k]]


def _encoded(part: PathPart) -> bytes:
    """`part` as bytes such that different paths never give the same concatenation."""
    if isinstance(part, str):
        text = part.encode("utf-8")
        return b"s%d:" % len(text) + text
    return b"i%d;" % operator.index(part)
