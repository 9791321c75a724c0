"""A generated CNN as TensorFlow operations on constants: what the SavedModel and TensorFlow Lite files hold.

Converters understand such a graph best: there are no variables to freeze, and it has no operation too many.
"""

import tensorflow as tf

from hypertransformer_tf.deployment.portable_cnn import PortableCnn, PortableConvolution


def class_probabilities(images: tf.Tensor, cnn: PortableCnn) -> tf.Tensor:
    """Probabilities (N, classes) of pictures (N, H, W, C) float32 with values 0..255."""
    features = images + cnn.pixel_offset
    for convolution in cnn.convolutions:
        features = _normalise(_convolve(features, convolution, cnn), convolution)
    spec = cnn.architecture.logits
    if spec.flatten:
        features = tf.reshape(features, (-1, spec.input_size))
    else:
        features = tf.reduce_mean(features, axis=(1, 2))
    return tf.nn.softmax(tf.matmul(features, cnn.kernel_after_scaling) + cnn.tempered_bias)


def _convolve(inputs: tf.Tensor, convolution: PortableConvolution, cnn: PortableCnn) -> tf.Tensor:
    spec = convolution.spec
    # Scaling pixels by a power of two is exact, in the kernel as well as in the picture.
    kernel = convolution.kernel * cnn.pixel_scale if spec.index == 1 else convolution.kernel
    outputs = tf.nn.conv2d(inputs, kernel, spec.stride, spec.padding)
    if convolution.bias is not None:
        outputs += convolution.bias
    outputs = tf.nn.relu(outputs) if cnn.activation == "relu" else tf.nn.leaky_relu(outputs, 0.01)
    return outputs if spec.pool == 1 else tf.nn.max_pool2d(outputs, spec.pool, spec.pool, "VALID")


def _normalise(inputs: tf.Tensor, convolution: PortableConvolution) -> tf.Tensor:
    if convolution.blend is None:
        scale, offset = convolution.folded
        return inputs * scale + offset
    mean, floor, share = convolution.blend
    centred = inputs - mean
    if convolution.spec.output_shape[:2] == (1, 1):  # a single pixel is its own average
        variance = centred * centred * (share - share * share) + floor
        return centred * tf.math.rsqrt(variance) * (convolution.gamma * (1.0 - share)) + convolution.beta
    own_mean = share * tf.reduce_mean(centred, axis=(1, 2), keepdims=True)  # (N, 1, 1, C)
    own_square = tf.reduce_mean(centred * centred, axis=(1, 2), keepdims=True)
    variance = own_square * share + floor - own_mean * own_mean
    return (centred - own_mean) * (tf.math.rsqrt(variance) * convolution.gamma) + convolution.beta
