"""Which method is trained, as gin sees it: `method`, and what MAML and the oracle are told: `maml`, `oracle`.

Knows nothing of TensorFlow.
"""

import dataclasses
from typing import Optional

import gin
from hypertransformer_tf.config_checks import (
    require_flag,
    require_number_between,
    require_one_of,
    require_rate,
    require_whole_number,
)
from hypertransformer_tf.errors import UserError

METHODS = ("hypertransformer", "prototypical", "maml", "rfs", "oracle", "pixels")


@gin.configurable("method")
@dataclasses.dataclass(frozen=True)
class MethodConfig:
    """The few-shot method.

    Attributes:
      name: `hypertransformer`, or a baseline with the same CNN, all of it trained: `prototypical` (prototypical
        networks), `maml`, `rfs` (an embedding of all meta-train classes and logistic regression), or `oracle` (the CNN
        itself, trained anew on every support set); or `pixels`, nearest neighbour on pixels, which asks no CNN. These
        last two are not meta-trained, so training.steps = 0, and nothing is set of `optimizer`. A baseline reads
        nothing of `features`, `transformer`, `generator`, `cnn.trained_layers` and `loss.shared_head`, so that the file
        of a HyperTransformer can be trained by it (not by these two).
    """

    name: str = "hypertransformer"

    def __post_init__(self) -> None:
        require_one_of("method.name", self.name, METHODS)

    @property
    def is_meta_trained(self) -> bool:
        """Whether anything is learned before the first support set is seen."""
        return self.name not in ("oracle", "pixels")


@gin.configurable("maml")
@dataclasses.dataclass(frozen=True)
class MamlConfig:
    """MAML (Finn et al., ICML 2017, arXiv 1703.03400) and, as options, MAML++ (Antoniou et al., ICLR 2019).

    Defaults are those of its paper for Omniglot 20-way.

    Attributes:
      inner_steps: gradient steps on the support set while training.
      inner_learning_rate: of these steps, alpha; where rates are learned, what they begin with.
      evaluation_steps: gradient steps while measuring; None is `inner_steps`.
      second_order: the outer gradient goes through the inner ones; otherwise they are taken as constants.
      learn_inner_rates: MAML++: a learned rate for every step and layer.
      multi_step_loss_steps: MAML++: training steps in which the query loss after every inner step counts, all alike at
        first and at the end the last alone; 0 counts the last alone from the beginning.
    """

    inner_steps: int = 5
    inner_learning_rate: float = 0.1
    evaluation_steps: Optional[int] = None
    second_order: bool = True
    learn_inner_rates: bool = False
    multi_step_loss_steps: int = 0

    def __post_init__(self) -> None:
        require_whole_number("maml.inner_steps", self.inner_steps, at_least=1)
        require_number_between("maml.inner_learning_rate", self.inner_learning_rate, 0, 1e3)
        if self.evaluation_steps is not None:
            require_whole_number("maml.evaluation_steps", self.evaluation_steps, at_least=1)
        require_flag("maml.second_order", self.second_order)
        require_flag("maml.learn_inner_rates", self.learn_inner_rates)
        require_whole_number("maml.multi_step_loss_steps", self.multi_step_loss_steps, at_least=0)
        if self.learn_inner_rates and self.evaluation_steps not in (None, self.inner_steps):
            raise UserError(
                f"maml.evaluation_steps = {self.evaluation_steps}: with maml.learn_inner_rates there is a rate for "
                f"each of the maml.inner_steps = {self.inner_steps} only; leave it out."
            )


@gin.configurable("oracle")
@dataclasses.dataclass(frozen=True)
class OracleConfig:
    """How the oracle trains a CNN on a support set: gradient descent with momentum.

    Attributes:
      steps: gradient steps.
      learning_rate: of the first step; it falls to zero along a cosine.
      momentum: share of the last step that is taken again.
      batch: support samples of a step, drawn anew each time; all of them, where there are no more.
    """

    steps: int = 500
    learning_rate: float = 0.1
    momentum: float = 0.9
    batch: int = 100

    def __post_init__(self) -> None:
        require_whole_number("oracle.steps", self.steps, at_least=1)
        require_number_between("oracle.learning_rate", self.learning_rate, 0, 1e3)
        require_rate("oracle.momentum", self.momentum)
        require_whole_number("oracle.batch", self.batch, at_least=1)
