"""Claims about the names of configurations."""

from small_runs import own_configuration

from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.reproduction.recipe_digest import recipe_digest

ROW = "paper/omniglot_1shot_all_layers_4ch.gin"


def digest(*bindings, **settings):
    with own_configuration():
        return recipe_digest(load_experiment(ROW, bindings, **settings).effective())


def test_the_seed_and_where_data_lies_make_no_other_recipe():
    assert digest(seed=3, data_dir="/elsewhere") == digest()


def test_a_setting_makes_another_recipe_and_a_default_that_is_set_does_not():
    assert digest("optimizer.learning_rate = 0.5") != digest()
    assert digest(steps=7) != digest()
    assert digest("transformer.attention_scale = 1.0") == digest()


def test_a_parameter_that_an_earlier_version_did_not_know_makes_no_other_recipe():
    with own_configuration():
        effective = load_experiment(ROW).effective()
    old = {name: dict(values) for name, values in effective.items()}
    del old["transformer"]["attention_scale"]
    assert recipe_digest(old) == recipe_digest(effective)
