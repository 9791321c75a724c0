"""Makes a run directory of what run_steps.py trained, for `bin/train` to measure and any command to use.

python docs/measurements/accelerator/take_over.py PROGRAM TRAINED.npz --run_dir=DIR [--seed=N]
"""

import argparse
import json
import pathlib

import numpy as np

from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.runs.checkpoints import save_checkpoint
from hypertransformer_tf.runs.data_record import describe_data
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.runs.state import restore_model
from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.checkpoint_arrays import checkpoint_arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("trained", type=pathlib.Path)
    parser.add_argument("--run_dir", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gin_file", help="of the run; that of the program if left out")
    parser.add_argument("--data_dir")
    flags = parser.parse_args()
    settings = json.loads((flags.program / "program.json").read_text())
    bindings = [] if flags.gin_file else settings["gin_bindings"]
    experiment = load_experiment(flags.gin_file or settings["gin_file"], bindings, flags.data_dir, seed=flags.seed)
    images = load_images(experiment.data, experiment.episodes.n_way)
    parts = build_training(experiment, images, "auto")
    with np.load(flags.trained) as arrays:
        named = {f"model/{settings['state'][int(index)]}": arrays[index] for index in arrays.files}
    restore_model(parts.model, {name: array for name, array in named.items() if name != "model/"})
    parts.update.gather()  # the moments stay behind: the run can be measured, not continued
    effective, text, data = experiment.effective(), experiment.text(), describe_data(images)
    with RunDirectory(flags.run_dir, effective, text, flags.seed, data=data) as run:
        run.begin(0)
        arrays = checkpoint_arrays(parts.model, parts.optimizer, parts.update)
        save_checkpoint(run.checkpoints, experiment.training.steps, arrays, {"best_validation": -1.0})


if __name__ == "__main__":
    main()
