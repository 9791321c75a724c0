"""Generating, asking and packing, as the page does it."""

import zipfile

import numpy as np
import pytest
from small_classifier import draw, make_inductive_model

from hypertransformer_tf.demo.classifier import (
    available_formats,
    class_probabilities,
    generate_classifier,
    pack_classifier,
    verdict,
)
from hypertransformer_tf.demo.named_classes import add_pictures
from hypertransformer_tf.deployment.classifier_folder import read_classifier
from hypertransformer_tf.deployment.few_shot_classifier import FewShotClassifier
from hypertransformer_tf.deployment.formats import FILES

NAMES = ("zwei Bäume", "one bar", "三")


def _classes():
    classes = {}
    for label, name in enumerate(NAMES):
        classes = add_pictures(classes, name, [draw(label, sample)[..., np.newaxis] for sample in range(2)])
    return classes


@pytest.fixture(scope="module")
def generation():
    return generate_classifier(_classes(), make_inductive_model())


def test_it_is_the_estimator_that_python_gives_for_the_same_pictures(generation):
    images = np.stack([draw(label, sample) for label in range(3) for sample in range(2)])
    other = FewShotClassifier(make_inductive_model()).fit(images, np.repeat(NAMES, 2))
    picture = draw(1, 7)[..., np.newaxis]
    probabilities = class_probabilities(generation.classifier, picture)
    assert set(probabilities) == set(NAMES) and abs(sum(probabilities.values()) - 1.0) < 1e-6
    for name, expected in zip(other.classes_, other.predict_proba(picture[np.newaxis])[0]):
        assert probabilities[name] == pytest.approx(expected, abs=1e-6)
    assert "6 pictures of 3 classes" in generation.said


def test_a_picture_below_the_threshold_is_none_of_these(generation, monkeypatch):
    classifier, picture = generation.classifier, draw(0, 7)[..., np.newaxis]
    resemblance = classifier.resemblance(picture[np.newaxis])[0]
    monkeypatch.setattr(type(classifier), "threshold_", resemblance)
    assert verdict(classifier, picture) == classifier.predict(picture[np.newaxis])[0]
    monkeypatch.setattr(type(classifier), "threshold_", resemblance + 0.001)
    assert verdict(classifier, picture) == "none of these"


def test_the_zip_holds_the_folder_that_bin_predict_reads(generation, tmp_path, monkeypatch):
    monkeypatch.setattr("hypertransformer_tf.demo.classifier.available_formats", lambda: ["keras"])
    first, second = (pack_classifier(generation.classifier, tmp_path) for _ in range(2))
    assert first != second and first.name == second.name == "classifier.zip"
    assert [path.name for path in first.parent.iterdir()] == ["classifier.zip"]
    with zipfile.ZipFile(first) as archive:
        archive.extractall(tmp_path / "unpacked")
    folder = tmp_path / "unpacked" / "classifier"
    assert set(read_classifier(folder).class_names) == set(NAMES) and (folder / "classifier.keras").is_file()
    loaded = FewShotClassifier.load(folder)
    picture = draw(1, 7)[..., np.newaxis]
    np.testing.assert_allclose(
        loaded.predict_proba(picture[np.newaxis]), generation.classifier.predict_proba(picture[np.newaxis]), atol=1e-5
    )


def test_onnx_is_left_out_where_its_package_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert available_formats() == [name for name in FILES if name != "onnx"]
