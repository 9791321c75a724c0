"""Which settings of an experiment need others: one that would have no effect is an error, not a surprise later."""

import dataclasses
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from hypertransformer_tf.cnn.architecture import reads_whole_map
from hypertransformer_tf.cnn.config import CONVOLUTIONS
from hypertransformer_tf.data.config import parse_source
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.training.config import DECAYING, SECOND_MOMENT

Settings = Mapping[str, Any]
# Sources that always bring a split of their own; a folder of pictures or a file of arrays may or may not.
_SPLIT = ("omniglot", "omniglot_averaged", "cifar_fs", "fc100", "mini_imagenet", "tiered_imagenet", "leo_embeddings")


class _Need(NamedTuple):
    """A parameter that has an effect only where `met` holds; `remedy` says so in words."""

    parameter: str
    remedy: str
    met: Callable[[Settings], bool]


def _shared(parameter: str) -> _Need:
    return _Need(parameter, "features.shared_layers above 0", lambda parts: parts["features"].shared_layers > 0)


def _with_cnn(parameter: str) -> _Need:
    return _Need(parameter, "loss.only_shared_head = False", lambda parts: not parts["loss"].only_shared_head)


def _without_split(parameter: str) -> _Need:
    remedy = "a data.source without a split of its own"
    return _Need(parameter, remedy, lambda parts: parse_source(parts["data"].source)[0] not in _SPLIT)


def _optimizer(parameter: str, names: Sequence[str]) -> _Need:
    *first, last = map(repr, names)
    remedy = f"optimizer.name = {', '.join(first)} or {last}"
    return _Need(parameter, remedy, lambda parts: parts["optimizer"].name in names)


_NEEDS = (
    _shared("loss.shared_head"),
    _shared("loss.only_shared_head"),
    _shared("training.shared_features_from"),
    # Not shared_dim: a file may include a model's settings and do without its shared extractor.
    _shared("features.shared_padding"),
    _shared("features.shared_batch_norm"),
    _shared("features.shared_dropout"),
    _Need(
        "features.logits",
        "cnn.architecture = " + " or ".join(repr(name) for name in CONVOLUTIONS if reads_whole_map(name)),
        lambda parts: reads_whole_map(parts["cnn"].architecture),
    ),
    _Need(
        "transformer.spread_labels",
        "features.logits = 'passthrough' or 'mix'",
        lambda parts: parts["features"].logits != "convolution",
    ),
    _Need(
        "transformer.spread_labels",
        "episodes.unlabelled_per_class above 0",
        lambda parts: parts["episodes"].unlabelled_per_class > 0,
    ),
    _Need(
        "transformer.spread_labels",
        "transformer.embedding_dim above the number of classes",
        lambda parts: parts["transformer"].embedding_dim > parts["episodes"].most_classes,
    ),
    _Need(
        "generator.allocation",
        "a convolution that is generated (cnn.trained_layers)",
        lambda parts: abs(parts["cnn"].trained_layers) < CONVOLUTIONS[parts["cnn"].architecture],
    ),
    *map(_with_cnn, ("loss.l2", "loss.variation", "loss.max_remove_labelled", "loss.max_remove_unlabelled")),
    *map(_with_cnn, ("loss.head_steps", "loss.shared_head_steps")),
    *map(_without_split, ("data.split_seed", "data.split_fractions")),
    _Need(
        "augmentation.angle_range",
        "augmentation.rotation_probability above 0",
        lambda parts: parts["augmentation"].rotation_probability > 0,
    ),
    _Need(
        "image_augmentation.individually",
        "image_augmentation.enabled = True",
        lambda parts: parts["image_augmentation"].enabled,
    ),
    _Need("loss.shared_head_steps", "loss.shared_head above 0", lambda parts: parts["loss"].shared_head > 0),
    _Need(
        "loss.head_steps",
        "cnn.warmup_heads = 'generated' or 'trained'",
        lambda parts: parts["cnn"].warmup_heads != "none",
    ),
    _Need("cnn.warmup_heads", "loss.head_steps above 0", lambda parts: parts["loss"].head_steps > 0),
    _Need(
        "loss.variation",
        "generator.add_trained_weights = True",
        lambda parts: parts["generator"].add_trained_weights,
    ),
    _Need(
        "loss.max_remove_unlabelled",
        "episodes.unlabelled_per_class above 0",
        lambda parts: parts["episodes"].unlabelled_per_class > 0,
    ),
    _optimizer("optimizer.weight_decay", DECAYING),
    _optimizer("optimizer.beta_2", SECOND_MOMENT),
    _Need(
        "optimizer.decay_rate",
        "optimizer.schedule = 'exponential'",
        lambda parts: parts["optimizer"].schedule == "exponential",
    ),
)


def check_together(parts: Settings) -> None:
    """Checks settings against each other, by their gin names.

    Raises:
      UserError: a setting has no effect, attention heads do not divide a size, or the schedule ends before training.
    """
    for need in _NEEDS:
        name, _, parameter = need.parameter.partition(".")
        value = getattr(parts[name], parameter)
        default = next(field.default for field in dataclasses.fields(parts[name]) if field.name == parameter)
        if value != default and not need.met(parts):
            raise UserError(
                f"{need.parameter} = {value!r} would have no effect: it needs {need.remedy}; set that, or take it out."
            )
    _check_heads(parts["transformer"])
    _check_schedule(parts["optimizer"], parts["training"].steps)


def _check_heads(transformer: Any) -> None:
    # Fractions of the token size are known only once the layers are; those of the joint variants are rounded.
    for name in ("query_key_size", "value_size"):
        size = getattr(transformer, name)
        if size > 3 and int(size) % transformer.heads:
            raise UserError(
                f"transformer.heads = {transformer.heads} does not divide transformer.{name} = {size:g}: change one of "
                "the two."
            )


def _check_schedule(optimizer: Any, steps: int) -> None:
    end = optimizer.warmup_steps + optimizer.decay_steps
    if optimizer.schedule == "cosine" and steps > end:
        raise UserError(
            f"training.steps = {steps} goes past the cosine schedule, which comes to a learning rate of zero at step "
            f"{end} (optimizer.warmup_steps + optimizer.decay_steps = {optimizer.warmup_steps} + "
            f"{optimizer.decay_steps}): nothing would be trained after it; raise optimizer.decay_steps or take fewer "
            "steps."
        )
