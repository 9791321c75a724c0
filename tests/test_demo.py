"""bin/demo, and the page in a real browser without a window: draw, generate, ask, download."""

import importlib.util
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile

import pytest
from small_runs import ROOT, own_configuration

from hypertransformer_tf.commands import demo as command

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 120
TEE = [[(0.3, 0.3), (0.7, 0.3)], [(0.5, 0.3), (0.5, 0.7)]]
SLASH = [[(0.3, 0.7), (0.7, 0.3)]]


def _run(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["bin/demo", *flags])
    with own_configuration():
        return command.main()


def test_help_is_quick_and_needs_no_tensorflow():
    program = (
        "import sys; sys.argv = ['bin/demo', '--help']\n"
        "from hypertransformer_tf.commands import demo\n"
        "try:\n    demo.main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'tensorflow', 'keras', 'gradio'} & set(sys.modules)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--port" in done.stdout and "127.0.0.1" in done.stdout
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--port=0"], "'0' is not a whole number of at least 1"),
        (["--port=65536"], "'65536' is not a port"),
        (["--model=nowhere"], "'nowhere' is no model"),
        (["--prot=8000"], "did you mean --port"),
    ],
)
def test_bad_input_is_one_sentence(monkeypatch, capsys, flags, said):
    pytest.importorskip("gradio")
    assert _run(monkeypatch, *flags) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "gradio" else real(name, *more))
    assert _run(monkeypatch) == 2
    assert 'pip install -e ".[demo]"' in capsys.readouterr().err


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a page that bin/demo serves; at its end, that it leaves nothing behind."""
    pytest.importorskip("gradio")
    port, folder = _free_port(), tmp_path_factory.mktemp("temporary")
    start = [sys.executable, "-m", "hypertransformer_tf.commands.demo", f"--port={port}"]
    with subprocess.Popen(
        ["env", f"TMPDIR={folder}", *start], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            said = process.stdout.readline()
            assert said == f"http://127.0.0.1:{port} is the page; Ctrl-C ends it.\n"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
    assert list(folder.glob("hypertransformer-demo-*")) == []


@pytest.fixture
def browser():
    if BROWSER is None:
        pytest.skip("needs a chromium on PATH")
    playwright = pytest.importorskip("playwright.sync_api")
    # A drawing surface without a graphics card; the sandbox asks for rights that containers lack.
    options = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=BROWSER, args=options)
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(1000 * SECONDS)
        yield page
        chromium.close()


class _Visitor:
    """What a person does on the page."""

    def __init__(self, page, address):
        self.page, self.asked = page, []
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        self.wait_for_brush("query_pad")

    def wait_for_brush(self, pad):
        self.page.wait_for_selector(f"#{pad} button[aria-label='Brush'].highlight")
        self.page.wait_for_timeout(500)  # the pad may still be growing

    def draw(self, pad, strokes):
        self.wait_for_brush(pad)
        box = self.page.locator(f"#{pad} canvas").first.bounding_box()
        for stroke in strokes:
            points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
            self.page.mouse.move(*points[0])
            self.page.mouse.down()
            for point in points[1:]:
                self.page.mouse.move(*point, steps=8)
            self.page.mouse.up()
            self.page.wait_for_timeout(200)

    def add(self, name, strokes=(), file=None):
        self.draw("support_pad", strokes)
        if file is not None:
            self.page.locator("#files input[type=file]").set_input_files(str(file))
            self.page.wait_for_selector(f"#files :text('{file.stem}')")
        self.page.locator("#class_name :is(input, textarea)").fill(name)
        self.page.click("#add")

    def wait_for(self, text, element="message"):
        self.page.wait_for_function(
            "([name, text]) => document.querySelector(`#${name} :is(input, textarea)`).value.includes(text)",
            arg=[element, text],
        )

    def probabilities(self):
        """What the page shows, as {class: percent}."""
        text = self.page.locator("#probabilities").inner_text()
        return {name: int(percent) for name, percent in re.findall(r"^(tee|slash)\n+(\d+)%$", text, re.MULTILINE)}


@pytest.mark.slow
def test_draw_generate_ask_and_download_in_a_browser(served, browser, tmp_path):
    visitor = _Visitor(browser, served)
    visitor.add("tee", TEE)
    visitor.wait_for("Class 'tee' has 1 picture.")
    browser.click("#generate")
    visitor.wait_for("There is one class only, 'tee'")
    visitor.add("slash", SLASH)
    visitor.wait_for("Class 'slash' has 1 picture.")
    browser.click("#generate")
    visitor.wait_for("Generated from 2 pictures of 2 classes")

    visitor.draw("query_pad", [[(0.32, 0.66), (0.66, 0.34)]])
    visitor.wait_for("slash", "answer")
    first = visitor.probabilities()
    assert first["slash"] > 50 and first["slash"] + first["tee"] in (99, 100, 101)
    browser.click("#query_pad button[aria-label='Clear canvas']")
    visitor.draw("query_pad", TEE)
    visitor.wait_for("tee", "answer")
    assert visitor.probabilities()["tee"] > 50

    with browser.expect_download() as download:
        browser.click("#download:not([disabled])")
    assert download.value.suggested_filename == "classifier.zip"
    download.value.save_as(tmp_path / "classifier.zip")
    with zipfile.ZipFile(tmp_path / "classifier.zip") as archive:
        assert {"classifier/card.json", "classifier/labels.txt", "classifier/classifier.keras"} <= set(
            archive.namelist()
        )
        assert archive.read("classifier/labels.txt").decode().split() == ["slash", "tee"]
    assert visitor.asked and not [url for url in visitor.asked if not url.startswith((served, "data:", "blob:"))]


@pytest.mark.slow
def test_errors_stand_on_the_page_as_a_sentence(served, browser, tmp_path):
    visitor = _Visitor(browser, served)
    browser.click("#generate")
    visitor.wait_for("There is no class yet: a classifier needs pictures of at least 2 classes.")
    visitor.add("empty")
    visitor.wait_for("Class 'empty' has 0 pictures.")
    (tmp_path / "notes.png").write_text("no picture")
    visitor.add("tee", file=tmp_path / "notes.png")
    visitor.wait_for("notes.png")
    browser.click("#files button[aria-label='Clear']")
    visitor.add("tee", TEE)
    visitor.wait_for("Class 'tee' has 1 picture.")
    browser.click("#generate")
    visitor.wait_for("Class 'empty' has no picture")
    for number in range(19):
        visitor.add(f"class {number}")
        visitor.wait_for(f"Class 'class {number}' has 0 pictures.")
    browser.click("#generate")
    visitor.wait_for("There are 21 classes and the model tells at most 20 apart")
