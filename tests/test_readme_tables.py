"""Claims about the tables of gin/README.md."""

import pytest
from small_results import RESULTS, ROWS

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.reproduction.readme_tables import BEGIN, END, readme_text, with_our_numbers


def test_only_what_stands_between_the_marks_is_made_anew():
    text = readme_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", ROWS)
    assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"\n{END}\nafter\n") and "old" not in text
    assert readme_text(text, ROWS) == text


def test_a_lost_mark_is_named():
    with pytest.raises(UserError, match="lost its marks"):
        readme_text("no marks", ROWS)


def test_our_numbers_come_from_the_results_and_go_where_there_are_none():
    done = {name: result for name, result in RESULTS.items() if result.seeds}
    rows = with_our_numbers(ROWS, done)
    assert (rows[0].ours, rows[0].interval, rows[0].seeds, rows[0].episodes) == ("91.0", "0.5", "2", "800")
    assert rows[0].paper == "93.7" and rows[0].budget == "100_steps" and rows[0].date == "2024-01-02"
    assert "[93.7, 91.0 +- 0.5 (100 steps)](paper/a.gin)" in readme_text(f"{BEGIN}\n{END}", rows)
    assert with_our_numbers(rows, {}) == ROWS
