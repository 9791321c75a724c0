"""What every baseline has in common: the HyperTransformer's interface, `generate` and `classify`."""

import abc
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import keras
import tensorflow as tf

from hypertransformer_tf.baselines.trained_convolutions import TrainedConvolutions
from hypertransformer_tf.cnn.architecture import build_architecture
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.keras_stack import build_once, variables_by_path
from hypertransformer_tf.layers.dropout import Dropout
from hypertransformer_tf.model import checks
from hypertransformer_tf.model.images import scale_images


class Answer(NamedTuple):
    """Logits (T, N, classes) whose cross-entropy with labels (T, N) counts in the training loss with a weight ()."""

    logits: tf.Tensor
    labels: tf.Tensor
    weight: Union[float, tf.Tensor] = 1.0


class Baseline(keras.Model):
    """A few-shot method around the CNN that a HyperTransformer would generate.

    What is learned of a support set is a value (a named tuple of tensors): `generate` makes it, `classify` takes it,
    and nothing of an episode stays on the model. A method says in `_learn` and `_answer` how, and in `training_answers`
    what it is trained on.

    Args:
      image_shape: (H, W, C) of the images, H equal to W.
      n_way: most classes of an episode.
      cnn: the CNN.
      convolution_form: `folded` or `plain`, see `cnn/run.py`.

    Images are uint8 from 0 to 255 or float32 scaled by x / 128 - 1; labels int32 from 0 to n_way - 1, -1 is no label.
    """

    def __init__(
        self, image_shape: Sequence[int], n_way: int, cnn: CnnConfig, convolution_form: str = "folded", **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.n_way = int(n_way)
        self.image_shape = checks.model_arguments(image_shape, self.n_way, convolution_form)
        self.cnn, self.convolution_form = cnn, convolution_form
        self.architecture = build_architecture(cnn, self.image_shape)
        self.convolutions = TrainedConvolutions(self.architecture, cnn, convolution_form, name="convolutions")

    def generate(
        self,
        support_images: Any,
        support_labels: Any,
        support_mask: Any = None,
        dropout: Optional[Dropout] = None,
        n_way: Optional[int] = None,
    ) -> Any:
        """Learns from a support set.

        Args:
          support_images: ([T,] S, H, W, C).
          support_labels: ([T,] S) int, -1 = no label.
          support_mask: ([T,] S), 1 = ignore this sample; None ignores none.
          dropout: not used: no baseline has dropout.
          n_way: number of classes of these episodes; None is the model's.

        Returns:
          What `classify` takes; tensors have a leading axis T if the arguments had one.

        Raises:
          UserError: as `HyperTransformer.generate`.
        """
        images, single = checks.episode_images("support_images", support_images, self.image_shape)
        checks.classes_of_episode(n_way, self.n_way)
        n_way = n_way or self.n_way
        labels, mask = checks.support_labels(support_labels, support_mask, images, single, n_way)
        learned = self._learn(scale_images(images), labels, mask, n_way)
        return _map(lambda value: value[0], learned) if single else learned

    def classify(self, query_images: Any, learned: Any, dropout: Optional[Dropout] = None) -> tf.Tensor:
        """Logits ([T,] Q, n_way) of query images ([T,] Q, H, W, C), with what `generate` learned of their episodes."""
        images, single = checks.episode_images("query_images", query_images, self.image_shape)
        if single:
            learned = _map(lambda value: value[tf.newaxis], learned)
        logits = self._answer(scale_images(images), learned)
        return logits[0] if single else logits

    def training_answers(self, batch: Episode, step: tf.Tensor, n_way: Optional[int]) -> List[Answer]:
        """What the training loss is made of; the last answer is the one whose accuracy is told.

        Args:
          batch: task batch of tensors, fields with a leading axis T.
          step: () number of the training step.
          n_way: classes of these episodes; None is the model's.
        """
        learned = self._learn(scale_images(batch.support_images), batch.support_labels, None, n_way or self.n_way)
        return [Answer(self._answer(scale_images(batch.query_images), learned), batch.query_labels)]

    def named_variables(self) -> Dict[str, Any]:
        """All variables by a name that says where they are, such as `convolutions/layer_1/kernel`."""
        return variables_by_path(self)

    def call(self, inputs: Tuple[Any, ...]) -> tf.Tensor:
        """Logits for (support_images, support_labels, query_images): `generate`, then `classify`."""
        support_images, support_labels, query_images = inputs
        return self.classify(query_images, self.generate(support_images, support_labels))

    @build_once
    def build(self, input_shape: Any = None) -> None:
        """Creates all variables; constructors do this, so that a model is complete once made."""
        for layer in self._flatten_layers(include_self=False, recursive=False):
            layer.build()

    @abc.abstractmethod
    def _learn(self, images: tf.Tensor, labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int) -> Any:
        """Of scaled images (T, S, H, W, C), labels (T, S) int32 and mask (T, S) float32 or None."""

    @abc.abstractmethod
    def _answer(self, images: tf.Tensor, learned: Any) -> tf.Tensor:
        """Logits (T, Q, n_way) of scaled images (T, Q, H, W, C)."""


def one_hot_labelled(labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int) -> tf.Tensor:
    """(T, S, n_way) float32; zeros for samples without a label and those that the mask ignores."""
    members = tf.one_hot(labels, n_way)
    return members if mask is None else members * (1.0 - mask[:, :, tf.newaxis])


def labelled_cross_entropy(logits: tf.Tensor, members: tf.Tensor) -> tf.Tensor:
    """() cross-entropy of logits (T, S, n_way) with members (T, S, n_way): mean over each episode's, sum over episodes.

    Of the sum the gradient by an episode's own weights is that of its own mean.
    """
    log_likelihood = tf.reduce_sum(members * tf.nn.log_softmax(logits), axis=(1, 2))
    return -tf.reduce_sum(tf.math.divide_no_nan(log_likelihood, tf.reduce_sum(members, axis=(1, 2))))


def for_each_episode(episodes: Any, tensor: tf.Tensor) -> tf.Tensor:
    """A shared tensor (1, ...) as every episode's own (T, ...)."""
    return tf.broadcast_to(tensor, (episodes, *tensor.shape[1:]))


def _map(change: Callable[[tf.Tensor], tf.Tensor], learned: Any) -> Any:
    return tf.nest.map_structure(lambda value: None if value is None else change(value), learned)
