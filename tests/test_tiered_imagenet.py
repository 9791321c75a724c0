"""Claims about tieredImageNet, on small files in the form in which it is handed around."""

import pickle

import numpy as np
import pytest
from small_sets import png, use_small_splits, write_tiered

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.errors import UserError


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    use_small_splits(monkeypatch)
    monkeypatch.setenv("HT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiered").mkdir()
    return tmp_path / "tiered"


def load(folder):
    return load_images(DataConfig(source=f"tiered_imagenet:{folder}", image_size=84, channels=3))


def refused(folder, *told):
    with pytest.raises(UserError) as raised:
        load(folder)
    message = str(raised.value)
    assert all(str(part) in message for part in told) and "\n" not in message, message


def as_column(encoded: bytes) -> np.ndarray:
    """What OpenCV's encoder returns."""
    return np.frombuffer(encoded, np.uint8)[:, None]


@pytest.mark.parametrize("form", [bytes, bytearray, as_column, lambda encoded: encoded.decode("latin1")])
@pytest.mark.parametrize("as_list, first_label", [(False, 0), (True, 0), (True, 5)])
def test_pictures_go_to_the_classes_of_their_labels(folder, form, as_list, first_label):
    written = write_tiered(folder, form, as_list, first_label)
    images = load(folder)
    assert {part: classes.tolist() for part, classes in images.splits.items()} == {
        "train": [0, 1, 2],
        "validation": [3, 4],
        "test": [5, 6],
    }
    for c, pixels in enumerate(written):
        assert np.array_equal(images.class_images(c), pixels)
    assert as_list or images.class_names[3] == "val:name of n01855672"


def test_the_set_is_memory_mapped_and_read_once(folder, monkeypatch):
    write_tiered(folder)
    first = load(folder)
    monkeypatch.setattr("hypertransformer_tf.data.tiered_imagenet._read", None)
    assert isinstance(first.images, np.memmap) and np.array_equal(load(folder).images, first.images)


def test_where_a_file_is_missing_the_sentence_says_which_to_fetch(folder):
    refused(folder, folder, "train_labels.pkl", "tiered-imagenet.tar", "e07e811b9f29362d159a9edd0d838c62")
    write_tiered(folder)
    (folder / "test_images_png.pkl").unlink()
    refused(folder, "lacks test_images_png.pkl")


def save(folder, name, content):
    write_tiered(folder)
    (folder / name).write_bytes(pickle.dumps(content, 2))


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("val_labels.pkl", {"labels": [1]}, "label_specific"),
        ("val_labels.pkl", [0.5, 1.0], "whole number"),
        ("val_labels.pkl", "text", "whole number"),
        ("val_labels.pkl", [0] * 12, "1 classes where the published validation split has 2"),
        ("val_labels.pkl", [0] * 6 + [1] * 5, "11 images where the published validation split has 12"),
        ("val_images_png.pkl", [b"x"], "one PNG file for each of the 12"),
        ("val_images_png.pkl", {"a": 1}, "one PNG file for each of the 12"),
        ("val_images_png.pkl", [b"x"] * 12, "cannot be read as a picture"),
        ("val_images_png.pkl", [3] * 12, "is a int"),
    ],
)
def test_content_that_is_not_what_was_published_is_named(folder, name, content, told):
    save(folder, name, content)
    refused(folder, name, told)


def test_a_pickle_that_asks_for_more_than_arrays_is_refused(folder):
    save(folder, "val_images_png.pkl", [print] * 12)
    refused(folder, "val_images_png.pkl", "print", "only NumPy arrays and plain containers")


def test_grey_pngs_become_colour(folder):
    grey = png(np.full((84, 84), 7, np.uint8))
    save(folder, "val_images_png.pkl", [grey] * 12)
    assert np.all(load(folder).class_images(3) == 7)
