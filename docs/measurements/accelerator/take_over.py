"""Makes a run directory of what run_steps.py trained, to be measured by `bin/train`.

    python docs/measurements/accelerator/take_over.py PROGRAM --run_dir=DIR
    bin/train --gin_file=PROGRAM/config.gin --run_dir=DIR

The optimiser's state stays behind: such a run can be measured and used, not trained further.
"""

import argparse
import pathlib

import numpy as np

from hypertransformer_tf.commands import cli
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.runs.checkpoints import save_checkpoint
from hypertransformer_tf.runs.data_record import describe_data
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.runs.state import restore_model
from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.checkpoint_arrays import checkpoint_arrays


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--run_dir", type=pathlib.Path, required=True)
    parser.add_argument("--data_dir")
    arguments = parser.parse_args()
    return cli.run(lambda: take_over(arguments))


def take_over(arguments: argparse.Namespace) -> None:
    with np.load(arguments.program / "trained.npz") as arrays:
        trained = {f"model/{name}": arrays[name] for name in arrays.files if name not in ("steps", "device")}
        steps, device = int(arrays["steps"]), str(arrays["device"])
    experiment = load_experiment(str(arguments.program / "config.gin"), data_dir=arguments.data_dir, steps=steps)
    images = load_images(experiment.data, experiment.episodes.n_way)
    parts = build_training(experiment, images, "one_device")
    restore_model(parts.model, trained)
    parts.update.gather()
    text, seed, data = experiment.text(), experiment.training.seed, describe_data(images)
    with RunDirectory(arguments.run_dir, experiment.effective(), text, seed, data=data) as run:
        if not run.is_new:
            raise UserError(f"{arguments.run_dir} holds a run already: name another folder with --run_dir.")
        run.begin(0, {"device": device})
        arrays = checkpoint_arrays(parts.model, parts.optimizer, parts.update)
        save_checkpoint(run.checkpoints, steps, arrays, {"best_validation": -1.0})
        run.finish("trained elsewhere", steps)


if __name__ == "__main__":
    raise SystemExit(main())
