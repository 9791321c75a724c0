"""What a run may begin with: another run's shared features, if that has not seen the classes measured on."""

import json
import shutil

import numpy as np
import pytest
from numpy_reference import value
from small_classifier import save_small_preset
from small_runs import (
    TINY,
    experiment_of,
    glyphs,
    latest,
    noise,
    own_configuration,
    train_here,
    write_gin,
)

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.runs.checkpoints import load_for_use, save_checkpoint
from hypertransformer_tf.runs.data_record import describe_data
from hypertransformer_tf.runs.restore import build_model
from hypertransformer_tf.runs.state import model_arrays, restore_shared_features
from hypertransformer_tf.training import build
from hypertransformer_tf.training.config import TrainingConfig
from hypertransformer_tf.training.pre_training import pre_trained

MINE = {
    "classes": {"train": ["a"], "validation": ["b"], "test": ["c"]},
    "counts": {"train": [1], "validation": [1], "test": [1]},
}
MY_SETTINGS = experiment_of(settings=TINY).effective()


def _other(path, *train):
    record = {**describe_data(noise(2, 2)), "classes": {"train": list(train), "validation": [], "test": ["c"]}}
    (path / "data.json").write_text(json.dumps(record))
    save_checkpoint(path / "checkpoints", 4, {"model/shared_features/kernel": np.ones(2, np.float32)}, {})
    return str(path)


def test_classes_of_training_may_be_shared(tmp_path):
    assert pre_trained(TrainingConfig(shared_features_from=_other(tmp_path, "a", "x")), MINE, MY_SETTINGS).step == 4


@pytest.mark.parametrize("name, split", [("b", "validation"), ("c", "test")])
def test_classes_measured_on_may_not(tmp_path, name, split):
    with pytest.raises(UserError, match=f"trained on 1 {split} classes of this run, '{name}' among them"):
        pre_trained(TrainingConfig(shared_features_from=_other(tmp_path, "a", name)), MINE, MY_SETTINGS)


def test_a_run_that_does_not_say_what_it_was_trained_on_is_refused(tmp_path):
    source = _other(tmp_path, "a")
    (tmp_path / "data.json").unlink()
    with pytest.raises(UserError, match="has no data.json"):
        pre_trained(TrainingConfig(shared_features_from=source), MINE, MY_SETTINGS)


@pytest.mark.parametrize("name", ["no/such/run", "x" * 300])
def test_what_is_no_run_is_refused(name):
    with pytest.raises(UserError, match="give a run directory"):
        pre_trained(TrainingConfig(shared_features_from=name), MINE, MY_SETTINGS)


@pytest.mark.slow
def test_shared_features_are_pre_trained_alone_and_another_run_begins_with_them(tmp_path):
    changes = ("loss.shared_head = 1.0", "loss.only_shared_head = True", "training.validate_every = 1")
    first = train_here(write_gin(tmp_path / "first.gin", *changes), tmp_path / "first").run_dir
    taken = f"training.shared_features_from = '{first}'"
    still = ("optimizer.name = 'sgd'", "optimizer.learning_rate = 0.0", "training.steps = 1")
    second = train_here(write_gin(tmp_path / "second.gin", taken, *still), tmp_path / "second").run_dir

    pre_trained, begun = latest(first).arrays, latest(second).arrays
    with own_configuration():
        fresh = build.build_training(experiment_of(*changes, settings=TINY), glyphs(), "one_device").model
    untrained = {f"model/{name}": value(variable) for name, variable in fresh.named_variables().items()}
    shared = {name for name in begun if name.startswith("model/shared_features/")}
    assert shared
    for name in begun.keys() & pre_trained.keys():
        if not name.startswith("model/"):
            continue
        if name in shared:
            np.testing.assert_array_equal(begun[name], pre_trained[name], err_msg=name)
            assert (pre_trained[name] != untrained[name]).any()
        else:
            np.testing.assert_allclose(pre_trained[name], untrained[name], rtol=1e-6, err_msg=name)
    assert not any(name.startswith("model/shared_head/") for name in begun)

    # Its own checkpoint has them now: the other run is not needed to go on.
    shutil.rmtree(first)
    assert train_here(tmp_path / "second.gin", tmp_path / "second", steps=2).run_dir == second
    assert latest(second).step == 2


def test_shared_features_that_two_models_do_not_have_in_common_are_refused(tmp_path):
    images = glyphs()
    two, four = (
        build_model(experiment_of(f"features.shared_layers = {layers}", *changes, settings=TINY), images)
        for layers, changes in ((2, ()), (4, ("loss.shared_head = 1.0",)))
    )
    arrays = model_arrays(four)
    restore_shared_features(two, arrays)
    shared = {name: array for name, array in model_arrays(two).items() if name.startswith("model/shared_features/")}
    assert shared
    for name, array in shared.items():
        np.testing.assert_array_equal(array, arrays[name])
    with pytest.raises(UserError, match="none of this model's shared features"):
        restore_shared_features(two, {name: array for name, array in arrays.items() if "shared_features" not in name})
    wider = build_model(experiment_of("features.shared_dim = 6", settings=TINY), images)
    with pytest.raises(UserError, match="does not fit"):
        restore_shared_features(wider, arrays)


# --- a whole model ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_may_begin_with_another_ones_model_for_fewer_classes_and_another_normalisation(tmp_path):
    three = ("episodes.n_way = 3", "loss.shared_head = 0.5")
    first = train_here(write_gin(tmp_path / "first.gin", *three), tmp_path / "first").run_dir
    changes = (f"training.model_from = '{first}'", "cnn.normalisation = 'task'")
    still = ("optimizer.name = 'sgd'", "optimizer.learning_rate = 0.0", "training.steps = 1")
    second = train_here(write_gin(tmp_path / "second.gin", *changes, *still), tmp_path / "second").run_dir
    trained, begun = load_for_use(first / "checkpoints").arrays, latest(second).arrays
    same = fewer = 0
    for name in (name for name in begun if name.startswith("model/") and "statistics" not in name):
        if name.endswith("/label_embeddings"):
            np.testing.assert_array_equal(begun[name], trained[name][[0, 1, 3]])
            fewer += 1
        elif begun[name].shape != trained[name].shape:
            np.testing.assert_array_equal(begun[name], trained[name][:2])
            fewer += 1
        else:
            np.testing.assert_array_equal(begun[name], trained[name])
            same += 1
    assert same > 10 and fewer >= 2


@pytest.mark.parametrize(
    "changes, says",
    [
        (("features.shared_dim = 6",), "the trained model is another one"),
        (("episodes.n_way = 4",), "the trained model is another one"),
        (("transformer.attention = 'sigmoid'",), "transformer.attention = 'softmax' and not 'sigmoid'"),
        (("training.shared_features_from = 'runs/a'",), "brings shared features too"),
    ],
)
def test_a_model_that_does_not_suit_is_refused(six_steps, tmp_path, changes, says):
    gin_file = write_gin(tmp_path / "other.gin", f"training.model_from = '{six_steps}'", *changes)
    with pytest.raises(UserError, match=says):
        train_here(gin_file, tmp_path / "other")


def test_a_run_may_begin_with_a_preset_of_the_package():
    settings = load_experiment("presets/omniglot.gin").effective()
    checkpoint = pre_trained(TrainingConfig(model_from="omniglot"), MINE, settings)
    assert any(name.endswith("/label_embeddings") for name in checkpoint.arrays)
    assert all(name.startswith("model/") for name in checkpoint.arrays)


def test_a_preset_that_is_not_the_one_its_card_names_is_refused(tmp_path):
    preset = save_small_preset(tmp_path / "preset")
    with open(tmp_path / "preset" / "model.safetensors", "r+b") as file:
        file.seek(-4, 2)
        file.write(b"\1\2\3\4")
    with pytest.raises(UserError, match="not the file its card names"):
        pre_trained(TrainingConfig(model_from=preset), MINE, MY_SETTINGS)
