"""The model: what generate and classify promise, and that they compute what the description says."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

import numpy_reference as reference
from hypertransformer_tf.layers.dropout import Dropout
from hypertransformer_tf.model.config import (
    CnnConfig,
    FeaturesConfig,
    GeneratorConfig,
    ModelConfig,
    TransformerConfig,
)
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from layer_checks import path_of, randomise, tensorflow_variable

N_WAY, SHAPE, TASKS = 3, (16, 16, 1), 2
STREAM = np.random.default_rng(0)
SUPPORT = STREAM.integers(0, 256, size=(TASKS, 7) + SHAPE, dtype=np.uint8)
LABELS = np.array([[0, 1, 2, -1, 2, -1, 0], [2, 1, 0, 1, -1, 0, -1]], np.int32)
MASK = np.array([[0, 0, 0, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0, 1]], np.float32)
QUERY = STREAM.integers(0, 256, size=(TASKS, 4) + SHAPE, dtype=np.uint8)
QUERY_LABELS = np.array([[0, 1, 2, 0], [2, 1, 0, 1]], np.int32)

SMALL = ModelConfig(
    cnn=CnnConfig(channels=4),
    features=FeaturesConfig(shared_layers=2, shared_dim=5),
    transformer=TransformerConfig(layers=2, heads=2, embedding_dim=8),
)


def _config(**changes):
    """SMALL with some settings changed: `_config(cnn={"channels": 2})`."""
    parts = {name: dataclasses.replace(getattr(SMALL, name), **values) for name, values in changes.items()}
    return dataclasses.replace(SMALL, **parts)


def _model(config=SMALL, form="folded", **arguments):
    return randomise(HyperTransformer(SHAPE, N_WAY, config, convolution_form=form, **arguments), scale=0.3)


def _leaves(weights):
    return [np.array(leaf) for leaf in tf.nest.flatten(weights) if leaf is not None]


def _close(results, expected, tolerance=1e-5):
    """All of a structure of arrays, relative to the largest entry of each."""
    results, expected = _leaves(results), _leaves(expected)
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected):
        np.testing.assert_allclose(result, wanted, rtol=0.0, atol=tolerance * max(np.abs(wanted).max(), 1.0))


@pytest.fixture(scope="module")
def model():
    return _model()


@pytest.fixture(scope="module")
def weights(model):
    return model.generate(SUPPORT, LABELS, MASK)


# --- what it computes -------------------------------------------------------------------------------------------------


def _generator_features(generator, activations, shared):
    local, parts = generator.local_features, []
    source = getattr(local, "source", "convolution")
    if source != "convolution":
        parts.append(activations.reshape(len(activations), -1))
    local = getattr(local, "convolution", local)
    if local is not None:
        variables = [(reference.value(kernel), reference.value(bias)) for kernel, bias, _ in local.convolutions]
        missing = local.layers - len(variables)
        empty = (np.zeros((3, 3, local.features, local.features)), np.zeros(local.features))
        parts.append(reference.local_features(activations, variables + [empty] * missing, 3, local.nonlinear))
    return np.concatenate(parts + ([] if shared is None else [shared]), -1)


def _cut(block, size):
    """The first `size` entries of every block, and an iterator over the columns behind them."""
    return block[:, :size], iter(block[:, size:].T)


def _expected_logits(model, episode, mask):
    """The whole model in NumPy, for output allocation and shared or separate variables."""
    scaled = SUPPORT[episode] / 128.0 - 1.0
    query, generator_config = QUERY[episode] / 128.0 - 1.0, model.config.generator
    shared = None if model.shared_features is None else reference.shared_features(model.shared_features, scaled)
    ignored, labels = None if mask is None else mask[episode], LABELS[episode]
    maps = {"support": scaled, "query": query}
    for index, spec in enumerate(model.architecture.convolutions):
        columns, kernel, bias, norm = iter(()), 0.0, None, None
        if spec.generated:
            generator = model.generators[index]
            features = _generator_features(generator, maps["support"], shared)
            block = reference.weight_blocks(generator, labels, features, ignored)
            flat, columns = _cut(block, 9 * spec.input_shape[-1])
            kernel = flat.T.reshape(spec.kernel_shape)
            bias = next(columns) if generator_config.bias else None
            norm = (next(columns), next(columns)) if generator_config.batch_norm else None
        for name, layers in (("support", model.support_weights), ("query", model.query_weights)):
            trained = layers[index]
            parts = [kernel, bias, *(norm or (None, None))]
            for position, variable in enumerate((trained.kernel, trained.bias, trained.gamma, trained.beta)):
                if variable is not None:
                    parts[position] = (0.0 if parts[position] is None else parts[position]) + reference.value(variable)
            maps[name] = reference.convolution_layer(
                maps[name],
                parts[0],
                *parts[2:],
                bias=parts[1],
                activation=model.config.cnn.activation,
                stride=spec.stride,
                padding=spec.padding,
                pool=spec.pool,
            )
    features = _generator_features(model.generators[-1], maps["support"], shared)
    flat, columns = _cut(reference.weight_blocks(model.generators[-1], labels, features, ignored),
                         model.architecture.logits.input_size)
    kernel, bias = flat.T, next(columns)
    if model.trained_logits is not None:
        kernel = kernel + reference.value(model.trained_logits.kernel)
        bias = bias + reference.value(model.trained_logits.bias)
    features = maps["query"]
    flatten = model.architecture.logits.flatten
    return (features.reshape(len(features), -1) if flatten else features.mean(axis=(1, 2))) @ kernel + bias


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"generator": {"bias": True, "batch_norm": True}, "cnn": {"activation": "leaky_relu"}},
        {"generator": {"add_trained_weights": True}, "cnn": {"separate_query_variables": True}},
        {"cnn": {"trained_layers": 2}, "features": {"logits": "mix", "nonlinear": True}},
        {"cnn": {"trained_layers": -3}, "features": {"logits": "passthrough", "shared_layers": 0}},
        {"cnn": {"architecture": "3-layer", "stride": 2}, "features": {"local_dim": 0, "shared_batch_norm": True}},
        {"transformer": {"variant": "separate", "heads": 1}},
        {"transformer": {"variant": "encoder_decoder", "attention": "sigmoid", "query_key_size": 0.5, "value_size": 6.0}},
    ],
)
def test_logits_are_those_of_the_reference(changes):
    model = _model(_config(**changes))
    for mask in (None, MASK):
        logits = np.array(model.classify(QUERY, model.generate(SUPPORT, LABELS, mask)))
        assert logits.shape == (TASKS, 4, N_WAY)
        for episode in range(TASKS):
            _close(logits[episode], _expected_logits(model, episode, mask), 2e-3)


@pytest.mark.parametrize("changes", [{}, {"cnn": {"activation": "leaky_relu"}, "generator": {"bias": True}}])
def test_folded_and_plain_form_agree_in_values_and_gradients(changes):
    results = []
    for form in ("folded", "plain"):
        model = _model(_config(**changes), form)
        loss, gradients, weights = _loss_and_gradients(model)
        results.append((loss, gradients, weights))
    _close(results[0], results[1], 1e-4)


# --- what it promises -------------------------------------------------------------------------------------------------


def test_a_task_batch_is_its_episodes_one_by_one(model, weights):
    logits = model.classify(QUERY, weights)
    for episode in range(TASKS):
        alone = model.generate(SUPPORT[episode], LABELS[episode], MASK[episode])
        _close(alone.blocks, [block[episode] for block in weights.blocks])
        _close(alone.shared_features, weights.shared_features[episode])
        _close(model.classify(QUERY[episode], alone), logits[episode], 1e-4)


def test_a_single_episode_has_no_leading_axis(model):
    weights = model.generate(SUPPORT[0], LABELS[0])
    assert tuple(weights.convolutions[0].kernel.shape) == (3, 3, 1, 4)
    assert tuple(weights.convolutions[0].gamma.shape) == (4,) and weights.convolutions[0].bias is None
    assert tuple(weights.logits.kernel.shape) == (4, N_WAY) and tuple(weights.logits.bias.shape) == (N_WAY,)
    assert tuple(weights.shared_features.shape) == (7, 5)
    assert tuple(model.classify(QUERY[0], weights).shape) == (4, N_WAY)


def test_the_order_of_the_support_set_changes_nothing(model, weights):
    order = STREAM.permutation(7)
    permuted = model.generate(SUPPORT[:, order], LABELS[:, order], MASK[:, order])
    _close(permuted.blocks, weights.blocks)
    _close(model.classify(QUERY, permuted), model.classify(QUERY, weights), 1e-4)


def test_queries_come_out_in_the_order_they_went_in(model, weights):
    order = [2, 0, 3, 1]
    logits = np.array(model.classify(QUERY, weights))
    _close(model.classify(QUERY[:, order], weights), logits[:, order], 1e-4)


def test_a_masked_sample_reaches_no_weight_token_through_attention(model, weights):
    # Later layers see it through the normalisation of the support set; the first is made of images only.
    support, labels = SUPPORT.copy(), LABELS.copy()
    support[MASK == 1] = 255 - support[MASK == 1]
    labels[MASK == 1] = 1
    changed = model.generate(support, labels, MASK)
    _close(changed.blocks[0], weights.blocks[0], 1e-6)
    unmasked = model.generate(support, labels)
    assert np.abs(np.array(unmasked.blocks[0]) - np.array(weights.blocks[0])).max() > 1e-3
    assert np.abs(np.array(changed.blocks[1]) - np.array(weights.blocks[1])).max() > 1e-6


def test_a_mask_of_zeros_is_no_mask(model):
    for mask in (np.zeros((TASKS, 7), np.float32), np.zeros((TASKS, 7), bool), np.zeros((TASKS, 7), np.int64)):
        _close(model.generate(SUPPORT, LABELS, mask).blocks, model.generate(SUPPORT, LABELS).blocks, 0.0)


def test_generated_weights_are_a_value(model, weights):
    before, logits = _leaves(weights), np.array(model.classify(QUERY, weights))
    model.generate(SUPPORT[::-1], LABELS[::-1])
    model.generate(255 - SUPPORT[0], LABELS[1])
    for leaf, same in zip(_leaves(weights), before):
        np.testing.assert_array_equal(leaf, same)
    np.testing.assert_array_equal(model.classify(QUERY, weights), logits)


def test_generate_and_classify_change_no_variable(model, weights):
    before = _leaves(model.get_weights())
    model.classify(QUERY, model.generate(SUPPORT, LABELS))
    for variable, same in zip(model.get_weights(), before):
        np.testing.assert_array_equal(variable, same)


def test_the_same_support_set_gives_the_same_weights(model, weights):
    _close(model.generate(SUPPORT, LABELS, MASK), weights, 0.0)


def test_bytes_are_scaled_images(model, weights):
    scaled_support, scaled_query = SUPPORT / 128.0 - 1.0, (QUERY / 128.0 - 1.0).astype(np.float32)
    scaled = model.generate(scaled_support, LABELS, MASK)
    _close(scaled, weights, 1e-6)
    _close(model.classify(scaled_query, scaled), model.classify(QUERY, weights), 1e-6)


def test_tensors_lists_and_any_integers_are_taken(model, weights):
    taken = model.generate(tf.constant(SUPPORT), LABELS.astype(np.int64), MASK.tolist())
    _close(taken, weights, 0.0)
    _close(model.generate(SUPPORT, LABELS.tolist(), tf.constant(MASK) > 0.0), weights, 0.0)


def test_unlabelled_samples_count_but_not_as_any_class(model):
    labelled = LABELS[0] >= 0
    blocks = [
        np.array(model.generate(SUPPORT[0], LABELS[0]).blocks[0]),
        np.array(model.generate(SUPPORT[0, labelled], LABELS[0, labelled]).blocks[0]),
    ] + [np.array(model.generate(SUPPORT[0], np.where(labelled, LABELS[0], c)).blocks[0]) for c in range(N_WAY)]
    for first in range(len(blocks)):
        for second in range(first):
            assert np.abs(blocks[first] - blocks[second]).max() > 1e-4


@pytest.mark.parametrize("trained, expected", [(2, [0, 0, 1, 1]), (-2, [1, 1, 0, 0]), (4, [0, 0, 0, 0])])
def test_trained_layers_have_no_blocks_and_share_their_kernel_over_episodes(trained, expected):
    model = _model(_config(cnn={"trained_layers": trained}))
    weights = model.generate(SUPPORT, LABELS)
    assert [int(block is not None) for block in weights.blocks] == expected + [1]
    assert [generator is not None for generator in model.generators] == [bool(kept) for kept in expected] + [True]
    for kept, convolution, layer in zip(expected, weights.convolutions, model.support_weights):
        assert convolution.kernel.shape[0] == (TASKS if kept else 1)
        if not kept:
            _close(convolution.kernel[0], reference.value(layer.kernel), 1e-6)
    other = model.generate(SUPPORT[::-1], LABELS[::-1])
    for kept, one, two in zip(expected, weights.convolutions, other.convolutions):
        assert (np.abs(np.array(one.kernel) - np.array(two.kernel)).max() > 1e-5) == bool(kept)


def test_separate_variables_are_those_of_the_query_set_in_the_weights():
    model = _model(_config(cnn={"separate_query_variables": True, "trained_layers": 1}))
    weights = model.generate(SUPPORT, LABELS)
    _close(weights.convolutions[0].kernel[0], reference.value(model.query_weights[0].kernel), 1e-6)
    _close(weights.convolutions[0].gamma[0], reference.value(model.query_weights[0].gamma), 1e-6)
    shared = _model()
    assert shared.query_weights is shared.support_weights
    assert len(model.weights) == len(_model(_config(cnn={"trained_layers": 1})).weights) + 2 * 4 + 1


@pytest.mark.parametrize("kind, variables", [("generated", None), ("trained", 3 * 2)])
def test_warm_up_heads_give_logits_after_every_convolution_but_the_last(kind, variables):
    model = _model(_config(cnn={"warmup_heads": kind}))
    weights = model.generate(SUPPORT, LABELS)
    assert len(weights.heads) == 3
    result = model.classify_with_heads(QUERY, weights)
    assert [tuple(head.shape) for head in result.head_logits] == [(TASKS, 4, N_WAY)] * 3
    np.testing.assert_array_equal(result.logits, model.classify(QUERY, weights))
    episodes_differ = [np.ptp(np.array(head.kernel), axis=0).max() > 1e-5 for head in weights.heads]
    assert episodes_differ == [kind == "generated"] * 3
    if variables is not None:
        assert len(model.weights) == len(_model().weights) + variables


def test_a_call_is_generate_then_classify(model):
    logits = model((SUPPORT, LABELS, QUERY))
    _close(logits, model.classify(QUERY, model.generate(SUPPORT, LABELS)), 1e-6)


def test_dropout_is_a_pure_function_of_its_seed():
    rates = {"features": {"local_dropout": 0.3, "shared_dropout": 0.3}, "cnn": {"dropout": 0.5}}
    model = _model(_config(**rates, transformer={"dropout": 0.2}))

    def logits(seed):
        dropout = None if seed is None else Dropout(tf.constant([seed, 1]))
        return np.array(model.classify(QUERY, model.generate(SUPPORT, LABELS, dropout=dropout), dropout=dropout))

    np.testing.assert_array_equal(logits(1), logits(1))
    assert np.abs(logits(1) - logits(2)).max() > 1e-3 < np.abs(logits(1) - logits(None)).max()
    _close(logits(None), _model().classify(QUERY, _model().generate(SUPPORT, LABELS)), 1e-6)


def test_numbers_of_episodes_samples_and_queries_may_be_unknown_in_a_graph(model, weights):
    image, length = tf.TensorSpec([None, None, *SHAPE], tf.uint8), tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[image, length, tf.TensorSpec([None, None]), image])
    def run(support, labels, mask, query):
        return model.classify(query, model.generate(support, labels, mask))

    _close(run(SUPPORT, LABELS, MASK, QUERY), model.classify(QUERY, weights), 1e-4)
    alone = run(SUPPORT[1:, :6], LABELS[1:, :6], MASK[1:, :6], QUERY[1:, :3])
    _close(alone, model.classify(QUERY[1:, :3], model.generate(SUPPORT[1:, :6], LABELS[1:, :6], MASK[1:, :6])), 1e-4)


# --- what a Keras model is expected to do -----------------------------------------------------------------------------


def test_a_model_is_complete_once_made():
    model = HyperTransformer(SHAPE, N_WAY, SMALL)
    count = len(model.weights)
    assert model.built and count == len(model.trainable_weights)
    model.classify(QUERY, model.generate(SUPPORT, LABELS))
    # Shared features, four generators with local features of two or one convolutions, logits generator, batch norms.
    local = [4, 4, 2, 2, 2]
    assert len(model.weights) == count == 4 + sum(2 + 2 * 16 + size for size in local) + 4 * 2


def test_paths_of_variables_are_readable_and_different(model):
    paths = [path_of(variable) for variable in model.weights]
    assert len(set(paths)) == len(paths)
    if hasattr(model.weights[0], "path"):
        ends = ["/".join(path.split("/")[-3:]) for path in paths]
        assert "layer_1_generator/local_features/convolution_1_kernel" in "/".join(paths)
        assert "layer_5_generator/sample_tokens/label_embeddings" in ends
        assert "encoder_2/self_attention/query/kernel" in "/".join(paths)
        assert "layer_4_trained/gamma" in "/".join(paths)


def test_a_configuration_makes_the_same_model_again(model, weights):
    config = _config(cnn={"warmup_heads": "generated"}, transformer={"variant": "separate", "heads": 1})
    first = _model(config, "plain", shared_head_classes=10)
    settings = first.get_config()
    again = HyperTransformer.from_config(json.loads(json.dumps(settings)))
    assert again.get_config() == settings and again.config == config
    again.set_weights(first.get_weights())
    _close(again.generate(SUPPORT, LABELS), first.generate(SUPPORT, LABELS), 0.0)


def test_weights_can_be_taken_out_and_put_into_another_model(model, weights):
    other = HyperTransformer(SHAPE, N_WAY, SMALL)
    assert np.abs(np.array(other.generate(SUPPORT, LABELS).blocks[0]) - np.array(weights.blocks[0])).max() > 1e-3
    other.set_weights(model.get_weights())
    _close(other.generate(SUPPORT, LABELS, MASK), weights, 0.0)


def test_weights_can_be_saved_by_keras(model, weights, tmp_path):
    model.save_weights(str(tmp_path / "model.weights.h5"))
    other = HyperTransformer(SHAPE, N_WAY, SMALL)
    other.load_weights(str(tmp_path / "model.weights.h5"))
    _close(other.generate(SUPPORT, LABELS, MASK), weights, 0.0)


def test_the_default_model_is_the_papers_omniglot_model():
    model = HyperTransformer((28, 28, 1), 20)
    images = STREAM.integers(0, 256, size=(20, 28, 28, 1), dtype=np.uint8)
    weights = model.generate(images, np.arange(20))
    assert [tuple(block.shape) for block in weights.blocks] == [(8, 48)] + [(8, 72)] * 3 + [(20, 40)]
    logits = np.array(model.classify(images, weights))
    assert logits.shape == (20, 20) and np.all(np.isfinite(logits))


# --- every combination ------------------------------------------------------------------------------------------------


def _loss_and_gradients(model):
    with tf.GradientTape() as tape:
        weights = model.generate(SUPPORT, LABELS, MASK)
        result = model.classify_with_heads(QUERY, weights)
        loss = 0.0
        for logits in (result.logits, *result.head_logits):
            loss += tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(QUERY_LABELS, logits))
    gradients = tape.gradient(loss, [tensorflow_variable(variable) for variable in model.trainable_variables])
    return loss, gradients, weights


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
        if cnn.get("architecture") == "3-layer":
            trained = max(min(trained, 3), -3)
        # The separate generator does not round sizes, so that more heads would need sizes that divide.
        heads = 1 if variant == "separate" else 2
        yield {
            "cnn": {**cnn, "trained_layers": trained},
            "features": features,
            "transformer": {**transformer, "variant": variant, "heads": heads, "layers": 1},
            "generator": generated,
        }


@pytest.mark.parametrize("changes", list(_grid()), ids=lambda changes: " ".join(map(str, changes.values())))
def test_every_combination_builds_runs_and_has_finite_gradients(changes):
    model = HyperTransformer(SHAPE, N_WAY, _config(**changes))
    loss, gradients, weights = _loss_and_gradients(model)
    assert np.isfinite(loss)
    assert all(np.all(np.isfinite(leaf)) for leaf in _leaves(weights))
    unread = changes["features"].get("local_dim") == 0  # then the support set's activations are not
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert gradient is not None or unread, f"no gradient reaches {path_of(variable)}"
        assert gradient is None or np.all(np.isfinite(gradient)), f"the gradient of {path_of(variable)} is not finite"
