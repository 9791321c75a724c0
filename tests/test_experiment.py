"""An experiment is read from gin once; what is made afterwards does not see it."""

import pytest
from small_runs import TINY, noise

from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment, load_experiment


def test_what_is_made_after_an_experiment_has_the_dataclasses_defaults():
    experiment = load_experiment(None, [*TINY, "augmentation.rotate_by_90 = True"])
    assert experiment.cnn.channels == 2 and experiment.augmentation.rotate_by_90
    assert CnnConfig().channels == 8 and not AugmentationConfig().rotate_by_90
    assert not experiment.evaluation_sampler(noise(4, 4), "train")._augmentation.rotate_by_90


def test_nor_after_one_that_was_refused():
    with pytest.raises(UserError, match="episodes.n_way = 1"):
        load_experiment(None, [*TINY, "episodes.n_way = 1"])
    assert Experiment.from_configuration().cnn == CnnConfig() == CnnConfig(channels=8)


def test_its_text_still_repeats_it(tmp_path):
    experiment = load_experiment(None, TINY)
    (tmp_path / "kept.gin").write_text(experiment.text())
    assert load_experiment(str(tmp_path / "kept.gin")) == experiment
