"""What an episode is made of: the gin configurable `episodes`."""

import dataclasses
from typing import Tuple

import gin
from hypertransformer_tf import config_checks
from hypertransformer_tf.errors import UserError


@gin.configurable("episodes")
@dataclasses.dataclass(frozen=True)
class EpisodeConfig:
    """Sizes of an episode's support and query set.

    Attributes:
      n_way: classes in an episode, at least 2.
      k_shot: labelled support samples of each class, at least 1.
      queries_per_class: query samples of each class, at least 1.
      unlabelled_per_class: further support samples of each class whose label is hidden (-1):
        the semi-supervised episodes of the paper.
      mixture: pairs (n_way, k_shot): every task batch of meta-training has one of these sizes, drawn by its number, so
        that the model serves them all; n_way and k_shot are then those of validation and test. Empty is no mixture.

    Raises:
      UserError: a value is no whole number or too small.
    """

    n_way: int = 5
    k_shot: int = 1
    queries_per_class: int = 3
    unlabelled_per_class: int = 0
    mixture: Tuple[Tuple[int, int], ...] = ()

    def __post_init__(self):
        for field, at_least in (("n_way", 2), ("k_shot", 1), ("queries_per_class", 1), ("unlabelled_per_class", 0)):
            config_checks.require_whole_number(f"episodes.{field}", getattr(self, field), at_least)
        pairs = self.mixture
        if not isinstance(pairs, (tuple, list)) or any(
            not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs
        ):
            raise UserError(f"episodes.mixture = {pairs!r}: give pairs (n_way, k_shot), such as ((5, 1), (20, 5)).")
        for n_way, k_shot in pairs:
            config_checks.require_whole_number("n_way in episodes.mixture", n_way, 2)
            config_checks.require_whole_number("k_shot in episodes.mixture", k_shot, 1)
        object.__setattr__(self, "mixture", tuple(tuple(pair) for pair in pairs))

    @property
    def most_classes(self) -> int:
        """The largest n_way of training or evaluation: what a model needs label embeddings for."""
        return max([self.n_way, *(n_way for n_way, _ in self.mixture)])

    @property
    def support_per_class(self) -> int:
        """Support samples of each class, labelled and unlabelled."""
        return self.k_shot + self.unlabelled_per_class

    @property
    def samples_per_class(self) -> int:
        """Different samples that an episode needs of each class."""
        return self.support_per_class + self.queries_per_class
