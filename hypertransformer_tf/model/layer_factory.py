"""Makes the layers of a HyperTransformer from its settings."""

from typing import Any, List, Optional

import keras

from hypertransformer_tf.cnn.architecture import Architecture, ConvolutionSpec, LogitsSpec
from hypertransformer_tf.cnn.layout import BlockLayout, convolution_layout, logits_layout
from hypertransformer_tf.layers.features import LocalFeatures, LogitsFeatures, SharedFeatures
from hypertransformer_tf.layers.statistics import SupportStatistics
from hypertransformer_tf.layers.trained_weights import TrainedConvolution, TrainedLogits
from hypertransformer_tf.layers.weight_generator import Features, WeightGenerator
from hypertransformer_tf.model.config import ModelConfig


class LayerFactory:
    """One method per kind of layer; which variables a model has, and their names, is decided here.

    Args:
      config: the model's settings.
      architecture: of its generated CNN.
      n_way: most classes of an episode.
    """

    def __init__(self, config: ModelConfig, architecture: Architecture, n_way: int):
        self._config, self._architecture, self._n_way = config, architecture, n_way

    def convolution_generators(self) -> List[Optional[WeightGenerator]]:
        """One per convolution of the CNN; None for a trained one."""
        return [
            self._convolution_generator(spec) if spec.generated else None for spec in self._architecture.convolutions
        ]

    def logits_generator(self) -> WeightGenerator:
        """That of the logits layer, which is always generated."""
        spec = self._architecture.logits
        source = self._config.features.logits if spec.flatten else "convolution"
        return self._dense_generator(f"layer_{spec.index}_generator", spec, source)

    def shared_features(self) -> Optional[SharedFeatures]:
        """The extractor whose features all generators read, or None."""
        features = self._config.features
        if features.shared_layers == 0:
            return None
        return SharedFeatures(
            features.shared_dim,
            features.shared_layers,
            features.shared_padding,
            features.shared_batch_norm,
            features.initializer,
            name="shared_features",
        )

    def _generator(
        self, name: str, layout: BlockLayout, local_features: Optional[Features], tokens_are_classes: bool = False
    ) -> WeightGenerator:
        features = self._config.features
        return WeightGenerator(
            self._n_way,
            layout,
            self._config.transformer,
            local_features,
            shared_size=features.shared_dim if features.shared_layers else 0,
            local_dropout=features.local_dropout,
            tokens_are_classes=tokens_are_classes,
            name=name,
        )

    def _convolution_generator(self, spec: ConvolutionSpec) -> WeightGenerator:
        config = self._config.features
        size = max(spec.kernel_shape[2:]) if config.local_dim is None else config.local_dim
        local = None
        if size > 0:
            local = LocalFeatures(
                size, config.local_layers, spec.kernel_size, initializer=config.initializer, name="local_features"
            )
        layout = convolution_layout(spec, self._config.generator)
        return self._generator(f"layer_{spec.index}_generator", layout, local)

    def _dense_generator(self, name: str, spec: LogitsSpec, source: str) -> WeightGenerator:
        config = self._config.features
        size = spec.input_shape[-1] if config.local_dim is None else config.local_dim
        local = None
        if size > 0 or source != "convolution":
            local = LogitsFeatures(source, size, config.nonlinear, config.initializer, name="local_features")
        return self._generator(name, logits_layout(self._n_way, spec.input_size), local, tokens_are_classes=True)

    def trained_convolutions(self, prefix: str) -> List[TrainedConvolution]:
        """Trained variables beside the generated ones, one layer per convolution."""
        generator = self._config.generator
        layers = []
        for spec in self._architecture.convolutions:
            added = generator.add_trained_weights or not spec.generated
            layers.append(
                TrainedConvolution(
                    spec.kernel_shape,
                    kernel=added,
                    bias=generator.bias and added,
                    norm=added or not generator.batch_norm,
                    name=f"layer_{spec.index}_{prefix}",
                )
            )
        return layers

    def statistics(self) -> List[SupportStatistics]:
        """Per convolution what normalisation keeps of the support set; none in the transductive mode."""
        source = self._config.cnn.normalisation
        if source == "query":
            return []
        return [
            SupportStatistics(source == "task", name=f"layer_{spec.index}_statistics", dtype="float32")
            for spec in self._architecture.convolutions
        ]

    def trained_logits(self) -> Optional[TrainedLogits]:
        """Trained weights added to the generated logits layer, or None."""
        if not self._config.generator.add_trained_weights:
            return None
        spec = self._architecture.logits
        return TrainedLogits(spec.input_size, self._n_way, name=f"layer_{spec.index}_trained")

    def heads(self) -> List[Any]:
        """Warm-up heads after every convolution but the last, where there are any."""
        kind = self._config.cnn.warmup_heads
        specs = self._architecture.convolutions[:-1] if kind != "none" else ()
        heads = []
        for spec in specs:
            head = LogitsSpec(spec.index, spec.output_shape, flatten=False)
            if kind == "trained":
                heads.append(TrainedLogits(head.input_size, self._n_way, name=f"layer_{spec.index}_head"))
            else:
                heads.append(self._dense_generator(f"layer_{spec.index}_head_generator", head, "convolution"))
        return heads

    def shared_head(self, classes: int) -> Optional[keras.layers.Dense]:
        """The dense layer that predicts real classes from shared features, if there are both."""
        if not classes or self._config.features.shared_layers == 0:
            return None
        return keras.layers.Dense(classes, name="shared_head")
