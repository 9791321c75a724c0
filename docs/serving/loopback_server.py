#!/usr/bin/env python3
"""A stand-in for TensorFlow Serving on this machine only: its gRPC `Predict`, over a SavedModel, with its batching.

  python loopback_server.py served/omniglot/1 --port=8500 --max_batch_size=128

It is for trying the client and for load tests where the real server cannot be had. It joins requests as Serving's
BatchingSession does with `batching.config`: at most `max_batch_size` tasks of one signature, shorter tensors filled up
with their first element, `num_batch_threads` batches at a time, and an error goes to all requests of a batch. A request
of more tasks is refused. (Serving's threads are shared by all signatures; here each signature has as many.)
"""

import argparse
import concurrent.futures
import queue
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional

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
        return number_of_tasks(self.inputs)


def number_of_tasks(inputs: Arrays) -> int:
    """The size of the first axis, which all inputs share. Raises ValueError."""
    (tasks, *others) = {len(array) for array in inputs.values()}
    if others:
        raise ValueError("Batching session Run() input tensors must have equal 0th-dimension size")
    return tasks


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
    """Computes one signature in batches, in threads of its own.

    Args:
      signature: what a loaded SavedModel has.
      max_batch_size: most tasks computed together, and most of one request.
      timeout: seconds that a batch waits to be filled.
      num_batch_threads: batches computed at the same time.
    """

    def __init__(self, signature: Any, max_batch_size: int, timeout: float, num_batch_threads: int):
        self._signature, self._max_batch_size, self._timeout = signature, max_batch_size, timeout
        self._waiting: "queue.Queue[Waiting]" = queue.Queue()
        self._forming = threading.Lock()  # one batch at a time
        self._left_over: Optional[Waiting] = None
        for _ in range(num_batch_threads):
            threading.Thread(target=self._work, daemon=True).start()

    def ask(self, inputs: Arrays) -> Arrays:
        """Outputs for one request; raises what the graph raises for its batch, and ValueError if it is too large."""
        waiting = Waiting(inputs, concurrent.futures.Future())
        if waiting.tasks > self._max_batch_size:
            raise ValueError(
                f"Task size {waiting.tasks} is larger than maximum input batch size {self._max_batch_size}"
            )
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
        """Waits for requests of at most `max_batch_size` tasks; the first that does not fit begins the next batch."""
        with self._forming:
            batch = [self._left_over or self._waiting.get()]
            self._left_over = None
            tasks, end = batch[0].tasks, time.monotonic() + self._timeout
            while tasks < self._max_batch_size:
                try:
                    following = self._waiting.get(timeout=max(0.0, end - time.monotonic()))
                except queue.Empty:
                    break
                tasks += following.tasks
                if tasks > self._max_batch_size:
                    self._left_over = following
                    break
                batch.append(following)
            return batch


class Predictor(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The service, for one SavedModel."""

    def __init__(self, directory: str, *batching: Any):
        self._loaded = tf.saved_model.load(directory)  # kept: it owns the variables
        self._batchers = {name: Batcher(signature, *batching) for name, signature in self._loaded.signatures.items()}

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


def serve(
    directory: str,
    port: int = 0,
    max_batch_size: int = 128,
    timeout: float = 0.002,
    num_batch_threads: int = 2,
    threads: int = 128,
) -> Any:
    """Starts the server on the loopback interface: the grpc server and its port. Defaults are `batching.config`'s."""
    limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(threads), options=limits)
    service = Predictor(directory, max_batch_size, timeout, num_batch_threads)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", help="of the SavedModel, with its version")
    parser.add_argument("--port", type=int, default=8500, help="0 takes a free one (default: 8500)")
    parser.add_argument("--max_batch_size", type=int, default=128, help="1 computes one by one (default: 128)")
    flags = parser.parse_args()
    server, port = serve(flags.directory, flags.port, flags.max_batch_size)
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
