"""Writes a training step as a program that an accelerator without TensorFlow can run: run_steps.py does.

    python docs/measurements/accelerator/export_step.py --gin_file=FILE --out=PROGRAM [--gin_bindings=B] [--seed=N]

What XLA is given is taken from the library: forward, backward and update of a whole task batch in one program
(StableHLO), with the convolutions in the form that the library takes here; `training.convolution_form` names others.
The folder PROGRAM also holds configuration, images, and the variables to begin with.
"""

import argparse
import json
import pathlib

import numpy as np
import tensorflow as tf

from hypertransformer_tf.commands import cli
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.training.build import TrainingParts, build_training
from hypertransformer_tf.training.config import LAYERWISE
from hypertransformer_tf.training.losses import Losses
from hypertransformer_tf.training.placement import PlacedBatch, own_batch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gin_file", required=True)
    parser.add_argument("--gin_bindings", action="append", default=[])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--data_dir")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    return cli.run(lambda: export(arguments))


def export(arguments: argparse.Namespace) -> None:
    bindings = [*arguments.gin_bindings, "training.groups = 1"]  # groups are for the cores of a CPU
    experiment = load_experiment(arguments.gin_file, bindings, arguments.data_dir, seed=arguments.seed)
    check(experiment)
    if arguments.out.exists():
        raise UserError(f"{arguments.out} exists already: name another folder with --out.")
    images = load_images(experiment.data, experiment.episodes.n_way)
    parts = build_training(experiment, images, "one_device")
    batch = own_batch(experiment.training_sampler(images), parts.strategy, experiment.training.task_batch, 0)
    state = state_of(parts, batch)
    text = program(parts, batch, state)
    arguments.out.mkdir(parents=True)
    (arguments.out / "step.mlir").write_text(text)
    (arguments.out / "config.gin").write_text(experiment.text())
    names = np.array(images.class_names)
    np.savez_compressed(arguments.out / "images.npz", images=images.images, offsets=images.offsets, names=names)
    np.savez(arguments.out / "splits.npz", **images.splits)
    np.savez(arguments.out / "state.npz", **{f"{i:05d}": each.numpy() for i, each in enumerate(state)})
    layout = {"state": names_of(parts, state), "losses": Losses._fields}
    (arguments.out / "layout.json").write_text(json.dumps(layout, indent=1) + "\n")


def check(experiment: Experiment) -> None:
    """Raises UserError for what would not come back whole from the accelerator."""
    refused = {
        "method.name": experiment.method.name != "hypertransformer",
        "episodes.mixture": bool(experiment.episodes.mixture),
        "optimizer.average": experiment.optimizer.average > 0,
        "optimizer.name": experiment.optimizer.name in LAYERWISE,
    }
    wrong = [name for name, is_wrong in refused.items() if is_wrong]
    if wrong:
        raise UserError(
            f"{wrong[0]} stands in the way of exporting: what can be is a HyperTransformer's step with episodes of "
            "one size, an elementwise optimiser and no average."
        )


def state_of(parts: TrainingParts, batch: PlacedBatch) -> list[tf.Variable]:
    """Every variable that a step reads or writes, in the order in which a program takes and gives them."""
    traced = tf.function(parts.step._train, autograph=False).get_concrete_function(
        batch.values, tf.constant(0, tf.int32), batch.n_way
    )
    by_handle = {id(variable.handle): variable for variable in traced.graph.variables}
    return [by_handle[id(handle)] for handle in traced.captured_inputs]  # the variables themselves come in any order


def names_of(parts: TrainingParts, state: list[tf.Variable]) -> list[str]:
    """Names of the model's variables in the state; the empty name for those of the update."""
    names = {id(getattr(each, "value", each)): name for name, each in parts.model.named_variables().items()}
    return [names.get(id(variable), "") for variable in state]


def program(parts: TrainingParts, batch: PlacedBatch, state: list[tf.Variable]) -> str:
    """(episode's arrays, number of the step, state) -> (losses, state), as text of MLIR."""
    fields = len(Episode._fields)

    def step(*values: tf.Tensor) -> tuple:
        for variable, value in zip(state, values[fields + 1 :]):
            variable.assign(value)
        losses = parts.step._train(Episode(*values[:fields]), values[fields], batch.n_way)
        return (*losses, *(tf.identity(variable) for variable in state))

    compiled = tf.function(step, jit_compile=True, autograph=False)
    values = (*batch.values, tf.constant(0, tf.int32), *(variable.read_value() for variable in state))
    return compiled.experimental_get_compiler_ir(*values)(stage="stablehlo")


if __name__ == "__main__":
    raise SystemExit(main())
