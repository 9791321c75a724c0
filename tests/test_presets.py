"""A preset is a model in a directory: it comes back as it was, or is refused."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
from small_classifier import N_WAY, SHAPE, drawings, make_inductive_model, save_small_preset
from small_model import assert_close, changed

from hypertransformer_tf.deployment.presets import load_preset, read_preset, save_preset
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.runs import preset_files
from hypertransformer_tf.runs.content_hash import file_sha256
from hypertransformer_tf.runs.preset_files import preset_names


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_small_preset(tmp_path_factory.mktemp("presets") / "small", background="light")


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def _change(directory, name, **values):
    path = directory / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _refused(directory):
    with pytest.raises(UserError) as refused:
        load_preset(directory)
    return str(refused.value)


def test_a_model_comes_back_as_it_was(saved):
    images, labels = drawings()
    images, labels = images[..., np.newaxis], labels.astype(np.int32)
    first, second = make_inductive_model(), load_preset(saved)
    assert second.config == first.config and second.n_way == N_WAY and second.image_shape == SHAPE
    generated, again = (model.generate(images, labels, n_way=3) for model in (first, second))
    assert_close(again, generated, tolerance=0.0)


def test_a_model_keeps_itself_as_a_preset_and_comes_back(tmp_path):
    first = make_inductive_model()
    first.save_to_preset(tmp_path / "kept", background="dark")
    second = HyperTransformer.from_preset(tmp_path / "kept")
    assert second.config == first.config and read_preset(tmp_path / "kept").background == "dark"
    for before, after in zip(first.weights, second.weights):
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))
    with pytest.raises(UserError, match="exists already"):
        first.save_to_preset(tmp_path / "kept")
    with pytest.raises(UserError, match="neither a preset"):
        HyperTransformer.from_preset(tmp_path / "nothing")


def test_what_a_preset_is_can_be_read_without_building_it(saved):
    files = read_preset(saved)
    assert files.name == "small" and files.background == "light" and len(files.sha256) == 64
    card = json.loads((preset_files.find_preset(saved) / "card.json").read_text())
    assert card == {"about": "a test", "sha256": files.sha256}


def test_what_only_training_uses_is_left_out(tmp_path):
    for heads in ("trained", "generated"):
        config = changed(cnn={"normalisation": "support", "warmup_heads": heads})
        model = HyperTransformer(SHAPE, N_WAY, config, shared_head_classes=50)
        save_preset(model, tmp_path / heads)
        assert not any("head" in name for name in safetensors.numpy.load_file(tmp_path / heads / "model.safetensors"))
        assert load_preset(tmp_path / heads).config.cnn.warmup_heads == "none"


def test_a_preset_in_the_package_is_found_by_its_name(saved, tmp_path, monkeypatch):
    shutil.copytree(saved, tmp_path / "tiny")
    monkeypatch.setattr(preset_files, "_PACKAGED", tmp_path)
    assert preset_names() == ["tiny"] and load_preset("tiny").n_way == N_WAY
    assert "('tiny')" in _refused("tinny")


def test_half_precision_variables_are_read_too(copy):
    file = copy / "model.safetensors"
    halves = {name: array.astype(np.float16) for name, array in safetensors.numpy.load_file(file).items()}
    file.write_bytes(safetensors.numpy.save(halves))
    _change(copy, "card.json", sha256=file_sha256(file))
    assert load_preset(copy).weights[0].dtype == "float32"


def test_an_existing_preset_is_not_overwritten_unasked(copy):
    with pytest.raises(UserError, match="exists already"):
        save_preset(make_inductive_model(), copy)
    save_preset(make_inductive_model(), copy, overwrite=True)


def test_no_preset(tmp_path):
    assert "neither a preset" in _refused(tmp_path) and "neither a preset" in _refused(tmp_path / "nothing")


def test_a_changed_file(copy):
    with open(copy / "model.safetensors", "r+b") as file:
        file.seek(-4, 2)
        file.write(b"\1\2\3\4")
    assert "not the file its card names" in _refused(copy)


@pytest.mark.parametrize(
    "values, says",
    [
        ({"format_version": 2}, "format version 2"),
        ({"background": "grey"}, "background"),
        ({"config": {}}, "damaged"),
        ({"n_way": 5}, "another model"),
    ],
)
def test_a_configuration_that_does_not_fit(copy, values, says):
    _change(copy, "config.json", **values)
    assert says in _refused(copy)


def test_a_missing_or_broken_file(copy):
    (copy / "config.json").write_text("{")
    assert "damaged" in _refused(copy)
    (copy / "config.json").unlink()
    assert "cannot be read" in _refused(copy)
