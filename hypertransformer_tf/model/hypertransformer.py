"""The HyperTransformer: reads a support set, writes a CNN, and the CNN classifies the query set."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import keras
import tensorflow as tf

from hypertransformer_tf.cnn.architecture import Architecture, ConvolutionSpec, LogitsSpec, build_architecture
from hypertransformer_tf.cnn.readout import convolution_layout, logits_layout, read_convolution, read_logits
from hypertransformer_tf.cnn.run import run_cnn, run_convolution
from hypertransformer_tf.cnn.weights import ConvolutionWeights, GeneratedWeights, LogitsWeights
from hypertransformer_tf.keras_stack import variables_by_path
from hypertransformer_tf.layers.dropout import Dropout, apply_dropout
from hypertransformer_tf.layers.features import LocalFeatures, LogitsFeatures, SharedFeatures
from hypertransformer_tf.layers.trained_weights import TrainedConvolution, TrainedLogits
from hypertransformer_tf.layers.weight_generator import WeightGenerator
from hypertransformer_tf.model import checks
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.model.images import scale_images


class Classification(NamedTuple):
    """Logits (T, Q, n_way) of the generated CNN, and those of its warm-up heads."""

    logits: tf.Tensor
    head_logits: Tuple[tf.Tensor, ...]


class HyperTransformer(keras.Model):
    """A transformer that writes the weights of a small CNN made for the classes of one episode.

    Zhmoginov, Sandler and Vladymyrov, "HyperTransformer", ICML 2022 (arXiv 2201.04182), Section 3.

    Example:
      model = HyperTransformer(image_shape=(28, 28, 1), n_way=5)
      weights = model.generate(support_images, support_labels)
      logits = model.classify(query_images, weights)

    Args:
      image_shape: (H, W, C) of the images, H equal to W.
      n_way: number of classes of an episode.
      config: everything else.
      shared_head_classes: classes of the meta-training set that a dense head on the shared features predicts
        (see `training/losses.py`); 0 is no such head.
      convolution_form: `folded` (fast on CPU) or `plain` (stock operations); they compute the same.

    Images are uint8 from 0 to 255, scaled inside by x / 128 - 1, or float32 already so scaled. Labels are int32,
    from 0 to n_way - 1; -1 is "no label". Everything takes one episode, or a task batch with a leading axis T.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        n_way: int,
        config: Optional[ModelConfig] = None,
        shared_head_classes: int = 0,
        convolution_form: str = "folded",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.n_way = tuple(int(size) for size in image_shape), int(n_way)
        checks.model_arguments(self.image_shape, self.n_way, convolution_form)
        self.config = ModelConfig() if config is None else config
        self.shared_head_classes, self.convolution_form = shared_head_classes, convolution_form
        self.architecture: Architecture = build_architecture(self.config.cnn, self.image_shape)
        self.shared_features = self._make_shared_features()
        self.generators = [
            self._make_convolution_generator(spec) if spec.generated else None
            for spec in self.architecture.convolutions
        ] + [self._make_logits_generator()]
        self.support_weights = self._make_trained_convolutions("support" if self._separate else "trained")
        self.query_weights = self._make_trained_convolutions("query") if self._separate else self.support_weights
        self.trained_logits = self._make_trained_logits()
        self.heads = self._make_heads()
        self.shared_head = self._make_shared_head()
        self.build(None)

    def generate(
        self,
        support_images: Any,
        support_labels: Any,
        support_mask: Any = None,
        dropout: Optional[Dropout] = None,
    ) -> GeneratedWeights:
        """Writes the weights of a CNN for the classes of the support set.

        Weights are made layer by layer: each layer's generator sees the support activations after the layers
        generated so far.

        Args:
          support_images: ([T,] S, H, W, C) uint8, or float32 scaled.
          support_labels: ([T,] S) int, -1 = no label.
          support_mask: ([T,] S) float or bool, 1 = ignore this sample; None ignores none.
          dropout: draws dropout masks while training; None is no dropout.

        Returns:
          The weights, with a leading axis T if the arguments had one.

        Raises:
          UserError: images of another shape or dtype than the model's; labels out of range; an empty support set; a
            class without a labelled sample (values are checked where they are known, that is, not inside a graph).
        """
        images, single = checks.episode_images("support_images", support_images, self.image_shape)
        labels, mask = checks.support_labels(support_labels, support_mask, images, single, self.n_way)
        weights = self._generate(scale_images(images), labels, mask, dropout)
        return _map_weights(lambda weight: weight[0], weights) if single else weights

    def classify(self, query_images: Any, weights: GeneratedWeights, dropout: Optional[Dropout] = None) -> tf.Tensor:
        """Runs the generated CNN.

        Args:
          query_images: ([T,] Q, H, W, C) uint8, or float32 scaled.
          weights: from `generate`, of the same episodes.
          dropout: draws dropout masks while training; None is no dropout.

        Returns:
          Logits ([T,] Q, n_way).
        """
        images, single = checks.episode_images("query_images", query_images, self.image_shape)
        checks.weights_of_episodes(weights, images, single)
        if single:
            weights = _map_weights(lambda weight: weight[tf.newaxis], weights)
        logits = self.classify_with_heads(images, weights, dropout).logits
        return logits[0] if single else logits

    def classify_with_heads(
        self, query_images: tf.Tensor, weights: GeneratedWeights, dropout: Optional[Dropout] = None
    ) -> Classification:
        """`classify` for a task batch (T, Q, H, W, C), with the logits of the warm-up heads."""
        cnn = self.config.cnn
        images = scale_images(query_images)
        logits, head_logits = run_cnn(
            images,
            weights,
            self.architecture,
            cnn.activation,
            self.convolution_form,
            before_logits=lambda features: apply_dropout(dropout, features, cnn.dropout),
        )
        return Classification(logits, head_logits)

    def named_variables(self) -> Dict[str, Any]:
        """All variables by a name that says where they are, such as `layer_1_generator/encoder_1/...`."""
        return variables_by_path(self)

    def call(self, inputs: Tuple[Any, ...]) -> tf.Tensor:
        """Logits for (support_images, support_labels, query_images): `generate`, then `classify`."""
        support_images, support_labels, query_images = inputs
        weights = self.generate(support_images, support_labels)
        return self.classify(query_images, weights)

    def _generate(self, images, labels, mask, dropout: Optional[Dropout]) -> GeneratedWeights:
        shared = self.share(images, dropout)
        activations, convolutions, blocks, heads = images, [], [], []
        for index, spec in enumerate(self.architecture.convolutions):
            generated = None
            blocks.append(None)
            if spec.generated:
                blocks[-1] = self.generators[index](activations, labels, shared, support_mask=mask, dropout=dropout)
                generated = read_convolution(blocks[-1], spec, self.config.generator)
            convolutions.append(self.query_weights[index].add_to(generated))
            activations = self._run_support(activations, self.support_weights[index].add_to(generated), spec)
            if index < len(self.heads):
                heads.append(self._head_weights(index, activations, labels, shared, mask, dropout))
        blocks.append(self.generators[-1](activations, labels, shared, support_mask=mask, dropout=dropout))
        logits = read_logits(blocks[-1], self.architecture.logits.input_size)
        if self.trained_logits is not None:
            logits = self.trained_logits.add_to(logits)
        return GeneratedWeights(tuple(convolutions), logits, tuple(heads), tuple(blocks), shared)

    def _run_support(self, activations, weights: ConvolutionWeights, spec: ConvolutionSpec) -> tf.Tensor:
        return run_convolution(activations, weights, spec, self.config.cnn.activation, self.convolution_form)

    def share(self, images: tf.Tensor, dropout: Optional[Dropout] = None) -> Optional[tf.Tensor]:
        """Shared features (T, S, features) of images (T, S, H, W, C), or None without a shared extractor."""
        if self.shared_features is None:
            return None
        return apply_dropout(dropout, self.shared_features(scale_images(images)), self.config.features.shared_dropout)

    def _head_weights(self, index: int, activations, labels, shared, mask, dropout) -> LogitsWeights:
        head = self.heads[index]
        if isinstance(head, TrainedLogits):
            return head.add_to(None)
        blocks = head(activations, labels, shared, support_mask=mask, dropout=dropout)
        return read_logits(blocks, self.architecture.convolutions[index].output_shape[-1])

    @property
    def _separate(self) -> bool:
        return self.config.cnn.separate_query_variables

    def _make_shared_features(self) -> Optional[SharedFeatures]:
        features = self.config.features
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

    def _make_generator(self, name: str, layout, local_features, tokens_are_classes: bool = False) -> WeightGenerator:
        features = self.config.features
        return WeightGenerator(
            self.n_way,
            layout,
            self.config.transformer,
            local_features,
            shared_size=features.shared_dim if features.shared_layers else 0,
            local_dropout=features.local_dropout,
            tokens_are_classes=tokens_are_classes,
            name=name,
        )

    def _make_convolution_generator(self, spec: ConvolutionSpec) -> WeightGenerator:
        config = self.config.features
        size = max(spec.kernel_shape[2:]) if config.local_dim is None else config.local_dim
        local = None
        if size > 0:
            local = LocalFeatures(
                size, config.local_layers, spec.kernel_size, initializer=config.initializer, name="local_features"
            )
        layout = convolution_layout(spec, self.config.generator)
        return self._make_generator(f"layer_{spec.index}_generator", layout, local)

    def _make_logits_generator(self) -> WeightGenerator:
        spec = self.architecture.logits
        source = self.config.features.logits if spec.flatten else "convolution"
        return self._make_dense_generator(f"layer_{spec.index}_generator", spec, source)

    def _make_dense_generator(self, name: str, spec: LogitsSpec, source: str) -> WeightGenerator:
        config = self.config.features
        size = spec.input_shape[-1] if config.local_dim is None else config.local_dim
        local = None
        if size > 0 or source != "convolution":
            local = LogitsFeatures(source, size, config.nonlinear, config.initializer, name="local_features")
        return self._make_generator(name, logits_layout(self.n_way, spec.input_size), local, tokens_are_classes=True)

    def _make_trained_convolutions(self, prefix: str) -> List[TrainedConvolution]:
        generator = self.config.generator
        layers = []
        for spec in self.architecture.convolutions:
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

    def _make_trained_logits(self) -> Optional[TrainedLogits]:
        if not self.config.generator.add_trained_weights:
            return None
        spec = self.architecture.logits
        return TrainedLogits(spec.input_size, self.n_way, name=f"layer_{spec.index}_trained")

    def _make_heads(self) -> List[Any]:
        kind = self.config.cnn.warmup_heads
        specs = self.architecture.convolutions[:-1] if kind != "none" else ()
        heads = []
        for spec in specs:
            head = LogitsSpec(spec.index, spec.output_shape, flatten=False)
            if kind == "trained":
                heads.append(TrainedLogits(head.input_size, self.n_way, name=f"layer_{spec.index}_head"))
            else:
                heads.append(self._make_dense_generator(f"layer_{spec.index}_head_generator", head, "convolution"))
        return heads

    def _make_shared_head(self) -> Optional[keras.layers.Dense]:
        if not self.shared_head_classes or self.shared_features is None:
            return None
        return keras.layers.Dense(self.shared_head_classes, name="shared_head")

    def build(self, input_shape=None):
        """Creates all variables; the constructor does this, so that a model is complete once made."""
        if self.shared_features is not None:
            self.shared_features.build((None, None) + self.image_shape)
        for spec, generator in zip(self.architecture.convolutions + (self.architecture.logits,), self.generators):
            if generator is not None:
                generator.build((None, None) + spec.input_shape)
        for layer in self.support_weights + (self.query_weights if self._separate else []):
            layer.build()
        if self.trained_logits is not None:
            self.trained_logits.build()
        for spec, head in zip(self.architecture.convolutions, self.heads):
            head.build((None, None) + spec.output_shape)
        if self.shared_head is not None:
            self.shared_head.build((None, self.config.features.shared_dim))
        self.built = True

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "n_way": self.n_way,
            "config": self.config.to_dict(),
            "shared_head_classes": self.shared_head_classes,
            "convolution_form": self.convolution_form,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config["config"] = ModelConfig.from_dict(config["config"])
        return cls(**config)


def _map_weights(change: Callable[[tf.Tensor], tf.Tensor], weights: GeneratedWeights) -> GeneratedWeights:
    return tf.nest.map_structure(lambda weight: None if weight is None else change(weight), weights)
