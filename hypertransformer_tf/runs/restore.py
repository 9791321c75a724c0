"""A trained model from a run's checkpoint."""

from typing import Union

from hypertransformer_tf.baselines.baseline import Baseline
from hypertransformer_tf.baselines.build import build_baseline
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.runs.checkpoints import Checkpoint
from hypertransformer_tf.runs.state import restore_model


def build_model(
    experiment: Experiment, images: ImagesByClass, dtype: str = "float32", convolution_form: str = "folded"
) -> Union[HyperTransformer, Baseline]:
    """The model that an experiment describes, for these images, with fresh variables.

    Args:
      experiment: its settings.
      images: what it is made for.
      dtype, convolution_form: of `HyperTransformer`; baselines have theirs.
    """
    shape, n_way, classes = images.image_shape, experiment.episodes.most_classes, len(images.splits["train"])
    if experiment.method.name != "hypertransformer":
        settings = experiment.method, experiment.maml, experiment.oracle, experiment.cnn
        return build_baseline(*settings, shape, n_way, classes)
    shared_head_classes = classes if experiment.loss.shared_head > 0 else 0
    return HyperTransformer(shape, n_way, experiment.model, shared_head_classes, convolution_form, dtype=dtype)


def restore_for_use(
    experiment: Experiment, images: ImagesByClass, checkpoint: Checkpoint
) -> Union[HyperTransformer, Baseline]:
    """The model of a run with the variables of one of its checkpoints. Raises UserError if they do not fit."""
    model = build_model(experiment, images)
    restore_model(model, checkpoint.arrays)
    return model
