"""Claims about the files that rows are trained from."""

import pytest
from small_runs import own_configuration

from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.composed_file import composed_text, steps_of
from hypertransformer_tf.training.train import load_experiment


def load(tmp_path, row, steps):
    with own_configuration():
        of_row = load_experiment(f"paper/{row}.gin")
        (tmp_path / "row.gin").write_text(composed_text(f"paper/{row}.gin", steps, of_row))
        return load_experiment(str(tmp_path / "row.gin")), load_experiment(f"paper/{row}.gin")


@pytest.mark.parametrize(
    "row", ["omniglot_1shot_8ch_separate_generator", "mini_imagenet_1shot_all_layers_16ch", "parameters_4ch_shared_0"]
)
def test_on_a_budget_the_cnn_and_the_episodes_are_the_rows(tmp_path, row):
    ours, authors = load(tmp_path, row, 200)
    assert (ours.cnn, ours.generator, ours.episodes, ours.data) == (
        authors.cnn,
        authors.generator,
        authors.episodes,
        authors.data,
    )
    assert ours.transformer.variant == authors.transformer.variant
    assert ours.optimizer.name == "adam" and ours.training.steps == 200
    assert ours.optimizer.learning_rate == 0.0014  # not that of the authors' gradient descent
    assert ours.transformer.attention_scale == 0.1 and authors.transformer.attention_scale == 1
    assert (ours.optimizer.warmup_steps, ours.optimizer.decay_steps) == (60, 140)
    assert (ours.loss.shared_head > 0) == (authors.features.shared_layers > 0)
    assert ours.training.validate_every == 25 and ours.training.checkpoint_every == 10


def test_warm_up_heads_end_long_before_training_does(tmp_path):
    ours, own = load(tmp_path, "omniglot_1shot_8ch_warmup_heads", 200)
    assert own.loss.head_steps > 200 and ours.loss.head_steps == 50


def test_in_full_everything_is_the_rows(tmp_path):
    ours, authors = load(tmp_path, "omniglot_1shot_all_layers_8ch", None)
    assert ours == authors


def test_minutes_become_steps():
    with own_configuration():
        assert load_experiment("recipe/budget.gin").training.task_batch == 8
        assert steps_of(Budget(minutes=2), episodes_per_second=80.0) == 1200
        assert steps_of(Budget(minutes=0.001), episodes_per_second=1.0) == 1


def test_a_baseline_has_our_schedule_and_its_own_method(tmp_path):
    ours, own = load(tmp_path, "omniglot_1shot_maml_4ch", 200)
    assert (ours.method, ours.maml, ours.cnn, ours.episodes) == (own.method, own.maml, own.cnn, own.episodes)
    assert ours.optimizer.clip_norm == own.optimizer.clip_norm == 10.0
    assert ours.training.steps == 200 and ours.optimizer.decay_steps == 140
    assert ours.optimizer.learning_rate == own.optimizer.learning_rate == 0.003
    assert ours.loss.shared_head == 0.0


@pytest.mark.parametrize(
    "row, scale",
    [
        ("omniglot_1shot_all_layers_4ch", 0.1),
        ("omniglot_1shot_first_1_trained_8ch", 0.1),
        ("omniglot_1shot_logits_only_4ch", 1.0),
        ("omniglot_1shot_maml_4ch", 1.0),
        ("leo_embeddings_1shot_logits_only", 1.0),
    ],
)
def test_convolutions_begin_nearly_alike_where_any_is_generated(tmp_path, row, scale):
    assert load(tmp_path, row, 200)[0].transformer.attention_scale == scale


@pytest.mark.parametrize(
    "row, groups",
    [
        ("omniglot_1shot_all_layers_8ch", 2),
        ("omniglot_1shot_all_layers_16ch", 4),
        ("cifar_fs_5shot_logits_only_16ch", 8),
        ("cifar_fs_5shot_prototypical_16ch", 8),
        ("mini_imagenet_two_layer_both_generated_output", 2),
    ],
)
def test_a_step_has_more_groups_the_larger_its_maps(tmp_path, row, groups):
    ours, _ = load(tmp_path, row, 200)
    assert (ours.training.task_batch, ours.training.groups) == (8, groups)


@pytest.mark.parametrize(
    "row, logits",
    [
        ("omniglot_1shot_all_layers_8ch", "mix"),
        ("omniglot_1shot_logits_only_4ch", "mix"),
        ("omniglot_1shot_8ch_passthrough_features", "passthrough"),
        ("omniglot_1shot_8ch_nonlinear_features", "mix"),
        ("omniglot_1shot_8ch_feature_dropout", "mix"),
        ("omniglot_1shot_8ch_sigmoid_attention", "convolution"),
        ("parameters_16ch_local_4", "mix"),
        ("omniglot_1shot_8ch_separate_generator", "convolution"),
        ("omniglot_1shot_prototypical_8ch", "convolution"),
        ("mini_imagenet_two_layer_both_generated_output", "convolution"),
    ],
)
def test_on_a_budget_the_logits_generator_reads_the_map_where_classes_can_begin_near_its_means(tmp_path, row, logits):
    ours, own = load(tmp_path, row, 200)
    assert ours.features.logits == logits
    assert own.features.logits == ("passthrough" if logits == "passthrough" else "convolution")


@pytest.mark.parametrize("unlabelled, layers, spread", [(0, 2, False), (10, 1, False), (10, 2, True)])
def test_labels_are_spread_where_there_are_samples_without_one_and_a_second_layer(tmp_path, unlabelled, layers, spread):
    row = f"omniglot_semi_supervised_{unlabelled}_unlabelled_{layers}_layer{'s' * (layers > 1)}"
    assert load(tmp_path, row, 200)[0].transformer.spread_labels == spread
