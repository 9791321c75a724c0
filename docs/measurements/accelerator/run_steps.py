"""Trains with a program of export_step.py on an accelerator that has JAX but no TensorFlow, and tells how fast.

    python docs/measurements/accelerator/run_steps.py PROGRAM [--steps=N]

Episodes come from the library's own sampler, by the number of the step: those that `bin/train` trains on. Prints one
JSON object and writes PROGRAM/trained.npz, for take_over.py. Needs jax (0.11.2 was used), numpy, gin-config, absl-py,
and pillow.
"""

import argparse
import json
import pathlib
import sys
import time
from typing import Any, Callable, NamedTuple

import jax
import numpy as np
from jax._src.export._export import DisabledSafetyCheck, Exported
from jax._src.interpreters import mlir
from jaxlib.mlir import ir

jax.config.update("jax_enable_x64", True)  # optimisers count steps in 64 bits
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

from hypertransformer_tf.data.images_by_class import ImagesByClass  # noqa: E402
from hypertransformer_tf.episodes.episode import Episode  # noqa: E402
from hypertransformer_tf.episodes.prefetch import Prefetcher  # noqa: E402
from hypertransformer_tf.experiment import load_experiment  # noqa: E402

DTYPES = {"f32": "float32", "i32": "int32", "i64": "int64", "ui8": "uint8", "i1": "bool"}  # of what a step is given
WARM_UP, AHEAD = 20, 10  # steps: not timed; that the host may be ahead of the device


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--steps", type=int, help="to train; those of the configuration if left out")
    arguments = parser.parse_args()
    folder = arguments.program
    layout = json.loads((folder / "layout.json").read_text())
    with np.load(folder / "state.npz") as arrays:
        state = [arrays[name] for name in sorted(arrays.files)]
    program = compiled((folder / "step.mlir").read_text(), len(layout["losses"]), len(state))
    print(json.dumps(train(folder, arguments.steps, program, layout, state)))


def compiled(text: str, losses: int, state: int) -> Program:
    """MLIR as a function of JAX, compiled for the device at hand."""
    start, fields = time.perf_counter(), len(Episode._fields)
    with mlir.make_ir_context():
        # TensorFlow's XLA copies what it returns, in a dialect that compilers for a GPU do not take.
        module = ir.Module.parse(text.replace("mhlo.copy", "stablehlo.optimization_barrier"))
        main = ir.SymbolTable(module.operation)["main"]
        takes, gives = ([shape_of(each) for each in kinds] for kinds in (main.type.inputs, main.type.results))
        exported = as_exported(mlir.module_to_bytecode(module), takes, gives)
    # The variables themselves, which TensorFlow's program takes and gives too, are not those that count.
    unused = [np.zeros(each.shape, each.dtype) for each in takes[fields + 1 + state :]]

    def step(batch: list, number: Any, values: list) -> tuple:
        found = exported.call(*batch, number, *values, *unused)
        return found[:losses], found[losses : losses + state]

    shapes = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in takes]
    made = jax.jit(step).lower(shapes[:fields], shapes[fields], shapes[fields + 1 :][:state]).compile()
    return Program(made, float(made.cost_analysis()["flops"]), time.perf_counter() - start)


def shape_of(kind: ir.Type) -> jax.core.ShapedArray:
    tensor = ir.RankedTensorType(kind)
    return jax.core.ShapedArray(tuple(tensor.shape), jax.numpy.dtype(DTYPES[str(tensor.element_type)]))


def as_exported(module: bytes, takes: list, gives: list) -> Exported:
    """What JAX calls, as if JAX itself had exported it."""
    unplaced_takes, unplaced_gives = (None,) * len(takes), (None,) * len(gives)
    return Exported(
        fun_name="step",
        in_tree=jax.tree_util.tree_structure((tuple(takes), {})),
        in_avals=tuple(takes),
        out_tree=jax.tree_util.tree_structure(list(gives)),
        out_avals=tuple(gives),
        _in_named_shardings=unplaced_takes,
        _out_named_shardings=unplaced_gives,
        in_shardings_hlo=unplaced_takes,
        out_shardings_hlo=unplaced_gives,
        nr_devices=1,
        platforms=(jax.default_backend(),),
        ordered_effects=(),
        unordered_effects=(),
        disabled_safety_checks=(DisabledSafetyCheck.platform(),),
        mlir_module_serialized=module,
        calling_convention_version=10,
        module_kept_var_idx=tuple(range(len(takes))),
        uses_global_constants=False,
        _get_vjp=None,
    )


def train(folder: pathlib.Path, steps: Any, program: Program, layout: dict, state: list) -> dict:
    """Trains, writes what was trained, and returns what to print."""
    experiment = load_experiment(str(folder / "config.gin"), steps=steps)
    steps, size = experiment.training.steps, experiment.training.task_batch
    sampler, device = experiment.training_sampler(read_images(folder)), jax.devices()[0]

    def make(step: int) -> list:
        return [jax.device_put(np.asarray(field)) for field in sampler.task_batch(step * size, size)]

    state, start, waited = [jax.device_put(each) for each in state], time.perf_counter(), 0.0
    with Prefetcher(make, 0, steps) as batches:
        for number, batch in enumerate(batches):
            losses, state = program.step(batch, np.int32(number), state)
            if number % AHEAD == 0 or number == steps - 1:
                losses[0].block_until_ready()
            if number == WARM_UP:
                losses[0].block_until_ready()
                start, waited = time.perf_counter(), batches.waited_seconds
        seconds, waited = time.perf_counter() - start, batches.waited_seconds - waited
    named = {name: np.asarray(value) for name, value in zip(layout["state"], state) if name}
    np.savez(folder / "trained.npz", steps=steps, device=device.device_kind, **named)
    timed = steps - WARM_UP - 1 if steps > WARM_UP + 1 else steps
    return {
        "device": device.device_kind,
        "precision": experiment.training.precision,
        "task_batch": size,
        "steps": steps,
        "episodes_per_second": size * timed / seconds,
        "teraflops_per_second": program.flops * timed / seconds / 1e12,
        "input_wait": waited / seconds,
        "compile_seconds": program.compile_seconds,
        "last_losses": {name: float(value) for name, value in zip(layout["losses"], losses)},
    }


def read_images(folder: pathlib.Path) -> ImagesByClass:
    with np.load(folder / "images.npz") as arrays, np.load(folder / "splits.npz") as splits:
        names = tuple(map(str, arrays["names"]))
        return ImagesByClass("exported", arrays["images"], arrays["offsets"], names, dict(splits))


if __name__ == "__main__":
    main()
