"""Comparing exported answers with the model's: what passes and what does not."""

import numpy as np
import pytest

from hypertransformer_tf.deployment.agreement import Reference, agreement, approximation
from hypertransformer_tf.deployment.calibration import softmax
from hypertransformer_tf.errors import SaveError

LOGITS = np.random.default_rng(0).normal(scale=5.0, size=(30, 4))
REFERENCE = Reference(np.zeros((30, 1, 1, 1), np.uint8), LOGITS.argmax(1), LOGITS, temperature=2.0)


def test_equal_answers_agree_and_the_differences_are_measured():
    exact = agreement("classifier.onnx", REFERENCE.probabilities, REFERENCE)
    assert exact == {"pictures": 30, "largest_difference_of_probabilities": 0, "largest_difference_of_logits": 0}
    moved = LOGITS.copy()
    moved[3, 1] += 1e-4
    near = agreement("classifier.onnx", softmax(moved / 2.0), REFERENCE)
    # A logit that moves takes a part of the mean, which the comparison is about, with it.
    assert near["largest_difference_of_logits"] == pytest.approx(0.75 * 1e-4, rel=1e-3)
    assert 0 < near["largest_difference_of_probabilities"] < 1e-4


def test_the_bar_is_the_same_for_large_logits():
    large = Reference(REFERENCE.pictures, REFERENCE.labels, 3 * LOGITS, 10.0)
    moved = 3 * LOGITS
    moved[3, 1] += 2e-4
    assert np.abs(large.logits).max() > 20
    with pytest.raises(SaveError, match="logits by 0.00015"):
        agreement("classifier.onnx", softmax(moved / 10.0), large)


def test_a_logit_that_is_off_is_refused_even_where_probabilities_hardly_change():
    moved = LOGITS.copy()
    moved[0, LOGITS[0].argmin()] -= 0.5
    moved[0] -= 40 * (np.arange(4) != LOGITS[0].argmax())
    reference = Reference(REFERENCE.pictures, REFERENCE.labels, moved.copy(), 2.0)
    moved[0, LOGITS[0].argmin()] += 0.5
    assert np.abs(softmax(moved / 2) - reference.probabilities).max() < 1e-6
    with pytest.raises(SaveError, match="classifier.onnx .*logits"):
        agreement("classifier.onnx", softmax(moved / 2), reference)


@pytest.mark.parametrize("wrong", [softmax(LOGITS), np.full((30, 4), np.nan), np.full((30, 3), 1 / 3)])
def test_other_answers_are_refused(wrong):
    with pytest.raises(SaveError, match="gives other answers than the model"):
        agreement("classifier.tflite", wrong, REFERENCE)


def test_probabilities_that_float32_cannot_hold_are_left_out_of_the_comparison_of_logits():
    logits = np.array([[0.0, -500.0, 1.0]])
    reference = Reference(np.zeros((1, 1, 1, 1), np.uint8), np.array([2]), logits, 1.0)
    agreement("classifier.keras", softmax(logits).astype(np.float32), reference)


def test_an_approximation_tells_what_it_costs():
    other = REFERENCE.probabilities[:, ::-1].copy()
    measured = approximation(np.concatenate([REFERENCE.probabilities[:15], other[15:]]), REFERENCE)
    assert measured["accuracy_float32"] == 1 and measured["accuracy"] == measured["same_class"] == 0.5
    assert measured["accuracy_change"] == -0.5
    unlabelled = Reference(REFERENCE.pictures, np.full(30, -1), LOGITS, 2.0)
    assert approximation(REFERENCE.probabilities, unlabelled)["accuracy"] is None
