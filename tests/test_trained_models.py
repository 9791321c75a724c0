"""A model is found by a preset's name, a preset's directory or a run's."""

import dataclasses

import numpy as np
import pytest
from small_classifier import N_WAY, SHAPE, make_inductive_model, save_small_preset
from small_model import changed, make_model
from small_runs import TINY, experiment_of, glyphs, noise

from hypertransformer_tf.deployment.trained_models import find_model, load_model
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.runs.checkpoints import save_best, save_checkpoint
from hypertransformer_tf.runs.data_record import describe_data
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.runs.state import model_arrays

HEADS = ("cnn.warmup_heads = 'trained'", "loss.head_steps = 2")


def _save_run(path, *changes, images=None):
    """A run with one checkpoint, which notes its images if there are any; its model."""
    experiment = experiment_of(*changes, settings=TINY)
    model = HyperTransformer((28, 28, 1), experiment.episodes.n_way, experiment.model, shared_head_classes=9)
    data = None if images is None else describe_data(images)
    with RunDirectory(path, experiment.effective(), experiment.text(), seed=0, data=data) as run:
        run.begin(0)
        save_checkpoint(run.checkpoints, 3, model_arrays(model), {})
    return model


def test_a_preset(tmp_path):
    found = find_model(save_small_preset(tmp_path / "small", background="dark"))
    assert (found.name, found.n_way, found.image_shape, found.background) == ("small", N_WAY, SHAPE, "dark")


def test_the_newest_checkpoint_of_a_run(tmp_path):
    trained = _save_run(tmp_path / "run", "cnn.normalisation = 'support'", *HEADS)
    found = load_model(tmp_path / "run")
    assert found.name == "run" and len(found.sha256) == 64 and found.background is None
    expected = model_arrays(trained)
    for name, array in model_arrays(found.model).items():
        np.testing.assert_array_equal(array, expected[name])
    assert found.model.n_way == trained.n_way and not found.model.heads and found.model.shared_head is None


def test_a_run_knows_the_background_of_its_images(tmp_path):
    images = glyphs()
    opposite = dataclasses.replace(images, images=255 - images.images)
    found = []
    for name, each in (("as drawn", images), ("inverted", opposite), ("noise", noise(3, 4))):
        _save_run(tmp_path / name, "cnn.normalisation = 'support'", images=each)
        found.append(find_model(tmp_path / name).background)
    assert set(found[:2]) == {"light", "dark"} and found[2] is None


def test_the_best_checkpoint_of_a_run_and_with_a_warning_the_newest_where_it_is_damaged(tmp_path, caplog):
    trained = _save_run(tmp_path / "run", "cnn.normalisation = 'support'")
    best = {name: array + 1 for name, array in model_arrays(trained).items()}
    path = save_best(tmp_path / "run" / "checkpoints", 2, best, {})
    name = next(name for name in best if name.endswith("kernel") and "generator" in name)
    expected = {"best": best[name], "newest": best[name] - 1}
    key = name.partition("/")[2]
    np.testing.assert_array_equal(find_model(tmp_path / "run").arrays[key], expected["best"])
    assert not caplog.records
    path.write_bytes(path.read_bytes()[:-8])
    np.testing.assert_allclose(find_model(tmp_path / "run").arrays[key], expected["newest"], atol=1e-6)
    assert "is damaged" in caplog.text and "the newest checkpoint, of step 3, is used" in caplog.text


def test_a_model_found_by_name_is_built_once(tmp_path):
    directory = save_small_preset(tmp_path / "small")
    assert load_model(directory).model is load_model(directory).model


def test_a_model_itself():
    model = make_inductive_model()
    assert load_model(model)[:2] == (model, "small")


def test_a_transductive_model_is_refused(tmp_path):
    _save_run(tmp_path / "run")
    for source in (tmp_path / "run", make_model(changed())):
        with pytest.raises(UserError, match="depends on the other pictures.*'support' or 'task'"):
            load_model(source)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for source in ("nothing", tmp_path / "empty", 3):
        with pytest.raises(UserError, match="give .*preset"):
            load_model(source)


def test_a_run_that_has_nothing_yet_is_refused(tmp_path):
    experiment = experiment_of("cnn.normalisation = 'task'", settings=TINY)
    with RunDirectory(tmp_path, experiment.effective(), experiment.text(), seed=0) as run:
        run.begin(0)
    with pytest.raises(UserError, match="no checkpoint yet"):
        find_model(tmp_path)
