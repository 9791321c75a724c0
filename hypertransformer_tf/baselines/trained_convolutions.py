"""The convolutions of a baseline's CNN: those of the generated CNN (`cnn/`), all trained."""

from typing import Any, List, Optional, Sequence, Tuple

import keras
import tensorflow as tf

from hypertransformer_tf.cnn.architecture import Architecture
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.cnn.normalisation import moments_for, normalise
from hypertransformer_tf.cnn.run import convolve, run_convolution
from hypertransformer_tf.cnn.weights import ConvolutionWeights, GeneratedWeights
from hypertransformer_tf.keras_stack import build_once
from hypertransformer_tf.layers.statistics import SupportStatistics
from hypertransformer_tf.layers.trained_weights import TrainedConvolution

Convolutions = Tuple[ConvolutionWeights, ...]


class TrainedConvolutions(keras.layers.Layer):
    """Kernels without biases, and gamma and beta of the normalisation, one set for all episodes.

    Args:
      architecture: of the CNN.
      cnn: its activation and where its normalisation takes its statistics from.
      form: `folded` or `plain`, see `cnn/run.py`.
    """

    def __init__(self, architecture: Architecture, cnn: CnnConfig, form: str = "folded", **kwargs: Any):
        super().__init__(**kwargs)
        self.specs, self.activation, self.form = architecture.convolutions, cnn.activation, form
        self.trained = [
            TrainedConvolution(spec.kernel_shape, True, False, True, name=f"layer_{spec.index}") for spec in self.specs
        ]
        self.statistics = [
            SupportStatistics(cnn.normalisation == "task", name=f"layer_{spec.index}_statistics")
            for spec in self.specs
            if cnn.normalisation != "query"
        ]

    @build_once
    def build(self, input_shape: Any = None) -> None:
        layers: List[keras.layers.Layer] = [*self.trained, *self.statistics]
        for layer in layers:
            layer.build()

    def values(self) -> Convolutions:
        """The weights as they are, every tensor with a leading axis 1: all episodes share them."""
        return tuple(layer.add_to(None) for layer in self.trained)

    def run_support(
        self, images: tf.Tensor, weights: Sequence[ConvolutionWeights], mask: Optional[tf.Tensor] = None
    ) -> Tuple[tf.Tensor, Convolutions]:
        """Feature map of support images, and the weights with what normalisation keeps of this pass.

        Args:
          images: (T, S, H, W, C), scaled.
          weights: of each convolution, every tensor with a leading axis T or 1.
          mask: (T, S), 1 = a sample that does not count in what is kept; None counts all.

        Returns:
          Feature map (T, S, H', W', C'); weights to be given to `run_query`.
        """
        activations, kept = images, []
        for index, (spec, layer) in enumerate(zip(self.specs, weights)):
            outputs = convolve(activations, layer, spec, self.activation, self.form)
            statistics = self.statistics[index](outputs, mask) if self.statistics else None
            activations = normalise(outputs, moments_for(outputs, statistics), layer.gamma, layer.beta)
            kept.append(layer._replace(statistics=statistics))
        return activations, tuple(kept)

    def with_statistics(
        self, images: tf.Tensor, mask: Optional[tf.Tensor], weights: GeneratedWeights
    ) -> GeneratedWeights:
        """With what an inductive normalisation keeps of the support set, of these weights and not of earlier ones."""
        if not self.statistics:
            return weights
        _, convolutions = self.run_support(images, weights.convolutions, mask)
        return weights._replace(convolutions=convolutions)

    def run_query(self, images: tf.Tensor, weights: Sequence[ConvolutionWeights]) -> tf.Tensor:
        """Feature map (T, Q, H', W', C') of query images (T, Q, H, W, C), with weights from `run_support`."""
        activations = images
        for spec, layer in zip(self.specs, weights):
            activations = run_convolution(activations, layer, spec, self.activation, self.form)
        return activations
