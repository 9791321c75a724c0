"""The oracle: the same CNN, trained by gradient descent on nearly all samples of fixed classes (paper, Figure 3)."""

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf

from hypertransformer_tf.baselines.adapted_cnn import AdaptedCnn
from hypertransformer_tf.baselines.baseline import (
    Answer,
    for_each_episode,
    labelled_cross_entropy,
    one_hot_labelled,
)
from hypertransformer_tf.baselines.config import OracleConfig
from hypertransformer_tf.cnn.run import run_logits
from hypertransformer_tf.cnn.weights import GeneratedWeights, LogitsWeights
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.errors import UserError

Tensors = List[tf.Tensor]


class Part(NamedTuple):
    """What a step is taken on: B samples of each of T support sets.

    Attributes:
      images: (T, B, H, W, C) float32, scaled.
      members: (T, B, n_way) float32, as of `one_hot_labelled`.
      mask: (T, B) float32, 1 = a sample that does not count; None counts all.
    """

    images: tf.Tensor
    members: tf.Tensor
    mask: Optional[tf.Tensor]


class Oracle(AdaptedCnn):
    """What a CNN of this size comes to with nearly all samples there are of its classes: meant as an upper bound.

    Where a class has few samples in all, as in Omniglot, a CNN from a meta-trained model can be above it.

    An episode is a set of classes. Its support set holds all their samples but those held out, which are its query
    set. `generate` trains a CNN on the support set, from the model's initial values, which are random and never
    trained: nothing is meta-trained, and the sets of classes have nothing in common but where they begin. Every weight
    of the CNN is trained, kernels as well as gamma, beta and logits layer, by gradient descent with momentum on random
    parts of the support set, while the rate falls to zero along a cosine.

    Args:
      *args, **kwargs: as for `Baseline`.
      oracle: that training.
    """

    def __init__(self, *args: Any, oracle: OracleConfig, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.oracle = oracle
        self.build(None)

    def training_answers(self, batch: Episode, step: tf.Tensor, n_way: Optional[int]) -> List[Answer]:
        raise UserError("method.name = 'oracle' is not meta-trained: there is no step to take.")

    def _learn(self, images: tf.Tensor, labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int) -> GeneratedWeights:
        episodes = images.shape[0] or tf.shape(images)[0]
        support = Part(images, one_hot_labelled(labels, mask, n_way), mask)
        initial = self._initial(n_way)
        tensors = [for_each_episode(episodes, tensor) for tensor in trained_tensors(initial)]

        def step(number: tf.Tensor, tensors: Tensors, velocities: Tensors) -> Tuple[tf.Tensor, Tensors, Tensors]:
            gradients = self._gradients(self._part(number, support), with_tensors(initial, tensors))
            rate = self._rate(number)
            velocities = [self.oracle.momentum * v - rate * g for v, g in zip(velocities, gradients)]
            return number + 1, [tensor + v for tensor, v in zip(tensors, velocities)], velocities

        _, tensors, _ = tf.while_loop(
            lambda number, *_: number < self.oracle.steps,
            step,
            (tf.constant(0), tensors, [tf.zeros_like(tensor) for tensor in tensors]),
        )
        return self.convolutions.with_statistics(images, mask, with_tensors(initial, tensors))

    def _part(self, number: tf.Tensor, support: Part) -> Part:
        """That of the step, of whole support sets: the same places of all of them."""
        samples = support.images.shape[1] or tf.shape(support.images)[1]
        order = tf.argsort(tf.random.stateless_uniform([samples], tf.stack([0, number])))
        places = order[: self.oracle.batch]
        images, members = (tf.gather(each, places, axis=1) for each in (support.images, support.members))
        if support.mask is None:
            return Part(images, members, None)
        mask = tf.gather(support.mask, places, axis=1)
        # Where none counts there is no loss either, and moments of no samples would only make NaN of its zeros.
        return Part(images, members, mask * (1.0 - tf.reduce_min(mask, axis=1, keepdims=True)))

    def _gradients(self, part: Part, weights: GeneratedWeights) -> Tensors:
        """Of the mean cross-entropy, for each episode its own."""
        tensors = trained_tensors(weights)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            watched = with_tensors(weights, tensors)
            features, _ = self.convolutions.run_support(part.images, watched.convolutions, part.mask)
            logits = run_logits(features, watched.logits, self.architecture.logits)
            loss = labelled_cross_entropy(logits, part.members)
        return tape.gradient(loss, tensors)

    def _rate(self, number: tf.Tensor) -> tf.Tensor:
        done = tf.cast(number, tf.float32) / self.oracle.steps
        return 0.5 * self.oracle.learning_rate * (1.0 + tf.cos(3.14159265 * done))


def trained_tensors(weights: GeneratedWeights) -> Tensors:
    """What is trained: kernel, gamma and beta of each convolution, kernel and bias of the logits layer."""
    of_convolutions = [(layer.kernel, layer.gamma, layer.beta) for layer in weights.convolutions]
    return [tensor for layer in of_convolutions for tensor in layer] + [*weights.logits]


def with_tensors(weights: GeneratedWeights, tensors: Sequence[tf.Tensor]) -> GeneratedWeights:
    """Weights with others in place of `trained_tensors(weights)`."""
    *of_convolutions, kernel, bias = tensors
    parts = zip(weights.convolutions, of_convolutions[::3], of_convolutions[1::3], of_convolutions[2::3])
    convolutions = tuple(layer._replace(kernel=k, gamma=gamma, beta=beta) for layer, k, gamma, beta in parts)
    return weights._replace(convolutions=convolutions, logits=LogitsWeights(kernel, bias))
