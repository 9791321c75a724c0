"""The arrays of weights.npz as the value that `cnn/run.py` takes."""

from typing import Mapping

import numpy as np

from hypertransformer_tf.cnn.architecture import Architecture
from hypertransformer_tf.cnn.normalisation import Statistics
from hypertransformer_tf.cnn.weights import ConvolutionWeights, GeneratedWeights, LogitsWeights


def weights_from_arrays(arrays: Mapping[str, np.ndarray], architecture: Architecture) -> GeneratedWeights:
    """Weights of one classifier, with a leading axis of 1 everywhere as for a task batch of one episode.

    They stay NumPy arrays, which can be pickled; `run_cnn` takes them.

    Args:
      arrays: float32, of `weights_file.read_weights`.
      architecture: of the CNN.

    Raises:
      KeyError: a key is missing.
    """
    convolutions = [_convolution(arrays, f"convolution_{spec.index}/") for spec in architecture.convolutions]
    logits = LogitsWeights(_of_one(arrays["logits/kernel"]), _of_one(arrays["logits/bias"]))
    return GeneratedWeights(tuple(convolutions), logits, heads=(), blocks=(), shared_features=None)


def _convolution(arrays: Mapping[str, np.ndarray], prefix: str) -> ConvolutionWeights:
    own_share, bias = arrays.get(prefix + "own_share"), arrays.get(prefix + "bias")
    return ConvolutionWeights(
        kernel=_of_one(arrays[prefix + "kernel"]),
        bias=None if bias is None else _of_one(bias),
        gamma=_of_one(arrays[prefix + "gamma"]),
        beta=_of_one(arrays[prefix + "beta"]),
        statistics=Statistics(
            _of_one(arrays[prefix + "mean"]),
            _of_one(arrays[prefix + "variance"]),
            None if own_share is None else _of_one(own_share),
        ),
    )


def _of_one(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False)[np.newaxis]
