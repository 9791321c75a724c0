"""A program that runs an exported model with TensorFlow and nothing of ours: `serving_bare.py MODEL REQUESTS ANSWERS`.

REQUESTS is a file of `np.savez` with entries `signature/input`; ANSWERS gets `signature/output`.
"""

import sys

FORBIDDEN = ("hypertransformer_tf", "keras", "tf_keras", "gin", "tensorflow_serving", "safetensors")


class Without:
    """A finder that does not find what is forbidden, as if it were not installed."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in FORBIDDEN else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

signatures = tf.saved_model.load(sys.argv[1]).signatures
requests, answers = np.load(sys.argv[2], allow_pickle=True), {}
for signature in {name.split("/")[0] for name in requests.files}:
    inputs = {name.split("/")[1]: requests[name] for name in requests.files if name.startswith(signature + "/")}
    for name, output in signatures[signature](**{key: tf.constant(value) for key, value in inputs.items()}).items():
        answers[f"{signature}/{name}"] = output.numpy()
assert not any(name.split(".")[0] in FORBIDDEN for name in sys.modules), "something forbidden was imported"
np.savez(sys.argv[3], **answers)
