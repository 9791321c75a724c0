"""The losses, each against NumPy."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from layer_checks import randomise, tensorflow_variable
from numpy_reference import value

from hypertransformer_tf.cnn.config import CnnConfig, GeneratorConfig
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.training.config import LossConfig
from hypertransformer_tf.training.losses import head_weights, removal_mask, task_batch_losses

N_WAY, TASKS, SHAPE, REAL_CLASSES = 3, 2, (16, 16, 1), 7
STREAM = np.random.default_rng(0)
BATCH = Episode(
    support_images=STREAM.integers(0, 256, (TASKS, 7, *SHAPE), dtype=np.uint8),
    support_labels=np.array([[0, 1, 2, 0, 1, 2, -1], [2, 1, 0, -1, 0, 1, 2]], np.int32),
    support_classes=STREAM.integers(0, REAL_CLASSES, (TASKS, 7)).astype(np.int32),
    query_images=STREAM.integers(0, 256, (TASKS, 5, *SHAPE), dtype=np.uint8),
    query_labels=np.array([[0, 1, 2, 0, 1], [2, 1, 0, 1, 2]], np.int32),
)
TENSORS = Episode(*map(tf.constant, BATCH))
CONFIG = ModelConfig(
    cnn=CnnConfig(architecture="3-layer", channels=2, stride=2, warmup_heads="generated", kernel_size=2),
    features=FeaturesConfig(local_dim=2, shared_layers=2, shared_dim=4),
    transformer=TransformerConfig(layers=1, heads=1, embedding_dim=8),
    generator=GeneratorConfig(bias=True, batch_norm=True, add_trained_weights=True),
)
HEADS = 2


@pytest.fixture(scope="module")
def model():
    return randomise(HyperTransformer(SHAPE, N_WAY, CONFIG, shared_head_classes=REAL_CLASSES), scale=0.3)


@pytest.fixture(scope="module")
def weights(model):
    return model.generate(BATCH.support_images, BATCH.support_labels)


@pytest.fixture(scope="module")
def classification(model, weights):
    return model.classify_with_heads(TENSORS.query_images, weights)


def _losses(model, step=0, seed=None, **settings):
    losses = task_batch_losses(model, TENSORS, LossConfig(**settings), tf.constant(step), seed)
    return {name: float(value) for name, value in losses._asdict().items()}


def _log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _cross_entropy(labels, logits, smoothing=0.0):
    logits = np.asarray(logits, np.float64)
    classes = logits.shape[-1]
    targets = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    return -(targets * _log_softmax(logits)).sum(-1).mean()


# --- cross-entropy and warm-up heads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_loss_is_the_cross_entropy_on_the_query_set_with_smoothed_labels(model, classification, smoothing):
    losses = _losses(model, label_smoothing=smoothing)
    expected = _cross_entropy(BATCH.query_labels, classification.logits, smoothing)
    assert losses["cross_entropy"] == pytest.approx(expected, rel=1e-5)
    assert losses["total"] == pytest.approx(expected, rel=1e-5)


def test_accuracy_is_the_share_of_right_answers_on_the_query_set(model, classification):
    right = np.asarray(classification.logits).argmax(-1) == BATCH.query_labels
    assert _losses(model)["accuracy"] == pytest.approx(right.mean(), abs=1e-6)


@pytest.mark.parametrize(
    "step, expected",
    [
        (0, [1, 0, 0, 0]),
        (5, [0.5, 0.5, 0, 0]),
        (10, [0, 1, 0, 0]),
        (14, [0, 0.6, 0.4, 0]),
        (20, [0, 0, 1, 0]),
        (27, [0, 0, 0.3, 0.7]),
        (30, [0, 0, 0, 1]),
        (31, [0, 0, 0, 1]),
        (4_000_000, [0, 0, 0, 1]),
    ],
)
def test_the_loss_slides_from_the_first_head_over_each_in_turn_to_the_logits(step, expected):
    given = [float(weight) for weight in head_weights(tf.constant(step), 30, 3)]
    np.testing.assert_allclose(given, expected, atol=1e-6)


def test_weights_of_heads_and_logits_add_up_to_one_at_every_step():
    totals = [sum(float(weight) for weight in head_weights(tf.constant(step), 17, 3)) for step in range(25)]
    np.testing.assert_allclose(totals, 1.0, atol=1e-6)


@pytest.mark.parametrize("head_steps, heads", [(0, 3), (30, 0), (0, 0)])
def test_without_warm_up_steps_or_heads_only_the_logits_count(head_steps, heads):
    given = [float(weight) for weight in head_weights(tf.constant(0), head_steps, heads)]
    assert given == [0.0] * heads + [1.0]


@pytest.mark.parametrize("step", [0, 3, 8, 13, 40])
def test_a_warm_up_loss_is_the_weighted_sum_over_heads_and_logits(model, classification, step):
    each = [
        _cross_entropy(BATCH.query_labels, logits) for logits in classification.head_logits + (classification.logits,)
    ]
    given = head_weights(tf.constant(step), 20, HEADS)
    losses = _losses(model, step, head_steps=20)
    assert len(each) == HEADS + 1
    assert losses["total"] == pytest.approx(sum(float(a) * b for a, b in zip(given, each)), rel=1e-5)
    assert losses["cross_entropy"] == pytest.approx(each[-1], rel=1e-5)


# --- additions --------------------------------------------------------------------------------------------------------


def test_l2_is_the_sum_of_squared_kernels_of_the_cnn_averaged_over_episodes(model, weights):
    kernels = [layer.kernel for layer in weights.convolutions + (weights.logits,) + weights.heads]
    expected = np.mean([sum((np.asarray(kernel[task]) ** 2).sum() for kernel in kernels) for task in range(TASKS)])
    losses = _losses(model, l2=0.01)
    assert losses["total"] - losses["cross_entropy"] == pytest.approx(0.01 * expected, rel=1e-4)


def test_l2_counts_a_trained_kernel_that_all_episodes_share_once():
    config = dataclasses.replace(CONFIG, cnn=CnnConfig(architecture="3-layer", channels=2, stride=2, trained_layers=3))
    model = randomise(HyperTransformer(SHAPE, N_WAY, dataclasses.replace(config, generator=GeneratorConfig())))
    weights = model.generate(BATCH.support_images, BATCH.support_labels)
    trained = sum((np.asarray(layer.kernel) ** 2).sum() for layer in weights.convolutions)
    generated = (np.asarray(weights.logits.kernel) ** 2).sum() / TASKS
    losses = _losses(model, l2=0.5)
    assert losses["total"] - losses["cross_entropy"] == pytest.approx(0.5 * (trained + generated), rel=1e-4)


@pytest.mark.parametrize("trained_layers", [0, 2])
def test_l2_counts_generated_kernels_as_the_support_pass_has_them_and_trained_ones_of_both_passes(trained_layers):
    cnn = CnnConfig(
        architecture="3-layer", channels=2, stride=2, separate_query_variables=True, trained_layers=trained_layers
    )
    model = randomise(HyperTransformer(SHAPE, N_WAY, dataclasses.replace(CONFIG, cnn=cnn)), scale=0.3)
    weights = model.generate(BATCH.support_images, BATCH.support_labels)
    expected = (np.asarray(weights.logits.kernel) ** 2).sum() / TASKS
    for layer, blocks, query, support in zip(
        weights.convolutions, weights.blocks, model.query_weights, model.support_weights
    ):
        generated = np.asarray(layer.kernel) - value(query.kernel)  # zeros where nothing is generated
        expected += ((generated + value(support.kernel)) ** 2).sum() / len(generated)
        expected += (value(query.kernel) ** 2).sum() if blocks is None else 0.0
    losses = _losses(model, l2=0.01)
    assert losses["total"] - losses["cross_entropy"] == pytest.approx(0.01 * expected, rel=1e-4)


def test_variation_is_the_size_of_what_is_generated_relative_to_what_is_trained(model, weights):
    expected = 0.0
    for layer, trained in zip(weights.convolutions, model.query_weights):
        for name in ("kernel", "bias", "gamma", "beta"):
            ours = value(getattr(trained, name))
            generated = np.asarray(getattr(layer, name)) - ours
            expected += (generated**2).sum() / TASKS / (1e-8 + (ours**2).sum())
    losses = _losses(model, variation=0.25)
    assert losses["total"] - losses["cross_entropy"] == pytest.approx(0.25 * expected, rel=1e-3)


def _shared_head_logits(model):
    features = np.asarray(model.share(TENSORS.support_images), np.float64)
    return features @ value(model.shared_head.kernel) + value(model.shared_head.bias)


def test_the_shared_head_predicts_the_real_class_from_the_shared_features(model):
    expected = _cross_entropy(BATCH.support_classes, _shared_head_logits(model))
    losses = _losses(model, shared_head=0.5)
    assert losses["total"] - losses["cross_entropy"] == pytest.approx(0.5 * expected, rel=1e-4)


def test_a_model_without_a_shared_head_is_refused_by_its_loss():
    with pytest.raises(UserError, match="shared_head_classes"):
        _losses(HyperTransformer(SHAPE, N_WAY, CONFIG), shared_head=0.5)


@pytest.mark.parametrize("step, weight", [(0, 0.5), (30, 0.35), (100, 0.0), (101, 0.0)])
def test_the_weight_of_the_shared_head_falls_to_zero_over_its_steps(model, step, weight):
    expected = _cross_entropy(BATCH.support_classes, _shared_head_logits(model))
    losses = _losses(model, step=step, shared_head=0.5, shared_head_steps=100)
    assert losses["total"] - losses["cross_entropy"] == pytest.approx(weight * expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("alone", [False, True])
def test_labels_are_smoothed_for_the_shared_head_too(model, alone):
    expected = _cross_entropy(BATCH.support_classes, _shared_head_logits(model), smoothing=0.2)
    losses = _losses(model, shared_head=0.5, label_smoothing=0.2, only_shared_head=alone)
    added = losses["total"] if alone else (losses["total"] - losses["cross_entropy"]) / 0.5
    assert added == pytest.approx(expected, rel=1e-4)


def test_pre_training_of_the_shared_features_has_no_other_loss_and_moves_nothing_else(model):
    config = LossConfig(shared_head=0.5, only_shared_head=True, l2=1.0, variation=1.0)
    with tf.GradientTape() as tape:
        losses = task_batch_losses(model, TENSORS, config, tf.constant(0))
    variables = {name: tensorflow_variable(variable) for name, variable in model.named_variables().items()}
    gradients = tape.gradient(losses.total, variables)
    logits = _shared_head_logits(model)
    assert float(losses.total) == pytest.approx(_cross_entropy(BATCH.support_classes, logits), rel=1e-5)
    assert float(losses.accuracy) == pytest.approx((logits.argmax(-1) == BATCH.support_classes).mean(), abs=1e-6)
    moved = {name for name, gradient in gradients.items() if gradient is not None}
    assert moved == {name for name in variables if name.startswith(("shared_features/", "shared_head/"))}


# --- removal of support samples ---------------------------------------------------------------------------------------

MANY = tf.constant(np.tile(np.array([0, 1, 2, -1], np.int32), (2, 5_000)))


def _mask(seed, **settings):
    mask = removal_mask(MANY, LossConfig(**settings), tf.constant(seed, tf.int32))
    return None if mask is None else np.asarray(mask)


def test_nothing_is_removed_unless_asked_for():
    assert _mask((0, 0)) is None


@pytest.mark.parametrize("name, labelled", [("max_remove_labelled", True), ("max_remove_unlabelled", False)])
def test_labelled_and_unlabelled_samples_are_removed_apart(name, labelled):
    mask = _mask((0, 1), **{name: 1.0})
    chosen = (np.asarray(MANY) >= 0) == labelled
    assert 0 < mask[chosen].mean() <= 1
    assert not mask[~chosen].any()
    assert set(np.unique(mask)) <= {0.0, 1.0}


def test_rates_are_drawn_for_each_step_from_zero_to_their_maximum():
    labelled = np.asarray(MANY) >= 0
    masks = [_mask((0, step), max_remove_labelled=0.8, max_remove_unlabelled=0.3) for step in range(200)]
    for chosen, most in ((labelled, 0.8), (~labelled, 0.3)):
        rates = np.array([mask[chosen].mean() for mask in masks])
        assert rates.max() <= most + 0.02
        assert rates.min() < 0.1 * most and rates.max() > 0.9 * most
        assert rates.mean() == pytest.approx(most / 2, abs=4 * most / np.sqrt(12 * len(rates)))
    both = np.corrcoef([[mask[labelled].mean() for mask in masks], [mask[~labelled].mean() for mask in masks]])
    assert abs(both[0, 1]) < 0.3  # drawn apart from each other


def test_parts_of_a_step_remove_as_many_samples_but_others():
    """Groups and devices have seeds of their own and one of the step."""
    config, fixed = LossConfig(max_remove_labelled=1.0), tf.constant((0, 5), tf.int32)
    masks = [np.asarray(removal_mask(MANY, config, tf.constant((0, part), tf.int32), fixed)) for part in range(8)]
    labelled = np.asarray(MANY) >= 0
    rates = [mask[labelled].mean() for mask in masks]
    assert max(rates) - min(rates) < 0.04  # five standard errors of 15,000 samples
    assert all((masks[0] != mask).any() for mask in masks[1:])


def test_what_is_removed_follows_from_the_seed():
    settings = {"max_remove_labelled": 0.5, "max_remove_unlabelled": 0.5}
    np.testing.assert_array_equal(_mask((3, 4), **settings), _mask((3, 4), **settings))
    assert (_mask((3, 4), **settings) != _mask((3, 5), **settings)).any()
    assert (_mask((3, 4), **settings) != _mask((4, 4), **settings)).any()


def test_removed_samples_are_masked_in_the_loss_and_never_without_a_seed(model):
    settings = {"max_remove_labelled": 0.6, "max_remove_unlabelled": 0.6}
    for number in range(100):
        seed = tf.constant((1, number), tf.int32)
        mask = removal_mask(TENSORS.support_labels, LossConfig(**settings), seed)
        left = np.where(np.asarray(mask) > 0, -1, BATCH.support_labels)
        if (left != BATCH.support_labels).any() and all(set(range(N_WAY)) <= set(labels) for labels in left):
            break  # some sample is gone, and yet each class has one
    generated = model.generate(TENSORS.support_images, TENSORS.support_labels, mask)
    masked = _cross_entropy(BATCH.query_labels, model.classify(TENSORS.query_images, generated))
    everything = _losses(model)["total"]
    assert abs(masked - everything) > 1e-4
    assert _losses(model, seed=seed, **settings)["total"] == pytest.approx(masked, rel=1e-5)
    assert _losses(model, **settings)["total"] == pytest.approx(everything)
