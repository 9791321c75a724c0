"""What the transformer of a weight generator begins with, beyond Keras' initialisers (paper, Section 3.2).

The paper constructs a transformer whose weight tokens read the mean feature of their class; `match_labels` begins near
it. `TransformerConfig` has the words for users, BUILD_NOTES.md what was measured.
"""

from typing import Any, Sequence, Union

import numpy as np
import tensorflow as tf

from hypertransformer_tf.layers.tokens import SampleTokens, WeightTokens
from hypertransformer_tf.layers.transformer import DecoderLayer, EncoderLayer

_SMALL = 0.1  # of its usual size: what everything but the copy adds at first


def scale_output(last: Union[EncoderLayer, DecoderLayer], scale: float) -> None:
    """Sets the gamma of the last layer norm of a transformer whose last layer is given."""
    norm = last.feed_forward_norm if last.feed_forward is not None else last.last_attention_norm
    norm.gamma.assign(tf.fill(norm.gamma.shape, scale))


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
    for layer in encoder:
        _make_small(layer.self_attention.output_projection.kernel)
        if layer.feed_forward is not None:
            _make_small(layer.feed_forward.outer.kernel)
    attention = encoder[0].self_attention
    value, output = attention.value.kernel, attention.output_projection.kernel
    # Value after value of different heads, so that every head copies some.
    places = np.arange(attention.value_size).reshape(attention.heads, -1).T.ravel()[:size]
    moved, free = np.zeros(output.shape, np.float32), np.ones((attention.value_size, 1), np.float32)
    moved[places, first + np.arange(len(places))], free[places] = 1, 0
    value.assign(free.T * tf.convert_to_tensor(value) + moved.T)
    output.assign(free * tf.convert_to_tensor(output) + moved)


def _make_small(kernel: Any) -> None:
    kernel.assign(_SMALL * tf.convert_to_tensor(kernel))
