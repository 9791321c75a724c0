"""Figures of results, drawn by matplotlib: the same bytes from the same results, on the same matplotlib."""

import math
from typing import Any, Mapping, Sequence

from hypertransformer_tf.plotting.canvas import COLOURS, new_figure, saved, style
from hypertransformer_tf.reproduction.index import IndexRow, columns_of, in_parts, number_of
from hypertransformer_tf.reproduction.results import RowResult

_PANELS_ABREAST = 3
_PANEL_SIZE = (4.2, 3.2)  # inches
_ALONG = {
    "channels": "channels",
    "figure_3": "channels",
    "methods": "channels",
    "colour": "channels",
    "figure_4": "unlabelled samples per class",
    "allocation": "weights of a token: an output channel's, or a place's of the kernel",
}


def draw_figure(name: str, budget: str, rows: Sequence[IndexRow], results: Mapping[str, RowResult]) -> dict[str, bytes]:
    """A figure as {'png': ..., 'svg': ...}.

    One panel for each `panel` of which there is anything to show, one line for each `series`: our accuracy with its
    95% interval as a filled mark, single seeds as dots, the paper's number as a hollow mark.

    Raises:
      ImportError: matplotlib is not installed; see `can_draw` of `plotting/canvas.py`.
    """
    panels = in_parts(_shown(rows, results), lambda row: row.panel)
    abreast = min(_PANELS_ABREAST, len(panels))
    below = math.ceil(len(panels) / abreast)
    with style():
        figure = new_figure(_PANEL_SIZE[0] * abreast, _PANEL_SIZE[1] * below)
        hollow = "\nhollow: the paper, full training, at second hand" if any(row.paper for row in rows) else ""
        figure.suptitle(f"{name}, budget {budget.replace('_', ' ')}{hollow}", fontsize=9)
        for number, (panel, of_panel) in enumerate(panels.items()):
            axes = figure.add_subplot(below, abreast, number + 1)
            _draw_panel(axes, panel, of_panel, results)
            axes.set_xlabel(_ALONG.get(name, ""), fontsize=8)
        return saved(figure)


def _shown(rows: Sequence[IndexRow], results: Mapping[str, RowResult]) -> Sequence[IndexRow]:
    """The rows of panels in which there is a point; all of them if there is none at all."""
    known = {row.panel for row in rows if row.paper or (row.name in results and results[row.name].seeds)}
    return [row for row in rows if row.panel in known] or rows


def _draw_panel(axes: Any, title: str, rows: Sequence[IndexRow], results: Mapping[str, RowResult]) -> None:
    columns = columns_of(rows)
    place = {x: index for index, x in enumerate(columns)}  # evenly, as the paper's axes double their values
    of_paper = {row.series for row in rows if row.paper}
    for colour, (series, of_series) in zip(COLOURS * len(rows), in_parts(rows, lambda row: row.series).items()):
        _draw_ours(axes, place, of_series, results, colour, series)
        paper = [(place[row.x], number_of(row.paper)) for row in of_series if row.paper]
        if paper:
            label = f"{series}, paper" if len(of_paper) > 1 else "paper"
            axes.plot(*zip(*paper), "s", markerfacecolor="none", markeredgecolor=colour, label=label)
    axes.set_title(title)
    axes.set_ylabel("accuracy, %")
    upright = sum(len(x) for x in columns) < 40
    axes.set_xticks(range(len(columns)), columns, rotation=0 if upright else 90)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)


def _draw_ours(
    axes: Any,
    place: Mapping[str, int],
    rows: Sequence[IndexRow],
    results: Mapping[str, RowResult],
    colour: str,
    series: str,
) -> None:
    done = [(place[row.x], results[row.name]) for row in rows if row.name in results and results[row.name].seeds]
    if not done:
        return
    done.sort(key=lambda point: point[0])
    x = [where for where, _ in done]
    axes.errorbar(
        x,
        [result.accuracy for _, result in done],
        yerr=[result.interval for _, result in done],
        fmt="o-",
        color=colour,
        capsize=3,
        label=series,
    )
    if all(result.train_accuracy is not None for _, result in done):
        training = [result.train_accuracy for _, result in done]
        axes.plot(x, training, ":", color=colour, label=f"{series}, training classes")
    for where, result in done:
        if len(result.seeds) > 1:
            axes.plot([where] * len(result.seeds), [100 * seed.accuracy for seed in result.seeds], ".", color="black")
