"""Claims about folders of pictures."""

import os

import numpy as np
import pytest
from PIL import Image

from hypertransformer_tf.data import folder
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.errors import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HT_CACHE_DIR", str(tmp_path_factory.mktemp("sets")))


def put(path, value=0, size=(12, 12), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).convert(mode).save(path)


def load(root, **settings):
    return load_images(DataConfig(source=f"folder:{root}", **{"image_size": 8, **settings}))


@pytest.fixture
def root(tmp_path):
    """Three classes of 1, 2 and 3 pictures, each of its own grey."""
    for c, name in enumerate(("ant", "bee", "cat")):
        for i in range(c + 1):
            put(tmp_path / "animals" / name / f"{i}.png", 40 * c + i)
    return tmp_path / "animals"


def test_classes_and_pictures_are_in_the_order_of_their_names(root):
    images = load(root)
    assert images.class_names == ("ant", "bee", "cat") and images.name == "animals"
    assert [images.class_images(c)[:, 0, 0, 0].tolist() for c in range(3)] == [[0], [40, 41], [80, 81, 82]]


def test_without_split_folders_classes_are_split_at_random(root):
    splits = load(root, split_fractions=(0.34, 0.33, 0.33)).splits
    assert sorted(len(classes) for classes in splits.values()) == [1, 1, 1]


@pytest.mark.parametrize("middle", ["validation", "val", "Val"])
def test_split_folders_are_kept(tmp_path, middle):
    for split, name in (("train", "a"), ("train", "b"), (middle, "c"), ("test", "d")):
        put(tmp_path / split / name / "0.png")
    images = load(tmp_path, split_fractions=(0, 0, 1))
    named = {split: [images.class_names[c] for c in classes] for split, classes in images.splits.items()}
    assert named == {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}


def test_a_missing_split_folder_is_an_empty_split(tmp_path):
    put(tmp_path / "train" / "a" / "0.png")
    put(tmp_path / "test" / "b" / "0.png")
    assert len(load(tmp_path).splits["validation"]) == 0


def test_a_class_called_train_among_others_is_a_class(tmp_path):
    for name in ("boat", "plane", "train"):
        put(tmp_path / name / "0.png")
    assert load(tmp_path).class_names == ("boat", "plane", "train")


def test_formats_modes_and_sizes_may_be_mixed(tmp_path):
    for i, mode in enumerate(("L", "RGB", "P", "RGBA", "1", "LA")):
        put(tmp_path / "a" / f"{i}.png", 255, (5 + 7 * i, 30), mode)
    put(tmp_path / "a" / "photo.JPG", 255)
    Image.fromarray(np.full((9, 9), 65535, np.uint16)).save(tmp_path / "a" / "deep.png")
    for channels in (1, 3):
        images = load(tmp_path, channels=channels, split_fractions=(0, 0, 1)).images
        assert images.shape == (8, 8, 8, channels) and np.all(images == 255)


def test_hidden_files_and_what_desktops_leave_behind_are_ignored(root):
    for name in (".DS_Store", "ant/.hidden", "ant/Thumbs.db", "bee/desktop.ini", "readme.txt"):
        (root / name).write_text("no picture")
    (root / ".git").mkdir()
    assert len(load(root).images) == 6


def test_a_relative_path_and_a_link_are_followed(root, monkeypatch):
    os.symlink(root / "cat" / "0.png", root / "ant" / "link.png")
    monkeypatch.chdir(root.parent)
    assert load("animals").count(0) == 2


def test_a_second_load_comes_from_the_cache(root, monkeypatch):
    first = load(root)
    monkeypatch.setattr(folder, "decode_image", None)
    second = load(root)
    assert isinstance(second.images, np.memmap) and np.array_equal(first.images, second.images)
    assert second.class_names == first.class_names


def test_a_split_setting_does_not_need_decoding_again(root, monkeypatch):
    load(root)
    monkeypatch.setattr(folder, "decode_image", None)
    assert len(load(root, split_fractions=(0, 0, 1)).splits["test"]) == 3


def test_a_changed_new_or_renamed_picture_is_noticed(root):
    load(root)
    put(root / "ant" / "0.png", 200)
    os.utime(root / "ant" / "0.png", ns=(1, 1))
    assert load(root).images[0, 0, 0, 0] == 200
    put(root / "ant" / "1.png", 201)
    assert load(root).count(0) == 2
    os.rename(root / "cat", root / "cow")
    assert load(root).class_names[2] == "cow"


def refused(root, *told, **settings):
    with pytest.raises(UserError) as raised:
        load(root, **settings)
    assert all(str(part) in str(raised.value) for part in told), raised.value


def test_a_missing_folder_is_named(tmp_path):
    refused(tmp_path / "gone", tmp_path / "gone", "no such folder")


def test_a_folder_without_class_folders_is_named(tmp_path):
    put(tmp_path / "picture.png")
    refused(tmp_path, tmp_path, "no class folders")


def test_an_empty_class_folder_is_named(root):
    (root / "dog").mkdir()
    (root / "dog" / ".keep").write_text("")
    refused(root, root / "dog", "empty")


def test_an_empty_split_folder_is_named(tmp_path):
    put(tmp_path / "train" / "a" / "0.png")
    (tmp_path / "test").mkdir()
    refused(tmp_path, tmp_path / "test", "no class folders")


def test_a_file_that_is_no_picture_is_named(root):
    (root / "bee" / "notes.txt").write_text("hello")
    refused(root, root / "bee" / "notes.txt", "cannot be read as a picture")


def test_a_truncated_picture_is_named(root):
    path = root / "cat" / "1.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:500])
    refused(root, path, "truncated")


def test_folders_in_a_class_folder_are_named(root):
    (root / "bee" / "more").mkdir()
    refused(root, root / "bee", "more")


def test_a_dead_link_is_named(root):
    os.symlink(root / "nowhere.png", root / "bee" / "link.png")
    refused(root, root / "bee" / "link.png", "does not exist")


def test_a_class_in_two_splits_is_named(tmp_path):
    for split in ("train", "test"):
        put(tmp_path / split / "cat" / "0.png")
    refused(tmp_path, "'cat'", "train", "test")


def test_two_folders_for_one_split_are_named(tmp_path):
    for split in ("train", "val", "validation"):
        put(tmp_path / split / split / "0.png")
    refused(tmp_path, "val", "validation", "keep one")


def test_too_few_classes_for_three_splits_are_refused(tmp_path):
    put(tmp_path / "a" / "0.png")
    put(tmp_path / "b" / "0.png")
    refused(tmp_path, "2 class", "at least 3")
