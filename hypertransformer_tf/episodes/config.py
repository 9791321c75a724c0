"""What an episode is made of: the gin configurable `episodes`."""

import dataclasses

import gin
from hypertransformer_tf import config_checks


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

    Raises:
      UserError: a value is no whole number or too small.
    """

    n_way: int = 5
    k_shot: int = 1
    queries_per_class: int = 3
    unlabelled_per_class: int = 0

    def __post_init__(self):
        for field, at_least in (("n_way", 2), ("k_shot", 1), ("queries_per_class", 1), ("unlabelled_per_class", 0)):
            config_checks.require_whole_number(f"episodes.{field}", getattr(self, field), at_least)

    @property
    def support_per_class(self) -> int:
        """Support samples of each class, labelled and unlabelled."""
        return self.k_shot + self.unlabelled_per_class

    @property
    def samples_per_class(self) -> int:
        """Different samples that an episode needs of each class."""
        return self.support_per_class + self.queries_per_class
