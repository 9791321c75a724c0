"""What measuring a model counts, and over which episodes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from layer_checks import randomise
from numpy_reference import value
from small_runs import TINY, experiment_of, glyphs

from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation import protocol
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.runs.restore import build_model

CLASSES, SAMPLES = 60, 8
EPISODES = 10


class NearestMean:
    """Stands for a model: a support image 'generates' its mean brightness, a query gets the nearest one's label."""

    def generate(self, images, labels, n_way):
        return tf.reduce_mean(tf.cast(images, tf.float32), (2, 3, 4)), tf.one_hot(labels, 2)

    def classify(self, images, weights):
        means, targets = weights
        queries = tf.reduce_mean(tf.cast(images, tf.float32), (2, 3, 4))
        return tf.matmul(-tf.abs(queries[..., None] - means[:, None]), targets)


@pytest.fixture(scope="module")
def images() -> ImagesByClass:
    """Every image has the number of its class in its first pixel; the others are noise, brighter for some classes."""
    numbers = np.repeat(np.arange(CLASSES), SAMPLES)
    stream = np.random.default_rng(0)
    brightness = numbers + stream.integers(0, 40, len(numbers))
    pixels = stream.integers(0, 120, (len(numbers), 28, 28, 1)) + brightness[:, None, None, None]
    pixels[:, 0, 0, 0] = numbers
    order = np.random.default_rng(1).permutation(CLASSES).astype(np.int64)
    splits = {"train": order[:30], "validation": order[30:40], "test": order[40:]}
    names = tuple(map(str, range(CLASSES)))
    return ImagesByClass("numbered", pixels.astype(np.uint8), offsets_of([SAMPLES] * CLASSES), names, splits)


@pytest.fixture(scope="module")
def experiment():
    # Evaluation must not turn images, whatever training does.
    return experiment_of("augmentation.rotate_by_90 = True", "image_augmentation.enabled = True", settings=TINY)


@pytest.fixture(scope="module")
def sampler(experiment, images):
    return experiment.evaluation_sampler(images, "test")


@pytest.fixture(scope="module")
def sampler_of_fives(experiment, images):
    """Ten queries an episode, five of each class."""
    episodes = dataclasses.replace(experiment.episodes, queries_per_class=5)
    return dataclasses.replace(experiment, episodes=episodes).evaluation_sampler(images, "test")


@pytest.fixture(scope="module")
def model(experiment):
    return randomise(build_model(experiment, glyphs()))


def _right_answers(sampler, query_batches):
    """Accuracy of NearestMean in each episode, image by image."""
    results = []
    for index in range(EPISODES):
        episode = sampler.episode(index)
        batches, labels = sampler.query_batches(index, query_batches)
        means = episode.support_images.mean((1, 2, 3))
        nearest = np.abs(batches.mean((2, 3, 4))[..., None] - means).argmin(-1)
        results.append((episode.support_labels[nearest] == labels).mean())
    return results


@pytest.mark.parametrize("query_batches", [1, 3])
def test_accuracy_counts_right_answers_over_episodes_and_query_batches(sampler, query_batches):
    accuracy = Evaluator(NearestMean(), compile=False).measure(sampler, EPISODES, query_batches)
    results = _right_answers(sampler, query_batches)
    assert 0 < np.mean(results) < 1
    assert accuracy.mean == pytest.approx(np.mean(results), abs=1e-6)
    assert accuracy.interval_95 == pytest.approx(1.96 * np.std(results, ddof=1) / EPISODES**0.5, rel=1e-5)
    assert accuracy.episodes == EPISODES


def test_more_query_batches_ask_about_other_queries(sampler):
    assert _right_answers(sampler, 1) != _right_answers(sampler, 3)


@pytest.mark.parametrize("at_once", [1, 3, 4, 10, 64])
def test_how_many_episodes_are_measured_at_once_changes_nothing(sampler, monkeypatch, at_once):
    monkeypatch.setattr(protocol, "EPISODES_AT_ONCE", at_once)
    accuracy = Evaluator(NearestMean(), compile=False).measure(sampler, EPISODES, 2)
    results = _right_answers(sampler, 2)
    assert accuracy.episodes == EPISODES
    assert accuracy.mean == pytest.approx(np.mean(results), abs=1e-6)


def test_large_images_are_measured_fewer_at_once(sampler, monkeypatch):
    size, shapes = sampler.episode(0).query_images.nbytes, []
    monkeypatch.setattr(protocol, "QUERY_BYTES_AT_ONCE", 2 * 3 * size)

    class Watched(NearestMean):
        def classify(self, images, weights):
            shapes.append(images.shape[0])
            return super().classify(images, weights)

    accuracy = Evaluator(Watched(), compile=False).measure(sampler, EPISODES, 2)
    assert set(shapes) == {3}
    assert accuracy.mean == pytest.approx(np.mean(_right_answers(sampler, 2)), abs=1e-6)


@pytest.mark.parametrize("episodes, query_batches", [(1, 1), (0, 1), (4, 0)])
def test_too_little_to_measure_is_refused(sampler, episodes, query_batches):
    with pytest.raises(UserError, match="at least"):
        Evaluator(NearestMean(), compile=False).measure(sampler, episodes, query_batches)


def test_the_answers_are_those_of_the_model_for_each_episode_alone(model, sampler):
    accuracy = Evaluator(model, compile=False).measure(sampler, EPISODES, 2)
    results = []
    for index in range(EPISODES):
        episode = sampler.episode(index)
        weights = model.generate(episode.support_images, episode.support_labels)
        for images, labels in zip(*sampler.query_batches(index, 2)):
            results.append((np.asarray(model.classify(images, weights)).argmax(-1) == labels).mean())
    assert accuracy.mean == pytest.approx(np.mean(results), abs=1e-6)


def test_measuring_changes_no_variable_and_sees_variables_that_changed(model, sampler):
    evaluator = Evaluator(model, compile=False)
    before = {name: value(variable) for name, variable in model.named_variables().items()}
    first = evaluator.measure(sampler, EPISODES)
    assert evaluator.measure(sampler, EPISODES) == first
    for name, variable in model.named_variables().items():
        np.testing.assert_array_equal(value(variable), before[name])
    found = {first.mean}
    for seed in range(1, 6):
        randomise(model, seed)
        found.add(evaluator.measure(sampler, EPISODES).mean)
    assert len(found) > 1


@pytest.mark.parametrize("split", ["validation", "test"])
def test_measured_classes_are_those_of_the_split_and_none_of_training(experiment, images, split):
    sampler, drawn = experiment.evaluation_sampler(images, split), set()
    for index in range(200):
        drawn |= set(sampler.episode(index).support_images[:, 0, 0, 0].tolist())
        drawn |= set(sampler.query_batches(index, 2)[0][:, :, 0, 0, 0].ravel().tolist())
    assert drawn == set(images.splits[split].tolist())
    assert not drawn & set(images.splits["train"].tolist())


def test_measured_images_are_not_augmented(experiment, images, sampler):
    known = {image.tobytes() for image in images.images}
    episode = sampler.episode(0)
    assert all(image.tobytes() in known for image in np.concatenate([episode.support_images, episode.query_images]))
    trained = experiment.training_sampler(images).episode(0)
    assert not all(image.tobytes() in known for image in trained.support_images)


def test_pictures_asked_in_parts_are_all_counted(sampler_of_fives):
    """A model whose answers do not depend on the other queries scores the same however it is asked."""
    together = Evaluator(NearestMean(), compile=False).measure(sampler_of_fives, EPISODES)
    for asked in ("alone", "in_fives", "by_class"):
        in_parts = Evaluator(NearestMean(), compile=False).measure(sampler_of_fives, EPISODES, asked=asked)
        assert in_parts.mean == pytest.approx(together.mean, abs=1e-6)


def _asked(sampler, how):
    """Class numbers of the pictures that were asked about at once: a list of (T, pictures)."""
    seen = []

    class Watched(NearestMean):
        def classify(self, images, weights):
            seen.append(np.array(images)[..., 0, 0, 0])
            return super().classify(images, weights)

    evaluator = Evaluator(Watched(), compile=False)
    evaluator._correct = evaluator._count_correct  # eagerly, to see the pictures
    evaluator.measure(sampler, EPISODES, asked=how)
    return seen


def test_by_class_asks_about_one_class_at_a_time(sampler):
    assert all((numbers == numbers[:, :1]).all() for numbers in _asked(sampler, "by_class"))


def test_in_fives_asks_about_five_pictures_from_all_over_the_query_set(sampler_of_fives):
    seen = _asked(sampler_of_fives, "in_fives")
    assert {numbers.shape[1] for numbers in seen} == {5}
    assert all(len(set(of_episode)) == 2 for numbers in seen for of_episode in numbers.tolist())


def test_queries_that_are_not_made_of_fives_are_refused(sampler):
    with pytest.raises(UserError, match="4 queries are not made of fives; change queries_per_class"):
        Evaluator(NearestMean(), compile=False).measure(sampler, EPISODES, asked="in_fives")


def test_another_way_of_asking_is_refused(sampler):
    with pytest.raises(UserError, match="asked = 'twice' is not known"):
        Evaluator(NearestMean(), compile=False).measure(sampler, EPISODES, asked="twice")
