"""A short name of a configuration: models of a row whose names differ are not to be averaged."""

import hashlib
import json
from typing import Any, Mapping

from hypertransformer_tf.config_record import without_defaults

# What models of one row may differ in: they are none the worse for comparison.
_APART = ("training.seed", "data.data_dir", "training.checkpoint_every", "training.log_every")
_DIGITS = 16


def recipe_digest(configuration: Mapping[str, Mapping[str, Any]]) -> str:
    """Hexadecimal digits that all seeds of a row share, wherever their data lies.

    Only what is not at its default counts, so that a parameter that the library gains later changes no name. Nor does
    a default that the library changes later, which it therefore must not do to what a row's result depends on.

    Args:
      configuration: of `Experiment.effective`.
    """
    values = {name: value for name, value in without_defaults(configuration).items() if name not in _APART}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_DIGITS]
