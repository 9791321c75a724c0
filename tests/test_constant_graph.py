"""The generated CNN as TensorFlow operations on constants."""

import numpy as np
import pytest
import tensorflow as tf
from small_cnns import LAYOUTS, expected_probabilities, make_cnn, random_pictures

from hypertransformer_tf.deployment.constant_graph import class_probabilities


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_answers_as_the_generated_cnn_does(layout):
    cnn = make_cnn(layout)
    pictures = random_pictures(cnn)
    found = class_probabilities(tf.constant(pictures, tf.float32), cnn)
    np.testing.assert_allclose(found, expected_probabilities(cnn, pictures), atol=1e-5)


def test_the_number_of_pictures_may_be_unknown_in_a_graph():
    cnn = make_cnn("blended moments")
    signature = [tf.TensorSpec((None, *cnn.image_shape), tf.float32)]
    classify = tf.function(lambda images: class_probabilities(images, cnn), input_signature=signature)
    for count in (1, 3):
        assert classify(tf.zeros((count, *cnn.image_shape))).shape == (count, 5)
    assert not classify.get_concrete_function().variables


def test_a_share_of_zero_is_the_support_moments_alone():
    import dataclasses

    cnn = make_cnn("support moments")
    none = dataclasses.replace(
        cnn, convolutions=tuple(dataclasses.replace(each, own_share=0.0) for each in cnn.convolutions)
    )
    pictures = tf.constant(random_pictures(cnn), tf.float32)
    np.testing.assert_allclose(class_probabilities(pictures, none), class_probabilities(pictures, cnn), atol=1e-5)
