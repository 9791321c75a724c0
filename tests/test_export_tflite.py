"""The TensorFlow Lite files of a generated CNN."""

import numpy as np
import pytest
from small_cnns import LAYOUTS, expected_probabilities, make_cnn, random_pictures

from hypertransformer_tf.deployment.export_tflite import int8_tflite_classifier, tflite_classifier
from hypertransformer_tf.deployment.exported_files import _interpreter, tflite_probabilities


def _answers(path, content, pictures):
    path.write_bytes(content)
    return tflite_probabilities(path, pictures.astype(np.float32))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_answers_as_the_generated_cnn_does(layout, tmp_path):
    cnn = make_cnn(layout)
    pictures = random_pictures(cnn)
    found = _answers(tmp_path / "classifier.tflite", tflite_classifier(cnn), pictures)
    np.testing.assert_allclose(found, expected_probabilities(cnn, pictures), atol=1e-5)


@pytest.mark.parametrize("layout", ["support moments", "blended moments"])
def test_int8_is_near_and_its_convolutions_are_8_bit(layout, tmp_path):
    cnn = make_cnn(layout, temperature=5.0)
    pictures = random_pictures(cnn, count=40)
    content = int8_tflite_classifier(cnn, pictures)
    found = _answers(tmp_path / "classifier_int8.tflite", content, pictures)
    assert np.abs(found - expected_probabilities(cnn, pictures)).max() < 0.1
    interpreter = _interpreter()(model_content=content)
    kinds = {tuple(each["shape"]): each["dtype"] for each in interpreter.get_tensor_details()}
    # TensorFlow Lite keeps kernels as (c_out, k, k, c_in).
    assert [kinds[4, 3, 3, channels] for channels in (1, 4)] == [np.int8, np.int8]
    assert interpreter.get_input_details()[0]["dtype"] == interpreter.get_output_details()[0]["dtype"] == np.float32


def test_both_have_a_signature_with_the_documented_names():
    cnn = make_cnn()
    pictures = random_pictures(cnn, count=1)
    for content in (tflite_classifier(cnn), int8_tflite_classifier(cnn, pictures)):
        interpreter = _interpreter()(model_content=content)
        names = {"serving_default": {"inputs": ["images"], "outputs": ["probabilities"]}}
        assert interpreter.get_signature_list() == names
        run = interpreter.get_signature_runner()
        assert run(images=pictures.astype(np.float32))["probabilities"].shape == (1, 5)


def test_converting_says_nothing_on_standard_error(capfd):
    cnn = make_cnn()
    int8_tflite_classifier(cnn, random_pictures(cnn))
    assert capfd.readouterr().err == ""
