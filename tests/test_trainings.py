"""Claims about the list of trainings."""

import csv
import dataclasses
import io

import pytest
from small_results import RESULTS, row_result, seed_result

from hypertransformer_tf.reproduction.trainings import trainings_csv, trainings_markdown


def lines(results):
    return list(csv.DictReader(io.StringIO(trainings_csv(results))))


def test_every_trained_model_has_a_line_and_rows_without_one_have_none():
    assert [(line["row"], line["seed"]) for line in lines(RESULTS)] == [("a", "0"), ("a", "1"), ("b", "0")]


def test_a_line_says_what_was_spent_and_what_came_of_it():
    line = lines(RESULTS)[1]
    assert (line["steps"], line["episodes"], line["seconds"]) == ("100", "800", "60")
    assert (line["accuracy"], line["interval_95"], line["train_accuracy"]) == ("92.00", "0.80", "97.00")
    assert (line["machine"], line["date"]) == ("a processor, 2 cores", "2024-01-02")


@pytest.mark.parametrize(
    "revision, shown", [("1234567890-dirty", "1234567-dirty"), ("1234567890", "1234567"), (None, "")]
)
def test_a_revision_is_shortened_but_not_what_says_that_it_was_changed(revision, shown):
    seed = dataclasses.replace(seed_result(), versions={"git_revision": revision}, seconds=None)
    line = lines({"a": row_result("a", seed)})[0]
    assert line["revision"] == shown and line["seconds"] == "" and line["train_accuracy"] == ""


def test_the_table_holds_what_the_csv_holds():
    text = trainings_markdown("100_steps", RESULTS)
    assert text.startswith("# Trainings, budget 100 steps\n")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert [name.replace(" ", "_") for name in rows[0]] == list(lines(RESULTS)[0])
    assert rows[2:] == [list(line.values()) for line in lines(RESULTS)]
