"""bin/predict: a line, a JSON object or a CSV row for each picture, and one sentence where something is wrong."""

import csv
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from small_classifier import draw, save_drawings, save_small_classifier
from small_runs import run_command, tree

from hypertransformer_tf.commands import predict

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return str(save_small_classifier(tmp_path_factory.mktemp("classifiers") / "small"))


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """An environment in which importing TensorFlow fails."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "tensorflow.py").write_text("raise RuntimeError('TensorFlow was imported')\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))}


@pytest.fixture
def pictures(tmp_path):
    return save_drawings(tmp_path / "my pictures", names=("a b", "é"), samples=2)


@pytest.fixture
def predicted(classifier, monkeypatch, capsys):
    """Runs the command in this process; (exit status, lines on standard output, standard error)."""

    def run(*flags):
        monkeypatch.setattr(sys, "argv", ["bin/predict", f"--classifier={classifier}", *map(str, flags)])
        status = predict.main()
        out, err = capsys.readouterr()
        return status, out.splitlines(), err

    return run


@pytest.fixture
def refused(without_tensorflow, tmp_path):
    """Runs the command, which must refuse before TensorFlow is imported and write nothing; gives the sentence."""

    def run(*flags):
        before = tree(tmp_path)
        done = run_command("predict", *flags, environment=without_tensorflow)
        assert done.returncode == 2 and done.stdout == "", done.stderr
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
        assert tree(tmp_path) == before
        return done.stderr

    return run


def test_help_is_there_within_two_seconds():
    started = time.monotonic()
    done = subprocess.run([ROOT / "bin" / "predict", "--help"], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 2
    assert all(word in done.stdout for word in ("--classifier", "--top", "--json", "--csv", "--threshold"))


def test_as_a_process_it_prints_answers_and_nothing_else(classifier, pictures):
    done = run_command("predict", f"--classifier={classifier}", pictures)
    assert done.returncode == 0 and done.stderr == ""
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(path) for path in sorted(pictures.rglob("*.png"))]
    assert all(line[1] in ("one bar", "zwei Bäume", "三") and 0 <= float(line[2]) <= 1 for line in lines)


def test_the_k_most_probable_classes_are_named(predicted, pictures):
    status, lines, _ = predicted("--top=9", pictures / "é" / "0.png")
    values = lines[0].split("\t")
    assert status == 0 and len(values) == 3 + 2 * 3 and values[1:3] == values[3:5]
    probabilities = [float(value) for value in values[4::2]]
    assert probabilities == sorted(probabilities, reverse=True) and sum(probabilities) == pytest.approx(1, abs=1e-3)


def test_json_is_one_object_a_line(predicted, pictures):
    status, lines, _ = predicted("--json", "--top=1", "--threshold=1", pictures)
    answers = [json.loads(line) for line in lines]
    assert status == 0 and len(answers) == 4
    assert answers[3]["file"] == str(pictures / "é" / "1.png") and answers[3]["class"] is None
    assert answers[3]["top"] == [{"class": answers[3]["top"][0]["class"], "probability": answers[3]["probability"]}]


def test_a_threshold_of_0_always_gives_a_class(predicted, pictures):
    assert all("\tnone of these\t" in line for line in predicted("--threshold=1", pictures)[1])
    assert not any("none of these" in line for line in predicted("--threshold=0", pictures)[1])


def test_what_the_number_beside_none_of_these_means_is_said(predicted, pictures):
    _, lines, said = predicted("--threshold=1", pictures)
    assert said.startswith("4 of 4 pictures are none of these: ") and said.count("\n") == 1
    assert predicted("--threshold=0", pictures)[2] == ""
    answers = [json.loads(line) for line in predicted("--json", pictures)[1]]
    *others, greatest = sorted(answer["resemblance"] for answer in answers)
    said = predicted(f"--threshold={(others[-1] + greatest) / 2}", pictures)[2]
    found = re.search(r"3 of 4 .* greatest resemblance to a class is ([\d.]+), and ([\d.]+) is asked for", said)
    assert float(found[1]) < float(found[2]) and float(found[1]) == pytest.approx(others[-1], abs=5e-3)


@pytest.mark.parametrize("made_from, asked, warned", [("light", "dark", True), ("light", "light", False)])
def test_pictures_on_the_opposite_ground_are_named(tmp_path, monkeypatch, capsys, made_from, asked, warned):
    classifier = save_small_classifier(tmp_path / "classifier", background=made_from)
    pixels = draw(0, 0) if asked == "light" else 255 - draw(0, 0)
    Image.fromarray(draw(1, 0)).save(tmp_path / "1.png")
    Image.fromarray(pixels).save(tmp_path / "2.png")
    files = [str(tmp_path / name) for name in ("1.png", "2.png")]
    monkeypatch.setattr(sys, "argv", ["bin/predict", f"--classifier={classifier}", *files])
    assert predict.main() == 0
    said = capsys.readouterr().err
    if warned:
        assert said.startswith(f"1 of 2 pictures is on dark ground, first {files[1]}, and the classifier was made from")
    assert (said.count("\n") == 1) == warned
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--json"])
    predict.main()
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["on_other_background"] for answer in answers] == [False, warned]


def test_csv_is_written_beside_what_is_printed(predicted, pictures, tmp_path):
    status, lines, _ = predicted(f"--csv={tmp_path / 'a.csv'}", pictures)
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert status == 0 and rows[0] == ["file", "class", "probability"]
    assert rows[1:] == [line.split("\t") for line in lines]


def test_a_broken_file_is_named_and_the_rest_is_done(predicted, pictures, tmp_path):
    (pictures / "a b" / "0.png").write_text("no picture")
    status, lines, said = predicted("--json", f"--csv={tmp_path / 'a.csv'}", pictures)
    assert status == 1 and len(lines) == 3 and len((tmp_path / "a.csv").read_text().splitlines()) == 4
    first, last = said.splitlines()
    assert first.startswith("Left out: ") and str(pictures / "a b" / "0.png") in first
    assert last == "1 of 4 files were left out."


def test_pictures_of_any_size_and_kind(predicted, tmp_path):
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(tmp_path / "1.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "2.png")
    Image.fromarray(draw(0, 0)).save(tmp_path / "3.gif")
    status, lines, said = predicted(*sorted(tmp_path.iterdir()))
    assert status == 1 and [line.split("\t")[0][-5:] for line in lines] == ["1.png", "3.gif"]
    assert "2.png has more than the 80,000,000 pixels" in said


def test_that_colour_is_lost_is_said_once(predicted, tmp_path):
    for index in range(3):
        Image.new("RGB", (9, 9), (255, 0, index)).save(tmp_path / f"{index}.png")
    status, lines, said = predicted(tmp_path)
    assert status == 0 and len(lines) == 3 and said.count("converted to grey") == said.count("\n") == 1


@pytest.mark.slow
def test_whoever_reads_the_answers_may_stop(classifier, pictures):
    module = "hypertransformer_tf.commands.predict"
    command = [sys.executable, "-m", module, f"--classifier={classifier}", str(pictures)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1 and said == ""


def test_a_picture_that_is_not_there(refused, classifier, tmp_path):
    assert "nothing.png does not exist" in refused(f"--classifier={classifier}", tmp_path / "nothing.png")


def test_a_folder_without_files(refused, classifier, tmp_path):
    assert "There is no file" in refused(f"--classifier={classifier}", tmp_path)


def test_no_classifier(refused, tmp_path, pictures):
    assert "is no classifier" in refused(f"--classifier={tmp_path}", pictures)


def test_a_classifier_that_was_tampered_with(refused, tmp_path, pictures):
    folder = save_small_classifier(tmp_path / "it")
    (folder / "labels.txt").write_text("x\ny\nz\n")
    assert "was changed or is damaged (labels.txt" in refused(f"--classifier={folder}", pictures)


def test_a_csv_file_that_cannot_be_written(refused, classifier, tmp_path, pictures):
    assert "is a folder" in refused(f"--classifier={classifier}", f"--csv={tmp_path}", pictures)


@pytest.mark.parametrize(
    "flags, says",
    [
        ([], "--classifier"),
        (["--classifier=x"], "PICTURE_OR_FOLDER"),
        (["--classifier=x", "p", "--top=0"], "at least 1"),
        (["--classifier=x", "p", "--threshold=1.5"], "'1.5' is not a number from 0 to 1"),
        (["--classifier=x", "p", "--treshold=1"], "did you mean --threshold"),
    ],
)
def test_a_wrong_flag(refused, flags, says):
    assert says in refused(*flags)
