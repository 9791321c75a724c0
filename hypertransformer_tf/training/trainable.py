"""A configuration whose training step is to be measured, and the episodes that it trains on."""

from typing import Optional, Sequence, Union

from hypertransformer_tf.config import origins_said
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images, outline_of
from hypertransformer_tf.episodes.mixture import MixedSampler
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment, load_experiment


def load_trainable(gin_file: str, gin_bindings: Sequence[str] = (), data_dir: Optional[str] = None) -> Experiment:
    """A configuration that has a training step. Raises UserError."""
    experiment = load_experiment(gin_file, gin_bindings, data_dir)
    if not experiment.method.is_meta_trained:
        raise UserError(
            f"{gin_file} has method.name = {experiment.method.name!r}, which is not meta-trained: there is no step to "
            "measure; give another file."
        )
    return experiment


def training_episodes(experiment: Experiment) -> tuple[ImagesByClass, Union[EpisodeSampler, MixedSampler]]:
    """The images of a configuration's set and the sampler of its episodes. Raises UserError where they do not fit."""
    with origins_said(experiment.origins):
        experiment.check_image_size()
        outline = outline_of(experiment.data, experiment.episodes.most_classes)
        if outline is not None:
            experiment.training_sampler(outline)  # refuses what the set has not, before it is read
        images = load_images(experiment.data, experiment.episodes.most_classes)
        return images, experiment.training_sampler(images)
