"""Taking out of a TensorFlow Lite file what only a person debugging the converter would read.

The converter notes its settings, names every intermediate tensor and gives each a buffer and a shape of its own, empty
or not: for a CNN of 2,000 weights that is more than the weights.
"""

from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

INPUT, OUTPUT, SIGNATURE = "images", "probabilities", "serving_default"


def slim(content: bytes) -> bytes:
    """The same model with one input, one output and a signature that names both, in fewer bytes.

    Args:
      content: of a .tflite file with one graph, one input and one output.

    Raises:
      ValueError: it has more of them.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    if len(model.subgraphs) != 1:
        raise ValueError("a graph with branches or loops cannot be slimmed")
    graph = model.subgraphs[0]
    (input_index,), (output_index,) = graph.inputs, graph.outputs
    for index, tensor in enumerate(graph.tensors):
        tensor.name = {input_index: INPUT, output_index: OUTPUT}.get(index, "").encode() or None
        if index not in (input_index, output_index):
            tensor.shapeSignature = None  # known from the input's, and only read there
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None
    _share_empty_buffers(model, graph)
    graph.name, model.description, model.metadata, model.metadataBuffer = None, None, [], None
    model.signatureDefs = [_signature(input_index, output_index)]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _share_empty_buffers(model: schema.ModelT, graph: schema.SubGraphT) -> None:
    """The first buffer is the empty one, by the format's definition."""
    kept, places = [model.buffers[0]], {0: 0}
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            tensor.buffer = 0
        elif tensor.buffer not in places:
            kept.append(model.buffers[tensor.buffer])
            places[tensor.buffer] = len(kept) - 1
        tensor.buffer = places[tensor.buffer]
    model.buffers = kept


def _signature(input_index: int, output_index: int) -> schema.SignatureDefT:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs, signature.outputs = [_named(INPUT, input_index)], [_named(OUTPUT, output_index)]
    return signature


def _named(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
