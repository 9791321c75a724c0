"""A small model and task batch that the model's tests share: 16 pixels, three classes, some samples unlabelled."""

import dataclasses

import numpy as np
import tensorflow as tf
from layer_checks import randomise, tensorflow_variable

from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.model.hypertransformer import HyperTransformer

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


def changed(**changes):
    """SMALL with some settings changed: `changed(cnn={"channels": 2})`."""
    parts = {name: dataclasses.replace(getattr(SMALL, name), **values) for name, values in changes.items()}
    return dataclasses.replace(SMALL, **parts)


def make_model(config=SMALL, form="folded", **arguments):
    return randomise(HyperTransformer(SHAPE, N_WAY, config, convolution_form=form, **arguments), scale=0.3)


def leaves(weights):
    return [np.array(leaf) for leaf in tf.nest.flatten(weights) if leaf is not None]


def assert_close(results, expected, tolerance=1e-5):
    """All of a structure of arrays, relative to the largest entry of each."""
    results, expected = leaves(results), leaves(expected)
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected):
        np.testing.assert_allclose(result, wanted, rtol=0.0, atol=tolerance * max(np.abs(wanted).max(), 1.0))


def loss_and_gradients(model):
    with tf.GradientTape() as tape:
        weights = model.generate(SUPPORT, LABELS, MASK)
        result = model.classify_with_heads(QUERY, weights)
        loss = 0.0
        for logits in (result.logits, *result.head_logits):
            loss += tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(QUERY_LABELS, logits))
    gradients = tape.gradient(loss, [tensorflow_variable(variable) for variable in model.trainable_variables])
    return loss, gradients, weights
