"""Every format of every preset against the model on 1,000 real pictures, each where this library is not."""

import pytest

from hypertransformer_tf.deployment.agreement import TOLERANCE
from hypertransformer_tf.deployment.formats import FILES
from hypertransformer_tf.runs.preset_files import preset_names

INT8 = FILES["tflite_int8"]


@pytest.fixture(scope="module")
def measured_of(shared, tmp_path_factory):
    """Measures a preset, once: {file: Measured}."""
    pytest.importorskip("onnxruntime")
    from agreement import measure  # docs/measurements/agreement.py, whose table this is

    known = {}

    def measured(preset):
        if preset not in known:
            rows = measure(preset, tmp_path_factory.mktemp(preset), str(shared / "tfds"))
            known[preset] = {each.file: each for each in rows}
        return known[preset]

    return measured


@pytest.mark.slow
@pytest.mark.parametrize("preset", preset_names())
def test_float_formats_agree_to_1e_4(preset, measured_of):
    measured = measured_of(preset)
    assert set(measured) == set(FILES.values())
    for file in set(measured) - {INT8}:
        assert measured[file].pictures >= 1_000
        assert measured[file].logits <= TOLERANCE and measured[file].probabilities <= TOLERANCE, measured[file]


@pytest.mark.slow
@pytest.mark.parametrize("preset", preset_names())
def test_int8_keeps_its_accuracy_within_2_points(preset, measured_of):
    int8 = measured_of(preset)[INT8]
    assert abs(int8.accuracy - int8.accuracy_float32) <= 0.02, int8
