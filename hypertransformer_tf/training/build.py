"""Builds what trains: strategy, model, optimiser and step, from an experiment's settings."""

from typing import Any, ContextManager, NamedTuple

import keras
import tensorflow as tf

from hypertransformer_tf.cnn import folded
from hypertransformer_tf.cnn.architecture import build_architecture
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.runs.restore import build_model
from hypertransformer_tf.training.config import LAYERWISE
from hypertransformer_tf.training.flat_update import FlatUpdate
from hypertransformer_tf.training.loss_scale import LossScale
from hypertransformer_tf.training.recipe import make_optimizer
from hypertransformer_tf.training.step import TrainingStep
from hypertransformer_tf.training.strategy import make_strategy, only_device


class TrainingParts(NamedTuple):
    """What `build_training` makes."""

    strategy: tf.distribute.Strategy
    model: HyperTransformer
    optimizer: Any
    update: FlatUpdate
    step: TrainingStep


def build_training(experiment: Experiment, images: ImagesByClass, strategy_name: str) -> TrainingParts:
    """Builds model and optimiser on a strategy's devices, with variables drawn from the run's seed.

    Raises:
      UserError: the strategy cannot be had, does not divide the task batch or cannot compute the convolutions in the
        form that was asked for; or the images do not suit the model.
    """
    strategy = make_strategy(strategy_name, experiment.training.task_batch // experiment.training.groups)
    _check_division(experiment, strategy.num_replicas_in_sync)
    precision = experiment.training.precision
    dtype = "float32" if precision == "float32" else f"mixed_{precision}"
    form = _convolution_form(experiment, images, "CPU" in strategy.extended.worker_devices[0])
    keras.utils.set_random_seed(experiment.training.seed)
    with strategy.scope():
        model = build_model(experiment, images, dtype, form)
    with _scope_of_update(strategy):
        optimizer = make_optimizer(experiment.optimizer)
        update = FlatUpdate(
            model.trainable_variables,
            optimizer,
            experiment.optimizer.average,
            layerwise=experiment.optimizer.name in LAYERWISE,
            loss_scale=LossScale() if precision == "float16" else None,
            compile=experiment.training.compile,
        )
    step = TrainingStep(model, update, experiment.loss, experiment.training, strategy)
    return TrainingParts(strategy, model, optimizer, update, step)


def _scope_of_update(strategy: tf.distribute.Strategy) -> ContextManager[Any]:
    """What the optimiser is made under: a process's only device, so that XLA can compile the update, or all of them."""
    device = only_device(strategy)
    return strategy.scope() if device is None else tf.device(device)


def _convolution_form(experiment: Experiment, images: ImagesByClass, on_cpu: bool) -> str:
    """The form that `training.convolution_form` means on these devices; see there."""
    form = experiment.training.convolution_form
    if form == "auto":
        layers = build_architecture(experiment.cnn, images.image_shape).convolutions
        return "folded" if on_cpu or all(map(folded.applies_to, layers)) else "grouped"
    if form == "grouped" and on_cpu and not experiment.training.compile:
        raise UserError(
            "training.convolution_form = 'grouped' has no gradient on a CPU without XLA: set training.compile = True, "
            "or take 'folded' or 'plain'."
        )
    return form


def _check_division(experiment: Experiment, replicas: int) -> None:
    batch, groups = experiment.training.task_batch, experiment.training.groups
    if batch % (replicas * groups):
        raise UserError(
            f"training.task_batch = {batch} cannot be divided over {replicas} devices with {groups} groups each: "
            f"choose a multiple of {replicas * groups}."
        )
