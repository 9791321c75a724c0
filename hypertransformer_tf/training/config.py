"""How a model is meta-trained, as gin sees it: `loss`, `optimizer`, `training`. Knows nothing of TensorFlow."""

import dataclasses
from typing import Optional

import gin
from hypertransformer_tf.config_checks import require_flag, require_number_between, require_one_of, require_whole_number
from hypertransformer_tf.errors import UserError

OPTIMIZERS = ("sgd", "sgdw", "adam", "adamw", "nadam", "lamb")
LAYERWISE = ("lamb",)  # these treat each variable by its norm
DECAYING = ("sgdw", "adamw", "lamb")  # these have weight decay
SECOND_MOMENT = ("adam", "adamw", "nadam", "lamb")  # these have beta_2
PRECISIONS = ("float32", "bfloat16", "float16")
CONVOLUTION_FORMS = ("auto", "folded", "plain", "grouped")
SCHEDULES = ("constant", "exponential", "cosine")
LARGEST_SEED = 2**31 - 1


@gin.configurable("loss")
@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The loss of an episode and what is added to it (paper, Section 4).

    Attributes:
      label_smoothing: of the cross-entropy on the query set.
      l2: weight of the sum of the squared kernels of the CNN, generated and trained (without a factor of 1/2).
      variation: weight of the squared generated tensors relative to the squared trained ones they are added to
        (needs generator.add_trained_weights).
      shared_head: weight of the cross-entropy of a dense head on the shared features that predicts the real class.
      shared_head_steps: steps over which the weight of the shared head falls to zero, in a line; 0: it stays.
      only_shared_head: pre-train the shared features: no other loss than the shared head's.
      head_steps: steps in which the loss slides from the first warm-up head to the logits (needs cnn.warmup_heads).
      max_remove_labelled: labelled support samples are masked at a rate drawn in every step from 0 to this.
      max_remove_unlabelled: likewise for unlabelled samples.
    """

    label_smoothing: float = 0.0
    l2: float = 0.0
    variation: float = 0.0
    shared_head: float = 0.0
    shared_head_steps: int = 0
    only_shared_head: bool = False
    head_steps: int = 0
    max_remove_labelled: float = 0.0
    max_remove_unlabelled: float = 0.0

    def __post_init__(self) -> None:
        for name in ("label_smoothing", "max_remove_labelled", "max_remove_unlabelled"):
            require_number_between(f"loss.{name}", getattr(self, name), 0, 1)
        for name in ("l2", "variation", "shared_head"):
            require_number_between(f"loss.{name}", getattr(self, name), 0, 1e9)
        require_flag("loss.only_shared_head", self.only_shared_head)
        require_whole_number("loss.head_steps", self.head_steps, at_least=0)
        require_whole_number("loss.shared_head_steps", self.shared_head_steps, at_least=0)
        if self.only_shared_head and self.shared_head == 0:
            raise UserError("loss.only_shared_head = True needs a weight above 0 for loss.shared_head.")


@gin.configurable("optimizer")
@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Keras' optimiser and its learning rate.

    Attributes:
      name: `sgd` (plain gradient descent), `adam`, `nadam`, `lamb` (You et al., 2020), or `sgdw` and `adamw`, with
        decoupled weight decay (Loshchilov and Hutter, 2019).
      learning_rate: at the end of the warm-up.
      schedule: `constant`, `exponential` (times `decay_rate` every `decay_steps`, not in stairs) or `cosine` (to zero
        over `decay_steps`, then it stays there).
      decay_rate: of the exponential schedule.
      decay_steps: steps; see `schedule`.
      warmup_steps: steps of linear increase from zero, before the schedule begins.
      clip_norm: gradients of a larger global norm are scaled down to it; 0 is no clipping.
      weight_decay: of `sgdw`, `adamw` and `lamb`, per step and learning rate.
      beta_2: second-moment decay of all but `sgd` and `sgdw`.
      average: decay per step of a moving average of the trained variables, which is what is validated, kept and used
        (Polyak and Juditsky, 1992); 0 uses the variables themselves.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    decay_rate: float = 0.95
    decay_steps: int = 100_000
    warmup_steps: int = 0
    clip_norm: float = 0.0
    weight_decay: float = 0.0
    beta_2: float = 0.999
    average: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("name", OPTIMIZERS), ("schedule", SCHEDULES)):
            require_one_of(f"optimizer.{name}", getattr(self, name), known)
        require_number_between("optimizer.learning_rate", self.learning_rate, 0, 1e3)
        require_number_between("optimizer.decay_rate", self.decay_rate, 0, 1)
        require_whole_number("optimizer.decay_steps", self.decay_steps, at_least=1)
        require_whole_number("optimizer.warmup_steps", self.warmup_steps, at_least=0)
        require_number_between("optimizer.clip_norm", self.clip_norm, 0, 1e9)
        require_number_between("optimizer.weight_decay", self.weight_decay, 0, 1)
        require_number_between("optimizer.beta_2", self.beta_2, 0, 0.999999)
        require_number_between("optimizer.average", self.average, 0, 0.999999)


@gin.configurable("training")
@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The run as a whole.

    Attributes:
      steps: optimiser steps in all; 0 for a method that is not meta-trained.
      task_batch: episodes per step, over all devices.
      groups: equal parts that a device's share of the task batch is computed in, side by side on a CPU's cores; their
        gradients are averaged. More than one helps where an operation is too small to use all cores by itself.
      compile: let XLA compile the step: each group, and where a process has one device the update.
      precision: what layers and CNNs compute in while training and measuring during it: `float32`, `bfloat16` or
        `float16` (with a scaled loss). Variables, their updates, moments, softmax and losses are float32 always, and so
        is everything that is done with the trained model afterwards.
      convolution_form: how the convolutions of a task batch's CNNs are computed; the result is the same. `folded` is a
        matrix product for each pooled layer (`cnn/folded.py`), `plain` TensorFlow's convolution for each episode,
        `grouped` one for all episodes (on a CPU only with `compile`). `auto` is `folded`; on an accelerator it is
        `grouped` if the CNN has layers that cannot be folded.
      seed: of initial weights, episodes and dropout, from 0 to 2,147,483,647.
      validate_every: steps between validations; 0 validates only at the end.
      validation_episodes: episodes of the meta-validation classes, the same each time; at least 2.
      checkpoint_every: steps between checkpoints: what a killed run repeats at most, with the steps done while the last
        one was being written.
      log_every: steps between lines of metrics.jsonl and TensorBoard scalars; there is one before every checkpoint too.
      shared_features_from: a run directory whose shared features this run begins with (pre-training).
      model_from: a run directory, or the name or directory of a preset, whose trained model this run begins with
        (fine-tuning); n_way and cnn.normalisation may differ.
    """

    steps: int = 10_000
    task_batch: int = 8
    groups: int = 1
    compile: bool = True
    precision: str = "float32"
    convolution_form: str = "auto"
    seed: int = 0
    validate_every: int = 1_000
    validation_episodes: int = 256
    checkpoint_every: int = 1_000
    log_every: int = 50
    shared_features_from: Optional[str] = None
    model_from: Optional[str] = None

    def __post_init__(self) -> None:
        for name in ("task_batch", "groups", "checkpoint_every", "log_every"):
            require_whole_number(f"training.{name}", getattr(self, name), at_least=1)
        require_whole_number("training.validation_episodes", self.validation_episodes, at_least=2)
        for name in ("steps", "seed", "validate_every"):
            require_whole_number(f"training.{name}", getattr(self, name), at_least=0)
        if self.seed > LARGEST_SEED:
            raise UserError(f"training.seed = {self.seed}: it must be a whole number from 0 to {LARGEST_SEED}.")
        require_flag("training.compile", self.compile)
        require_one_of("training.precision", self.precision, PRECISIONS)
        require_one_of("training.convolution_form", self.convolution_form, CONVOLUTION_FORMS)
        for name in ("shared_features_from", "model_from"):
            given = getattr(self, name)
            if given is not None and not (isinstance(given, str) and given):
                raise UserError(f"training.{name} = {given!r}: give a run directory, or None.")
        if self.shared_features_from and self.model_from:
            raise UserError(
                f"training.model_from = {self.model_from!r} brings shared features too: leave out "
                f"training.shared_features_from = {self.shared_features_from!r}."
            )
        if self.task_batch % self.groups:
            raise UserError(
                f"training.groups = {self.groups} does not divide training.task_batch = {self.task_batch}: "
                "choose a number of groups that does."
            )
