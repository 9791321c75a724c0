"""Bad input of generate and classify: one sentence that names the value and says what would be right."""

import numpy as np
import pytest
import tensorflow as tf

from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.model.hypertransformer import HyperTransformer

N_WAY, SHAPE = 3, (16, 16, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, size=(2, 5) + SHAPE, dtype=np.uint8)
LABELS = np.array([[0, 1, 2, -1, 0], [2, 1, 0, 1, -1]], np.int32)
MASK = np.zeros((2, 5), np.float32)


@pytest.fixture(scope="module")
def model():
    config = ModelConfig(
        cnn=CnnConfig(channels=2),
        features=FeaturesConfig(shared_layers=0),
        transformer=TransformerConfig(layers=1, embedding_dim=4),
    )
    return HyperTransformer(SHAPE, N_WAY, config)


@pytest.fixture(scope="module")
def weights(model):
    return model.generate(IMAGES, LABELS)


def _refusal(call, *arguments, **named):
    with pytest.raises(UserError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


@pytest.mark.parametrize("label", [3, 100, -2])
def test_labels_out_of_range_are_refused(model, label):
    labels = LABELS.copy()
    labels[1, 3] = label
    message = _refusal(model.generate, IMAGES, labels)
    assert str(label) in message and "from 0 to 2" in message and "3-way" in message and "-1 means no label" in message


def test_labels_beyond_32_bits_are_refused_too(model):
    assert str(2**32) in _refusal(model.generate, IMAGES, LABELS.astype(np.int64) + 2**32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool, str])
def test_labels_that_are_no_integers_are_refused(model, dtype):
    message = _refusal(model.generate, IMAGES, LABELS.astype(dtype))
    assert "support_labels" in message and "integers from 0 to 2" in message


@pytest.mark.parametrize("labels", [LABELS[0], LABELS[:, :4], LABELS[:1], LABELS[..., np.newaxis], np.int32(1)])
def test_labels_of_another_shape_than_the_images_are_refused(model, labels):
    message = _refusal(model.generate, IMAGES, labels)
    assert "support_labels" in message and "(2, 5)" in message and "one value per image" in message


def test_labels_of_a_task_batch_with_the_images_of_one_episode_are_refused(model):
    assert "support_labels" in _refusal(model.generate, IMAGES[0], LABELS)


@pytest.mark.parametrize("mask", [MASK[0], MASK[:, :4], MASK[:1], MASK[..., np.newaxis]])
def test_a_mask_of_another_shape_is_refused(model, mask):
    message = _refusal(model.generate, IMAGES, LABELS, mask)
    assert "support_mask" in message and "(2, 5)" in message


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, np.nan])
def test_a_mask_holds_zeros_and_ones(model, value):
    mask = MASK.copy()
    mask[0, 4] = value
    message = _refusal(model.generate, IMAGES, LABELS, mask)
    assert "support_mask" in message and str(value) in message and "1" in message


def test_a_class_without_a_labelled_sample_is_refused(model):
    labels = LABELS.copy()
    labels[1, 2] = -1
    message = _refusal(model.generate, IMAGES, labels)
    assert "class 0 " in message and "episode 1" in message and "3 classes" in message


def test_a_class_whose_labelled_samples_are_all_masked_is_refused(model):
    mask = MASK.copy()
    mask[0, 2] = 1.0
    assert "class 2 " in _refusal(model.generate, IMAGES, LABELS, mask)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES[:, :, :14],
        IMAGES[:, :, :, :14],
        np.repeat(IMAGES, 3, -1),
        IMAGES[..., 0],
        IMAGES[0, 0],
        IMAGES[np.newaxis],
    ],
    ids=["height", "width", "channels", "no channels", "one image", "rank 6"],
)
def test_images_of_another_shape_are_refused(model, weights, images):
    for name, call in (("support_images", model.generate), ("query_images", model.classify)):
        message = _refusal(call, images, LABELS if name == "support_images" else weights)
        assert name in message and str(images.shape) in message and "16, 16, 1" in message


@pytest.mark.parametrize("dtype", [np.int32, np.int8, np.uint16, bool, str, np.complex64])
def test_images_of_another_dtype_are_refused(model, weights, dtype):
    images = IMAGES.astype(dtype)
    for name, call in (("support_images", model.generate), ("query_images", model.classify)):
        message = _refusal(call, images, LABELS if name == "support_images" else weights)
        assert name in message and "uint8" in message and "float32" in message


def test_tensors_are_checked_as_arrays_are(model):
    assert "float64" in _refusal(model.generate, tf.constant(IMAGES / 128.0), LABELS)
    assert "(5, 14, 16, 1)" in _refusal(model.generate, tf.constant(IMAGES[0, :, :14]), LABELS[0])


def test_an_empty_support_set_and_no_queries_are_refused(model, weights):
    assert "support_images are empty" in _refusal(model.generate, IMAGES[:, :0], LABELS[:, :0])
    assert "support_images are empty" in _refusal(model.generate, IMAGES[0, :0], LABELS[0, :0])
    assert "query_images are empty" in _refusal(model.classify, IMAGES[:, :0], weights)


def test_weights_of_another_number_of_episodes_are_refused(model, weights):
    assert "2 episodes" in _refusal(model.classify, IMAGES[[0, 1, 0]], weights)
    assert "2 episodes" in _refusal(model.classify, IMAGES[:1], weights)
    assert "2 episodes" in _refusal(model.classify, IMAGES[0], weights)
    assert "one episode" in _refusal(model.classify, IMAGES, model.generate(IMAGES[0], LABELS[0]))


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_images_of_half_precision_give_the_weights_of_their_float32_values(model, dtype):
    half = tf.cast(IMAGES / 128.0 - 1.0, dtype)
    expected = model.generate(tf.cast(half, tf.float32), LABELS)
    for block, wanted in zip(model.generate(half, LABELS).blocks, expected.blocks):
        np.testing.assert_array_equal(block, wanted)


def test_a_graph_is_checked_as_far_as_shapes_are_known(model):
    @tf.function(input_signature=[tf.TensorSpec([None, 14, 16, 1], tf.uint8), tf.TensorSpec([None], tf.int32)])
    def wrong_size(images, labels):
        return model.generate(images, labels)

    with pytest.raises(UserError, match="14, 16, 1"):
        wrong_size.get_concrete_function()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"n_way": 1}, ["n_way = 1", "2"]),
        ({"image_shape": (16, 16)}, ["image_shape", "(16, 16)"]),
        ({"convolution_form": "fold"}, ["convolution_form", "'fold'", "'folded'", "'plain'"]),
    ],
)
def test_a_model_that_cannot_be_is_refused(arguments, words):
    message = _refusal(HyperTransformer, **{"image_shape": SHAPE, "n_way": 3, **arguments})
    assert all(word in message for word in words)


def test_shared_features_of_images_that_vanish_on_the_way_are_refused():
    config = ModelConfig(features=FeaturesConfig(shared_layers=4, shared_padding="valid"))
    message = _refusal(HyperTransformer, (28, 28, 1), 5, config)
    assert "28" in message and "features.shared_layers = 4" in message and "'same'" in message
    HyperTransformer((31, 31, 1), 5, config)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"query_key_size": 5, "heads": 2}, ["transformer.query_key_size", "5", "heads = 2"]),
        ({"value_size": 7.0, "heads": 4}, ["transformer.value_size", "7", "heads = 4"]),
        ({"variant": "separate", "heads": 7}, ["heads = 7"]),
    ],
)
def test_sizes_that_heads_do_not_divide_are_refused(settings, words):
    message = _refusal(HyperTransformer, SHAPE, 3, ModelConfig(transformer=TransformerConfig(**settings)))
    assert all(word in message for word in words)


@pytest.mark.parametrize("name", ["query_key_size", "value_size"])
def test_attention_without_size_is_refused(name):
    with pytest.raises(UserError, match=f"transformer.{name} = 0 "):
        TransformerConfig(**{name: 0})
