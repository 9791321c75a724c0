"""How accuracy is measured at the end of training, as gin sees it."""

import dataclasses
from typing import Optional

import gin
from hypertransformer_tf.config_checks import require_flag, require_whole_number

EPISODES_AT_ONCE = 16  # at most, of a batch that is measured


@gin.configurable("evaluation")
@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """The measurement on the meta-test classes when training ends.

    Attributes:
      episodes: how many.
      query_batches: query sets asked per episode (the authors': 1024 episodes, 16 query batches each).
      queries_per_class: query samples of each class in a query set; None is `episodes.queries_per_class`. Of a
        transductive model's answers, it matters how many are asked for together.
      pixel_baseline: also measure nearest neighbour on pixels, on the same episodes.
    """

    episodes: int = 1024
    query_batches: int = 1
    pixel_baseline: bool = True
    queries_per_class: Optional[int] = None

    def __post_init__(self) -> None:
        require_whole_number("evaluation.episodes", self.episodes, at_least=2)
        require_whole_number("evaluation.query_batches", self.query_batches, at_least=1)
        if self.queries_per_class is not None:
            require_whole_number("evaluation.queries_per_class", self.queries_per_class, at_least=1)
        require_flag("evaluation.pixel_baseline", self.pixel_baseline)
