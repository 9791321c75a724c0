"""What the model computes, once more in slow and obvious NumPy: the tests hold the library against it.

Written from the description of the method, not from the library's code; float64 throughout, one episode at a time.
Layers are only asked for the values of their variables.
"""

import math
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

FUNCTIONS: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky_relu": lambda x: np.where(x > 0.0, x, 0.1 * x),
    "gelu": lambda x: x * 0.5 * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0))),
    "cnn_leaky_relu": lambda x: np.where(x > 0.0, x, 0.01 * x),
}


def value(variable: Any) -> np.ndarray:
    """A variable or tensor as float64."""
    return np.asarray(tf.convert_to_tensor(variable), dtype=np.float64)


def convolve(images: np.ndarray, kernel: np.ndarray, stride: int = 1, padding: str = "VALID") -> np.ndarray:
    """Convolution of images (N, H, W, c_in) with a kernel (k, k, c_in, c_out), window by window."""
    size = kernel.shape[0]
    if padding == "SAME":
        pads = []
        for side in images.shape[1:3]:
            total = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
            pads.append((total // 2, total - total // 2))
        images = np.pad(images, ((0, 0), pads[0], pads[1], (0, 0)))
    rows = (images.shape[1] - size) // stride + 1
    columns = (images.shape[2] - size) // stride + 1
    outputs = np.zeros((len(images), rows, columns, kernel.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = images[:, top : top + size, left : left + size]
            outputs[:, row, column] = np.einsum("nyxi,yxio->no", window, kernel)
    return outputs


def max_pool(images: np.ndarray, size: int) -> np.ndarray:
    """Maximum over windows of `size` that do not overlap; what does not fill a window is dropped."""
    rows, columns = images.shape[1] // size, images.shape[2] // size
    outputs = np.zeros((len(images), rows, columns, images.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            window = images[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
            outputs[:, row, column] = window.max(axis=(1, 2))
    return outputs


def normalise(images: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Batch norm with the statistics of these very images."""
    outputs = np.zeros_like(images)
    for channel in range(images.shape[-1]):
        values = images[..., channel]
        centred = (values - values.mean()) / math.sqrt(values.var() + 1e-3)
        outputs[..., channel] = gamma[channel] * centred + beta[channel]
    return outputs


def local_features(
    activations: np.ndarray,
    variables: Sequence[Tuple[np.ndarray, np.ndarray]],
    kernel_size: int,
    nonlinear: bool = False,
) -> np.ndarray:
    """A local extractor that would have `len(variables)` convolutions on a large input: (S, H, W, C) -> (S, F)."""
    side = activations.shape[1]
    stride = 2 if side >= kernel_size else 1
    kernel_size = min(kernel_size, side)
    features: List[np.ndarray] = []
    for index, (kernel, bias) in enumerate(variables):
        if activations.shape[1] < kernel_size:
            break
        last = index == len(variables) - 1
        outputs = convolve(activations, kernel, 1 if last else stride) + bias
        activations = FUNCTIONS["relu"](outputs)
        features.append((activations if nonlinear else outputs).mean(axis=(1, 2)))
    return np.concatenate(features, axis=-1)


def shared_features(layer: Any, images: np.ndarray) -> np.ndarray:
    """A `SharedFeatures` layer on the images of one episode: (S, H, W, C) -> (S, F)."""
    for index, (kernel, bias, _) in enumerate(layer.convolutions):
        stride = 1 if index == len(layer.convolutions) - 1 else 2
        images = FUNCTIONS["relu"](convolve(images, value(kernel), stride, layer.padding.upper()) + value(bias))
        if layer.batch_norm:
            images = normalise(images, *map(value, layer.norms[index]))
    return images.mean(axis=(1, 2))


def sample_tokens(embeddings: np.ndarray, labels: np.ndarray, features: np.ndarray, size: int) -> np.ndarray:
    """One token per sample: the label's embedding (the last one for -1), its features, zeros."""
    tokens = np.zeros((len(labels), size))
    for sample, label in enumerate(labels):
        token = list(embeddings[-1 if label == -1 else label]) + list(features[sample])
        tokens[sample, : len(token)] = token
    return tokens


def weight_tokens(embeddings: np.ndarray, size: int) -> np.ndarray:
    """One token per weight block: its embedding, zeros."""
    tokens = np.zeros((len(embeddings), size))
    tokens[:, : embeddings.shape[1]] = embeddings
    return tokens


def dense(layer: Any, inputs: np.ndarray) -> np.ndarray:
    """A dense layer without activation."""
    return inputs @ value(layer.kernel) + value(layer.bias)


def layer_norm(layer: Any, tokens: np.ndarray) -> np.ndarray:
    """Normalises every token by itself."""
    mean, variance = tokens.mean(-1, keepdims=True), tokens.var(-1, keepdims=True)
    return (tokens - mean) / np.sqrt(variance + 1e-6) * value(layer.gamma) + value(layer.beta)


def attention_weights(
    layer: Any, queries: np.ndarray, keys: np.ndarray, ignored: Optional[np.ndarray] = None
) -> np.ndarray:
    """What each query takes from each key, head by head: (heads, N, M). Ignored keys get nothing."""
    kept = np.ones(len(keys), bool) if ignored is None else np.asarray(ignored) == 0
    size = layer.query_key_size // layer.heads
    weights = np.zeros((layer.heads, len(queries), len(keys)))
    for head in range(layer.heads):
        part = slice(head * size, (head + 1) * size)
        for i, query in enumerate(dense(layer.query, queries)[:, part]):
            for j, key in enumerate(dense(layer.key, keys)[:, part]):
                power = math.exp(query @ key / math.sqrt(size))
                if kept[j]:
                    weights[head, i, j] = power if layer.activation == "softmax" else power / (1.0 + power)
    return weights / weights.sum(-1, keepdims=True) if layer.activation == "softmax" else weights


def attention(layer: Any, queries: np.ndarray, keys: np.ndarray, ignored: Optional[np.ndarray] = None) -> np.ndarray:
    """A `MultiHeadAttention` layer: queries (N, D), keys (M, E) -> (N, output size)."""
    weights, values = attention_weights(layer, queries, keys, ignored), dense(layer.value, keys)
    size = layer.value_size // layer.heads
    mixed = np.zeros((len(queries), layer.value_size))
    for head in range(layer.heads):
        part = slice(head * size, (head + 1) * size)
        mixed[:, part] = weights[head] @ values[:, part]
    return dense(layer.output_projection, mixed)


def feed_forward(layer: Any, tokens: np.ndarray) -> np.ndarray:
    """Dense, activation, dense."""
    return dense(layer.outer, FUNCTIONS[layer.activation](dense(layer.inner, tokens)))


def _add_feed_forward(layer: Any, tokens: np.ndarray) -> np.ndarray:
    if layer.feed_forward is None:
        return tokens
    return layer_norm(layer.feed_forward_norm, tokens + feed_forward(layer.feed_forward, tokens))


def encoder_layer(layer: Any, tokens: np.ndarray, ignored: Optional[np.ndarray] = None) -> np.ndarray:
    """x = LN(x + MHA(x)), x = LN(x + FFN(x))."""
    tokens = layer_norm(layer.self_attention_norm, tokens + attention(layer.self_attention, tokens, tokens, ignored))
    return _add_feed_forward(layer, tokens)


def decoder_layer(
    layer: Any,
    tokens: np.ndarray,
    encoded: np.ndarray,
    ignored: Optional[np.ndarray] = None,
    ignored_encoded: Optional[np.ndarray] = None,
) -> np.ndarray:
    """As the encoder layer, with attention to another sequence in between."""
    tokens = layer_norm(layer.self_attention_norm, tokens + attention(layer.self_attention, tokens, tokens, ignored))
    attended = attention(layer.cross_attention, tokens, encoded, ignored_encoded)
    return _add_feed_forward(layer, layer_norm(layer.cross_attention_norm, tokens + attended))


def weight_blocks(
    layer: Any, labels: np.ndarray, features: np.ndarray, ignored: Optional[np.ndarray] = None
) -> np.ndarray:
    """A `WeightGenerator` on the features of one support set: labels (S,), features (S, F) -> (tokens, width)."""
    embedding, (count, size) = layer.config.embedding_dim, layer.layout
    sample_size, weight_size = embedding + features.shape[1], embedding + size
    separate = layer.config.variant == "separate"
    if not separate:
        sample_size = weight_size = max(sample_size, weight_size)
    samples = sample_tokens(value(layer.sample_tokens.label_embeddings), labels, features, sample_size)
    weights = weight_tokens(value(layer.weight_tokens.weight_embeddings), weight_size)
    if separate:
        for encoder in layer.encoder:
            samples = encoder_layer(encoder, samples, ignored)
        for decoder in layer.decoder:
            weights = decoder_layer(decoder, weights, samples, None, ignored)
        return weights[:, embedding:]
    sequence = encoded = np.concatenate([weights, samples])
    if ignored is not None:
        ignored = np.concatenate([np.zeros(count), ignored])
    for encoder in layer.encoder:
        encoded = encoder_layer(encoder, encoded, ignored)
    if not layer.decoder:
        return encoded[:count, embedding:]
    for decoder in layer.decoder:
        sequence = decoder_layer(decoder, sequence, encoded, ignored, ignored)
    return sequence[:count, embedding:]


def convolution_layer(
    images: np.ndarray,
    kernel: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    *,
    bias: Optional[np.ndarray] = None,
    activation: str = "relu",
    stride: int = 1,
    padding: str = "SAME",
    pool: int = 2,
) -> np.ndarray:
    """One layer of the generated CNN on the images of one episode; `activation` is `relu` or `leaky_relu`."""
    outputs = convolve(images, kernel, stride, padding)
    if bias is not None:
        outputs = outputs + bias
    outputs = FUNCTIONS["relu" if activation == "relu" else "cnn_leaky_relu"](outputs)
    return normalise(max_pool(outputs, pool), gamma, beta)
