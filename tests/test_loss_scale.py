"""Dynamic loss scaling: a step whose gradient overflows is skipped, and the scale follows."""

import numpy as np
import pytest
import tensorflow as tf

from hypertransformer_tf.runs.state import optimizer_arrays, restore_optimizer
from hypertransformer_tf.training.config import OptimizerConfig
from hypertransformer_tf.training.flat_update import FlatUpdate
from hypertransformer_tf.training.loss_scale import LossScale
from hypertransformer_tf.training.recipe import make_optimizer

BAD = (np.inf, -np.inf, np.nan)


def _update(average=0.0):
    optimizer = make_optimizer(OptimizerConfig(name="adam", learning_rate=0.1))
    return FlatUpdate([tf.Variable([1.0, 2.0, 3.0])], optimizer, average, loss_scale=LossScale()), optimizer


def _all(update, optimizer):
    return [update.vector.numpy(), *optimizer_arrays(optimizer).values()]


def _average(update):
    with update.averaged():
        return update._variables[0].numpy()


@pytest.mark.parametrize("bad", BAD)
def test_a_gradient_that_is_not_finite_changes_nothing_but_the_scale(bad):
    update, optimizer = _update(average=0.9)
    apply = tf.function(update.apply)
    apply(tf.constant([1.0, -1.0, 0.5]))
    before, average = _all(update, optimizer), _average(update)
    apply(tf.constant([1.0, bad, 0.5]))
    for ours, theirs in zip(_all(update, optimizer), before):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(_average(update), average)
    assert float(update.loss_scale.scale) == 2.0**14 and int(update.loss_scale.finite_steps) == 0
    apply(tf.constant([1.0, -1.0, 0.5]))
    assert (update.vector.numpy() != before[0]).all()
    assert int(update.loss_scale.finite_steps) == 1


def test_the_scale_doubles_after_2000_finite_gradients_in_a_row():
    scale = LossScale()

    def scales(*used):
        history = []
        for each in used:
            scale.adjust(tf.constant(each))
            history.append(float(scale.scale) / 2.0**15)
        return history

    scale.finite_steps.assign(1_997)
    assert scales(True, True, False) == [1, 1, 0.5]
    scale.finite_steps.assign(scale.finite_steps + 1_998)
    assert scales(True, True, True) == [0.5, 1, 1]
    assert int(scale.finite_steps) == 1


def test_the_scale_stays_finite():
    scale = LossScale()
    scale.scale.assign(2.0**127)
    scale.finite_steps.assign(1_999)
    scale.adjust(tf.constant(True))
    assert float(scale.scale) == 2.0**127


def test_where_nothing_is_left_to_halve_the_gradient_is_applied_so_that_training_stops():
    update, _ = _update()
    update.loss_scale.scale.assign(2.0)
    update.apply(tf.constant([1.0, np.nan, 0.5]))
    assert np.isfinite(update.vector).all() and float(update.loss_scale.scale) == 1.0
    update.apply(tf.constant([1.0, np.nan, 0.5]))
    assert not np.isfinite(update.vector).all()


def test_the_gradient_is_that_of_the_loss_itself():
    scale, x = LossScale(), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        loss = scale.apply(x * x)
    assert float(loss) == 9.0 * 2.0**15
    assert float(scale.remove(tape.gradient(loss, x))) == 6.0


def test_a_restored_scale_goes_on():
    update, optimizer = _update()
    gradients = [np.array(each, np.float32) for each in ([1, 2, 3], [1, np.inf, 3], [3, 2, 1], [1, 1, np.nan])]
    for gradient in gradients[:2]:
        update.apply(tf.constant(gradient))
    state, saved, variables = update.state(), optimizer_arrays(optimizer), update._variables[0].numpy()
    again, other = _update()
    again._variables[0].assign(variables)
    restore_optimizer(other, saved)
    again.restore(state)
    for each in (update, again):
        for gradient in gradients[2:]:
            each.apply(tf.constant(gradient))
    for ours, theirs in zip(_all(again, other), _all(update, optimizer)):
        np.testing.assert_array_equal(ours, theirs)
    assert again.state()["update/loss_scale"].tolist() == update.state()["update/loss_scale"].tolist() == [2.0**13, 0]
