"""bin/generate and the function behind it."""

import json
import re
import shutil
import subprocess
import sys
import time
import warnings

import pytest
from PIL import Image
from small_classifier import SHAPE, draw, make_inductive_model, save_drawings, save_small_preset
from small_model import make_model
from small_runs import ROOT, own_configuration

from hypertransformer_tf.commands import generate as command
from hypertransformer_tf.deployment.classifier_folder import read_classifier
from hypertransformer_tf.deployment.generate import generate
from hypertransformer_tf.errors import UserError

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return save_small_preset(tmp_path_factory.mktemp("presets") / "small preset")


@pytest.fixture
def pictures(tmp_path):
    return save_drawings(tmp_path / "pictures")


def _run(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["bin/generate", *map(str, flags)])
    with own_configuration():
        return command.main()


@pytest.mark.slow
def test_the_files_are_read_without_the_library_as_the_documentation_says(pictures, tmp_path):
    pytest.importorskip("onnxruntime")
    out = tmp_path / "classifier"
    generate(pictures, out, "drawings")
    shutil.copy(next(pictures.rglob("*.png")), out / "new_picture.png")
    text = (ROOT / "docs" / "classifiers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if "saved_model.load" in block]
    assert "hypertransformer" not in code
    done = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] in ("one bar", "zwei Bäume", "三")


def test_a_folder_becomes_a_classifier(preset, pictures, tmp_path, monkeypatch, capsys):
    out = tmp_path / "a classifier"
    flags = (f"--support={pictures}", f"--out={out}", f"--model={preset}", "--formats=onnx,tflite")
    assert _run(monkeypatch, *flags) == 0
    said = capsys.readouterr()
    assert said.err == "" and f"{out}: 3 classes from 9 pictures, by small preset" in said.out
    assert "accuracy on 9 left-out pictures" in said.out and "classifier.tflite" in said.out
    assert "after setting the temperature, on 9 left-out pictures\n" in said.out
    classifier = read_classifier(out)
    assert set(classifier.card["classes"]) == {"one bar", "zwei Bäume", "三"}
    assert classifier.card["model"]["name"] == "small preset" and len(classifier.card["model"]["sha256"]) == 64


@pytest.mark.slow
def test_the_seconds_of_the_forward_pass_are_printed_and_noted_in_the_card(pictures, tmp_path):
    result = generate(pictures, tmp_path / "out", make_inductive_model(), formats=["onnx"])
    assert result.card["generation"] == {
        "seconds": result.seconds,
        "preparation_seconds": result.preparation_seconds,
    }
    assert 0 < result.seconds < result.preparation_seconds
    assert f"weights generated in {1000 * result.seconds:.0f} ms, after" in str(result)


@pytest.mark.slow
def test_what_is_said_of_the_probabilities_tells_copies_from_left_out_pictures(tmp_path):
    pictures = save_drawings(tmp_path / "pictures", samples=1)
    result = generate(pictures, tmp_path / "out", make_inductive_model(), formats=["onnx"])
    found = result.card["calibration"]
    before, after = (found[f"expected_calibration_error_{when}"] for when in ("before", "after"))
    assert f"error {before:.3f} before and {after:.3f} after" in str(result)
    assert "on 12 moved copies of the support pictures" in str(result) and "left-out" not in str(result)


def test_pillows_own_warning_of_large_pictures_is_not_shown(preset, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # the pictures have 256
    flags = (f"--support={pictures}", f"--out={tmp_path / 'out'}", f"--model={preset}", "--formats=onnx")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert _run(monkeypatch, *flags) == 0
    assert not [each for each in shown if issubclass(each.category, Image.DecompressionBombWarning)]


def test_unlabelled_pictures_are_part_of_the_support_set(preset, pictures, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    for sample in range(4):
        Image.fromarray(draw(1, 10 + sample)).save(more / f"{sample}.png")
    plain = generate(pictures, tmp_path / "plain", preset, formats=["onnx"])
    joint = generate(pictures, tmp_path / "joint", preset, unlabelled=more, formats=["onnx"])
    assert "9 pictures and 4 unlabelled" in str(joint) and "9 pictures, by" in str(plain)
    assert [entry["class"] for entry in joint.card["support"]][9:] == [""] * 4
    weights = [(tmp_path / name / "weights.npz").read_bytes() for name in ("plain", "joint")]
    assert weights[0] != weights[1]


def test_a_model_in_memory_will_do(pictures, tmp_path):
    result = generate(pictures, tmp_path / "out", make_inductive_model(), formats=["onnx"])
    assert result.card["model"] == {"name": "small", "sha256": None} and result.seconds > 0


def test_what_exists_is_replaced_only_when_asked(preset, pictures, tmp_path, monkeypatch, capsys):
    flags = (f"--support={pictures}", f"--out={tmp_path / 'out'}", f"--model={preset}", "--formats=onnx")
    assert _run(monkeypatch, *flags) == 0
    first = (tmp_path / "out" / "card.json").stat().st_ino
    capsys.readouterr()
    assert _run(monkeypatch, *flags) == 2
    assert "exists already" in capsys.readouterr().err
    assert _run(monkeypatch, *flags, "--overwrite") == 0
    assert (tmp_path / "out" / "card.json").stat().st_ino != first


def test_something_else_is_never_replaced(preset, pictures, tmp_path):
    with pytest.raises(UserError, match="holds no card.json"):
        generate(pictures, pictures, preset, overwrite=True)
    assert len(list(pictures.iterdir())) == 3


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--formats=coreml"], "'coreml' is not known"),
        (["--formats="], "no format is given"),
        (["--model=nowhere"], "'nowhere' is no model"),
        (["--support=nowhere"], "nowhere does not exist"),
        (["--unlabelled=nowhere"], "nowhere does not exist"),
        (["--formts=onnx"], "did you mean --formats"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(preset, pictures, tmp_path, monkeypatch, capsys, flags, said):
    start = [f"--support={pictures}", f"--out={tmp_path / 'out'}", f"--model={preset}"]
    before = sorted(tmp_path.rglob("*"))
    assert _run(monkeypatch, *start, *flags) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_more_classes_than_the_model_has_labels_are_refused(preset, tmp_path):
    pictures = save_drawings(tmp_path / "pictures", names=[f"class {index}" for index in range(5)], samples=1)
    with pytest.raises(UserError, match="5 classes and the model tells at most 4 apart"):
        generate(pictures, tmp_path / "out", preset)


def test_a_transductive_model_is_refused(pictures, tmp_path):
    with pytest.raises(UserError, match="'query'"):
        generate(pictures, tmp_path / "out", make_model(), formats=["onnx"])
    assert not (tmp_path / "out").exists()


def test_a_broken_file_is_named_and_the_rest_is_used(preset, pictures, tmp_path, capsys):
    (pictures / "one bar" / "broken.png").write_bytes(b"no picture")
    result = generate(pictures, tmp_path / "out", preset, formats=["onnx"])
    assert "broken.png" in capsys.readouterr().err and len(result.card["support"]) == 9


def test_the_card_names_the_ground_that_pictures_must_have_and_a_mixed_one_is_said(pictures, tmp_path, capsys):
    preset = save_small_preset(tmp_path / "preset", "dark")
    result = generate(pictures, tmp_path / "out", preset, formats=["onnx"])
    assert result.card["background"] == "light" and result.card["preprocessing"]["invert"]
    assert capsys.readouterr().err == ""
    Image.fromarray(255 - draw(0, 0)).save(pictures / "one bar" / "0.png")
    result = generate(pictures, tmp_path / "mixed", preset, formats=["onnx"])
    assert result.card["background"] is None
    assert "Some pictures have light ground and some dark" in capsys.readouterr().err


def test_the_card_is_json_that_every_reader_takes(preset, pictures, tmp_path):
    generate(pictures, tmp_path / "out", preset, formats=["tflite_int8"])
    text = (tmp_path / "out" / "card.json").read_text()
    card = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert card["preprocessing"]["image_size"] == SHAPE[0] and card["background"] is None


def test_help_and_wrong_flags_need_no_tensorflow():
    import subprocess

    program = (
        "import sys; sys.argv = ['bin/generate', {!r}]\n"
        "from hypertransformer_tf.commands import generate\n"
        "try:\n    status = generate.main()\nexcept SystemExit as end:\n    status = end.code\n"
        "assert not {{'tensorflow', 'keras'}} & set(sys.modules)\n"
        "raise SystemExit(status)\n"
    )
    for flag, status in (("--help", 0), ("--sport=x", 2)):
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", program.format(flag)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        assert time.monotonic() - started < 20
    assert (
        "--unlabelled"
        in subprocess.run(
            [sys.executable, "-c", program.format("--help")], cwd=ROOT, capture_output=True, text=True
        ).stdout
    )
