"""Draws episodes from the classes of one split."""

from typing import NamedTuple

import numpy as np

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.episodes.augmentation import AugmentationConfig, augment
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig, augment_images
from hypertransformer_tf.episodes.random_stream import RandomStream, order_of_smallest
from hypertransformer_tf.episodes.redrawing import redraw
from hypertransformer_tf.errors import UserError


class EpisodeSampler:
    """The episodes 0, 1, 2, ... of a split; which one is asked for first makes no difference.

    Episode i is a pure function of the images, the configuration, `seed`, `split` and i. Which
    images it consists of does not depend on the augmentations.

    Args:
      images: all classes.
      split: 'train', 'validation' or 'test'.
      episodes: the sizes of an episode.
      augmentation: alterations of classes; whether they belong to this split is the caller's
        choice, here as below.
      image_augmentation: alterations of single images.
      seed: any integer.

    Raises:
      UserError: there is no such split; it has too few classes; a class has fewer samples than
        an episode needs; rotation by right angles of images that are not square; alterations of vectors.
    """

    def __init__(
        self,
        images: ImagesByClass,
        split: str,
        episodes: EpisodeConfig,
        augmentation: AugmentationConfig,
        image_augmentation: ImageAugmentationConfig,
        seed: int,
    ):
        _check(images, split, episodes, augmentation)
        _check_alterations(images, augmentation, image_augmentation)
        self.episodes = episodes
        self._images = images.images
        self._augmentation = augmentation
        self._image_augmentation = image_augmentation
        self._stream = RandomStream(seed, split)
        self._first_image = images.offsets[images.splits[split]]  # of each class of the split
        self._counts = np.diff(images.offsets)[images.splits[split]]
        ways = np.arange(episodes.n_way, dtype=np.int32)
        distractors = np.arange(episodes.n_way, episodes.n_way + episodes.distractor_classes, dtype=np.int32)
        unlabelled_ways = np.concatenate([ways, distractors]).repeat(episodes.unlabelled_per_class)
        self._support_ways = np.concatenate([ways.repeat(episodes.k_shot), unlabelled_ways])
        self._support_labels = self._support_ways.copy()
        self._support_labels[episodes.n_way * episodes.k_shot :] = -1
        self._query_labels = ways.repeat(episodes.queries_per_class)
        places = np.arange(episodes.n_way * episodes.samples_per_class).reshape(episodes.n_way, -1)
        labelled, unlabelled, query = np.split(places, [episodes.k_shot, episodes.support_per_class], axis=1)
        self._support_places = np.concatenate([labelled.ravel(), unlabelled.ravel()])
        self._query_places = query.ravel()

    def episode(self, i: int) -> Episode:
        """Episode number `i`."""
        stream = self._stream.child(i)
        drawn = self._draw(stream)
        images = _by_class(self._gather(drawn.classes, drawn.samples, stream))
        support = images[self._support_places]
        classes = drawn.classes
        if self.episodes.distractor_classes:
            distractors, of_distractors = self._distractors(stream)
            support, classes = np.concatenate([support, of_distractors]), np.concatenate([classes, distractors])
        return Episode(
            support_images=self._augment_images(support, stream, "support", 0),
            support_labels=self._support_labels.copy(),
            support_classes=classes[self._support_ways].astype(np.int32),
            query_images=self._augment_images(images[self._query_places], stream, "query", 0),
            query_labels=self._query_labels.copy(),
        )

    def of_task_batch(self, first: int) -> "EpisodeSampler":
        """The sampler of the task batch that begins with episode `first`, for who needs only a part of it: this one."""
        return self

    def task_batch(self, first: int, count: int) -> Episode:
        """The episodes first, ..., first + count - 1, stacked along a leading axis T = count >= 1."""
        episode = self.episode(first)
        batch = Episode(*(np.empty((count, *field.shape), field.dtype) for field in episode))
        for task in range(count):
            if task:
                episode = self.episode(first + task)
            # Copied one by one: the next episode is then made in memory this one used.
            for whole, part in zip(batch, episode):
                whole[task] = part
        return batch

    def query_batches(self, i: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Several query sets for the support set of episode `i`, each drawn anew.

        The first is the episode's own; batch b does not depend on `count`. A sample may be in
        several batches, and in the support set only without `disjoint_queries`. Classes are altered as in the episode.

        Args:
          i: the episode's number.
          count: how many batches, at least 1.

        Returns:
          Query images (count, Q, H, W, C) and query labels (count, Q) int32.
        """
        stream = self._stream.child(i)
        drawn = self._draw(stream)
        batches = [drawn.samples[:, self.episodes.support_per_class :]]
        batches += [self._redraw_queries(drawn, stream.child("queries", b)) for b in range(1, count)]
        images = [
            self._augment_images(_by_class(self._gather(drawn.classes, samples, stream)), stream, "query", b)
            for b, samples in enumerate(batches)
        ]
        return np.stack(images), np.tile(self._query_labels, (count, 1))

    def _draw(self, stream: RandomStream) -> "_Drawn":
        """Which classes, and which of their samples, make the episode of `stream`."""
        stream = stream.child("draw")
        classes = stream.choice_without_replacement(len(self._counts), self.episodes.n_way)
        ranks = self._sample_ranks(classes, stream)
        if self.episodes.disjoint_queries:
            return _Drawn(classes, order_of_smallest(ranks, self.episodes.samples_per_class))
        support = order_of_smallest(ranks, self.episodes.support_per_class)
        queries = self._sample_ranks(classes, stream.child("queries"))
        queries = order_of_smallest(queries, self.episodes.queries_per_class)
        return _Drawn(classes, np.concatenate([support, queries], axis=1))

    def _distractors(self, stream: RandomStream) -> tuple[np.ndarray, np.ndarray]:
        """Classes (D,) beside those of the episode, and their images (D * unlabelled_per_class, H, W, C)."""
        n_way, count = self.episodes.n_way, self.episodes.distractor_classes
        # The numbers by which the episode's classes were chosen: the next in line are others.
        classes = stream.child("draw").choice_without_replacement(len(self._counts), n_way + count)[n_way:]
        stream = stream.child("distractors")
        ranks = self._sample_ranks(classes, stream.child("draw"))
        samples = order_of_smallest(ranks, self.episodes.unlabelled_per_class)
        return classes, _by_class(self._gather(classes, samples, stream))

    def _redraw_queries(self, drawn: "_Drawn", stream: RandomStream) -> np.ndarray:
        """(n_way, queries_per_class) samples, outside the support set where the episodes are so."""
        ranks = self._sample_ranks(drawn.classes, stream)
        if self.episodes.disjoint_queries:
            support = drawn.samples[:, : self.episodes.support_per_class]
            np.put_along_axis(ranks, support, np.inf, axis=1)
        return order_of_smallest(ranks, self.episodes.queries_per_class)

    def _sample_ranks(self, classes: np.ndarray, stream: RandomStream) -> np.ndarray:
        """A random number for each sample, (n_way, most samples); inf beyond a class's last."""
        counts = self._counts[classes]
        ranks = stream.uniform((len(classes), int(counts.max())))
        ranks[np.arange(ranks.shape[1]) >= counts[:, None]] = np.inf
        return ranks

    def _gather(self, classes: np.ndarray, samples: np.ndarray, stream: RandomStream) -> np.ndarray:
        """The images (n_way, M, H, W, C) of samples (n_way, M), altered by class."""
        read = np.asarray(self._images[self._first_image[classes][:, None] + samples])
        return augment(read, self._augmentation, stream.child("augmentation"))

    def _augment_images(self, images: np.ndarray, stream: RandomStream, name: str, batch: int) -> np.ndarray:
        config = self._image_augmentation
        if config.redraw_probability:
            style = stream.child("redrawing")
            images = redraw(images, config.redraw_probability, style, style.child(name, batch))
        return augment_images(images, config, stream.child("image_augmentation", name, batch))


class _Drawn(NamedTuple):
    """What an episode consists of.

    Attributes:
      classes: (n_way,) int64 positions within the split.
      samples: (n_way, samples_per_class) int64 positions within the class: labelled support,
        unlabelled support, query samples.
    """

    classes: np.ndarray
    samples: np.ndarray


def _by_class(values: np.ndarray) -> np.ndarray:
    """(n_way, M, ...) to (n_way * M, ...)."""
    return values.reshape(-1, *values.shape[2:])


def _check(images: ImagesByClass, split: str, episodes: EpisodeConfig, augmentation: AugmentationConfig) -> None:
    """Raises UserError when such episodes cannot be drawn."""
    if split not in images.splits:
        raise UserError(
            f"{images.name} has no split {split!r}: choose one of {', '.join(repr(name) for name in images.splits)}."
        )
    classes = images.splits[split]
    if len(classes) < episodes.n_way + episodes.distractor_classes:
        more, too = "", ""
        if episodes.distractor_classes:
            more, too = f" and episodes.distractor_classes = {episodes.distractor_classes}", " or distractor_classes"
        raise UserError(
            f"episodes.n_way = {episodes.n_way}{more}: the split {split!r} of {images.name} has only "
            f"{len(classes)} classes; lower episodes.n_way{too} or change the split."
        )
    counts = np.diff(images.offsets)[classes]
    short = np.flatnonzero(counts < episodes.class_size)
    if len(short):
        name, count = images.class_names[classes[short[0]]], counts[short[0]]
        raise UserError(
            f"Class {name!r} of the split {split!r} of {images.name} has {count} samples, an "
            f"episode needs {episodes.class_size} of each class (episodes.k_shot = "
            f"{episodes.k_shot}, episodes.unlabelled_per_class = {episodes.unlabelled_per_class}, "
            f"episodes.queries_per_class = {episodes.queries_per_class}); {len(short)} of "
            f"{len(classes)} classes are too small: lower these numbers or leave them out."
        )
    height, width = images.image_shape[:2]
    if augmentation.rotate_by_90 and height != width:
        raise UserError(
            f"augmentation.rotate_by_90 = True needs square images, those of "
            f"{images.name} are {height} x {width}: switch it off."
        )


def _check_alterations(
    images: ImagesByClass, augmentation: AugmentationConfig, image_augmentation: ImageAugmentationConfig
) -> None:
    """Raises UserError where vectors are to be altered as if they were pictures."""
    if not images.are_pictures and (augmentation.alters or image_augmentation.alters):
        name = "augmentation" if augmentation.alters else "image_augmentation"
        raise UserError(
            f"{images.name} holds vectors, which cannot be turned, cropped or recoloured: switch off what {name} sets."
        )
