"""The weights of a generated CNN, as values: what `generate` returns and `classify` takes.

Tensors are float32; where a model computes in a lower precision, generated ones are of that. Every tensor has a leading
axis T, one entry per episode of the task batch, or 1 where all episodes share a trained tensor. For a single episode
the model drops that axis everywhere.
"""

from typing import NamedTuple, Optional, Tuple

import tensorflow as tf

from hypertransformer_tf.cnn.normalisation import Statistics


class ConvolutionWeights(NamedTuple):
    """Weights of one convolution and the normalisation after it.

    Attributes:
      kernel: (T, k, k, c_in, c_out).
      bias: (T, c_out), or None for a convolution without bias.
      gamma, beta: (T, c_out), scale and offset after normalisation.
      statistics: what normalisation uses of the support set; None normalises with the batch that goes through.
    """

    kernel: tf.Tensor
    bias: Optional[tf.Tensor]
    gamma: tf.Tensor
    beta: tf.Tensor
    statistics: Optional[Statistics] = None


class LogitsWeights(NamedTuple):
    """Weights of a logits layer: kernel (T, d, n_way) and bias (T, n_way)."""

    kernel: tf.Tensor
    bias: tf.Tensor


class GeneratedWeights(NamedTuple):
    """Everything that the generated CNN computes with, and what it was made from.

    Attributes:
      convolutions: weights of each convolution, in order.
      logits: weights of the last layer.
      heads: weights of the warm-up heads, one per convolution but the last; empty without such heads.
      blocks: what the transformers wrote, per CNN layer: (T, tokens, width), None for a trained layer.
      shared_features: (T, S, features) of the support set, None without a shared extractor.
    """

    convolutions: Tuple[ConvolutionWeights, ...]
    logits: LogitsWeights
    heads: Tuple[LogitsWeights, ...]
    blocks: Tuple[Optional[tf.Tensor], ...]
    shared_features: Optional[tf.Tensor]
