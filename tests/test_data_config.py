"""Claims about the data settings."""

import pathlib
import subprocess
import sys

import pytest

import gin
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.errors import UserError


@pytest.mark.parametrize(
    "source", ["glyphs", "omniglot", "tfds:cifar100", "folder:a/b", "arrays:c.npz", "fc100", "mini_imagenet:a"]
)
def test_every_listed_source_is_accepted(source):
    assert DataConfig(source=source).source == source


@pytest.mark.parametrize("source", ["mnist", "", "folder:", "tfds", "glyphs:28", None, 3])
def test_an_unknown_source_is_answered_with_the_list_of_sources(source):
    with pytest.raises(UserError, match="glyphs, omniglot, omniglot_averaged, tfds:NAME, folder:PATH, arrays:PATH"):
        DataConfig(source=source)


@pytest.mark.parametrize(
    "name, value",
    [
        ("image_size", 0),
        ("image_size", 28.0),
        ("image_size", True),
        ("image_size", 5000),
        ("channels", 2),
        ("channels", "1"),
        ("split_seed", -1),
        ("split_seed", 0.5),
        ("split_counts", (64, 16)),
        ("split_counts", (64, 16.0, 20)),
        ("split_counts", (64, -1, 20)),
        ("split_counts", (0, 0, 0)),
        ("split_counts", 100),
        ("data_dir", 7),
        ("split_fractions", (0.7, 0.3)),
        ("split_fractions", (0.7, 0.2, 0.2)),
        ("split_fractions", (1.2, -0.1, -0.1)),
        ("split_fractions", 0.7),
        ("split_fractions", ("a", "b", "c")),
        ("split_fractions", (float("nan"), 0.5, 0.5)),
    ],
)
def test_a_bad_value_is_named_with_its_parameter(name, value):
    with pytest.raises(UserError) as raised:
        DataConfig(**{name: value})
    assert f"data.{name}" in str(raised.value) and repr(value) in str(raised.value)


def test_counts_and_fractions_of_classes_exclude_each_other():
    assert DataConfig(split_counts=[64, 16, 20], split_seed=None).split_counts == (64, 16, 20)
    with pytest.raises(UserError, match="split_counts = .* and data.split_fractions = .* are both set"):
        DataConfig(split_counts=(64, 16, 20), split_fractions=(0.64, 0.16, 0.2))


def test_gin_bindings_reach_the_settings():
    with gin.unlock_config():
        gin.parse_config("data.source = 'omniglot'\ndata.split_fractions = [0.5, 0.25, 0.25]")
    try:
        config = DataConfig()
    finally:
        gin.clear_config()
    assert config.source == "omniglot" and config.split_fractions == (0.5, 0.25, 0.25)


def test_the_tfds_folder_is_the_flag_then_the_variable_then_the_home_folder(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/from/variable")
    assert DataConfig(data_dir="/from/flag").tfds_directory() == pathlib.Path("/from/flag")
    assert DataConfig().tfds_directory() == pathlib.Path("/from/variable")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert DataConfig().tfds_directory() == pathlib.Path.home() / "tensorflow_datasets"


def test_the_data_package_does_not_import_tensorflow():
    code = 'import sys, hypertransformer_tf.data.load; sys.exit("tensorflow" in sys.modules)'
    root = pathlib.Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
