"""How long a classifier of bin/generate takes for one picture on one thread, in LiteRT and in ONNX Runtime.

    python docs/measurements/latency.py classifiers/mine

Prints a Markdown table: median and 99th percentile of 10,000 calls, in milliseconds.
"""

import argparse
import pathlib
import time
from typing import Callable, Iterator, Tuple

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

CALLS, WARM_UP = 10_000, 100


def litert(path: pathlib.Path) -> Callable[[], np.ndarray]:
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    picture = random_picture(given["shape"])

    def classify() -> np.ndarray:
        interpreter.set_tensor(given["index"], picture)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return classify


def onnx(path: pathlib.Path) -> Callable[[], np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    given = session.get_inputs()[0]
    picture = random_picture(given.shape)
    return lambda: session.run(None, {given.name: picture})[0]


def random_picture(shape: list) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, *shape[1:])).astype(np.float32)


def rows(folder: pathlib.Path) -> Iterator[Tuple[str, float, float]]:
    runtimes = {"classifier.tflite": litert, "classifier_int8.tflite": litert, "classifier.onnx": onnx}
    for name, open_file in runtimes.items():
        classify, seconds = open_file(folder / name), []
        for _ in range(WARM_UP + CALLS):
            started = time.perf_counter()
            classify()
            seconds.append(time.perf_counter() - started)
        median, slow = np.percentile(seconds[WARM_UP:], (50, 99))
        yield f"`{name}`", 1000 * median, 1000 * slow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("classifier", type=pathlib.Path, help="a directory of bin/generate")
    print("| file | median ms | 99th percentile ms |\n| --- | --- | --- |")
    for name, median, slow in rows(parser.parse_args().classifier):
        print(f"| {name} | {median:.3f} | {slow:.3f} |")


if __name__ == "__main__":
    main()
