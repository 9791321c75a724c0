"""Claims about miniImageNet, on small files in the form in which it is handed around."""

import os
import pickle

import numpy as np
import pytest
from small_sets import CLASSES, PER_CLASS, pictures, use_small_splits, write_mini_lists, write_mini_pickles

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.errors import UserError


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    use_small_splits(monkeypatch)
    monkeypatch.setenv("HT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mini").mkdir()
    return tmp_path / "mini"


def load(folder, **settings):
    return load_images(DataConfig(**{"source": f"mini_imagenet:{folder}", "image_size": 84, "channels": 3, **settings}))


def refused(folder, *told):
    with pytest.raises(UserError) as raised:
        load(folder)
    message = str(raised.value)
    assert all(str(part) in message for part in told) and "\n" not in message, message


def assert_holds(images, written):
    assert images.class_names == sum(CLASSES.values(), ())
    for c, name in enumerate(images.class_names):
        assert np.array_equal(images.class_images(c), written[name]), name
    assert {part: [images.class_names[c] for c in classes] for part, classes in images.splits.items()} == {
        part: list(names) for part, names in CLASSES.items()
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_cache_pickles_are_read_in_the_published_order(folder, protocol):
    written = write_mini_pickles(folder, protocol)
    assert_holds(load(folder), written)


def test_the_lists_with_pictures_are_read_in_the_published_order(folder):
    written = write_mini_lists(folder)
    assert_holds(load(folder), written)


def test_pictures_of_other_sizes_become_squares_of_the_wanted_size(folder):
    write_mini_lists(folder, side=100)
    assert load(folder, image_size=32, channels=1).images.shape == (7 * PER_CLASS, 32, 32, 1)


def test_a_set_that_was_read_once_is_mapped_from_then_on(folder):
    written = write_mini_pickles(folder)
    load(folder)
    for path in folder.iterdir():  # of the same size and time, but unreadable
        state = path.stat()
        path.write_bytes(b"x" * state.st_size)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    images = load(folder)
    assert isinstance(images.images, np.memmap) and images.images.dtype == np.uint8
    assert_holds(images, written)


def test_a_picture_of_the_lists_that_was_changed_is_read_again(folder):
    written = write_mini_lists(folder)
    load(folder)
    first, second = (folder / "images" / f"n015328290000000{number}.jpg" for number in (0, 1))
    first.write_bytes(second.read_bytes())
    changed = {**written, "n01532829": written["n01532829"].copy()}
    changed["n01532829"][0] = written["n01532829"][1]
    assert_holds(load(folder), changed)


def test_a_relative_path_is_found_in_the_folder_of_the_data_too(folder, monkeypatch):
    write_mini_pickles(folder)
    monkeypatch.chdir("/")
    images = load_images(
        DataConfig(source="mini_imagenet:mini", data_dir=str(folder.parent), image_size=84, channels=3)
    )
    assert images.name == "mini_imagenet"


def test_where_files_are_missing_the_sentence_says_which_to_fetch(folder):
    refused(folder, folder, "mini-imagenet.tar.gz", "b38f1eb4251fb9459ecc8e7febf9b2eb", "ImageNet's terms")
    refused(folder / "gone", folder / "gone", "mini-imagenet.tar.gz")
    write_mini_lists(folder)
    (folder / "images" / "n0153282900000000.jpg").unlink()
    refused(folder, "n0153282900000000.jpg", "does not exist")


def change_pickle(folder, change):
    write_mini_pickles(folder)
    path = folder / "mini-imagenet-cache-val.pkl"
    content = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(change(content) or content, 2))


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda c: c["class_dict"].pop("n02091244") and None, "lacks the class n02091244"),
        (lambda c: c["class_dict"].update(n9=c["class_dict"]["n02091244"]), "holds the class n9"),
        (lambda c: c["class_dict"]["n02091244"].pop() and None, "class of 5 images where each has 6"),
        (lambda c: c["class_dict"]["n02091244"].__setitem__(0, 99), "one of none of the 12"),
        (lambda c: c["class_dict"]["n02091244"].__setitem__(0, c["class_dict"]["n02091244"][1]), "an image twice"),
        (lambda c: c["class_dict"].update({3: [0], "n9": [0]}), "holds the class 3"),
        (lambda c: c["class_dict"].update(n02091244=6), "a list of whole numbers"),
        (lambda c: c["class_dict"].update(n02091244=["a"] * 6), "a list of whole numbers"),
        (lambda c: c["class_dict"].update(n02091244=[[1], [2, 3]]), "a list of whole numbers"),
        (lambda c: c.update(image_data=3), "must be an array"),
        (lambda c: {"images": 1}, "image_data and class_dict"),
        (lambda c: {**c, "image_data": np.zeros((12, 84, 84, 3))}, "float64"),
    ],
)
def test_content_that_is_not_what_was_published_is_named(folder, change, told):
    change_pickle(folder, change)
    refused(folder, "mini-imagenet-cache-val.pkl", told)


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_a_pickle_that_would_run_something_is_refused(folder):
    change_pickle(folder, lambda c: {**c, "more": Evil(folder / "target")})
    refused(folder, "mini-imagenet-cache-val.pkl", "system", "only NumPy arrays and plain containers")
    assert not (folder / "target").exists()


@pytest.mark.parametrize(
    "text, told",
    [
        ("filename,label\n", "lacks the class"),
        ("a,b\n1,2\n", "filename,label"),
        ("filename,label\nx.jpg,n9\n", "n0"),
    ],
)
def test_lists_that_are_not_what_was_published_are_named(folder, text, told):
    write_mini_lists(folder)
    (folder / "val.csv").write_text(text)
    refused(folder, "val.csv", told)


def test_a_damaged_picture_is_named(folder):
    write_mini_lists(folder)
    (folder / "images" / "n0153282900000000.jpg").write_bytes(b"no picture")
    refused(folder, "n0153282900000000.jpg", "cannot be read")


def test_pixels_are_not_needed_to_be_of_84_pixels(folder):
    change_pickle(folder, lambda c: {**c, "image_data": pictures(12, side=20)})
    assert load(folder).image_shape == (84, 84, 3)
