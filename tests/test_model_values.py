"""The model computes what the description says: logits against the NumPy reference, in many configurations."""

import numpy as np
import numpy_reference as reference
import pytest
from layer_checks import path_of
from small_model import (
    LABELS,
    MASK,
    N_WAY,
    QUERY,
    SHAPE,
    SUPPORT,
    TASKS,
    assert_close,
    changed,
    leaves,
    loss_and_gradients,
    make_model,
)

from hypertransformer_tf.model.hypertransformer import HyperTransformer


def _generator_features(generator, activations, shared):
    local, parts = generator.local_features, []
    source = getattr(local, "source", "convolution")
    if source != "convolution":
        parts.append(activations.reshape(len(activations), -1))
    local = getattr(local, "convolution", local)
    if local is not None:
        variables = [(reference.value(kernel), reference.value(bias)) for kernel, bias, _ in local.convolutions]
        missing = local.layers - len(variables)
        size = local.kernel_size
        empty = (np.zeros((size, size, local.features, local.features)), np.zeros(local.features))
        parts.append(reference.local_features(activations, variables + [empty] * missing, size, local.nonlinear))
    return np.concatenate(parts + ([] if shared is None else [shared]), -1)


def _generated(model, index, activations, shared, labels, ignored):
    """Kernel, bias, gamma and beta that a layer's blocks hold; zeros and None where nothing is generated."""
    spec, generator, config = model.architecture.convolutions[index], model.generators[index], model.config.generator
    if generator is None:
        return [0.0, None, None, None]
    features = _generator_features(generator, activations, shared)
    blocks = reference.weight_blocks(generator, labels, features, ignored)
    if config.allocation == "spatial":  # token p holds the (c_in, c_out) slice of kernel position p
        return [blocks[:, : spec.kernel_shape[2] * spec.kernel_shape[3]].reshape(spec.kernel_shape), None, None, None]
    size = spec.kernel_size**2 * spec.input_shape[-1]
    columns = iter(blocks[:, size:].T)
    bias = next(columns) if config.bias else None
    norm = [next(columns), next(columns)] if config.batch_norm else [None, None]
    return [blocks[:, :size].T.reshape(spec.kernel_shape), bias, *norm]


def _run_layer(model, index, trained, generated, images):
    """One CNN layer with the sum of what is generated and what is trained."""
    spec, parts = model.architecture.convolutions[index], list(generated)
    for position, variable in enumerate((trained.kernel, trained.bias, trained.gamma, trained.beta)):
        if variable is not None:
            parts[position] = (0.0 if parts[position] is None else parts[position]) + reference.value(variable)
    kernel, bias, gamma, beta = parts
    settings = {"stride": spec.stride, "padding": spec.padding, "pool": spec.pool}
    activation = model.config.cnn.activation
    return reference.convolution_layer(images, kernel, gamma, beta, bias=bias, activation=activation, **settings)


def _expected_logits(model, episode, mask):
    """The whole model in NumPy."""
    support, query = SUPPORT[episode] / 128.0 - 1.0, QUERY[episode] / 128.0 - 1.0
    labels, ignored = LABELS[episode], None if mask is None else mask[episode]
    shared = None if model.shared_features is None else reference.shared_features(model.shared_features, support)
    for index in range(len(model.architecture.convolutions)):
        generated = _generated(model, index, support, shared, labels, ignored)
        support = _run_layer(model, index, model.support_weights[index], generated, support)
        query = _run_layer(model, index, model.query_weights[index], generated, query)
    features = _generator_features(model.generators[-1], support, shared)
    blocks = reference.weight_blocks(model.generators[-1], labels, features, ignored)
    size = model.architecture.logits.input_size
    kernel, bias = blocks[:, :size].T, blocks[:, size]
    if model.trained_logits is not None:
        kernel = kernel + reference.value(model.trained_logits.kernel)
        bias = bias + reference.value(model.trained_logits.bias)
    read = query.reshape(len(query), -1) if model.architecture.logits.flatten else query.mean(axis=(1, 2))
    return read @ kernel + bias


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"generator": {"bias": True, "batch_norm": True}, "cnn": {"activation": "leaky_relu"}},
        {"generator": {"add_trained_weights": True}, "cnn": {"separate_query_variables": True}},
        {"cnn": {"trained_layers": 2}, "features": {"logits": "mix", "nonlinear": True}},
        {"cnn": {"trained_layers": -3}, "features": {"logits": "passthrough", "shared_layers": 0}},
        {"cnn": {"architecture": "3-layer", "stride": 2}, "features": {"local_dim": 0, "shared_batch_norm": True}},
        {"cnn": {"architecture": "2-layer", "kernel_size": 5, "stride": 2}, "generator": {"allocation": "spatial"}},
        {"cnn": {"architecture": "lgm-net", "trained_layers": 4}, "features": {"shared_layers": 0}},
        {"cnn": {"architecture": "no-convolutions"}, "features": {"logits": "passthrough", "shared_layers": 0}},
        {"transformer": {"variant": "separate", "heads": 1}},
        {"transformer": {"variant": "encoder_decoder", "attention": "sigmoid", "value_size": 6.0}},
    ],
)
def test_logits_are_those_of_the_reference(changes):
    transformer = {"layers": 1, **changes.get("transformer", {})}
    model = make_model(changed(**{**changes, "transformer": transformer}))
    for mask in (MASK,) if changes else (None, MASK):
        logits = np.array(model.classify(QUERY, model.generate(SUPPORT, LABELS, mask)))
        assert logits.shape == (TASKS, 4, N_WAY)
        for episode in range(TASKS):
            assert_close(logits[episode], _expected_logits(model, episode, mask), 2e-3)


def test_folded_and_plain_form_agree_in_values_and_gradients():
    config = changed(cnn={"activation": "leaky_relu"}, generator={"bias": True}, transformer={"layers": 1})
    results = [loss_and_gradients(make_model(config, form)) for form in ("folded", "plain")]
    assert_close(*results, 1e-4)


VARIANTS = ("encoder", "encoder_decoder", "separate")
GENERATED = (
    {},
    {"bias": True},
    {"batch_norm": True},
    {"bias": True, "batch_norm": True, "add_trained_weights": True},
    {"allocation": "spatial"},
    {"allocation": "spatial", "add_trained_weights": True},
)
TRAINED = (0, 1, -2, 3)
# Settings that take turns along the grid of the three above; lengths without a common factor mix them well.
TURNS = {
    "cnn": (
        {"architecture": "maxpool-4-layer"},
        {"architecture": "3-layer", "stride": 2, "activation": "leaky_relu"},
        {"separate_query_variables": True},
        {"architecture": "4-layer", "warmup_heads": "trained"},
        {"warmup_heads": "generated", "kernel_size": 5},
    ),
    "features": (
        {},
        {"local_layers": 1, "local_dim": 3, "logits": "passthrough"},
        {"logits": "mix", "nonlinear": True, "shared_batch_norm": True},
        {"shared_layers": 0, "local_layers": 3},
        {"local_dim": 0, "shared_layers": 3},
        {"shared_padding": "valid", "shared_layers": 3},
        {"local_dim": 0, "logits": "passthrough"},
    ),
    "transformer": (
        {},
        {"attention": "sigmoid", "activation": "gelu", "skip_last_nonlinearity": True},
        {"inner_size": 0.0, "query_key_size": 0.5},
        {"activation": "leaky_relu", "value_size": 6.0, "query_key_size": 8.0, "inner_size": 5.0},
    ),
}


def _grid():
    cases = [(variant, generated, trained) for variant in VARIANTS for generated in GENERATED for trained in TRAINED]
    for index, (variant, generated, trained) in enumerate(cases):
        cnn, features, transformer = (turns[index % len(turns)] for turns in TURNS.values())
        # The separate generator does not round sizes, so that more heads would need sizes that divide.
        heads = 1 if variant == "separate" else 2
        changes = {
            "cnn": {**cnn, "trained_layers": trained},
            "features": features,
            "transformer": {**transformer, "variant": variant, "heads": heads, "layers": 1},
            "generator": generated,
        }
        marks = () if index % 6 == 0 else (pytest.mark.slow,)
        yield pytest.param(changes, id="-".join([str(index), variant, *generated, str(trained)]), marks=marks)


@pytest.mark.parametrize("changes", list(_grid()))
def test_every_combination_builds_runs_and_has_finite_gradients(changes):
    model = HyperTransformer(SHAPE, N_WAY, changed(**changes))
    loss, gradients, weights = loss_and_gradients(model)
    assert np.isfinite(loss)
    assert all(np.all(np.isfinite(leaf)) for leaf in leaves(weights))
    unread = changes["features"].get("local_dim") == 0  # then the support set's activations are not
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert gradient is not None or unread, f"no gradient reaches {path_of(variable)}"
        assert gradient is None or np.all(np.isfinite(gradient)), f"the gradient of {path_of(variable)} is not finite"
