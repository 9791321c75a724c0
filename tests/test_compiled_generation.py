"""The graph writes what the model writes, for support sets of any size."""

import numpy as np
import pytest
from small_classifier import SHAPE, make_inductive_model
from small_model import assert_close

from hypertransformer_tf.deployment.calibration import calibrate
from hypertransformer_tf.deployment.compiled_generation import CompiledGeneration, compiled_generation

N_WAY = 3


@pytest.fixture(scope="module")
def model():
    return make_inductive_model()


@pytest.fixture(scope="module")
def generation(model):
    return CompiledGeneration(model, N_WAY)


def _support(*samples):
    stream = np.random.default_rng(0)
    images = stream.integers(0, 256, (*samples, *SHAPE), dtype=np.uint8)
    labels = np.broadcast_to(np.arange(samples[-1]) % (N_WAY + 1), samples)
    return images, np.where(labels == N_WAY, -1, labels).astype(np.int32)


@pytest.mark.parametrize("samples", [pytest.param((3,), marks=pytest.mark.slow), (8,), (2, 5)])
def test_it_writes_the_models_weights_for_one_episode_and_for_a_task_batch(model, generation, samples):
    images, labels = _support(*samples)
    expected = model.generate(images, labels, n_way=N_WAY)._replace(heads=(), blocks=(), shared_features=None)
    assert_close(generation(images, labels), expected)


def test_it_ignores_what_the_model_ignores(model, generation):
    images, labels = _support(2, 7)
    mask = np.zeros((2, 7), np.float32)
    mask[0, 4] = mask[1, 6] = 1.0
    expected = model.generate(images, labels, mask, n_way=N_WAY)._replace(heads=(), blocks=(), shared_features=None)
    assert_close(generation(images, labels, mask), expected)


def test_the_calibration_is_the_same(model, generation):
    images, labels = _support(8)
    expected = calibrate(model, images, labels, N_WAY)
    found = calibrate(model, images, labels, N_WAY, generation)
    assert found.method == expected.method and found.pictures == expected.pictures
    np.testing.assert_allclose([found.temperature, found.threshold], [expected.temperature, expected.threshold], 1e-3)


@pytest.mark.slow
def test_a_later_change_of_the_models_variables_counts_and_the_graph_is_made_once():
    model = make_inductive_model()
    generation = compiled_generation(model, N_WAY)
    images, labels = _support(6)
    before = generation(images, labels).logits.kernel.numpy()
    for variable in model.trainable_variables:
        variable.assign(0.9 * variable)
    after = compiled_generation(model, N_WAY)(images, labels).logits.kernel.numpy()
    assert compiled_generation(model, N_WAY) is generation and np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, model.generate(images, labels, n_way=N_WAY).logits.kernel, atol=1e-4)
