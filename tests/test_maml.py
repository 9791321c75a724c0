"""MAML: its inner loop and its outer gradient against NumPy, where a gradient is a finite difference."""

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from layer_checks import tensorflow_variable
from small_baselines import (
    AVERAGING,
    BATCH,
    CNN,
    LABELS,
    QUERY,
    QUERY_LABELS,
    SUPPORT,
    cross_entropy,
    feature_vectors,
    make_baseline,
)

from hypertransformer_tf.baselines.maml import adapted, multi_step_weights
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.training.config import LossConfig
from hypertransformer_tf.training.losses import task_batch_losses

RATE, EPSILON = 0.3, 1e-5


def _maml(cnn=AVERAGING, inner_steps=1, **settings):
    return make_baseline("maml", cnn, inner_steps=inner_steps, inner_learning_rate=RATE, **settings)


def _initial(model):
    """What is adapted, as one float64 vector: kernels of the convolutions, kernel and bias of the logits layer."""
    variables = [layer.kernel for layer in model.convolutions.trained] + [model.logits.kernel, model.logits.bias]
    return np.concatenate([reference.value(variable).ravel() for variable in variables])


def _logits(model, vector, images):
    shapes = [layer.kernel_shape for layer in model.convolutions.trained]
    shapes += [tuple(model.logits.kernel.shape), tuple(model.logits.bias.shape)]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    *kernels, kernel, bias = [part.reshape(shape) for part, shape in zip(np.split(vector, ends), shapes)]
    return feature_vectors(model, images, kernels) @ kernel + bias


def _gradient(loss, vector):
    steps = EPSILON * np.eye(len(vector))
    return np.array([(loss(vector + step) - loss(vector - step)) / (2 * EPSILON) for step in steps])


def _adapt(model, vector, episode, steps=1):
    """Gradient descent on the support set, by hand."""
    for _ in range(steps):
        loss = lambda v: cross_entropy(_logits(model, v, SUPPORT[episode]), LABELS[episode])  # noqa: E731
        vector = vector - RATE * _gradient(loss, vector)
    return vector


def _query_loss(model, vector, episode):
    return cross_entropy(_logits(model, vector, QUERY[episode]), QUERY_LABELS[episode])


def _outer_gradient(model):
    with tf.GradientTape() as tape:
        total = task_batch_losses(model, BATCH, LossConfig(), tf.constant(0)).total
    variables = [layer.kernel for layer in model.convolutions.trained] + [model.logits.kernel, model.logits.bias]
    gradients = tape.gradient(total, [tensorflow_variable(variable) for variable in variables])
    return np.concatenate([np.array(gradient).ravel() for gradient in gradients])


@pytest.mark.parametrize("steps", [1, 2])
def test_the_inner_loop_is_gradient_descent_on_each_episodes_own_support_set(steps):
    model = _maml(inner_steps=steps)
    learned = model.generate(SUPPORT, LABELS)
    for episode in range(len(SUPPORT)):
        ours = np.concatenate([np.array(tensor[episode]).ravel() for tensor in adapted(learned)])
        expected = _adapt(model, _initial(model), episode, steps)
        assert np.abs(expected - _initial(model)).max() > 0.01
        np.testing.assert_allclose(ours, expected, atol=2e-4)


@pytest.mark.parametrize("cnn", [CNN, AVERAGING], ids=["max-pool", "strided"])
def test_the_cnn_that_answers_is_the_adapted_one(cnn):
    model = _maml(cnn)
    logits = model.classify(QUERY, model.generate(SUPPORT, LABELS))
    expected = _logits(model, _adapt(model, _initial(model), 1), QUERY[1])
    np.testing.assert_allclose(logits[1], expected, atol=2e-3)


def test_scale_and_offset_of_the_normalisation_are_not_adapted():
    model = _maml()
    for layer, trained in zip(model.generate(SUPPORT, LABELS).convolutions, model.convolutions.trained):
        np.testing.assert_array_equal(layer.gamma[0], tf.convert_to_tensor(trained.gamma))
        np.testing.assert_array_equal(layer.beta[0], tf.convert_to_tensor(trained.beta))


@pytest.mark.parametrize("cnn", [CNN, AVERAGING], ids=["max-pool", "strided"])
@pytest.mark.slow
def test_the_second_order_gradient_is_the_slope_of_the_loss_after_adapting(cnn):
    model = _maml(cnn)
    start, direction = _initial(model), np.random.default_rng(0).normal(size=_initial(model).size)
    direction /= np.linalg.norm(direction)

    def after(distance):
        moved = start + distance * direction
        losses = [_query_loss(model, _adapt(model, moved, episode), episode) for episode in range(len(SUPPORT))]
        return np.mean(losses)

    slope = (after(1e-4) - after(-1e-4)) / 2e-4
    ours, first_order = (_outer_gradient(_maml(cnn, second_order=second)) @ direction for second in (True, False))
    assert ours == pytest.approx(slope, rel=0.02, abs=1e-3)
    assert abs(first_order - slope) > 10 * abs(ours - slope)


def test_the_first_order_gradient_is_that_of_the_query_loss_at_the_adapted_weights():
    model = _maml(second_order=False)
    expected = np.zeros_like(_initial(model))
    for episode in range(len(SUPPORT)):
        loss = lambda v: _query_loss(model, v, episode) / len(SUPPORT)  # noqa: B023, E731
        expected += _gradient(loss, _adapt(model, _initial(model), episode))
    np.testing.assert_allclose(_outer_gradient(model), expected, atol=1e-3 * np.abs(expected).max())


# --- MAML++ -----------------------------------------------------------------------------------------------------------


def test_the_loss_counts_every_inner_step_at_first_and_the_last_alone_in_the_end():
    model = _maml(inner_steps=2, multi_step_loss_steps=10)
    after = [_maml(inner_steps=steps) for steps in (1, 2)]
    first, last = (float(task_batch_losses(each, BATCH, LossConfig(), tf.constant(0)).total) for each in after)
    for step, expected in ((0, (first + last) / 2), (5, first / 4 + last * 3 / 4), (10, last), (99, last)):
        losses = task_batch_losses(model, BATCH, LossConfig(), tf.constant(step))
        assert float(losses.total) == pytest.approx(expected, rel=1e-4)
        assert float(losses.cross_entropy) == pytest.approx(last, rel=1e-4)


def test_weights_of_the_steps_add_up_to_one():
    for step in (0, 3, 10, 20):
        assert float(tf.reduce_sum(multi_step_weights(tf.constant(step), 10, 5))) == pytest.approx(1)


def test_learned_rates_begin_as_the_given_one_and_each_rules_its_step_and_layer():
    model = make_baseline("maml", AVERAGING, inner_steps=2, learn_inner_rates=True)
    assert tuple(model.inner_rates.rates.shape) == (2, 4)  # three convolutions and the logits layer
    model.inner_rates.rates.assign(np.full((2, 4), RATE))
    both = model.classify(QUERY, model.generate(SUPPORT, LABELS))
    np.testing.assert_allclose(both, _answers(_maml(inner_steps=2)), rtol=1e-4, atol=1e-5)
    model.inner_rates.rates.assign(np.array([[RATE] * 4, [0.0] * 4]))
    np.testing.assert_allclose(_answers(model), _answers(_maml(inner_steps=1)), rtol=1e-4, atol=1e-5)
    model.inner_rates.rates.assign(np.array([[0.0, RATE, 0.0, 0.0], [0.0] * 4]))
    changed = [np.ptp(np.array(tensor), axis=0).max() > 0 for tensor in adapted(model.generate(SUPPORT, LABELS))]
    assert changed == [False, True, False, False, False]


def _answers(model):
    return model.classify(QUERY, model.generate(SUPPORT, LABELS))


def test_rates_are_learned():
    model = _maml(inner_steps=2, learn_inner_rates=True)
    with tf.GradientTape() as tape:
        total = task_batch_losses(model, BATCH, LossConfig(), tf.constant(0)).total
    gradient = np.array(tape.gradient(total, tensorflow_variable(model.inner_rates.rates)))
    assert (gradient != 0).all()


# --- measuring --------------------------------------------------------------------------------------------------------


def test_more_steps_can_be_taken_while_measuring_than_while_training():
    np.testing.assert_array_equal(_answers(_maml(inner_steps=1, evaluation_steps=2)), _answers(_maml(inner_steps=2)))
    losses = [
        task_batch_losses(_maml(inner_steps=1, **more), BATCH, LossConfig(), tf.constant(0)).total
        for more in ({}, {"evaluation_steps": 2})
    ]
    assert float(losses[0]) == float(losses[1])


def test_learned_rates_leave_no_more_steps_to_take():
    with pytest.raises(UserError, match="maml.evaluation_steps = 3"):
        _maml(inner_steps=2, evaluation_steps=3, learn_inner_rates=True)
