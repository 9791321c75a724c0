"""Any number of files are asked about; each answer can be written as text, JSON and CSV."""

import csv
import os

import numpy as np
import pytest
from PIL import Image
from small_classifier import draw, save_drawings, save_small_classifier

from hypertransformer_tf.deployment.answers import Answer, ask, csv_file
from hypertransformer_tf.deployment.classifier_folder import read_classifier
from hypertransformer_tf.deployment.picture_files import find_pictures
from hypertransformer_tf.errors import SaveError, UserError


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return read_classifier(save_small_classifier(tmp_path_factory.mktemp("classifiers") / "small"))


def test_every_file_has_its_own_answer_in_order(classifier, tmp_path):
    files = find_pictures(str(save_drawings(tmp_path, samples=60)))
    (tmp_path / "一.png").write_text("no picture")
    files.insert(100, str(tmp_path / "一.png"))
    answers = list(ask(classifier, iter(files), top=2))
    assert [answer.file for answer in answers] == files
    assert answers[100].error is not None and sum(answer.error is None for answer in answers) == 180
    for answer in (answers[0], answers[101], answers[-1]):
        pixels = np.asarray(Image.open(answer.file))[np.newaxis, :, :, np.newaxis]
        expected = classifier.probabilities(pixels)[0]
        assert answer.probability == pytest.approx(expected.max(), abs=1e-5)
        assert answer.top[0] == (answer.class_name, answer.probability) and len(answer.top) == 2
        assert answer.top[1][1] == pytest.approx(sorted(expected)[-2], abs=1e-5)


def test_files_are_read_as_answers_are_taken(classifier, tmp_path):
    Image.fromarray(draw(0, 0)).save(tmp_path / "a.png")
    endless = iter(lambda: str(tmp_path / "a.png"), None)
    answers = ask(classifier, endless)
    assert all(next(answers).class_name for _ in range(300))
    answers.close()


def test_only_broken_files(classifier, tmp_path):
    (tmp_path / "a.png").touch()
    assert [answer.error is None for answer in ask(classifier, [str(tmp_path / "a.png")])] == [False]


def test_none_of_these_keeps_the_probability_and_the_top(classifier, tmp_path):
    Image.fromarray(draw(0, 0)).save(tmp_path / "a.png")
    (answer,) = ask(classifier, [str(tmp_path / "a.png")], threshold=1.0, top=1)
    assert answer.class_name == "none of these" and answer.to_dict()["class"] is None
    assert answer.top[0][0] in classifier.class_names and answer.top[0][1] == answer.probability


def test_as_text_it_is_one_line_whatever_the_names_are():
    answer = Answer("a\nb.png", "a cat", 0.51239, (("a cat", 0.51239), ("dog", 0.25)))
    assert str(answer) == "a\\nb.png\ta cat\t0.5124\ta cat\t0.5124\tdog\t0.2500"
    assert answer.to_dict()["file"] == "a\nb.png"
    assert answer.to_dict()["top"][1] == {"class": "dog", "probability": 0.25}


def test_the_csv_file_has_the_columns_promised(tmp_path):
    path = tmp_path / "answers.csv"
    with csv_file(str(path), top=2) as write:
        write(Answer('a "b", c\n.png', "Bäume", 0.5, (("Bäume", 0.5), ("dog", 0.25))))
        write(Answer(os.fsdecode(b"\xff.png"), "dog", 0.75, (("dog", 0.75), ("Bäume", 0.125))))
        assert not path.exists()
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "class", "probability", "class_1", "probability_1", "class_2", "probability_2"]
    assert rows[1] == ['a "b", c\n.png', "Bäume", "0.5000", "Bäume", "0.5000", "dog", "0.2500"]
    assert rows[2][0] == "\\udcff.png" and len(rows) == 3
    assert list(tmp_path.iterdir()) == [path]
    with csv_file(str(path), top=0):
        pass
    assert path.read_text() == "file,class,probability\n"


def test_after_an_error_there_is_no_half_csv_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), csv_file(str(tmp_path / "a.csv"), 0):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_csv_file_that_cannot_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "no" / "a.csv"):
        with pytest.raises(UserError, match="--csv="), csv_file(str(path), 0):
            raise AssertionError


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.open", lambda path, *a, _open=open, **k: _open("/dev/full", *a, **k))
    with pytest.raises(SaveError, match="No space left"), csv_file(str(tmp_path / "a.csv"), 0) as write:
        write(Answer("a", "b", 1.0))
