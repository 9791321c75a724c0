"""A generated CNN as a plain Keras model: stock layers only, so that it loads without this package."""

from typing import Any

import keras
import numpy as np

from hypertransformer_tf.deployment.portable_cnn import PortableCnn, PortableConvolution
from hypertransformer_tf.keras_stack import reciprocal_root


def standalone_model(cnn: PortableCnn, name: str = "classifier") -> keras.Model:
    """Builds the Keras model of a generated CNN.

    Inversion and scaling, the normalisation and the temperature are inside. Where only the support set's moments are
    used, a normalisation is one layer `scale_and_offset`; where the picture's own have a share, a few stock layers
    compute these first.

    Returns:
      A functional model from `images` (N, H, W, C) float32, 0..255, to `probabilities` (N, classes). The layer
      `logits` has the logits divided by the temperature.
    """
    images = keras.Input(cnn.image_shape, name="images")
    scaling = keras.layers.Rescaling(cnn.pixel_scale, cnn.pixel_scale * cnn.pixel_offset, name="scale_pixels")
    features = scaling(images)
    for convolution in cnn.convolutions:
        features = _convolve(features, convolution, cnn.activation)
        features = _normalise(features, convolution)
    if cnn.architecture.logits.flatten:
        features = keras.layers.Flatten(name="features")(features)
    else:
        features = keras.layers.GlobalAveragePooling2D(name="features")(features)
    logits = _with_weights(
        keras.layers.Dense(cnn.logits_bias.size, name="logits"), features, cnn.tempered_kernel, cnn.tempered_bias
    )
    return keras.Model(images, keras.layers.Softmax(name="probabilities")(logits), name=name)


def _convolve(inputs: Any, convolution: PortableConvolution, activation: str) -> Any:
    spec = convolution.spec
    relu = activation == "relu"
    layer = keras.layers.Conv2D(
        spec.output_shape[-1],
        spec.kernel_size,
        strides=spec.stride,
        padding=spec.padding.lower(),
        use_bias=convolution.bias is not None,
        activation="relu" if relu else None,
        name=f"convolution_{spec.index}",
    )
    outputs = _with_weights(
        layer, inputs, *(each for each in (convolution.kernel, convolution.bias) if each is not None)
    )
    if not relu:
        outputs = keras.layers.LeakyReLU(0.01, name=f"activation_{spec.index}")(outputs)
    if spec.pool == 1:
        return outputs
    return keras.layers.MaxPooling2D(spec.pool, name=f"pool_{spec.index}")(outputs)


def _normalise(inputs: Any, convolution: PortableConvolution) -> Any:
    index, layers, blend = convolution.spec.index, keras.layers, convolution.blend
    if blend is None:
        return _affine(inputs, *convolution.folded, name=f"scale_and_offset_{index}")
    ones = np.ones_like(blend.mean)
    centred = _affine(inputs, ones, -blend.mean, name=f"centre_{index}")
    own_mean = layers.GlobalAveragePooling2D(keepdims=True, name=f"own_mean_{index}")(centred)  # (N, 1, 1, C)
    own_mean = layers.Rescaling(blend.share, name=f"share_of_mean_{index}")(own_mean)
    squares = layers.Multiply(name=f"squares_{index}")([centred, centred])
    squares = layers.GlobalAveragePooling2D(keepdims=True, name=f"own_square_{index}")(squares)
    squares = _affine(squares, blend.share * ones, blend.floor, name=f"blend_squares_{index}")
    mean_square = layers.Multiply(name=f"square_of_mean_{index}")([own_mean, own_mean])
    variance = layers.Subtract(name=f"variance_{index}")([squares, mean_square])
    centred = layers.Subtract(name=f"blended_centre_{index}")([centred, own_mean])
    outputs = layers.Multiply(name=f"normalised_{index}")([centred, reciprocal_root(variance)])
    return _affine(outputs, convolution.gamma, convolution.beta, name=f"scale_and_offset_{index}")


def _affine(inputs: Any, scale: np.ndarray, offset: np.ndarray, name: str) -> Any:
    """A 1x1 convolution of each channel with itself: the stock layer that is a scale and an offset per channel."""
    layer = keras.layers.DepthwiseConv2D(1, name=name)
    return _with_weights(layer, inputs, np.reshape(scale, (1, 1, -1, 1)), offset)


def _with_weights(layer: keras.layers.Layer, inputs: Any, *weights: np.ndarray) -> Any:
    outputs = layer(inputs)
    layer.set_weights(list(weights))
    return outputs
