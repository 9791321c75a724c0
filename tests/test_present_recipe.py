"""Whether a row's models were trained as they would be today: by their steps, their method and what they noted."""

import pytest

from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.present_recipe import is_outdated, present_recipe
from hypertransformer_tf.reproduction.results import DONE, RowResult, SeedResult

TRAINED, NOT_TRAINED = "paper/omniglot_5shot_logits_only_4ch.gin", "paper/omniglot_1shot_pixels.gin"


def result(recipe, steps):
    seed = SeedResult(0, steps, 8 * steps, 0.5, 0.01, None, None, "", "", "", {}, recipe)
    return RowResult("row", "budget", DONE, "", (seed,))


@pytest.mark.parametrize(
    "file, budget, noted_steps, composed_steps",
    [
        (TRAINED, Budget(steps=40), 40, 40),
        (TRAINED, Budget(minutes=10), 123, 123),  # of the machine that it was trained on
        (TRAINED, Budget(), 4_000_000, None),
        (NOT_TRAINED, Budget(minutes=10), 0, None),
    ],
)
def test_a_model_of_today_s_recipe_is_not_outdated_and_of_another_is(file, budget, noted_steps, composed_steps):
    today = present_recipe(file, composed_steps, load_experiment(file))
    assert not is_outdated(result(today, noted_steps), file, budget)
    assert is_outdated(result("another", noted_steps), file, budget)


def test_of_a_model_that_noted_no_recipe_it_cannot_be_said():
    assert not is_outdated(result(None, 40), TRAINED, Budget(steps=40))
