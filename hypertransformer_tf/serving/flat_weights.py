"""Generated weights as one flat vector per task, the form in which a client keeps them between two requests.

The vector holds everything the generated CNN computes with, so that `classify` needs nothing else: kernels, scale and
offset, the support set's statistics, logits. Its layout is the same for every request of a model.
"""

from typing import Dict, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow as tf

from hypertransformer_tf.cnn.normalisation import Statistics
from hypertransformer_tf.cnn.weights import ConvolutionWeights, GeneratedWeights, LogitsWeights
from hypertransformer_tf.model.hypertransformer import HyperTransformer


class FlatTensor(NamedTuple):
    """Where one tensor lies in the flat vector, in C order.

    Attributes:
      name: such as `convolution_1/kernel`; the names and shapes are those of `weights.npz`.
      shape: () for a scalar.
      offset: index of its first value.
    """

    name: str
    shape: Tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of its values."""
        return int(np.prod(self.shape, dtype=np.int64))


Layout = Tuple[FlatTensor, ...]


def flat_layout(model: HyperTransformer) -> Layout:
    """The tensors of a generated CNN of this (inductive) model, in order."""
    shapes: Dict[str, Tuple[int, ...]] = {}
    for spec in model.architecture.convolutions:
        channels = spec.kernel_shape[-1:]
        tensors: Dict[str, Tuple[int, ...]] = {"kernel": spec.kernel_shape}
        if model.config.generator.bias:
            tensors["bias"] = channels
        tensors.update(dict.fromkeys(("gamma", "beta", "mean", "variance"), channels))
        if model.config.cnn.normalisation == "task":
            tensors["own_share"] = ()
        shapes.update({f"convolution_{spec.index}/{name}": shape for name, shape in tensors.items()})
    shapes["logits/kernel"] = (model.architecture.logits.input_size, model.n_way)
    shapes["logits/bias"] = (model.n_way,)
    layout, offset = [], 0
    for name, shape in shapes.items():
        layout.append(FlatTensor(name, shape, offset))
        offset += layout[-1].size
    return tuple(layout)


def flat_size(layout: Layout) -> int:
    """Number of values of the flat vector."""
    return layout[-1].offset + layout[-1].size


def flatten(weights: GeneratedWeights, layout: Layout, tasks: tf.Tensor) -> tf.Tensor:
    """Weights of a task batch as (T, size) float32; tensors that all tasks share are repeated.

    Args:
      weights: of a task batch.
      layout: of their model.
      tasks: T.
    """
    named = _named(weights)
    parts = [tf.reshape(named[tensor.name], (-1, tensor.size)) for tensor in layout]
    return tf.concat([tf.broadcast_to(part, (tasks, part.shape[1])) for part in parts], axis=1)


def unflatten(flat: tf.Tensor, layout: Layout) -> GeneratedWeights:
    """Inverse of `flatten`: (T, size) -> weights of a task batch, without blocks, heads and shared features."""
    tensors = {}
    for tensor in layout:
        values = flat[:, tensor.offset : tensor.offset + tensor.size]
        tensors[tensor.name] = tf.reshape(values, (-1,) + tensor.shape)
    layers = _layer_names(layout)
    convolutions = tuple(_convolution(tensors, layer) for layer in layers[:-1])
    logits = LogitsWeights(tensors["logits/kernel"], tensors["logits/bias"])
    return GeneratedWeights(convolutions, logits, heads=(), blocks=(), shared_features=None)


def _convolution(tensors: Mapping[str, tf.Tensor], layer: str) -> ConvolutionWeights:
    kernel, bias, gamma, beta, *statistics = (
        tensors.get(f"{layer}/{name}") for name in ("kernel", "bias", "gamma", "beta", "mean", "variance", "own_share")
    )
    return ConvolutionWeights(kernel, bias, gamma, beta, Statistics(*statistics))


def _named(weights: GeneratedWeights) -> Dict[str, tf.Tensor]:
    named = {"logits/kernel": weights.logits.kernel, "logits/bias": weights.logits.bias}
    for index, layer in enumerate(weights.convolutions, 1):
        tensors = layer._asdict()
        tensors.update(tensors.pop("statistics")._asdict())
        named.update({f"convolution_{index}/{name}": tensor for name, tensor in tensors.items()})
    return named


def _layer_names(layout: Sequence[FlatTensor]) -> Tuple[str, ...]:
    return tuple(dict.fromkeys(tensor.name.split("/")[0] for tensor in layout))
