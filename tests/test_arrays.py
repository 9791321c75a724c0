"""Claims about images that are arrays already."""

import os

import numpy as np
import pytest

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.errors import UserError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("sets")
    monkeypatch.setenv("HT_CACHE_DIR", str(folder))
    return folder


def load(path, **settings):
    return load_images(DataConfig(source=f"arrays:{path}", **{"image_size": 8, **settings}))


def random_images(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def test_an_npz_with_labels_is_grouped_by_class_in_the_order_of_labels(tmp_path):
    images, labels = random_images(6, 8, 8, 1), np.array([30, 10, 20, 10, 30, 10])
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    loaded = load(tmp_path / "a.npz")
    assert loaded.class_names == ("10", "20", "30")
    assert np.array_equal(loaded.class_images(0), images[[1, 3, 5]])
    assert np.array_equal(loaded.class_images(2), images[[0, 4]])


def test_an_npz_with_one_array_per_class_keeps_their_order_and_names(tmp_path):
    classes = {"z": random_images(2, 8, 8), "a": random_images(3, 8, 8), "k": random_images(1, 8, 8)}
    np.savez_compressed(tmp_path / "a.npz", **classes)
    loaded = load(tmp_path / "a.npz")
    assert loaded.class_names == ("z", "a", "k")
    assert np.array_equal(loaded.class_images(1)[..., 0], classes["a"])


@pytest.mark.parametrize("with_channels", [True, False])
def test_the_authors_cache_of_booleans_is_read_as_white_on_true(tmp_path, with_channels):
    array = RNG.random((4, 5, 8, 8, 1)) < 0.5
    np.save(tmp_path / "a.npy", array if with_channels else array[..., 0])
    loaded = load(tmp_path / "a.npy")
    assert loaded.num_classes == 4 and loaded.count(0) == 5
    assert np.array_equal(loaded.images, array.reshape(20, 8, 8, 1) * np.uint8(255))


def test_an_npy_that_fits_is_mapped_where_it_lies(tmp_path, own_cache):
    array = random_images(4, 5, 8, 8, 3)
    np.save(tmp_path / "a.npy", array)
    loaded = load(tmp_path / "a.npy", channels=3)
    assert isinstance(loaded.images, np.memmap) and str(loaded.images.filename).endswith("a.npy")
    assert np.array_equal(loaded.class_images(2), array[2]) and not list(own_cache.iterdir())


@pytest.mark.parametrize(
    "change",
    [lambda a: np.asfortranarray(a), lambda a: a[..., :1], lambda a: a.repeat(2, axis=2).repeat(2, axis=3)],
)
def test_an_npy_that_does_not_fit_is_converted_and_kept(tmp_path, own_cache, change):
    array = random_images(4, 5, 8, 8, 3)
    np.save(tmp_path / "a.npy", change(array))
    loaded = load(tmp_path / "a.npy", channels=3)
    assert loaded.images.shape == (20, 8, 8, 3) and str(loaded.images.filename).startswith(str(own_cache))
    again = load(tmp_path / "a.npy", channels=3)
    assert np.array_equal(loaded.images, again.images)


def test_many_images_of_a_class_all_arrive(tmp_path):
    array = random_images(3, 600, 8, 8)
    np.save(tmp_path / "a.npy", array > 99)
    assert np.array_equal(
        load(tmp_path / "a.npy").images[:, :, :, 0].reshape(array.shape), (array > 99) * np.uint8(255)
    )


def test_a_changed_file_is_noticed(tmp_path):
    for value in (False, True):
        np.save(tmp_path / "a.npy", np.full((3, 2, 8, 8), value))
        os.utime(tmp_path / "a.npy", ns=(int(value), int(value)))
        assert np.all(load(tmp_path / "a.npy").images == 255 * value)


def object_array(*parts):
    array = np.empty(len(parts), object)
    array[:] = parts
    return array


def test_a_folder_of_lists_of_classes_is_joined_in_the_order_of_files(tmp_path):
    first, second = [random_images(n, 8, 8) for n in (2, 3)], [random_images(n, 8, 8) for n in (4, 1)]
    np.save(tmp_path / "1.npy", object_array(*second), allow_pickle=True)
    np.save(tmp_path / "0.npy", object_array(*first), allow_pickle=True)
    (tmp_path / "readme.txt").write_text("")
    loaded = load(tmp_path)
    assert [loaded.count(c) for c in range(4)] == [2, 3, 4, 1]
    assert loaded.class_names == ("0:0", "0:1", "1:0", "1:1")
    assert np.array_equal(loaded.class_images(2)[..., 0], second[0])


def test_lists_of_equal_classes_are_read_however_numpy_saved_them(tmp_path):
    classes = [random_images(2, 8, 8) for _ in range(3)]
    np.save(tmp_path / "0.npy", classes)  # an ordinary array
    np.save(tmp_path / "1.npy", object_array(*classes), allow_pickle=True)
    np.save(tmp_path / "2.npy", np.array(classes, dtype=object), allow_pickle=True)  # each pixel an object
    np.save(tmp_path / "3.npy", object_array(*[list(c) for c in classes]), allow_pickle=True)
    loaded = load(tmp_path)
    assert np.array_equal(loaded.images[..., 0], np.concatenate(classes * 4))


def refused(path, *told, **settings):
    with pytest.raises(UserError) as raised:
        load(path, **settings)
    assert all(str(part) in str(raised.value) for part in told), raised.value


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'target'}",)

    np.save(tmp_path / "a.npy", object_array(Evil()), allow_pickle=True)
    refused(tmp_path / "a.npy", "a.npy", "system")
    np.savez(tmp_path / "b.npz", images=object_array(Evil()), labels=[0])
    refused(tmp_path / "b.npz", "b.npz")
    assert not (tmp_path / "target").exists()


def test_missing_files_and_other_kinds_are_named(tmp_path):
    refused(tmp_path / "gone.npz", "gone.npz", "no such file")
    (tmp_path / "a.mat").write_text("")
    refused(tmp_path / "a.mat", "a.mat", ".npy or .npz")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "empty", "no .npy files")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    save = np.save if name == "a.npy" else np.savez_compressed
    save(path, random_images(3, 4, 8, 8))
    content = path.read_bytes()
    for damaged in (b"", b"hello", content[:60], content[: len(content) // 2]):
        path.write_bytes(damaged)
        refused(path, name, "cannot be read")


@pytest.mark.parametrize(
    "content, told",
    [
        ({"images": random_images(4, 8, 8)}, "labels"),
        ({"labels": np.zeros(4, int)}, "images"),
        ({"images": random_images(4, 8, 8), "labels": np.zeros(3, int)}, "(3,)"),
        ({"images": random_images(4, 8, 8), "labels": np.zeros(4)}, "float64"),
        ({"images": random_images(4, 8, 8), "labels": np.array([0, 1, -1, 0])}, "-1"),
        ({"images": random_images(4, 8), "labels": np.zeros(4, int)}, "(4, 8)"),
        ({"images": RNG.random((4, 8, 8)), "labels": np.zeros(4, int)}, "float64"),
        ({"a": random_images(4, 8, 8, 2)}, "2 channels"),
        ({"a": random_images(0, 8, 8)}, "no images"),
        ({}, "no classes"),
    ],
)
def test_arrays_that_are_no_labelled_images_are_named(tmp_path, content, told):
    np.savez(tmp_path / "a.npz", **content)
    refused(tmp_path / "a.npz", "a.npz", told, split_fractions=(0, 0, 1))


@pytest.mark.parametrize(
    "array, told",
    [
        (np.zeros((3, 8, 8), np.uint8), "(3, 8, 8)"),
        (np.zeros((3, 2, 8, 8)), "float64"),
        (np.zeros((0, 2, 8, 8), np.uint8), "no classes"),
        (np.zeros((3, 0, 8, 8, 1), np.uint8), "no images"),
        (np.array({"a": 1}, dtype=object), "dict"),
        (object_array("text", "more"), "str"),
        (object_array([np.zeros((8, 8)), np.zeros((9, 8))]), "differ in shape"),
    ],
)
def test_npy_content_that_is_no_set_of_classes_is_named(tmp_path, array, told):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    refused(tmp_path / "a.npy", "a.npy", told, split_fractions=(0, 0, 1))
