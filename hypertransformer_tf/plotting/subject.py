"""What is plotted: a model with two episodes, of its own test classes or of the user's pictures. No TensorFlow."""

import dataclasses
import pathlib
from typing import Callable, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.model_files import ModelFiles
from hypertransformer_tf.deployment.presets import read_preset
from hypertransformer_tf.deployment.support_folder import read_support_folder
from hypertransformer_tf.deployment.trained_models import read_run
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.runs.data_record import check_same_data, describe_data
from hypertransformer_tf.runs.preset_files import find_preset

_CLASSES, _PER_CLASS = 10, 20  # of the embedding


class ShownEpisode(NamedTuple):
    """A support set to be plotted.

    Attributes:
      title: what it is.
      images: (S, H, W, C) uint8, as the model takes them.
      labels: (S,) int32, -1 = no label.
      class_names: one for each label.
    """

    title: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


class Pictures(NamedTuple):
    """Pictures for the embedding: (N, H, W, C) uint8, and (N,) int32 indices into the names, -1 = none."""

    images: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Subject:
    """Everything that figures are drawn from; the model is not built yet."""

    files: ModelFiles
    first: ShownEpisode
    second: ShownEpisode
    pictures: Pictures


def find_trained(source: str) -> ModelFiles:
    """The model of a preset or a run, inductive or not. Raises UserError if there is none or it is damaged."""
    return read_preset(source) if find_preset(source) is not None else read_run(pathlib.Path(source))


def subject_of_run(run_dir: str, split: str, episode: int, data_dir: Optional[str] = None) -> Subject:
    """A run with two of its own episodes, `episode` and the next, and pictures of ten classes of the same split.

    Raises:
      UserError: it is no run of a HyperTransformer or has no checkpoint; its data is missing or has changed.
    """
    files = find_trained(run_dir)
    path = pathlib.Path(run_dir).absolute() / "config.gin"
    if not path.is_file():
        raise UserError(f"{run_dir} has no data of its own, as a run has: give --support, a folder of pictures.")
    experiment = load_experiment(str(path), data_dir=data_dir)
    images = load_images(experiment.data, experiment.episodes.most_classes)
    check_same_data(run_dir, describe_data(images), "take the change back to plot it")
    sampler = experiment.evaluation_sampler(images, split)
    names = [images.class_names[index] for index in images.splits[split]]

    def shown(number: int) -> ShownEpisode:
        drawn = sampler.episode(number)
        labels = drawn.support_labels
        of_label = [int(drawn.support_classes[labels == label][0]) for label in range(labels.max() + 1)]
        title = f"{split} episode {number}"
        return ShownEpisode(title, drawn.support_images, labels, tuple(names[each] for each in of_label))

    return Subject(files, shown(episode), shown(episode + 1), _pictures_of(images, split))


def subject_of_folders(
    model: str,
    folders: Sequence[str],
    unlabelled: Optional[str] = None,
    report: Callable[[str], None] = lambda sentence: None,
) -> Subject:
    """A model with the user's pictures.

    Args:
      model: name of a preset, or directory of a preset or a run.
      folders: one or two, each with a sub-folder of pictures per class. With one, the second episode has the same
        pictures, each class with the label of the one before it.
      unlabelled: a folder with more pictures of these classes, without saying which; both episodes have them.
      report: is told of files that are no pictures.

    Raises:
      UserError: there is no such model, or a folder cannot be used.
    """
    files = find_trained(model)
    first, second = episodes_of_folders(files, folders, unlabelled, _once(report))
    return Subject(files, first, second, Pictures(first.images, first.labels, first.class_names))


def episodes_of_folders(
    files: ModelFiles,
    folders: Sequence[str],
    unlabelled: Optional[str] = None,
    report: Callable[[str], None] = lambda sentence: None,
) -> Tuple[ShownEpisode, ShownEpisode]:
    """The two episodes of `subject_of_folders`, with pictures as a model takes them. Raises UserError as it does."""
    size, channels = files.image_shape[0], files.image_shape[2]
    episodes = []
    for folder in folders:
        support = read_support_folder(folder, size, channels, files.n_way, files.background, unlabelled, report)
        title = pathlib.Path(folder).resolve().name
        episodes.append(ShownEpisode(title, support.model_images(), support.labels, support.class_names))
    return episodes[0], episodes[1] if len(episodes) > 1 else _with_labels_moved(episodes[0])


def _once(report: Callable[[str], None]) -> Callable[[str], None]:
    """Passes each sentence on the first time: a folder that is read twice has the same to say."""
    said = set()

    def tell(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            report(sentence)

    return tell


def _with_labels_moved(episode: ShownEpisode) -> ShownEpisode:
    names = episode.class_names
    labels = np.where(episode.labels < 0, episode.labels, (episode.labels - 1) % len(names)).astype(np.int32)
    return ShownEpisode(f"{episode.title}, labels moved by one", episode.images, labels, (*names[1:], names[0]))


def _pictures_of(images: ImagesByClass, split: str) -> Pictures:
    chosen = images.splits[split][:_CLASSES]
    parts = [np.asarray(images.class_images(index)[:_PER_CLASS]) for index in chosen]
    classes = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    return Pictures(np.concatenate(parts), classes, tuple(images.class_names[index] for index in chosen))
