"""The authors' settings in our words.

Their program spells a model as one flat configuration (its dataclass `LayerwiseModelConfig`), most of which is set by
flags of its command line, some under other names; `model_config` takes both spellings and says what each entry is
called here. Entries about data, losses and steps do not describe the model and are accepted without effect; any other
is refused.

What is left out has the default of their dataclass, which is not always that of their flags: `num_layers` is 3 and
`heads` 1, where a command line without them has 4 and 4. The one exception is `use_decoder`: False, as by their flags,
where the dataclass has True.
"""

import difflib
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from hypertransformer_tf.cnn.config import CnnConfig, GeneratorConfig
from hypertransformer_tf.errors import UserError, plain_sentence
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig
from hypertransformer_tf.model.config import ModelConfig

Get = Callable[[str], Any]  # the value of a setting, by the authors' name

_ACTIVATIONS = {"relu": "relu", "lrelu": "leaky_relu", "gelu": "gelu"}
_CNNS = {name: name for name in ("maxpool-4-layer", "3-layer", "4-layer")}
_LOGITS_FEATURES = {"": "convolution", "default": "convolution", "passthrough": "passthrough", "mix": "mix"}
_ALLOCATIONS = {"output_channel": "output", "output": "output", "spatial": "spatial"}
_SHARED_EXTRACTORS: Dict[Optional[str], Tuple[int, bool]] = {  # layers, and whether they are batch-normalised
    "none": (0, False),
    "": (0, False),
    None: (0, False),
    **{f"{layers}-layer": (layers, False) for layers in (2, 3, 4)},
    **{f"{layers}-layer-bn": (layers, True) for layers in (2, 3, 4)},
}


def model_config(settings: Mapping[str, Any]) -> ModelConfig:
    """The model that the authors' settings describe.

    Args:
      settings: names of their configuration or flags, with values, such as the `config` of a golden file; what is left
        out has the default that the head of this file describes.

    Raises:
      UserError: a name or a value that their program does not know either, or one setting under both its names with
        different values.
    """
    _require_known(settings)
    get = {**_DEFAULTS, **_by_configuration_name(settings)}.__getitem__
    try:
        return ModelConfig(_cnn(get), _features(get), _transformer(get), _generator(get))
    except UserError as error:
        raise UserError(plain_sentence(error)) from None


def _cnn(get: Get) -> CnnConfig:
    return CnnConfig(
        architecture=_translate("cnn_model_name", get, _CNNS),
        channels=get("default_num_channels"),
        kernel_size=get("kernel_size"),
        stride=get("stride"),
        activation=_translate("cnn_activation", get, _ACTIVATIONS),
        dropout=get("cnn_dropout_rate"),
        trained_layers=get("number_of_trained_cnn_layers"),
        separate_query_variables=get("separate_bn_vars"),
        warmup_heads="trained" if get("train_heads") else "none",
    )


def _features(get: Get) -> FeaturesConfig:
    shared_layers, shared_batch_norm = _translate("shared_feature_extractor", get, _SHARED_EXTRACTORS)
    return FeaturesConfig(
        local_layers=get("feature_layers"),
        local_dim=get("num_features"),
        nonlinear=get("nonlinear_feature"),
        logits=_translate("logits_feature_extractor", get, _LOGITS_FEATURES),
        local_dropout=get("fe_dropout"),
        shared_layers=shared_layers,
        shared_dim=get("shared_features_dim"),
        shared_padding=get("shared_feature_extractor_padding"),
        shared_batch_norm=shared_batch_norm,
        shared_dropout=get("shared_fe_dropout"),
    )


def _transformer(get: Get) -> TransformerConfig:
    joint = "encoder_decoder" if get("use_decoder") else "encoder"
    variant = _translate("generator", get, {"joint": joint, "separate": "separate"})
    return TransformerConfig(
        variant=variant,
        layers=get("num_layers"),
        heads=get("heads"),
        embedding_dim=get("embedding_dim"),
        query_key_size=get("query_key_dim_frac"),
        value_size=get("value_dim_frac"),
        inner_size=get("internal_dim_frac"),
        attention=get("transformer_activation"),
        activation=_translate("transformer_nonlinearity", get, _ACTIVATIONS),
        skip_last_nonlinearity=get("skip_last_nonlinearity"),
        dropout=get("dropout_rate"),
        separate_ignores_mask=variant == "separate",
    )


def _generator(get: Get) -> GeneratorConfig:
    return GeneratorConfig(
        allocation=_translate("weight_allocation", get, _ALLOCATIONS),
        bias=get("generate_bias"),
        batch_norm=get("generate_bn"),
        add_trained_weights=get("add_trainable_weights"),
    )


def _translate(name: str, get: Get, known: Mapping[Any, Any]) -> Any:
    value = get(name)
    if value not in known:
        flag = next((f" (flag {flag})" for flag, configured in _FLAGS.items() if configured == name), "")
        raise UserError(
            f"the authors' setting {name} = {value!r}{flag} is not known: one of {', '.join(map(repr, known))}."
        )
    return known[value]


def _by_configuration_name(settings: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings under the names of their configuration. Raises UserError where two names contradict each other."""
    named = {name: value for name, value in settings.items() if name not in _FLAGS}
    for flag, name in _FLAGS.items():
        if flag not in settings:
            continue
        value = _number_of_features(settings[flag]) if flag == "num_layerwise_features" else settings[flag]
        if name in named and named[name] != value:
            raise UserError(
                f"the authors' settings {name} = {named[name]!r} and {flag} = {settings[flag]!r} are two names of one "
                "setting: give one of them."
            )
        named[name] = value
    # No flag of theirs says train_heads: their command line trains heads wherever there is a warm-up.
    named.setdefault("train_heads", _is_positive(named.get("warmup_steps")))
    return named


def _number_of_features(flag: Any) -> Optional[int]:
    """`num_layerwise_features`, which is a string on their command line, the empty one meaning None."""
    if flag is None or flag == "":
        return None
    try:
        return int(flag)
    except (TypeError, ValueError):
        raise UserError(
            f"the authors' setting num_layerwise_features = {flag!r} must be a whole number, or '' for the larger of "
            "input and output channels."
        ) from None


def _is_positive(steps: Any) -> bool:
    return isinstance(steps, (int, float)) and steps > 0


def _require_known(settings: Mapping[str, Any]) -> None:
    known = {*_DEFAULTS, *_WITHOUT_EFFECT, *_FLAGS}
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(str(name), known)
            advice = f"is {' or '.join(near)} meant?" if near else "leave it out, or spell it as their program does."
            raise UserError(f"the authors' program has no setting {name!r}: {advice}")


# Flags of their command line whose settings have other names in their configuration.
_FLAGS = {
    "layerwise_generator": "generator",
    "lw_generate_bias": "generate_bias",
    "lw_generate_bn": "generate_bn",
    "lw_inner_dim": "internal_dim_frac",
    "lw_key_query_dim": "query_key_dim_frac",
    "lw_use_nonlinear_feature": "nonlinear_feature",
    "lw_value_dim": "value_dim_frac",
    "lw_weight_allocation": "weight_allocation",
    "num_layerwise_features": "num_features",
    "samples_cnn": "num_cnn_samples",
    "samples_transformer": "num_transformer_samples",
    "separate_evaluation_bn_vars": "separate_bn_vars",
    "transformer_skip_last_nonlinearity": "skip_last_nonlinearity",
    "unlabeled_samples_per_class": "num_unlabeled_per_class",
    "weight_variation_regularization": "var_reg_weight",
}

_DEFAULTS = {
    "add_trainable_weights": False,
    "cnn_activation": "relu",
    "cnn_dropout_rate": 0.0,
    "cnn_model_name": "3-layer",
    "default_num_channels": 16,
    "dropout_rate": 0.0,
    "embedding_dim": 8,
    "fe_dropout": 0.0,
    "feature_layers": 2,
    "generate_bias": False,
    "generate_bn": False,
    "generator": "joint",
    "heads": 1,
    "internal_dim_frac": 1.0,
    "kernel_size": 3,
    "logits_feature_extractor": "default",
    "nonlinear_feature": False,
    "num_features": None,
    "num_layers": 3,
    "number_of_trained_cnn_layers": 0,
    "query_key_dim_frac": 1.0,
    "separate_bn_vars": False,
    "shared_fe_dropout": 0.0,
    "shared_feature_extractor": "none",
    "shared_feature_extractor_padding": "valid",
    "shared_features_dim": 32,
    "skip_last_nonlinearity": False,
    "stride": 2,
    "train_heads": False,
    "transformer_activation": "softmax",
    "transformer_nonlinearity": "relu",
    "use_decoder": False,
    "value_dim_frac": 1.0,
    "weight_allocation": "spatial",
}

# Their settings of data, losses and training, those that `model_from_settings` reads itself, and flags that their
# layerwise models do not read.
_WITHOUT_EFFECT = frozenset(
    """
    image_size image_channels num_labels shared_head_classes shared_head_weight
    num_transformer_samples num_cnn_samples num_unlabeled_per_class
    max_prob_remove_labeled max_prob_remove_unlabeled
    label_smoothing l2_reg_weight var_reg_weight warmup_steps
    pretrain_shared_feature restore_shared_features_from train_log_dir num_sample_repeats
    query_key_dim value_dim internal_dim
    learning_rate lr_decay_steps lr_decay_rate learning_rate_decay_steps learning_rate_decay_rate
    train_steps steps_between_saves number_of_trained_resnet_blocks
    dataset_name train_dataset test_dataset dataset_info ds tfds_split ds_split test_split meta_dataset_split
    data_dir data_numpy_dir cache_path use_labels use_label_subset shuffle_labels_seed balanced_batches
    rotation_probability smooth_probability contrast_probability resize_probability negate_probability
    roll_probability boundary_probability angle_range rotate_by_90 random_rotate_by_90 per_label_augmentation
    test_rotation_probability test_smooth_probability test_contrast_probability test_resize_probability
    test_negate_probability test_roll_probability test_angle_range test_random_rotate_by_90 test_per_label_augmentation
    apply_image_augmentations augment_individually augment_images_individually
    eval_batch_size num_eval_batches num_task_evals eval_datasets
""".split()
)
