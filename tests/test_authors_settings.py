"""The authors' settings: each arrives where it belongs, by either of its names, and their defaults are theirs."""

import pytest

from hypertransformer_tf.cnn.config import CnnConfig, GeneratorConfig
from hypertransformer_tf.compat.authors_checkpoint import model_from_settings
from hypertransformer_tf.compat.authors_settings import model_config
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig
from hypertransformer_tf.model.config import ModelConfig


@pytest.mark.parametrize(
    "name, value, part, setting, expected",
    [
        ("cnn_model_name", "maxpool-4-layer", "cnn", "architecture", "maxpool-4-layer"),
        ("cnn_model_name", "4-layer", "cnn", "architecture", "4-layer"),
        ("default_num_channels", 48, "cnn", "channels", 48),
        ("kernel_size", 9, "cnn", "kernel_size", 9),
        ("stride", 4, "cnn", "stride", 4),
        ("cnn_activation", "lrelu", "cnn", "activation", "leaky_relu"),
        ("cnn_dropout_rate", 0.3, "cnn", "dropout", 0.3),
        ("number_of_trained_cnn_layers", -2, "cnn", "trained_layers", -2),
        ("separate_bn_vars", True, "cnn", "separate_query_variables", True),
        ("train_heads", True, "cnn", "warmup_heads", "trained"),
        ("feature_layers", 3, "features", "local_layers", 3),
        ("num_features", None, "features", "local_dim", None),
        ("num_features", 12, "features", "local_dim", 12),
        ("nonlinear_feature", True, "features", "nonlinear", True),
        ("logits_feature_extractor", "", "features", "logits", "convolution"),
        ("logits_feature_extractor", "passthrough", "features", "logits", "passthrough"),
        ("logits_feature_extractor", "mix", "features", "logits", "mix"),
        ("fe_dropout", 0.2, "features", "local_dropout", 0.2),
        ("shared_feature_extractor", "2-layer", "features", "shared_layers", 2),
        ("shared_feature_extractor", "3-layer-bn", "features", "shared_layers", 3),
        ("shared_feature_extractor", "3-layer-bn", "features", "shared_batch_norm", True),
        ("shared_feature_extractor", "4-layer", "features", "shared_batch_norm", False),
        ("shared_feature_extractor", "none", "features", "shared_layers", 0),
        ("shared_feature_extractor_padding", "same", "features", "shared_padding", "same"),
        ("shared_features_dim", 16, "features", "shared_dim", 16),
        ("shared_fe_dropout", 0.1, "features", "shared_dropout", 0.1),
        ("generator", "separate", "transformer", "variant", "separate"),
        ("use_decoder", True, "transformer", "variant", "encoder_decoder"),
        ("use_decoder", False, "transformer", "variant", "encoder"),
        ("num_layers", 5, "transformer", "layers", 5),
        ("heads", 8, "transformer", "heads", 8),
        ("embedding_dim", 16, "transformer", "embedding_dim", 16),
        ("query_key_dim_frac", 0.5, "transformer", "query_key_size", 0.5),
        ("value_dim_frac", 64.0, "transformer", "value_size", 64.0),
        ("internal_dim_frac", 0.0, "transformer", "inner_size", 0.0),
        ("transformer_activation", "sigmoid", "transformer", "attention", "sigmoid"),
        ("transformer_nonlinearity", "gelu", "transformer", "activation", "gelu"),
        ("transformer_nonlinearity", "lrelu", "transformer", "activation", "leaky_relu"),
        ("skip_last_nonlinearity", True, "transformer", "skip_last_nonlinearity", True),
        ("dropout_rate", 0.1, "transformer", "dropout", 0.1),
        ("weight_allocation", "output_channel", "generator", "allocation", "output"),
        ("weight_allocation", "spatial", "generator", "allocation", "spatial"),
        ("add_trainable_weights", True, "generator", "add_trained_weights", True),
    ],
)
def test_each_setting_arrives_where_it_belongs(name, value, part, setting, expected):
    config = model_config({name: value, "num_features": value if name == "num_features" else 8})
    assert getattr(getattr(config, part), setting) == expected


FLAGS = {  # spelt as on their command line
    "num_layerwise_features": "8",
    "default_num_channels": 8,
    "lw_key_query_dim": 0.5,
    "lw_value_dim": 2.0,
    "lw_inner_dim": 64.0,
    "cnn_model_name": "maxpool-4-layer",
    "embedding_dim": 32,
    "num_layers": 3,
    "stride": 1,
    "heads": 2,
    "shared_feature_extractor": "4-layer",
    "shared_features_dim": 32,
    "shared_feature_extractor_padding": "same",
    "layerwise_generator": "separate",
    "lw_use_nonlinear_feature": True,
    "lw_weight_allocation": "output",
    "lw_generate_bias": True,
    "lw_generate_bn": True,
    "separate_evaluation_bn_vars": True,
    "transformer_skip_last_nonlinearity": True,
    "samples_transformer": 20,
    "samples_cnn": 60,
    "unlabeled_samples_per_class": 1,
    "weight_variation_regularization": 0.1,
}
CONFIGURATION_NAMES = {
    "num_layerwise_features": "num_features",
    "lw_key_query_dim": "query_key_dim_frac",
    "lw_value_dim": "value_dim_frac",
    "lw_inner_dim": "internal_dim_frac",
    "layerwise_generator": "generator",
    "lw_use_nonlinear_feature": "nonlinear_feature",
    "lw_weight_allocation": "weight_allocation",
    "lw_generate_bias": "generate_bias",
    "lw_generate_bn": "generate_bn",
    "separate_evaluation_bn_vars": "separate_bn_vars",
    "transformer_skip_last_nonlinearity": "skip_last_nonlinearity",
    "samples_transformer": "num_transformer_samples",
    "samples_cnn": "num_cnn_samples",
    "unlabeled_samples_per_class": "num_unlabeled_per_class",
    "weight_variation_regularization": "var_reg_weight",
}


def test_flags_of_their_command_line_mean_what_their_configuration_names_mean():
    by_configuration = {CONFIGURATION_NAMES.get(flag, flag): value for flag, value in FLAGS.items()}
    by_configuration["num_features"] = 8
    assert model_config(FLAGS) == model_config(by_configuration)
    assert model_config(FLAGS).transformer.inner_size == 64.0
    assert model_config({**FLAGS, "internal_dim_frac": 64.0}) == model_config(FLAGS)


@pytest.mark.parametrize("flag", CONFIGURATION_NAMES)
def test_one_setting_under_both_names_with_different_values_is_refused(flag):
    name = CONFIGURATION_NAMES[flag]
    with pytest.raises(UserError, match=f"{name} = 'other' and {flag} = .*give one of them"):
        model_config({flag: FLAGS[flag], name: "other"})


@pytest.mark.parametrize("value, expected", [("", None), ("0", 0), ("8", 8), (8, 8)])
def test_the_number_of_layerwise_features_is_a_string_of_their_command_line(value, expected):
    features = model_config({"num_layerwise_features": value, "shared_feature_extractor": "2-layer"}).features
    assert features.local_dim == expected


def test_a_number_of_layerwise_features_that_is_none_is_refused():
    with pytest.raises(UserError, match="num_layerwise_features = 'many'"):
        model_config({"num_layerwise_features": "many"})


def test_a_wrong_value_of_a_flag_is_refused_with_the_flags_name():
    with pytest.raises(UserError, match="'both' \\(flag layerwise_generator\\) is not known: one of 'joint'"):
        model_config({"layerwise_generator": "both"})


@pytest.mark.parametrize(
    "settings, heads",
    [
        ({"warmup_steps": 1000}, "trained"),
        ({"warmup_steps": 0}, "none"),
        ({"warmup_steps": 1000, "train_heads": False}, "none"),
    ],
)
def test_a_warm_up_on_their_command_line_makes_heads_unless_the_configuration_says_otherwise(settings, heads):
    assert model_config(settings).cnn.warmup_heads == heads


def test_what_is_left_out_has_the_default_of_their_dataclass():
    expected = ModelConfig(
        CnnConfig(architecture="3-layer", channels=16, kernel_size=3, stride=2, activation="relu"),
        FeaturesConfig(local_layers=2, local_dim=None, shared_layers=0, shared_dim=32, shared_padding="valid"),
        TransformerConfig(variant="encoder", layers=3, heads=1, embedding_dim=8),
        GeneratorConfig(allocation="spatial", bias=False, batch_norm=False, add_trained_weights=False),
    )
    assert model_config({}) == expected
    assert {1.0} == {getattr(expected.transformer, name) for name in ("query_key_size", "value_size", "inner_size")}
    dropouts = expected.cnn.dropout, expected.features.local_dropout, expected.features.shared_dropout
    assert (*dropouts, expected.transformer.dropout) == (0.0,) * 4
    assert (expected.cnn.trained_layers, expected.cnn.separate_query_variables, expected.cnn.warmup_heads) == (
        0,
        False,
        "none",
    )
    assert (expected.features.logits, expected.features.nonlinear, expected.features.shared_batch_norm) == (
        "convolution",
        False,
        False,
    )
    transformer = expected.transformer
    assert (transformer.attention, transformer.activation, transformer.skip_last_nonlinearity) == (
        "softmax",
        "relu",
        False,
    )


def test_generated_bias_and_batch_norm_arrive():
    config = model_config({"weight_allocation": "output_channel", "generate_bias": True, "generate_bn": True})
    assert (config.generator.bias, config.generator.batch_norm) == (True, True)


def test_the_separate_generator_has_its_own_decoder_whatever_use_decoder_says():
    assert model_config({"generator": "separate", "use_decoder": True}).transformer.variant == "separate"


@pytest.mark.parametrize("generator, ignores", [("separate", True), ("joint", False)])
def test_their_separate_generator_ignores_the_support_mask(generator, ignores):
    assert model_config({"generator": generator}).transformer.separate_ignores_mask == ignores


def test_settings_of_data_and_training_change_nothing():
    others = {
        "image_size": 84,
        "l2_reg_weight": 1e-4,
        "max_prob_remove_labeled": 0.5,
        "num_cnn_samples": 100,
        "num_labels": 5,
        "num_transformer_samples": 20,
        "shared_head_weight": 0.1,
        "var_reg_weight": 1.0,
    }
    assert model_config(others) == model_config({})


@pytest.mark.parametrize(
    "name, value",
    [
        ("cnn_activation", "tanh"),
        ("cnn_model_name", "resnet"),
        ("generator", "both"),
        ("logits_feature_extractor", "all"),
        ("number_of_trained_cnn_layers", 5),
        ("shared_feature_extractor", "5-layer"),
        ("shared_feature_extractor_padding", "full"),
        ("transformer_activation", "softplus"),
        ("transformer_nonlinearity", "swish"),
        ("weight_allocation", "input"),
    ],
)
def test_values_that_their_program_does_not_know_are_refused(name, value):
    with pytest.raises(UserError) as caught:
        model_config({name: value})
    assert repr(value) in str(caught.value) and "\n" not in str(caught.value)


SMALL = {
    "num_layers": 1,
    "embedding_dim": 4,
    "default_num_channels": 2,
    "cnn_model_name": "maxpool-4-layer",
    "stride": 1,
}


def test_image_size_and_labels_decide_the_shape_of_the_model():
    model = model_from_settings({**SMALL, "image_size": 28, "num_labels": 7})
    assert (model.image_shape, model.n_way) == ((28, 28, 1), 7)
    large = {**SMALL, "image_size": 84, "num_labels": 5}
    assert model_from_settings(large).image_shape == (84, 84, 3)
    assert model_from_settings({**large, "image_channels": 1}).image_shape == (84, 84, 1)


@pytest.mark.parametrize("missing", ["image_size", "num_labels"])
def test_settings_without_shape_are_refused(missing):
    settings = {"image_size": 28, "num_labels": 5}
    del settings[missing]
    with pytest.raises(UserError, match=missing):
        model_from_settings(settings)


@pytest.mark.parametrize(
    "name, near", [("num_feature", "num_features"), ("head", "heads"), ("cnn_activations", "cnn_act")]
)
def test_a_mistyped_setting_is_refused_with_the_nearest_names(name, near):
    with pytest.raises(UserError, match=f"no setting '{name}': is .*{near}.* meant"):
        model_config({name: 4})


def test_a_setting_that_resembles_none_is_refused_too():
    with pytest.raises(UserError, match="no setting 'qqqq'"):
        model_config({"qqqq": 1})


@pytest.mark.parametrize(
    "name",
    [
        "num_cnn_samples",
        "l2_reg_weight",
        "var_reg_weight",
        "rotation_probability",
        "test_rotation_probability",
        "learning_rate",
        "data_dir",
        "num_task_evals",
        "query_key_dim",
    ],
)
def test_settings_of_data_losses_and_training_have_no_effect(name):
    assert model_config({name: 3}) == model_config({})


@pytest.mark.parametrize("none", [None, "", "none"])
def test_no_shared_extractor_is_spelt_in_three_ways(none):
    features = model_config({"shared_feature_extractor": none}).features
    assert (features.shared_layers, features.shared_batch_norm) == (0, False)


@pytest.mark.parametrize("value", ["none-bn", "-bn", "5-layer", "2-layer-bn-bn"])
def test_a_shared_extractor_that_is_none_of_theirs_is_refused(value):
    with pytest.raises(UserError, match="shared_feature_extractor = '" + value):
        model_config({"shared_feature_extractor": value})
