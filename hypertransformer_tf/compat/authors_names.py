"""The authors' names of a model's variables.

Their names follow TensorFlow 1's scopes: counters of layer norms run over the whole graph in the order of creation,
embeddings are one variable per label or weight token, and every CNN layer has moving statistics that nothing reads.
"""

from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

import keras

from hypertransformer_tf.layers.features import LocalFeatures, LogitsFeatures
from hypertransformer_tf.layers.trained_weights import TrainedConvolution, TrainedLogits
from hypertransformer_tf.layers.transformer import EncoderLayer
from hypertransformer_tf.layers.weight_generator import WeightGenerator
from hypertransformer_tf.model.hypertransformer import HyperTransformer

SHARED_HEAD = ("loss/shared_head/fc/kernel", "loss/shared_head/fc/bias")


class Place(NamedTuple):
    """Where a variable of the authors' belongs.

    Attributes:
      variable: ours; None for one that is theirs only and that nothing computes with.
      row: index into our variable's first axis, or None for all of it.
      shape: of the authors' variable.
    """

    variable: Optional[Any]
    row: Optional[int]
    shape: Tuple[int, ...]


Named = Iterator[Tuple[str, Place]]


def authors_variables(model: HyperTransformer) -> Dict[str, Place]:
    """Places of all variables that the authors' program has for this model, by the authors' names."""
    return dict(_model_variables(model))


def _whole(variable: Any) -> Place:
    return Place(variable, None, tuple(variable.shape))


def _model_variables(model: HyperTransformer) -> Named:
    if model.shared_features is not None:
        yield from _shared_features(model.shared_features)
    norms = _LayerNormCounter()
    architecture = model.architecture
    for index, generator in enumerate(model.generators):
        if generator is not None:
            yield from _generator(generator, index + 1, norms)
    for spec, layer in zip(architecture.convolutions, model.support_weights):
        yield from _convolution(layer, f"model/cnn/layer_{spec.index}", "")
    if model.config.cnn.separate_query_variables:
        for spec, layer in zip(architecture.convolutions, model.query_weights):
            yield from _convolution(layer, f"model/cnn/layer_{spec.index}", "-eval")
    yield from _logits(model)
    yield from _heads(model)
    if model.shared_head is not None:
        yield from zip(SHARED_HEAD, map(_whole, (model.shared_head.kernel, model.shared_head.bias)))


def _dense(layer: keras.layers.Layer, scope: str) -> Named:
    yield f"{scope}/kernel", _whole(layer.kernel)
    yield f"{scope}/bias", _whole(layer.bias)


def _shared_features(layer: Any) -> Named:
    for index, (kernel, bias, _) in enumerate(layer.convolutions, start=1):
        yield f"model/shared_features/layer_{index}/kernel", _whole(kernel)
        yield f"model/shared_features/layer_{index}/bias", _whole(bias)
    for index, (gamma, beta) in enumerate(layer.norms):
        scope = "model/shared_features/batch_normalization" + (f"_{index}" if index else "")
        yield f"{scope}/gamma", _whole(gamma)
        yield f"{scope}/beta", _whole(beta)
        yield from _moving_statistics(scope, "", layer.features)


class _LayerNormCounter:
    """TensorFlow 1 numbers layer norms over the whole graph, and not the first one."""

    def __init__(self) -> None:
        self._count = 0

    def next_name(self) -> str:
        self._count += 1
        return "layer_normalization" + (f"_{self._count - 1}" if self._count > 1 else "")

    def skip(self) -> None:
        self._count += 1


def _generator(generator: WeightGenerator, index: int, norms: _LayerNormCounter) -> Named:
    setup = f"model/cnn_builder/layer_{index}_generator_setup"
    labels = generator.sample_tokens.label_embeddings
    for label in range(labels.shape[0]):
        yield f"{setup}/label_embeddings/label_{label}", Place(labels, label, (labels.shape[1],))
    weights = generator.weight_tokens.weight_embeddings
    for token in range(weights.shape[0]):
        yield f"{setup}/weight_embeddings/weight_{token}", Place(weights, token, (weights.shape[1],))
    scope = f"model/cnn_builder/builder_layer_{index}_generator"
    yield from _local_features(generator.local_features, f"{scope}/feature_extractor")
    # Scopes of variables are entered once, scopes of names anew for every CNN layer, and then they are numbered.
    norm_scope = f"model/cnn_builder{f'_{index - 1}' if index > 1 else ''}/builder_layer_{index}_generator/transformer"
    for kind, layers in (("encoder", generator.encoder), ("decoder", generator.decoder)):
        for number, layer in enumerate(layers, start=1):
            inner = f"layer_{number}_1/layer_{number}" if kind == "decoder" else f"layer_{number}/layer_{number}"
            yield from _transformer_layer(
                layer, f"{scope}/transformer/transformer/{kind}/layer_{number}", f"{norm_scope}/{inner}", norms
            )


def _local_features(layer: Any, scope: str) -> Named:
    if isinstance(layer, LogitsFeatures):
        layer = layer.convolution
    if isinstance(layer, LocalFeatures):
        for index, (kernel, bias, _) in enumerate(layer.convolutions, start=1):
            yield f"{scope}/layer_{index}/kernel", _whole(kernel)
            yield f"{scope}/layer_{index}/bias", _whole(bias)


def _transformer_layer(layer: Any, scope: str, norm_scope: str, norms: _LayerNormCounter) -> Named:
    if isinstance(layer, EncoderLayer):
        attentions = [("attention", layer.self_attention, layer.self_attention_norm)]
    else:
        attentions = [
            ("attention_1", layer.self_attention, layer.self_attention_norm),
            ("attention_2", layer.cross_attention, layer.cross_attention_norm),
        ]
    for name, attention, norm in attentions:
        for theirs, ours in (("q", "query"), ("k", "key"), ("v", "value"), ("fc", "output_projection")):
            yield from _dense(getattr(attention, ours), f"{scope}/{name}/{theirs}")
        yield from _norm(norm, f"{norm_scope}/{norms.next_name()}")
    if layer.feed_forward is None:
        norms.skip()
        return
    yield from _dense(layer.feed_forward.inner, f"{scope}/fc/layer_1")
    yield from _dense(layer.feed_forward.outer, f"{scope}/fc/layer_2")
    yield from _norm(layer.feed_forward_norm, f"{norm_scope}/{norms.next_name()}")


def _norm(layer: keras.layers.Layer, scope: str) -> Named:
    yield f"{scope}/gamma", _whole(layer.gamma)
    yield f"{scope}/beta", _whole(layer.beta)


def _convolution(layer: TrainedConvolution, scope: str, suffix: str) -> Named:
    for name, variable in (("kernel", layer.kernel), ("bias", layer.bias)):
        if variable is not None:
            yield f"{scope}/conv/{name}{suffix}", _whole(variable)
    for name, variable in (("gamma", layer.gamma), ("beta", layer.beta)):
        if variable is not None:
            yield f"{scope}/batch_normalization/{name}{suffix}", _whole(variable)
    yield from _moving_statistics(f"{scope}/batch_normalization", suffix, layer.kernel_shape[-1])


def _moving_statistics(scope: str, suffix: str, channels: int) -> Named:
    for name in ("moving_mean", "moving_variance"):
        yield f"{scope}/{name}{suffix}", Place(None, None, (channels,))


def _logits(model: HyperTransformer) -> Named:
    if model.trained_logits is None:
        return
    scope = f"model/cnn/layer_{model.architecture.logits.index}/fc"
    places = dict(_dense(model.trained_logits, scope))
    if model.config.cnn.separate_query_variables:
        # The pass over the support set runs the logits layer too, with variables whose result nothing reads.
        for name, place in places.items():
            yield name, place._replace(variable=None)
        places = {f"{name}-eval": place for name, place in places.items()}
    yield from places.items()


def _heads(model: HyperTransformer) -> Named:
    suffix = "-eval" if model.config.cnn.separate_query_variables else ""
    for index, head in enumerate(model.heads, start=1):
        if isinstance(head, TrainedLogits):
            for name, place in _dense(head, f"model/cnn/head_layer_{index}/fc"):
                yield f"{name}{suffix}", place
