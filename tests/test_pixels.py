"""Nearest neighbour on pixels as a method, through a model's interface."""

import numpy as np
import pytest
import tensorflow as tf
from small_baselines import new_baseline
from small_model import LABELS, MASK, N_WAY, QUERY, SUPPORT
from small_runs import SMALL, experiment_of, own_configuration, write_gin

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.evaluate import evaluate
from hypertransformer_tf.training.train import train

SETTINGS = tuple(setting for setting in SMALL if not setting.startswith("optimizer."))
PIXELS = ("method.name = 'pixels'", "training.steps = 0", "evaluation.query_batches = 1")


def _distances(support, queries):
    support, queries = (each.reshape(len(each), -1).astype(np.float64) / 128.0 - 1.0 for each in (support, queries))
    return ((queries[:, None] - support[None]) ** 2).sum(-1)


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_a_logit_is_the_distance_of_the_classes_nearest_sample_that_counts(mask):
    model = new_baseline("pixels")
    logits = np.array(model.classify(QUERY, model.generate(SUPPORT, LABELS, mask)))
    for episode in range(len(SUPPORT)):
        counts = np.ones(len(LABELS[episode])) if mask is None else 1 - np.array(mask)[episode]
        distances = _distances(SUPPORT[episode], QUERY[episode])
        for label in range(N_WAY):
            of_class = (LABELS[episode] == label) & (counts > 0)
            wanted = -distances[:, of_class].min(1) if of_class.any() else np.full(len(QUERY[episode]), tf.float32.min)
            np.testing.assert_allclose(logits[episode, :, label], wanted, rtol=1e-4, atol=1e-3)


def test_an_episode_by_itself_is_what_it_is_in_a_task_batch():
    model = new_baseline("pixels")
    together = model.classify(QUERY, model.generate(SUPPORT, LABELS))
    alone = model.classify(QUERY[1], model.generate(SUPPORT[1], LABELS[1]))
    np.testing.assert_allclose(alone, together[1], rtol=1e-4, atol=1e-3)


def test_a_run_trains_nothing_and_can_be_measured_again(tmp_path):
    gin_file = write_gin(tmp_path / "pixels.gin", *PIXELS, "evaluation.episodes = 4", settings=SETTINGS)
    with own_configuration():
        result = train(gin_file, run_dir=str(tmp_path / "run"))
        again = evaluate(str(tmp_path / "run"), episodes=4, query_batches=1)
    assert result.test.episodes == 4 and again.accuracy == result.test.mean


def test_what_it_has_no_use_for_is_refused():
    with pytest.raises(UserError, match="training.steps = 6 would have no effect.*'pixels' is not meta-trained"):
        experiment_of("method.name = 'pixels'", settings=SETTINGS)
    with pytest.raises(UserError, match="oracle.steps = 3 would have no effect"):
        experiment_of(*PIXELS, "oracle.steps = 3", settings=SETTINGS)
