"""The page's events, called as the browser would have them called: what comes back, and errors as one sentence."""

import pathlib

import numpy as np
import pytest
from PIL import Image
from small_classifier import draw, make_inductive_model

gr = pytest.importorskip("gradio")

from hypertransformer_tf.demo.page import Page, build_page  # noqa: E402


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return Page(make_inductive_model(), tmp_path_factory.mktemp("downloads"))


def _sketch(label, sample=0):
    pixels = np.zeros((160, 160, 4), np.uint8)
    pixels[..., 3] = 255 - np.kron(draw(label, sample), np.ones((10, 10), np.uint8))
    return {"composite": pixels}


@pytest.fixture(scope="module")
def classes(page):
    classes = {}
    for label, name in enumerate(("one", "two")):
        classes = page.add(classes, name, _sketch(label), None)[0]
    return classes


def test_a_drawing_and_dropped_files_come_into_the_class(page, tmp_path):
    Image.fromarray(draw(0, 1)).save(tmp_path / "dropped.png")
    classes, gallery, files, said = page.add({}, "one", _sketch(0), [str(tmp_path / "dropped.png")])
    assert len(classes["one"]) == 2 and said == "Class 'one' has 2 pictures."
    assert [name for _, name in gallery] == ["one", "one"] and gallery[0][0].shape == (16, 16)
    assert files is None


def test_what_was_drawn_stays_when_it_cannot_be_added(page):
    classes, gallery, files, said = page.add({}, "", _sketch(0), None)
    assert classes == {} and gallery == [] and said.startswith("The class has no name")
    assert files == gr.skip()


def test_a_class_is_removed(page, classes):
    left, gallery, said = page.remove(classes, "one")
    assert list(left) == ["two"] and len(gallery) == 1 and said == "Class 'one' is removed."
    assert page.remove(left, "one")[::2] == (
        left,
        "There is no class 'one' to be removed: type the name of one that is there.",
    )


def test_generating_answers_about_the_drawing_that_is_there(page, classes):
    classifier, answer, probabilities, said = page.generate(classes, _sketch(1, 5))
    assert set(probabilities) == {"one", "two"} and answer in ("one", "two", "none of these")
    assert said.startswith("Generated from 2 pictures of 2 classes")
    assert page.ask(classifier, _sketch(1, 5)) == (answer, probabilities)
    assert page.ask(classifier, None) == ("", None)
    assert page.ask(None, _sketch(1)) == ("", None)


@pytest.mark.parametrize(
    "names, said",
    [
        ([], "There is no class yet"),
        (["one"], "one class only, 'one'"),
        (["one", "empty"], "Class 'empty' has no picture"),
        (["one", "a", "b", "c", "d"], "5 classes and the model tells at most 4 apart"),
    ],
)
def test_what_cannot_be_generated_from_is_said(page, classes, names, said):
    wanted = {name: classes.get(name, ()) for name in names}
    classifier, answer, probabilities, message = page.generate(wanted, _sketch(0))
    assert classifier is None and answer == "" and probabilities is None
    assert said in message and "\n" not in message


def test_the_button_downloads_what_was_generated(page, classes, monkeypatch):
    monkeypatch.setattr("hypertransformer_tf.demo.classifier.available_formats", lambda: ["keras"])
    button, said = page.pack(None, "said before")
    assert button.interactive is False and said == "said before"
    button, said = page.pack(page.generate(classes, None)[0], "said before")
    assert button.interactive and said == "said before"
    value = button.value["path"] if isinstance(button.value, dict) else button.value
    assert pathlib.Path(value).name == "classifier.zip"


def test_the_page_can_be_laid_out_and_reports_nothing(page):
    blocks = build_page(page)
    assert blocks.analytics_enabled is False
    found = {block.elem_id for block in blocks.blocks.values() if getattr(block, "elem_id", None)}
    assert {"class_name", "support_pad", "add", "generate", "query_pad", "probabilities", "download"} <= found
