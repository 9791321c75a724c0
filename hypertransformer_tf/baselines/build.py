"""The model of a baseline by the name of its method."""

from typing import Sequence

from hypertransformer_tf.baselines.baseline import Baseline
from hypertransformer_tf.baselines.config import MamlConfig, MethodConfig, OracleConfig
from hypertransformer_tf.baselines.maml import Maml
from hypertransformer_tf.baselines.oracle import Oracle
from hypertransformer_tf.baselines.pixels import NearestPixels
from hypertransformer_tf.baselines.prototypical import PrototypicalNetwork
from hypertransformer_tf.baselines.rfs import Rfs
from hypertransformer_tf.cnn.config import CnnConfig


def build_baseline(
    method: MethodConfig,
    maml: MamlConfig,
    oracle: OracleConfig,
    cnn: CnnConfig,
    image_shape: Sequence[int],
    n_way: int,
    classes: int,
) -> Baseline:
    """A baseline with fresh variables.

    Args:
      method: which one; not the HyperTransformer.
      maml: MAML's settings.
      oracle: the oracle's.
      cnn: the CNN.
      image_shape: (H, W, C).
      n_way: most classes of an episode.
      classes: number of meta-train classes.
    """
    if method.name == "maml":
        return Maml(image_shape, n_way, cnn, maml=maml, name=method.name)
    if method.name == "oracle":
        return Oracle(image_shape, n_way, cnn, oracle=oracle, name=method.name)
    if method.name == "pixels":
        return NearestPixels(image_shape, n_way, cnn, name=method.name)
    if method.name == "rfs":
        return Rfs(image_shape, n_way, cnn, classes=classes, name=method.name)
    return PrototypicalNetwork(image_shape, n_way, cnn, name=method.name)
