"""What the exported files of the paper's Omniglot CNN must keep to: 28 pixels, 8 channels, 20 classes."""

import time

import numpy as np
import pytest
import small_cnns
from small_cnns import make_class_means, make_cnn, random_pictures

from hypertransformer_tf.cnn.architecture import build_architecture
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.deployment.export_onnx import onnx_classifier
from hypertransformer_tf.deployment.export_tflite import int8_tflite_classifier, tflite_classifier
from hypertransformer_tf.deployment.weights_file import weights_file

KILOBYTE = 1024
MOST_SECONDS = 1e-4
SECONDS_TO_SORT = 2.6e-5  # of 6,272 numbers, on a core of an AMD EPYC, where that bar is kept with medians
MOST_TIMES_SLOWER = 3.0


@pytest.fixture(params=["support moments", "blended moments"])
def omniglot_cnn(request, monkeypatch):
    _, _, *rest = small_cnns.LAYOUTS[request.param]
    monkeypatch.setitem(small_cnns.LAYOUTS, request.param, ((28, 28, 1), {"channels": 8}, *rest))
    return make_cnn(request.param, classes=20)


def test_it_has_the_2000_weights_of_the_paper(omniglot_cnn):
    arrays = [each.kernel for each in omniglot_cnn.convolutions] + [omniglot_cnn.logits_kernel]
    assert 1900 <= sum(array.size for array in arrays) <= 2100
    assert omniglot_cnn.architecture == build_architecture(CnnConfig(), (28, 28, 1))


def test_files_are_small(omniglot_cnn):
    pytest.importorskip("onnx")
    assert len(weights_file(omniglot_cnn, make_class_means(omniglot_cnn))) <= 12 * KILOBYTE
    assert len(tflite_classifier(omniglot_cnn)) <= 16 * KILOBYTE
    assert len(int8_tflite_classifier(omniglot_cnn, random_pictures(omniglot_cnn))) <= 16 * KILOBYTE
    assert len(onnx_classifier(omniglot_cnn)) <= 16 * KILOBYTE


@pytest.mark.slow
def test_one_picture_takes_under_a_tenth_of_a_millisecond_in_litert(omniglot_cnn):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    picture = random_pictures(omniglot_cnn, count=1).astype(np.float32)
    for content in (tflite_classifier(omniglot_cnn), int8_tflite_classifier(omniglot_cnn, picture.astype(np.uint8))):
        interpreter = litert.Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        given, result = (each()[0]["index"] for each in (interpreter.get_input_details, interpreter.get_output_details))

        def classify():
            interpreter.set_tensor(given, picture)
            interpreter.invoke()
            return interpreter.get_tensor(result)

        assert _least_seconds(classify) < _bar()


@pytest.mark.slow
def test_one_picture_takes_under_a_tenth_of_a_millisecond_in_onnx_runtime(omniglot_cnn):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_classifier(omniglot_cnn), options)
    picture = random_pictures(omniglot_cnn, count=1).astype(np.float32)
    assert _least_seconds(lambda: session.run(None, {"images": picture})) < _bar()


def _bar() -> float:
    """A tenth of a millisecond where the bar was set; on a slower machine, as much more as that is slower."""
    values = np.random.default_rng(0).random(6272, np.float32)
    slower = _least_seconds(lambda: np.sort(values)) / SECONDS_TO_SORT
    return MOST_SECONDS * min(max(slower, 1.0), MOST_TIMES_SLOWER)


def _least_seconds(run) -> float:
    """The least of three: other work on the machine only ever makes a program slower."""
    return min(_seconds(run) for _ in range(3))


def _seconds(run, times=2000) -> float:
    """A low quantile, not the median: what another process takes of the core is not the program's."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return float(np.quantile(seconds, 0.05))
