"""Claims about Omniglot, on the real data."""

import random

import numpy as np
import pytest

from hypertransformer_tf.data import tfds_source
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.decoding import fit_array
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.errors import UserError


@pytest.fixture(scope="module")
def config(shared):
    return DataConfig(source="omniglot", data_dir=str(shared / "tfds"))


@pytest.fixture(scope="module")
def omniglot(config):
    return load_images(config)


def test_there_are_1623_characters_of_20_images(omniglot):
    assert omniglot.images.shape == (32460, 28, 28, 1) and omniglot.num_classes == 1623
    assert {omniglot.count(c) for c in range(1623)} == {20}


def test_the_split_is_the_published_one(omniglot):
    order = list(range(1623))
    random.Random(2022).shuffle(order)
    assert omniglot.splits["train"].tolist() == order[:1150]
    assert omniglot.splits["validation"].tolist() == order[1150:1200]
    assert omniglot.splits["test"].tolist() == order[1200:]
    assert sorted(np.concatenate(list(omniglot.splits.values()))) == list(range(1623))


def test_strokes_are_black_on_white_paper(omniglot):
    assert np.mean(omniglot.images[:, 0] == 255) > 0.95
    assert np.mean(omniglot.images < 128) < 0.15
    assert np.all(omniglot.images.min(axis=(1, 2, 3)) < 128)


@pytest.mark.slow
def test_averaged_images_are_the_same_drawings_prepared_as_any_picture(omniglot, shared):
    tfds = pytest.importorskip("tensorflow_datasets")
    averaged = load_images(DataConfig(source="omniglot_averaged", data_dir=str(shared / "tfds")))
    assert averaged.name == "omniglot_averaged"
    for name, classes in omniglot.splits.items():
        np.testing.assert_array_equal(averaged.splits[name], classes)
    builder = tfds.builder("omniglot:3.0.0", data_dir=str(shared / "tfds"))
    example = next(iter(tfds.as_numpy(builder.as_dataset(split="test[:1]"))))
    (expected,) = fit_array(example["image"][np.newaxis], "a drawing", 28, 1)
    images = averaged.class_images(int(example["label"]))
    assert any(np.array_equal(image, expected) for image in images)
    assert len(np.unique(averaged.images[:1000])) > 2 * len(np.unique(omniglot.images[:1000]))  # more greys


def test_images_are_resized_as_tensorflow_1_did(omniglot, shared):
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder("omniglot:3.0.0", data_dir=str(shared / "tfds"))
    example = next(iter(tfds.as_numpy(builder.as_dataset(split="test[:1]"))))
    original = example["image"][..., 0].astype(float)
    expected = np.zeros((28, 28))
    for y in range(28):
        for x in range(28):
            top, left = int(y * 3.75), int(x * 3.75)
            dy, dx = y * 3.75 - top, x * 3.75 - left
            upper = original[top, left] * (1 - dx) + original[top, left + 1] * dx
            lower = original[top + 1, left] * (1 - dx) + original[top + 1, left + 1] * dx
            expected[y, x] = upper * (1 - dy) + lower * dy
    images = omniglot.class_images(int(example["label"]))[..., 0].astype(float)
    assert np.abs(images - expected).max(axis=(1, 2)).min() <= 0.5


def test_class_names_are_those_of_tfds(omniglot):
    assert omniglot.class_names[0] == "Arcadian_0" and len(set(omniglot.class_names)) == 1623


def test_the_second_load_needs_neither_tensorflow_nor_decoding(omniglot, config, monkeypatch):
    monkeypatch.setattr(tfds_source, "_open_builder", None)
    again = load_images(config)
    assert isinstance(again.images, np.memmap) and np.array_equal(again.images, omniglot.images)
    assert np.array_equal(again.splits["test"], omniglot.splits["test"])


def test_without_the_data_the_message_says_where_it_looked_and_how_to_get_it(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tfds_source, "_network_is_there", lambda: False)
    with pytest.raises(UserError) as raised:
        load_images(DataConfig(source="omniglot", data_dir=str(tmp_path)))
    told = str(raised.value)
    assert str(tmp_path) in told and "tfds.builder('omniglot:3.0.0'" in told and "--data_dir" in told
    assert "\n" not in told
