"""The model: what generate, classify and a Keras model promise."""

import json

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from layer_checks import path_of
from small_model import (
    LABELS,
    MASK,
    N_WAY,
    QUERY,
    SHAPE,
    SMALL,
    STREAM,
    SUPPORT,
    TASKS,
    assert_close,
    changed,
    leaves,
    make_model,
)

from hypertransformer_tf.layers.dropout import Dropout
from hypertransformer_tf.model.hypertransformer import HyperTransformer


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def weights(model):
    return model.generate(SUPPORT, LABELS, MASK)


def test_a_task_batch_is_its_episodes_one_by_one(model, weights):
    logits = model.classify(QUERY, weights)
    for episode in range(TASKS):
        alone = model.generate(SUPPORT[episode], LABELS[episode], MASK[episode])
        assert_close(alone.blocks, [block[episode] for block in weights.blocks])
        assert_close(alone.shared_features, weights.shared_features[episode])
        assert_close(model.classify(QUERY[episode], alone), logits[episode], 1e-4)


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
    assert_close(permuted.blocks, weights.blocks)
    assert_close(model.classify(QUERY, permuted), model.classify(QUERY, weights), 1e-4)


def test_queries_come_out_in_the_order_they_went_in(model, weights):
    order = [2, 0, 3, 1]
    logits = np.array(model.classify(QUERY, weights))
    assert_close(model.classify(QUERY[:, order], weights), logits[:, order], 1e-4)


def test_a_masked_sample_reaches_no_weight_token_through_attention(model, weights):
    # Later layers see it through the normalisation of the support set; the first is made of images only.
    support, labels = SUPPORT.copy(), LABELS.copy()
    support[MASK == 1] = 255 - support[MASK == 1]
    labels[MASK == 1] = 1
    other = model.generate(support, labels, MASK)
    assert_close(other.blocks[0], weights.blocks[0], 1e-6)
    unmasked = model.generate(support, labels)
    assert np.abs(np.array(unmasked.blocks[0]) - np.array(weights.blocks[0])).max() > 1e-3
    assert np.abs(np.array(other.blocks[1]) - np.array(weights.blocks[1])).max() > 1e-6


def test_a_mask_of_zeros_is_no_mask(model):
    for mask in (np.zeros((TASKS, 7), np.float32), np.zeros((TASKS, 7), bool), np.zeros((TASKS, 7), np.int64)):
        assert_close(model.generate(SUPPORT, LABELS, mask).blocks, model.generate(SUPPORT, LABELS).blocks, 0.0)


def test_generated_weights_are_a_value(model, weights):
    before, logits = leaves(weights), np.array(model.classify(QUERY, weights))
    model.generate(SUPPORT[::-1], LABELS[::-1])
    model.generate(255 - SUPPORT[0], LABELS[1])
    for leaf, same in zip(leaves(weights), before):
        np.testing.assert_array_equal(leaf, same)
    np.testing.assert_array_equal(model.classify(QUERY, weights), logits)


def test_generate_and_classify_change_no_variable(model, weights):
    before = leaves(model.get_weights())
    model.classify(QUERY, model.generate(SUPPORT, LABELS))
    for variable, same in zip(model.get_weights(), before):
        np.testing.assert_array_equal(variable, same)


def test_the_same_support_set_gives_the_same_weights(model, weights):
    assert_close(model.generate(SUPPORT, LABELS, MASK), weights, 0.0)


def test_bytes_are_scaled_images(model, weights):
    scaled_support, scaled_query = SUPPORT / 128.0 - 1.0, (QUERY / 128.0 - 1.0).astype(np.float32)
    scaled = model.generate(scaled_support, LABELS, MASK)
    assert_close(scaled, weights, 1e-6)
    assert_close(model.classify(scaled_query, scaled), model.classify(QUERY, weights), 1e-6)


def test_tensors_lists_and_any_integers_are_taken(model, weights):
    taken = model.generate(tf.constant(SUPPORT), LABELS.astype(np.int64), MASK.tolist())
    assert_close(taken, weights, 0.0)
    assert_close(model.generate(SUPPORT, LABELS.tolist(), tf.constant(MASK) > 0.0), weights, 0.0)


def test_a_number_of_classes_from_numpy_is_one_from_python(model):
    images, labels = SUPPORT[0][:2], np.arange(2)
    expected, found = (model.generate(images, labels, n_way=kind(2)) for kind in (int, np.int64))
    np.testing.assert_array_equal(found.logits.kernel, expected.logits.kernel)


def test_unlabelled_samples_count_but_not_as_any_class(model):
    labelled = LABELS[0] >= 0
    blocks = [
        np.array(model.generate(SUPPORT[0], LABELS[0]).blocks[0]),
        np.array(model.generate(SUPPORT[0, labelled], LABELS[0, labelled]).blocks[0]),
    ]
    blocks += [np.array(model.generate(SUPPORT[0], np.where(labelled, LABELS[0], c)).blocks[0]) for c in range(N_WAY)]
    for first in range(len(blocks)):
        for second in range(first):
            assert np.abs(blocks[first] - blocks[second]).max() > 1e-4


@pytest.mark.parametrize("trained, expected", [(2, [0, 0, 1, 1]), (-2, [1, 1, 0, 0]), (4, [0, 0, 0, 0])])
def test_trained_layers_have_no_blocks_and_share_their_kernel_over_episodes(trained, expected):
    model = make_model(changed(cnn={"trained_layers": trained}))
    weights = model.generate(SUPPORT, LABELS)
    assert [int(block is not None) for block in weights.blocks] == expected + [1]
    assert [generator is not None for generator in model.generators] == [bool(kept) for kept in expected] + [True]
    for kept, convolution, layer in zip(expected, weights.convolutions, model.support_weights):
        assert convolution.kernel.shape[0] == (TASKS if kept else 1)
        if not kept:
            assert_close(convolution.kernel[0], reference.value(layer.kernel), 1e-6)
    other = model.generate(SUPPORT[::-1], LABELS[::-1])
    for kept, one, two in zip(expected, weights.convolutions, other.convolutions):
        assert (np.abs(np.array(one.kernel) - np.array(two.kernel)).max() > 1e-5) == bool(kept)


def test_separate_variables_are_those_of_the_query_set_in_the_weights():
    model = make_model(changed(cnn={"separate_query_variables": True, "trained_layers": 1}))
    weights = model.generate(SUPPORT, LABELS)
    assert_close(weights.convolutions[0].kernel[0], reference.value(model.query_weights[0].kernel), 1e-6)
    assert_close(weights.convolutions[0].gamma[0], reference.value(model.query_weights[0].gamma), 1e-6)
    shared = make_model()
    assert all(query is support for query, support in zip(shared.query_weights, shared.support_weights))
    assert len(model.weights) == len(make_model(changed(cnn={"trained_layers": 1})).weights) + 2 * 4 + 1


@pytest.mark.parametrize("kind, variables", [("generated", None), ("trained", 3 * 2)])
def test_warm_up_heads_give_logits_after_every_convolution_but_the_last(kind, variables):
    model = make_model(changed(cnn={"warmup_heads": kind}))
    weights = model.generate(SUPPORT, LABELS)
    assert len(weights.heads) == 3
    result = model.classify_with_heads(QUERY, weights)
    assert [tuple(head.shape) for head in result.head_logits] == [(TASKS, 4, N_WAY)] * 3
    np.testing.assert_array_equal(result.logits, model.classify(QUERY, weights))
    episodes_differ = [np.ptp(np.array(head.kernel), axis=0).max() > 1e-5 for head in weights.heads]
    assert episodes_differ == [kind == "generated"] * 3
    if variables is not None:
        assert len(model.weights) == len(make_model().weights) + variables


def test_a_call_is_generate_then_classify(model):
    logits = model((SUPPORT, LABELS, QUERY))
    assert_close(logits, model.classify(QUERY, model.generate(SUPPORT, LABELS)), 1e-6)


def test_dropout_is_a_pure_function_of_its_seed(model):
    rates = {"features": {"local_dropout": 0.3, "shared_dropout": 0.3}, "cnn": {"dropout": 0.5}}
    dropping = make_model(changed(**rates, transformer={"dropout": 0.2}))

    def logits(seed):
        dropout = None if seed is None else Dropout(tf.constant([seed, 1]))
        weights = dropping.generate(SUPPORT, LABELS, dropout=dropout)
        return np.array(dropping.classify(QUERY, weights, dropout=dropout))

    first, without = logits(1), logits(None)
    np.testing.assert_array_equal(logits(1), first)
    assert np.abs(logits(2) - first).max() > 1e-3 < np.abs(first - without).max()
    assert_close(without, model.classify(QUERY, model.generate(SUPPORT, LABELS)), 1e-6)


@pytest.mark.slow
def test_numbers_of_episodes_samples_and_queries_may_be_unknown_in_a_graph(model, weights):
    image, length = tf.TensorSpec([None, None, *SHAPE], tf.uint8), tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[image, length, tf.TensorSpec([None, None]), image])
    def run(support, labels, mask, query):
        return model.classify(query, model.generate(support, labels, mask))

    assert_close(run(SUPPORT, LABELS, MASK, QUERY), model.classify(QUERY, weights), 1e-4)
    fewer = SUPPORT[1:, :6], LABELS[1:, :6], MASK[1:, :6]
    assert_close(run(*fewer, QUERY[1:, :3]), model.classify(QUERY[1:, :3], model.generate(*fewer)), 1e-4)


def test_a_model_is_complete_once_made():
    model = HyperTransformer(SHAPE, N_WAY, SMALL)
    count = len(model.weights)
    assert model.built and count == len(model.trainable_weights)
    model.classify(QUERY, model.generate(SUPPORT, LABELS))
    # Shared features, four generators with local features of two or one convolutions, logits generator, batch norms.
    local = [4, 4, 2, 2, 2]
    assert len(model.weights) == count == 4 + sum(2 + 2 * 16 + size for size in local) + 4 * 2


def test_paths_of_variables_are_readable_and_different(model):
    if not hasattr(model.weights[0], "path"):
        pytest.skip("variables of Keras 2 have no paths")
    paths = [path_of(variable) for variable in model.weights]
    assert len(set(paths)) == len(paths)
    for end in (
        "shared_features/convolution_1_kernel",
        "layer_1_generator/local_features/convolution_2_bias",
        "layer_5_generator/sample_tokens/label_embeddings",
        "layer_3_generator/encoder_2/self_attention/query/kernel",
        "layer_4_trained/gamma",
    ):
        assert f"{model.name}/{end}" in paths


def test_a_configuration_makes_the_same_model_again():
    config = changed(cnn={"warmup_heads": "trained"}, transformer={"variant": "separate", "heads": 1, "layers": 1})
    first = make_model(config, "plain", shared_head_classes=10)
    settings = first.get_config()
    again = HyperTransformer.from_config(json.loads(json.dumps(settings)))
    assert again.get_config() == settings and again.config == config
    again.set_weights(first.get_weights())
    assert_close(again.generate(SUPPORT, LABELS), first.generate(SUPPORT, LABELS), 0.0)


def test_weights_can_be_taken_out_and_put_into_another_model(model, weights):
    other = HyperTransformer(SHAPE, N_WAY, SMALL)
    assert np.abs(np.array(other.generate(SUPPORT, LABELS).blocks[0]) - np.array(weights.blocks[0])).max() > 1e-3
    other.set_weights(model.get_weights())
    assert_close(other.generate(SUPPORT, LABELS, MASK), weights, 0.0)


def test_weights_can_be_saved_by_keras(model, weights, tmp_path):
    model.save_weights(str(tmp_path / "model.weights.h5"))
    other = HyperTransformer(SHAPE, N_WAY, SMALL)
    other.load_weights(str(tmp_path / "model.weights.h5"))
    assert_close(other.generate(SUPPORT, LABELS, MASK), weights, 0.0)


def test_the_default_model_is_the_papers_omniglot_model():
    model = HyperTransformer((28, 28, 1), 20)
    images = STREAM.integers(0, 256, size=(20, 28, 28, 1), dtype=np.uint8)
    weights = model.generate(images, np.arange(20))
    assert [tuple(block.shape) for block in weights.blocks] == [(8, 48)] + [(8, 72)] * 3 + [(20, 40)]
    logits = np.array(model.classify(images, weights))
    assert logits.shape == (20, 20) and np.all(np.isfinite(logits))
