"""Layers are built once, and variables have the same paths, on both Keras stacks."""

import keras
import pytest

from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.keras_stack import build_once, variables_by_path
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.model.hypertransformer import HyperTransformer


@pytest.fixture(scope="module")
def model():
    return HyperTransformer((28, 28, 1), 2, ModelConfig(cnn=CnnConfig(channels=2, separate_query_variables=True)))


def test_every_variable_has_a_path_of_its_own(model):
    paths = variables_by_path(model)
    assert len(paths) == len(model.variables)
    assert {id(variable) for variable in paths.values()} == {id(variable) for variable in model.variables}


def test_paths_say_where_a_variable_is(model):
    paths = variables_by_path(model)
    assert "layer_1_generator/encoder_1/self_attention/query/kernel" in paths
    assert "layer_2_query/gamma" in paths


@pytest.mark.skipif(keras.__version__.startswith("2."), reason="Keras 2 has no paths to compare with")
def test_paths_are_those_of_keras_3(model):
    assert {f"{model.name}/{path}" for path in variables_by_path(model)} == {v.path for v in model.variables}


class _Layer(keras.layers.Layer):
    @build_once
    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=input_shape)


def test_a_layer_whose_build_is_called_again_keeps_its_variables():
    layer = _Layer()
    assert not layer.built
    layer.build((2, 3))
    kernel = layer.kernel
    layer.build((5, 3))
    assert layer.built and layer.kernel is kernel and layer.kernel.shape == (2, 3) and len(layer.variables) == 1
