"""What the transformer of a weight generator begins with, beyond Keras' initialisers (paper, Section 3.2).

The paper constructs a transformer whose weight tokens read the mean feature of their class; `match_labels` begins near
it. `TransformerConfig` has the words for users, BUILD_NOTES.md what was measured.
"""

from typing import Any, Sequence

import numpy as np
import tensorflow as tf

from hypertransformer_tf.layers.tokens import SampleTokens, WeightTokens
from hypertransformer_tf.layers.transformer import EncoderLayer

_SMALL = 0.1  # what later layers add to the means at first, beside what they would add


def scale_output(last: Any, scale: float) -> None:
    """Sets the gamma of the last layer norm of a transformer whose last layer is given."""
    norm = last.feed_forward_norm if last.feed_forward is not None else last.last_attention_norm
    norm.gamma.assign(np.full(norm.gamma.shape, scale, np.float32))


def match_labels(samples: SampleTokens, weights: WeightTokens, encoder: Sequence[EncoderLayer]) -> None:
    """Lets the weight token of a class attend to its samples: the same embeddings, and keys equal to queries."""
    weights.weight_embeddings.assign(samples.label_embeddings[: weights.tokens])
    for layer in encoder:
        layer.self_attention.key.kernel.assign(layer.self_attention.query.kernel)


def copy_means(encoder: Sequence[EncoderLayer], first: int, size: int) -> None:
    """Lets what is attended to be copied: the first layer moves features on unchanged, all else adds little to them.

    Where the features are what the logits layer reads, each class begins with their mean over its samples, a prototype.

    Args:
      encoder: the layers, built.
      first, size: place and number of the features in a token; of more than fit into the values, the first are copied.
    """
    for index, layer in enumerate(encoder):
        attention = layer.self_attention
        output = attention.output_projection.kernel
        if index == 0:
            copied = np.arange(min(size, attention.value_size))
            moved = np.zeros(output.shape, np.float32)
            moved[copied, first + copied] = 1
            attention.value.kernel.assign(moved.T)
            output.assign(moved)
        else:
            _make_small(output)
        if layer.feed_forward is not None:
            _make_small(layer.feed_forward.outer.kernel)


def _make_small(kernel: Any) -> None:
    kernel.assign(_SMALL * tf.convert_to_tensor(kernel))
