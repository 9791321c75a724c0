"""A program that runs an exported model through TensorFlow's C API, the loader of TensorFlow Serving, by ctypes only.

`serving_c_api.py LIBRARIES MODEL REQUEST`: LIBRARIES is the folder of TensorFlow's shared libraries, REQUEST a JSON
object {"inputs": {"tensor:0": [dtype number, nested list]}, "output": "tensor:0", "wrong": {"tensor:0": ...}}. Asks
rightly, then wrongly, then rightly again, and prints {"first": values, "error": text, "again": values}.
"""

import ctypes
import json
import sys

import numpy as np

DTYPES = {1: np.float32, 3: np.int32, 4: np.uint8}
P = ctypes.c_void_p


class Output(ctypes.Structure):
    _fields_ = [("operation", P), ("index", ctypes.c_int)]


def load_library(folder):
    ctypes.CDLL(f"{folder}/libtensorflow_framework.so.2", ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(f"{folder}/libtensorflow_cc.so.2", ctypes.RTLD_GLOBAL)
    pointers = ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "GraphOperationByName")
    for name in (*pointers, "AllocateTensor", "TensorData"):
        getattr(library, f"TF_{name}").restype = P
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_TensorByteSize.restype = ctypes.c_size_t
    return library


class Session:
    def __init__(self, library, folder):
        self.tf, self.status, self.graph = library, P(library.TF_NewStatus()), P(library.TF_NewGraph())
        tags = (ctypes.c_char_p * 1)(b"serve")
        options = P(library.TF_NewSessionOptions())
        self.session = P(
            library.TF_LoadSessionFromSavedModel(options, None, folder.encode(), tags, 1, self.graph, None, self.status)
        )
        self.check()

    def check(self):
        if self.tf.TF_GetCode(self.status):
            raise RuntimeError(self.tf.TF_Message(self.status).decode())

    def output(self, name):
        operation, index = name.split(":")
        return Output(self.tf.TF_GraphOperationByName(self.graph, operation.encode()), int(index))

    def tensor(self, dtype, values):
        array = np.ascontiguousarray(values, DTYPES[dtype])
        sides = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = P(self.tf.TF_AllocateTensor(dtype, sides, array.ndim, ctypes.c_size_t(array.nbytes)))
        ctypes.memmove(self.tf.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
        return tensor

    def run(self, inputs, output):
        feeds = (Output * len(inputs))(*[self.output(name) for name in inputs])
        values = (P * len(inputs))(*[self.tensor(*value) for value in inputs.values()])
        fetches, results = (Output * 1)(self.output(output)), (P * 1)()
        self.tf.TF_SessionRun(
            self.session, None, feeds, values, len(inputs), fetches, results, 1, None, 0, None, self.status
        )
        self.check()
        size = self.tf.TF_TensorByteSize(P(results[0]))
        return np.frombuffer(ctypes.string_at(self.tf.TF_TensorData(P(results[0])), size), np.float32).tolist()


session = Session(load_library(sys.argv[1]), sys.argv[2])
with open(sys.argv[3]) as file:
    request = json.load(file)
first = session.run(request["inputs"], request["output"])
try:
    session.run({**request["inputs"], **request["wrong"]}, request["output"])
    error = ""
except RuntimeError as refused:
    error = str(refused)
again = session.run(request["inputs"], request["output"])
assert "tensorflow" not in sys.modules
print(json.dumps({"first": first, "error": error, "again": again}))
