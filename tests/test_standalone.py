"""The plain Keras model of a generated CNN."""

import keras
import numpy as np
import pytest
from small_cnns import LAYOUTS, expected_logits, expected_probabilities, make_cnn, random_pictures

from hypertransformer_tf.deployment.standalone import standalone_model


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_answers_as_the_generated_cnn_does(layout):
    cnn = make_cnn(layout)
    pictures = random_pictures(cnn)
    probabilities = np.asarray(standalone_model(cnn)(pictures.astype(np.float32)))
    np.testing.assert_allclose(probabilities, expected_probabilities(cnn, pictures), atol=1e-5)


def test_logits_are_a_layer_of_their_own():
    cnn = make_cnn()
    model, pictures = standalone_model(cnn), random_pictures(cnn)
    logits = keras.Model(model.input, model.get_layer("logits").output)(pictures.astype(np.float32))
    np.testing.assert_allclose(
        cnn.temperature * np.asarray(logits), expected_logits(cnn, pictures), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_saved_and_loaded_without_custom_objects(layout, tmp_path):
    cnn = make_cnn(layout)
    pictures = random_pictures(cnn).astype(np.float32)
    model = standalone_model(cnn)
    model.save(tmp_path / "classifier.keras")
    loaded = keras.models.load_model(tmp_path / "classifier.keras", compile=False, custom_objects={})
    np.testing.assert_array_equal(loaded(pictures), model(pictures))


def test_all_layers_are_keras_own():
    for layout in LAYOUTS:
        for layer in standalone_model(make_cnn(layout)).layers:
            assert type(layer).__module__.split(".")[0] == "keras", layer


def test_a_folded_normalisation_is_one_layer():
    names = [layer.name for layer in standalone_model(make_cnn("support moments")).layers]
    assert names[:5] == ["images", "scale_pixels", "convolution_1", "pool_1", "scale_and_offset_1"]
    assert not any("own" in name for name in names)


def test_training_mode_changes_nothing():
    cnn = make_cnn("blended moments")
    model, pictures = standalone_model(cnn), random_pictures(cnn).astype(np.float32)
    np.testing.assert_array_equal(model(pictures, training=True), model(pictures, training=False))


def test_a_picture_alone_is_answered_as_among_others():
    cnn = make_cnn("blended moments")
    model, pictures = standalone_model(cnn), random_pictures(cnn).astype(np.float32)
    alone = np.concatenate([np.asarray(model(picture[np.newaxis])) for picture in pictures])
    np.testing.assert_allclose(alone, model(pictures), atol=1e-6)
