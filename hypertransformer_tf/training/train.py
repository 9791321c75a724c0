"""Meta-training from a configuration to a measured model: what bin/train and notebooks call."""

import contextlib
import logging
import pathlib
from typing import Optional, Sequence

from hypertransformer_tf.config import origins_said
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images, outline_of
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.runs.checkpoints import load_latest
from hypertransformer_tf.runs.data_record import DataRecord, describe_data
from hypertransformer_tf.runs.local_path import local_path
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.training.joining import join, share_checkpoint
from hypertransformer_tf.training.one_start import Beginning, OneStart, Samplers, TrainingResult
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.pre_training import pre_trained
from hypertransformer_tf.training.strategy_names import check_strategy


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
      LostWorkerError: another process of the cluster is gone.
    """
    check_strategy(strategy)
    experiment = load_experiment(gin_file, gin_bindings, data_dir, steps, seed)
    if run_dir is not None and not str(run_dir).strip():
        raise UserError("--run_dir is empty: name a directory, or leave it out.")
    path = pathlib.Path("runs") / pathlib.Path(gin_file).stem if run_dir is None else local_path(run_dir)
    with origins_said(experiment.origins):
        return _train(experiment, path, strategy)


def _train(experiment: Experiment, path: pathlib.Path, strategy: str) -> TrainingResult:
    experiment.check_image_size()
    outline = outline_of(experiment.data, experiment.episodes.most_classes)
    if outline is not None:
        _samplers(experiment, outline)  # refuses what the set has not, before it is read
    images = load_images(experiment.data, experiment.episodes.most_classes)
    samplers = _samplers(experiment, images)
    effective, data = experiment.effective(), describe_data(images)
    with contextlib.ExitStack() as stack:
        peers, run = stack.enter_context(join(strategy, effective, data)), None
        if peers.is_chief:
            text, seed = experiment.text(), experiment.training.seed
            run = stack.enter_context(RunDirectory(path, effective, text, seed, data=data))
        beginning = _beginning(experiment, data, run, peers)
        return OneStart(experiment, images, samplers, path, run, peers).do(beginning, strategy)


def _beginning(experiment: Experiment, data: DataRecord, run: Optional[RunDirectory], peers: Peers) -> Beginning:
    """What the chief reads; the others, which have no run directory, get it from there."""
    own = other = None
    if run is not None:
        settings, own = experiment.training, load_latest(run.checkpoints, logging.warning)
        if own is not None and own.step > settings.steps:
            raise UserError(
                f"training.steps = {settings.steps} is fewer than the {own.step} steps that the run in "
                f"{run.path} has done: give at least {own.step}, or another --run_dir."
            )
        other = pre_trained(settings, data, experiment.effective()) if own is None else None
    return Beginning(share_checkpoint(peers, own), share_checkpoint(peers, other))


def _samplers(experiment: Experiment, images: ImagesByClass) -> Samplers:
    """Those of the validation and test classes are None where a split has no classes, no CNN is trained to be
    generated, or validation would have nothing to choose from. Raises UserError."""
    training = experiment.training_sampler(images)
    makes_cnns = not experiment.loss.only_shared_head
    measured = {
        "validation": (experiment.method.is_meta_trained and makes_cnns, experiment.episodes),
        "test": (makes_cnns, experiment.measured_episodes),
    }
    validation, test = [
        experiment.evaluation_sampler(images, split, episodes) if wanted and len(images.splits[split]) else None
        for split, (wanted, episodes) in measured.items()
    ]
    return Samplers(training, validation, test)
