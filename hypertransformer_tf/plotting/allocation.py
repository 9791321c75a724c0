"""Output against spatial allocation: kernels that two models generate for the same two episodes."""

from typing import Any, NamedTuple, Sequence, Tuple

import numpy as np

from hypertransformer_tf.inspection.kernels import generated_kernels
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.plotting.canvas import new_figure
from hypertransformer_tf.plotting.kernels import kernel_panels, largest, show_kernels
from hypertransformer_tf.plotting.subject import ShownEpisode

_PANEL = 2.8  # inches


class LayerKernels(NamedTuple):
    """A generated convolution, counted from 1 in the CNN, and its kernels (k, k, c_in, c_out) of two episodes."""

    cnn_layer: int
    first: np.ndarray
    second: np.ndarray


def convolution_kernels(model: HyperTransformer, first: ShownEpisode, second: ShownEpisode) -> Tuple[LayerKernels, ...]:
    """What a model writes for two episodes: one entry for each generated convolution, float32.

    Raises:
      UserError: what `model.generate` refuses.
    """
    found = [generated_kernels(model, each.images, each.labels, len(each.class_names)) for each in (first, second)]
    return tuple(
        LayerKernels(spec.index, *kernels)
        for spec, *kernels in zip(model.architecture.convolutions, *found)
        if spec.generated
    )


def draw_allocation(
    one: Sequence[LayerKernels], other: Sequence[LayerKernels], models: Tuple[str, str], episodes: Tuple[str, str]
) -> Any:
    """A figure with a row for each generated convolution: of each model the kernels, and their change, in its colours.

    Args:
      one, other: kernels of two models with the same convolutions.
      models: titles of the two.
      episodes: titles of the two.
    """
    figure = new_figure(_PANEL * 4, _PANEL * len(one) + 0.4)
    figure.suptitle("generated kernels of two models (a row per input, a column per output channel)")
    for row, layers in enumerate(zip(one, other)):
        for place, (layer, model) in enumerate(zip(layers, models)):
            kernels, _, change = kernel_panels(layer.first, layer.second)
            limit = largest((kernels, change))  # of each model its own: one may write far larger values
            for column, (panel, what) in enumerate(((kernels, episodes[0]), (change, f"change to {episodes[1]}"))):
                axes = figure.add_subplot(len(one), 4, 4 * row + 2 * place + column + 1)
                image = show_kernels(axes, panel, limit, f"layer {layer.cnn_layer}, {model}\n{what}")
            figure.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=6)
    return figure
