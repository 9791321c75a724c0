"""A change of the data is noticed and said in words."""

import dataclasses
import json

import numpy as np
import pytest
from small_runs import noise

from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.data_record import check_same_data, data_changes, describe_data, read_data_record
from hypertransformer_tf.runs.run_directory import RunDirectory


def _images(names="abcdef", counts=(3,) * 6, splits=None, side=4) -> ImagesByClass:
    splits = splits or {"train": [0, 1, 2], "validation": [3], "test": [4, 5]}
    splits = {name: np.array(classes, np.int64) for name, classes in splits.items()}
    pixels = np.zeros((sum(counts), side, side, 1), np.uint8)
    return ImagesByClass("letters", pixels, offsets_of(list(counts)), tuple(names), splits)


def _changes(**changes) -> list[str]:
    return data_changes(describe_data(_images()), describe_data(_images(**changes)))


def test_a_record_names_the_classes_of_each_split_with_their_images():
    record = describe_data(_images())
    assert record["name"] == "letters" and record["image_shape"] == [4, 4, 1] and len(record["sha256"]) == 64
    assert record["classes"] == {"train": ["a", "b", "c"], "validation": ["d"], "test": ["e", "f"]}
    assert record["counts"] == {"train": [3, 3, 3], "validation": [3], "test": [3, 3]}


def test_the_same_data_under_another_name_are_no_change():
    other = dataclasses.replace(_images(), name="moved")
    assert data_changes(describe_data(_images()), describe_data(other)) == []


def test_each_change_is_said():
    seven = {"train": [0, 1, 2, 6], "validation": [3], "test": [4, 5]}
    assert _changes(names="abcdefg", counts=(3,) * 7, splits=seven) == ["class 'g' added to train"]
    assert "class 'g' is gone from train" in data_changes(
        describe_data(_images(names="abcdefg", counts=(3,) * 7, splits=seven)), describe_data(_images())
    )
    moved = {"train": [0, 1, 2], "validation": [4], "test": [3, 5]}
    assert set(_changes(splits=moved)) == {
        "class 'd' moved from validation to test",
        "class 'e' moved from test to validation",
    }
    assert _changes(counts=(3, 4, 3, 3, 3, 3)) == ["class 'b' had 3 images and has 4"]
    assert _changes(side=5) == ["images were [4, 4, 1] and are [5, 5, 1]"]
    assert _changes(splits={"train": [0, 2, 1], "validation": [3], "test": [4, 5]}) == [
        "the order of its classes or images is another"
    ]


def _open(path, images):
    return RunDirectory(path, {"training": {}}, "", seed=0, command_line=[], data=describe_data(images))


def test_a_run_is_continued_with_the_data_it_began_with_only(tmp_path):
    with _open(tmp_path, noise(3, 2)) as run:
        run.begin(0)
    assert read_data_record(tmp_path) == describe_data(noise(3, 2))
    _open(tmp_path, noise(3, 2)).close()
    with pytest.raises(UserError, match="data changed since the run .* began: class 'class 3' added to train"):
        _open(tmp_path, noise(4, 2))
    with pytest.raises(UserError, match="to measure it"):
        check_same_data(tmp_path, describe_data(noise(4, 2)), "take the change back to measure it")
    assert read_data_record(tmp_path) == describe_data(noise(3, 2))


def test_a_run_without_a_record_passes_and_a_damaged_one_is_named(tmp_path):
    check_same_data(tmp_path, describe_data(noise(3, 2)), "")
    (tmp_path / "data.json").write_text("{")
    with pytest.raises(UserError, match="data.json cannot be read: it is damaged"):
        read_data_record(tmp_path)


def test_a_run_begun_before_backgrounds_were_noted_goes_on_and_notes_it(tmp_path):
    with _open(tmp_path, _images()) as run:
        run.begin(0)
    record = json.loads((tmp_path / "data.json").read_text())
    assert record.pop("background") == "dark"
    (tmp_path / "data.json").write_text(json.dumps(record))
    assert read_data_record(tmp_path)["background"] is None
    with _open(tmp_path, _images()) as run:
        run.begin(0)
    assert read_data_record(tmp_path)["background"] == "dark"


def test_a_background_that_is_none_is_damage(tmp_path):
    (tmp_path / "data.json").write_text(json.dumps({**describe_data(_images()), "background": "grey"}))
    with pytest.raises(UserError, match="data.json cannot be read: it is damaged"):
        read_data_record(tmp_path)
