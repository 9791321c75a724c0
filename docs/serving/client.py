#!/usr/bin/env python3
"""Asks a HyperTransformer in TensorFlow Serving, over gRPC. One file, to be copied.

  pip install tensorflow-serving-api
  python client.py --support=FOLDER PICTURE...

FOLDER has a sub-folder of PNG or JPEG pictures for each class. `--rest` prints the body of the REST request instead.
"""

import argparse
import base64
import json
import pathlib
from typing import List, Sequence, Tuple

import numpy as np

_NO_LABEL, _COUNTS, _IGNORED = -1, 0, 1


class Client:
    """A few-shot classifier on a server; every method asks about one task.

    Each request begins with a support sample that the mask ignores. When the server joins requests of different
    sizes it fills the shorter ones up with copies of their first element, which is then ignored too. Because a wrong
    request fails together with those it was joined with, labels are checked before anything is sent.

    Args:
      address: host and port of the server's gRPC.
      model: its name there.
      timeout: seconds that a request may take.
    """

    def __init__(self, address: str = "localhost:8500", model: str = "hypertransformer", timeout: float = 10.0):
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        # 5-way 100-shot pictures are more than gRPC's usual 4 MB.
        limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.insecure_channel(address, limits)
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model, self._timeout = model, timeout

    def few_shot(self, support: np.ndarray, labels: Sequence[int], queries: np.ndarray) -> np.ndarray:
        """Probabilities (Q, classes) for queries (Q, H, W, C) uint8, from support (S, H, W, C) uint8.

        Args:
          support: pictures, prepared as for meta-training.
          labels: S of them, from 0; -1 is no label.
          queries: pictures, prepared in the same way.
        """
        inputs = {**support_inputs("support_images", support, labels), "query_images": queries[np.newaxis]}
        answer = self._ask("few_shot", inputs)["probabilities"]
        return answer[0, : len(queries), : max(labels) + 1]

    def few_shot_bytes(self, support: Sequence[bytes], labels: Sequence[int], queries: Sequence[bytes]) -> np.ndarray:
        """As `few_shot`, for the bytes of PNG or JPEG files of any size."""
        answer = self._ask("few_shot_bytes", bytes_inputs(support, labels, queries))["probabilities"]
        return answer[0, : len(queries), : max(labels) + 1]

    def generate(self, support: np.ndarray, labels: Sequence[int]) -> np.ndarray:
        """The weights of a classifier as a vector, to be kept for `classify`; arguments of `few_shot`."""
        return self._ask("generate", support_inputs("support_images", support, labels))["weights"][0]

    def classify(self, weights: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Probabilities (Q, the model's classes) by a classifier of `generate`; 0 for classes it does not have."""
        inputs = {"weights": weights[np.newaxis], "query_images": queries[np.newaxis]}
        return self._ask("classify", inputs)["probabilities"][0, : len(queries)]

    def close(self) -> None:
        self._channel.close()

    def _ask(self, signature: str, inputs: dict) -> dict:
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self._model, signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        outputs = self._service.Predict(request, self._timeout).outputs
        return {name: tf.make_ndarray(tensor) for name, tensor in outputs.items()}


def support_inputs(name: str, support: np.ndarray, labels: Sequence[int]) -> dict:
    """The inputs that describe a support set (S, ...), with the ignored sample in front.

    Raises:
      ValueError: the labels would be refused by the server.
    """
    _check(labels, len(support))
    nothing = np.zeros_like(support[:1]) if support.dtype != object else np.array([b""], object)
    return {
        name: np.concatenate([nothing, support])[np.newaxis],
        "support_labels": np.array([[_NO_LABEL, *labels]], np.int32),
        "support_mask": np.array([[_IGNORED, *[_COUNTS] * len(labels)]], np.int32),
    }


def bytes_inputs(support: Sequence[bytes], labels: Sequence[int], queries: Sequence[bytes]) -> dict:
    """The inputs of `few_shot_bytes`."""
    inputs = support_inputs("support_pictures", np.array(list(support), object), labels)
    return {**inputs, "query_pictures": np.array([list(queries)], object)}


def rest_request(support: Sequence[bytes], labels: Sequence[int], queries: Sequence[bytes]) -> str:
    """The body of a REST request for `few_shot_bytes`, in TensorFlow Serving's columnar form."""

    def plain(array: np.ndarray) -> list:
        if array.dtype != object:
            return array.tolist()
        return [[{"b64": base64.b64encode(picture).decode()} for picture in row] for row in array]

    inputs = {name: plain(array) for name, array in bytes_inputs(support, labels, queries).items()}
    return json.dumps({"signature_name": "few_shot_bytes", "inputs": inputs})


def read_folder(folder: str) -> Tuple[List[bytes], List[int], List[str]]:
    """The pictures of a folder with a sub-folder for each class, their labels, and the classes' names."""
    classes = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
    files = [(file, label) for label, path in enumerate(classes) for file in sorted(path.iterdir())]
    return [file.read_bytes() for file, _ in files], [label for _, label in files], [path.name for path in classes]


def _check(labels: Sequence[int], samples: int) -> None:
    if len(labels) != samples:
        raise ValueError(f"{samples} support samples have {len(labels)} labels: give one each, -1 for none.")
    known = {int(label) for label in labels} - {_NO_LABEL}
    if len(known) < 2 or known != set(range(len(known))):
        raise ValueError(f"labels {sorted(known)}: number two or more classes from 0, each with a sample.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--support", required=True, help="a folder with a sub-folder for each class")
    parser.add_argument("--address", default="localhost:8500", help="of the server (default: localhost:8500)")
    parser.add_argument("--model", default="hypertransformer", help="its name on the server")
    parser.add_argument("--rest", action="store_true", help="print the body of a REST request and ask nobody")
    parser.add_argument("pictures", nargs="+", help="what to classify")
    flags = parser.parse_args()
    support, labels, names = read_folder(flags.support)
    queries = [pathlib.Path(picture).read_bytes() for picture in flags.pictures]
    if flags.rest:
        print(rest_request(support, labels, queries))
        return
    client = Client(flags.address, flags.model)
    for picture, row in zip(flags.pictures, client.few_shot_bytes(support, labels, queries)):
        print(f"{picture}: {names[row.argmax()]} {row.max():.3f}")


if __name__ == "__main__":
    main()
