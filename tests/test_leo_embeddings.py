"""Claims about LEO's embeddings, on small files in the form in which they are handed around."""

import pickle

import numpy as np
import pytest
from small_runs import SMALL, experiment_of
from small_sets import CLASSES, use_small_splits, write_leo

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.errors import UserError


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    use_small_splits(monkeypatch)
    monkeypatch.setenv("HT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "center").mkdir()
    return tmp_path / "center"


def config(folder):
    return DataConfig(source=f"leo_embeddings:{folder}", image_size=1, channels=640)


def refused(folder, *told):
    with pytest.raises(UserError) as raised:
        load_images(config(folder))
    message = str(raised.value)
    assert all(str(part) in message for part in told) and "\n" not in message, message


def as_objects(keys):
    return np.array(keys, dtype=object)


def as_bytes(keys):
    return np.array(keys, dtype="S")


@pytest.mark.parametrize("form", [as_objects, as_bytes, np.asarray, list])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_vectors_go_to_the_classes_of_their_keys_with_unit_length(folder, form, kind):
    written = write_leo(folder, form, kind)
    images = load_images(config(folder))
    assert images.image_shape == (1, 1, 640) and images.images.dtype == np.float32 and not images.are_pictures
    assert {part: tuple(images.class_names[c] for c in images.splits[part]) for part in CLASSES} == CLASSES
    for index, name in enumerate(images.class_names):
        expected = written[name] / np.sqrt((written[name].astype(np.float64) ** 2).sum(1, keepdims=True))
        np.testing.assert_allclose(images.class_images(index)[:, 0, 0], expected, rtol=1e-5, atol=1e-7)


def test_the_set_is_memory_mapped_and_read_once(folder, monkeypatch):
    write_leo(folder)
    first = load_images(config(folder))
    monkeypatch.setattr("hypertransformer_tf.data.leo_embeddings._read", None)
    assert isinstance(first.images, np.memmap)
    assert np.array_equal(load_images(config(folder)).images, first.images)


def test_where_a_file_is_missing_the_sentence_says_what_to_fetch(folder):
    refused(folder, folder, "lacks train_embeddings.pkl", "embeddings.zip")
    write_leo(folder)
    (folder / "val_embeddings.pkl").unlink()
    refused(folder, "lacks val_embeddings.pkl")


KEYS = ["1-n01855672-n01855672_1.JPEG", "2-n02091244-n02091244_2.JPEG"]
VECTORS = np.ones((2, 640), np.float32)


@pytest.mark.parametrize(
    "content, told",
    [
        ([1], "a dictionary with keys and embeddings"),
        ({"keys": KEYS}, "a dictionary with keys and embeddings"),
        ({"keys": KEYS, "embeddings": VECTORS[:, :512]}, "(N, 640), not (2, 512)"),
        ({"keys": KEYS, "embeddings": VECTORS.astype(np.int64)}, "not int64"),
        ({"keys": KEYS[:1], "embeddings": VECTORS}, "one key for each of the 2"),
        ({"keys": 7, "embeddings": VECTORS}, "one key for each of the 2"),
        ({"keys": ["n01855672", KEYS[1]], "embeddings": VECTORS}, "'n01855672' does not name a class"),
        ({"keys": [5, 6], "embeddings": VECTORS}, "the key 5 does not name a class"),
        ({"keys": [KEYS[0]] * 2, "embeddings": VECTORS}, "lacks the class n02091244"),
        ({"keys": [*KEYS[:1], "2-n01440764-x"], "embeddings": VECTORS}, "lacks the class n02091244"),
        ({"keys": [*KEYS, "3-n01440764-x"], "embeddings": VECTORS[[0, 0, 0]]}, "holds the class n01440764"),
        ({"keys": KEYS, "embeddings": VECTORS * np.array([[1], [0]], np.float32)}, "zero or not finite"),
        ({"keys": KEYS, "embeddings": VECTORS * np.float32("nan")}, "zero or not finite"),
        ({"keys": KEYS, "embeddings": VECTORS, "more": print}, "print, and only NumPy arrays and plain containers"),
    ],
)
def test_content_that_is_not_what_was_published_is_named(folder, content, told):
    write_leo(folder)
    (folder / "val_embeddings.pkl").write_bytes(pickle.dumps(content, 2))
    refused(folder, "val_embeddings.pkl", told)


def test_files_of_another_number_of_classes_are_no_set_of_leos(folder, monkeypatch):
    write_leo(folder)
    monkeypatch.undo()
    refused(folder, "train_embeddings.pkl has 3 classes", "351 (tieredImageNet) or 64 (miniImageNet)")


def test_their_size_is_said_where_it_is_not_set():
    with pytest.raises(UserError, match="holds vectors: set them to 1 and 640"):
        DataConfig(source="leo_embeddings:x", image_size=84, channels=3)
    with pytest.raises(UserError, match="must be 1 .grey. or 3 .colour."):
        DataConfig(source="folder:x", image_size=1, channels=640)


def _experiment(folder, *changes):
    data = (f"data.source = 'leo_embeddings:{folder}'", "data.image_size = 1", "data.channels = 640")
    model = ("cnn.architecture = 'no-convolutions'", "features.logits = 'passthrough'", "features.shared_layers = 0")
    return experiment_of(*data, *model, *changes, settings=SMALL)


@pytest.mark.parametrize(
    "change, told",
    [
        ("augmentation.rotate_by_90 = True", "switch off what augmentation sets"),
        ("augmentation.negate_probability = 0.1", "switch off what augmentation sets"),
        ("image_augmentation.enabled = True", "switch off what image_augmentation sets"),
    ],
)
def test_vectors_cannot_be_augmented(folder, change, told):
    write_leo(folder)
    experiment = _experiment(folder, change)
    images = load_images(experiment.data)
    with pytest.raises(UserError, match=f"holds vectors.*{told}"):
        experiment.training_sampler(images)
    experiment.evaluation_sampler(images, "test")  # which alters nothing


def test_episodes_hold_the_vectors_themselves(folder):
    write_leo(folder)
    experiment = _experiment(folder)
    images = load_images(experiment.data)
    batch = experiment.training_sampler(images).task_batch(0, 2)
    assert batch.support_images.shape == (2, 2, 1, 1, 640) and batch.support_images.dtype == np.float32
    known = {vector.tobytes() for vector in images.images}
    assert all(vector.tobytes() in known for vector in batch.query_images.reshape(-1, 640))
