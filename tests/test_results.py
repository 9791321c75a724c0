"""Claims about the JSON files of rows."""

import pytest
from small_results import RESULTS, row_result, seed_result

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.reproduction.results import (
    best_known,
    budgets_in,
    read_result,
    read_results,
    result_file,
    write_result,
)


def save(folder, *results):
    for result in results:
        write_result(result_file(folder, result.budget, result.row), result)


def test_what_is_written_is_read_again(tmp_path):
    save(tmp_path, *RESULTS.values())
    assert read_results(tmp_path, "100_steps") == RESULTS
    assert budgets_in(tmp_path) == ["100_steps"]
    assert read_result(tmp_path / "gone.json") is None and read_results(tmp_path, "full") == {}


def test_a_damaged_result_is_named(tmp_path):
    for text in ("", "{}", "[]", '{"seeds": [{"seed": 1}]}'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UserError, match="a.json.*remove it"):
            read_result(tmp_path / "a.json")


def test_the_mean_is_over_seeds_and_the_interval_over_the_episodes_of_all():
    result = RESULTS["a"]
    assert result.accuracy == pytest.approx(91.0) and result.spread == pytest.approx((90, 92))
    assert result.interval == pytest.approx(0.5)  # half of sqrt(0.6^2 + 0.8^2)
    assert result.train_accuracy == pytest.approx(96.0)
    assert row_result("x", seed_result(train_accuracy=0.5), seed_result(1)).train_accuracy is None


def test_of_several_budgets_the_longest_training_counts(tmp_path):
    short, long = (row_result("a", seed_result(steps=n), budget=f"{n}_steps") for n in (900, 1000))
    save(tmp_path, short, long, row_result("b", budget="full", state="failed"))
    assert best_known(tmp_path) == {"a": long}
