"""A classifier with scikit-learn's interface: fitting is one forward pass of a HyperTransformer."""

import dataclasses
import os
import warnings
from typing import Any, Optional, Sequence, Union

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from hypertransformer_tf.data.background import common_background, has_light_background
from hypertransformer_tf.deployment.calibration import Calibration, calibrate, softmax
from hypertransformer_tf.deployment.classifier_folder import Answers, GeneratedClassifier, read_classifier
from hypertransformer_tf.deployment.default_model import DEFAULT_MODEL
from hypertransformer_tf.deployment.label_names import check_class_names, labels_of_names, type_of_labels
from hypertransformer_tf.deployment.picture_arrays import fit_pictures, white_of
from hypertransformer_tf.deployment.picture_files import shown
from hypertransformer_tf.deployment.preprocessing import Preprocessing, should_invert
from hypertransformer_tf.deployment.remarks import on_other_ground
from hypertransformer_tf.deployment.resemblance import support_means
from hypertransformer_tf.deployment.support_folder import MIXED_GROUND, MOST_PICTURES, SupportFile, SupportSet
from hypertransformer_tf.deployment.trained_models import TrainedModel, load_model
from hypertransformer_tf.deployment.weights_file import read_weights, weights_file
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.content_hash import file_sha256

_AT_ONCE = 256  # pictures


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """Learns classes from a few pictures of each: a trained HyperTransformer writes a small CNN for them.

    Examples:
      >>> classifier = FewShotClassifier(model="drawings").fit(images, labels)
      >>> classifier.predict(["new/picture.png"])

    Args:
      model: a trained, inductive model: a preset's name, the directory of a preset or a run, or a `HyperTransformer`.
      white: the value of white in arrays. None is 255, and 1 for float arrays whose values are all at most 1 when
        fitting; uint8 arrays with larger values have 255 then. scikit-learn's digits, for example, have 16.

    Images, wherever they are asked for: (N, H, W) or (N, H, W, C) uint8 or float; (N, H * H), as scikit-learn keeps
    small pictures; or a sequence of N paths, Pillow pictures or arrays of any sizes. They are brought to the model's
    size and colours as in meta-training. Of a preset that was trained with drawings on one ground, those that are asked
    about on another one (dark on light, light on dark) than those of `fit` are answered with a warning.

    Attributes:
      classes_: the labels in `fit`, sorted.
      classifier_: the generated CNN with its preprocessing, which needs the model no more.
      support_: what it was generated from; None after `load`.
      calibration_: how temperature and threshold were found, see `calibration.py`. Computed when first needed (by
        `predict_proba` and `save`), as it asks the model many times; None after `load`.
    """

    def __init__(self, model: Any = DEFAULT_MODEL, white: Optional[float] = None):
        self.model = model
        self.white = white

    def fit(self, X: Any, y: Any) -> "FewShotClassifier":
        """Generates the classifier: one forward pass.

        Args:
          X: support images; at most 2000.
          y: (N,) labels, strings or numbers; at least 2 different ones, at most as many as the model tells apart.

        Raises:
          UserError: images or labels cannot be used.
        """
        trained = load_model(self.model)
        classes, labels = _classes_and_places(y, X, trained)
        white = white_of(X) if self.white is None else self.white
        height, _, channels = trained.model.image_shape
        preprocessing = Preprocessing(height, channels)
        images = fit_pictures(X, preprocessing, white)
        preprocessing = dataclasses.replace(preprocessing, invert=should_invert(images, trained.background))
        background = None if trained.background is None else common_background(images)
        if trained.background is not None and background is None:
            warnings.warn(MIXED_GROUND, stacklevel=2)
        names = tuple(str(label) for label in classes)
        support = SupportSet(images, labels, names, _files(X, labels, names), preprocessing)
        arrays = _generate(trained, support)
        self.classes_, self.white_ = classes, white
        self.support_: Optional[SupportSet] = support
        self.classifier_ = GeneratedClassifier(
            class_names=names,
            preprocessing=preprocessing,
            temperature=1.0,  # what is calibrated stands in `calibration_`
            threshold=0.0,
            cnn=trained.model.config.cnn,
            arrays=arrays,
            card={"background": background},
        )
        self._calibration: Optional[Calibration] = None
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class (N,) of each picture."""
        places = self._ask(X).logits.argmax(1)
        return self.classes_[places]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probabilities (N, n_classes) float64, in the order of `classes_`."""
        return softmax(self._ask(X).logits / self.temperature_)

    def resemblance(self, X: Any) -> np.ndarray:
        """How much each picture resembles the class that it resembles most: (N,) from 0 to 1; see `threshold_`."""
        return self._ask(X).resemblance

    @property
    def calibration_(self) -> Optional[Calibration]:
        """Temperature and threshold, measured when first asked for; None of a classifier that was loaded."""
        check_is_fitted(self)
        return None if self.support_ is None else self._calibrated_on(self.support_)

    def _calibrated_on(self, support: SupportSet) -> Calibration:
        if self._calibration is None:
            model = load_model(self.model).model
            self._calibration = calibrate(model, support.model_images(), support.labels, len(support.class_names))
        return self._calibration

    @property
    def temperature_(self) -> float:
        """What logits are divided by before the softmax."""
        found = self.calibration_
        return self.classifier_.temperature if found is None else found.temperature

    @property
    def threshold_(self) -> float:
        """Pictures whose `resemblance` is below are of none of the classes, as bin/predict says it."""
        found = self.calibration_
        return self.classifier_.threshold if found is None else found.threshold

    def save(
        self,
        directory: Union[str, os.PathLike],
        formats: Optional[Sequence[str]] = ("keras",),
        overwrite: bool = False,
    ) -> None:
        """Writes the classifier to a directory that `load` and bin/predict read.

        A classifier that was loaded cannot be saved again: copy its directory.

        Args:
          directory: made, complete or not at all.
          formats: for other programs, of those of bin/generate: `keras`, `savedmodel`, `tflite`, `tflite_int8` and
            `onnx`; None is all of them.
          overwrite: whether a classifier that is there may be replaced.

        Raises:
          UserError: the directory exists and is not to be overwritten, cannot be written, a format cannot be had, or a
            class has a name that would not come back.
          SaveError: the disk is full, or a file gives other answers than the model.
        """
        from hypertransformer_tf.deployment.write_classifier import write_classifier  # late: it loads the exporters

        check_is_fitted(self)
        if self.support_ is None:
            raise UserError("this classifier was loaded, not fitted: copy the directory it was loaded from.")
        check_class_names(self.support_.class_names)
        write_classifier(
            directory,
            load_model(self.model),
            self.support_,
            self._calibrated_on(self.support_),
            formats=formats,
            overwrite=overwrite,
            more={"label_type": type_of_labels(self.classes_)},
        )

    @classmethod
    def load(cls, directory: Union[str, os.PathLike]) -> "FewShotClassifier":
        """Reads what `save` or bin/generate wrote; only `fit` needs a trained model then.

        Labels that were numbers are numbers again.

        Raises:
          UserError: the directory holds no classifier, or one that was changed.
        """
        classifier = read_classifier(directory)
        loaded = cls(model=classifier.model_name)
        loaded.classifier_, loaded.support_, loaded.white_ = classifier, None, None
        loaded._calibration = None
        loaded.classes_ = labels_of_names(classifier.class_names, classifier.card.get("label_type"))
        return loaded

    def _ask(self, X: Any) -> Answers:
        check_is_fitted(self)
        white = self.white
        if white is None and not _are_bytes_beyond(X, self.white_):
            white = self.white_
        images = fit_pictures(X, self.classifier_.preprocessing, white)
        self._warn_of_other_ground(images, X)
        parts = [images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE)]
        return Answers(*map(np.concatenate, zip(*map(self.classifier_.ask, parts))))

    def _warn_of_other_ground(self, images: np.ndarray, X: Any) -> None:
        background = self.classifier_.background
        if background is None:
            return
        places = np.flatnonzero(has_light_background(images) != (background == "light"))
        if len(places):
            first = X[places[0]]
            name = shown(os.fspath(first)) if isinstance(first, (str, os.PathLike)) else f"that at {places[0]}"
            warnings.warn(on_other_ground(len(places), len(images), name, background), stacklevel=4)

    def __sklearn_clone__(self) -> "FewShotClassifier":
        # The model is shared: nothing here changes it, and scikit-learn would copy one that was given itself.
        return type(self)(**self.get_params(deep=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.input_tags.string = True
        return tags


def _classes_and_places(y: Any, X: Any, trained: TrainedModel) -> tuple[np.ndarray, np.ndarray]:
    """The classes, sorted, and y as (N,) int32 places in them. Raises UserError."""
    y = column_or_1d(y)
    check_classification_targets(y)
    if not hasattr(X, "__len__") or len(X) != len(y):
        raise UserError(f"there are {len(y)} labels for {len(X) if hasattr(X, '__len__') else 'no'} images.")
    if len(y) > MOST_PICTURES:
        raise UserError(f"there are {len(y):,} images and at most {MOST_PICTURES:,} are read at once: take fewer.")
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"all labels are {classes[0]!r}: a classifier needs at least 2 classes.")
    if len(classes) > trained.model.n_way:
        raise UserError(
            f"there are {len(classes)} classes and model {trained.name} tells at most {trained.model.n_way} "
            "apart: use fewer, or a model trained with more."
        )
    return classes, labels.astype(np.int32)


def _are_bytes_beyond(X: Any, white: Optional[float]) -> bool:
    """Whether all arrays among the pictures are uint8 and some value is above `white`."""
    if white is None or not hasattr(X, "__iter__"):
        return False
    arrays = [X] if isinstance(X, np.ndarray) and X.dtype != object else [x for x in X if isinstance(x, np.ndarray)]
    return all(each.dtype == np.uint8 for each in arrays) and any(each.max(initial=0) > white for each in arrays)


def _generate(trained: TrainedModel, support: SupportSet) -> dict[str, np.ndarray]:
    """One forward pass; the weights as they are read from weights.npz."""
    from hypertransformer_tf.deployment.portable_cnn import portable_cnn

    model, invert = trained.model, support.preprocessing.invert
    weights = model.generate(support.model_images(), support.labels, n_way=len(support.class_names))
    cnn = portable_cnn(weights, model.architecture, model.config.cnn.activation, temperature=1.0, invert=invert)
    return read_weights(weights_file(cnn, support_means(model, support, weights)))


def _files(X: Any, labels: np.ndarray, names: tuple[str, ...]) -> tuple[SupportFile, ...]:
    """Of pictures that were given as paths; nothing otherwise."""
    if not all(isinstance(each, (str, os.PathLike)) for each in X):
        return ()
    return tuple(SupportFile(os.fspath(path), file_sha256(path), names[label]) for path, label in zip(X, labels))
