"""Which formats are asked for."""

import importlib.util

import pytest

from hypertransformer_tf.deployment.formats import FILES, check_formats
from hypertransformer_tf.errors import UserError


def test_all_are_the_default_and_their_order_is_fixed():
    assert check_formats(["tflite", "keras"]) == ("keras", "tflite")
    if importlib.util.find_spec("onnx"):
        assert check_formats(None) == tuple(FILES)


@pytest.mark.parametrize("formats, said", [(["tflite", "coreml"], "'coreml' is not known"), ([], "no format")])
def test_others_and_none_are_refused(formats, said):
    with pytest.raises(UserError, match=f"{said}.*keras, savedmodel"):
        check_formats(formats)


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install onnx.*--formats=keras,savedmodel,tflite,tflite_int8"):
        check_formats(None)
    assert check_formats(["keras"]) == ("keras",)
