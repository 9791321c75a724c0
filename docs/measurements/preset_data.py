"""The data that each preset is for."""

from typing import Optional

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.deployment.trained_models import TrainedModel

SOURCES = {1: "omniglot_averaged", 3: "cifar_fs"}  # by channels


def data_of(trained: TrainedModel, data_dir: Optional[str] = None) -> DataConfig:
    """Pictures as the preset was meta-trained on, of its size; from `data_dir`, or the usual places."""
    size, _, channels = trained.model.image_shape
    return DataConfig(source=SOURCES[channels], image_size=size, channels=channels, data_dir=data_dir)
