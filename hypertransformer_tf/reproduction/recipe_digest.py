"""A short name of a configuration: models of a row whose names differ are not to be averaged."""

import hashlib
import json
from typing import Any, Mapping

from hypertransformer_tf.config_record import without_defaults

_APART = ("training.seed", "data.data_dir")  # which models of one row differ in
_DIGITS = 16


def recipe_digest(configuration: Mapping[str, Mapping[str, Any]]) -> str:
    """Hexadecimal digits that all seeds of a row share, wherever their data lies.

    Only what is not at its default counts, so that a parameter that the library gains later changes no name.

    Args:
      configuration: of `Experiment.effective`.
    """
    values = {name: value for name, value in without_defaults(configuration).items() if name not in _APART}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_DIGITS]
