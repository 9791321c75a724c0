"""Attention maps with the samples sorted by label: in the logits layer they look like stairs (paper, Section 3.2)."""

from typing import Any, Sequence

import numpy as np

from hypertransformer_tf.inspection.attention_maps import LayerAttention
from hypertransformer_tf.plotting.canvas import new_figure

_PANEL = 2.6  # inches


def order_by_label(labels: np.ndarray) -> np.ndarray:
    """(S,) int64 positions of samples (S,) by label, those without one (-1) last, otherwise as they are."""
    labels = np.asarray(labels)
    return np.argsort(np.where(labels < 0, labels.max(initial=0) + 1, labels), kind="stable")


def sorted_map(layer: LayerAttention, name: str, labels: np.ndarray) -> np.ndarray:
    """One map (heads, queries, keys) of a layer with its samples sorted by label; weight tokens stay in front."""
    order, found = order_by_label(labels), layer.maps[name]
    whole = np.concatenate([np.arange(layer.weight_tokens), layer.weight_tokens + order])
    weights = np.arange(layer.weight_tokens)
    if found.shape[-1] == layer.weight_tokens + layer.samples:
        return found[:, whole][:, :, whole]
    if name.endswith("/self"):
        return found
    queries = weights if name.endswith("/cross") else order
    return found[:, queries][:, :, order]


def stairs(layer: LayerAttention, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What each weight token takes from each sample, by name of the transformer's layer.

    Args:
      layer: of `attention_maps`.
      labels: (S,) int, -1 = no label.

    Returns:
      (heads, W, S) float32, samples sorted by label; only layers in which weight tokens look at samples.
    """
    found = {}
    for name in layer.maps:
        one = sorted_map(layer, name, labels)
        if one.shape[-1] == layer.weight_tokens + layer.samples:
            found[name] = one[:, : layer.weight_tokens, layer.weight_tokens :]
        elif name.endswith("/cross"):
            found[name] = one
    return found


def draw_attention(layers: Sequence[LayerAttention], labels: np.ndarray, title: str) -> Any:
    """A figure of all maps, mean over heads: a row for each generated CNN layer, a column per transformer layer."""
    columns = max(len(layer.maps) for layer in layers)
    figure = new_figure(_PANEL * columns, _PANEL * len(layers) + 0.4)
    figure.suptitle(f"{title}: attention, mean over heads; rows take from columns")
    for row, layer in enumerate(layers):
        for column, name in enumerate(layer.maps):
            axes = figure.add_subplot(len(layers), columns, row * columns + column + 1)
            values = sorted_map(layer, name, labels).mean(axis=0)
            _show(figure, axes, values)
            axes.set_title(f"CNN layer {layer.cnn_layer}, {name.replace('_', ' ')}", fontsize=8)
            if values.shape[1] == layer.weight_tokens + layer.samples:
                _divide(axes, layer.weight_tokens)
    return figure


def draw_stairs(layer: LayerAttention, labels: np.ndarray, class_names: Sequence[str], title: str) -> Any:
    """A figure of what the logits layer's tokens take from the samples: rows are heads, columns transformer layers."""
    maps = stairs(layer, labels)
    heads = max(len(values) for values in maps.values())
    figure = new_figure((_PANEL + 0.6) * len(maps), _PANEL * heads + 0.4)
    figure.suptitle(f"{title}: logits layer, attention of classes to samples by label")
    ends = np.cumsum(np.bincount(labels[labels >= 0], minlength=layer.weight_tokens))
    for column, (name, values) in enumerate(maps.items()):
        for head, one in enumerate(values):
            axes = figure.add_subplot(heads, len(maps), head * len(maps) + column + 1)
            _show(figure, axes, one)
            axes.set_aspect("auto")
            axes.set_title(f"{name.replace('_', ' ')}, head {head + 1}", fontsize=8)
            axes.set_yticks(range(len(class_names)), [_short(each) for each in class_names], fontsize=6)
            for end in ends:
                axes.axvline(end - 0.5, color="white", linewidth=0.5)
            if ends[-1] < len(labels):
                axes.set_xticks([(ends[-1] + len(labels) - 1) / 2], ["no label"], fontsize=6)
    return figure


def _show(figure: Any, axes: Any, values: np.ndarray) -> None:
    image = axes.imshow(values, cmap="magma", vmin=0.0, interpolation="nearest")
    figure.colorbar(image, ax=axes, shrink=0.7).ax.tick_params(labelsize=6)
    axes.set_xticks([])
    axes.set_yticks([])


def _divide(axes: Any, weight_tokens: int) -> None:
    """Lines between weight tokens and samples."""
    axes.axvline(weight_tokens - 0.5, color="white", linewidth=0.8)
    axes.axhline(weight_tokens - 0.5, color="white", linewidth=0.8)


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"
