"""The HyperTransformer: reads a support set, writes a CNN, and the CNN classifies the query set."""

import numbers
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import keras
import tensorflow as tf

from hypertransformer_tf.cnn.architecture import Architecture, build_architecture
from hypertransformer_tf.cnn.normalisation import Statistics, moments_for, normalise
from hypertransformer_tf.cnn.readout import (
    ConvolutionReadout,
    exclude_absent,
    read_convolution,
    read_logits,
)
from hypertransformer_tf.cnn.run import convolve, read_features, run_cnn, run_convolutions
from hypertransformer_tf.cnn.weights import GeneratedWeights, LogitsWeights
from hypertransformer_tf.keras_stack import build_once, layers_compute_as, variables_by_path
from hypertransformer_tf.layers.dropout import Dropout, apply_dropout
from hypertransformer_tf.layers.trained_weights import TrainedLogits
from hypertransformer_tf.layers.weight_generator import Classes, WeightGenerator
from hypertransformer_tf.model import checks
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.model.images import scale_images
from hypertransformer_tf.model.layer_factory import LayerFactory


class Classification(NamedTuple):
    """Logits (T, Q, n_way) of the generated CNN, and those of its warm-up heads."""

    logits: tf.Tensor
    head_logits: Tuple[tf.Tensor, ...]


class HyperTransformer(keras.Model):
    """A transformer that writes the weights of a small CNN made for the classes of one episode.

    Zhmoginov, Sandler and Vladymyrov, "HyperTransformer", ICML 2022 (arXiv 2201.04182), Section 3.

    Examples:
      >>> model = HyperTransformer(image_shape=(28, 28, 1), n_way=5)
      >>> weights = model.generate(support_images, support_labels)
      >>> logits = model.classify(query_images, weights)

    Args:
      image_shape: (H, W, C) of the images, H equal to W.
      n_way: number of classes of an episode.
      config: everything else.
      shared_head_classes: classes of the meta-training set that a dense head on the shared features predicts
        (see `training/losses.py`); 0 is no such head.
      convolution_form: `folded` (fast on CPU), `plain` (stock operations) or `grouped` (one operation for all episodes
        of a task batch; see `cnn/grouped.py`); they compute the same.
      dtype: Keras' policy: `float32`, or `mixed_bfloat16` or `mixed_float16`, which compute layers and CNNs in the
        lower precision. Variables, moments, softmax and logits are float32 always; generated weights, and the shared
        features beside them, are of the lower precision. None is Keras' global policy, `float32` unless it was set.

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
        dtype: Optional[Any] = None,
        **kwargs: Any,
    ):
        super().__init__(dtype=dtype, **kwargs)
        self.n_way = int(n_way)
        self.image_shape = checks.model_arguments(image_shape, self.n_way, convolution_form)
        self.config = ModelConfig() if config is None else config
        self.shared_head_classes, self.convolution_form = shared_head_classes, convolution_form
        self.architecture: Architecture = build_architecture(self.config.cnn, self.image_shape)
        checks.dtype_policy(self.dtype_policy)
        with layers_compute_as(self.dtype_policy):
            self._make_layers()
            self.build(None)

    def _make_layers(self) -> None:
        make = LayerFactory(self.config, self.architecture, self.n_way)
        self.shared_features = make.shared_features()
        self.convolution_generators = make.convolution_generators()
        self.logits_generator = make.logits_generator()
        self.support_weights = make.trained_convolutions("support" if self._separate else "trained")
        self.query_weights = make.trained_convolutions("query") if self._separate else self.support_weights
        self.statistics = make.statistics()
        self.trained_logits = make.trained_logits()
        self.heads = make.heads()
        self.shared_head = make.shared_head(self.shared_head_classes)

    def generate(
        self,
        support_images: Any,
        support_labels: Any,
        support_mask: Any = None,
        dropout: Optional[Dropout] = None,
        n_way: Optional[Classes] = None,
    ) -> GeneratedWeights:
        """Writes the weights of a CNN for the classes of the support set.

        Weights are made layer by layer: each layer's generator sees the support activations after the layers
        generated so far.

        Args:
          support_images: ([T,] S, H, W, C) uint8, or float32 scaled.
          support_labels: ([T,] S) int, -1 = no label.
          support_mask: ([T,] S) float or bool, 1 = ignore this sample; None ignores none.
          dropout: draws dropout masks while training; None is no dropout.
          n_way: number of classes of these episodes, at most the model's; None is the model's. An int makes a CNN with
            so many logits. An int32 tensor, () or (T,), leaves the model's number of logits, those of absent classes
            being very low: for graphs that serve any number of classes.

        Returns:
          The weights, with a leading axis T if the arguments had one.

        Raises:
          UserError: images of another shape or dtype than the model's; labels out of range; an empty support set; a
            class without a labelled sample (values are checked where they are known, that is, not inside a graph).
        """
        images, single = checks.episode_images("support_images", support_images, self.image_shape)
        if isinstance(n_way, numbers.Integral):  # NumPy's too
            n_way = int(n_way)
        if n_way is None or isinstance(n_way, int):
            checks.classes_of_episode(n_way, self.n_way)
            labels, mask = checks.support_labels(support_labels, support_mask, images, single, n_way or self.n_way)
        else:
            labels, mask = checks.support_labels(support_labels, support_mask, images, single, None)
        weights = self._generate(self.scaled(images), labels, mask, dropout, n_way)
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
        images, weights, single = self._task_batch(query_images, weights)
        logits = self.classify_with_heads(images, weights, dropout).logits
        return logits[0] if single else logits

    def features(self, query_images: Any, weights: GeneratedWeights) -> tf.Tensor:
        """What the logits layer of the generated CNN reads: ([T,] Q, d), in the model's compute dtype.

        Arguments as for `classify`. Raises UserError where images or weights are not as `classify` takes them.
        """
        images, weights, single = self._task_batch(query_images, weights)
        features, _ = run_convolutions(
            self.scaled(images), weights, self.architecture, self.config.cnn.activation, self.convolution_form
        )
        features = read_features(features, self.architecture.logits)
        return features[0] if single else features

    def _task_batch(self, query_images: Any, weights: GeneratedWeights) -> Tuple[tf.Tensor, GeneratedWeights, bool]:
        """Both with the axis of a task batch, and whether it was missing. Raises UserError."""
        images, single = checks.episode_images("query_images", query_images, self.image_shape)
        checks.weights_of_episodes(weights, images, single)
        if single:
            weights = _map_weights(lambda weight: weight[tf.newaxis], weights)
        return images, weights, single

    def classify_with_heads(
        self, query_images: tf.Tensor, weights: GeneratedWeights, dropout: Optional[Dropout] = None
    ) -> Classification:
        """`classify` for a task batch (T, Q, H, W, C), with the logits of the warm-up heads."""
        cnn = self.config.cnn
        images = self.scaled(query_images)
        logits, head_logits = run_cnn(
            images,
            weights,
            self.architecture,
            cnn.activation,
            self.convolution_form,
            before_logits=lambda features: apply_dropout(dropout, features, cnn.dropout),
        )
        return Classification(logits, head_logits)

    @property
    def generators(self) -> List[Optional[WeightGenerator]]:
        """The weight generator of each CNN layer, the logits layer's last; None for a trained convolution."""
        return [*self.convolution_generators, self.logits_generator]

    def named_variables(self) -> Dict[str, Any]:
        """All variables by a name that says where they are, such as `layer_1_generator/encoder_1/...`."""
        return variables_by_path(self)

    def call(self, inputs: Tuple[Any, ...]) -> tf.Tensor:
        """Logits for (support_images, support_labels, query_images): `generate`, then `classify`."""
        support_images, support_labels, query_images = inputs
        weights = self.generate(support_images, support_labels)
        return self.classify(query_images, weights)

    def _generate(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        mask: Optional[tf.Tensor],
        dropout: Optional[Dropout],
        n_way: Optional[Classes],
    ) -> GeneratedWeights:
        shared = self.share(images, dropout, mask)
        activations, convolutions, heads = images, [], []
        blocks: List[Optional[tf.Tensor]] = []
        for index, spec in enumerate(self.architecture.convolutions):
            generated = None
            blocks.append(None)
            generator = self.convolution_generators[index]
            if generator is not None:
                blocks[-1] = generator(activations, labels, shared, support_mask=mask, dropout=dropout)
                generated = read_convolution(blocks[-1], spec, self.config.generator)
            activations, statistics = self.run_support_layer(index, activations, generated, mask)
            convolutions.append(self.query_weights[index].add_to(generated)._replace(statistics=statistics))
            if index < len(self.heads):
                heads.append(self._head_weights(index, activations, labels, shared, mask, dropout, n_way))
        blocks.append(
            self.logits_generator(activations, labels, shared, support_mask=mask, dropout=dropout, classes=n_way)
        )
        logits = read_logits(blocks[-1], self.architecture.logits.input_size)
        if self.trained_logits is not None:
            logits = self.trained_logits.add_to(logits, logits.bias.shape[-1])
        logits = exclude_absent(logits, n_way)
        return GeneratedWeights(tuple(convolutions), logits, tuple(heads), tuple(blocks), shared)

    def run_support_layer(
        self, index: int, activations: tf.Tensor, generated: Optional[ConvolutionReadout], mask: Optional[tf.Tensor]
    ) -> Tuple[tf.Tensor, Optional[Statistics]]:
        """Sends the support set through one convolution of its CNN.

        Args:
          index: of the convolution, from 0.
          activations: (T, S, H, W, C) float32, what the layer reads; scaled images for the first.
          generated: what was generated for it; None for a trained one.
          mask: (T, S) float, 1 = this sample counts in no statistics; None ignores none.

        Returns:
          What the next layer reads, and the statistics that normalisation keeps, None in the transductive mode.
        """
        weights, spec = self.support_weights[index].add_to(generated), self.architecture.convolutions[index]
        outputs = convolve(activations, weights, spec, self.config.cnn.activation, self.convolution_form)
        statistics = self.statistics[index](outputs, mask) if self.statistics else None
        return normalise(outputs, moments_for(outputs, statistics), weights.gamma, weights.beta), statistics

    def share(
        self, images: tf.Tensor, dropout: Optional[Dropout] = None, mask: Optional[tf.Tensor] = None
    ) -> Optional[tf.Tensor]:
        """Shared features (T, S, features) of images (T, S, H, W, C), or None without a shared extractor.

        Samples with 1 in the mask (T, S) count in no statistics of an inductive model; the authors' program, and so a
        transductive one, counts them.
        """
        if self.shared_features is None:
            return None
        features = self.shared_features(self.scaled(images), mask if self.statistics else None)
        return apply_dropout(dropout, features, self.config.features.shared_dropout)

    def scaled(self, images: tf.Tensor) -> tf.Tensor:
        """Images ([T,] N, H, W, C) as `scale_images` gives them, in the precision that layers and CNNs compute in."""
        return tf.cast(scale_images(images), self.compute_dtype)

    def _head_weights(
        self,
        index: int,
        activations: tf.Tensor,
        labels: tf.Tensor,
        shared: Optional[tf.Tensor],
        mask: Optional[tf.Tensor],
        dropout: Optional[Dropout],
        n_way: Optional[Classes],
    ) -> LogitsWeights:
        head = self.heads[index]
        if isinstance(head, TrainedLogits):
            return head.add_to(None, n_way if isinstance(n_way, int) else None)
        blocks = head(activations, labels, shared, support_mask=mask, dropout=dropout, classes=n_way)
        return read_logits(blocks, self.architecture.convolutions[index].output_shape[-1])

    @property
    def _separate(self) -> bool:
        return self.config.cnn.separate_query_variables

    @build_once
    def build(self, input_shape: Any = None) -> None:
        """Creates all variables; the constructor does this, so that a model is complete once made."""
        if self.shared_features is not None:
            self.shared_features.build((None, None) + self.image_shape)
        for spec, generator in zip(self.architecture.convolutions + (self.architecture.logits,), self.generators):
            if generator is not None:
                generator.build((None, None) + spec.input_shape)
        for layer in self.support_weights + (self.query_weights if self._separate else []):
            layer.build()
        for layer in self.statistics:
            layer.build()
        if self.trained_logits is not None:
            self.trained_logits.build()
        for spec, head in zip(self.architecture.convolutions, self.heads):
            head.build((None, None) + spec.output_shape)
        if self.shared_head is not None:
            self.shared_head.build((None, self.config.features.shared_dim))

    @classmethod
    def from_preset(cls, name_or_directory: Any) -> "HyperTransformer":
        """A trained model of the package by its name, or one from a directory that `save_to_preset` wrote.

        Raises:
          UserError: there is no such preset, or its files are damaged.
        """
        from hypertransformer_tf.deployment.presets import load_preset

        return load_preset(name_or_directory)

    def save_to_preset(self, directory: Any, background: Optional[str] = None) -> None:
        """Writes settings and variables to a new directory, complete or not at all.

        Args:
          directory: where to; it must not exist.
          background: `light` or `dark`, that of all pictures the model was trained with; None if they differ.

        Raises:
          UserError: the directory exists or cannot be written.
          SaveError: the disk is full.
        """
        from hypertransformer_tf.deployment.presets import save_preset

        save_preset(self, directory, background=background)

    def get_config(self) -> Dict[str, Any]:
        return {
            "image_shape": self.image_shape,
            "n_way": self.n_way,
            "config": self.config.to_dict(),
            "shared_head_classes": self.shared_head_classes,
            "convolution_form": self.convolution_form,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }

    @classmethod
    def from_config(cls, config: Dict[str, Any], custom_objects: Any = None) -> "HyperTransformer":
        config = dict(config)
        config["config"] = ModelConfig.from_dict(config["config"])
        return cls(**config)


def _map_weights(change: Callable[[tf.Tensor], tf.Tensor], weights: GeneratedWeights) -> GeneratedWeights:
    return tf.nest.map_structure(lambda weight: None if weight is None else change(weight), weights)
