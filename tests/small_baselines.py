"""Small baselines and a task batch that their tests share: 16 pixels, three classes, some samples unlabelled."""

from typing import Any, Sequence

import numpy as np
import numpy_reference as reference
import tensorflow as tf
from layer_checks import randomise
from small_model import LABELS, MASK, N_WAY, QUERY, QUERY_LABELS, SHAPE, SUPPORT

from hypertransformer_tf.baselines.baseline import Baseline
from hypertransformer_tf.baselines.build import build_baseline
from hypertransformer_tf.baselines.config import MamlConfig, MethodConfig, OracleConfig
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.episodes.episode import Episode

CLASSES = 9  # of meta-training
SUPPORT_CLASSES = np.array([[4, 7, 2, 4, 2, 7, 4], [0, 8, 5, 8, 0, 5, 5]], np.int32)
BATCH = Episode(*map(tf.constant, (SUPPORT, LABELS, SUPPORT_CLASSES, QUERY, QUERY_LABELS)))
CNN = CnnConfig(channels=2)
AVERAGING = CnnConfig(architecture="3-layer", stride=2, channels=2)
ORACLE = OracleConfig(steps=3, batch=5)  # of seven support samples
__all__ = ["LABELS", "MASK", "N_WAY", "QUERY", "QUERY_LABELS", "SUPPORT"]


def make_baseline(name: str, cnn: CnnConfig = CNN, **maml: Any) -> Baseline:
    """A baseline of that method with random variables."""
    return randomise(new_baseline(name, cnn, **maml), scale=0.5)


def new_baseline(name: str, cnn: CnnConfig = CNN, **maml: Any) -> Baseline:
    """A baseline of that method as training begins with it."""
    return build_baseline(MethodConfig(name), MamlConfig(**maml), ORACLE, cnn, SHAPE, N_WAY, CLASSES)


def scaled(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float64) / 128.0 - 1.0


def feature_vectors(model: Baseline, images: np.ndarray, kernels: Sequence[np.ndarray] = ()) -> np.ndarray:
    """The features (N, d) of one episode's images (N, H, W, C) in NumPy; with other kernels, if given."""
    layers = model.convolutions.trained
    kernels = kernels or [reference.value(layer.kernel) for layer in layers]
    maps = scaled(images)
    for spec, layer, kernel in zip(model.architecture.convolutions, layers, kernels):
        norm = reference.value(layer.gamma), reference.value(layer.beta)
        stride, padding, pool = spec.stride, spec.padding, spec.pool
        maps = reference.convolution_layer(maps, kernel, *norm, stride=stride, padding=padding, pool=pool)
    return maps.reshape(len(maps), -1) if model.architecture.logits.flatten else maps.mean(axis=(1, 2))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the samples that have a label."""
    return -float(np.mean([log_softmax(row)[label] for row, label in zip(logits, labels) if label >= 0]))
