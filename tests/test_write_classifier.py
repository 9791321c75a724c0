"""A classifier's directory: all of it or nothing, every format equal to the model, the card true."""

import hashlib
import json

import numpy as np
import pytest
from bare_formats import answers_without_this_library
from small_classifier import SHAPE, make_inductive_model, save_drawings

from hypertransformer_tf.deployment import write_classifier as module
from hypertransformer_tf.deployment.calibration import calibrate, softmax
from hypertransformer_tf.deployment.classifier_folder import read_classifier
from hypertransformer_tf.deployment.formats import FILES
from hypertransformer_tf.deployment.support_folder import read_support_folder
from hypertransformer_tf.deployment.trained_models import TrainedModel
from hypertransformer_tf.deployment.write_classifier import write_classifier
from hypertransformer_tf.errors import SaveError, UserError

pytest.importorskip("onnx")


def _make(folder, normalisation, **arguments):
    """(directory, card, model, support set), two classes of three pictures and one of a dark background less."""
    model = make_inductive_model(normalisation)
    support = read_support_folder(save_drawings(folder / "pictures"), SHAPE[0], SHAPE[2], 4, background="dark")
    calibration = calibrate(model, support.model_images(), support.labels, 3)
    trained = TrainedModel(model, "small", "0" * 64, "dark")
    card = write_classifier(folder / "classifier", trained, support, calibration, **arguments)
    return folder / "classifier", card, trained, support


@pytest.fixture(scope="module", params=["support", pytest.param("task", marks=pytest.mark.slow)])
def written(request, tmp_path_factory):
    return _make(tmp_path_factory.mktemp("written"), request.param, more={"label_type": "int64"})


@pytest.fixture
def support(tmp_path):
    return read_support_folder(save_drawings(tmp_path / "pictures"), SHAPE[0], SHAPE[2], 4)


def _expected(trained, support, card, pictures):
    weights = trained.model.generate(support.model_images(), support.labels, n_way=3)
    return softmax(np.asarray(trained.model.classify(255 - pictures, weights)) / card["temperature"])


BY_TENSORFLOW = (FILES["keras"], FILES["savedmodel"])  # each starts a process that imports it


@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=[pytest.mark.slow] * (each in BY_TENSORFLOW)) for each in FILES.values()]
)
def test_each_format_answers_as_the_model_where_this_library_is_not(written, kind, tmp_path):
    if kind.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    directory, card, trained, support = written
    assert support.preprocessing.invert  # the drawings are light, the model's pictures are said to be dark
    noise = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    pictures = np.concatenate([support.images, noise])
    found = answers_without_this_library(directory / kind, pictures, tmp_path)
    tolerance = 0.1 if "int8" in kind else 1e-4
    np.testing.assert_allclose(found, _expected(trained, support, card, pictures), atol=tolerance)


def test_the_card_names_every_file_with_its_size_and_hash(written):
    directory, card, _, _ = written
    assert json.loads((directory / "card.json").read_text()) == card
    files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    assert set(files) - {"card.json"} == set(card["files"])
    for name, entry in card["files"].items():
        content = files[name].read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert {name.split("/")[0] for name in files} == {*FILES.values(), "weights.npz", "labels.txt", "card.json"}


def test_the_card_says_what_it_was_made_from_and_what_was_measured(written):
    directory, card, _, support = written
    assert card["model"] == {"name": "small", "sha256": "0" * 64} and card["label_type"] == "int64"
    assert card["classes"] == list(support.class_names) == (directory / "labels.txt").read_text().splitlines()
    assert [entry["class"] for entry in card["support"]] == [support.class_names[label] for label in support.labels]
    assert card["preprocessing"]["invert"] is True and card["input"]["shape"] == ["N", *SHAPE]
    assert card["leave_one_out"]["n"] == 9
    measured = card["formats"]
    assert set(measured) == set(FILES.values())
    assert measured["classifier.onnx"]["opset"] == 13
    exact = [measured["classifier.keras"], measured["classifier.tflite"], measured["classifier.onnx"]]
    for each in exact + list(measured["savedmodel"]["signatures"].values()):
        assert each["pictures"] == 9 and each["largest_difference_of_probabilities"] < 1e-4
    assert abs(measured["classifier_int8.tflite"]["accuracy_change"]) <= 1


def test_this_library_reads_it_as_well(written):
    directory, card, trained, support = written
    found = read_classifier(directory).probabilities(support.images)
    np.testing.assert_allclose(found, _expected(trained, support, card, support.images), atol=1e-5)


def test_only_the_formats_asked_for_are_written(tmp_path):
    directory, card, _, _ = _make(tmp_path, "support", formats=["onnx"])
    names = {"classifier.onnx", "weights.npz", "labels.txt", "card.json"}
    assert {path.name for path in directory.iterdir()} == names and set(card["formats"]) == {"classifier.onnx"}


@pytest.mark.parametrize("error", [SaveError("It differs."), OSError(28, "No space left on device"), KeyError("a bug")])
def test_what_fails_on_the_way_leaves_nothing_and_takes_nothing(tmp_path, monkeypatch, error):
    directory, _, trained, support = _make(tmp_path, "support", formats=["onnx"])
    before = {path.name: path.read_bytes() for path in directory.iterdir()}

    def fail(*arguments):
        raise error

    monkeypatch.setitem(module._WRITERS, "onnx", fail)
    calibration = calibrate(trained.model, support.model_images(), support.labels, 3)
    with pytest.raises(KeyError if isinstance(error, KeyError) else SaveError):
        write_classifier(directory, trained, support, calibration, formats=["onnx"], overwrite=True)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classifier", "pictures"]


def test_a_file_that_gives_other_answers_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module.exported, "onnx_probabilities", lambda path, pictures: np.full((9, 3), 1 / 3))
    with pytest.raises(SaveError, match="classifier.onnx was loaded again and gives other answers"):
        _make(tmp_path, "support", formats=["onnx"])
    assert not (tmp_path / "classifier").exists()


def test_an_existing_directory_is_refused(tmp_path):
    directory, _, trained, support = _make(tmp_path, "support", formats=["onnx"])
    calibration = calibrate(trained.model, support.model_images(), support.labels, 3)
    with pytest.raises(UserError, match="exists already"):
        write_classifier(directory, trained, support, calibration, formats=["onnx"])
