#!/usr/bin/env python3
"""A stand-in for TensorFlow Serving on this machine only: its gRPC `Predict`, over a SavedModel, with its batching.

  python loopback_server.py served/omniglot/1 --port=8500 --max_batch_size=32

It is for trying the client and for load tests where the real server cannot be had. It joins requests as Serving's
BatchingSession does: up to `max_batch_size` tasks of one signature, shorter tensors filled up with their first
element, and an error goes to all requests of a batch.
"""

import argparse
import concurrent.futures
import queue
import threading
import time
from typing import Any, Dict, List, NamedTuple

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

Arrays = Dict[str, np.ndarray]


class Waiting(NamedTuple):
    """A request that waits to be computed."""

    inputs: Arrays
    answer: "concurrent.futures.Future[Arrays]"

    @property
    def tasks(self) -> int:
        return len(next(iter(self.inputs.values())))


def join(requests: List[Arrays]) -> Arrays:
    """Joins requests along the tasks, the first axis, after filling them up to the same size on the others."""
    return {name: np.concatenate(_filled([request[name] for request in requests])) for name in requests[0]}


def split(outputs: Arrays, tasks: List[int]) -> List[Arrays]:
    """The outputs of each of the joined requests."""
    ends = np.cumsum(tasks)[:-1]
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return [{name: part[index] for name, part in parts.items()} for index in range(len(tasks))]


def _filled(arrays: List[np.ndarray]) -> List[np.ndarray]:
    shape = np.max([array.shape for array in arrays], axis=0)[1:]
    return [_fill(array, shape) for array in arrays]


def _fill(array: np.ndarray, shape: np.ndarray) -> np.ndarray:
    if array.shape[1:] == tuple(shape):
        return array
    missing = [(0, 0), *((0, int(wanted - given)) for wanted, given in zip(shape, array.shape[1:]))]
    return np.pad(array, missing, constant_values=array.reshape(-1)[0])


class Batcher:
    """Computes one signature in batches, in a thread of its own.

    Args:
      signature: what a loaded SavedModel has.
      max_batch_size: most tasks computed together.
      timeout: seconds that a batch waits to be filled.
    """

    def __init__(self, signature: Any, max_batch_size: int, timeout: float):
        self._signature, self._max_batch_size, self._timeout = signature, max_batch_size, timeout
        self._waiting: "queue.Queue[Waiting]" = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self, inputs: Arrays) -> Arrays:
        """Outputs for one request; raises what the graph raises for its batch."""
        waiting = Waiting(inputs, concurrent.futures.Future())
        self._waiting.put(waiting)
        return waiting.answer.result()

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            try:
                joined = {name: tf.constant(array) for name, array in join([each.inputs for each in batch]).items()}
                outputs = {name: tensor.numpy() for name, tensor in self._signature(**joined).items()}
                for each, part in zip(batch, split(outputs, [each.tasks for each in batch])):
                    each.answer.set_result(part)
            except Exception as error:  # whatever it is, those who wait must hear of it
                for each in batch:
                    each.answer.set_exception(error)

    def _next_batch(self) -> List[Waiting]:
        batch = [self._waiting.get()]
        tasks, end = batch[0].tasks, time.monotonic() + self._timeout
        while tasks < self._max_batch_size:
            try:
                batch.append(self._waiting.get(timeout=max(0.0, end - time.monotonic())))
            except queue.Empty:
                break
            tasks += batch[-1].tasks
        return batch


class Predictor(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The service, for one SavedModel."""

    def __init__(self, directory: str, max_batch_size: int, timeout: float):
        self._loaded = tf.saved_model.load(directory)  # kept: it owns the variables
        self._batchers = {
            name: Batcher(signature, max_batch_size, timeout) for name, signature in self._loaded.signatures.items()
        }

    def Predict(self, request: Any, context: Any) -> Any:
        name = request.model_spec.signature_name
        if name not in self._batchers:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"there is no signature {name!r}")
        inputs = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
        try:
            outputs = self._batchers[name].ask(inputs)
        except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        for key, array in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(array))
        return response


def serve(directory: str, port: int = 0, max_batch_size: int = 32, timeout: float = 0.002, threads: int = 128) -> Any:
    """Starts the server on the loopback interface: the grpc server and its port."""
    limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(threads), options=limits)
    service = Predictor(directory, max_batch_size, timeout)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", help="of the SavedModel, with its version")
    parser.add_argument("--port", type=int, default=8500, help="0 takes a free one (default: 8500)")
    parser.add_argument("--max_batch_size", type=int, default=32, help="1 computes one by one (default: 32)")
    flags = parser.parse_args()
    server, port = serve(flags.directory, flags.port, flags.max_batch_size)
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
