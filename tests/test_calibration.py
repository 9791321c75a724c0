"""Temperature and threshold come from the support set alone."""

import numpy as np
import pytest
from small_classifier import drawings, make_inductive_model

from hypertransformer_tf.deployment import calibration
from hypertransformer_tf.deployment.calibration import (
    COPIES,
    LEAVE_ONE_OUT,
    HeldOut,
    ask_about_support,
    calibrate,
    calibration_from,
    expected_calibration_error,
    softmax,
)
from hypertransformer_tf.deployment.resemblance import class_means, resemblance_to_classes


@pytest.fixture(scope="module")
def model():
    return make_inductive_model()


def _support(samples, classes=3):
    images, labels = drawings(classes, samples)
    return images[..., np.newaxis], labels.astype(np.int32)


def _random_answers(overconfidence, count=20_000, n_way=5):
    """Logits that are `overconfidence` times too large for labels drawn from their probabilities."""
    stream = np.random.default_rng(0)
    logits = stream.normal(scale=2.0, size=(count, n_way))
    cumulated = softmax(logits).cumsum(1)
    labels = (stream.random((count, 1)) > cumulated).sum(1)
    return HeldOut(logits * overconfidence, softmax(logits), labels, LEAVE_ONE_OUT)


def test_a_left_out_picture_is_asked_about_by_a_classifier_that_never_saw_it(model):
    images, labels = _support(3)
    held_out = ask_about_support(model, images, labels, 3)
    assert held_out.method == LEAVE_ONE_OUT and sorted(held_out.labels) == sorted(labels)
    asked = list(calibration._places_to_leave_out(labels, 3))
    for row, place in enumerate(asked):
        rest = np.delete(np.arange(9), place)
        weights = model.generate(images[rest], labels[rest], n_way=3)
        expected = np.asarray(model.classify(images[[place]], weights))[0]
        np.testing.assert_allclose(held_out.logits[row], expected, atol=1e-4)
        means = class_means(np.asarray(model.features(images[rest], weights)), labels[rest], 3)
        features = np.asarray(model.features(images[[place]], weights))
        np.testing.assert_allclose(held_out.resemblance[row], resemblance_to_classes(features, means)[0], atol=1e-4)


def test_only_pictures_whose_class_has_another_are_left_out(model):
    images, labels = _support(2)
    keep = [0, 1, 2, 3, 4]  # class 2 keeps one
    unlabelled = np.append(labels[keep], -1).astype(np.int32)
    held_out = ask_about_support(model, images, unlabelled, 3)
    assert sorted(held_out.labels) == [0, 0, 1, 1] and held_out.logits.shape == (4, 3)


def test_of_many_pictures_an_even_choice_is_left_out(monkeypatch):
    monkeypatch.setattr(calibration, "_FEWEST_ASKED", 10)
    monkeypatch.setattr(calibration, "_SAMPLES_IN_ALL", 1)
    labels = np.repeat([0, 1, 2], [50, 7, 3])
    chosen = calibration._places_to_leave_out(labels, 3)
    assert np.bincount(labels[chosen]).tolist() == [4, 3, 3] and len(set(chosen)) == 10


def test_with_one_picture_a_class_moved_copies_are_asked_about(model):
    images, labels = _support(1)
    held_out = ask_about_support(model, images, labels, 3)
    assert held_out.method == COPIES and held_out.labels.tolist() == np.repeat(labels, 4).tolist()
    found = calibration_from(held_out)
    assert found.leave_one_out() is None and found.temperature >= 1.0


def test_copies_never_make_a_classifier_surer_and_leave_the_threshold_room():
    sure = np.eye(4)[[0, 1, 2, 3] * 4] * 6.0
    labels = np.array([0, 1, 2, 3] * 4)
    resemblance = np.where(np.eye(4)[labels] > 0, 0.9, 0.3)
    by_copies, left_out = (
        calibration_from(HeldOut(sure, resemblance, labels, method)) for method in (COPIES, LEAVE_ONE_OUT)
    )
    assert by_copies.temperature == pytest.approx(1.0) and left_out.temperature < 1.0
    assert left_out.threshold == pytest.approx(0.6)
    assert 0.3 < by_copies.threshold < left_out.threshold


@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_overconfidence(overconfidence):
    found = calibration_from(_random_answers(overconfidence))
    assert found.temperature == pytest.approx(overconfidence, rel=0.03)
    assert found.error_after < 0.015
    assert overconfidence == 1.0 or found.error_before > 0.1


def test_few_pictures_hardly_change_the_temperature():
    few = HeldOut(np.eye(2)[[0, 1]] * 1.0, np.eye(2)[[0, 1]], np.array([0, 1]), LEAVE_ONE_OUT)
    assert 0.5 < calibration_from(few).temperature < 1.0
    many = HeldOut(*(np.repeat(each, 200, 0) for each in few[:3]), LEAVE_ONE_OUT)
    assert calibration_from(many).temperature < 0.3


def test_the_threshold_tells_known_pictures_from_those_of_other_classes():
    stream, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 100)
    resemblance = stream.uniform(0.0, 0.4, (300, 3))
    resemblance[np.arange(300), labels] = stream.uniform(0.6, 1.0, 300)
    threshold = calibration_from(HeldOut(resemblance, resemblance, labels, LEAVE_ONE_OUT)).threshold
    assert 0.4 < threshold < 0.6


def test_calibration_error_is_the_gap_between_sureness_and_accuracy():
    probabilities = np.array([[0.8, 0.2]] * 10)
    assert expected_calibration_error(probabilities, np.array([0] * 8 + [1] * 2)) == pytest.approx(0.0)
    assert expected_calibration_error(probabilities, np.array([1] * 10)) == pytest.approx(0.8)
    two_bins = np.array([[0.95, 0.05]] * 10 + [[0.55, 0.45]] * 10)
    assert expected_calibration_error(two_bins, np.array([0] * 10 + [1] * 10)) == pytest.approx(0.3)


def test_what_a_card_says_of_it(model):
    found = calibrate(model, *_support(2), 3)
    assert found.leave_one_out() == {"accuracy": found.accuracy, "n": 6}
    assert set(found.to_dict()) >= {"expected_calibration_error_before", "expected_calibration_error_after"}
