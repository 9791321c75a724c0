"""Where pictures lie in the space of the shared features: t-SNE (van der Maaten and Hinton, 2008)."""

from typing import Any, Dict, Optional, Sequence

import numpy as np

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.plotting.canvas import new_figure

_FEWEST = 4  # pictures: fewer have no neighbourhood
_PERPLEXITY = 30.0
_MARKS = "osD^vP*X<>"


def shared_features(model: HyperTransformer, images: np.ndarray) -> Optional[np.ndarray]:
    """(N, features) float32 of images (N, H, W, C) uint8; None for a model without a shared extractor."""
    features = model.share(images[np.newaxis])
    return None if features is None else np.array(features[0], np.float32)


def positions(features: np.ndarray) -> np.ndarray:
    """(N, 2) float32 by t-SNE, the same for the same features (N, F).

    Raises:
      UserError: there are fewer than four, or all are the same.
    """
    if len(features) < _FEWEST:
        raise UserError(f"t-SNE of {len(features)} pictures: at least {_FEWEST} are needed.")
    if not np.ptp(features, axis=0).any():
        raise UserError("t-SNE of the shared features: they are the same for all pictures.")
    from sklearn.manifold import TSNE  # late: it takes a second

    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", method="exact", random_state=0).fit_transform(features)


def draw_embedding(places: np.ndarray, classes: np.ndarray, class_names: Sequence[str], title: str) -> Any:
    """A figure of pictures at (N, 2), coloured by class (N,), an index into the names, -1 for none."""
    import matplotlib

    figure = new_figure(6.4, 4.8)
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["tab10"]
    for index in range(-1, len(class_names)):
        chosen = places[classes == index]
        if not len(chosen):
            continue
        look: Dict[str, Any] = {"color": "lightgrey", "label": "no label"}
        if index >= 0:
            look = {"color": colours(index % 10), "marker": _MARKS[index // 10 % 10], "label": class_names[index]}
        axes.scatter(chosen[:, 0], chosen[:, 1], s=16, **look)
    axes.set_title(f"{title}: shared features, t-SNE")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
