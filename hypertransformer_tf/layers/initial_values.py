"""What the transformer of a weight generator begins with, beyond Keras' initialisers (paper, Section 3.2).

The paper constructs a transformer whose weight tokens read the mean feature of their class, and one whose first layer
gives unlabelled samples the labels of those that they resemble; training begins near them. `TransformerConfig` has the
words for users, BUILD_NOTES.md what was measured.
"""

from typing import Any, Sequence, Union

import numpy as np
import tensorflow as tf

from hypertransformer_tf.layers.attention import MultiHeadAttention
from hypertransformer_tf.layers.tokens import SampleTokens, WeightTokens
from hypertransformer_tf.layers.transformer import DecoderLayer, EncoderLayer

_SMALL = 0.1  # of its usual size: what everything but the copy adds at first
# Softmax attention's logits, where the mean square of a map's entries, and of a label's, is 1:
_ALIKE = 10.0  # of two tokens with the same map
_SAME_LABEL = 5.0  # of two samples of one class
_PREFERENCE = 8.0  # for tokens with a label, and against weight tokens


def scale_output(last: Union[EncoderLayer, DecoderLayer], scale: float) -> None:
    """Sets the gamma of the last layer norm of a transformer whose last layer is given."""
    norm = last.feed_forward_norm if last.feed_forward is not None else last.last_attention_norm
    norm.gamma.assign(tf.fill(norm.gamma.shape, scale))


def scale_attention(layers: Sequence[Union[EncoderLayer, DecoderLayer]], scale: float) -> None:
    """Makes what each attention of a transformer adds so many times as large."""
    for layer in layers:
        attentions = [layer.self_attention] + ([layer.cross_attention] if isinstance(layer, DecoderLayer) else [])
        for attention in attentions:
            _scale(attention.output_projection.kernel, scale)


def match_labels(samples: SampleTokens, weights: WeightTokens, encoder: Sequence[EncoderLayer]) -> None:
    """Lets the weight token of a class attend to its samples: the same embeddings, and keys equal to queries."""
    weights.weight_embeddings.assign(samples.label_embeddings[: weights.tokens])
    for layer in encoder:
        layer.self_attention.key.kernel.assign(layer.self_attention.query.kernel)


def copy_means(encoder: Sequence[EncoderLayer], first: int, size: int) -> None:
    """Lets what is attended to be copied: the first layer moves features on unchanged, all else adds little to them.

    Where the features are what the logits layer reads, each class begins near their mean over its samples, a prototype.

    Args:
      encoder: the layers, built.
      first, size: place and number of the features in a token; of more than there are values, the first are copied.
    """
    _add_little(encoder)
    _copy(encoder[0].self_attention, first, size)


def spread_labels(
    samples: SampleTokens, weights: WeightTokens, encoder: Sequence[EncoderLayer], first: int, size: int
) -> None:
    """Lets unlabelled samples be counted: the first layer moves labels between samples alike, the second features.

    Each class begins near the mean over its samples and, by how much they resemble these, the unlabelled ones.

    Args:
      samples, weights: the layers of tokens, built, with more embedding dimensions than classes. "No label" becomes
        zero, which is no more one class than another; weight embeddings get a direction of their own, by which they
        are passed over: they have no map to be moved.
      encoder: two layers or more, built.
      first, size: as in `copy_means`.
    """
    _add_little(encoder)
    labels = np.array(tf.convert_to_tensor(samples.label_embeddings))
    labels[-1] = 0
    samples.label_embeddings.assign(labels)
    classes, dimension = labels[:-1], labels.shape[1]
    is_weight = np.linalg.svd(classes)[2][-1] * np.sqrt(dimension)  # at right angles to every label
    weights.weight_embeddings.assign(classes[: weights.tokens] + is_weight)
    against_weights = -_PREFERENCE / dimension * is_weight
    has_label = np.linalg.lstsq(classes, np.ones(len(classes)), rcond=None)[0]  # its product with every label is 1
    first_attention, second_attention = (layer.self_attention for layer in encoder[:2])
    _compare(first_attention, first, size, _ALIKE)
    _prefer(first_attention, _PREFERENCE * has_label + against_weights)
    _copy(first_attention, 0, dimension)
    # A layer norm has made the few entries of a weight token the larger the longer it is.
    _compare(second_attention, 0, dimension, _SAME_LABEL * np.sqrt(dimension / second_attention.output_size))
    _prefer(second_attention, against_weights)
    _copy(second_attention, first, size)


def _compare(attention: MultiHeadAttention, first: int, size: int, logit: float) -> None:
    """Makes tokens attend to those that are like them in some entries: each head in others, as far as it has room."""
    width = attention.query_key_size // attention.heads
    kernel = _SMALL * np.array(tf.convert_to_tensor(attention.query.kernel))
    for head in range(attention.heads):
        entries = np.roll(np.arange(size), -(head * size // attention.heads))[: width - 1]
        columns = head * width + np.arange(len(entries))
        kernel[:, columns] = 0
        # Logits are divided by the root of the width.
        kernel[first + entries, columns] = np.sqrt(logit / max(len(entries), 1) * np.sqrt(width))
    attention.query.kernel.assign(kernel)
    attention.key.kernel.assign(kernel)


def _prefer(attention: MultiHeadAttention, direction: np.ndarray) -> None:
    """Makes all tokens attend rather to those whose embedding points in a direction, by the last entry of each head."""
    width = attention.query_key_size // attention.heads
    last = np.arange(width - 1, attention.query_key_size, width)
    query, key = (np.array(tf.convert_to_tensor(each.kernel)) for each in (attention.query, attention.key))
    query[:, last] = key[:, last] = 0
    key[: len(direction), last] = direction[:, np.newaxis]
    bias = np.zeros(attention.query_key_size, np.float32)
    bias[last] = np.sqrt(width)  # by which logits are divided
    attention.query.kernel.assign(query)
    attention.query.bias.assign(bias)
    attention.key.kernel.assign(key)


def _add_little(encoder: Sequence[EncoderLayer]) -> None:
    for layer in encoder:
        _scale(layer.self_attention.output_projection.kernel, _SMALL)
        if layer.feed_forward is not None:
            _scale(layer.feed_forward.outer.kernel, _SMALL)


def _copy(attention: MultiHeadAttention, first: int, size: int) -> None:
    """Moves entries of what is attended to on to the same places, unchanged."""
    value, output = attention.value.kernel, attention.output_projection.kernel
    # Value after value of different heads, so that every head copies some.
    places = np.arange(attention.value_size).reshape(attention.heads, -1).T.ravel()[:size]
    moved, free = np.zeros(output.shape, np.float32), np.ones((attention.value_size, 1), np.float32)
    moved[places, first + np.arange(len(places))], free[places] = 1, 0
    value.assign(free.T * tf.convert_to_tensor(value) + moved.T)
    output.assign(free * tf.convert_to_tensor(output) + moved)


def _scale(kernel: Any, scale: float) -> None:
    kernel.assign(scale * tf.convert_to_tensor(kernel))
