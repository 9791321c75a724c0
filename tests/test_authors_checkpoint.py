"""Parity with the authors' program: golden files of what it computes, and its checkpoints."""

import json
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from layer_checks import path_of, tensorflow_variable

from hypertransformer_tf.compat.authors_checkpoint import assign_variables, model_from_settings, read_checkpoint
from hypertransformer_tf.compat.authors_names import authors_variables
from hypertransformer_tf.errors import UserError

GOLDEN = (
    "encoder_decoder_bias_bn",
    "last_layers_trained",
    "logits_only",
    "mini_all_layers_84px",
    "mix_shared_bn_features",
    "omniglot_all_layers",
    "passthrough_sigmoid",
    "semi_supervised_mask",
    "separate_generator",
    "spatial_avgpool",
)
SETTINGS = {
    "image_size": 16,
    "num_labels": 3,
    "cnn_model_name": "maxpool-4-layer",
    "default_num_channels": 2,
    "stride": 1,
    "num_layers": 1,
    "embedding_dim": 4,
    "weight_allocation": "output_channel",
}


class Parity(NamedTuple):
    """A golden file, and what the library makes of it."""

    golden: Any
    model: Any
    weights: Any
    logits: Any
    loss: Any
    gradients: Any


def _variables(golden):
    return {name[len("var:") :]: golden[name] for name in golden.files if name.startswith("var:")}


def _gradient_norms(golden):
    return {name[len("gradnorm:") :]: float(golden[name]) for name in golden.files if name.startswith("gradnorm:")}


@pytest.fixture(scope="module", params=GOLDEN)
def filled(request, shared):
    """A golden file, and a model with its variables."""
    file = shared / "golden" / f"{request.param}.npz"
    if not file.exists():
        pytest.skip(f"needs {file.name} among the golden files of ../shared")
    golden = np.load(file)
    model = model_from_settings(json.loads(str(golden["config"])))
    assign_variables(model, _variables(golden))
    return golden, model


@pytest.fixture(scope="module", params=["folded", pytest.param("plain", marks=pytest.mark.slow)])
def parity(request, filled):
    golden, model = filled
    model.convolution_form = request.param
    labels = golden["support_labels"]
    labels = np.where(labels == model.n_way, -1, labels)
    mask = golden["support_mask"] if "support_mask" in golden.files else None
    with tf.GradientTape() as tape:
        weights = model.generate(golden["support_images"], labels, mask)
        logits = model.classify(golden["query_images"], weights)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(golden["query_labels"], logits))
    trained = model.trainable_variables
    gradients = tape.gradient(loss, [tensorflow_variable(variable) for variable in trained])
    gradients = {id(variable): gradient for variable, gradient in zip(trained, gradients)}
    return Parity(golden, model, weights, logits, loss, gradients)


def _agree(value, golden):
    assert tuple(value.shape) == golden.shape
    assert np.abs(np.array(value) - golden).max() <= 2e-4 * np.abs(golden).max()


def test_shared_features_are_the_authors(parity):
    if parity.weights.shared_features is None:
        assert parity.golden["shared_features"].size == 0
    else:
        _agree(parity.weights.shared_features, parity.golden["shared_features"])


def test_weight_blocks_of_every_generated_layer_are_the_authors(parity):
    blocks = {f"weight_blocks:{index}": block for index, block in enumerate(parity.weights.blocks, start=1)}
    blocks = {name: block for name, block in blocks.items() if block is not None}
    assert set(blocks) == {name for name in parity.golden.files if name.startswith("weight_blocks:")}
    for name, block in blocks.items():
        _agree(block, parity.golden[name])


def test_logits_and_loss_are_the_authors(parity):
    _agree(parity.logits, parity.golden["logits"])
    _agree(parity.loss, parity.golden["loss"])


def test_gradient_norms_are_the_authors(parity):
    places = authors_variables(parity.model)
    norms = _gradient_norms(parity.golden)
    largest = max(norms.values())
    compared = 0
    for name, norm in norms.items():
        place = places[name]
        gradient = None if place.variable is None else parity.gradients[id(place.variable)]
        size = 0.0
        if gradient is not None:
            size = float(tf.norm(gradient if place.row is None else gradient[place.row]))
        # The gradient of a key's bias is zero but for rounding, that of some betas nearly so.
        assert abs(size - norm) <= max(1e-3 * norm, 1e-6 * largest), f"{name}: {size}, not {norm}"
        compared += norm > 1e-6 * largest
    assert compared >= len(norms) / 2


def test_the_golden_files_have_the_gradient_of_every_variable_that_the_loss_depends_on(parity):
    places = authors_variables(parity.model)
    computed = {name for name, place in places.items() if place.variable is not None}
    assert computed <= set(_gradient_norms(parity.golden)) <= set(places)


# --- without golden files ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return model_from_settings(SETTINGS)


def _arrays(model, seed=0):
    stream = np.random.default_rng(seed)
    places = authors_variables(model)
    return {name: stream.normal(size=place.shape).astype(np.float32) for name, place in places.items()}


def _support(model, seed=0):
    stream = np.random.default_rng(seed)
    return stream.integers(0, 256, size=(6,) + model.image_shape, dtype=np.uint8), np.arange(6) % 3


def _logits(model):
    images, labels = _support(model)
    return np.array(model.classify(images, model.generate(images, labels)))


def test_every_variable_of_the_model_is_filled(model):
    assign_variables(model, _arrays(model))
    before = [np.array(value) for value in model.get_weights()]
    assign_variables(model, {name: array + 1.0 for name, array in _arrays(model).items()})
    for variable, value, old in zip(model.weights, model.get_weights(), before):
        np.testing.assert_allclose(value, old + 1.0, rtol=1e-5, atol=1e-5, err_msg=path_of(variable))


def _spoil_missing(arrays):
    del arrays["model/cnn/layer_2/batch_normalization/gamma"]
    return "model/cnn/layer_2/batch_normalization/gamma is missing"


def _spoil_left_over(arrays):
    arrays["model/cnn/layer_9/conv/kernel"] = np.zeros((3, 3, 1, 1), np.float32)
    return "model/cnn/layer_9/conv/kernel is left over"


def _spoil_shape(arrays):
    name = "model/cnn_builder/layer_1_generator_setup/label_embeddings/label_3"
    arrays[name] = np.zeros(5, np.float32)
    return f"{name} has shape (5,) where the model has (4,)"


@pytest.mark.parametrize("spoil", [_spoil_missing, _spoil_left_over, _spoil_shape])
def test_variables_that_do_not_fit_are_refused_by_name_and_nothing_is_assigned(model, spoil):
    assign_variables(model, _arrays(model))
    before = [np.array(value) for value in model.get_weights()]
    arrays = _arrays(model, seed=1)
    problem = spoil(arrays)
    with pytest.raises(UserError) as caught:
        assign_variables(model, arrays)
    assert problem in str(caught.value) and "\n" not in str(caught.value)
    for value, old in zip(model.get_weights(), before):
        np.testing.assert_array_equal(value, old)


def test_all_problems_are_named_up_to_ten_and_then_counted(model):
    arrays = _arrays(model)
    spoiled = [spoil(arrays) for spoil in (_spoil_missing, _spoil_left_over, _spoil_shape)]
    with pytest.raises(UserError) as caught:
        assign_variables(model, arrays)
    assert all(problem in str(caught.value) for problem in spoiled)
    with pytest.raises(UserError, match=rf"and {len(_arrays(model)) - 10} more"):
        assign_variables(model, {})


def _save(folder, arrays, step=700):
    """A checkpoint as the authors' program writes it: TensorFlow 1, one variable per name, and what else it keeps."""
    extras = {"augmentations/augmentation_1/probability": np.float32(0.5)}
    compat = tf.compat.v1
    with tf.Graph().as_default(), compat.Session() as session:
        for name, array in {**arrays, **extras}.items():
            compat.get_variable(name, initializer=array, use_resource=False)
        counter = compat.get_variable("global_step", initializer=np.int64(step), trainable=False)
        session.run(compat.global_variables_initializer())
        return compat.train.Saver(max_to_keep=10).save(session, str(folder / "model"), global_step=counter)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param(
            {"separate_bn_vars": True, "add_trainable_weights": True, "use_decoder": True}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_checkpoint_of_the_authors_program_is_read_back(tmp_path, settings):
    first, second = model_from_settings({**SETTINGS, **settings}), model_from_settings({**SETTINGS, **settings})
    arrays = _arrays(first)
    assign_variables(first, arrays)
    prefix = _save(tmp_path, arrays)
    for path in (tmp_path, str(tmp_path), prefix):
        found = read_checkpoint(path)
        assert set(found) == set(arrays)
    assign_variables(second, found)
    np.testing.assert_array_equal(_logits(second), _logits(first))


HEAD = {"shared_feature_extractor": "2-layer", "shared_feature_extractor_padding": "same", "shared_head_weight": 0.1}


def test_a_head_on_the_shared_features_is_made_and_filled_where_its_classes_are_given(tmp_path):
    model = model_from_settings({**SETTINGS, **HEAD, "shared_head_classes": 7})
    arrays = _arrays(model)
    assert arrays["loss/shared_head/fc/kernel"].shape == (32, 7)
    _save(tmp_path, arrays)
    assign_variables(model, read_checkpoint(tmp_path))
    np.testing.assert_array_equal(model.shared_head.kernel, arrays["loss/shared_head/fc/kernel"])


@pytest.mark.parametrize("unused", [{}, {"shared_head_classes": 7, "shared_head_weight": 0.0}])
def test_the_variables_of_a_head_that_the_model_does_not_have_are_skipped(tmp_path, unused):
    whole = _arrays(model_from_settings({**SETTINGS, **HEAD, "shared_head_classes": 7}))
    model = model_from_settings({**SETTINGS, **HEAD, **unused})
    assert model.shared_head is None
    _save(tmp_path, whole)
    assign_variables(model, read_checkpoint(tmp_path))
    np.testing.assert_array_equal(
        model.shared_features.convolutions[0][0], whole["model/shared_features/layer_1/kernel"]
    )


def test_the_newest_checkpoint_of_a_directory_is_read(tmp_path, model):
    arrays = _arrays(model)
    _save(tmp_path, arrays, step=900)
    _save(tmp_path, {name: array + 1.0 for name, array in arrays.items()}, step=1000)
    name = "model/cnn/layer_1/batch_normalization/beta"
    np.testing.assert_allclose(read_checkpoint(tmp_path)[name], arrays[name] + 1.0, rtol=1e-6)


def test_a_directory_whose_index_of_checkpoints_is_lost_is_read_too(tmp_path, model):
    arrays = _arrays(model)
    _save(tmp_path, arrays)
    (tmp_path / "checkpoint").unlink()
    assert set(read_checkpoint(tmp_path)) == set(arrays)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        read_checkpoint(tmp_path)
    with pytest.raises(UserError, match="nowhere"):
        read_checkpoint(tmp_path / "nowhere")
    (tmp_path / "model-3.index").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match=str(tmp_path)):
        read_checkpoint(tmp_path)
