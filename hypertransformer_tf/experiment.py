"""All settings of a run in one value, from the gin configuration in force. Knows nothing of TensorFlow."""

import dataclasses
from typing import Any, Dict, Tuple, Union

from hypertransformer_tf.cnn.config import CnnConfig, GeneratorConfig
from hypertransformer_tf.config import configuration_text, configured, effective_configuration
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.mixture import MixedSampler
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.config import EvaluationConfig
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.training.config import LossConfig, OptimizerConfig, TrainingConfig


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Settings of data, episodes, model, training and evaluation."""

    data: DataConfig
    episodes: EpisodeConfig
    augmentation: AugmentationConfig
    image_augmentation: ImageAugmentationConfig
    cnn: CnnConfig
    features: FeaturesConfig
    transformer: TransformerConfig
    generator: GeneratorConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    evaluation: EvaluationConfig

    @classmethod
    def from_configuration(cls) -> "Experiment":
        """Constructs every part from the gin configuration in force. Raises UserError for a wrong value."""
        return cls(**{field.name: configured(field.type) for field in dataclasses.fields(cls)})

    @property
    def model(self) -> ModelConfig:
        """The parts that describe the model."""
        return ModelConfig(self.cnn, self.features, self.transformer, self.generator)

    def effective(self) -> Dict[str, Dict[str, Any]]:
        """All parameters, defaults included, as plain values."""
        return effective_configuration(*self._parts())

    def text(self) -> str:
        """A gin file that repeats this run."""
        return configuration_text(*self._parts())

    def training_sampler(self, images) -> Union[EpisodeSampler, MixedSampler]:
        """Augmented episodes of the meta-training classes."""
        seed = self.training.seed

        def sampler(episodes: EpisodeConfig) -> EpisodeSampler:
            return EpisodeSampler(images, "train", episodes, self.augmentation, self.image_augmentation, seed)

        if self.episodes.mixture:
            return MixedSampler(sampler, self.episodes, seed, "train")
        return sampler(self.episodes)

    def evaluation_sampler(self, images, split: str) -> EpisodeSampler:
        """Episodes of a split as they are, without augmentation; the same for every run with this seed."""
        plain = AugmentationConfig(**_defaults(AugmentationConfig)), ImageAugmentationConfig(enabled=False)
        return EpisodeSampler(images, split, self.episodes, *plain, self.training.seed)

    def _parts(self) -> Tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def _defaults(cls) -> Dict[str, Any]:
    # Given outright, so that what gin binds for training does not reach evaluation.
    return {field.name: field.default for field in dataclasses.fields(cls)}
