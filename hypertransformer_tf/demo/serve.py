"""Serving the page on this machine: what bin/demo calls."""

import importlib.util
import os
import pathlib
import tempfile
from typing import Callable

from hypertransformer_tf.deployment.default_model import DEFAULT_MODEL
from hypertransformer_tf.deployment.trained_models import find_model
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.quiet_import import import_quietly

# Gradio and the hub's client, which it brings, otherwise report their use.
_SILENT = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


def serve(
    model: str = DEFAULT_MODEL,
    host: str = "127.0.0.1",
    port: int = 7860,
    report: Callable[[str], None] = lambda sentence: print(sentence, flush=True),
) -> None:
    """Serves the page until Ctrl-C. Nothing is sent anywhere else, and no file is left behind.

    Args:
      model: a trained, inductive one: a preset's name, or the directory of a preset or a run.
      host: name or address of the network interface; 127.0.0.1 is reached from this machine only.
      port: to listen on.
      report: gets the page's address once it answers.

    Raises:
      UserError: Gradio is missing, the model cannot be used, or host and port cannot be listened on.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError(
            'bin/demo needs the package gradio, which is not installed: pip install -e ".[demo]" in a clone.'
        )
    find_model(model)
    with tempfile.TemporaryDirectory(prefix="hypertransformer-demo-") as folder:
        os.environ.update(_SILENT, GRADIO_TEMP_DIR=folder)  # read when gradio is imported
        import_quietly("tensorflow")
        import gradio as gr

        from hypertransformer_tf.demo.page import Page, build_page

        # Gradio's own fonts come with it; its fallbacks are the system's.
        blocks = build_page(Page(model, pathlib.Path(folder)))
        try:
            blocks.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                footer_links=[],
                ssr_mode=False,
                theme=gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("monospace",)),
            )
        except OSError as error:
            raise UserError(f"{host}:{port} cannot be listened on ({error}): give another --port or --host.") from error
        try:
            report(f"http://{host}:{port} is the page; Ctrl-C ends it.")
            blocks.block_thread()
        finally:
            blocks.close(verbose=False)
