"""A generated CNN as an ONNX graph, written operation by operation with the `onnx` package alone.

The graph is small and the same on every version of TensorFlow and Keras, whose own ways to ONNX go through tf2onnx.
Opset 13, IR version 8; input `images` (N, H, W, C) float32, 0..255; output `probabilities` (N, classes) float32.
"""

from typing import Any, List

import numpy as np

from hypertransformer_tf.deployment.portable_cnn import PortableCnn, PortableConvolution
from hypertransformer_tf.errors import UserError

OPSET, IR_VERSION = 13, 8
INPUT, OUTPUT = "images", "probabilities"


def onnx_classifier(cnn: PortableCnn) -> bytes:
    """The content of an .onnx file. Raises UserError if the `onnx` package is not installed."""
    onnx = _import_onnx()
    graph = _Graph(onnx)
    height, width, channels = cnn.image_shape
    if channels == 1:
        pixels = graph.add("Reshape", INPUT, graph.whole_numbers([-1, 1, height, width]))
    else:
        pixels = graph.add("Transpose", INPUT, perm=[0, 3, 1, 2])
    features = graph.add("Add", pixels, graph.constant(np.float32(cnn.pixel_offset)))
    for convolution in cnn.convolutions:
        features = _normalise(graph, _convolve(graph, features, convolution, cnn), convolution)
    kernel = cnn.kernel_after_scaling
    if cnn.architecture.logits.flatten:
        kernel = _rows_by_channel(kernel, cnn.architecture.logits.input_shape)
    else:
        features = graph.add("GlobalAveragePool", features)
    features = graph.add("Flatten", features)
    logits = graph.add("Gemm", features, graph.constant(kernel), graph.constant(cnn.tempered_bias))
    graph.add("Softmax", logits, output=OUTPUT, axis=-1)
    return graph.serialise(cnn)


class _Graph:
    """Nodes and constants under short names, which are part of the file's size."""

    def __init__(self, onnx: Any):
        self._onnx = onnx
        self._nodes: List[Any] = []
        self._constants: List[Any] = []

    def constant(self, values: np.ndarray) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def per_channel(self, values: np.ndarray) -> str:
        return self.constant(np.reshape(values, (1, -1, 1, 1)))

    def whole_numbers(self, values: List[int]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"t{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def serialise(self, cnn: PortableCnn) -> bytes:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info(INPUT, kind, ["N", *cnn.image_shape])]
        outputs = [helper.make_tensor_value_info(OUTPUT, kind, ["N", cnn.logits_bias.size])]
        graph = helper.make_graph(self._nodes, "classifier", inputs, outputs, self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="hypertransformer_tf"
        )
        self._onnx.checker.check_model(model)
        return model.SerializeToString()


def _convolve(graph: _Graph, inputs: str, convolution: PortableConvolution, cnn: PortableCnn) -> str:
    spec = convolution.spec
    # Scaling pixels by a power of two is exact, in the kernel as well as in the picture.
    kernel = convolution.kernel * np.float32(cnn.pixel_scale) if spec.index == 1 else convolution.kernel
    names = [inputs, graph.constant(kernel.transpose(3, 2, 0, 1))]
    if convolution.bias is not None:
        names.append(graph.constant(convolution.bias))
    padding = "SAME_UPPER" if spec.padding == "SAME" else "VALID"
    outputs = graph.add("Conv", *names, auto_pad=padding, strides=[spec.stride] * 2)
    if cnn.activation == "relu":
        outputs = graph.add("Relu", outputs)
    else:
        outputs = graph.add("LeakyRelu", outputs, alpha=0.01)
    if spec.pool == 1:
        return outputs
    return graph.add("MaxPool", outputs, kernel_shape=[spec.pool] * 2, strides=[spec.pool] * 2)


def _normalise(graph: _Graph, inputs: str, convolution: PortableConvolution) -> str:
    """As in `constant_graph.py`, with channels second."""
    if convolution.blend is None:
        factor, offset = convolution.folded
        return graph.add("Add", graph.add("Mul", inputs, graph.per_channel(factor)), graph.per_channel(offset))
    mean, floor, share = convolution.blend
    gamma = convolution.gamma
    centred = graph.add("Sub", inputs, graph.per_channel(mean))
    squares = graph.add("Mul", centred, centred)
    if convolution.spec.output_shape[:2] == (1, 1):  # a single pixel is its own average
        variance = graph.add("Mul", squares, graph.constant(np.float32(share - share * share)))
        variance = graph.add("Add", variance, graph.per_channel(floor))
        gamma = gamma * np.float32(1.0 - share)
    else:
        own_mean = graph.add("GlobalAveragePool", centred)  # (N, C, 1, 1)
        own_mean = graph.add("Mul", own_mean, graph.constant(np.float32(share)))
        variance = graph.add("Mul", graph.add("GlobalAveragePool", squares), graph.constant(np.float32(share)))
        variance = graph.add("Add", variance, graph.per_channel(floor))
        variance = graph.add("Sub", variance, graph.add("Mul", own_mean, own_mean))
        centred = graph.add("Sub", centred, own_mean)
    scale = graph.add("Div", graph.per_channel(gamma), graph.add("Sqrt", variance))
    return graph.add("Add", graph.add("Mul", centred, scale), graph.per_channel(convolution.beta))


def _rows_by_channel(kernel: np.ndarray, shape: tuple) -> np.ndarray:
    """Rows of (H * W * C, classes) in the order in which a (C, H, W) map is flattened."""
    return kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)


def _import_onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise UserError(
            "the format onnx needs the package onnx, which is not installed: install it (pip install onnx), or leave "
            "onnx out of --formats."
        ) from None
    return onnx
