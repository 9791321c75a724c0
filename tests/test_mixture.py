"""Task batches of several sizes: one size per batch, drawn by its number, all of them seen."""

import dataclasses

import numpy as np
import pytest
import small_runs

from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.evaluate import evaluate
from hypertransformer_tf.training.train import train

MIXTURE = "episodes.mixture = ((2, 1), (3, 2))"


def sizes(sampler, numbers):
    return [sampler.task_batch(number * 2, 2).support_images.shape[1] for number in numbers]


@pytest.fixture
def mixed():
    from hypertransformer_tf.data.load import load_images
    from hypertransformer_tf.training.train import load_experiment

    experiment = load_experiment(None, [*small_runs.TINY, MIXTURE])
    return experiment.training_sampler(load_images(experiment.data))


def test_a_batch_has_one_size_and_all_sizes_come(mixed):
    assert set(sizes(mixed, range(12))) == {2, 6}


def test_a_batch_depends_on_its_number_alone(mixed):
    order = [5, 0, 3, 1]
    assert sizes(mixed, order) == [dict(zip(range(6), sizes(mixed, range(6))))[number] for number in order]
    np.testing.assert_array_equal(mixed.task_batch(6, 2).query_images, mixed.task_batch(6, 2).query_images)


@pytest.mark.slow
def test_a_model_trained_on_a_mixture_is_measured_at_any_of_its_sizes(tmp_path):
    train(None, [*small_runs.TINY, MIXTURE, "training.steps = 3"], run_dir=str(tmp_path / "run"))
    for n_way, k_shot in ((2, 1), (3, 2)):
        result = evaluate(str(tmp_path / "run"), "test", 4, 1, n_way=n_way, k_shot=k_shot)
        assert (result.n_way, result.k_shot) == (n_way, k_shot) and 0.0 <= result.accuracy <= 1.0
    with pytest.raises(UserError, match="4-way episodes: the model in .* tells 2 to 3 classes apart"):
        evaluate(str(tmp_path / "run"), "test", 4, 1, n_way=4)


@pytest.mark.parametrize("pairs", [5, (5, 1), ((5,),), ((1, 1),), ((5, 0),)])
def test_what_is_no_pair_of_sizes_is_refused(pairs):
    with pytest.raises(UserError, match="mixture"):
        EpisodeConfig(mixture=pairs)


def test_the_model_has_an_embedding_for_every_class_of_the_largest_size():
    assert EpisodeConfig(n_way=5, mixture=((5, 1), (20, 5))).most_classes == 20
    assert dataclasses.replace(EpisodeConfig(), n_way=7).most_classes == 7
