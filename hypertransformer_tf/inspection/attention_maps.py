"""What the transformers of a model attend to while they write a CNN (paper, Figure 2).

`HyperTransformer.generate` keeps no attention weights. They are computed a second time here, from the same tokens,
with the layers that it uses. In the last layer of a joint transformer `generate` computes the rows of weight tokens
only; here those of samples are shown too.
"""

from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf

from hypertransformer_tf.cnn.readout import read_convolution
from hypertransformer_tf.layers.attention import MultiHeadAttention
from hypertransformer_tf.layers.weight_generator import WeightGenerator
from hypertransformer_tf.model import checks
from hypertransformer_tf.model.hypertransformer import HyperTransformer


class LayerAttention(NamedTuple):
    """Attention of the transformer that writes one CNN layer.

    Attributes:
      cnn_layer: position of the layer in the CNN, from 1.
      weight_tokens: how many tokens stand for blocks of weights: W below.
      samples: how many stand for support samples: S below.
      maps: by name of the transformer's layer, in the order of computing: (heads, queries, keys) float32, how much
        each query takes from each key. An `encoder_1` of the joint variants has W + S queries and as many keys, weight
        tokens first. The decoder's are `decoder_1/self` and `decoder_1/cross`. In the variant `separate` an encoder
        sees S tokens only, `self` is (heads, W, W) and `cross` is (heads, W, S).
    """

    cnn_layer: int
    weight_tokens: int
    samples: int
    maps: Dict[str, np.ndarray]


def attention_maps(
    model: HyperTransformer, support_images: Any, support_labels: Any, n_way: Optional[int] = None
) -> Tuple[LayerAttention, ...]:
    """What the transformers attend to while they write the CNN of one episode.

    Args:
      model: read, never changed.
      support_images: (S, H, W, C) uint8, or float32 scaled, as for `model.generate`.
      support_labels: (S,) int, -1 = no label.
      n_way: number of classes of the episode; None is the model's.

    Returns:
      One entry for each generated layer of the CNN, the logits layer's last.

    Raises:
      UserError: a task batch is given, or what `model.generate` refuses.
    """
    checks.single_episode(support_images, "attention is shown")
    weights = model.generate(support_images, support_labels, n_way=n_way)
    activations = model.scaled(tf.convert_to_tensor(support_images)[tf.newaxis])
    labels = tf.cast(support_labels, tf.int32)[tf.newaxis]
    shared = None if weights.shared_features is None else weights.shared_features[tf.newaxis]
    found = []
    for index, spec in enumerate(model.architecture.convolutions):
        generated, generator, blocks = None, model.convolution_generators[index], weights.blocks[index]
        if generator is not None and blocks is not None:
            tokens = generator.make_tokens(activations, labels, shared)
            found.append(_layer_attention(spec.index, generator, *tokens))
            generated = read_convolution(blocks[tf.newaxis], spec, model.config.generator)
        activations, _ = model.run_support_layer(index, activations, generated, None)
    tokens = model.logits_generator.make_tokens(activations, labels, shared, classes=n_way)
    found.append(_layer_attention(model.architecture.logits.index, model.logits_generator, *tokens))
    return tuple(found)


def _layer_attention(
    cnn_layer: int, generator: WeightGenerator, samples: tf.Tensor, weights: tf.Tensor
) -> LayerAttention:
    return LayerAttention(cnn_layer, weights.shape[1], samples.shape[1], _maps(generator, samples, weights))


def _maps(generator: WeightGenerator, samples: tf.Tensor, weights: tf.Tensor) -> Dict[str, np.ndarray]:
    """Goes through all of the transformer of `WeightGenerator.call`, for samples (1, S, D) and weights (1, W, E)."""
    separate = generator.config.variant == "separate"
    sequence = weights if separate else tf.concat([weights, samples], 1)
    encoded, maps = samples if separate else sequence, {}
    for layer in generator.encoder:
        maps[layer.name] = _weights(layer.self_attention, encoded, encoded)
        encoded = layer(encoded)
    for layer in generator.decoder:
        maps[f"{layer.name}/self"] = _weights(layer.self_attention, sequence, sequence)
        update = layer.self_attention(sequence, sequence)
        maps[f"{layer.name}/cross"] = _weights(
            layer.cross_attention, layer.self_attention_norm(sequence + update), encoded
        )
        sequence = layer(sequence, encoded)
    return maps


def _weights(attention: MultiHeadAttention, queries: tf.Tensor, keys: tf.Tensor) -> np.ndarray:
    return np.array(attention.attention_weights(queries, keys)[0], np.float32)
