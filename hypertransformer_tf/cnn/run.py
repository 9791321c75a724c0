"""Runs generated CNNs: pure functions of inputs and weights (paper, Section 3)."""

from typing import Callable, Tuple

import tensorflow as tf

from hypertransformer_tf.cnn import folded, grouped, plain
from hypertransformer_tf.cnn.architecture import Architecture, ConvolutionSpec, LogitsSpec
from hypertransformer_tf.cnn.normalisation import moments_for, normalise
from hypertransformer_tf.cnn.precision import at_least_float32, mean_over_space
from hypertransformer_tf.cnn.weights import ConvolutionWeights, GeneratedWeights, LogitsWeights

FORMS = ("folded", "plain", "grouped")
ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "relu": tf.nn.relu,
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, alpha=0.01),
}


def run_convolution(
    inputs: tf.Tensor, weights: ConvolutionWeights, spec: ConvolutionSpec, activation: str, form: str = "folded"
) -> tf.Tensor:
    """One layer: `convolve`, then normalisation as `weights.statistics` says.

    Args:
      inputs: (T, N, H, W, c_in).
      weights: of this layer.
      spec: the layer.
      activation: `relu` or `leaky_relu`.
      form: of FORMS: `folded` where that applies and `plain` elsewhere, `plain` always, or `grouped` always.

    Returns:
      (T, N, H', W', c_out).
    """
    outputs = convolve(inputs, weights, spec, activation, form)
    return normalise(outputs, moments_for(outputs, weights.statistics), weights.gamma, weights.beta)


def convolve(
    inputs: tf.Tensor, weights: ConvolutionWeights, spec: ConvolutionSpec, activation: str, form: str = "folded"
) -> tf.Tensor:
    """Convolution, activation and max-pool of one layer, before its normalisation; arguments of `run_convolution`.

    It computes in the precision of the inputs, whatever that of the weights.
    """
    compute = {"plain": plain, "grouped": grouped, "folded": folded if folded.applies_to(spec) else plain}[form]
    kernel = tf.cast(weights.kernel, inputs.dtype)
    bias = None if weights.bias is None else tf.cast(weights.bias, inputs.dtype)
    return compute.convolve_activate_pool(inputs, kernel, bias, spec, ACTIVATIONS[activation])


def read_features(features: tf.Tensor, spec: LogitsSpec) -> tf.Tensor:
    """What the logits layer reads of the last map (T, N, H, W, C), flattened or averaged over space: (T, N, d)."""
    if not spec.flatten:
        return mean_over_space(features)
    shape = tf.shape(features)
    return tf.reshape(features, (features.shape[0] or shape[0], features.shape[1] or shape[1], spec.input_size))


def run_logits(inputs: tf.Tensor, weights: LogitsWeights, spec: LogitsSpec) -> tf.Tensor:
    """Dense layer on what it reads of the feature map (T, N, H, W, C): (T, N, n_way) float32."""
    features = read_features(inputs, spec)
    products = tf.matmul(features, tf.cast(weights.kernel, features.dtype))
    return at_least_float32(products) + at_least_float32(weights.bias)[:, tf.newaxis, :]


def run_convolutions(
    images: tf.Tensor, weights: GeneratedWeights, architecture: Architecture, activation: str, form: str = "folded"
) -> Tuple[tf.Tensor, Tuple[tf.Tensor, ...]]:
    """Runs each episode's CNN up to its logits layer. Arguments as for `run_cnn`.

    Returns:
      the last feature map (T, N, H, W, C), and the logits of the warm-up heads, one (T, N, n_way) per head.
    """
    features, head_logits = images, []
    for index, spec in enumerate(architecture.convolutions):
        features = run_convolution(features, weights.convolutions[index], spec, activation, form)
        if index < len(weights.heads):
            head = LogitsSpec(spec.index, spec.output_shape, flatten=False)
            head_logits.append(run_logits(features, weights.heads[index], head))
    return features, tuple(head_logits)


def run_cnn(
    images: tf.Tensor,
    weights: GeneratedWeights,
    architecture: Architecture,
    activation: str,
    form: str = "folded",
    before_logits: Callable[[tf.Tensor], tf.Tensor] = lambda features: features,
) -> Tuple[tf.Tensor, Tuple[tf.Tensor, ...]]:
    """Runs each episode's CNN on its images.

    Args:
      images: (T, N, H, W, C), scaled.
      weights: of the CNNs.
      architecture: of the CNNs.
      activation: as for `run_convolution`.
      form: as for `run_convolution`.
      before_logits: applied to the last feature map (dropout, while training).

    Returns:
      logits (T, N, n_way), and the logits of the warm-up heads, one (T, N, n_way) per head.
    """
    features, head_logits = run_convolutions(images, weights, architecture, activation, form)
    return run_logits(before_logits(features), weights.logits, architecture.logits), head_logits
