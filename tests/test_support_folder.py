"""A folder of class folders becomes a support set, or is refused in one sentence."""

import hashlib
import os

import numpy as np
import pytest
from PIL import Image
from small_classifier import draw, save_drawings

from hypertransformer_tf.deployment import support_folder
from hypertransformer_tf.deployment.support_folder import read_support_folder
from hypertransformer_tf.errors import UserError


def _read(folder, most_classes=4, channels=1, **arguments):
    said = []
    support = read_support_folder(folder, 16, channels, most_classes, report=said.append, **arguments)
    return support, said


def _refused(folder, **arguments):
    with pytest.raises(UserError) as refused:
        _read(folder, **arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_each_sub_folder_is_a_class_whatever_its_name(tmp_path):
    support, said = _read(save_drawings(tmp_path / "my pictures"))
    assert support.class_names == ("one bar", "zwei Bäume", "三") and said == []
    assert support.images.shape == (9, 16, 16, 1) and support.images.dtype == np.uint8
    assert support.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and support.labels.dtype == np.int32
    np.testing.assert_array_equal(support.images[4, ..., 0], draw(1, 1))


def test_every_picture_is_named_with_its_hash_and_class(tmp_path):
    support, _ = _read(save_drawings(tmp_path))
    file = support.files[4]
    assert file.file == "zwei Bäume/1.png" and file.class_name == "zwei Bäume" and len(support.files) == 9
    assert file.sha256 == hashlib.sha256((tmp_path / file.file).read_bytes()).hexdigest()


def test_classes_may_have_different_numbers_of_pictures_and_files_beside_them_are_no_class(tmp_path):
    save_drawings(tmp_path)
    (tmp_path / "一" / "").mkdir()
    Image.fromarray(draw(3, 0)).save(tmp_path / "一" / "0.jpg")
    (tmp_path / "notes.txt").write_text("about the pictures")
    (tmp_path / ".git").mkdir()
    support, _ = _read(tmp_path)
    assert np.bincount(support.labels).tolist() == [3, 3, 1, 3]


def test_unlabelled_pictures_have_no_class(tmp_path):
    save_drawings(tmp_path / "classes")
    save_drawings(tmp_path / "others", names=("a", "b"), samples=2)
    (tmp_path / "others" / "bad.png").write_text("no picture")
    support, said = _read(tmp_path / "classes", unlabelled=tmp_path / "others")
    assert support.labels.tolist()[9:] == [-1] * 4 and len(support.class_names) == 3
    assert support.files[-1].file == "b/1.png" and support.files[-1].class_name == ""
    assert len(said) == 1 and "bad.png" in said[0]
    assert "does not exist" in _refused(tmp_path / "classes", unlabelled=tmp_path / "nothing")


@pytest.mark.parametrize("background, inverted", [("light", False), ("dark", True), (None, False)])
def test_whether_to_invert_is_decided_once_by_all_pictures(tmp_path, background, inverted):
    support, _ = _read(save_drawings(tmp_path), background=background)
    assert support.preprocessing.invert is inverted
    assert bool(support.model_images()[0].mean() < 128) is inverted
    np.testing.assert_array_equal(support.images[0, ..., 0], draw(0, 0))


def test_a_file_that_is_no_picture_is_named_and_skipped(tmp_path):
    save_drawings(tmp_path)
    (tmp_path / "三" / "1.png").write_text("no picture")
    support, said = _read(tmp_path)
    assert np.bincount(support.labels).tolist() == [3, 3, 2]
    assert len(said) == 1 and said[0].startswith("Skipped: ") and str(tmp_path / "三" / "1.png") in said[0]


def test_colour_that_a_grey_model_does_not_see_is_said_once(tmp_path):
    save_drawings(tmp_path)
    for name in ("one bar", "三"):
        Image.fromarray(np.eye(9, dtype=np.uint8)[..., np.newaxis] * np.uint8([255, 0, 0])).save(
            tmp_path / name / "red.png"
        )
    _, said = _read(tmp_path)
    assert len(said) == 1 and "converted to grey" in said[0]
    assert _read(tmp_path, channels=3)[1] == []


def test_no_folder(tmp_path):
    assert "does not exist" in _refused(tmp_path / "nothing")
    (tmp_path / "file").touch()
    assert "is a file" in _refused(tmp_path / "file")


def test_no_sub_folders(tmp_path):
    Image.fromarray(draw(0, 0)).save(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "has no sub-folders" in _refused(tmp_path)


def test_one_class_only(tmp_path):
    assert "one class only, 'cats'" in _refused(save_drawings(tmp_path, names=("cats",)))


def test_more_classes_than_the_model_has_labels(tmp_path):
    said = _refused(save_drawings(tmp_path), most_classes=2)
    assert "has 3 classes" in said and "at most 2" in said


@pytest.mark.parametrize("first, second", [("Cats", "cats"), ("é", "e\u0301"), ("STRASSE", "straße")])
def test_classes_whose_names_differ_only_in_case(tmp_path, first, second):
    said = _refused(save_drawings(tmp_path, names=(first, second)))
    assert repr(first) in said and repr(second) in said


@pytest.mark.parametrize("name", ["None of these", "two\nlines", os.fsdecode(b"\xff")])
def test_a_class_name_that_could_not_be_an_answer(tmp_path, name):
    assert "rename it" in _refused(save_drawings(tmp_path, names=("cats", name)))


def test_a_class_without_a_readable_picture(tmp_path):
    save_drawings(tmp_path)
    (tmp_path / "empty").mkdir()
    assert "empty is empty" in _refused(tmp_path)
    for name in ("a.png", "b.png"):
        (tmp_path / "empty" / name).write_text("no picture")
    said = _refused(tmp_path)
    assert "Class 'empty' has no readable picture" in said and "a.png" in said and "and 1 more" in said


def test_a_folder_in_a_class_folder_such_as_a_link_that_leads_back(tmp_path):
    save_drawings(tmp_path)
    (tmp_path / "三" / "back").symlink_to(tmp_path)
    assert "holds the folder 'back'" in _refused(tmp_path)


def test_too_many_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(support_folder, "MOST_PICTURES", 8)
    assert "has 9 files and at most 8" in _refused(save_drawings(tmp_path))
