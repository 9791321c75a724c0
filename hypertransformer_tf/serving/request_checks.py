"""What a served graph refuses: sentences that reach the client as the error of its request.

A failed check ends the request (INVALID_ARGUMENT in TensorFlow Serving); the server goes on. The sentence is fixed and
the offending values follow it, because building strings would cost time in every request that is right.
"""

from typing import List, NamedTuple, Sequence, Tuple

import tensorflow as tf


class Support(NamedTuple):
    """A checked support set.

    Attributes:
      labels: (T, S) int32; -1 where the mask ignores the sample.
      mask: (T, S) float32, 1 = ignored.
      classes: (T,) int32 number of classes: the highest label and one.
    """

    labels: tf.Tensor
    mask: tf.Tensor
    classes: tf.Tensor


def checked_support(images: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor, n_way: int) -> Support:
    """Refuses labels and masks that no classifier can be made of.

    Args:
      images: (T, S, ...); only their number is looked at.
      labels: (T, S) int32.
      mask: (T, S) int32.
      n_way: how many classes the model tells apart at most.
    """
    with tf.control_dependencies(_same_samples(images, labels, mask)):
        ignored = tf.equal(mask, 1)
        kept = tf.where(ignored, -1, labels)
    classes = tf.reduce_max(kept, axis=1) + 1
    known = tf.range(n_way)
    present = tf.reduce_any(tf.equal(kept[:, :, tf.newaxis], known), axis=1)  # (T, n_way)
    missing = tf.logical_and(known < classes[:, tf.newaxis], tf.logical_not(present))
    checks = [
        _refuse(
            tf.logical_and(tf.not_equal(mask, 0), tf.logical_not(ignored)),
            "support_mask: 1 ignores a sample and 0 does not; (task, sample) of another value:",
        ),
        _refuse(
            tf.logical_or(kept < -1, kept >= n_way),
            f"support_labels: labels go from 0 to {n_way - 1} for this {n_way}-way model, and -1 means no label; "
            "(task, sample) of another label:",
        ),
        _refuse(
            missing,
            "support_labels: every class from 0 to the highest label needs a labelled sample that is not masked; "
            "(task, class) without one:",
        ),
        _refuse(classes < 2, "support_labels: a classifier needs labelled samples of at least 2 classes; task:"),
    ]
    with tf.control_dependencies(checks):
        return Support(tf.identity(kept), tf.cast(ignored, tf.float32), tf.identity(classes))


def checked_tasks(queries: tf.Tensor, tasks: tf.Tensor, of_what: str) -> tf.Tensor:
    """The queries (T, Q, ...), refused where they are of another number of tasks than `of_what`, or none."""
    shape = tf.shape(queries)[:2]
    checks = [
        require(
            tf.equal(shape[0], tasks), f"queries and {of_what} are of different numbers of tasks:", shape[0], tasks
        ),
        require(shape[1] > 0, "queries: give at least one per task; their shape begins with", shape),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(queries)


def checked_weights(weights: tf.Tensor) -> tf.Tensor:
    """The flat weights (T, size), refused where a value is not finite."""
    wrong = tf.logical_not(tf.math.is_finite(weights))
    with tf.control_dependencies([_refuse(wrong, "weights: not finite at (task, index)")]):
        return tf.identity(weights)


def checked_pictures(support: tf.Tensor, queries: tf.Tensor, mask: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """Encoded pictures (T, S) and (T, Q), refused where one is empty that counts."""
    missing = tf.logical_and(tf.equal(tf.strings.length(support), 0), tf.equal(mask, 0.0))
    checks = [
        _refuse(missing, "support_pictures: only a sample that the mask ignores may be empty; (task, sample):"),
        _refuse(tf.equal(tf.strings.length(queries), 0), "query_pictures: empty at (task, query)"),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(support), tf.identity(queries)


def _same_samples(images: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor) -> List[tf.Operation]:
    shapes = [tf.shape(images)[:2], tf.shape(labels), tf.shape(mask)]
    same = tf.logical_and(tf.reduce_all(shapes[0] == shapes[1]), tf.reduce_all(shapes[0] == shapes[2]))
    return [require(same, "support pictures, support_labels and support_mask differ in (tasks, samples):", *shapes)]


def _refuse(wrong: tf.Tensor, sentence: str) -> tf.Operation:
    """Fails where any of `wrong` holds, and says where."""
    places = tf.cast(tf.where(wrong)[:3], tf.int32)
    return require(tf.logical_not(tf.reduce_any(wrong)), sentence, places)


def require(condition: tf.Tensor, sentence: str, *values: tf.Tensor) -> tf.Operation:
    """Fails where the condition does not hold, with the sentence and the values (int32 or string)."""
    data: Sequence[tf.Tensor] = [tf.constant(sentence), *values]
    return tf.debugging.Assert(condition, data, summarize=8)
