"""Fewer classes than a model was made for: `generate(..., n_way=)`."""

import numpy as np
import pytest
import small_model as small
import tensorflow as tf

from hypertransformer_tf.errors import UserError

LABELS = np.array([[0, 1, 1, -1, 0, -1, 0], [1, 1, 0, 1, -1, 0, -1]], np.int32)
VARIANTS = [
    {},
    {"transformer": {"variant": "encoder_decoder"}},
    {"transformer": {"variant": "separate", "query_key_size": 8, "value_size": 8}},
    pytest.param({"generator": {"add_trained_weights": True}}, marks=pytest.mark.slow),
    pytest.param({"cnn": {"warmup_heads": "generated"}}, marks=pytest.mark.slow),
    pytest.param({"cnn": {"warmup_heads": "trained"}}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_an_int_and_a_tensor_say_the_same(changes):
    model = small.make_model(small.changed(**changes))
    few = model.classify(small.QUERY, model.generate(small.SUPPORT, LABELS, small.MASK, n_way=2))
    padded = model.generate(small.SUPPORT, LABELS, small.MASK, n_way=tf.constant([2, 2]))
    logits = np.array(model.classify(small.QUERY, padded))
    assert few.shape == (2, 4, 2) and logits.shape == (2, 4, 3)
    np.testing.assert_allclose(logits[..., :2], few, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(np.array(tf.nn.softmax(logits))[..., 2], 0.0)


def test_the_absent_class_reaches_nothing():
    model = small.make_model()
    before = model.generate(small.SUPPORT, LABELS, n_way=tf.constant(2))
    tokens = model.generators[-1].weight_tokens.weight_embeddings
    tokens.assign(np.array(tokens) + np.array([[0.0], [0.0], [5.0]]))
    after = model.generate(small.SUPPORT, LABELS, n_way=tf.constant(2))
    small.assert_close(before.logits, after.logits)


def test_all_classes_given_is_the_default():
    model = small.make_model()
    expected = model.generate(small.SUPPORT, small.LABELS)
    small.assert_close(model.generate(small.SUPPORT, small.LABELS, n_way=3), expected)
    small.assert_close(model.generate(small.SUPPORT, small.LABELS, n_way=tf.constant(3)), expected)


@pytest.mark.parametrize("n_way", [1, 4])
def test_more_classes_than_the_model_has_are_refused(n_way):
    with pytest.raises(UserError, match=f"n_way = {n_way}: this model tells 2 to 3 classes apart"):
        small.make_model().generate(small.SUPPORT, LABELS, n_way=n_way)


def test_labels_are_held_against_the_number_given():
    with pytest.raises(UserError, match="labels go from 0 to 1"):
        small.make_model().generate(small.SUPPORT, small.LABELS, n_way=2)
