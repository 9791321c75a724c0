"""Claims about the class splits that come with the package."""

import numpy as np
import pytest

from hypertransformer_tf.data.published_split import PublishedSplit, published_split
from hypertransformer_tf.errors import UserError

SIZES = {
    "cifar_fs": (64, 16, 20),
    "fc100": (60, 20, 20),
    "mini_imagenet": (64, 16, 20),
    "tiered_imagenet": (351, 97, 160),
}
FOLDERS = {
    "cifar_fs": "cifar-fs/{}.txt",
    "fc100": "fc100/{}.txt",
    "mini_imagenet": "miniimagenet/{}_wnids.txt",
    "tiered_imagenet": "tieredimagenet/{}.csv",
}


@pytest.mark.parametrize("name", SIZES)
def test_a_split_has_its_published_sizes_a_source_and_no_class_twice(name):
    split = published_split(name)
    assert tuple(len(split.classes[part]) for part in ("train", "validation", "test")) == SIZES[name]
    names = [name for classes in split.classes.values() for name in classes]
    assert len(set(names)) == sum(SIZES[name]) and "20" in split.source


@pytest.mark.parametrize("name", FOLDERS)
def test_the_classes_are_those_that_were_published(name, shared):
    for part, file in (("train", "train"), ("validation", "val"), ("test", "test")):
        lines = (shared / "splits" / FOLDERS[name].format(file)).read_text().split()
        assert list(published_split(name).classes[part]) == [line.split(",")[0] for line in lines]


def test_cifar_splits_use_each_of_the_100_classes_once():
    of = {name: sorted(sum(published_split(name).classes.values(), [])) for name in ("cifar_fs", "fc100")}
    assert of["cifar_fs"] == of["fc100"] and len(of["fc100"]) == 100


SMALL = PublishedSplit("A. Nonymous", {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}, images_per_class=2)


def test_names_are_turned_into_indices():
    found = SMALL.indices(["d", "x", "c", "b", "a"], "here")
    assert {part: classes.tolist() for part, classes in found.items()} == {
        "train": [4, 3],
        "validation": [2],
        "test": [0],
    }
    assert all(classes.dtype == np.int64 for classes in found.values())


def test_a_class_that_the_data_lacks_is_named():
    with pytest.raises(UserError, match="data here lacks the class 'c'.*A. Nonymous"):
        SMALL.indices(["a", "b", "d"], "data here")
    with pytest.raises(UserError, match="train.csv lacks the class b.*2 classes"):
        SMALL.check_classes("train", ["a"], "train.csv")
    with pytest.raises(UserError, match="train.csv holds the class z"):
        SMALL.check_classes("train", ["a", "z", "b"], "train.csv")


def test_other_numbers_of_classes_or_images_are_named():
    SMALL.check_counts("train", [2, 2], "here")
    with pytest.raises(UserError, match="class of 3 images where each has 2"):
        SMALL.check_counts("train", [2, 3], "here")
    with pytest.raises(UserError, match="3 classes where the published train split has 2"):
        SMALL.check_counts("train", [2, 2, 2], "here")
    totals = PublishedSplit("B", {"train": ["a", "b"]}, images={"train": 5})
    totals.check_counts("train", [2, 3], "here")
    with pytest.raises(UserError, match="4 images where the published train split has 5"):
        totals.check_counts("train", [2, 2], "here")
