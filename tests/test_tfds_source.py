"""Claims about TFDS sets, on a small one made here and on the real CIFAR-100."""

import os

import numpy as np
import pytest

from hypertransformer_tf.data import tfds_source
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.errors import UserError

tfds = pytest.importorskip("tensorflow_datasets")

NAMES = ("ant", "bee", "cat", "never_used")
# split -> (label, grey level) of each example; -1 is TFDS's "no label", `small` repeats a part of `train`.
CONTENT = {
    "train": [(2, 20), (0, 1), (1, 10), (2, 21), (-1, 99)],
    "test": [(1, 11), (0, 2), (2, 22)],
    "small": [(2, 20), (0, 1)],
}


class ToySet(tfds.core.GeneratorBasedBuilder):
    """Prepared by the tests, read by the library."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            supervised_keys=("picture", "kind"),
            features=tfds.features.FeaturesDict(
                {
                    "picture": tfds.features.Image(shape=(None, None, 3)),
                    "kind": tfds.features.ClassLabel(names=NAMES),
                    "weight": np.float32,
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(examples) for name, examples in CONTENT.items()}

    def _generate_examples(self, examples):
        for i, (label, value) in enumerate(examples):
            yield i, {"picture": np.full((8 + i, 8 + i, 3), value, np.uint8), "kind": label, "weight": 0.5}


class ToyTexts(tfds.core.GeneratorBasedBuilder):
    """A set without images."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({"text": tfds.features.Text()}))

    def _split_generators(self, dl_manager):
        return {"train": iter([(0, {"text": "hello"})])}

    def _generate_examples(self):
        raise NotImplementedError


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for kind in (ToySet, ToyTexts):
        kind(data_dir=str(folder)).download_and_prepare()
    return folder


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HT_CACHE_DIR", str(tmp_path / "sets"))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr(tfds_source, "_network_is_there", lambda: False)


def load(folder, name="toy_set", **settings):
    return load_images(DataConfig(source=f"tfds:{name}", data_dir=str(folder), **{"image_size": 8, **settings}))


def test_all_splits_are_joined_and_grouped_without_repeated_or_unlabelled_examples(prepared, own_cache):
    images = load(prepared)
    assert images.name == "toy_set" and images.class_names == ("ant", "bee", "cat")
    assert [sorted(images.class_images(c)[:, 0, 0, 0].tolist()) for c in range(3)] == [
        [1, 2],
        [10, 11],
        [20, 21, 22],
    ]
    assert sum(len(classes) for classes in images.splits.values()) == 3


def test_size_and_channels_are_those_asked_for(prepared, own_cache):
    assert load(prepared, image_size=12, channels=3).images.shape == (7, 12, 12, 3)


def test_a_version_may_be_named_and_the_variable_leads_to_the_data(prepared, own_cache, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert len(load_images(DataConfig(source="tfds:toy_set:1.0.0")).images) == 7


def test_reading_leaves_the_environment_of_later_processes_alone(prepared, own_cache, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    before = dict(os.environ)
    load(prepared)
    assert dict(os.environ) == before


def test_the_second_load_needs_no_tfds(prepared, own_cache, monkeypatch):
    first = load(prepared)
    monkeypatch.setattr(tfds_source, "_open_builder", None)
    assert np.array_equal(load(prepared).images, first.images)


def copy_of(prepared, tmp_path):
    import shutil

    shutil.copytree(prepared, tmp_path / "copy")
    return tmp_path / "copy"


def refused(folder, *told, **settings):
    with pytest.raises(UserError) as raised:
        load(folder, **settings)
    message = str(raised.value)
    assert all(str(part) in message for part in told) and "\n" not in message, message


def test_damaged_files_are_named(prepared, own_cache, tmp_path):
    folder = copy_of(prepared, tmp_path)
    record = next(folder.glob("toy_set/1.0.0/*train*"))
    record.write_bytes(record.read_bytes()[:-30])
    refused(folder, "toy_set", folder, "cannot be read", "prepare it again")


def test_missing_files_are_named(prepared, own_cache, tmp_path):
    folder = copy_of(prepared, tmp_path)
    next(folder.glob("toy_set/1.0.0/*test*")).unlink()
    refused(folder, "toy_set", folder, "cannot be read", "prepare it again")


def test_a_set_without_images_and_labels_is_refused(prepared, own_cache):
    refused(prepared, "toy_texts", "not an image classification set", "text", name="toy_texts")


def test_an_unknown_set_is_named_without_a_list_of_a_thousand(tmp_path):
    refused(tmp_path, "'no_such_set'", tmp_path, name="no_such_set")


def test_offline_a_set_that_is_not_prepared_is_refused_at_once(tmp_path):
    refused(tmp_path, "mnist", tmp_path, "no network", "tfds.builder('mnist', data_dir='DIR')", name="mnist")


def test_a_download_that_fails_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_source, "_network_is_there", lambda: True)

    def fail(self, **_):
        raise ConnectionError("reset by peer\nand more")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    refused(tmp_path, "mnist", tmp_path, "reset by peer", name="mnist")


def test_a_set_that_is_not_prepared_is_downloaded_where_there_is_a_network(tmp_path, own_cache, monkeypatch, capsys):
    monkeypatch.setattr(tfds_source, "_network_is_there", lambda: True)
    assert len(load(tmp_path).images) == 7  # the toy set "downloads" from this file
    assert "downloading" in capsys.readouterr().err


def test_a_missing_package_is_named(prepared, own_cache, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "importlib_resources", None)
    refused(prepared, "importlib_resources", "pip")


@pytest.mark.slow
def test_cifar100_has_100_classes_of_600_colour_images(shared):
    images = load(shared / "tfds", "cifar100", image_size=32, channels=3, split_fractions=(0.6, 0.2, 0.2))
    assert images.images.shape == (60000, 32, 32, 3) and images.class_names[:2] == ("apple", "aquarium_fish")
    assert {images.count(c) for c in range(100)} == {600}
    assert [len(classes) for classes in images.splits.values()] == [60, 20, 20]
    builder = tfds.builder("cifar100", data_dir=str(shared / "tfds"))
    example = next(iter(tfds.as_numpy(builder.as_dataset(split="train[:1]"))))
    assert any(np.array_equal(image, example["image"]) for image in images.class_images(int(example["label"])))
