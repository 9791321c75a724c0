"""Slimming a TensorFlow Lite file: less of it, and the same answers."""

import numpy as np
import pytest
import tensorflow as tf
from small_cnns import make_cnn, random_pictures

from hypertransformer_tf.deployment.export_tflite import _converter
from hypertransformer_tf.deployment.exported_files import tflite_probabilities
from hypertransformer_tf.deployment.quiet_native import native_notes_held_back
from hypertransformer_tf.deployment.slim_tflite import slim


def test_the_answers_are_the_same_bit_for_bit_in_fewer_bytes(tmp_path):
    cnn = make_cnn("blended moments")
    with native_notes_held_back():
        content = _converter(cnn).convert()
    slimmed = slim(content)
    assert len(slimmed) < 0.9 * len(content)
    pictures = random_pictures(cnn).astype(np.float32)
    answers = []
    for name, each in (("whole", content), ("slim", slimmed)):
        (tmp_path / name).write_bytes(each)
        answers.append(tflite_probabilities(tmp_path / name, pictures))
    np.testing.assert_array_equal(*answers)
    assert slim(slimmed) == slimmed


def test_a_model_with_several_inputs_is_refused():
    both = tf.function(lambda a, b: a + b, input_signature=[tf.TensorSpec((1,))] * 2)
    with native_notes_held_back():
        content = tf.lite.TFLiteConverter.from_concrete_functions([both.get_concrete_function()], both).convert()
    with pytest.raises(ValueError):
        slim(content)
