"""Meta-training from a configuration to a measured model: what bin/train and notebooks call."""

import contextlib
import dataclasses
import logging
import pathlib
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from hypertransformer_tf.cnn.architecture import build_architecture
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.pixel_baseline import pixel_accuracy
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.quiet_import import import_quietly
from hypertransformer_tf.runs.checkpoints import Checkpoint, load_latest
from hypertransformer_tf.runs.data_record import DataRecord, describe_data
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.training.pre_training import pre_trained
from hypertransformer_tf.training.strategy_names import check_strategy

PIXEL_EPISODES = 1000  # at most, of nearest neighbour on pixels


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What a finished run came to.

    Attributes:
      run_dir: where everything about it is.
      test: accuracy on the meta-test classes, of the checkpoint that was best on the validation classes; None where
        there are no such classes.
      pixels: of nearest neighbour on pixels, on episodes of the same classes; None where not measured.
    """

    run_dir: pathlib.Path
    test: Optional[Accuracy]
    pixels: Optional[Accuracy]


def train(
    gin_file: str,
    gin_bindings: Sequence[str] = (),
    run_dir: Optional[str] = None,
    data_dir: Optional[str] = None,
    steps: Optional[int] = None,
    seed: Optional[int] = None,
    strategy: str = "auto",
) -> TrainingResult:
    """Trains a HyperTransformer, or continues a run, and measures it on the meta-test classes.

    Args:
      gin_file: the configuration.
      gin_bindings: changes to it.
      run_dir: where the run is kept; `runs/<name of the gin file>` if unset.
      data_dir: where prepared TFDS data lies.
      steps: instead of training.steps.
      seed: instead of training.seed.
      strategy: see `training/strategy.py`.

    Returns:
      Where the run is and what it came to; it has been printed too.

    Raises:
      UserError: a value that cannot be used. Nothing has been written then, and nothing lost.
      SaveError: something could not be saved.
    """
    check_strategy(strategy)
    bindings = list(gin_bindings)
    bindings += [f"training.steps = {steps}"] if steps is not None else []
    bindings += [f"training.seed = {seed}"] if seed is not None else []
    experiment = load_experiment(gin_file, bindings, data_dir)
    if run_dir is not None and not str(run_dir).strip():
        raise UserError("--run_dir is empty: name a directory, or leave it out.")
    path = pathlib.Path("runs") / pathlib.Path(gin_file).stem if run_dir is None else pathlib.Path(run_dir)
    images = load_images(experiment.data, experiment.episodes.most_classes)
    build_architecture(experiment.cnn, images.image_shape)  # images too small for it are refused here
    sampler = experiment.training_sampler(images)
    validation, test = _evaluation_samplers(experiment, images)
    data = describe_data(images)
    with RunDirectory(path, experiment.effective(), experiment.text(), experiment.training.seed, data=data) as run:
        beginning = _beginning(experiment, data, run)
        return _train(experiment, images, sampler, validation, test, run, beginning, strategy)


class _Beginning(NamedTuple):
    """Where a start takes its variables from: the run's own checkpoint, another run's shared features, or neither."""

    own: Optional[Checkpoint]
    shared_features: Optional[Checkpoint]


def _beginning(experiment: Experiment, data: DataRecord, run: RunDirectory) -> _Beginning:
    settings, own = experiment.training, load_latest(run.checkpoints, logging.warning)
    if own is not None and own.step > settings.steps:
        raise UserError(
            f"training.steps = {settings.steps} (--steps) is fewer than the {own.step} steps that the run in "
            f"{run.path} has done: give at least {own.step}, or another --run_dir."
        )
    other = settings.shared_features_from if own is None else None
    return _Beginning(own, pre_trained(other, data) if other else None)


def _train(
    experiment, images, sampler, validation, test, run: RunDirectory, beginning: _Beginning, strategy_name: str
) -> TrainingResult:
    # TensorFlow comes this late so that everything before answers within a second or two.
    import_quietly("tensorflow")
    from hypertransformer_tf.training.build import build_training
    from hypertransformer_tf.training.loop import TrainingLoop
    from hypertransformer_tf.training.progress import ProgressReporter

    parts = build_training(experiment, images, strategy_name)
    loop = TrainingLoop(parts, sampler, validation, run, experiment.training)
    outcome = "stopped by an error"
    try:
        if beginning.own is not None:
            loop.restore(beginning.own, logging.warning)
        else:
            loop.begin(beginning.shared_features)
        with ProgressReporter(experiment.training.steps, loop.steps_done) as progress:
            _introduce(progress, experiment, images, run, loop.steps_done)
            loop.train(progress)
            result = _conclude(progress, loop, experiment, test, run)
            outcome = "finished"
            return result
    except (KeyboardInterrupt, SystemExit):
        outcome = "interrupted"
        raise
    finally:
        # On a full disk this fails too; the sentence to be read is the one that says what is intact.
        with contextlib.nullcontext() if outcome == "finished" else contextlib.suppress(SaveError):
            run.finish(outcome, loop.steps_done)


def _evaluation_samplers(experiment: Experiment, images: ImagesByClass) -> List[Optional[EpisodeSampler]]:
    """Samplers of the validation and test classes; None where a split has no classes, or no CNN is trained to be
    generated."""
    if experiment.loss.only_shared_head:
        return [None, None]
    return [
        experiment.evaluation_sampler(images, split) if len(images.splits[split]) else None
        for split in ("validation", "test")
    ]


def _introduce(progress: Any, experiment: Experiment, images: ImagesByClass, run: RunDirectory, done: int) -> None:
    classes = ", ".join(f"{len(images.splits[split])} {split}" for split in ("train", "validation", "test"))
    episodes = experiment.episodes
    progress.message(
        f"{images.name}: {classes} classes; {episodes.n_way}-way {episodes.k_shot}-shot episodes; run in {run.path}"
        + (f", continued from step {done}" if done else "")
    )


def _conclude(progress: Any, loop: Any, experiment: Experiment, test, run: RunDirectory) -> TrainingResult:
    if test is None:
        progress.message("There is nothing to measure: no test classes, or only shared features were trained.")
        return TrainingResult(run.path, None, None)
    line = _measurement_of(run, loop.steps_done)
    if line is None:
        line = {"step": loop.steps_done, **_measure(loop, experiment, test)}
        run.append_metrics(line)
    episodes = experiment.evaluation.episodes
    accuracy = Accuracy(line["test/accuracy"], line["test/interval_95"], episodes)
    progress.message(f"test accuracy {accuracy}, on classes never trained on")
    pixels = None
    if "test/pixel_accuracy" in line:
        pixels = Accuracy(line["test/pixel_accuracy"], line["test/pixel_interval_95"], min(episodes, PIXEL_EPISODES))
        progress.message(f"nearest neighbour on pixels: {pixels}")
    return TrainingResult(run.path, accuracy, pixels)


def _measurement_of(run: RunDirectory, step: int) -> Optional[Dict[str, Any]]:
    """The line that this run's metrics have on the test classes after a step, or None."""
    lines = read_metrics(run.path / "metrics.jsonl") if (run.path / "metrics.jsonl").exists() else []
    measured = [line for line in lines if line.get("step") == step and "test/step" in line]
    return measured[-1] if measured else None


def _measure(loop: Any, experiment: Experiment, test) -> Dict[str, Any]:
    settings = experiment.evaluation
    accuracy, step = loop.measure_best(test, settings.episodes, settings.query_batches, logging.warning)
    measured = {"test/step": step, "test/accuracy": accuracy.mean, "test/interval_95": accuracy.interval_95}
    if settings.pixel_baseline:
        pixels = pixel_accuracy(test, min(settings.episodes, PIXEL_EPISODES))
        measured.update({"test/pixel_accuracy": pixels.mean, "test/pixel_interval_95": pixels.interval_95})
    return measured
