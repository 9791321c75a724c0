"""A folder of one's own pictures, of every kind, trains and evaluates with one binding."""

import json

import numpy as np
import pytest
from PIL import Image
from small_runs import own_configuration, run_here, write_gin

from hypertransformer_tf.deployment.presets import read_preset
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.runs.metrics_file import read_metrics

MODES = ("RGB", "L", "P", "RGBA", "1", "LA")
ENDINGS = {"RGB": "jpg", "L": "bmp", "P": "gif"}


def _picture(number, mode, stream):
    """A stripe pattern of a class's own on a background, in some mode and size."""
    height, width = stream.integers(20, 70, 2)
    rows, columns = np.mgrid[:height, :width]
    stripes = np.sin((rows * np.cos(number) + columns * np.sin(number)) * (0.2 + 0.1 * (number % 3))) > 0
    colour = np.where(stripes[..., None], [200, 40 + 10 * number, 90], [20, 30, 240 - 10 * number])
    image = Image.fromarray(np.clip(colour + stream.integers(-9, 10, colour.shape), 0, 255).astype(np.uint8))
    if mode == "RGBA":
        image.putalpha(Image.fromarray((255 * (rows > height // 8)).astype(np.uint8)))
    return image.quantize(16) if mode == "P" else image if mode == "RGBA" else image.convert(mode)


def _write(folder, classes, samples=6):
    for number in classes:
        stream = np.random.default_rng(number)
        (folder / f"pattern {number}").mkdir(parents=True)
        for sample in range(samples):
            mode = MODES[(number + sample) % len(MODES)]
            name = f"{sample} {mode}.{ENDINGS.get(mode, 'png')}"
            _picture(number, mode, stream).save(folder / f"pattern {number}" / name)


@pytest.mark.parametrize("split", [pytest.param("by folders", marks=pytest.mark.slow), "by fractions"])
def test_a_folder_of_pictures_trains_and_evaluates_with_one_binding(tmp_path, monkeypatch, capsys, split):
    pictures = tmp_path / "my pictures"
    if split == "by folders":
        for name, classes in (("train", range(6)), ("val", range(6, 8)), ("test", range(8, 12))):
            _write(pictures / name, classes)
        counts = "6 train, 2 validation, 4 test"
    else:
        _write(pictures, range(20), samples=4)
        counts = "14 train, 2 validation, 4 test"
    flags = [f"--gin_file={write_gin(tmp_path / 'tiny.gin')}", f"--run_dir={tmp_path / 'run'}"]
    flags.append(f"--gin_bindings=data.source = 'folder:{pictures}'")
    assert run_here(monkeypatch, "train", *flags) == 0
    said = capsys.readouterr()
    assert f"my pictures: {counts} classes" in said.out and said.err == ""
    assert 0 <= read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["test/accuracy"] <= 1

    if split == "by folders":
        assert run_here(monkeypatch, "evaluate", f"--run_dir={tmp_path / 'run'}", "--episodes=8", "--json") == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["split"], result["n_way"], result["episodes"]) == ("test", 2, 8)
        assert 0 <= result["accuracy"] <= 1


QUICK = (
    "training.compile = False",
    "training.task_batch = 2",
    "training.groups = 1",
    "training.steps = 4",
    "training.validate_every = 2",
    "training.validation_episodes = 4",
    "training.checkpoint_every = 2",
    "evaluation.episodes = 8",
    "evaluation.pixel_baseline = False",
)


@pytest.mark.slow
def test_the_preset_is_fine_tuned_and_what_it_became_generates_a_classifier(tmp_path, monkeypatch, capsys):
    pictures, support, out = tmp_path / "my pictures", tmp_path / "my classes", tmp_path / "classifier"
    _write(pictures, range(10))
    _write(support, range(20, 23), samples=2)
    bindings = [f"--gin_bindings={each}" for each in (*QUICK, f"data.source = 'folder:{pictures}'")]
    run_dir = tmp_path / "run"
    assert run_here(monkeypatch, "train", "--gin_file=presets/fine_tune.gin", f"--run_dir={run_dir}", *bindings) == 0
    assert "5 train, 0 validation, 5 test classes" in capsys.readouterr().out
    made = [f"--support={support}", f"--out={out}", f"--model={run_dir}", "--formats=keras"]
    assert run_here(monkeypatch, "generate", *made) == 0
    assert "3 classes from 6 pictures, by run" in capsys.readouterr().out
    assert run_here(monkeypatch, "predict", f"--classifier={out}", "--threshold=0", support) == 0
    answers = capsys.readouterr().out.splitlines()
    assert len(answers) == 6 and all(answer.split("\t")[1].startswith("pattern 2") for answer in answers)


def test_fine_tuning_begins_with_the_preset_and_changes_nothing_of_its_model():
    with own_configuration():
        mine = load_experiment("presets/fine_tune.gin")
    preset = read_preset(mine.training.model_from)
    assert (mine.cnn, mine.features, mine.transformer, mine.generator) == (
        preset.config.cnn,
        preset.config.features,
        preset.config.transformer,
        preset.config.generator,
    )
    assert (mine.data.image_size, mine.data.image_size, mine.data.channels) == preset.image_shape
    assert mine.episodes.most_classes <= preset.n_way and not mine.augmentation.alters
