"""Claims about the door to all image data."""

import numpy as np
import pytest
from PIL import Image

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images, outline_of
from hypertransformer_tf.errors import UserError


def test_the_default_is_the_embedded_set_split_280_40_80():
    images = load_images(DataConfig())
    assert images.name == "glyphs" and images.image_shape == (28, 28, 1)
    assert {name: len(classes) for name, classes in images.splits.items()} == {
        "train": 280,
        "validation": 40,
        "test": 80,
    }


def test_fractions_and_seed_choose_the_split():
    one, other = (load_images(DataConfig(split_fractions=(0.5, 0.25, 0.25), split_seed=seed)).splits for seed in (0, 1))
    assert len(one["train"]) == 200 and len(one["test"]) == 100
    assert not np.array_equal(one["train"], other["train"])


def test_an_array_of_the_authors_is_split_in_order_by_counts(tmp_path):
    np.save(tmp_path / "miniimagenet.npy", np.zeros((10, 3, 28, 28, 1), np.uint8))
    source = f"arrays:{tmp_path / 'miniimagenet.npy'}"
    splits = load_images(DataConfig(source=source, split_counts=(6, 1, 3), split_seed=None)).splits
    assert {name: classes.tolist() for name, classes in splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6],
        "test": [7, 8, 9],
    }


def test_counts_beside_a_split_that_the_source_brings_are_refused(tmp_path):
    for split in ("train", "validation", "test"):
        folder = tmp_path / split / split
        folder.mkdir(parents=True)
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / "a.png")
    with pytest.raises(UserError, match="split_counts = .* would have no effect: .* brings a split of its own"):
        load_images(DataConfig(source=f"folder:{tmp_path}", split_counts=(1, 1, 1)))


def test_an_unknown_source_is_answered_with_the_list_of_sources():
    with pytest.raises(
        UserError, match="'cifar'.*glyphs, omniglot, omniglot_averaged, tfds:NAME, folder:PATH, arrays:PATH"
    ):
        load_images(DataConfig(source="cifar"))


@pytest.mark.parametrize("source", ["glyphs", pytest.param("omniglot", marks=pytest.mark.slow)])
def test_an_outline_has_the_classes_and_splits_of_the_set(source, request):
    data_dir = str(request.getfixturevalue("shared") / "tfds") if source == "omniglot" else None
    config = DataConfig(source=source, data_dir=data_dir)
    outline, images = outline_of(config, 5), load_images(config, 5)
    assert outline.name == images.name and outline.images.shape == images.images.shape
    np.testing.assert_array_equal(outline.offsets, images.offsets)
    for split, classes in images.splits.items():
        np.testing.assert_array_equal(outline.splits[split], classes)


def test_a_set_that_has_to_be_read_has_no_outline():
    assert outline_of(DataConfig(source="folder:pictures")) is None
