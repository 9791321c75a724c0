"""The authors' settings in our words.

Their program spells a model as one flat dictionary; `model_config` says what each entry is called here. Entries
about data, such as numbers of samples, do not describe the model and are accepted without effect.
"""

from typing import Any, Mapping

from hypertransformer_tf.cnn.config import CnnConfig, GeneratorConfig
from hypertransformer_tf.config import plain_sentence
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig
from hypertransformer_tf.model.config import ModelConfig

_ACTIVATIONS = {"relu": "relu", "lrelu": "leaky_relu", "gelu": "gelu"}
_LOGITS_FEATURES = {"": "convolution", "default": "convolution", "passthrough": "passthrough", "mix": "mix"}
_ALLOCATIONS = {"output_channel": "output", "output": "output", "spatial": "spatial"}
_SHARED_LAYERS = {"none": 0, "": 0, "2-layer": 2, "3-layer": 3, "4-layer": 4}


def model_config(settings: Mapping[str, Any]) -> ModelConfig:
    """The model that the authors' settings describe.

    Args:
      settings: their names and values, such as the `config` of a golden file; the authors' defaults are filled in.

    Raises:
      UserError: a value that their program does not know either.
    """
    get = {**_DEFAULTS, **settings}.__getitem__
    try:
        return ModelConfig(_cnn(get), _features(get), _transformer(get), _generator(get))
    except UserError as error:
        raise UserError(plain_sentence(error)) from None


def _cnn(get) -> CnnConfig:
    return CnnConfig(
        architecture=get("cnn_model_name"),
        channels=get("default_num_channels"),
        kernel_size=get("kernel_size"),
        stride=get("stride"),
        activation=_translate("cnn_activation", get, _ACTIVATIONS),
        dropout=get("cnn_dropout_rate"),
        trained_layers=get("number_of_trained_cnn_layers"),
        separate_query_variables=get("separate_bn_vars"),
        warmup_heads="trained" if get("train_heads") else "none",
    )


def _features(get) -> FeaturesConfig:
    extractor = get("shared_feature_extractor")
    return FeaturesConfig(
        local_layers=get("feature_layers"),
        local_dim=get("num_features"),
        nonlinear=get("nonlinear_feature"),
        logits=_translate("logits_feature_extractor", get, _LOGITS_FEATURES),
        local_dropout=get("fe_dropout"),
        shared_layers=_look_up("shared_feature_extractor", extractor.removesuffix("-bn"), _SHARED_LAYERS),
        shared_dim=get("shared_features_dim"),
        shared_padding=get("shared_feature_extractor_padding"),
        shared_batch_norm=extractor.endswith("-bn"),
        shared_dropout=get("shared_fe_dropout"),
    )


def _transformer(get) -> TransformerConfig:
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
    )


def _generator(get) -> GeneratorConfig:
    return GeneratorConfig(
        allocation=_translate("weight_allocation", get, _ALLOCATIONS),
        bias=get("generate_bias"),
        batch_norm=get("generate_bn"),
        add_trained_weights=get("add_trainable_weights"),
    )


def _translate(name: str, get, known: Mapping[str, Any]) -> Any:
    return _look_up(name, get(name), known)


def _look_up(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    if value not in known:
        raise UserError(f"the authors' setting {name} = {value!r} is not known: one of {', '.join(map(repr, known))}.")
    return known[value]


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
