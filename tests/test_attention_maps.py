"""Attention maps are the weights with which `generate` really wrote the CNN."""

import numpy as np
import numpy_reference as reference
import pytest
from small_model import LABELS, SUPPORT, changed, make_model

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.inspection.attention_maps import attention_maps
from hypertransformer_tf.layers.attention import MultiHeadAttention

IMAGES, SHOWN = SUPPORT[0], LABELS[0]
SAMPLES = len(SHOWN)


def _all_maps(found):
    """Each map, with the number of weight tokens in its generator."""
    return [(layer.weight_tokens, attention) for layer in found for attention in layer.maps.values()]


@pytest.fixture
def computed(monkeypatch):
    """Every attention weight (heads, N, M) that a model computes from here on, in order."""
    seen, weigh = [], MultiHeadAttention._weigh

    def remember(layer, *arguments):
        weights = weigh(layer, *arguments)
        seen.append(np.array(weights[0]))
        return weights

    monkeypatch.setattr(MultiHeadAttention, "_weigh", remember)
    return seen


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param(
            {"transformer": {"attention": "sigmoid"}, "cnn": {"normalisation": "support"}}, marks=pytest.mark.slow
        ),
        pytest.param({"transformer": {"variant": "encoder_decoder"}}, marks=pytest.mark.slow),
        pytest.param({"transformer": {"variant": "separate", "heads": 1}}, marks=pytest.mark.slow),
        pytest.param({"cnn": {"trained_layers": 2}, "features": {"shared_layers": 0}}, marks=pytest.mark.slow),
        pytest.param(
            {"generator": {"add_trained_weights": True, "bias": True, "batch_norm": True}}, marks=pytest.mark.slow
        ),
    ],
    ids=lambda changes: " ".join(f"{name}={value}" for part in changes.values() for name, value in part.items()),
)
def test_maps_are_what_generate_computes(changes, computed):
    model = make_model(changed(**changes))
    model.generate(IMAGES, SHOWN)
    expected = list(computed)
    found = _all_maps(attention_maps(model, IMAGES, SHOWN))
    assert len(found) == len(expected) > 0
    for shown, wanted in zip(found, expected):
        _assert_shows(*shown, wanted, rtol=1e-5)


def _assert_shows(weight_tokens, attention, computed, rtol):
    """Exactly what was computed; of a last layer the weight tokens' rows, in a product of another size."""
    if attention.shape == computed.shape:
        np.testing.assert_array_equal(attention, computed)
    else:
        assert computed.shape[1] == weight_tokens
        np.testing.assert_allclose(attention[:, : computed.shape[1]], computed, rtol=rtol)


@pytest.mark.parametrize("images", [IMAGES, (IMAGES / 128.0 - 1.0).astype(np.float32)], ids=["bytes", "scaled"])
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.slow
def test_in_a_lower_precision_too(dtype, images, computed):
    model = make_model(dtype=dtype)
    model.generate(images, SHOWN)
    expected = list(computed)
    for shown, wanted in zip(_all_maps(attention_maps(model, images, SHOWN)), expected, strict=True):
        _assert_shows(*shown, wanted.astype(np.float32), rtol=0.02)


def test_the_first_map_is_what_loops_over_tokens_give():
    model = make_model()
    first = attention_maps(model, IMAGES, SHOWN)[0]
    generator, shared = model.generators[0], reference.shared_features(model.shared_features, IMAGES / 128.0 - 1.0)
    local = generator.local_features((IMAGES / 128.0 - 1.0).astype(np.float32))
    features = np.concatenate([np.array(local, np.float64), shared], -1)
    embeddings = reference.value(generator.sample_tokens.label_embeddings)
    samples = reference.sample_tokens(embeddings, SHOWN, features, generator.sample_size)
    weights = reference.weight_tokens(reference.value(generator.weight_tokens.weight_embeddings), generator.weight_size)
    tokens = np.concatenate([weights, samples])
    expected = reference.attention_weights(generator.encoder[0].self_attention, tokens, tokens)
    np.testing.assert_allclose(first.maps["encoder_1"], expected, rtol=1e-3, atol=1e-6)


def test_there_is_a_map_for_every_generated_layer_transformer_layer_and_head():
    model = make_model()
    found = attention_maps(model, IMAGES, SHOWN)
    assert [layer.cnn_layer for layer in found] == [1, 2, 3, 4, 5]
    for layer, channels in zip(found, (4, 4, 4, 4, 3)):
        tokens = channels + SAMPLES
        assert (layer.weight_tokens, layer.samples) == (channels, SAMPLES)
        assert {name: each.shape for name, each in layer.maps.items()} == {
            "encoder_1": (2, tokens, tokens),
            "encoder_2": (2, tokens, tokens),
        }


def test_a_trained_layer_has_no_map():
    found = attention_maps(make_model(changed(cnn={"trained_layers": 3})), IMAGES, SHOWN)
    assert [layer.cnn_layer for layer in found] == [4, 5]


@pytest.mark.slow
def test_the_separate_variant_tells_samples_and_weights_apart():
    found = attention_maps(make_model(changed(transformer={"variant": "separate", "heads": 1})), IMAGES, SHOWN)[0]
    assert {name: each.shape[1:] for name, each in found.maps.items()} == {
        "encoder_1": (SAMPLES, SAMPLES),
        "encoder_2": (SAMPLES, SAMPLES),
        "decoder_1/self": (4, 4),
        "decoder_1/cross": (4, SAMPLES),
        "decoder_2/self": (4, 4),
        "decoder_2/cross": (4, SAMPLES),
    }


def test_with_fewer_classes_the_logits_layer_has_fewer_tokens():
    two = SHOWN % 2
    found = attention_maps(make_model(), IMAGES, two, n_way=2)[-1]
    assert found.weight_tokens == 2 and found.maps["encoder_1"].shape == (2, 2 + SAMPLES, 2 + SAMPLES)


def test_softmax_maps_sum_to_one():
    for _, attention in _all_maps(attention_maps(make_model(), IMAGES, SHOWN)):
        np.testing.assert_allclose(attention.sum(-1), 1.0, rtol=1e-5)


def test_a_task_batch_is_refused():
    with pytest.raises(UserError, match="support_images have 5 axes: attention is shown for one episode"):
        attention_maps(make_model(), SUPPORT, LABELS)
