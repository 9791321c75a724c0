"""What an episode is made of: the gin configurable `episodes`."""

import dataclasses
from typing import Tuple

import gin
from hypertransformer_tf import config_checks
from hypertransformer_tf.errors import UserError

_AT_LEAST = {"n_way": 2, "k_shot": 1, "queries_per_class": 1, "unlabelled_per_class": 0, "distractor_classes": 0}


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
      distractor_classes: further classes of which the support set holds unlabelled_per_class samples each, without a
        label: classes that the episode does not ask about. Needs unlabelled_per_class above 0.
      mixture: pairs (n_way, k_shot): every task batch of meta-training has one of these sizes, drawn by its number, so
        that the model serves them all; n_way and k_shot are then those of validation and test. Empty is no mixture.
      disjoint_queries: no query is a picture of the support set. False draws the two sets of a class apart from each
        other, as the authors' program does: of 20 samples a class and 1-shot, every twentieth query is then the very
        support picture, which a model need not understand to answer.

    Raises:
      UserError: a value is no whole number or too small, or no flag; distractor classes without unlabelled samples.
    """

    n_way: int = 5
    k_shot: int = 1
    queries_per_class: int = 3
    unlabelled_per_class: int = 0
    mixture: Tuple[Tuple[int, int], ...] = ()
    distractor_classes: int = 0
    disjoint_queries: bool = True

    def __post_init__(self) -> None:
        for field, at_least in _AT_LEAST.items():
            config_checks.require_whole_number(f"episodes.{field}", getattr(self, field), at_least)
        config_checks.require_flag("episodes.disjoint_queries", self.disjoint_queries)
        if self.distractor_classes and not self.unlabelled_per_class:
            raise UserError(
                f"episodes.distractor_classes = {self.distractor_classes} would have no effect: it needs "
                "episodes.unlabelled_per_class above 0; set that, or take it out."
            )
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
    def support_size(self) -> int:
        """Samples of a support set: S in `Episode`."""
        return self.n_way * self.support_per_class + self.distractor_classes * self.unlabelled_per_class

    @property
    def images(self) -> int:
        """Images of an episode: its support and its query set."""
        return self.support_size + self.n_way * self.queries_per_class

    @property
    def samples_per_class(self) -> int:
        """Samples that an episode draws of each class."""
        return self.support_per_class + self.queries_per_class

    @property
    def class_size(self) -> int:
        """Different samples that a class must have for an episode to be drawn."""
        if self.disjoint_queries:
            return self.samples_per_class
        return max(self.support_per_class, self.queries_per_class)
