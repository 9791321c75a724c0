"""The pictures of a request are decoded task by task, and inverted where the task's support set says so."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.serving.picture_decoding import decode_pictures, invert_like

STREAM = np.random.default_rng(0)


def _png(size):
    file = io.BytesIO()
    Image.fromarray(STREAM.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
def test_each_task_has_its_own_pictures_and_an_empty_string_is_a_black_one(channels):
    encoded = np.array([[b"", _png((40, 31)), _png((9, 12))], [_png((105, 105)), b"", _png((28, 28))]], object)
    graph = tf.function(lambda pictures: decode_pictures(pictures, (28, 28, channels)))
    decoded = graph(tf.constant(encoded))
    assert decoded.shape == (2, 3, 28, 28, channels) and decoded.dtype == tf.uint8
    for place in np.ndindex(2, 3):
        black = np.zeros((28, 28, channels), np.uint8)
        expected = decode_image(encoded[place], "it", 28, channels) if encoded[place] else black
        np.testing.assert_array_equal(decoded[place], expected)


@pytest.mark.parametrize("background, inverted", [("light", [False, True]), ("dark", [True, False])])
def test_only_tasks_with_the_opposite_background_are_inverted(background, inverted):
    support = np.stack([np.full((3, 8, 8, 1), 250, np.uint8), np.full((3, 8, 8, 1), 5, np.uint8)])
    support[0, 0], support[1, 0] = 0, 255  # samples that the mask ignores
    support[:, :, 3:5, 3:5] = 127
    images = STREAM.integers(0, 256, (2, 4, 8, 8, 1), dtype=np.uint8)
    mask = tf.constant([[1.0, 0.0, 0.0]] * 2)
    answer = invert_like(tf.constant(images), tf.constant(support), mask, background).numpy()
    for task, turned in enumerate(inverted):
        np.testing.assert_array_equal(answer[task], 255 - images[task] if turned else images[task])
