"""FewShotClassifier is an estimator as scikit-learn knows them."""

import pickle
import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from small_classifier import drawings, make_inductive_model, save_drawings, save_small_preset

from hypertransformer_tf.deployment.calibration import calibrate, softmax
from hypertransformer_tf.deployment.few_shot_classifier import FewShotClassifier
from hypertransformer_tf.deployment.picture_files import find_pictures
from hypertransformer_tf.deployment.support_folder import read_support_folder
from hypertransformer_tf.errors import UserError

NAMES = np.array(["one bar", "zwei Bäume", "三"])
IMAGES, LABELS = drawings()


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return save_small_preset(tmp_path_factory.mktemp("presets") / "small", background="light")


@pytest.fixture(scope="module")
def fitted(preset):
    return FewShotClassifier(preset).fit(IMAGES, NAMES[LABELS])


def test_it_answers_as_the_model_does(fitted):
    model, images = make_inductive_model(), IMAGES[..., np.newaxis]
    places = np.searchsorted(np.sort(NAMES), NAMES[LABELS]).astype(np.int32)
    logits = np.asarray(model.classify(images, model.generate(images, places, n_way=3)))
    assert fitted.classes_.tolist() == sorted(NAMES)
    assert fitted.predict(IMAGES).tolist() == np.sort(NAMES)[logits.argmax(1)].tolist()
    calibrated = softmax(logits / calibrate(model, images, places, 3).temperature)
    np.testing.assert_allclose(fitted.predict_proba(IMAGES), calibrated, atol=1e-5)


def test_fitting_is_one_forward_pass(preset):
    passes = []

    class Counting(FewShotClassifier):
        pass

    model = make_inductive_model()
    generate = model.generate
    model.generate = lambda *arguments, **named: passes.append(1) or generate(*arguments, **named)
    classifier = Counting(model).fit(IMAGES, LABELS)
    classifier.predict(IMAGES)
    assert len(passes) == 1


def test_arrays_floats_and_paths_are_the_same_pictures(fitted, preset, tmp_path):
    paths = find_pictures(str(save_drawings(tmp_path, NAMES)))
    names = [path.split("/")[-2] for path in paths]
    by_paths = FewShotClassifier(preset).fit(paths, names)
    np.testing.assert_array_equal(by_paths.predict_proba(paths), by_paths.predict_proba([Image.open(p) for p in paths]))
    np.testing.assert_allclose(by_paths.predict_proba(IMAGES), fitted.predict_proba(IMAGES), atol=1e-5)
    by_floats = FewShotClassifier(preset).fit(IMAGES / 255.0, NAMES[LABELS])
    np.testing.assert_allclose(by_floats.predict_proba(IMAGES / 255.0), fitted.predict_proba(IMAGES), atol=1e-5)
    assert by_paths.score(paths, names) == fitted.score(IMAGES, NAMES[LABELS])


def test_white_is_what_it_was_when_fitting(preset):
    dark = IMAGES / 255.0 * 0.01
    with pytest.warns(UserWarning, match="9 of 9 pictures are on dark ground"):
        FewShotClassifier(preset).fit(IMAGES * 1.0, LABELS).predict(dark)
    by_units, by_bytes = (FewShotClassifier(preset).fit(images, LABELS) for images in (IMAGES / 255.0, IMAGES * 1.0))
    np.testing.assert_allclose(by_units.predict_proba(IMAGES / 255.0), by_bytes.predict_proba(IMAGES * 1.0), atol=1e-5)
    with pytest.raises(UserError, match="between 0 .black. and 1 "):
        by_units.predict(IMAGES * 1.0)


def test_bytes_above_the_white_of_fitting_have_their_own(preset, fitted):
    by_units = FewShotClassifier(preset).fit(IMAGES / 255.0, NAMES[LABELS])
    for pictures in (IMAGES, list(IMAGES)):
        np.testing.assert_allclose(by_units.predict_proba(pictures), fitted.predict_proba(IMAGES), atol=1e-5)


def test_integers_up_to_the_white_of_fitting_keep_it(preset):
    by_units = FewShotClassifier(preset).fit((IMAGES > 127).astype(float), LABELS)
    for kind in (np.uint8, np.int64):
        np.testing.assert_array_equal(
            by_units.predict_proba((IMAGES > 127).astype(kind)), by_units.predict_proba((IMAGES > 127).astype(float))
        )
    with pytest.raises(UserError, match="between 0 .black. and 1 "):
        by_units.predict(IMAGES.astype(int))


def test_pictures_on_another_ground_than_those_it_was_made_from_are_answered_with_a_warning(fitted):
    mixed = IMAGES.copy()
    mixed[[2, 4]] = 255 - mixed[[2, 4]]
    with pytest.warns(UserWarning, match=rf"^2 of {len(mixed)} pictures are on dark ground, first that at 2, ") as told:
        fitted.predict(mixed)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*ground")
        fitted.predict(IMAGES)
    with pytest.warns(UserWarning, match="^Some pictures have light ground and some dark"):
        FewShotClassifier(fitted.model).fit(mixed, LABELS)


def test_a_model_of_pictures_on_any_ground_does_not_warn():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*ground")
        FewShotClassifier(make_inductive_model()).fit(IMAGES, LABELS).predict(255 - IMAGES)


def test_dark_pictures_are_inverted_for_a_model_of_light_ones(fitted, preset):
    inverted = FewShotClassifier(preset).fit(255 - IMAGES, NAMES[LABELS])
    np.testing.assert_allclose(inverted.predict_proba(255 - IMAGES), fitted.predict_proba(IMAGES), atol=1e-5)


@pytest.mark.slow
def test_it_is_cloned_validated_and_piped(preset):
    model = make_inductive_model()
    for classifier in (FewShotClassifier(preset), FewShotClassifier(model)):
        assert is_classifier(classifier) and clone(classifier).model is classifier.model
        scores = cross_val_score(classifier, IMAGES, NAMES[LABELS], cv=3, error_score="raise")
        assert scores.shape == (3,) and np.all((0 <= scores) & (scores <= 1))
    flat = FunctionTransformer(lambda images: images.reshape(len(images), -1) / 255.0)
    pipeline = make_pipeline(flat, FewShotClassifier(preset)).fit(IMAGES, LABELS)
    np.testing.assert_allclose(
        pipeline.predict_proba(IMAGES), FewShotClassifier(preset).fit(IMAGES, LABELS).predict_proba(IMAGES), atol=1e-5
    )
    assert set(pipeline.predict(IMAGES)) <= {0, 1, 2}


def test_parameters_are_got_and_set(preset):
    classifier = FewShotClassifier(preset, white=16)
    assert classifier.get_params() == {"model": preset, "white": 16}
    assert classifier.set_params(white=None).white is None and FewShotClassifier().model == "drawings"
    assert "FewShotClassifier" in repr(classifier)


def test_before_fit_there_is_nothing_to_ask(preset):
    classifier = FewShotClassifier(preset)
    for ask in (classifier.predict, classifier.predict_proba, lambda images: classifier.temperature_):
        with pytest.raises(NotFittedError):
            ask(IMAGES)
    with pytest.raises(NotFittedError):
        classifier.save("nowhere")


def test_it_can_be_pickled(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(IMAGES), fitted.predict_proba(IMAGES))


@pytest.mark.parametrize(
    "labels",
    [
        NAMES[LABELS],
        LABELS + 7,
        pytest.param(LABELS - 1.0, marks=pytest.mark.slow),
        pytest.param(LABELS > 0, marks=pytest.mark.slow),
    ],
)
def test_it_comes_back_from_its_directory_as_it_was(preset, tmp_path, labels):
    first = FewShotClassifier(preset).fit(IMAGES, labels)
    first.save(tmp_path / "it")
    second = FewShotClassifier.load(tmp_path / "it")
    assert second.classes_.dtype.kind == first.classes_.dtype.kind
    np.testing.assert_array_equal(second.classes_, first.classes_)
    np.testing.assert_allclose(second.predict_proba(IMAGES), first.predict_proba(IMAGES), atol=1e-6)
    assert second.threshold_ == first.threshold_ and second.score(IMAGES, labels) == first.score(IMAGES, labels)
    with pytest.warns(UserWarning, match="are on dark ground"):
        second.predict(255 - IMAGES)


def test_saving_refuses_what_could_not_be_read(fitted, preset, tmp_path):
    fitted.save(tmp_path / "it")
    with pytest.raises(UserError, match="exists already"):
        fitted.save(tmp_path / "it")
    fitted.save(tmp_path / "it", overwrite=True)
    with pytest.raises(UserError, match="copy the directory"):
        FewShotClassifier.load(tmp_path / "it").save(tmp_path / "again")
    for name in ("none of these", "two\nlines", ""):
        named = FewShotClassifier(preset).fit(IMAGES, np.where(LABELS > 0, "a", name))
        with pytest.raises(UserError, match="cannot be saved"):
            named.save(tmp_path / "other")
    with pytest.raises(UserError, match="'jpeg' is not known"):
        fitted.save(tmp_path / "other", formats=["jpeg"])
    assert not (tmp_path / "other").exists()


def test_a_folder_and_arrays_give_the_same_classifier(fitted, tmp_path):
    support = read_support_folder(save_drawings(tmp_path, NAMES), 16, 1, most_classes=4)
    np.testing.assert_array_equal(support.images, fitted.support_.images)
    assert support.class_names == fitted.support_.class_names


@pytest.mark.parametrize(
    "images, labels, error, says",
    [
        (IMAGES, LABELS[1:], UserError, "8 labels for 9 images"),
        (IMAGES, np.zeros(9, int), UserError, "at least 2 classes"),
        (IMAGES, np.arange(9), UserError, "9 classes and model small tells at most 4"),
        (IMAGES, LABELS + 0.5, ValueError, "continuous"),
        (IMAGES.reshape(9, 2, 8, 16, 1), LABELS, UserError, "shape"),
        (["nothing.png"] * 9, LABELS, UserError, "nothing.png"),
        (np.zeros((2001, 16, 16)), np.arange(2001), UserError, "at most 2,000"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(preset, images, labels, error, says):
    with pytest.raises(error, match=says):
        FewShotClassifier(preset).fit(images, labels)
