"""Runs that take seconds: their settings, the commands as processes of their own, and what they left behind."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any, Callable, Iterator, Mapping, Optional

import numpy as np

import gin
from hypertransformer_tf.commands import benchmark, evaluate, generate, predict, train
from hypertransformer_tf.config import load_configuration
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.runs.checkpoints import Checkpoint, load_latest
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.training import train as training
from hypertransformer_tf.training.train import TrainingResult

ROOT = pathlib.Path(__file__).resolve().parents[1]
COMMANDS = {"train": train, "evaluate": evaluate, "benchmark": benchmark, "generate": generate, "predict": predict}

# 2-way episodes of glyphs, all of a small CNN generated.
SMALL = (
    "cnn.architecture = '3-layer'",
    "cnn.channels = 2",
    "cnn.stride = 2",
    "features.local_dim = 2",
    "features.shared_layers = 2",
    "features.shared_dim = 4",
    "transformer.layers = 1",
    "transformer.heads = 1",
    "transformer.embedding_dim = 8",
    "episodes.n_way = 2",
    "episodes.queries_per_class = 2",
    "optimizer.learning_rate = 0.01",
    "optimizer.warmup_steps = 4",
    "training.task_batch = 2",
    "training.compile = False",
    "training.steps = 6",
    "training.validate_every = 3",
    "training.validation_episodes = 4",
    "training.checkpoint_every = 3",
    "training.log_every = 2",
    "evaluation.episodes = 8",
    "evaluation.pixel_baseline = False",
)
# Only the logits layer is generated, and dropout is drawn: the graph is built twice as fast.
TINY = SMALL + ("cnn.trained_layers = 3", "cnn.dropout = 0.2")


@contextlib.contextmanager
def own_configuration() -> Iterator[None]:
    """What gin was told inside is forgotten at the end: other tests' settings would take their defaults from it."""
    try:
        yield
    finally:
        gin.clear_config()


def experiment_of(*changes: str, settings: tuple[str, ...] = SMALL) -> Experiment:
    """The experiment of some settings and changes to them."""
    with own_configuration():
        load_configuration([], [*settings, *changes])
        return Experiment.from_configuration()


def write_gin(path: pathlib.Path, *changes: str, settings: tuple[str, ...] = TINY) -> str:
    """Writes a gin file of the settings and changes; its path."""
    path.write_text("\n".join([*settings, *changes]) + "\n")
    return str(path)


def glyphs() -> ImagesByClass:
    """The embedded set, from the cache of this test run."""
    return load_images(DataConfig())


def noise(classes: int, samples: int, shape: tuple[int, int, int] = (28, 28, 1)) -> ImagesByClass:
    """Classes of random images, all of them for meta-training."""
    images = np.random.default_rng(0).integers(0, 256, (classes * samples, *shape), dtype=np.uint8)
    names = tuple(f"class {index}" for index in range(classes))
    none = np.arange(0, dtype=np.int64)
    splits = {"train": np.arange(classes, dtype=np.int64), "validation": none, "test": none}
    return ImagesByClass("noise", images, offsets_of([samples] * classes), names, splits)


def as_floats(losses: Any) -> dict[str, float]:
    """The losses that a training step returned, as plain numbers."""
    return {name: float(np.asarray(value)) for name, value in losses._asdict().items()}


def run_here(monkeypatch: Any, name: str, *flags: Any) -> int:
    """Runs a command in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", [f"bin/{name}", *map(str, flags)])
    with own_configuration():
        return COMMANDS[name].main()


def start_command(name: str, *flags: Any, environment: Optional[Mapping[str, str]] = None) -> subprocess.Popen:
    """Starts a command as a process with this Python."""
    return subprocess.Popen(
        [sys.executable, "-m", f"hypertransformer_tf.commands.{name}", *map(str, flags)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_command(name: str, *flags: Any, environment: Optional[Mapping[str, str]] = None) -> subprocess.CompletedProcess:
    """Runs a command as a process to its end."""
    with start_command(name, *flags, environment=environment) as process:
        out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_until(condition: Callable[[], Any], process: subprocess.Popen, seconds: float = 600.0) -> None:
    """Waits for a condition while a process runs; TensorFlow 2.15 may compile for minutes."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"ended with status {process.returncode}: {process.communicate()[1]}")
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.01)


def latest(run_dir: pathlib.Path) -> Checkpoint:
    """The newest checkpoint of a run, which must be readable."""
    problems: list[str] = []
    checkpoint = load_latest(pathlib.Path(run_dir) / "checkpoints", problems.append)
    assert checkpoint is not None and not problems, problems
    return checkpoint


def train_here(gin_file: Any, run_dir: pathlib.Path, **arguments: Any) -> TrainingResult:
    """`train` in this process, which forgets its configuration."""
    with own_configuration():
        return training.train(str(gin_file), run_dir=str(run_dir), **arguments)


def starts_of(run_dir: pathlib.Path) -> list[dict[str, Any]]:
    """What run.json says of each start of a run."""
    return json.loads((pathlib.Path(run_dir) / "run.json").read_text())["starts"]


def metrics_of(run_dir: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics without what depends on the machine's pace."""
    lines = read_metrics(pathlib.Path(run_dir) / "metrics.jsonl")
    return [{name: value for name, value in line.items() if "per_second" not in name} for line in lines]


def newest_step(run_dir: pathlib.Path) -> int:
    """The step of the newest checkpoint by its name, 0 without any."""
    names = (pathlib.Path(run_dir) / "checkpoints").glob("checkpoint-*.safetensors")
    return max((int(path.stem.split("-")[1]) for path in names), default=0)


def assert_same_state(first: Checkpoint, second: Checkpoint) -> None:
    """The same step and, bit for bit, the same variables of model and optimiser."""
    assert first.step == second.step and first.metadata == second.metadata
    assert first.arrays.keys() == second.arrays.keys()
    assert any(name.startswith("model/") for name in first.arrays)
    assert any(name.startswith("optimizer/") for name in first.arrays)
    different = [name for name in first.arrays if first.arrays[name].tobytes() != second.arrays[name].tobytes()]
    assert not different


def tree(path: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
