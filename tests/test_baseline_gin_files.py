"""The gin files of the baselines: each builds its method and takes a step."""

import numpy as np
import pytest
import tensorflow as tf
from small_runs import ROOT, as_floats, noise, own_configuration

from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.training.build import build_training

METHODS = {"prototypical": "prototypical", "maml": "maml", "maml_first_order": "maml", "maml_plus_plus": "maml"}
METHODS["rfs"] = "rfs"
SETS = ("omniglot", "cifar_fs")
NOT_TRAINED = ("omniglot_oracle", "omniglot_pixels", "cifar_fs_pixels")  # tests/test_oracle.py, tests/test_pixels.py
PUBLISHED = {"omniglot_20way_prototypical": "prototypical", "omniglot_5way_maml": "maml"}  # with their papers' channels
FILES = sorted(path.name for path in (ROOT / "gin" / "baselines").glob("*.gin") if path.stem not in SETS + NOT_TRAINED)


def _load(name, *bindings, folder="baselines"):
    with own_configuration():
        return load_experiment(str(ROOT / "gin" / folder / name), bindings)


@pytest.fixture
def eagerly():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("file", FILES)
def test_a_file_trains_the_method_of_its_name(file, eagerly):
    data_set = next(each for each in SETS if file.startswith(each))
    method = METHODS[file.removeprefix(f"{data_set}_").removesuffix(".gin")]
    _check_that_it_trains(method, file)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_with_a_papers_channels_trains_its_method(name, eagerly):
    assert {path.stem for path in (ROOT / "gin" / "published_baselines").iterdir()} == set(PUBLISHED)
    _check_that_it_trains(PUBLISHED[name], f"{name}.gin", folder="published_baselines")


def test_the_papers_settings_are_those_of_the_papers():
    prototypical, maml = (_load(f"{name}.gin", folder="published_baselines") for name in PUBLISHED)
    assert (prototypical.cnn.channels, prototypical.episodes.n_way, prototypical.episodes.k_shot) == (64, 20, 1)
    assert (maml.cnn.channels, maml.episodes.n_way, maml.episodes.k_shot) == (64, 5, 1)
    assert (maml.maml.inner_steps, maml.maml.inner_learning_rate, maml.maml.evaluation_steps) == (1, 0.4, 3)
    assert maml.maml.second_order and not maml.maml.learn_inner_rates and maml.optimizer.learning_rate == 0.001


def _check_that_it_trains(method, file, **place):
    small = ("training.compile = False", "training.task_batch = 1", "training.groups = 1")
    experiment = _load(file, *small, "episodes.queries_per_class = 1", "cnn.channels = 2", **place)
    assert experiment.method.name == method
    episodes, side = experiment.episodes, experiment.data.image_size
    images = noise(episodes.n_way, episodes.samples_per_class, (side, side, experiment.data.channels))
    parts = build_training(experiment, images, "one_device")
    before = np.array(parts.update.vector)
    losses = as_floats(parts.step(experiment.training_sampler(images).task_batch(0, 1), 0))
    assert losses["total"] > 0 and np.isfinite(losses["total"])
    assert np.isfinite(parts.update.vector).all() and (np.array(parts.update.vector) != before).any()


@pytest.mark.parametrize("data_set", SETS)
def test_the_files_of_a_set_differ_in_nothing_but_the_method(data_set):
    def without_method(file):
        kept = {name: values for name, values in _load(file).effective().items() if name not in ("method", "maml")}
        kept["optimizer"].pop("learning_rate")  # of MAML on Omniglot its own
        return kept

    files = [file for file in FILES if file.startswith(data_set)]
    assert len(files) >= 4
    first, *others = (without_method(file) for file in files if "rfs" not in file)
    assert all(other == first for other in others)
    rfs = without_method(f"{data_set}_rfs.gin")
    rfs["training"]["compile"], rfs["augmentation"]["rotate_by_90"] = True, first["augmentation"]["rotate_by_90"]
    assert rfs == first
