"""A classifier that was written is read as it was, or refused."""

import json
import shutil

import numpy as np
import pytest
from small_classifier import drawings, make_inductive_model, save_small_classifier

from hypertransformer_tf.deployment.calibration import softmax
from hypertransformer_tf.deployment.card import file_list, write_card
from hypertransformer_tf.deployment.classifier_folder import read_classifier
from hypertransformer_tf.deployment.resemblance import class_means, resemblance_to_classes
from hypertransformer_tf.errors import UserError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_small_classifier(tmp_path_factory.mktemp("classifiers") / "small")


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def _read_card(directory):
    return json.loads((directory / "card.json").read_text())


def _change_card(directory, **values):
    """As another program would have written it, its checksum too."""
    write_card(directory, {**_read_card(directory), **values})


def _refused(directory):
    with pytest.raises(UserError) as refused:
        read_classifier(directory)
    assert str(directory) in str(refused.value) and "\n" not in str(refused.value)
    return str(refused.value)


def test_it_answers_as_the_model_does(saved):
    classifier, model = read_classifier(saved), make_inductive_model()
    images, labels = drawings()
    images = images[..., np.newaxis]
    weights = model.generate(images, labels.astype(np.int32), n_way=3)
    logits = np.asarray(model.classify(images, weights))
    np.testing.assert_allclose(classifier.logits(images), logits, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(images), softmax(logits / 0.5), atol=1e-5)


def test_a_picture_alone_is_answered_as_among_others(saved):
    classifier, images = read_classifier(saved), drawings()[0][..., np.newaxis]
    alone = np.concatenate([classifier.logits(image[np.newaxis]) for image in images])
    np.testing.assert_allclose(alone, classifier.logits(images), atol=1e-5)


def test_pictures_are_inverted_where_the_card_says_so(saved, copy):
    _change_card(copy, preprocessing={**_read_card(copy)["preprocessing"], "invert": True})
    images = drawings()[0][..., np.newaxis]
    np.testing.assert_allclose(
        read_classifier(copy).logits(images), read_classifier(saved).logits(255 - images), atol=1e-5
    )


def test_below_the_threshold_it_is_none_of_the_classes(saved):
    classifier = read_classifier(saved)
    probabilities = np.array([0.2, 0.5, 0.3])
    assert classifier.answer(probabilities, 0.4) == "zwei Bäume"
    assert classifier.answer(probabilities, 0.4, threshold=0.41) == "none of these"
    assert classifier.answer(probabilities, 0.0, threshold=0.0) == "zwei Bäume"


def test_resemblance_is_that_of_the_model(saved):
    classifier, model = read_classifier(saved), make_inductive_model()
    images, labels = drawings()
    weights = model.generate(images[..., np.newaxis], labels.astype(np.int32), n_way=3)
    support, asked = (np.asarray(model.features(each[..., np.newaxis], weights)) for each in (images, 255 - images))
    expected = resemblance_to_classes(asked, class_means(support, labels, 3)).max(axis=1)
    np.testing.assert_allclose(classifier.ask(255 - images[..., np.newaxis]).resemblance, expected, atol=1e-5)


def test_no_classifier(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "file"):
        assert "is no classifier" in _refused(path) and "bin/generate" in _refused(path)


@pytest.mark.parametrize("name", ["weights.npz", "labels.txt"])
def test_a_changed_file_is_refused(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[-3] ^= 1
    (copy / name).write_bytes(content)
    assert f"{name} is not the file that card.json names" in _refused(copy)
    (copy / name).unlink()
    assert f"{name}: No such file" in _refused(copy)


@pytest.fixture
def with_formats(copy):
    """A classifier with files of two formats beside what is used; what is in them makes no difference here."""
    for name in ("classifier.tflite", "savedmodel/saved_model.pb", "savedmodel/variables/variables.index"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(name.encode())
    _change_card(copy, files=_listed_files(copy))
    assert read_classifier(copy).class_names
    return copy


def _listed_files(directory):
    return {name: listed for name, listed in file_list(directory).items() if name != "card.json"}


@pytest.mark.parametrize("name", ["classifier.tflite", "savedmodel/variables/variables.index"])
def test_a_changed_format_is_refused(with_formats, name):
    (with_formats / name).write_bytes(b"another model")
    assert f"{name} is not the file that card.json names" in _refused(with_formats)


def test_a_format_that_was_deleted_is_no_damage_but_half_of_one_and_more_than_one_are(with_formats):
    (with_formats / "classifier.tflite").unlink()
    assert read_classifier(with_formats).class_names
    (with_formats / "savedmodel" / "saved_model.cpb").write_bytes(b"read first")
    assert "savedmodel/saved_model.cpb was added" in _refused(with_formats)
    (with_formats / "savedmodel" / "saved_model.cpb").unlink()
    (with_formats / "savedmodel" / "saved_model.pb").unlink()
    assert "savedmodel/saved_model.pb is not there, though savedmodel is" in _refused(with_formats)
    shutil.rmtree(with_formats / "savedmodel")
    (with_formats / "notes.txt").write_text("of one's own")
    assert read_classifier(with_formats).class_names


@pytest.mark.parametrize("name", ["/etc/hostname", "../small/weights.npz", "savedmodel/../../x", "", ".", "a\\b"])
def test_a_card_that_lists_files_elsewhere_is_refused(copy, name):
    _change_card(copy, files={**_read_card(copy)["files"], name: {"sha256": "0" * 64}})
    assert f"the card lists {name!r}, which is not in it" in _refused(copy)


@pytest.mark.parametrize("listed", [None, "text", {}])
def test_a_card_that_gives_no_hash_of_a_file_is_refused(with_formats, listed):
    _change_card(with_formats, files={**_read_card(with_formats)["files"], "classifier.tflite": listed})
    assert "does not list its files" in _refused(with_formats)


@pytest.mark.parametrize(
    "values, says",
    [
        ({"format_version": 99}, "format version 99"),
        ({"classes": ["a", "b", "c"]}, "different classes"),
        ({"files": {}}, "does not name labels.txt"),
        ({"temperature": 0}, "temperature"),
        ({"threshold": 1.5}, "threshold"),
        ({"preprocessing": {}}, "card.json"),
        ({"preprocessing": {"image_size": 32, "channels": 1, "invert": False}}, "logits/kernel has shape"),
        ({"cnn": {"channels": 8}}, "has shape"),
        ({"cnn": {"wheels": 4}}, "wheels"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(copy, values, says):
    _change_card(copy, **values)
    assert says in _refused(copy)


@pytest.mark.parametrize(
    "values", [{"temperature": 0.51}, {"threshold": 0.1}, {"threshold": float("nan")}, {"more": 1}, {"sha256": None}]
)
def test_an_edited_card_is_refused(copy, values):
    (copy / "card.json").write_text(json.dumps({**_read_card(copy), **values}))
    assert "card.json is not as it was written, its own SHA-256 differs" in _refused(copy)


def test_a_card_without_its_checksum_is_refused_and_one_with_another_layout_is_not(copy):
    card = _read_card(copy)
    (copy / "card.json").write_text(json.dumps(dict(reversed(card.items())), indent=7))
    assert read_classifier(copy).card == card
    (copy / "card.json").write_text(json.dumps({key: value for key, value in card.items() if key != "sha256"}))
    assert "SHA-256 differs" in _refused(copy)


def test_a_card_that_is_no_card(copy):
    for content in ("{", "[]", '"text"', "{}"):
        (copy / "card.json").write_text(content)
        assert "was changed or is damaged" in _refused(copy)
