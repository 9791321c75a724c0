"""The signatures of the SavedModel: graphs of a HyperTransformer that need no package of ours.

Axes: T tasks, S support samples and Q queries of each, any number. Every input and output begins with T, so that
batching can join requests.

few_shot        support_images (T, S, H, W, C) uint8, support_labels (T, S) int32, support_mask (T, S) int32,
                query_images (T, Q, H, W, C) uint8 -> probabilities (T, Q, n_way) float32
generate        support_images, support_labels, support_mask -> weights (T, size) float32, see `flat_weights.py`
classify        weights (T, size) float32, query_images -> probabilities
few_shot_bytes  support_pictures (T, S) string, support_labels, support_mask, query_pictures (T, Q) string
                -> probabilities

A task has as many classes as its highest label says, at least 2; the probability of the others is exactly 0.
"""

from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from hypertransformer_tf.cnn.weights import GeneratedWeights
from hypertransformer_tf.keras_stack import tensorflow_variable
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.serving import request_checks
from hypertransformer_tf.serving.flat_weights import flat_layout, flat_size, flatten, unflatten
from hypertransformer_tf.serving.picture_decoding import decode_pictures, invert_like

Outputs = Dict[str, tf.Tensor]


class SignatureGraphs:
    """Builds the graphs of one model.

    Args:
      model: an inductive model.
      background: `light` or `dark`, that of the pictures it was trained with; None for any. Only `few_shot_bytes` looks
        at it: whoever sends pixels has prepared them.
    """

    def __init__(self, model: HyperTransformer, background: Optional[str] = None):
        self._model, self._background = model, background
        self._layout = flat_layout(model)
        # A function of its own, so that the transformers are traced and saved once, not for each signature.
        mask = tf.TensorSpec((None, None), tf.float32, name="mask")
        inputs = [self._images("images"), _spec("labels"), mask, tf.TensorSpec((None,), tf.int32, name="classes")]
        self._generate = tf.function(self._write_weights, input_signature=inputs, autograph=False)

    def build(self) -> Dict[str, Any]:
        """The signatures by name, as concrete functions."""
        support = [self._images("support_images"), _spec("support_labels"), _spec("support_mask")]
        weights = tf.TensorSpec((None, flat_size(self._layout)), tf.float32, name="weights")
        pictures = [tf.TensorSpec((None, None), tf.string, name=f"{kind}_pictures") for kind in ("support", "query")]
        queries = self._images("query_images")
        return {
            "few_shot": _trace(self.few_shot, [*support, queries]),
            "generate": _trace(self.generate, support),
            "classify": _trace(self.classify, [weights, queries]),
            "few_shot_bytes": _trace(self.few_shot_bytes, [pictures[0], *support[1:], pictures[1]]),
        }

    def few_shot(
        self, support_images: tf.Tensor, support_labels: tf.Tensor, support_mask: tf.Tensor, query_images: tf.Tensor
    ) -> Outputs:
        checked = request_checks.checked_support(support_images, support_labels, support_mask, self._model.n_way)
        return self._few_shot(support_images, checked, query_images)

    def generate(self, support_images: tf.Tensor, support_labels: tf.Tensor, support_mask: tf.Tensor) -> Outputs:
        checked = request_checks.checked_support(support_images, support_labels, support_mask, self._model.n_way)
        weights = self._weights(support_images, checked)
        return {"weights": flatten(weights, self._layout, tf.shape(checked.classes)[0])}

    def classify(self, weights: tf.Tensor, query_images: tf.Tensor) -> Outputs:
        queries = request_checks.checked_tasks(query_images, tf.shape(weights)[0], "weights")
        return self._probabilities(queries, unflatten(request_checks.checked_weights(weights), self._layout))

    def few_shot_bytes(
        self, support_pictures: tf.Tensor, support_labels: tf.Tensor, support_mask: tf.Tensor, query_pictures: tf.Tensor
    ) -> Outputs:
        checked = request_checks.checked_support(support_pictures, support_labels, support_mask, self._model.n_way)
        support, queries = request_checks.checked_pictures(support_pictures, query_pictures, checked.mask)
        support = decode_pictures(support, self._model.image_shape)
        queries = decode_pictures(queries, self._model.image_shape)
        if self._background is not None:
            queries = invert_like(queries, support, checked.mask, self._background)
            support = invert_like(support, support, checked.mask, self._background)
        return self._few_shot(support, checked, queries)

    def _few_shot(self, support_images: tf.Tensor, checked: request_checks.Support, query_images: tf.Tensor) -> Outputs:
        queries = request_checks.checked_tasks(query_images, tf.shape(checked.classes)[0], "the support set")
        return self._probabilities(queries, self._weights(support_images, checked))

    def _weights(self, images: tf.Tensor, checked: request_checks.Support) -> GeneratedWeights:
        return self._generate(tf.ensure_shape(images, self._image_batch), checked.labels, checked.mask, checked.classes)

    def _write_weights(
        self, images: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor, classes: tf.Tensor
    ) -> GeneratedWeights:
        weights = self._model.generate(images, labels, mask, n_way=classes)
        return weights._replace(heads=(), blocks=(), shared_features=None)

    def _probabilities(self, images: tf.Tensor, weights: GeneratedWeights) -> Outputs:
        logits = self._model.classify(tf.ensure_shape(images, self._image_batch), weights)
        return {"probabilities": tf.ensure_shape(tf.nn.softmax(logits), (None, None, self._model.n_way))}

    @property
    def _image_batch(self) -> Tuple[Optional[int], ...]:
        return (None, None) + self._model.image_shape

    def _images(self, name: str) -> tf.TensorSpec:
        return tf.TensorSpec(self._image_batch, tf.uint8, name=name)


class ServedWeights(tf.Module):
    """What the SavedModel keeps beside the graphs: the variables that they read, each of them once.

    Args:
      model: whose variables; the model itself is not tracked, as Keras would write them a second time.
      signatures: of `SignatureGraphs`.
    """

    def __init__(self, model: HyperTransformer, signatures: Mapping[str, Any]):
        super().__init__(name="hypertransformer")
        read = {id(variable) for graph in signatures.values() for variable in graph.graph.variables}
        named = {name: tensorflow_variable(variable) for name, variable in model.named_variables().items()}
        self.variables_by_name = {name: variable for name, variable in named.items() if id(variable) in read}


def _spec(name: str) -> tf.TensorSpec:
    return tf.TensorSpec((None, None), tf.int32, name=name)


def _trace(graph: Callable[..., Outputs], inputs: Sequence[tf.TensorSpec]) -> Any:
    return tf.function(graph, input_signature=list(inputs), autograph=False).get_concrete_function()
