"""The paper's Section 3.2 with weights set by hand: what attention can do, this transformer does.

One layer: a class token whose query matches the embedding of a label attends to that class's samples, and the
read-out is the mean of their features. Two layers: unlabelled samples first copy the label of the labelled samples
nearest to them, and are then counted.

Layer norm stands after every attention. To see through it, tokens hold two large entries, +LARGE and -LARGE: these
decide the deviation that it divides by, so that gamma can undo it.
"""

import math

import numpy as np
import pytest
import tensorflow as tf

from hypertransformer_tf.layers.attention import MultiHeadAttention
from hypertransformer_tf.layers.config import TransformerConfig
from hypertransformer_tf.layers.weight_generator import WeightGenerator

N_WAY, FEATURES, LARGE, SHARP = 3, 8, 100.0, 200.0

# Where things stand in a token: which weight token it is, its label, "no label", the label it copied, the large pair.
TOKEN, LABEL = slice(0, N_WAY), slice(N_WAY, 2 * N_WAY)
NO_LABEL, LARGE_PAIR = 2 * N_WAY, slice(2 * N_WAY + 1, 2 * N_WAY + 3)
COPY = slice(2 * N_WAY + 3, 3 * N_WAY + 3)
EMBEDDING = 3 * N_WAY + 3
CONTENT = slice(EMBEDDING, EMBEDDING + FEATURES)
SIZE = EMBEDDING + FEATURES


def _support(per_class, unlabelled_per_class=0, seed=0):
    """Features (S, FEATURES) around one direction per class, of zero sum and unit length; labels; true classes."""
    stream = np.random.default_rng(seed)
    centres = np.eye(N_WAY, FEATURES // 2)
    features, labels, classes = [], [], []
    for label in range(N_WAY):
        for sample in range(per_class + unlabelled_per_class):
            half = centres[label] + 0.2 * stream.normal(size=FEATURES // 2)
            half /= math.sqrt(2.0) * np.linalg.norm(half)
            features.append(np.concatenate([half, -half]))
            labels.append(label if sample < per_class else -1)
            classes.append(label)
    return np.array(features, np.float32), np.array(labels, np.int32), np.array(classes, np.int32)


def _embeddings(layer):
    """One-hot embeddings of weight tokens and labels, all with the large pair."""
    weights, labels = np.zeros((N_WAY, EMBEDDING)), np.zeros((N_WAY + 1, EMBEDDING))
    weights[:, TOKEN] = np.eye(N_WAY)
    labels[:N_WAY, LABEL] = np.eye(N_WAY)
    labels[N_WAY, NO_LABEL] = 1.0
    for embeddings in (weights, labels):
        embeddings[:, LARGE_PAIR] = (LARGE, -LARGE)
    layer.weight_tokens.weight_embeddings.assign(weights)
    layer.sample_tokens.label_embeddings.assign(labels)


def _set(dense, entries, bias=None):
    """Fills a dense layer with zeros but for (rows, columns, factor), each of them a diagonal."""
    kernel = np.zeros(tuple(dense.kernel.shape))
    for rows, columns, factor in entries:
        kernel[rows, columns] = factor * np.eye(rows.stop - rows.start)
    dense.kernel.assign(kernel)
    dense.bias.assign(np.zeros(kernel.shape[1]) if bias is None else bias)


def _undo_norm(norm, total):
    """Gamma and beta with which layer norm leaves a token alone whose entries sum up to `total`."""
    norm.gamma.assign(np.full(SIZE, math.sqrt(2.0 * LARGE**2 / SIZE)))
    norm.beta.assign(np.full(SIZE, total / SIZE))


def _generator(layers):
    config = TransformerConfig(layers=layers, heads=1, embedding_dim=EMBEDDING, inner_size=0.0)
    generator = WeightGenerator(N_WAY, (N_WAY, FEATURES), config, shared_size=FEATURES, name="generator")
    generator.build((None, None, 4, 4, 1))
    _embeddings(generator)
    return generator


def _count(layer, label, total):
    """A layer in which class tokens read the mean feature of the samples with their class at `label`."""
    attention = layer.self_attention
    sharp = SHARP * math.sqrt(attention.query_key_size)
    _set(attention.query, [(TOKEN, slice(0, N_WAY), sharp)])
    _set(attention.key, [(label, slice(0, N_WAY), 1.0)])
    _set(attention.value, [(CONTENT, slice(0, FEATURES), 1.0)])
    _set(attention.output_projection, [(slice(0, FEATURES), CONTENT, 1.0)])
    _undo_norm(layer.self_attention_norm, total)


def _copy_labels(layer, total):
    """A layer in which all samples copy the label of the labelled samples with the features nearest to theirs."""
    attention = layer.self_attention
    scale = math.sqrt(attention.query_key_size)
    labelled = np.zeros(attention.query_key_size)
    labelled[FEATURES : FEATURES + N_WAY] = 1000.0 * scale  # what every query adds to labelled keys
    _set(attention.query, [(CONTENT, slice(0, FEATURES), SHARP * scale)], bias=labelled)
    _set(attention.key, [(CONTENT, slice(0, FEATURES), 1.0), (LABEL, slice(FEATURES, FEATURES + N_WAY), 1.0)])
    _set(attention.value, [(LABEL, slice(0, N_WAY), 1.0)])
    _set(attention.output_projection, [(slice(0, N_WAY), COPY, 1.0)])
    _undo_norm(layer.self_attention_norm, total)


def _blocks(generator, features, labels):
    activations = np.zeros((1, len(labels), 4, 4, 1), np.float32)
    return np.array(generator(activations, labels[np.newaxis], features[np.newaxis]))[0]


def _means(features, classes):
    return np.stack([features[classes == label].mean(axis=0) for label in range(N_WAY)])


def test_attention_alone_reads_the_mean_feature_of_a_class():
    features, labels, _ = _support(per_class=4)
    attention = MultiHeadAttention(1, N_WAY, FEATURES, FEATURES, name="attention")
    attention.build((None, N_WAY, N_WAY), (None, None, N_WAY + FEATURES))
    _set(attention.query, [(slice(0, N_WAY), slice(0, N_WAY), SHARP)])
    _set(attention.key, [(slice(0, N_WAY), slice(0, N_WAY), 1.0)])
    _set(attention.value, [(slice(N_WAY, N_WAY + FEATURES), slice(0, FEATURES), 1.0)])
    _set(attention.output_projection, [(slice(0, FEATURES), slice(0, FEATURES), 1.0)])
    classes = np.eye(N_WAY, dtype=np.float32)[np.newaxis]
    samples = np.concatenate([np.eye(N_WAY)[labels], features], -1).astype(np.float32)[np.newaxis]
    np.testing.assert_allclose(attention(classes, samples)[0], _means(features, labels), rtol=1e-5, atol=1e-6)
    weights = np.array(attention.attention_weights(classes, samples))[0, 0]
    np.testing.assert_allclose(weights, (labels == np.arange(N_WAY)[:, np.newaxis]) / 4.0, atol=1e-6)


@pytest.mark.parametrize("shots", [1, 5])
def test_one_layer_makes_the_prototypes_of_the_classes(shots):
    features, labels, classes = _support(per_class=shots)
    generator = _generator(layers=1)
    _count(generator.encoder[0], LABEL, total=1.0)
    np.testing.assert_allclose(_blocks(generator, features, labels), _means(features, classes), atol=1e-3)


def test_the_prototypes_classify_as_one_gradient_step_from_zero_does():
    features, labels, classes = _support(per_class=5)
    queries, _, query_classes = _support(per_class=6, seed=1)
    generator = _generator(layers=1)
    _count(generator.encoder[0], LABEL, total=1.0)
    kernel = tf.Variable(tf.zeros((FEATURES, N_WAY)))
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, features @ kernel)
        loss = tf.reduce_mean(losses)
    # One of N_WAY classes owns a share 1 / N_WAY of the samples: with this rate, the step is the mean of its features.
    step = -N_WAY * tape.gradient(loss, kernel)
    by_gradient = tf.nn.softmax(queries @ step)
    by_prototype = tf.nn.softmax(queries @ _blocks(generator, features, labels).T)
    np.testing.assert_allclose(by_prototype, by_gradient, atol=1e-3)
    np.testing.assert_array_equal(np.argmax(by_prototype, -1), query_classes)


def test_one_layer_does_not_count_the_unlabelled():
    features, labels, _ = _support(per_class=1, unlabelled_per_class=4)
    generator = _generator(layers=1)
    _count(generator.encoder[0], LABEL, total=1.0)
    labelled = labels >= 0
    np.testing.assert_allclose(
        _blocks(generator, features, labels), _means(features[labelled], labels[labelled]), atol=1e-3
    )


@pytest.mark.parametrize("shots", [1, 2])
def test_two_layers_label_the_unlabelled_and_count_them(shots):
    features, labels, classes = _support(per_class=shots, unlabelled_per_class=4)
    generator = _generator(layers=2)
    _copy_labels(generator.encoder[0], total=2.0)
    _count(generator.encoder[1], COPY, total=2.0)
    blocks = _blocks(generator, features, labels)
    np.testing.assert_allclose(blocks, _means(features, classes), atol=2e-3)
    labelled = labels >= 0
    assert np.abs(blocks - _means(features[labelled], labels[labelled])).max() > 0.05


def test_an_unlabelled_sample_goes_to_the_class_it_is_nearest_to_whatever_it_was_drawn_from():
    features, labels, classes = _support(per_class=1, unlabelled_per_class=2)
    features[1] = features[3] * 0.9 + features[0] * 0.1  # of class 0, and like the labelled sample of class 1
    features[1] /= np.linalg.norm(features[1])
    generator = _generator(layers=2)
    _copy_labels(generator.encoder[0], total=2.0)
    _count(generator.encoder[1], COPY, total=2.0)
    copied = classes.copy()
    copied[1] = 1
    np.testing.assert_allclose(_blocks(generator, features, labels), _means(features, copied), atol=2e-3)
