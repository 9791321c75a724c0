"""Claims about tables of results."""

import csv
import dataclasses
import io

from small_results import RESULTS, ROWS

from hypertransformer_tf.reproduction.tables import csv_table, markdown_table


def test_our_numbers_stand_beside_the_papers():
    text = markdown_table("table_1", "100_steps", ROWS, RESULTS)
    assert text.startswith("# table_1, budget 100 steps\n")
    assert "| | 8 | 16 |" in text
    assert (
        "| all layers | 80.0 +- 1.0; paper 87.2 | 91.0 +- 0.5 (seeds 90.0 to 92.0) / 96.0; paper 93.7 / 95.0 |" in text
    )
    assert "| logits only | skipped | - |" in text
    assert "* c: skipped. data is missing." in text and "Measured on: a processor, 2 cores." in text


def test_a_note_is_marked_in_its_cell_and_told_below():
    noted = {**RESULTS, "b": dataclasses.replace(RESULTS["b"], note="an earlier recipe.")}
    text = markdown_table("table_1", "100_steps", ROWS, noted)
    assert "80.0 +- 1.0 *; paper 87.2" in text and "Marked with a star:\n\n* b: an earlier recipe.\n" in text
    assert "star" not in markdown_table("table_1", "100_steps", ROWS, RESULTS)
    assert [line["note"] for line in csv.DictReader(io.StringIO(csv_table(ROWS, noted)))][1] == "an earlier recipe."


def test_the_csv_has_a_line_for_each_row_also_where_nothing_was_run():
    lines = list(csv.DictReader(io.StringIO(csv_table(ROWS, RESULTS))))
    assert [line["file"] for line in lines] == [row.file for row in ROWS]
    assert lines[0]["ours"] == "91.00" and lines[0]["ours_train"] == "96.00" and lines[0]["episodes"] == "800 800"
    assert (lines[0]["worst_seed"], lines[0]["best_seed"], lines[0]["paper_train"]) == ("90.00", "92.00", "95.0")
    assert lines[2]["state"] == "skipped" and lines[2]["ours"] == "" and lines[3]["state"] == ""
