"""The weight generator: from support activations and labels to weight blocks, against the reference."""

import dataclasses

import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from layer_checks import check_layer, randomise, tensorflow_variable

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.layers.config import TransformerConfig
from hypertransformer_tf.layers.features import LocalFeatures, LogitsFeatures
from hypertransformer_tf.layers.weight_generator import WeightGenerator

STREAM = np.random.default_rng(0)
ACTIVATIONS = STREAM.normal(size=(2, 4, 7, 7, 2)).astype(np.float32)
LABELS = np.array([[0, 1, 2, -1], [2, 0, -1, 1]], np.int32)
SHARED = STREAM.normal(size=(2, 4, 3)).astype(np.float32)
MASK = np.array([[0, 0, 0, 1], [0, 1, 0, 0]], np.float32)
CONFIG = TransformerConfig(layers=2, heads=2, embedding_dim=4)


def _generator(config=CONFIG, layout=(5, 7), local=True, shared_size=3):
    features = LocalFeatures(2, 2, name="local_features") if local else None
    return WeightGenerator(3, layout, config, features, shared_size, name="generator")


def _built(**arguments):
    layer = _generator(**arguments)
    layer.build(ACTIVATIONS.shape)
    return randomise(layer)


def _features(layer, episode):
    features = []
    if layer.local_features is not None:
        convolutions = layer.local_features.convolutions
        variables = [(reference.value(kernel), reference.value(bias)) for kernel, bias, _ in convolutions]
        features.append(reference.local_features(ACTIVATIONS[episode], variables, 3))
    if layer.shared_size:
        features.append(SHARED[episode])
    return np.concatenate(features, -1)


def _biases_of_keys(generator):
    """Softmax does not see them: they add the same to all logits of a query."""
    attentions = [layer.self_attention for layer in [*generator.encoder, *generator.decoder]]
    return [attention.key.bias for attention in attentions + [layer.cross_attention for layer in generator.decoder]]


@pytest.mark.parametrize(
    "variant, variables",
    [
        ("encoder", 4 + 2 + 2 * 16),
        ("encoder_decoder", 4 + 2 + 2 * 42),
        pytest.param("separate", 4 + 2 + 2 * 42, marks=pytest.mark.slow),
    ],
)
def test_a_generator_does_what_every_layer_does(variant, variables):
    heads = 1 if variant == "separate" else 2
    check_layer(
        lambda: _generator(dataclasses.replace(CONFIG, variant=variant, heads=heads)),
        [ACTIVATIONS, LABELS, SHARED, MASK],
        build=[ACTIVATIONS.shape],
        output_shapes=[(2, 5, 7)],
        variables=variables,
        without_gradient=_biases_of_keys,
    )


@pytest.mark.parametrize("source, size", [("convolution", 3), ("passthrough", 8), ("mix", 11)])
def test_the_logits_generator_does_what_every_layer_does(source, size):
    def make():
        return WeightGenerator(3, (3, 9), CONFIG, LogitsFeatures(source, 3, name="local_features"), 3, name="generator")

    layer = check_layer(
        make,
        [ACTIVATIONS[:, :, :2, :2], LABELS, SHARED],
        build=[(None, None, 2, 2, 2)],
        output_shapes=[(2, 3, max(9, size + 3))],
        variables=2 + 2 * 16 + (0 if source == "passthrough" else 2),
        without_gradient=_biases_of_keys,
    )
    assert layer.sample_size == max(4 + 9, 4 + size + 3)


@pytest.mark.parametrize("variant", ["encoder", "encoder_decoder", "separate"])
@pytest.mark.parametrize("local, shared_size", [(True, 3), (True, 0), (False, 3)])
@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_blocks_are_those_of_the_reference(variant, local, shared_size, attention):
    heads = 1 if variant == "separate" else 2
    config = dataclasses.replace(CONFIG, variant=variant, heads=heads, attention=attention, activation="gelu")
    layer = _built(config=config, local=local, shared_size=shared_size)
    for mask in (None, MASK):
        blocks = layer(ACTIVATIONS, LABELS, SHARED if shared_size else None, support_mask=mask)
        for episode in range(2):
            ignored = None if mask is None else mask[episode]
            expected = reference.weight_blocks(layer, LABELS[episode], _features(layer, episode), ignored)
            np.testing.assert_allclose(blocks[episode], expected, rtol=2e-3, atol=2e-3)


def test_token_size_of_the_joint_generator_is_the_larger_of_the_two():
    # Four local and three shared features.
    assert _built(layout=(5, 7)).sample_size == 4 + max(7, 4 + 3)
    wide = _built(layout=(5, 20))
    assert wide.sample_size == wide.weight_size == 4 + 20
    narrow = _built(layout=(5, 2))
    assert narrow.sample_size == narrow.weight_size == 4 + 7
    assert tuple(narrow(ACTIVATIONS, LABELS, SHARED).shape) == (2, 5, 7)


def test_token_sizes_of_the_separate_generator_differ():
    layer = _built(config=dataclasses.replace(CONFIG, variant="separate", heads=1), layout=(5, 20))
    assert (layer.sample_size, layer.weight_size) == (4 + 7, 4 + 20)
    assert tuple(layer(ACTIVATIONS, LABELS, SHARED).shape) == (2, 5, 20)


@pytest.mark.parametrize("variant", ["encoder", "encoder_decoder", "separate"])
def test_the_order_of_the_support_set_does_not_matter(variant):
    layer, order = _built(config=dataclasses.replace(CONFIG, variant=variant, heads=1)), [2, 0, 3, 1]
    blocks = layer(ACTIVATIONS, LABELS, SHARED, support_mask=MASK)
    permuted = layer(ACTIVATIONS[:, order], LABELS[:, order], SHARED[:, order], support_mask=MASK[:, order])
    np.testing.assert_allclose(permuted, blocks, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ["encoder", "encoder_decoder", "separate"])
@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_a_masked_sample_reaches_no_weight_token(variant, attention):
    config = dataclasses.replace(CONFIG, variant=variant, heads=1, attention=attention)
    layer = _built(config=config)
    blocks = np.array(layer(ACTIVATIONS, LABELS, SHARED, support_mask=MASK))
    change = MASK[..., np.newaxis]
    activations = ACTIVATIONS + 9.0 * change[..., np.newaxis, np.newaxis]
    labels = np.where(MASK == 1, 0, LABELS).astype(np.int32)
    shared = (SHARED + 5.0 * change).astype(np.float32)
    np.testing.assert_allclose(layer(activations, labels, shared, support_mask=MASK), blocks, rtol=1e-5, atol=1e-6)
    without = layer(ACTIVATIONS[:1, :3], LABELS[:1, :3], SHARED[:1, :3])
    np.testing.assert_allclose(without, blocks[:1], rtol=1e-4, atol=1e-5)


def test_the_separate_generator_reads_masked_samples_where_it_is_told_to():
    config = dataclasses.replace(CONFIG, variant="separate", heads=1, separate_ignores_mask=True)
    layer = _built(config=config)
    blocks = layer(ACTIVATIONS, LABELS, SHARED, support_mask=MASK)
    np.testing.assert_array_equal(blocks, layer(ACTIVATIONS, LABELS, SHARED))


@pytest.mark.parametrize("variant", ["encoder", "encoder_decoder"])
def test_only_the_separate_generator_can_ignore_the_mask(variant):
    with pytest.raises(UserError, match="separate_ignores_mask = True needs transformer.variant = 'separate'"):
        dataclasses.replace(CONFIG, variant=variant, separate_ignores_mask=True)


@pytest.mark.parametrize("variant, in_encoder", [("encoder", True), ("encoder_decoder", False), ("separate", False)])
def test_the_last_layer_of_all_drops_its_activation(variant, in_encoder):
    config = dataclasses.replace(CONFIG, variant=variant, heads=1, activation="gelu", skip_last_nonlinearity=True)
    layer = _built(config=config)
    assert [encoder.activation for encoder in layer.encoder] == ["gelu", "none" if in_encoder else "gelu"]
    assert [decoder.activation for decoder in layer.decoder] == ([] if in_encoder else ["relu", "none"])
    blocks = layer(ACTIVATIONS, LABELS, SHARED)
    expected = reference.weight_blocks(layer, LABELS[0], _features(layer, 0))
    np.testing.assert_allclose(blocks[0], expected, rtol=2e-3, atol=2e-3)


def test_an_inner_size_of_zero_leaves_attention_alone():
    layer = _built(config=dataclasses.replace(CONFIG, inner_size=0.0))
    assert len(layer.weights) == 4 + 2 + 2 * 10
    blocks = layer(ACTIVATIONS, LABELS, SHARED)
    np.testing.assert_allclose(
        blocks[0], reference.weight_blocks(layer, LABELS[0], _features(layer, 0)), rtol=2e-3, atol=2e-3
    )


def test_every_episode_of_a_task_batch_is_read_by_itself():
    layer = _built()
    blocks = np.array(layer(ACTIVATIONS, LABELS, SHARED))
    alone = np.array(layer(ACTIVATIONS[1:], LABELS[1:], SHARED[1:]))
    np.testing.assert_allclose(alone[0], blocks[1], rtol=1e-4, atol=1e-5)


def _begun(source, value_size=1.0):
    """A logits generator with the values it begins with, maps, labels, and the mean map of each class."""
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(CONFIG, embedding_dim=32, layers=3, match_labels=True, value_size=value_size)
    maps = np.random.default_rng(1).normal(size=(8, 12, 2, 2, 4)).astype(np.float32)
    labels = np.tile(np.arange(3, dtype=np.int32), (8, 4))
    features = LogitsFeatures(source, 4, name="local_features")
    layer = WeightGenerator(3, (3, 17), config, features, 0, tokens_are_classes=True, name="generator")
    layer.build(maps.shape)
    means = np.stack([maps[:, labels[0] == each].mean(1).reshape(-1, 16) for each in range(3)], 1)
    return layer, maps, labels, means


@pytest.mark.parametrize(
    "source, value_size, copies",
    [("passthrough", 1.0, True), ("mix", 1.0, True), ("passthrough", 0.25, True), ("convolution", 1.0, False)],
)
def test_classes_begin_near_the_means_of_their_maps_where_the_logits_layer_reads_these(source, value_size, copies):
    layer, maps, labels, means = _begun(source, value_size)
    blocks = np.array(layer(maps, labels))[..., :16]
    alike = np.mean([np.corrcoef(*pair)[:3, 3:] for pair in zip(blocks, means)], axis=0)
    of_own = np.diag(alike)
    assert (of_own.min() > 0.5) == copies
    assert (of_own.min() > alike[~np.eye(3, dtype=bool)].max() + 0.3) == copies


def _variation(scale, variant="encoder", **arguments):
    """How much blocks differ between episodes as training begins, relative to what they have in common."""
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(CONFIG, embedding_dim=16, heads=1, variant=variant, attention_scale=scale)
    layer = _generator(config, **arguments)
    layer.build(ACTIVATIONS.shape)
    activations = np.random.default_rng(1).normal(size=(16, 3, 7, 7, 2)).astype(np.float32)
    blocks = np.array(layer(activations, np.tile(np.arange(3, dtype=np.int32), (16, 1))))[..., :7]
    return np.mean(blocks.std(0)) / np.abs(blocks.mean(0)).mean()


@pytest.mark.parametrize("variant", ["encoder", pytest.param("encoder_decoder", marks=pytest.mark.slow), "separate"])
def test_kernels_of_all_episodes_begin_nearly_alike_where_attention_begins_small(variant):
    usual, small = (_variation(scale, variant, shared_size=0) for scale in (1.0, 0.1))
    assert small < usual / 3


def test_classes_do_not_begin_alike_as_kernels_do():
    config = dataclasses.replace(CONFIG, attention_scale=0.1)
    scaled, usual = (
        WeightGenerator(3, (3, 7), each, None, 3, tokens_are_classes=True, name="generator")
        for each in (config, CONFIG)
    )
    for layer in (scaled, usual):
        keras.utils.set_random_seed(0)
        layer.build(ACTIVATIONS.shape)
    for own, other in zip(scaled.weights, usual.weights):
        np.testing.assert_array_equal(reference.value(own), reference.value(other))


def _right_about_others_of_their_classes(spread, shape, **changes):
    """Accuracy on other samples of what is generated of one labelled sample and ten unlabelled ones of each class.

    Maps are drawn round a centre for each of five classes, and normalised. Returns it for the generated classes and for
    the labelled maps themselves.
    """
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(CONFIG, embedding_dim=32, layers=2, match_labels=True, spread_labels=spread, **changes)
    draw, size = np.random.default_rng(1), int(np.prod(shape))
    noise = 0.22 * np.sqrt(size) * draw.normal(size=(16, 5, 11 + 20, size))
    maps = (draw.normal(size=(16, 5, 1, size)) + noise).astype(np.float32)
    maps = (maps - maps.mean((1, 2), keepdims=True)) / maps.std((1, 2), keepdims=True)
    labelled, queries = maps[:, :, 0], maps[:, :, 11:]
    support = np.concatenate([labelled, maps[:, :, 1:11].reshape(16, 50, size)], 1)
    labels = np.tile(np.int32([*range(5)] + [-1] * 50), (16, 1))
    features = LogitsFeatures("passthrough", 4, name="local_features")
    layer = WeightGenerator(5, (5, size + 1), config, features, 0, tokens_are_classes=True, name="generator")
    layer.build((16, 55, *shape))
    generated = np.array(layer(support.reshape(16, 55, *shape), labels))[..., :size]

    def accuracy(classes):
        logits = np.einsum("tcqd,tkd->tcqk", queries, classes - classes.mean(1, keepdims=True))
        return (logits.argmax(-1) == np.arange(5)[:, np.newaxis]).mean()

    return accuracy(generated), accuracy(labelled)


def test_unlabelled_samples_are_counted_with_those_they_resemble_from_the_first_step_on():
    spread, of_labelled = _right_about_others_of_their_classes(True, (2, 2, 8))
    assert spread > of_labelled + 0.05


def test_they_are_counted_where_heads_are_small_and_tokens_long():
    settings = {"heads": 8, "query_key_size": 0.5, "value_size": 0.5}
    spread, plain = (_right_about_others_of_their_classes(each, (5, 5, 8), **settings)[0] for each in (True, False))
    assert spread > plain + 0.15


def test_labels_and_weight_tokens_are_told_apart_by_what_spread_labels_begins_with():
    config = dataclasses.replace(CONFIG, embedding_dim=32, layers=2, match_labels=True, spread_labels=True)
    features = LogitsFeatures("passthrough", 4, name="local_features")
    layer = WeightGenerator(5, (5, 33), config, features, 0, tokens_are_classes=True, name="generator")
    layer.build((16, 55, 2, 2, 8))
    labels = layer.sample_tokens.label_embeddings.numpy()
    own = layer.weight_tokens.weight_embeddings.numpy() - labels[:5]
    assert not labels[5].any() and np.abs(labels[:5] @ own.T).max() < 1e-3 < np.abs(own).max()


def test_every_value_can_learn_where_classes_begin_with_means():
    layer, maps, labels, _ = _begun("passthrough")
    noise = np.random.default_rng(2).normal(size=(8, 3, layer.sample_size - 32)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(maps, labels) * noise)
    kernel = layer.encoder[0].self_attention.output_projection.kernel
    gradient = tape.gradient(loss, tensorflow_variable(kernel))
    assert (np.abs(gradient).max(axis=1) > 0).all()
