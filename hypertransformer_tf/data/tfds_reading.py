"""From a prepared TFDS set to images grouped by class."""

from typing import Any, Callable, Iterator, Optional

import numpy as np

from hypertransformer_tf.data.cache import Allocate
from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.errors import UserError

Decode = Callable[[bytes, str, int, int], np.ndarray]
_BATCH = 256  # examples fetched together


def read_builder(
    builder: Any,
    where: str,
    splits: Optional[tuple[str, ...]],
    image_size: int,
    channels: int,
    allocate: Allocate,
    decode: Decode = decode_image,
) -> ImagesByClass:
    """Decodes a set in two passes: labels first, so that each image goes straight to its place.

    Examples without a label (negative, as TFDS marks them) are left out, and so are labels without examples.

    Args:
      builder: a TFDS builder whose data is prepared.
      where: what to call the set in a message.
      splits: TFDS splits to join; None means all but those that only repeat others (Omniglot's small1, small2).
      image_size: height and width of the images.
      channels: 1 or 3.
      allocate: where to put the images.
      decode: makes an image of that size and channels out of an encoded one.

    Raises:
      UserError: the set has no image and label for each example, or its files are damaged.
    """
    image_key, label_key = _keys(builder, where)
    try:
        kept = {
            split: [label for label, _ in examples]
            for split, examples in _splits_to_read(builder, splits, image_key, label_key).items()
        }
        labels = np.concatenate([np.asarray(of_split, dtype=np.int64) for of_split in kept.values()])
        classes, counts = np.unique(labels[labels >= 0], return_counts=True)
        if not len(classes):
            raise UserError(f"{where} holds no labelled example.")
        offsets = offsets_of(counts.tolist())
        images = allocate((int(offsets[-1]), image_size, image_size, channels))
        next_place = {int(label): int(start) for label, start in zip(classes, offsets)}
        for split in kept:
            for number, (label, encoded) in enumerate(_examples(builder, split, image_key, label_key)):
                if label >= 0:
                    images[next_place[label]] = decode(
                        encoded, f"Example {number} of split {split} of {where}", image_size, channels
                    )
                    next_place[label] += 1
    except _reading_errors() as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{where} cannot be read ({reason}); prepare it again.") from error
    feature = builder.info.features[label_key]
    named = getattr(feature, "int2str", str)
    return ImagesByClass(
        name=builder.info.name,
        images=images,
        offsets=offsets,
        class_names=tuple(named(int(label)) for label in classes),
        splits={},
    )


def _keys(builder: Any, where: str) -> tuple[str, str]:
    """Names of the image and the label in an example."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    keys = builder.info.supervised_keys
    if not (isinstance(keys, tuple) and len(keys) == 2 and all(isinstance(key, str) for key in keys)):
        keys = ("image", "label")
    image_key, label_key = keys
    known = features.keys() if hasattr(features, "keys") else ()
    if (
        image_key not in known
        or not isinstance(features[image_key], tfds.features.Image)
        or label_key not in known
        or not isinstance(features[label_key], tfds.features.ClassLabel)
    ):
        raise UserError(
            f"{where} is not an image classification set: an image and a class label are needed, and it "
            f"has the features {', '.join(known)}; choose another set."
        )
    return image_key, label_key


def _splits_to_read(
    builder: Any, splits: Optional[tuple[str, ...]], image_key: str, label_key: str
) -> dict[str, list[tuple[int, int]]]:
    """Split name -> (label, fingerprint of the encoded image) of each example, without repeating splits."""
    names = list(splits or builder.info.splits)
    content = {
        name: [(label, hash(encoded)) for label, encoded in _examples(builder, name, image_key, label_key)]
        for name in names
    }
    if splits:
        return content
    seen: set[tuple[int, int]] = set()
    adding = []
    for name in sorted(names, key=lambda name: len(content[name]), reverse=True):
        if not seen.issuperset(content[name]):
            adding.append(name)
        seen.update(content[name])
    return {name: content[name] for name in names if name in adding}


def _examples(builder: Any, split: str, image_key: str, label_key: str) -> Iterator[tuple[int, bytes]]:
    """(label, encoded image) of each example, in the order of the files."""
    import tensorflow_datasets as tfds

    wanted = tfds.decode.PartialDecoding(
        {image_key: True, label_key: True}, decoders={image_key: tfds.decode.SkipDecoding()}
    )
    dataset = builder.as_dataset(
        split=split,
        decoders=wanted,
        shuffle_files=False,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    for batch in tfds.as_numpy(dataset.batch(_BATCH)):
        yield from zip(batch[label_key].tolist(), batch[image_key].tolist())


def _reading_errors() -> tuple[type[Exception], ...]:
    """What TFDS raises on missing, cut or altered files."""
    import tensorflow as tf

    return tf.errors.OpError, OSError, ValueError, AssertionError
