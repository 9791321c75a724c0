"""What of a CNN layer is trained instead of generated, or trained and added to what is generated."""

from typing import Any, Dict, Optional, Sequence

import keras
import tensorflow as tf

from hypertransformer_tf.cnn.precision import at_least_float32
from hypertransformer_tf.cnn.readout import ConvolutionReadout
from hypertransformer_tf.cnn.weights import ConvolutionWeights, LogitsWeights
from hypertransformer_tf.keras_stack import build_once


class TrainedConvolution(keras.layers.Layer):
    """Trained variables of one convolution and its normalisation, added to what was generated.

    Args:
      kernel_shape: (k, k, c_in, c_out).
      kernel, bias, norm: which variables there are.

    """

    def __init__(self, kernel_shape: Sequence[int], kernel: bool, bias: bool, norm: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.kernel_shape = tuple(kernel_shape)
        self.has_kernel, self.has_bias, self.has_norm = kernel, bias, norm
        self.kernel: Optional[tf.Variable] = None
        self.bias: Optional[tf.Variable] = None
        self.gamma: Optional[tf.Variable] = None
        self.beta: Optional[tf.Variable] = None

    @build_once
    def build(self, input_shape: Any = None) -> None:
        channels = (self.kernel_shape[-1],)
        if self.has_kernel:
            self.kernel = self.add_weight(name="kernel", shape=self.kernel_shape, initializer="glorot_uniform")
        if self.has_bias:
            self.bias = self.add_weight(name="bias", shape=channels, initializer="zeros")
        if self.has_norm:
            self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones")
            self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros")

    def add_to(self, generated: Optional[ConvolutionReadout]) -> ConvolutionWeights:
        """`ConvolutionWeights` of what was generated (None where nothing was) plus what is trained."""
        if generated is None:
            generated = ConvolutionReadout(None, None, None, None)
        return ConvolutionWeights(
            kernel=_add(generated.kernel, self.kernel),
            bias=_add(generated.bias, self.bias),
            gamma=_add(generated.gamma, self.gamma),
            beta=_add(generated.beta, self.beta),
        )

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(kernel_shape=self.kernel_shape, kernel=self.has_kernel, bias=self.has_bias, norm=self.has_norm)
        return config


class TrainedLogits(keras.layers.Layer):
    """A trained logits layer, alone or added to a generated one.

    Args:
      input_size: number of features d.
      n_way: number of classes.

    """

    def __init__(self, input_size: int, n_way: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.input_size, self.n_way = input_size, n_way

    @build_once
    def build(self, input_shape: Any = None) -> None:
        shape = (self.input_size, self.n_way)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(self.n_way,), initializer="zeros")

    def add_to(self, generated: Optional[LogitsWeights], classes: Optional[int] = None) -> LogitsWeights:
        """The generated logits weights (None: none) plus the trained ones, of the first `classes` (None: all)."""
        if generated is None:
            generated = LogitsWeights(None, None)
        kernel, bias = tf.convert_to_tensor(self.kernel)[:, :classes], tf.convert_to_tensor(self.bias)[:classes]
        return LogitsWeights(_add(generated.kernel, kernel), _add(generated.bias, bias))

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(input_size=self.input_size, n_way=self.n_way)
        return config


def _add(generated: Optional[tf.Tensor], trained: Any) -> Optional[tf.Tensor]:
    """The sum of what there is, with a leading episode axis; None if there is neither."""
    if trained is None:
        return generated
    trained = trained[None, ...]
    return trained if generated is None else at_least_float32(generated) + trained
