"""The loss of a task batch and everything that can be added to it (paper, Section 4)."""

from typing import Dict, List, NamedTuple, Optional, Sequence, Union

import tensorflow as tf

from hypertransformer_tf.baselines.baseline import Answer, Baseline
from hypertransformer_tf.cnn.precision import at_least_float32
from hypertransformer_tf.cnn.readout import read_convolution
from hypertransformer_tf.cnn.weights import GeneratedWeights
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.layers.dropout import Dropout
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.training.config import LossConfig


class Losses(NamedTuple):
    """What one task batch gave, each a mean over its episodes, float32 scalars.

    Attributes:
      total: what is minimised.
      cross_entropy: of the logits on the query set.
      accuracy: on the query set, from 0 to 1.
    """

    total: tf.Tensor
    cross_entropy: tf.Tensor
    accuracy: tf.Tensor


def task_batch_losses(
    model: Union[HyperTransformer, Baseline],
    batch: Episode,
    config: LossConfig,
    step: tf.Tensor,
    seed: Optional[tf.Tensor] = None,
    n_way: Optional[int] = None,
    step_seed: Optional[tf.Tensor] = None,
) -> Losses:
    """Generates a CNN per episode, classifies the query sets, and adds up the loss.

    Args:
      model: the model; a baseline says itself what it is trained on.
      batch: task batch of tensors, fields with a leading axis T.
      config: what is added to the cross-entropy.
      step: number of the training step, for the warm-up heads and the shared head.
      seed: (2,) int32, of dropout and of which samples are removed from these episodes; None for neither.
      n_way: classes of these episodes; None is the model's.
      step_seed: (2,) int32, of what all parts of a step's task batch share: how many samples are removed. None is
        `seed`, of a task batch that is not divided.
    """
    if isinstance(model, Baseline):
        return _baseline_losses(model.training_answers(batch, step, n_way), config)
    dropout = None if seed is None else Dropout(seed)
    if config.only_shared_head:
        return _shared_head_alone(model, batch, config, dropout)
    mask = None if seed is None else removal_mask(batch.support_labels, config, seed, step_seed)
    weights = model.generate(batch.support_images, batch.support_labels, mask, dropout, n_way)
    logits, head_logits = model.classify_with_heads(batch.query_images, weights, dropout)
    cross_entropies = [_cross_entropy(batch.query_labels, each, config) for each in head_logits + (logits,)]
    total = tf.add_n([a * b for a, b in zip(head_weights(step, config.head_steps, len(head_logits)), cross_entropies)])
    total += sum(_additions(model, batch, weights, config, step), 0.0)
    return Losses(total, cross_entropies[-1], _accuracy(batch.query_labels, logits))


def _baseline_losses(answers: Sequence[Answer], config: LossConfig) -> Losses:
    cross_entropies = [_cross_entropy(answer.labels, answer.logits, config) for answer in answers]
    total = tf.add_n([answer.weight * each for answer, each in zip(answers, cross_entropies)])
    return Losses(total, cross_entropies[-1], _accuracy(answers[-1].labels, answers[-1].logits))


def head_weights(step: tf.Tensor, head_steps: int, heads: int) -> List[tf.Tensor]:
    """Weights of the losses of the warm-up heads and, last, of the logits.

    The warm-up has one stage per head. Each head's weight rises to 1 at the beginning of its stage and falls to 0 at
    its end, while the next one's rises; the weight of the logits rises in the last stage and stays 1.
    """
    if heads == 0 or head_steps == 0:
        return [tf.constant(0.0)] * heads + [tf.constant(1.0)]
    stage = head_steps / heads
    position = tf.cast(step, tf.float32) / stage
    weights = [tf.maximum(0.0, 1.0 - tf.abs(position - index)) for index in range(heads)]
    return weights + [tf.clip_by_value(1.0 + position - heads, 0.0, 1.0)]


def shared_head_weight(step: tf.Tensor, config: LossConfig) -> tf.Tensor:
    """Weight of the shared head's loss after `step` steps: it falls to 0 over `config.shared_head_steps`, if any."""
    if config.shared_head_steps == 0:
        return tf.constant(config.shared_head)
    left = 1.0 - tf.cast(step, tf.float32) / config.shared_head_steps
    return config.shared_head * tf.maximum(left, 0.0)


def removal_mask(
    labels: tf.Tensor, config: LossConfig, seed: tf.Tensor, step_seed: Optional[tf.Tensor] = None
) -> Optional[tf.Tensor]:
    """Masks (T, S) random support samples: 1 = ignored. None where the configuration removes none.

    The rates are drawn once for the step, from 0 to their maximum, for labelled and unlabelled samples apart; hence
    from `step_seed`, which groups and devices share, while `seed` is their own.
    """
    if config.max_remove_labelled == 0 and config.max_remove_unlabelled == 0:
        return None
    most = tf.constant([config.max_remove_labelled, config.max_remove_unlabelled])
    fold = tf.random.experimental.stateless_fold_in
    rates = tf.random.stateless_uniform((2,), fold(seed if step_seed is None else step_seed, -1)) * most
    rate = tf.where(labels >= 0, rates[0], rates[1])
    return tf.cast(tf.random.stateless_uniform(tf.shape(labels), fold(seed, -2)) < rate, tf.float32)


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor, config: LossConfig) -> tf.Tensor:
    n_way, logits = logits.shape[-1], at_least_float32(logits)
    targets = tf.one_hot(labels, n_way) * (1.0 - config.label_smoothing) + config.label_smoothing / n_way
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))


def _accuracy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(tf.argmax(logits, -1, output_type=labels.dtype) == labels, tf.float32))


def _additions(
    model: HyperTransformer, batch: Episode, weights: GeneratedWeights, config: LossConfig, step: tf.Tensor
) -> List[tf.Tensor]:
    additions: Dict[str, tf.Tensor] = {}
    if config.l2 > 0:
        additions["l2"] = config.l2 * _squared_kernels(model, weights)
    if config.variation > 0:
        additions["variation"] = config.variation * _variation(model, weights)
    if config.shared_head > 0:
        shared_head = _shared_head(model, batch, weights.shared_features, config)
        additions["shared_head"] = shared_head_weight(step, config) * shared_head.total
    return list(additions.values())


def _squared_kernels(model: HyperTransformer, weights: GeneratedWeights) -> tf.Tensor:
    """Sum of the squared kernel entries of a CNN, mean over episodes.

    With `cnn.separate_query_variables`, a generated kernel counts as the support pass has it, and a trained one in
    both passes, which have different ones (the authors' sum).
    """
    kernels = [layer.kernel for layer in weights.convolutions] + [weights.logits.kernel]
    kernels += [head.kernel for head in weights.heads]
    if model.config.cnn.separate_query_variables:
        for index, support in enumerate(_support_kernels(model, weights)):
            if weights.blocks[index] is None:
                kernels.append(support)
            else:
                kernels[index] = support
    return tf.add_n([_squared(kernel) for kernel in kernels])


def _support_kernels(model: HyperTransformer, weights: GeneratedWeights) -> List[tf.Tensor]:
    """Kernels (T or 1, k, k, c_in, c_out) of the convolutions that the support set went through."""
    kernels = []
    for spec, blocks, support in zip(model.architecture.convolutions, weights.blocks, model.support_weights):
        generated = None if blocks is None else read_convolution(blocks, spec, model.config.generator)
        kernels.append(support.add_to(generated).kernel)
    return kernels


def _squared(values: tf.Tensor) -> tf.Tensor:
    """Sum of the squared entries of (T, ...), mean over T."""
    return tf.reduce_sum(tf.square(at_least_float32(values))) / tf.cast(tf.shape(values)[0], tf.float32)


def _variation(model: HyperTransformer, weights: GeneratedWeights) -> tf.Tensor:
    """Squared generated tensors over squared trained ones, over all convolutions, mean over episodes.

    The logits layer, whose weights are meant to differ between episodes, takes no part.
    """
    ratios: List[tf.Tensor] = []
    for spec, blocks, trained in zip(model.architecture.convolutions, weights.blocks, model.query_weights):
        if blocks is None:
            continue
        generated = read_convolution(blocks, spec, model.config.generator)
        for ours, theirs in zip(generated, (trained.kernel, trained.bias, trained.gamma, trained.beta)):
            if ours is not None and theirs is not None:
                ratios.append(_squared(ours) / (1e-8 + tf.reduce_sum(tf.square(tf.convert_to_tensor(theirs)))))
    return tf.add_n(ratios) if ratios else tf.constant(0.0)


def _shared_head(model: HyperTransformer, batch: Episode, shared_features: tf.Tensor, config: LossConfig) -> Losses:
    if model.shared_head is None:
        raise UserError("loss.shared_head needs a model with such a head: make it with shared_head_classes above 0.")
    logits = model.shared_head(shared_features)  # (T, S, classes)
    loss = _cross_entropy(batch.support_classes, logits, config)
    return Losses(loss, loss, _accuracy(batch.support_classes, logits))


def _shared_head_alone(
    model: HyperTransformer, batch: Episode, config: LossConfig, dropout: Optional[Dropout]
) -> Losses:
    return _shared_head(model, batch, model.share(batch.support_images, dropout), config)
