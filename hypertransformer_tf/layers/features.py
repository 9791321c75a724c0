"""Feature extractors: from a support sample to a vector (paper, Section 3)."""

from typing import Any, Dict, List, Optional, Tuple

import keras
import tensorflow as tf

from hypertransformer_tf.cnn.normalisation import batch_moments, normalise
from hypertransformer_tf.cnn.precision import mean_over_space
from hypertransformer_tf.keras_stack import build_once
from hypertransformer_tf.layers.convolutions import convolve, mean_of_convolution
from hypertransformer_tf.layers.feature_sizes import check_shared_extractor, local_convolutions


class LocalFeatures(keras.layers.Layer):
    """Features of the activations that enter one CNN layer.

    A stack of VALID convolutions with ReLU between them, stride 2 in all but the last; what is read out is the
    average over space of every convolution's output, concatenated. An input smaller than the kernel sets the kernel
    to the input's size and the stride to 1; a convolution that would get less than its kernel is left out.

    Args:
      features: filters of each convolution.
      layers: number of convolutions.
      kernel_size: their side.
      nonlinear: read out after the ReLU instead of before it.
      initializer: Keras' name of the kernels' initialiser.

    Call: (B, H, W, C) float32 -> (B, output_size).
    """

    def __init__(
        self,
        features: int,
        layers: int,
        kernel_size: int = 3,
        nonlinear: bool = False,
        initializer: str = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.features, self.layers, self.kernel_size, self.nonlinear = features, layers, kernel_size, nonlinear
        self.initializer = initializer
        self.convolutions: List[Tuple[tf.Variable, tf.Variable, int]] = []

    @build_once
    def build(self, input_shape: Any) -> None:
        channels = int(input_shape[-1])
        kernel_size, strides = local_convolutions(int(input_shape[1]), self.layers, self.kernel_size)
        for index, stride in enumerate(strides, start=1):
            kernel = self.add_weight(
                name=f"convolution_{index}_kernel",
                shape=(kernel_size, kernel_size, channels, self.features),
                initializer=self.initializer,
            )
            bias = self.add_weight(name=f"convolution_{index}_bias", shape=(self.features,), initializer="zeros")
            self.convolutions.append((kernel, bias, stride))
            channels = self.features

    @property
    def output_size(self) -> int:
        """Number of features; known once built."""
        return self.features * len(self.convolutions)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        activations, features = inputs, []
        for number, (kernel, bias, stride) in enumerate(self.convolutions, start=1):
            if number == len(self.convolutions) and not self.nonlinear:
                features.append(mean_of_convolution(activations, kernel, stride) + bias)
            else:
                outputs = convolve(activations, kernel, stride, "VALID") + bias
                activations = tf.nn.relu(outputs)
                features.append(mean_over_space(activations if self.nonlinear else outputs))
        return tf.concat(features, -1)

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(
            features=self.features,
            layers=self.layers,
            kernel_size=self.kernel_size,
            nonlinear=self.nonlinear,
            initializer=self.initializer,
        )
        return config


class LogitsFeatures(keras.layers.Layer):
    """What the logits layer's generator reads of the last feature map.

    Args:
      source: `convolution` (a one-layer `LocalFeatures`), `passthrough` (the map, flattened) or `mix` (the map, then
        the convolution's features).
      features: filters of the convolution.
      nonlinear, initializer: as in `LocalFeatures`.

    Attributes:
      flat_size: entries of the map among the features, the first of them; known once built.

    Call: (B, H, W, C) float32 -> (B, output_size).
    """

    def __init__(
        self, source: str, features: int, nonlinear: bool = False, initializer: str = "glorot_uniform", **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.source, self.features, self.nonlinear, self.initializer = source, features, nonlinear, initializer
        self.convolution: Optional[LocalFeatures] = None
        if source != "passthrough" and features > 0:
            self.convolution = LocalFeatures(
                features,
                layers=1,
                nonlinear=nonlinear,
                initializer=initializer,
                name="local",
                dtype=self.dtype_policy,
            )
        self.flat_size = 0

    @build_once
    def build(self, input_shape: Any) -> None:
        if self.convolution is not None:
            self.convolution.build(input_shape)
        if self.source != "convolution":
            self.flat_size = int(input_shape[1]) * int(input_shape[2]) * int(input_shape[3])

    @property
    def output_size(self) -> int:
        """Number of features; known once built."""
        return self.flat_size + (self.convolution.output_size if self.convolution is not None else 0)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        features = [tf.reshape(inputs, (-1, self.flat_size))] if self.flat_size else []
        if self.convolution is not None:
            features.append(self.convolution(inputs))
        return tf.concat(features, -1)

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(
            source=self.source, features=self.features, nonlinear=self.nonlinear, initializer=self.initializer
        )
        return config


class SharedFeatures(keras.layers.Layer):
    """Features of the images themselves, the same for all CNN layers.

    A stack of 3x3 convolutions with ReLU, stride 2 in all but the last, then the average over space. With
    `batch_norm`, each ReLU is followed by a normalisation with the moments of the episode's own support set.

    Args:
      features: filters of each convolution.
      layers: number of convolutions.
      padding: `same` or `valid`.
      batch_norm: normalise after each ReLU.
      initializer: Keras' name of the kernels' initialiser.

    Call: (T, S, H, W, C) float32, and a mask (T, S), 1 = a sample that does not count in the moments, or None
    -> (T, S, features).
    """

    def __init__(
        self,
        features: int,
        layers: int,
        padding: str = "same",
        batch_norm: bool = False,
        initializer: str = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.initializer = initializer
        self.features, self.layers, self.padding, self.batch_norm = features, layers, padding, batch_norm
        self.convolutions: List[Tuple[tf.Variable, tf.Variable, int]] = []
        self.norms: List[Tuple[tf.Variable, tf.Variable]] = []

    @build_once
    def build(self, input_shape: Any) -> None:
        check_shared_extractor(int(input_shape[-3]), self.layers, self.padding)
        channels = int(input_shape[-1])
        for index in range(1, self.layers + 1):
            kernel = self.add_weight(
                name=f"convolution_{index}_kernel",
                shape=(3, 3, channels, self.features),
                initializer=self.initializer,
            )
            bias = self.add_weight(name=f"convolution_{index}_bias", shape=(self.features,), initializer="zeros")
            self.convolutions.append((kernel, bias, 2 if index < self.layers else 1))
            channels = self.features
            if self.batch_norm:
                gamma = self.add_weight(name=f"norm_{index}_gamma", shape=(channels,), initializer="ones")
                beta = self.add_weight(name=f"norm_{index}_beta", shape=(channels,), initializer="zeros")
                self.norms.append((gamma, beta))

    def call(self, inputs: tf.Tensor, support_mask: Optional[tf.Tensor] = None) -> tf.Tensor:
        shape = tf.shape(inputs)
        outputs = tf.reshape(inputs, (-1,) + tuple(inputs.shape[2:]))
        for index, (kernel, bias, stride) in enumerate(self.convolutions):
            outputs = tf.nn.relu(convolve(outputs, kernel, stride, self.padding.upper()) + bias)
            if self.norms:
                outputs = self._normalise(outputs, shape, support_mask, *self.norms[index])
        return tf.reshape(mean_over_space(outputs), (shape[0], shape[1], self.features))

    def _normalise(
        self,
        outputs: tf.Tensor,
        shape: tf.Tensor,
        support_mask: Optional[tf.Tensor],
        gamma: tf.Variable,
        beta: tf.Variable,
    ) -> tf.Tensor:
        episodes = tf.reshape(outputs, (shape[0], shape[1]) + tuple(outputs.shape[1:]))
        gamma, beta = tf.convert_to_tensor(gamma)[tf.newaxis], tf.convert_to_tensor(beta)[tf.newaxis]
        normalised = normalise(episodes, batch_moments(episodes, support_mask), gamma, beta)
        return tf.reshape(normalised, (-1,) + tuple(outputs.shape[1:]))

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(
            features=self.features,
            layers=self.layers,
            padding=self.padding,
            batch_norm=self.batch_norm,
            initializer=self.initializer,
        )
        return config
