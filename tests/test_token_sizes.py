"""Token sizes that are worked out from settings are those of the model that is made of them."""

import pytest
from small_model import N_WAY, SHAPE, changed

from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.model.token_sizes import token_sizes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"transformer": {"variant": "encoder_decoder"}},
        {"features": {"shared_layers": 0, "local_dim": 7, "local_layers": 3}},
        {"features": {"local_dim": 0}},
        {"features": {"logits": "mix"}, "cnn": {"trained_layers": 2, "warmup_heads": "generated"}},
        {"features": {"logits": "passthrough", "local_dim": 0}},
        {"features": {"logits": "mix"}, "cnn": {"architecture": "3-layer", "warmup_heads": "generated"}},
        {"cnn": {"architecture": "2-layer", "kernel_size": 5, "stride": 2}, "generator": {"allocation": "spatial"}},
        {"cnn": {"architecture": "no-convolutions"}, "features": {"logits": "passthrough"}},
        {"cnn": {"trained_layers": -3, "warmup_heads": "trained"}, "generator": {"bias": True, "batch_norm": True}},
    ],
)
@pytest.mark.parametrize("variant", ["encoder", "separate"])
def test_they_are_those_of_the_generators(changes, variant):
    config = changed(**{"transformer": {"variant": variant, "heads": 1, "layers": 1}, **changes})
    model = HyperTransformer(SHAPE, N_WAY, config)
    made = [each for each in model.generators if each is not None]
    if config.cnn.warmup_heads == "generated":
        made += model.heads
    assert list(token_sizes(config, model.architecture)) == [(each.sample_size, each.weight_size) for each in made]
