"""All settings of a HyperTransformer in one value."""

import dataclasses
from typing import Any, Mapping

from hypertransformer_tf.cnn.config import CnnConfig, GeneratorConfig
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """All settings of a model. Built from the gin bindings in force where a part is not given."""

    cnn: CnnConfig = dataclasses.field(default_factory=CnnConfig)
    features: FeaturesConfig = dataclasses.field(default_factory=FeaturesConfig)
    transformer: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain dictionaries, for JSON and Keras' `get_config`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, config: Mapping[str, Mapping[str, Any]]) -> "ModelConfig":
        """Inverse of `to_dict`."""
        return cls(
            cnn=CnnConfig(**config["cnn"]),
            features=FeaturesConfig(**config["features"]),
            transformer=TransformerConfig(**config["transformer"]),
            generator=GeneratorConfig(**config["generator"]),
        )
