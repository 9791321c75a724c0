"""The arrays of a checkpoint, copied while training waits."""

from typing import Any, Dict, Mapping, Optional

import numpy as np

from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.runs.state import model_arrays, optimizer_arrays
from hypertransformer_tf.training.flat_update import FlatUpdate


def checkpoint_arrays(model: HyperTransformer, optimizer: Any, update: FlatUpdate) -> Dict[str, np.ndarray]:
    """Copies by name of all that a run goes on from; under `model/` the average, if one is kept. The model is first."""
    with update.averaged():
        return {**model_arrays(model), **optimizer_arrays(optimizer), **update.state()}


def first_not_finite(arrays: Mapping[str, np.ndarray]) -> Optional[str]:
    """The name of the first array that holds an infinity or NaN, or None."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)
