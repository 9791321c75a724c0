"""Taking generated weights out of TensorFlow: what is kept, what is refused."""

import numpy as np
import pytest
from small_classifier import drawings, make_inductive_model
from small_cnns import make_cnn
from small_model import make_model

from hypertransformer_tf.cnn.normalisation import EPSILON
from hypertransformer_tf.deployment.constant_graph import class_probabilities
from hypertransformer_tf.deployment.portable_cnn import portable_cnn
from hypertransformer_tf.errors import UserError


def _generate(model, classes=3):
    images, labels = drawings(classes)
    return model.generate(images[..., np.newaxis], labels.astype(np.int32), n_way=classes)


def _portable(model, weights, **changes):
    settings = {"temperature": 1.0, "invert": False, **changes}
    return portable_cnn(weights, model.architecture, model.config.cnn.activation, **settings)


@pytest.mark.parametrize("normalisation", ["support", "task"])
def test_every_number_is_kept_as_it_is(normalisation):
    model = make_inductive_model(normalisation)
    weights = _generate(model)
    cnn = _portable(model, weights)
    for found, given in zip(cnn.convolutions, weights.convolutions):
        for name in ("kernel", "gamma", "beta"):
            np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
        np.testing.assert_array_equal(found.mean, given.statistics.mean)
        np.testing.assert_array_equal(found.variance, given.statistics.variance)
        shared = given.statistics.own_share
        assert found.own_share == (None if shared is None else float(shared))
    np.testing.assert_array_equal(cnn.logits_kernel, weights.logits.kernel)
    np.testing.assert_array_equal(cnn.logits_bias, weights.logits.bias)
    assert cnn.logits_bias.shape == (3,) and (cnn.convolutions[0].own_share is None) == (normalisation == "support")


def test_a_transductive_model_is_refused():
    model = make_model()
    images = np.zeros((3, 16, 16, 1), np.uint8)
    with pytest.raises(UserError, match="normalisation = 'query'.*'support' or 'task'"):
        _portable(model, model.generate(images, [0, 1, 2]))


def test_weights_of_a_task_batch_are_refused():
    model = make_inductive_model()
    images, labels = drawings(3)
    batch = np.stack([images, images])[..., np.newaxis]
    weights = model.generate(batch, np.stack([labels, labels]).astype(np.int32), n_way=3)
    with pytest.raises(UserError, match="not of a single episode"):
        _portable(model, weights)


def test_weights_that_are_not_finite_are_refused():
    model = make_inductive_model()
    weights = _generate(model)
    broken = weights._replace(logits=weights.logits._replace(bias=weights.logits.bias * np.nan))
    with pytest.raises(UserError, match="not finite"):
        _portable(model, broken)


def test_folding_is_the_normalisation():
    convolution = make_cnn("support moments").convolutions[0]
    values = np.random.default_rng(0).normal(size=(50, 4))
    scale, offset = convolution.folded
    normalised = (values - convolution.mean) / np.sqrt(convolution.variance + EPSILON)
    np.testing.assert_allclose(values * scale + offset, normalised * convolution.gamma + convolution.beta, atol=1e-5)


@pytest.mark.parametrize("layout", ["support moments", "three layers"])
def test_pixels_are_scaled_without_rounding(layout):
    cnn = make_cnn(layout)
    pixels = np.arange(256, dtype=np.float32)
    wanted = (255 - pixels if cnn.invert else pixels) / 128 - 1
    np.testing.assert_array_equal((pixels + np.float32(cnn.pixel_offset)) * np.float32(cnn.pixel_scale), wanted)


def test_equalised_convolutions_compute_the_same_and_give_channels_their_normalised_spread():
    model = make_inductive_model("support")
    weights = _generate(model)
    uneven = [
        each._replace(kernel=each.kernel * 10.0 ** np.linspace(-2, 2, each.kernel.shape[-1]), gamma=each.gamma * sign)
        for each, sign in zip(weights.convolutions, (1.5, -0.5, 2.0, -1.0))
    ]
    cnn = _portable(model, weights._replace(convolutions=tuple(uneven)))
    pictures, _ = drawings(3)
    pictures = pictures[..., np.newaxis].astype(np.float32)
    expected = np.asarray(class_probabilities(pictures, cnn))
    np.testing.assert_allclose(class_probabilities(pictures, cnn.equalised), expected, atol=1e-5)
    for each, before in zip(cnn.equalised.convolutions, cnn.convolutions):
        np.testing.assert_array_equal(each.folded.scale, np.sign(before.gamma))
        np.testing.assert_allclose(each.kernel, before.kernel * np.abs(before.folded.scale), rtol=1e-6)


def test_convolutions_that_use_a_pictures_own_moments_are_not_changed_by_equalising():
    model = make_inductive_model("task")
    cnn = _portable(model, _generate(model))
    assert all(each is before for each, before in zip(cnn.equalised.convolutions, cnn.convolutions))
