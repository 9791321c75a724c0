"""Settings of a model: a value that no layer can be made of is refused where it is set."""

import pytest

from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig


@pytest.mark.parametrize(
    "config, parameter, value",
    [
        (FeaturesConfig, "features.shared_layers", 4.0),
        (FeaturesConfig, "features.shared_layers", False),
        (FeaturesConfig, "features.shared_layers", 1),
        (CnnConfig, "cnn.trained_layers", True),
        (CnnConfig, "cnn.trained_layers", -2.0),
        (CnnConfig, "cnn.trained_layers", 5),
    ],
)
def test_a_number_of_layers_is_a_whole_number_of_those_there_are(config, parameter, value):
    with pytest.raises(UserError) as caught:
        config(**{parameter.partition(".")[2]: value})
    assert str(caught.value).startswith(f"{parameter} = {value!r}: it must be a whole number, one of ")


@pytest.mark.parametrize("name", ["query_key_size", "value_size", "inner_size"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, pytest.param(10**400, id="huge"), True, "1"])
def test_sizes_are_finite(name, value):
    with pytest.raises(UserError, match=f"transformer.{name} = .* is not right: use a fraction of the token size"):
        TransformerConfig(**{name: value})
