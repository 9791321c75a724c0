"""Meta-train, meta-validation and meta-test: splitting the classes of a set, at random or in order."""

import random
from typing import Optional

import numpy as np

from hypertransformer_tf.data.images_by_class import SPLITS
from hypertransformer_tf.errors import UserError


def split_classes(
    num_classes: int, fractions: tuple[float, float, float], seed: Optional[int], where: str, least: int = 1
) -> dict[str, np.ndarray]:
    """Shuffles the classes and cuts them into three.

    A split with a fraction above 0 gets at least `least` classes, at the cost of larger ones, so that a small set can
    still be trained and measured on; where the classes do not suffice for all three, validation goes without, because
    training can do without it. Python's own generator does the shuffling:
    its sequence is the same on every version, and it is what the published Omniglot split uses.

    Args:
      num_classes: how many classes there are.
      fractions: shares of train, validation and test; they add up to 1.
      seed: which shuffle; None is none.
      where: the source, for the message.
      least: classes that an episode needs.

    Returns:
      split name -> int64 class indices; every class is in exactly one split.

    Raises:
      UserError: there are fewer classes than splits that want some.
    """
    wanted = sum(fraction > 0 for fraction in fractions)
    if num_classes < wanted:
        raise UserError(
            f"{where} holds {num_classes} class(es), too few to split into {wanted}; give at least "
            f"{wanted} classes, or set data.split_fractions with zeros, such as (0, 0, 1)."
        )
    return cut(_order(num_classes, seed), _with_least(_split_counts(num_classes, fractions), least))


def split_by_counts(
    num_classes: int, counts: tuple[int, int, int], seed: Optional[int], where: str
) -> dict[str, np.ndarray]:
    """Cuts the classes into three of given sizes; arguments and result as for `split_classes`.

    Raises:
      UserError: the sizes do not add up to the number of classes.
    """
    if sum(counts) != num_classes:
        raise UserError(
            f"data.split_counts = {counts!r} add up to {sum(counts)} classes where {where} holds {num_classes}: give "
            "three numbers that add up to as many."
        )
    return cut(_order(num_classes, seed), list(counts))


def _order(num_classes: int, seed: Optional[int]) -> list[int]:
    order = list(range(num_classes))
    if seed is not None:
        random.Random(seed).shuffle(order)
    return order


def cut(order: list[int], counts: list[int]) -> dict[str, np.ndarray]:
    """Gives the first `counts[0]` classes of `order` to train, the next to validation, then to test."""
    ends = np.cumsum(counts)
    return {
        name: np.asarray(order[end - count : end], dtype=np.int64) for name, count, end in zip(SPLITS, counts, ends)
    }


def _split_counts(num_classes: int, fractions: tuple[float, float, float]) -> list[int]:
    counts = [max(int(num_classes * f + 1e-9), int(f > 0)) for f in fractions]
    while sum(counts) != num_classes:
        step = 1 if sum(counts) < num_classes else -1
        # The split that is furthest below (above) its share gives way; one class stays in each.
        movable = [i for i, f in enumerate(fractions) if f > 0 and counts[i] + step >= 1]
        best = max(movable, key=lambda i: step * (num_classes * fractions[i] - counts[i]))
        counts[best] += step
    return counts


def _with_least(counts: list[int], least: int) -> list[int]:
    """Moves classes between splits so that each that has any has `least`, as far as there are enough."""
    if sum(counts) < least * sum(count > 0 for count in counts) and counts[0] and counts[2]:
        counts = [counts[0] + counts[1], 0, counts[2]]
    for poor in range(len(counts)):
        while 0 < counts[poor] < least:
            rich = max(range(len(counts)), key=lambda split: counts[split])
            if counts[rich] <= least:
                break
            counts[rich] -= 1
            counts[poor] += 1
    return counts
