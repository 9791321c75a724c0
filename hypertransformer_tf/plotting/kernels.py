"""Kernels that were generated for two episodes, and their difference."""

from typing import Any, Sequence, Tuple

import numpy as np

from hypertransformer_tf.inspection.kernels import kernel_grid
from hypertransformer_tf.plotting.canvas import new_figure

_PANEL = 2.8  # inches


def kernel_panels(first: np.ndarray, second: np.ndarray) -> Tuple[np.ndarray, ...]:
    """One layer's kernels of two episodes and second - first, as pictures (rows, columns) float32.

    Args:
      first, second: (k, k, c_in, c_out) of a convolution, or (d, n_way) of the logits layer. Logits layers of
        different n_way have no difference; it is then left out.
    """
    panels = [kernel_grid(kernel) if kernel.ndim == 4 else kernel for kernel in (first, second)]
    if first.shape == second.shape:
        panels.append(panels[1] - panels[0])
    return tuple(panels)


def largest(panels: Sequence[np.ndarray]) -> float:
    """The largest size of a value in some panels, 1 if all are 0: where their colours end."""
    return max(float(np.nanmax(np.abs(panel))) for panel in panels) or 1.0


def show_kernels(axes: Any, panel: np.ndarray, limit: float, title: str) -> Any:
    """Draws a panel in colours from -limit to limit; returns the image, for a colour bar."""
    image = axes.imshow(panel, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_title(title, fontsize=7)
    axes.set_xticks([])
    axes.set_yticks([])
    return image


def draw_kernels(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], generated: Sequence[bool], titles: Tuple[str, str]
) -> Any:
    """A figure with a row for each CNN layer: two episodes and their difference, in the same colours.

    Args:
      first, second: kernels of each layer, as `generated_kernels` gives them.
      generated: whether a layer is.
      titles: of the two episodes.
    """
    figure = new_figure(_PANEL * 3, _PANEL * len(first) + 0.4)
    figure.suptitle("generated kernels (a row per input, a column per output channel)")
    for row, kernels in enumerate(zip(first, second)):
        panels = kernel_panels(*kernels)
        limit = largest(panels[:2])
        what = f"layer {row + 1}{'' if generated[row] else ', trained'}"
        for column, (panel, name) in enumerate(zip(panels, (*titles, "difference"))):
            axes = figure.add_subplot(len(first), 3, 3 * row + column + 1)
            image = show_kernels(axes, panel, limit, f"{what}: {name}")
        figure.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=6)
    return figure
