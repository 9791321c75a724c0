"""Times, or trains with, the programs of export_step.py on an accelerator that has JAX but no TensorFlow.

    python docs/measurements/accelerator/run_steps.py time DIR/NAME ...     episodes/s, one JSON line a program
    python docs/measurements/accelerator/run_steps.py train DIR/NAME ...    accuracy; DIR/NAME_SEED.npz for take_over.py

Episodes come from the library's own sampler, by the number of the step, so that a training sees what `bin/train` would
have shown it. Test episodes go through the step too, whose update is thrown away. Needs jax (0.11.2 was used), numpy,
gin-config, absl-py, pillow. One process at a time: four that shared a GPU took 4 to 16 times as long each.
"""

import argparse
import concurrent.futures
import functools
import json
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any, Callable, NamedTuple, Optional

import jax
import numpy as np
from jax._src.export._export import DisabledSafetyCheck, Exported
from jax._src.interpreters import mlir
from jaxlib.mlir import ir

jax.config.update("jax_enable_x64", True)  # optimisers count steps in 64 bits
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

from hypertransformer_tf.data.images_by_class import ImagesByClass  # noqa: E402
from hypertransformer_tf.episodes.prefetch import Prefetcher  # noqa: E402
from hypertransformer_tf.experiment import Experiment, load_experiment  # noqa: E402

_DTYPES = {"f32": "float32", "i32": "int32", "i64": "int64", "ui8": "uint8", "i1": "bool"}  # of what a step is given
_LOSSES, _ACCURACY, _EPISODE = 3, 2, 5  # what a step gives beside the state, and what it takes
_WARM_UP, _MANY, _AHEAD = 20, 1_000_000_000, 10  # steps: not timed; more than any run has; how far ahead of the device
_COMPILERS = 3


class Program(NamedTuple):
    """A program on this device.

    Attributes:
      step: (episode's arrays, number, state) -> (losses, state), compiled.
      flops: of a step, as XLA counts them.
      compile_seconds: it took.
    """

    step: Callable[..., Any]
    flops: float
    compile_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("time", "train"))
    parser.add_argument("programs", nargs="+", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=5.0, help="of timing")
    parser.add_argument("--steps", type=int, help="of training; those of the file if left out")
    flags = parser.parse_args()
    act = _time if flags.what == "time" else _train
    with concurrent.futures.ThreadPoolExecutor(_COMPILERS) as pool:  # XLA compiles outside of Python's lock
        programs = [pool.submit(_compiled, folder) for folder in flags.programs]
        if flags.what == "time":
            concurrent.futures.wait(programs)  # what still compiles would take the time of what is timed
        for folder, program in zip(flags.programs, programs):
            try:
                act(flags, folder, program.result())
            except Exception as error:  # noqa: BLE001  (the others are worth their time all the same)
                _say(folder, error=f"{type(error).__name__}: {str(error)[:300]}")


def _say(folder: pathlib.Path, **found: Any) -> None:
    print(json.dumps({"program": folder.name, **found}), flush=True)


def _experiment(folder: pathlib.Path, seed: int = 0) -> tuple[Experiment, ImagesByClass]:
    settings = json.loads((folder / "program.json").read_text())
    bindings = [*settings["gin_bindings"], f"training.seed = {seed}"]
    gin_file = settings["gin_file"]
    return load_experiment(str(folder / gin_file) if (folder / gin_file).exists() else gin_file, bindings), _images(
        folder.parent / settings["images"]
    )


@functools.lru_cache(maxsize=None)
def _images(path: pathlib.Path) -> ImagesByClass:
    with np.load(path) as arrays:
        splits = {name: arrays[name] for name in ("train", "validation", "test")}
        return ImagesByClass("set", arrays["images"], arrays["offsets"], tuple(map(str, arrays["names"])), splits)


def _state(folder: pathlib.Path, seed: int) -> list[np.ndarray]:
    with np.load(folder / f"state_{seed}.npz") as arrays:
        return [arrays[name] for name in sorted(arrays.files)]


def _batches(sampler: Any, size: int, count: int) -> Prefetcher:
    """Task batches on the device, drawn ahead on another thread."""

    def make(step: int) -> list[jax.Array]:
        batch = sampler.of_task_batch(step * size) if hasattr(sampler, "of_task_batch") else sampler
        return [jax.device_put(np.asarray(field)) for field in batch.task_batch(step * size, size)]

    return Prefetcher(make, 0, count)


def _compiled(folder: pathlib.Path) -> Program:
    """The text of MLIR as a function of JAX, compiled for the device at hand."""
    start = time.perf_counter()
    context = mlir.make_ir_context()
    with context:
        # TensorFlow's XLA copies what it returns, in a dialect that compilers for a GPU do not take.
        module = ir.Module.parse(
            (folder / "step.mlir").read_text().replace("mhlo.copy", "stablehlo.optimization_barrier")
        )
        main = ir.SymbolTable(module.operation)["main"]
        takes, gives = ([_aval(each) for each in kinds] for kinds in (main.type.inputs, main.type.results))
        serialized = mlir.module_to_bytecode(module)
    exported = _exported(serialized, takes, gives)
    state, fields = len(_state(folder, 0)), _EPISODE
    rest = [np.zeros(each.shape, each.dtype) for each in takes[fields + 1 + state :]]

    def step(batch, number, values):
        found = exported.call(*batch, number, *values, *rest)
        return found[:_LOSSES], found[_LOSSES : _LOSSES + state]

    shapes = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in takes]
    lowered = jax.jit(step).lower(shapes[:fields], shapes[fields], shapes[fields + 1 :][:state])
    compiled = lowered.compile()
    return Program(compiled, float(compiled.cost_analysis()["flops"]), time.perf_counter() - start)


def _aval(kind: ir.Type) -> jax.core.ShapedArray:
    tensor = ir.RankedTensorType(kind)
    return jax.core.ShapedArray(tuple(tensor.shape), jax.numpy.dtype(_DTYPES[str(tensor.element_type)]))


def _exported(serialized: bytes, takes: list, gives: list) -> Exported:
    nothing = lambda values: (None,) * len(values)  # noqa: E731
    return Exported(
        fun_name="step",
        in_tree=jax.tree_util.tree_structure((tuple(takes), {})),
        in_avals=tuple(takes),
        out_tree=jax.tree_util.tree_structure(list(gives)),
        out_avals=tuple(gives),
        _in_named_shardings=nothing(takes),
        _out_named_shardings=nothing(gives),
        in_shardings_hlo=nothing(takes),
        out_shardings_hlo=nothing(gives),
        nr_devices=1,
        platforms=(jax.default_backend(),),
        ordered_effects=(),
        unordered_effects=(),
        disabled_safety_checks=(DisabledSafetyCheck.platform(),),
        mlir_module_serialized=serialized,
        calling_convention_version=10,
        module_kept_var_idx=tuple(range(len(takes))),
        uses_global_constants=False,
        _get_vjp=None,
    )


def _time(flags: argparse.Namespace, folder: pathlib.Path, program: Program) -> None:
    experiment, images = _experiment(folder)
    state, size, done = [jax.device_put(value) for value in _state(folder, 0)], experiment.training.task_batch, 0
    with _batches(experiment.training_sampler(images), size, _MANY) as batches, _Utilisation() as utilisation:
        for number, batch in enumerate(batches):
            losses, state = program.step(batch, np.int32(number), state)
            if number == _WARM_UP:
                first = [float(value) for value in losses]
                start, waited = time.perf_counter(), batches.waited_seconds
            elif number > _WARM_UP:
                done += 1
                if done % _AHEAD == 0:
                    losses[0].block_until_ready()
                if time.perf_counter() - start >= flags.seconds:
                    break
        losses[0].block_until_ready()
        taken = time.perf_counter() - start
        waited = batches.waited_seconds - waited
    _say(
        folder,
        episodes_per_second=size * done / taken,
        milliseconds_per_step=1000 * taken / done,
        input_wait=waited / taken,
        teraflops_per_second=program.flops * done / taken / 1e12,
        busy_percent=utilisation.mean,
        compile_seconds=program.compile_seconds,
        losses=first,
        steps=done,
        device=jax.devices()[0].device_kind,
    )


class _Utilisation:
    """Mean of what nvidia-smi says while it lasts; None where there is no such program."""

    def __init__(self) -> None:
        self.mean: Optional[float] = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "_Utilisation":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        seen, ask = [], ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._ended.wait(0.5):
            try:
                seen.append(float(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()[0]))
            except (OSError, subprocess.SubprocessError, ValueError, IndexError):
                return
        self.mean = float(np.mean(seen[1:])) if seen[1:] else None


def _train(flags: argparse.Namespace, folder: pathlib.Path, program: Program) -> None:
    for seed in range(len(list(folder.glob("state_*.npz")))):
        experiment, images = _experiment(folder, seed)
        state, steps = [jax.device_put(each) for each in _state(folder, seed)], flags.steps or experiment.training.steps
        start = time.perf_counter()
        with _batches(experiment.training_sampler(images), experiment.training.task_batch, steps) as batches:
            for number, batch in enumerate(batches):
                losses, state = program.step(batch, np.int32(number), state)
                if number % _AHEAD == 0:
                    losses[0].block_until_ready()
        loss, taken = float(losses[0]), time.perf_counter() - start
        largest = max(value.size for value in state)  # the vector of all variables, and the optimiser's moments of it
        kept = {f"{index:05d}": np.asarray(value) for index, value in enumerate(state) if value.size < largest}
        np.savez(folder.parent / f"{folder.name}_{seed}.npz", **kept)
        test, train = (_accuracy(experiment, images, split, program, state) for split in ("test", "train"))
        _say(
            folder,
            seed=seed,
            steps=steps,
            seconds=taken,
            accuracy=test[0],
            interval_95=test[1],
            train_accuracy=train[0],
            loss=loss,
            compile_seconds=program.compile_seconds,
            device=jax.devices()[0].device_kind,
        )


def _accuracy(experiment: Experiment, images: ImagesByClass, split: str, program: Program, state: list) -> tuple:
    """Mean and half of the 95% interval over the split's episodes: those of steps whose update is thrown away."""
    size = experiment.training.task_batch
    sampler = experiment.evaluation_sampler(images, split)
    with _batches(sampler, size, experiment.evaluation.episodes // size) as batches:
        found = [program.step(batch, np.int32(0), state)[0][_ACCURACY] for batch in batches]
    means = np.array([float(each) for each in found])
    return float(means.mean()), 1.96 * float(means.std(ddof=1)) / len(means) ** 0.5


if __name__ == "__main__":
    main()
