"""Claims about budgets."""

import pytest

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.reproduction.budget import Budget, parse_budget


@pytest.mark.parametrize(
    "text, budget, name",
    [
        ("full", Budget(), "full"),
        ("2000", Budget(steps=2000), "2000_steps"),
        ("2_000 steps", Budget(steps=2000), "2000_steps"),
        ("5min", Budget(minutes=5), "5_minutes"),
        ("0.5 minutes", Budget(minutes=0.5), "0.5_minutes"),
        ("1.5h", Budget(minutes=90), "90_minutes"),
    ],
)
def test_steps_minutes_and_hours_are_read_and_named(text, budget, name):
    assert parse_budget(text) == budget and budget.name == name
    assert parse_budget(name) == budget
    assert budget.is_full == (text == "full")


@pytest.mark.parametrize("text", ["", "0", "-5", "0min", "1.5", "5 days", "ten"])
def test_anything_else_is_refused_with_examples(text):
    with pytest.raises(UserError, match="20min"):
        parse_budget(text)


def test_a_method_that_is_not_meta_trained_has_nothing_to_shorten():
    assert Budget(minutes=3).of_method(is_meta_trained=False) == Budget()
    assert Budget(steps=3).of_method(is_meta_trained=True) == Budget(steps=3)
