"""gin/README.md names every configurable and links it to the module that holds it."""

import dataclasses
import pathlib
import re

from hypertransformer_tf.experiment import Experiment

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| `(\w+)` \|.*\]\(\.\./(\S+\.py)\) \|$", re.MULTILINE)


def test_every_configurable_is_listed_with_the_module_that_holds_it():
    text = (ROOT / "gin" / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## What can be configured") :]
    listed = dict(ROW.findall(section))
    parts = [field for field in dataclasses.fields(Experiment) if field.name != "origins"]
    holders = {field.name: field.type.__module__.replace(".", "/") + ".py" for field in parts}
    assert listed == holders


def test_every_folder_and_every_part_is_named():
    text = (ROOT / "gin" / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## How files compose") : text.index("## Your own images")]
    folders = [folder for folder in (ROOT / "gin").iterdir() if folder.is_dir()]
    assert all(f"[{folder.name}/]({folder.name})" in section for folder in folders)
    parts = [file.name for name in ("data", "model", "recipe") for file in (ROOT / "gin" / name).glob("*.gin")]
    assert all(f"`{name}`" in section for name in parts)
