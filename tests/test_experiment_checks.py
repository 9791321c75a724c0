"""Settings that would have no effect, and schedules that end too early, are refused before anything is computed."""

import pytest
from small_runs import SMALL, experiment_of

from hypertransformer_tf.errors import UserError

NO_SHARED = ("features.shared_layers = 0",)
SHARED_HEAD = ("loss.shared_head = 0.5",)


@pytest.mark.parametrize(
    "binding, others, remedy",
    [
        ("loss.shared_head = 0.5", NO_SHARED, "features.shared_layers above 0"),
        ("loss.only_shared_head = True", (*NO_SHARED, *SHARED_HEAD), "features.shared_layers above 0"),
        ("training.shared_features_from = 'runs/a'", NO_SHARED, "features.shared_layers above 0"),
        ("loss.head_steps = 5", (), "cnn.warmup_heads"),
        ("cnn.warmup_heads = 'trained'", (), "loss.head_steps above 0"),
        ("loss.variation = 0.1", (), "generator.add_trained_weights = True"),
        ("loss.max_remove_unlabelled = 0.1", (), "episodes.unlabelled_per_class above 0"),
        ("optimizer.weight_decay = 0.1", (), "optimizer.name = 'sgdw', 'adamw' or 'lamb'"),
        ("optimizer.beta_2 = 0.9", ("optimizer.name = 'sgd'",), "optimizer.name = 'adam', 'adamw', 'nadam' or 'lamb'"),
        ("optimizer.beta_2 = 0.9", ("optimizer.name = 'sgdw'",), "'adam'"),
        ("optimizer.decay_rate = 0.5", ("optimizer.schedule = 'cosine'",), "optimizer.schedule = 'exponential'"),
    ],
)
def test_a_setting_without_effect_is_named_with_what_it_needs(binding, others, remedy):
    with pytest.raises(UserError) as caught:
        experiment_of(*others, binding)
    first = binding if "only" not in binding else "loss.shared_head = 0.5"
    assert f"{first} would have no effect: it needs {remedy}" in str(caught.value) or remedy in str(caught.value)
    assert "would have no effect" in str(caught.value)


@pytest.mark.parametrize(
    "bindings",
    [
        ("loss.shared_head = 0.5", "loss.only_shared_head = True"),
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
