"""The ONNX file of a generated CNN."""

import sys

import numpy as np
import pytest
from small_cnns import LAYOUTS, expected_probabilities, make_cnn, random_pictures

from hypertransformer_tf.deployment.export_onnx import IR_VERSION, OPSET, onnx_classifier
from hypertransformer_tf.deployment.exported_files import onnx_probabilities
from hypertransformer_tf.errors import UserError

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_answers_as_the_generated_cnn_does(layout, tmp_path):
    cnn = make_cnn(layout)
    pictures = random_pictures(cnn)
    (tmp_path / "classifier.onnx").write_bytes(onnx_classifier(cnn))
    found = onnx_probabilities(tmp_path / "classifier.onnx", pictures.astype(np.float32))
    np.testing.assert_allclose(found, expected_probabilities(cnn, pictures), atol=1e-5)


def test_the_reference_program_of_onnx_reads_it_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    cnn = make_cnn("blended moments")
    pictures = random_pictures(cnn, count=2)
    (tmp_path / "classifier.onnx").write_bytes(onnx_classifier(cnn))
    found = onnx_probabilities(tmp_path / "classifier.onnx", pictures.astype(np.float32))
    np.testing.assert_allclose(found, expected_probabilities(cnn, pictures), atol=1e-5)


def test_names_types_and_versions_are_the_documented_ones():
    cnn = make_cnn("colour, inverted, odd size")
    model = onnx.load_from_string(onnx_classifier(cnn))
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [each.version for each in model.opset_import]) == (IR_VERSION, [OPSET])
    (given,), (result,) = model.graph.input, model.graph.output
    assert (given.name, result.name) == ("images", "probabilities")
    sides = [side.dim_value or side.dim_param for side in given.type.tensor_type.shape.dim]
    assert sides == ["N", 21, 21, 3]
    assert [side.dim_value or side.dim_param for side in result.type.tensor_type.shape.dim] == ["N", 5]
    assert given.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="pip install onnx"):
        onnx_classifier(make_cnn())
