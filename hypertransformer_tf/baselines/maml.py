"""Model-agnostic meta-learning (Finn, Abbeel and Levine, ICML 2017, arXiv 1703.03400), with two options of MAML++.

MAML++: Antoniou, Edwards and Storkey, "How to train your MAML", ICLR 2019 (arXiv 1810.09502).
"""

from typing import Any, List, Optional

import keras
import tensorflow as tf

from hypertransformer_tf.baselines.adapted_cnn import AdaptedCnn
from hypertransformer_tf.baselines.baseline import (
    Answer,
    for_each_episode,
    labelled_cross_entropy,
    one_hot_labelled,
)
from hypertransformer_tf.baselines.config import MamlConfig
from hypertransformer_tf.cnn.run import run_logits
from hypertransformer_tf.cnn.weights import GeneratedWeights, LogitsWeights
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.keras_stack import build_once
from hypertransformer_tf.model.images import scale_images


class Maml(AdaptedCnn):
    """Weights from which a few gradient steps on a support set lead to a good CNN for its classes.

    Kernels and the logits layer are adapted to an episode; gamma and beta of the normalisation are trained in the outer
    loop only, as in the authors' program. All episodes of a task batch are adapted at once: their weights have a
    leading axis T from the beginning, so that the gradient of the summed losses is each episode's own.

    Args:
      *args, **kwargs: as for `Baseline`.
      maml: the inner loop.
    """

    def __init__(self, *args: Any, maml: MamlConfig, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.maml = maml
        self.inner_rates = None
        if maml.learn_inner_rates:
            layers = self.architecture.logits.index
            self.inner_rates = InnerRates(maml.inner_steps, layers, maml.inner_learning_rate, name="inner_rates")
        self.build(None)

    def training_answers(self, batch: Episode, step: tf.Tensor, n_way: Optional[int]) -> List[Answer]:
        support, query = scale_images(batch.support_images), scale_images(batch.query_images)
        steps, slide = self.maml.inner_steps, self.maml.multi_step_loss_steps
        learned = self._inner_loop(support, batch.support_labels, None, n_way or self.n_way, steps)
        if slide == 0:
            return [Answer(self._answer(query, learned[-1]), batch.query_labels)]
        weights = multi_step_weights(step, slide, steps)
        return [Answer(self._answer(query, each), batch.query_labels, weights[i]) for i, each in enumerate(learned)]

    def _learn(self, images: tf.Tensor, labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int) -> GeneratedWeights:
        steps = self.maml.evaluation_steps or self.maml.inner_steps
        return self._inner_loop(images, labels, mask, n_way, steps)[-1]

    def _inner_loop(
        self, images: tf.Tensor, labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int, steps: int
    ) -> List[GeneratedWeights]:
        """The CNNs after each gradient step on the support set."""
        members = one_hot_labelled(labels, mask, n_way)
        episodes = images.shape[0] or tf.shape(images)[0]
        initial = self._initial(n_way)
        weights = self._replaced(initial, [for_each_episode(episodes, tensor) for tensor in adapted(initial)])
        after = []
        for step in range(steps):
            weights = self._inner_step(images, members, mask, weights, step)
            after.append(self.convolutions.with_statistics(images, mask, weights))
        return after

    def _inner_step(
        self,
        images: tf.Tensor,
        members: tf.Tensor,
        mask: Optional[tf.Tensor],
        weights: GeneratedWeights,
        step: int,
    ) -> GeneratedWeights:
        """theta' = theta - alpha * gradient of the support loss (paper, Equation 1)."""
        tensors = adapted(weights)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = self._support_loss(images, members, mask, self._replaced(weights, tensors))
        gradients = tape.gradient(loss, tensors)
        if not self.maml.second_order:
            gradients = [tf.stop_gradient(gradient) for gradient in gradients]
        rates = self._rates(step)
        return self._replaced(weights, [w - rate * g for w, rate, g in zip(tensors, rates, gradients)])

    def _support_loss(
        self, images: tf.Tensor, members: tf.Tensor, mask: Optional[tf.Tensor], weights: GeneratedWeights
    ) -> tf.Tensor:
        features, _ = self.convolutions.run_support(images, weights.convolutions, mask)
        return labelled_cross_entropy(run_logits(features, weights.logits, self.architecture.logits), members)

    def _rates(self, step: int) -> List[Any]:
        """A rate for each adapted tensor; kernel and bias of the logits layer have one together."""
        if self.inner_rates is None:
            return [self.maml.inner_learning_rate] * (len(self.architecture.convolutions) + 2)
        rates = tf.unstack(tf.convert_to_tensor(self.inner_rates.rates)[step])
        return [*rates, rates[-1]]

    def _replaced(self, weights: GeneratedWeights, tensors: List[tf.Tensor]) -> GeneratedWeights:
        """Weights with others in place of `adapted(weights)`."""
        *kernels, logits_kernel, logits_bias = tensors
        convolutions = tuple(layer._replace(kernel=kernel) for layer, kernel in zip(weights.convolutions, kernels))
        return weights._replace(convolutions=convolutions, logits=LogitsWeights(logits_kernel, logits_bias))


class InnerRates(keras.layers.Layer):
    """MAML++: a learned rate for each inner step and layer, (steps, layers); they begin alike."""

    def __init__(self, steps: int, layers: int, initial: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.steps, self.layers, self.initial = steps, layers, initial

    @build_once
    def build(self, input_shape: Any = None) -> None:
        initializer = keras.initializers.Constant(self.initial)
        self.rates = self.add_weight(name="rates", shape=(self.steps, self.layers), initializer=initializer)


def adapted(weights: GeneratedWeights) -> List[tf.Tensor]:
    """What the inner loop changes: the kernels of all convolutions, kernel and bias of the logits layer."""
    return [*(layer.kernel for layer in weights.convolutions), weights.logits.kernel, weights.logits.bias]


def multi_step_weights(step: tf.Tensor, slide: int, inner_steps: int) -> tf.Tensor:
    """MAML++: weights (inner_steps,) of the query losses after each inner step; they sum to 1.

    All are equal at first; they slide to the last one alone in `slide` training steps.
    """
    done = tf.minimum(tf.cast(step, tf.float32) / slide, 1.0)
    last_alone = tf.one_hot(inner_steps - 1, inner_steps)
    return (1.0 - done) / inner_steps + done * last_alone
