"""Meta-training from a configuration to a measured model: what bin/train and notebooks call."""

import contextlib
import dataclasses
import logging
import pathlib
from typing import Any, List, Optional, Sequence

from hypertransformer_tf.config import check_all_used, load_configuration
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import SaveError
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.pixel_baseline import pixel_accuracy
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.quiet_import import import_quietly
from hypertransformer_tf.runs.run_directory import RunDirectory


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


def load_experiment(
    gin_file: Optional[str], gin_bindings: Sequence[str] = (), data_dir: Optional[str] = None
) -> Experiment:
    """Reads and checks a configuration. Raises UserError, before TensorFlow is imported."""
    bindings = list(gin_bindings)
    if data_dir is not None:
        bindings.append(f"data.data_dir = {data_dir!r}")
    load_configuration([gin_file] if gin_file else [], bindings)
    experiment = Experiment.from_configuration()
    check_all_used()
    return experiment


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
    bindings = list(gin_bindings)
    bindings += [f"training.steps = {steps}"] if steps is not None else []
    bindings += [f"training.seed = {seed}"] if seed is not None else []
    experiment = load_experiment(gin_file, bindings, data_dir)
    images = load_images(experiment.data, experiment.episodes.most_classes)
    sampler = experiment.training_sampler(images)
    validation, test = _evaluation_samplers(experiment, images)
    path = pathlib.Path(run_dir) if run_dir else pathlib.Path("runs") / pathlib.Path(gin_file).stem
    with RunDirectory(path, experiment.effective(), experiment.text(), experiment.training.seed) as run:
        return _train(experiment, images, sampler, validation, test, run, strategy)


def _train(experiment, images, sampler, validation, test, run: RunDirectory, strategy_name: str) -> TrainingResult:
    # TensorFlow comes this late so that everything before answers within a second or two.
    import_quietly("tensorflow")
    from hypertransformer_tf.training.build import build_training
    from hypertransformer_tf.training.loop import TrainingLoop
    from hypertransformer_tf.training.progress import ProgressReporter

    parts = build_training(experiment, images, strategy_name)
    loop = TrainingLoop(parts, sampler, validation, run, experiment.training)
    outcome, done = "stopped by an error", 0
    try:
        done = loop.restore(logging.warning)
        with ProgressReporter(experiment.training.steps, done) as progress:
            _introduce(progress, experiment, images, run, done)
            loop.train(progress)
            outcome = "finished"
            return _conclude(progress, loop, experiment, test, run)
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
    settings = experiment.evaluation
    accuracy = loop.measure_best(test, settings.episodes, settings.query_batches)
    progress.message(f"test accuracy {accuracy}, on classes never trained on")
    pixels = pixel_accuracy(test, min(settings.episodes, 1000)) if settings.pixel_baseline else None
    if pixels is not None:
        progress.message(f"nearest neighbour on pixels: {pixels}")
    run.append_metrics(
        {
            "step": loop.steps_done,
            "test/accuracy": accuracy.mean,
            "test/interval_95": accuracy.interval_95,
            **({"test/pixel_accuracy": pixels.mean} if pixels else {}),
        }
    )
    return TrainingResult(run.path, accuracy, pixels)
