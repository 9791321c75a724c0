"""Writes a training step as a program that an accelerator without TensorFlow can run: run_steps.py does.

    python docs/measurements/accelerator/export_step.py --gin_file=FILE --out=DIR --name=NAME [--seeds=N]

What XLA is given is taken from the library itself: forward, backward and update of a whole task batch in one program
(StableHLO). DIR/NAME also holds the variables to begin with, drawn from each seed. The images are written once, to DIR.
`training.groups` are for CPUs: bind 1.
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.training.build import TrainingParts, build_training
from hypertransformer_tf.training.placement import PlacedBatch, place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gin_file", required=True)
    parser.add_argument("--gin_bindings", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=1, help="of how many seeds to write initial variables")
    parser.add_argument("--data_dir")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of programs")
    parser.add_argument("--name", required=True, help="of this program, a folder in --out")
    flags = parser.parse_args()
    folder = flags.out / flags.name
    folder.mkdir(parents=True)
    experiment = _experiment(flags, 0)
    images = load_images(experiment.data, experiment.episodes.n_way)
    images_file = f"{experiment.data.source}_{experiment.data.image_size}.npz"
    _write_images(flags.out / images_file, images)
    for seed in range(flags.seeds):
        seeded = _experiment(flags, seed)
        parts = build_training(seeded, images, "auto")
        size = seeded.training.task_batch
        batch = place(seeded.training_sampler(images).of_task_batch(0).task_batch(0, size), parts.strategy, size)
        state = state_of(parts, batch)
        np.savez(folder / f"state_{seed}.npz", **{f"{i:05d}": v.numpy() for i, v in enumerate(state)})
        if seed == 0:
            (folder / "step.mlir").write_text(_program(parts, batch, state))
            names = _names(parts, state)
    gin_file = pathlib.Path(flags.gin_file)
    if gin_file.exists():  # it travels with the program; others are the library's own
        shutil.copy(gin_file, folder)
    settings = {
        "gin_file": gin_file.name if gin_file.exists() else flags.gin_file,
        "gin_bindings": flags.gin_bindings,
        "images": images_file,
        "state": names,
    }
    (folder / "program.json").write_text(json.dumps(settings, indent=1) + "\n")


def _experiment(flags: argparse.Namespace, seed: int) -> Experiment:
    return load_experiment(flags.gin_file, [*flags.gin_bindings, f"training.seed = {seed}"], flags.data_dir)


def _write_images(path: pathlib.Path, images) -> None:
    if not path.exists():
        np.savez_compressed(
            path, images=images.images, offsets=images.offsets, names=np.array(images.class_names), **images.splits
        )


def state_of(parts: TrainingParts, batch: PlacedBatch) -> list[tf.Variable]:
    """Every variable that a step reads or writes, in the order in which a program takes and gives them."""
    traced = tf.function(parts.step._train, autograph=False).get_concrete_function(
        batch.values, tf.constant(0, tf.int32), batch.n_way
    )
    by_handle = {id(variable.handle): variable for variable in traced.graph.variables}
    return [by_handle[id(handle)] for handle in traced.captured_inputs]  # the variables themselves come in any order


def _names(parts: TrainingParts, state: list[tf.Variable]) -> list[str]:
    """Names of the model's variables in the state; the empty name for others."""
    names = {id(getattr(each, "value", each)): name for name, each in parts.model.named_variables().items()}
    return [names.get(id(variable), "") for variable in state]


def _program(parts: TrainingParts, batch: PlacedBatch, state: list[tf.Variable]) -> str:
    """(episode's arrays, number of the step, state) -> (losses, state), as text of MLIR."""
    fields = len(Episode._fields)

    def program(*values):
        for variable, value in zip(state, values[fields + 1 :]):
            variable.assign(value)
        losses = parts.step._train(Episode(*values[:fields]), values[fields], batch.n_way)
        return (*losses, *(tf.identity(variable) for variable in state))

    compiled = tf.function(program, jit_compile=True, autograph=False)
    return compiled.experimental_get_compiler_ir(
        *batch.values, tf.constant(0, tf.int32), *(variable.read_value() for variable in state)
    )(stage="stablehlo")


if __name__ == "__main__":
    main()
