"""The exported models that the tests of serving share, and requests to them."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any, Dict

import numpy as np
import small_model as small

from hypertransformer_tf.deployment.presets import save_preset

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIGNATURES = ("few_shot", "generate", "classify", "few_shot_bytes")
CONFIG = small.changed(
    cnn={"normalisation": "task"}, transformer={"layers": 1}, features={"shared_layers": 0, "local_layers": 1}
)
# What is exported, by its normalisation: the background of the pictures it is said to have been trained with.
BACKGROUNDS = {"task": None, "support": "light"}
# Two tasks: one of three classes, one of two; some samples without label, some ignored.
LABELS = np.array([[0, 1, 2, -1, 2, -1, 0], [1, 1, 0, 1, -1, 0, -1]], np.int32)
MASK = small.MASK.astype(np.int32)
CLASSES = (3, 2)


def make_model(normalisation: str = "task", **changes: Any):
    """A model that is served, in memory."""
    cnn = dataclasses.replace(CONFIG.cnn, normalisation=normalisation)
    return small.make_model(small.changed(**changes) if changes else dataclasses.replace(CONFIG, cnn=cnn))


def support() -> Dict[str, np.ndarray]:
    """Inputs of `generate`."""
    return {"support_images": small.SUPPORT, "support_labels": LABELS, "support_mask": MASK}


def few_shot() -> Dict[str, np.ndarray]:
    """Inputs of `few_shot`."""
    return {**support(), "query_images": small.QUERY}


def exported(normalisation: str = "task") -> pathlib.Path:
    """The SavedModel that bin/export makes of a preset with a model."""
    return _exported(normalisation)


@functools.lru_cache(maxsize=None)
def _exported(normalisation: str) -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp())
    save_preset(make_model(normalisation), folder / "preset", background=BACKGROUNDS[normalisation])
    done = run_export(f"--model={folder / 'preset'}", f"--out={folder / 'served' / '1'}")
    assert done.returncode == 0, done.stderr
    return folder / "served" / "1"


def run_export(*flags: str) -> subprocess.CompletedProcess:
    """bin/export as a process."""
    return run([str(ROOT / "bin" / "export"), *flags], ROOT)


def run(command: Any, folder: pathlib.Path) -> subprocess.CompletedProcess:
    """A process of this Python, or another program, without the notes of TensorFlow."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def description() -> Dict[str, Any]:
    """assets.extra/model.json."""
    return json.loads((exported() / "assets.extra" / "model.json").read_text())
