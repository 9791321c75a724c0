"""Claims about the index of the paper's rows."""

import dataclasses

import pytest
from small_results import ROWS

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.gin_files import nearest
from hypertransformer_tf.reproduction.index import columns_of, in_parts, index_text, read_index, select_rows


def test_what_is_written_is_read_again(tmp_path):
    rows = [dataclasses.replace(ROWS[0], note='with "quotes", commas'), *ROWS[1:]]
    (tmp_path / "index.csv").write_text(index_text(rows))
    assert read_index(tmp_path / "index.csv") == rows


@pytest.mark.parametrize("text, told", [("a,b\n1,2\n", "must have the columns file, table"), (None, "cannot be read")])
def test_a_file_that_is_no_index_is_named(tmp_path, text, told):
    if text:
        (tmp_path / "index.csv").write_text(text)
    with pytest.raises(UserError, match=told):
        read_index(tmp_path / "index.csv")


def test_a_line_with_a_value_too_many_is_named(tmp_path):
    (tmp_path / "index.csv").write_text(index_text(ROWS[:1]) + "x" + "," * 30 + "\n")
    with pytest.raises(UserError, match="line 3"):
        read_index(tmp_path / "index.csv")


def test_rows_are_chosen_by_table_figure_and_file_together():
    rows = [dataclasses.replace(ROWS[0], table="t", figure="f"), *ROWS[1:]]
    assert select_rows(rows) == rows
    assert select_rows(rows, tables=["t"]) == select_rows(rows, figures=["f"]) == rows[:1]
    assert select_rows(rows, tables=["t"], files=["gin/paper/c.gin", "b"]) == rows[:3]


@pytest.mark.parametrize("kind", ["tables", "figures", "files"])
def test_a_name_that_is_not_there_is_answered_with_the_nearest(kind):
    name = {"tables": "tabel_1", "figures": "chanels", "files": "omniglot_1shot_al_layers_8ch"}[kind]
    expected = {"tables": "table_1", "figures": "channels", "files": "omniglot_1shot_all_layers_8ch"}[kind]
    with pytest.raises(UserError, match=f"{name}.*did you mean .*{expected}"):
        select_rows(read_index(), **{kind: [name]})


def test_numbers_are_ordered_by_size_and_words_as_they_come():
    assert columns_of(ROWS[:4]) == ["8", "16"]
    assert columns_of([ROWS[4], *ROWS[:2]]) == ["none", "16", "8"]


def test_parts_keep_the_order():
    assert {name: len(rows) for name, rows in in_parts(ROWS, lambda row: row.panel).items()} == {
        "Omniglot": 4,
        "FC100": 1,
    }


@pytest.mark.parametrize(
    "wrong, says",
    [
        ("row_04x", "; did you mean row_04"),
        ("RARE", "; did you mean a_rare_one"),  # a part of a name is not like it, but what was meant
        ("q", "; there are 41, such as a_rare_one, row_00, row_01"),
        ("", "; there are 41, such as a_rare_one, row_00, row_01"),
    ],
)
def test_of_many_names_only_those_that_help_are_listed(wrong, says):
    answer = nearest(wrong, {"a_rare_one", *(f"row_{number:02}" for number in range(40))})
    assert answer.startswith(says)


def test_of_few_names_all_are_listed_where_none_is_like_it():
    assert nearest("q", {"b", "a"}) == "; there are a, b"
