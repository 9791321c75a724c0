"""Settings that would have no effect, and schedules that end too early, are refused before anything is computed."""

import pytest
from small_runs import SMALL, experiment_of

from hypertransformer_tf.errors import UserError

NO_SHARED = ("features.shared_layers = 0",)
ALONE = ("loss.shared_head = 0.5", "loss.only_shared_head = True")
SPREAD = "transformer.spread_labels = True"
SPREADABLE = ("transformer.match_labels = True", "transformer.layers = 2")
MAP = ("cnn.architecture = 'maxpool-4-layer'", "features.logits = 'mix'")
WHOLE_MAP = "cnn.architecture = 'maxpool-4-layer' or 'lgm-net' or 'no-convolutions'"


@pytest.mark.parametrize(
    "named, others, remedy",
    [
        ("loss.shared_head = 0.5", NO_SHARED, "features.shared_layers above 0"),
        ("loss.shared_head = 0.5", (*NO_SHARED, "loss.only_shared_head = True"), "features.shared_layers above 0"),
        ("training.shared_features_from = 'runs/a'", NO_SHARED, "features.shared_layers above 0"),
        ("features.shared_padding = 'valid'", NO_SHARED, "features.shared_layers above 0"),
        ("features.shared_batch_norm = True", NO_SHARED, "features.shared_layers above 0"),
        ("features.shared_dropout = 0.1", NO_SHARED, "features.shared_layers above 0"),
        ("features.logits = 'mix'", (), WHOLE_MAP),
        ("features.logits = 'passthrough'", ("cnn.architecture = '4-layer'",), WHOLE_MAP),
        (SPREAD, SPREADABLE, "features.logits = 'passthrough' or 'mix'"),
        (SPREAD, (*SPREADABLE, *MAP), "episodes.unlabelled_per_class above 0"),
        (
            SPREAD,
            (*SPREADABLE, *MAP, "episodes.unlabelled_per_class = 1", "transformer.embedding_dim = 2"),
            "transformer.embedding_dim above the number of classes",
        ),
        ("generator.allocation = 'spatial'", ("cnn.trained_layers = 3",), "a convolution that is generated"),
        ("generator.allocation = 'spatial'", ("cnn.trained_layers = -3",), "a convolution that is generated"),
        ("loss.head_steps = 5", (), "cnn.warmup_heads"),
        ("loss.head_steps = 5", (*ALONE, "cnn.warmup_heads = 'trained'"), "loss.only_shared_head = False"),
        ("cnn.warmup_heads = 'trained'", (), "loss.head_steps above 0"),
        ("loss.variation = 0.1", (), "generator.add_trained_weights = True"),
        ("loss.variation = 0.1", (*ALONE, "generator.add_trained_weights = True"), "loss.only_shared_head = False"),
        ("loss.l2 = 0.1", ALONE, "loss.only_shared_head = False"),
        ("loss.shared_head_steps = 5", ALONE, "loss.only_shared_head = False"),
        ("loss.max_remove_labelled = 0.1", ALONE, "loss.only_shared_head = False"),
        ("loss.max_remove_unlabelled = 0.1", ALONE, "loss.only_shared_head = False"),
        ("loss.max_remove_unlabelled = 0.1", (), "episodes.unlabelled_per_class above 0"),
        ("data.split_seed = 1", ("data.source = 'omniglot'",), "a data.source without a split of its own"),
        ("data.split_seed = None", ("data.source = 'mini_imagenet:a'",), "a data.source without a split of its own"),
        (
            "data.split_fractions = (0.5, 0.25, 0.25)",
            ("data.source = 'omniglot_averaged'",),
            "a data.source without a split of its own",
        ),
        ("augmentation.angle_range = 30.0", (), "augmentation.rotation_probability above 0"),
        (
            "image_augmentation.individually = True",
            ("image_augmentation.redraw_probability = 0.5",),
            "image_augmentation.enabled = True",
        ),
        ("optimizer.weight_decay = 0.1", (), "optimizer.name = 'sgdw', 'adamw' or 'lamb'"),
        ("optimizer.beta_2 = 0.9", ("optimizer.name = 'sgd'",), "optimizer.name = 'adam', 'adamw', 'nadam' or 'lamb'"),
        ("optimizer.beta_2 = 0.9", ("optimizer.name = 'sgdw'",), "optimizer.name = 'adam', 'adamw', 'nadam' or 'lamb'"),
        ("optimizer.decay_rate = 0.5", ("optimizer.schedule = 'cosine'",), "optimizer.schedule = 'exponential'"),
    ],
)
def test_a_setting_without_effect_is_named_with_what_it_needs(named, others, remedy):
    with pytest.raises(UserError) as caught:
        experiment_of(*others, named)
    assert f"{named} would have no effect: it needs {remedy}" in str(caught.value)


@pytest.mark.parametrize(
    "others, need",
    [
        (("transformer.layers = 2",), "transformer.match_labels = True"),
        (("transformer.match_labels = True", "transformer.layers = 1"), "transformer.layers of 2 or more"),
        ((*SPREADABLE, "transformer.attention = 'sigmoid'"), "transformer.attention = 'softmax'"),
    ],
)
def test_what_labels_cannot_be_spread_with_is_named(others, need):
    with pytest.raises(UserError, match=f"transformer.spread_labels = True needs {need}"):
        experiment_of(*others, SPREAD)


def test_labels_are_spread_where_all_that_needs_is_there():
    experiment = experiment_of(*SPREADABLE, *MAP, "episodes.unlabelled_per_class = 1", SPREAD)
    assert experiment.transformer.spread_labels


@pytest.mark.parametrize(
    "bindings",
    [
        ALONE,
        ("features.shared_padding = 'valid'", "features.shared_batch_norm = True", "features.shared_dropout = 0.1"),
        (*NO_SHARED, "features.shared_dim = 16"),  # of a file that this one includes
        ("features.logits = 'mix'", "cnn.architecture = 'lgm-net'"),
        ("features.logits = 'passthrough'", "cnn.architecture = 'no-convolutions'"),
        ("generator.allocation = 'spatial'", "cnn.trained_layers = -2"),
        ("data.split_seed = 1",),
        ("data.split_fractions = (0, 0, 1)", "data.source = 'folder:a'"),
        ("augmentation.angle_range = 30.0", "augmentation.rotation_probability = 0.5"),
        ("image_augmentation.individually = True", "image_augmentation.enabled = True"),
        ("loss.head_steps = 5", "cnn.warmup_heads = 'generated'"),
        ("loss.variation = 0.1", "generator.add_trained_weights = True"),
        ("loss.max_remove_unlabelled = 0.1", "episodes.unlabelled_per_class = 1"),
        ("optimizer.weight_decay = 0.1", "optimizer.name = 'adamw'"),
        ("optimizer.weight_decay = 0.1", "optimizer.name = 'sgdw'"),
        ("optimizer.weight_decay = 0.1", "optimizer.name = 'lamb'", "optimizer.beta_2 = 0.98"),
        ("optimizer.decay_rate = 0.5", "optimizer.schedule = 'exponential'"),
        ("optimizer.beta_2 = 0.999", "optimizer.name = 'sgd'"),  # the default
    ],
)
def test_with_what_it_needs_it_is_taken(bindings):
    experiment_of(*bindings)


def test_a_cosine_schedule_is_not_outlived():
    cosine = ("optimizer.schedule = 'cosine'", "optimizer.decay_steps = 10")  # after 4 steps of warm-up
    experiment_of(*cosine, "training.steps = 14")
    with pytest.raises(UserError) as caught:
        experiment_of(*cosine, "training.steps = 15")
    assert "training.steps = 15 goes past" in str(caught.value)
    assert "at step 14 (optimizer.warmup_steps + optimizer.decay_steps = 4 + 10)" in str(caught.value)
    experiment_of("optimizer.schedule = 'exponential'", "optimizer.decay_steps = 10", "training.steps = 1_000")


@pytest.mark.parametrize("name", ["query_key_size", "value_size"])
def test_heads_that_do_not_divide_a_size_are_named(name):
    with pytest.raises(UserError, match=f"transformer.heads = 3 does not divide transformer.{name} = 8"):
        experiment_of("transformer.heads = 3", f"transformer.{name} = 8.0")
    experiment_of("transformer.heads = 4", f"transformer.{name} = 8.0", settings=SMALL)


def test_images_too_small_for_the_shared_extractor_are_refused_before_there_is_a_model():
    small = ("data.image_size = 16", "features.shared_layers = 4")
    experiment_of(*small).check_image_size()
    with pytest.raises(UserError, match="data.image_size = 16: .*too small for features.shared_layers = 4"):
        experiment_of(*small, "features.shared_padding = 'valid'").check_image_size()
    baseline = ("method.name = 'prototypical'", "features.shared_padding = 'valid'")  # reads nothing of them
    experiment_of(*small, *baseline).check_image_size()


def test_heads_that_do_not_divide_a_fraction_of_a_token_are_refused_before_there_is_a_model():
    heads = ("transformer.heads = 3", "transformer.query_key_size = 0.5")
    experiment_of(*heads).check_image_size()  # rounded up
    said = "transformer.query_key_size = 0.5 makes a size of 8 of a token of 16, which transformer.heads = 3 does not"
    with pytest.raises(UserError, match=said):
        experiment_of(*heads, "transformer.variant = 'separate'").check_image_size()
    with pytest.raises(UserError, match="makes a size of 0"):
        experiment_of("transformer.value_size = 0.001").check_image_size()
