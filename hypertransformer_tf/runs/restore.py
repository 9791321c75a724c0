"""A trained model from a run's checkpoint."""

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.runs.checkpoints import Checkpoint
from hypertransformer_tf.runs.state import restore_model


def build_model(experiment: Experiment, images: ImagesByClass) -> HyperTransformer:
    """The model that an experiment describes, for these images, with fresh variables."""
    classes = len(images.splits["train"]) if experiment.loss.shared_head > 0 else 0
    return HyperTransformer(images.image_shape, experiment.episodes.most_classes, experiment.model, classes)


def restore_for_use(experiment: Experiment, images: ImagesByClass, checkpoint: Checkpoint) -> HyperTransformer:
    """The model of a run with the variables of one of its checkpoints. Raises UserError if they do not fit."""
    model = build_model(experiment, images)
    restore_model(model, checkpoint.arrays)
    return model
