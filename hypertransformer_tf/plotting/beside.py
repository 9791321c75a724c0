"""A second model at work on the same two episodes, to be compared with the first. Needs no TensorFlow."""

import dataclasses
from typing import Optional, Sequence, Tuple

from hypertransformer_tf.cnn.architecture import ConvolutionSpec, build_architecture
from hypertransformer_tf.deployment.model_files import ModelFiles
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.plotting.subject import Subject, episodes_of_folders, find_trained

_SETTINGS = ("architecture", "kernel_size", "channels", "stride", "trained_layers")  # that convolutions depend on


def subject_beside(
    subject: Subject, source: str, beside: str, folders: Sequence[str] = (), unlabelled: Optional[str] = None
) -> Subject:
    """Another model with the episodes of a subject.

    Args:
      subject: of the first model.
      source: where the first model was found, for what is said of it.
      beside: the second: name of a preset, or directory of a preset or a run.
      folders, unlabelled: that the episodes were read from, if they are the user's.

    Returns:
      The subject of the second model, whose pictures are inverted where it was trained on another background.

    Raises:
      UserError: there is no such model, it takes images of another shape, its CNN has other convolutions or, as the
        first one's, generates none, or it cannot tell so many classes apart.
    """
    files = find_trained(beside)
    _check_alike(subject.files, files, source, beside)
    episodes = (subject.first, subject.second)
    for episode in episodes:
        classes = len(episode.class_names)
        if classes > files.n_way:
            raise UserError(f"{episode.title} has {classes} classes and {beside} tells at most {files.n_way} apart.")
    if folders and files.background != subject.files.background:
        episodes = episodes_of_folders(files, folders, unlabelled)
    return dataclasses.replace(subject, files=files, first=episodes[0], second=episodes[1])


def model_titles(first: ModelFiles, second: ModelFiles) -> Tuple[str, str]:
    """Two models by how they allocate weights to tokens, or by name too where they do it alike."""
    one, other = (f"{files.config.generator.allocation} allocation" for files in (first, second))
    return (one, other) if one != other else (f"{one}, {first.name}", f"{other}, {second.name}")


def _check_alike(first: ModelFiles, second: ModelFiles, source: str, beside: str) -> None:
    if first.image_shape != second.image_shape:
        raise UserError(
            f"{source} takes images of shape {first.image_shape} and {beside} of {second.image_shape}: they cannot be "
            "given the same episodes."
        )
    convolutions = _convolutions(first)
    if convolutions != _convolutions(second):
        values = [[getattr(files.config.cnn, name) for name in _SETTINGS] for files in (first, second)]
        different = [f"cnn.{name} ({a!r} and {b!r})" for name, a, b in zip(_SETTINGS, *values) if a != b]
        raise UserError(
            f"The CNNs of {source} and {beside} differ in {' and '.join(different)}: kernels are compared where the "
            "convolutions are the same."
        )
    if not any(spec.generated for spec in convolutions):
        raise UserError(f"{source} and {beside} generate no convolutions: there are no kernels to compare.")


def _convolutions(files: ModelFiles) -> Tuple[ConvolutionSpec, ...]:
    return build_architecture(files.config.cnn, files.image_shape).convolutions
