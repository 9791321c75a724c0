"""The page itself: what is on it, and what happens when something on it is used.

Every event is a method of `Page` that takes and returns plain values, with errors as a sentence in the message line.
"""

import pathlib
from typing import Any, Mapping, Optional, Sequence

import gradio as gr

from hypertransformer_tf.demo.classifier import class_probabilities, generate_classifier, pack_classifier, verdict
from hypertransformer_tf.demo.named_classes import NamedClasses, add_class, add_pictures, remove_class
from hypertransformer_tf.demo.pictures import picture_of_sketch, pictures_of_files
from hypertransformer_tf.deployment.few_shot_classifier import FewShotClassifier
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.deployment.trained_models import load_model
from hypertransformer_tf.errors import SaveError, UserError

_SIDE = 280  # pixels of a sketch pad
_STROKE = 12
_ABOUT = """# A classifier from a few pictures
Draw or drop a picture or more into each of two classes or more and press *Generate*: a transformer looks at them once
and writes the weights of a small network. Then draw another."""

# A pad draws nothing until its brush is taken up: when it is new, and again whenever it was emptied.
_TAKE_BRUSHES = """() => setInterval(() => {
  for (const pad of document.querySelectorAll("#support_pad, #query_pad")) {
    const brush = pad.querySelector("[aria-label='Brush']");
    if (brush && !pad.querySelector("button.highlight")) brush.click();
  }
}, 300)"""

# The pad keeps a drawing when its value is set to None, as that is what it was before.
_CLEAR_WHAT_WAS_ADDED = """(said) => {
  if (/^Class .* has \\d+ pictures?\\.$/.test(said))
    document.querySelector("#support_pad button[aria-label='Clear canvas']")?.click();
}"""

Sketch = Optional[Mapping[str, Any]]


class Page:
    """The page's events.

    Args:
      model: as `FewShotClassifier` takes it.
      folder: where files for downloading are written.
    """

    def __init__(self, model: Any, folder: pathlib.Path):
        height, _, channels = load_model(model).model.image_shape
        self._model, self._folder, self._preprocessing = model, folder, Preprocessing(height, channels)

    def add(self, classes: NamedClasses, name: str, sketch: Sketch, files: Optional[Sequence[str]]) -> tuple:
        """The drawing and the dropped files come into the class of this name; without any, it is only made.

        Returns:
          classes, their pictures for the gallery, the files, the message.
        """
        try:
            drawn = picture_of_sketch(sketch, self._preprocessing)
            pictures = [] if drawn is None else [drawn]
            pictures += pictures_of_files(files, self._preprocessing)
            classes = add_pictures(add_class(classes, name), name, pictures)
        except UserError as error:
            return classes, _shown_pictures(classes), gr.skip(), str(error)
        count = len(classes[name.strip()])
        said = f"Class {name.strip()!r} has {count} picture{'' if count == 1 else 's'}."
        return classes, _shown_pictures(classes), None, said

    def remove(self, classes: NamedClasses, name: str) -> tuple:
        """Takes the class of this name away: classes, pictures for the gallery, message."""
        try:
            classes = remove_class(classes, name)
        except UserError as error:
            return classes, _shown_pictures(classes), str(error)
        return classes, _shown_pictures(classes), f"Class {name.strip()!r} is removed."

    def generate(self, classes: NamedClasses, sketch: Sketch) -> tuple:
        """Generates: the classifier (None if that is not possible), what it says of the drawing, the message."""
        try:
            classifier, said = generate_classifier(classes, self._model)
        except UserError as error:
            return None, "", None, str(error)
        return classifier, *self.ask(classifier, sketch), said

    def ask(self, classifier: Optional[FewShotClassifier], sketch: Sketch) -> tuple[str, Optional[dict[str, float]]]:
        """The class of the drawing, or "none of these", and the classes' probabilities; "" and None without either."""
        picture = picture_of_sketch(sketch, self._preprocessing)
        if classifier is None or picture is None:
            return "", None
        probabilities = class_probabilities(classifier, picture)
        return verdict(classifier, picture), probabilities

    def pack(self, classifier: Optional[FewShotClassifier], said: str) -> tuple:
        """The button that downloads the classifier, and the message."""
        if classifier is None:
            return gr.DownloadButton(value=None, interactive=False), said
        try:
            path = pack_classifier(classifier, self._folder)
        except (UserError, SaveError) as error:
            return gr.DownloadButton(value=None, interactive=False), str(error)
        return gr.DownloadButton(value=str(path), interactive=True), said


def _shown_pictures(classes: NamedClasses) -> list[tuple]:
    return [(picture.squeeze(), name) for name, pictures in classes.items() for picture in pictures]


def _pad(label: str, name: str) -> gr.Sketchpad:
    return gr.Sketchpad(
        label=label,
        elem_id=name,
        type="numpy",
        canvas_size=(_SIDE, _SIDE),
        fixed_canvas=True,
        height=_SIDE + 120,
        layers=False,
        transforms=(),
        brush=gr.Brush(default_size=_STROKE, colors=["#000000"], default_color="#000000", color_mode="fixed"),
        format="png",
    )


def build_page(page: Page) -> gr.Blocks:
    """Lays the page out and connects its parts to the events."""
    with gr.Blocks(title="HyperTransformer", analytics_enabled=False) as blocks:
        classes, classifier = gr.State({}), gr.State(None)
        gr.Markdown(_ABOUT)
        message = gr.Textbox(label="Message", elem_id="message", interactive=False)
        with gr.Row():
            with gr.Column():
                name = gr.Textbox(label="Class", placeholder="its name", elem_id="class_name")
                pad = _pad("Draw a picture of it", "support_pad")
                files = gr.File(label="or drop pictures", file_count="multiple", elem_id="files", height=140)
                with gr.Row():
                    add = gr.Button("Add to class", elem_id="add")
                    remove = gr.Button("Remove class", elem_id="remove")
            with gr.Column():
                gallery = gr.Gallery(
                    label="Classes",
                    elem_id="classes",
                    columns=6,
                    height=_SIDE,
                    object_fit="contain",
                    fit_columns=False,
                    allow_preview=False,
                    interactive=False,
                    format="png",
                )
                generate = gr.Button("Generate", variant="primary", elem_id="generate")
                download = gr.DownloadButton("Download the classifier (zip)", interactive=False, elem_id="download")
            with gr.Column():
                query = _pad("Draw another", "query_pad")
                answer = gr.Textbox(label="Answer", elem_id="answer", interactive=False)
                label = gr.Label(label="Probabilities", elem_id="probabilities", show_heading=False)
        # Not for programs: these have the library. And without a veil over what is on the page.
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        # A click that follows at once counts too.
        each: dict[str, Any] = {**quiet, "trigger_mode": "multiple"}
        added = add.click(page.add, [classes, name, pad, files], [classes, gallery, files, message], **each)
        added.then(None, message, None, js=_CLEAR_WHAT_WAS_ADDED)
        remove.click(page.remove, [classes, name], [classes, gallery, message], **each)
        generated = generate.click(
            page.generate, [classes, query], [classifier, answer, label, message], api_visibility="private"
        )
        generated.then(page.pack, [classifier, message], [download, message], **quiet)
        blocks.load(None, js=_TAKE_BRUSHES)
        query.change(page.ask, [classifier, query], [answer, label], trigger_mode="always_last", **quiet)
    return blocks
