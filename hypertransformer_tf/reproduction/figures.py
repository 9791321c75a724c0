"""Figures of results, drawn by matplotlib: the same bytes from the same results, on the same matplotlib."""

import importlib.util
import io
import math
from typing import Any, Mapping, Sequence

from hypertransformer_tf.reproduction.index import IndexRow, columns_of, in_parts, number_of
from hypertransformer_tf.reproduction.results import RowResult

_COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8d6a9f", "#c98b10")
_PANELS_ABREAST = 3
_PANEL_SIZE = (4.2, 3.2)  # inches
# Fixed, so that nothing in a file depends on when and where it was drawn.
_STYLE = {"svg.hashsalt": "hypertransformer", "font.family": "DejaVu Sans", "font.size": 9, "savefig.dpi": 120}


def can_draw() -> bool:
    """Whether matplotlib is installed: the library itself does without."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_figure(name: str, budget: str, rows: Sequence[IndexRow], results: Mapping[str, RowResult]) -> dict[str, bytes]:
    """A figure as {'png': ..., 'svg': ...}.

    One panel for each `panel`, one line for each `series`: our accuracy with its 95% interval as a filled mark, single
    seeds as dots, the paper's number as a hollow mark.

    Raises:
      ImportError: matplotlib is not installed; see `can_draw`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = in_parts(rows, lambda row: row.panel)
    abreast = min(_PANELS_ABREAST, len(panels))
    below = math.ceil(len(panels) / abreast)
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        figure = Figure(figsize=(_PANEL_SIZE[0] * abreast, _PANEL_SIZE[1] * below), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(f"{name}, budget {budget.replace('_', ' ')}; hollow: paper, full training, at second hand")
        for number, (panel, of_panel) in enumerate(panels.items()):
            _draw_panel(figure.add_subplot(below, abreast, number + 1), panel, of_panel, results)
        return {kind: _saved(figure, kind) for kind in ("png", "svg")}


def _draw_panel(axes: Any, title: str, rows: Sequence[IndexRow], results: Mapping[str, RowResult]) -> None:
    columns = columns_of(rows)
    place = {x: index for index, x in enumerate(columns)}  # evenly, as the paper's axes double their values
    of_paper = {row.series for row in rows if row.paper}
    for colour, (series, of_series) in zip(_COLOURS * len(rows), in_parts(rows, lambda row: row.series).items()):
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


def _saved(figure: Any, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return file.getvalue()
