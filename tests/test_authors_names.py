"""The authors' names: every variable of a model has exactly one, and the numbering is TensorFlow 1's."""

import numpy as np
import pytest
from layer_checks import path_of

from hypertransformer_tf.compat.authors_checkpoint import model_from_settings
from hypertransformer_tf.compat.authors_names import authors_variables

SMALL = {
    "image_size": 16,
    "num_labels": 2,
    "cnn_model_name": "3-layer",
    "default_num_channels": 2,
    "num_layers": 2,
    "embedding_dim": 4,
    "number_of_trained_cnn_layers": 2,
    "weight_allocation": "output_channel",
}


def _places(**settings):
    return authors_variables(model_from_settings({**SMALL, **settings}))


def _layer_norms(places):
    """Names of layer norms in order, without gamma and beta."""
    return list(dict.fromkeys(name.rsplit("/", 1)[0] for name in places if "layer_normalization" in name))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_decoder": True, "shared_feature_extractor": "3-layer-bn", "shared_feature_extractor_padding": "same"},
        {"generator": "separate", "add_trainable_weights": True, "separate_bn_vars": True},
        {"train_heads": True, "generate_bias": True, "internal_dim_frac": 0.0},
        {"cnn_model_name": "maxpool-4-layer", "stride": 1, "logits_feature_extractor": "mix", "generate_bn": True},
        {"cnn_model_name": "maxpool-4-layer", "stride": 1, "logits_feature_extractor": "passthrough"},
    ],
)
def test_every_variable_has_exactly_one_place(settings):
    model = model_from_settings({**SMALL, "number_of_trained_cnn_layers": 1, **settings})
    filled = {id(variable): np.zeros(tuple(variable.shape)) for variable in model.weights}
    for name, place in authors_variables(model).items():
        if place.variable is None:
            continue
        count = filled[id(place.variable)]
        assert place.shape == (count.shape if place.row is None else count.shape[1:]), name
        count[slice(None) if place.row is None else place.row] += 1.0
    for variable in model.weights:
        assert np.all(filled[id(variable)] == 1.0), f"{path_of(variable)} is not filled exactly once"


def test_names_of_a_small_model():
    names = set(_places())
    setup = "model/cnn_builder/layer_3_generator_setup"
    scope = "model/cnn_builder/builder_layer_3_generator"
    assert {
        "model/cnn/layer_1/conv/kernel",
        "model/cnn/layer_1/batch_normalization/gamma",
        "model/cnn/layer_1/batch_normalization/moving_variance",
        "model/cnn/layer_3/batch_normalization/beta",
        f"{setup}/weight_embeddings/weight_1",
        f"{scope}/feature_extractor/layer_1/kernel",
        f"{scope}/transformer/transformer/encoder/layer_2/attention/q/kernel",
        f"{scope}/transformer/transformer/encoder/layer_2/attention/fc/bias",
        f"{scope}/transformer/transformer/encoder/layer_1/fc/layer_2/kernel",
        "model/cnn_builder_2/builder_layer_3_generator/transformer/layer_1/layer_1/layer_normalization/gamma",
    } <= names
    assert "model/cnn/layer_3/conv/kernel" not in names, "a generated kernel is no variable"
    assert not any(name.startswith("model/cnn_builder/layer_1") for name in names), "trained layers have no generator"
    assert not any(name.startswith("model/cnn/layer_4") for name in names), "the logits layer is generated"


def test_embeddings_are_one_variable_per_label_and_one_for_no_label():
    places = _places()
    names = [name for name in places if "layer_4_generator_setup/label_embeddings/" in name]
    assert [name.rsplit("_", 1)[1] for name in names] == ["0", "1", "2"]
    assert [places[name].row for name in names] == [0, 1, 2]
    assert {places[name].shape for name in names} == {(4,)}


def test_layer_norms_are_numbered_over_the_whole_graph_and_the_first_has_no_number():
    norms = _layer_norms(_places())
    assert [name.rsplit("/", 1)[1] for name in norms] == [
        "layer_normalization" + (f"_{index}" if index else "") for index in range(8)
    ]
    assert [name.split("/")[1] for name in norms] == ["cnn_builder_2"] * 4 + ["cnn_builder_3"] * 4


def test_a_feed_forward_network_left_out_leaves_a_gap_in_the_numbers():
    numbers = [name.rsplit("/", 1)[1] for name in _layer_norms(_places(internal_dim_frac=0.0))]
    assert numbers == ["layer_normalization", "layer_normalization_2", "layer_normalization_4", "layer_normalization_6"]


def test_norms_of_a_decoder_stand_in_scopes_that_were_entered_again():
    norms = _layer_norms(_places(use_decoder=True, number_of_trained_cnn_layers=3))
    assert [name.split("transformer/")[1] for name in norms] == [
        "layer_1/layer_1/layer_normalization",
        "layer_1/layer_1/layer_normalization_1",
        "layer_2/layer_2/layer_normalization_2",
        "layer_2/layer_2/layer_normalization_3",
        "layer_1_1/layer_1/layer_normalization_4",
        "layer_1_1/layer_1/layer_normalization_5",
        "layer_1_1/layer_1/layer_normalization_6",
        "layer_2_1/layer_2/layer_normalization_7",
        "layer_2_1/layer_2/layer_normalization_8",
        "layer_2_1/layer_2/layer_normalization_9",
    ]
    names = _places(use_decoder=True)
    assert any(name.endswith("decoder/layer_1/attention_2/v/kernel") for name in names)


def test_moving_statistics_are_names_without_a_place():
    moving = {name: place for name, place in _places().items() if "moving_" in name}
    assert len(moving) == 2 * 3 and all(place.variable is None for place in moving.values())


def test_variables_of_the_query_pass_are_marked_eval():
    model = model_from_settings({**SMALL, "separate_bn_vars": True, "add_trainable_weights": True, "train_heads": True})
    places = authors_variables(model)
    support, query = places["model/cnn/layer_1/conv/kernel"], places["model/cnn/layer_1/conv/kernel-eval"]
    assert support.variable is model.support_weights[0].kernel and query.variable is model.query_weights[0].kernel
    # What the support pass makes of the logits layer is read by nobody.
    assert places["model/cnn/layer_4/fc/kernel"].variable is None
    assert places["model/cnn/layer_4/fc/kernel-eval"].variable is model.trained_logits.kernel
    assert "model/cnn/head_layer_1/fc/bias-eval" in places and "model/cnn/head_layer_1/fc/bias" not in places


def test_names_of_shared_features():
    places = _places(shared_feature_extractor="2-layer-bn", shared_feature_extractor_padding="same")
    shared = [name.split("shared_features/")[1] for name in places if "model/shared_features/" in name]
    assert shared[:4] == ["layer_1/kernel", "layer_1/bias", "layer_2/kernel", "layer_2/bias"]
    assert set(shared[4:]) == {
        f"batch_normalization{number}/{name}"
        for number in ("", "_1")
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
