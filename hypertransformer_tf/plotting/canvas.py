"""What all figures share: one style, and files that hold nothing of when and where they were drawn."""

import contextlib
import importlib.util
import io
import warnings
from typing import Any, Dict, Iterator

COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8d6a9f", "#c98b10")
KINDS = ("png", "svg")
_STYLE: Dict[Any, Any] = {
    "svg.hashsalt": "hypertransformer",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "savefig.dpi": 120,
    "text.parse_math": False,  # names of classes are shown as they are
}


def can_draw() -> bool:
    """Whether matplotlib is installed: the library itself does without."""
    return importlib.util.find_spec("matplotlib") is not None


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The settings to draw and save with, whatever the user's own are. Raises ImportError without matplotlib."""
    import matplotlib

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a class named in a script the font lacks
        warnings.filterwarnings("ignore", message="Creating legend with loc")  # on a busy machine
        yield


def new_figure(width: float, height: float) -> Any:
    """An empty `matplotlib.figure.Figure`, in inches; needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def saved(figure: Any) -> dict[str, bytes]:
    """The figure as {'png': ..., 'svg': ...}: the same bytes for the same figure, on the same matplotlib."""
    return {kind: _bytes_of(figure, kind) for kind in KINDS}


def _bytes_of(figure: Any, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return file.getvalue()
