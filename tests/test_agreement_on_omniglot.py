"""Every format against the model on 1,000 real pictures, each where this library is not."""

import numpy as np
import pytest
from bare_formats import answers_without_this_library
from small_classifier import make_inductive_model

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.agreement import Reference, agreement, approximation
from hypertransformer_tf.deployment.calibration import calibrate
from hypertransformer_tf.deployment.formats import FILES
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.deployment.support_folder import SupportSet
from hypertransformer_tf.deployment.trained_models import TrainedModel, load_model
from hypertransformer_tf.deployment.write_classifier import write_classifier
from hypertransformer_tf.runs.preset_files import preset_names

WAYS, EPISODES, QUERIES = 20, 3, 19  # 3 * 20 * 19 = 1,140 pictures


def _episodes(images, model, folder):
    """Writes a classifier for each of some episodes; yields its directory and what the model answers."""
    stream = np.random.default_rng(0)
    for episode in range(EPISODES):
        classes = stream.choice(images.splits["test"], WAYS, replace=False)
        support = np.stack([images.class_images(each)[0] for each in classes])
        labels, names = np.arange(WAYS, dtype=np.int32), tuple(images.class_names[each] for each in classes)
        support_set = SupportSet(support, labels, names, (), Preprocessing(28, 1))
        calibration = calibrate(model.model, support, labels, WAYS)
        directory = folder / f"{episode}"
        write_classifier(directory, model, support_set, calibration)
        queries = np.concatenate([images.class_images(each)[1:] for each in classes])
        weights = model.model.generate(support, labels, n_way=WAYS)
        logits = np.asarray(model.model.classify(queries, weights))
        yield directory, Reference(queries, np.repeat(labels, QUERIES), logits, calibration.temperature)


@pytest.mark.slow
def test_float_formats_agree_to_1e_4_and_int8_keeps_its_accuracy(shared, tmp_path):
    pytest.importorskip("onnxruntime")
    images = load_images(DataConfig(source="omniglot", data_dir=str(shared / "tfds")), WAYS)
    trained = "omniglot" in preset_names()
    untrained = TrainedModel(make_inductive_model(shape=(28, 28, 1), n_way=WAYS), "untrained", None, None)
    changes = []
    for directory, reference in _episodes(images, load_model("omniglot") if trained else untrained, tmp_path):
        for name, file in FILES.items():
            folder = tmp_path / f"{directory.name}_{name}"
            folder.mkdir()
            found = answers_without_this_library(directory / file, reference.pictures, folder)
            if name == "tflite_int8":
                changes.append(approximation(found, reference)["accuracy_change"])
            else:
                agreement(file, found, reference)  # raises where they differ
    assert abs(np.mean(changes)) <= 0.02
