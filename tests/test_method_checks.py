"""Settings that the method has no use for are refused; the rest of a HyperTransformer's file serves a baseline too."""

import pytest
from small_runs import SMALL, experiment_of

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import load_experiment


@pytest.mark.parametrize(
    "method, setting",
    [
        ("prototypical", "cnn.dropout = 0.1"),
        ("maml", "cnn.separate_query_variables = True"),
        ("maml", "loss.l2 = 0.1"),
        ("prototypical", "loss.max_remove_labelled = 0.1"),
        ("prototypical", "maml.inner_steps = 3"),
        ("rfs", "maml.second_order = False"),
        ("maml", "oracle.steps = 7"),
        ("hypertransformer", "oracle.batch = 7"),
        ("hypertransformer", "maml.learn_inner_rates = True"),
    ],
)
def test_a_setting_without_effect_is_refused_with_the_method_named(method, setting):
    with pytest.raises(UserError) as caught:
        experiment_of(f"method.name = '{method}'", setting)
    assert f"{setting} would have no effect" in str(caught.value) and repr(method) in str(caught.value)


@pytest.mark.parametrize("setting", ["optimizer.learning_rate = 0.01", "optimizer.name = 'sgd'"])
def test_the_oracle_is_told_how_to_train_by_its_own_settings(setting):
    others = [each for each in SMALL if not each.startswith("optimizer.")]
    oracle = (*others, "method.name = 'oracle'", "training.steps = 0")
    experiment_of(settings=oracle)
    with pytest.raises(UserError, match="oracle.learning_rate") as caught:
        experiment_of(setting, settings=oracle)
    assert f"{setting} would have no effect" in str(caught.value)


def test_scikit_learn_is_not_to_be_compiled():
    with pytest.raises(UserError, match="training.compile = False"):
        experiment_of("method.name = 'rfs'", "training.compile = True")


def test_a_method_that_is_not_known_is_refused_with_those_that_are():
    with pytest.raises(UserError, match="'prototypical', 'maml', 'rfs', 'oracle'"):
        experiment_of("method.name = 'proto'")


@pytest.mark.parametrize("file", ["omniglot_4layer_fast.gin", "paper/omniglot_1shot_logits_only_8ch.gin"])
@pytest.mark.parametrize("method", ["prototypical", "maml"])
def test_a_hypertransformers_file_trains_a_baseline_by_one_binding(file, method):
    assert load_experiment(file, [f"method.name = '{method}'"]).method.name == method


def test_the_method_is_kept_with_the_run(tmp_path):
    experiment = load_experiment(None, [*SMALL, "method.name = 'maml'", "maml.inner_steps = 2"])
    assert experiment.effective()["maml"]["inner_steps"] == 2
    (tmp_path / "kept.gin").write_text(experiment.text())
    assert load_experiment(str(tmp_path / "kept.gin")) == experiment
