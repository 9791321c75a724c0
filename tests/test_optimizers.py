"""The optimisers of this stack are those of the papers: both stacks are held against one slow NumPy reference."""

import os
import subprocess
import sys

import keras
import numpy as np
import numpy_optimizers
import pytest
import tensorflow as tf
from small_runs import ROOT

from hypertransformer_tf import keras_stack
from hypertransformer_tf.training.config import DECAYING, LAYERWISE, OPTIMIZERS, SECOND_MOMENT, OptimizerConfig
from hypertransformer_tf.training.flat_update import FlatUpdate
from hypertransformer_tf.training.recipe import make_optimizer

STEPS, SHAPES = 12, ((3, 4), (5,), (), (2, 1, 3))
SETTINGS = {
    "plain": {},
    "decayed": {"weight_decay": 0.3},
    "clipped": {"clip_norm": 0.7},
    "scheduled, clipped and decayed": {
        "weight_decay": 0.3,
        "clip_norm": 2.0,
        "schedule": "exponential",
        "decay_steps": 4,
        "decay_rate": 0.5,
    },
}
addons_only = pytest.mark.skipif(not keras_stack.KERAS_2, reason="needs the stack with TensorFlow Addons")


def _values():
    stream = np.random.default_rng(0)
    values = [stream.normal(size=shape).astype(np.float32) for shape in SHAPES]
    return [*values, np.zeros(4, np.float32)]  # LAMB's ratio of norms has no meaning for the last


def _gradients():
    stream = np.random.default_rng(1)
    scales = 10.0 ** stream.uniform(-2, 1, size=STEPS)
    return [[stream.normal(scale=s, size=v.shape).astype(np.float32) for v in _values()] for s in scales]


def _settings(name, settings):
    settings = {key: value for key, value in settings.items() if name in DECAYING or key != "weight_decay"}
    return OptimizerConfig(name=name, learning_rate=0.02, beta_2=0.98, **settings)


def _rate(config):
    half = config.schedule == "exponential"
    return lambda step: config.learning_rate * (config.decay_rate ** (step / config.decay_steps) if half else 1.0)


def _reference(config):
    chosen = {name: getattr(config, name) for name in ("beta_2", "weight_decay", "clip_norm")}
    return numpy_optimizers.train(config.name, _values(), _gradients(), _rate(config), **chosen)


def _update(config, average=0.0):
    variables = [tf.Variable(value) for value in _values()]
    return variables, FlatUpdate(variables, make_optimizer(config), average, config.name in LAYERWISE)


def _assert_agree(variables, expected):
    for variable, wanted in zip(variables, expected):
        np.testing.assert_allclose(variable.numpy(), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_step_is_that_of_the_reference(name, settings):
    config = _settings(name, settings)
    variables, update = _update(config)
    expected = _reference(config)
    apply = tf.function(update.apply, autograph=False)
    for gradients, wanted in zip(_gradients(), expected):
        apply(update.flatten([tf.constant(gradient) for gradient in gradients]))
        _assert_agree(variables, wanted)
    assert min(np.abs(wanted - value).max() for wanted, value in zip(expected[-1], _values())) > 1e-3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_and_second_moment_change_those_that_are_said_to_have_them(name):
    def trained(**changes):
        variables, update = _update(OptimizerConfig(name=name, learning_rate=0.02, **changes))
        for gradients in _gradients()[:3]:
            update.apply(update.flatten([tf.constant(gradient) for gradient in gradients]))
        return np.concatenate([variable.numpy().ravel() for variable in variables])

    plain = trained()
    assert (trained(weight_decay=0.3) != plain).any() == (name in DECAYING)
    assert (trained(beta_2=0.9) != plain).any() == (name in SECOND_MOMENT)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_average_is_that_of_the_reference(name):
    config = _settings(name, SETTINGS["scheduled, clipped and decayed"])
    variables, update = _update(config, average=0.4)
    after = _reference(config)
    for gradients in _gradients():
        update.apply(update.flatten([tf.constant(gradient) for gradient in gradients]))
    _assert_agree(variables, after[-1])
    with update.averaged():
        _assert_agree(variables, numpy_optimizers.averages(_values(), after, 0.4))
    _assert_agree(variables, after[-1])


@pytest.mark.slow
def test_every_device_holds_what_the_reference_does(tmp_path):
    """Variables and averages of two virtual devices, which need a process of their own."""
    program = """
import sys
import numpy as np
import tensorflow as tf
from test_optimizers import _gradients, _settings, _update, SETTINGS
from hypertransformer_tf.training.config import OPTIMIZERS
from hypertransformer_tf.training.strategy import make_strategy
strategy, held = make_strategy("mirrored"), {}
assert strategy.num_replicas_in_sync == 2
for name in OPTIMIZERS:
    with strategy.scope():
        variables, update = _update(_settings(name, SETTINGS["scheduled, clipped and decayed"]), average=0.4)
    apply = tf.function(update.apply, autograph=False)
    for gradients in _gradients():
        apply(update.flatten([tf.constant(gradient) for gradient in gradients]))
    def keep(kind):
        for index, variable in enumerate(variables):
            for device, value in enumerate(strategy.experimental_local_results(variable)):
                held[f"{name}/{kind}/{device}/{index}"] = value.numpy()
    keep("trained")
    with update.averaged():
        keep("average")
np.savez(sys.argv[1], **held)
"""
    path = os.pathsep.join(str(folder) for folder in (ROOT, ROOT / "tests"))
    environment = {**os.environ, "HT_VIRTUAL_DEVICES": "2", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": path}
    command = [sys.executable, "-c", program, tmp_path / "held.npz"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    held = np.load(tmp_path / "held.npz")
    for name in OPTIMIZERS:
        after = _reference(_settings(name, SETTINGS["scheduled, clipped and decayed"]))
        expected = {"trained": after[-1], "average": numpy_optimizers.averages(_values(), after, 0.4)}
        for kind, values in expected.items():
            for device in range(2):
                for index, wanted in enumerate(values):
                    found = held[f"{name}/{kind}/{device}/{index}"]
                    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5, err_msg=f"{name} {kind} {device}")


@pytest.mark.parametrize("settings", [{}, {"schedule": "exponential", "decay_steps": 4, "decay_rate": 0.5}])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_a_checkpoint_holds_has_one_order_on_both_stacks(name, settings):
    config = _settings(name, settings)
    _, update = _update(config, average=0.4)
    for gradients in _gradients()[:3]:
        update.apply(update.flatten([tf.constant(gradient) for gradient in gradients]))
    held = [np.asarray(tf.convert_to_tensor(each)) for each in keras_stack.optimizer_variables(update._optimizer)]
    assert held[0] == 3 and held[0].dtype == np.int64
    moments = held[1:] if settings else held[2:]
    assert settings or held[1] == pytest.approx(0.02)
    product = [moments.pop()] if name == "nadam" else []
    states = 0 if name.startswith("sgd") else 2 * (len(_values()) if name in LAYERWISE else 1)
    assert len(moments) == states and all(each.shape == () for each in product)
    sizes = [value.shape for value in _values()] if name in LAYERWISE else [(sum(v.size for v in _values()),)]
    assert [each.shape for each in moments] == [shape for shape in sizes for _ in range(2)] * (states > 0)
    if moments:
        first = sum(
            (1 - numpy_optimizers.BETA_1) * numpy_optimizers.BETA_1 ** (2 - step) * gradients[0].ravel()
            for step, gradients in enumerate(_gradients()[:3])
        )
        np.testing.assert_allclose(moments[0].ravel()[: first.size], first, atol=1e-5)
        assert all((velocity >= 0).all() for velocity in moments[1::2])


def test_the_rate_is_that_of_the_next_step():
    config = _settings("adam", {"schedule": "exponential", "decay_steps": 1, "decay_rate": 0.5})
    _, update = _update(config)
    rates = []
    for gradients in _gradients()[:3]:
        update.apply(update.flatten([tf.constant(gradient) for gradient in gradients]))
        rates.append(keras_stack.learning_rate(update._optimizer))
    np.testing.assert_allclose(rates, [0.01, 0.005, 0.0025], rtol=1e-6)


@pytest.mark.skipif(keras_stack.KERAS_2, reason="the class is made from Keras 3's")
def test_lamb_survives_keras_serialisation():
    made = make_optimizer(_settings("lamb", {"weight_decay": 0.3, "clip_norm": 2.0}))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    assert type(again) is type(made) and again.get_config() == made.get_config()
    assert (again.decay, again.global_clipnorm, again.epsilon) == (0.3, 2.0, 1e-6)


@addons_only
def test_names_mean_the_classes_of_tensorflow_addons():
    import tensorflow_addons as tfa

    classes = {"lamb": tfa.optimizers.LAMB, "adamw": tfa.optimizers.AdamW, "sgdw": tfa.optimizers.SGDW}
    for name, cls in classes.items():
        optimizer = make_optimizer(_settings(name, {}))
        assert type(optimizer) is cls
        assert type(keras_stack.averaging_optimizer(optimizer, 0.9)) is tfa.optimizers.MovingAverage


@addons_only
def test_lazy_adam_is_adam_where_gradients_are_dense():
    """Why there is no such name: what it leaves out are rows that a sparse gradient does not mention."""
    import tensorflow_addons as tfa

    lazy, adam = tf.Variable(_values()[0]), tf.Variable(_values()[0])
    optimizers = tfa.optimizers.LazyAdam(0.02), keras.optimizers.legacy.Adam(0.02)
    for gradients in _gradients():
        for optimizer, variable in zip(optimizers, (lazy, adam)):
            optimizer.apply_gradients([(tf.constant(gradients[0]), variable)])
    np.testing.assert_array_equal(lazy.numpy(), adam.numpy())
