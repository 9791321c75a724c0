"""What MAML and the oracle have in common: a whole CNN with initial values, from which one is made for an episode."""

from typing import Any

import tensorflow as tf

from hypertransformer_tf.baselines.baseline import Baseline
from hypertransformer_tf.cnn.run import run_cnn
from hypertransformer_tf.cnn.weights import GeneratedWeights
from hypertransformer_tf.layers.trained_weights import TrainedLogits


class AdaptedCnn(Baseline):
    """A baseline whose value learned of a support set is a CNN, as a HyperTransformer's; arguments as `Baseline`'s."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        spec = self.architecture.logits
        self.logits = TrainedLogits(spec.input_size, self.n_way, name=f"layer_{spec.index}")

    def _answer(self, images: tf.Tensor, learned: GeneratedWeights) -> tf.Tensor:
        return run_cnn(images, learned, self.architecture, self.cnn.activation, self.convolution_form)[0]

    def _initial(self, n_way: int) -> GeneratedWeights:
        """The CNN that every episode begins with, every tensor with a leading axis 1."""
        return GeneratedWeights(self.convolutions.values(), self.logits.add_to(None, n_way), (), (), None)
