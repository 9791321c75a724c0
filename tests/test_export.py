"""bin/export: the SavedModel runs with TensorFlow alone, in every loader there is, and is there whole or not at all."""

import io
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
import served_model as served
import small_model as small
import small_runs
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.deployment.presets import save_preset
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.preset_files import preset_names
from hypertransformer_tf.serving.export import export

HERE = pathlib.Path(__file__).resolve().parent


def _pictures():
    """PNGs of (T, S) support and (T, Q) query pictures, of several sizes."""
    stream = np.random.default_rng(3)

    def png(index):
        file = io.BytesIO()
        Image.fromarray(stream.integers(0, 256, (20 + index, 30, 3), dtype=np.uint8)).save(file, "PNG")
        return file.getvalue()

    return np.array([[png(i) for i in range(7)]] * 2, object), np.array([[png(i) for i in range(2)]] * 2, object)


def _expected(normalisation="task"):
    model = served.make_model(normalisation)
    weights = model.generate(small.SUPPORT, served.LABELS, served.MASK, n_way=tf.constant(served.CLASSES))
    return tf.nn.softmax(model.classify(small.QUERY, weights)).numpy()


def _load(directory):
    """A SavedModel, to be kept while its signatures are asked: it owns the variables."""
    return tf.saved_model.load(str(directory))


def _ask(loaded, name, inputs):
    given = {key: tf.constant(value) for key, value in inputs.items()}
    return loaded.signatures[name](**given)["probabilities"].numpy()


def _signature(name, normalisation="task"):
    file = saved_model_pb2.SavedModel()
    file.ParseFromString((served.exported(normalisation) / "saved_model.pb").read_bytes())
    return file.meta_graphs[0].signature_def[name]


@pytest.mark.slow
def test_it_runs_where_there_is_only_tensorflow(tmp_path):
    support, queries = _pictures()
    given = {name: value for name, value in served.support().items() if name != "support_images"}
    requests = {
        "few_shot": served.few_shot(),
        "generate": served.support(),
        "few_shot_bytes": {"support_pictures": support, **given, "query_pictures": queries},
    }
    flat = {f"{name}/{key}": value for name, inputs in requests.items() for key, value in inputs.items()}
    np.savez(tmp_path / "requests.npz", **flat)
    program = [HERE / "serving_bare.py", served.exported(), tmp_path / "requests.npz", tmp_path / "answers.npz"]
    done = served.run(program, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = np.load(tmp_path / "answers.npz")
    np.testing.assert_allclose(answers["few_shot/probabilities"], _expected(), atol=1e-5)
    assert answers["generate/weights"].shape == (2, served.description()["weights"]["size"])
    model, decode = (
        served.make_model(),
        np.vectorize(lambda each: decode_image(each, "it", 16, 1), signature="()->(h,w,c)"),
    )
    images, asked = decode(support), decode(queries)
    weights = model.generate(images, served.LABELS, served.MASK, n_way=tf.constant(served.CLASSES))
    expected = tf.nn.softmax(model.classify(asked, weights))
    np.testing.assert_allclose(answers["few_shot_bytes/probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("normalisation", served.BACKGROUNDS)
@pytest.mark.slow
def test_encoded_pictures_are_answered_as_the_models_pixels_are(normalisation):
    loaded = _load(served.exported(normalisation))
    np.testing.assert_allclose(_ask(loaded, "few_shot", served.few_shot()), _expected(normalisation), atol=1e-5)
    # The first task's pictures have a light ground, the second's a dark one: a model of light ones inverts those.
    ground = np.array([170, 0], np.uint8).reshape(2, 1, 1, 1, 1)
    given = {"support_images": small.SUPPORT // 3 + ground, "query_images": small.QUERY // 3 + ground}
    png = np.vectorize(lambda image: tf.io.encode_png(image).numpy(), signature="(h,w,c)->()", otypes=[object])
    files = {name.replace("images", "pictures"): png(images) for name, images in given.items()}
    rest = {"support_labels": served.LABELS, "support_mask": served.MASK}
    as_files = _ask(loaded, "few_shot_bytes", {**files, **rest})
    as_they_are = _ask(loaded, "few_shot", {**given, **rest})
    turned = {name: 255 - images for name, images in given.items()}
    inverted = _ask(loaded, "few_shot", {**turned, **rest})
    dark = inverted if served.BACKGROUNDS[normalisation] == "light" else as_they_are
    np.testing.assert_allclose(as_files, np.stack([as_they_are[0], dark[1]]), atol=1e-5)
    assert np.abs(inverted - as_they_are).max() > 1e-3  # far beyond what is compared above


@pytest.mark.slow
def test_saved_model_cli_shows_and_runs_it(tmp_path):
    tool = pathlib.Path(sys.executable).with_name("saved_model_cli")
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    chosen = ["--dir", served.exported(), "--tag_set", "serve", "--signature_def", "few_shot"]
    shown = subprocess.run([tool, "show", *chosen], capture_output=True, text=True, env=quiet, check=True).stdout
    assert "shape: (-1, -1, 16, 16, 1)" in shown and "shape: (-1, -1, 3)" in shown
    inputs = []
    for name, value in served.few_shot().items():
        np.save(tmp_path / f"{name}.npy", value)
        inputs.append(f"{name}={tmp_path / name}.npy")
    run = [tool, "run", *chosen, "--inputs", ";".join(inputs), "--outdir", tmp_path / "out"]
    subprocess.run(run, capture_output=True, env=quiet, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "out" / "probabilities.npy"), _expected(), atol=1e-5)


@pytest.mark.slow
def test_the_c_api_runs_it_and_survives_a_wrong_request(tmp_path):
    signature = _signature("few_shot")
    numbers = {"support_images": 4, "support_labels": 3, "support_mask": 3, "query_images": 4}
    inputs = {signature.inputs[name].name: (numbers[name], value.tolist()) for name, value in served.few_shot().items()}
    wrong = {signature.inputs["support_labels"].name: (3, (served.LABELS + 1).tolist())}
    request = {"inputs": inputs, "wrong": wrong, "output": signature.outputs["probabilities"].name}
    (tmp_path / "request.json").write_text(json.dumps(request))
    libraries = pathlib.Path(tf.__file__).parent
    done = served.run([HERE / "serving_c_api.py", libraries, served.exported(), tmp_path / "request.json"], tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    assert "support_labels: labels go from 0 to 2 for this 3-way model" in answer["error"]
    np.testing.assert_allclose(np.reshape(answer["first"], _expected().shape), _expected(), atol=1e-5)
    assert answer["again"] == answer["first"]


@pytest.mark.slow
@pytest.mark.parametrize("normalisation", served.BACKGROUNDS)
def test_every_input_and_output_begins_with_the_tasks_as_batching_needs_it(normalisation):
    for name in served.SIGNATURES:
        signature = _signature(name, normalisation)
        for tensor in [*signature.inputs.values(), *signature.outputs.values()]:
            assert tensor.tensor_shape.dim[0].size == -1


def test_each_weight_is_written_once():
    variables = tf.train.list_variables(str(served.exported() / "variables" / "variables"))
    sizes = [int(np.prod(shape)) for name, shape in variables if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    model = served.make_model()
    assert sorted(sizes) == sorted(int(np.prod(variable.shape)) for variable in model.weights)
    written = (served.exported() / "variables" / "variables.data-00000-of-00001").stat().st_size
    assert written < 4 * sum(sizes) + 100_000


def test_the_layout_finds_the_tensors_in_the_flat_weights():
    model, description = served.make_model(), served.description()
    signatures = tf.saved_model.load(str(served.exported())).signatures
    flat = signatures["generate"](**{key: tf.constant(value) for key, value in served.support().items()})["weights"]
    weights = model.generate(small.SUPPORT, served.LABELS, served.MASK, n_way=tf.constant(served.CLASSES))
    tensors = {each["name"]: each for each in description["weights"]["tensors"]}
    expected = {
        "convolution_1/kernel": weights.convolutions[0].kernel,
        "convolution_4/variance": weights.convolutions[3].statistics.variance,
        "convolution_2/own_share": weights.convolutions[1].statistics.own_share,
        "logits/kernel": weights.logits.kernel,
    }
    for name, values in expected.items():
        size = int(np.prod(tensors[name]["shape"]))
        found = flat[:, tensors[name]["offset"] :][:, :size].numpy().reshape(-1, *tensors[name]["shape"])
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalisation", ["support", pytest.param("task", marks=pytest.mark.slow)])
def test_the_warm_up_requests_can_be_decoded_and_run(normalisation):
    assert _run_warm_up(served.exported(normalisation)) == sorted(served.SIGNATURES)


@pytest.mark.slow
@pytest.mark.parametrize("name", preset_names())
def test_each_preset_is_exported_and_answers_its_warm_up_requests(name, tmp_path):
    export(name, tmp_path / "1")
    assert _run_warm_up(tmp_path / "1") == sorted(served.SIGNATURES)


def _run_warm_up(directory):
    """Runs the requests that Serving would run while it loads; the signatures asked."""
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    loaded, asked = _load(directory), []
    for record in tf.data.TFRecordDataset(str(directory / "assets.extra" / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        asked.append(request.model_spec.signature_name)
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        for output in loaded.signatures[asked[-1]](**inputs).values():
            assert np.isfinite(output.numpy()).all()
    return sorted(asked)


def test_a_model_is_needed_and_only_one_can_be_named():
    started = time.monotonic()
    helped = served.run_export("--help")
    assert time.monotonic() - started < 2
    assert helped.returncode == 0 and "few_shot" in helped.stdout and "--run_dir" in helped.stdout
    for flags in (["--out=a/1"], ["--out=a/1", "--run_dir=b", "--model=c"]):
        done = served.run_export(*flags)
        assert done.returncode == 2 and done.stderr.count("\n") == 1


@pytest.mark.parametrize("version", ["model", "v1", "-1", "1.0", "9" * 30])
def test_a_folder_that_serving_would_not_find_is_refused(tmp_path, version):
    with pytest.raises(UserError, match="does not end in a version"):
        export("nothing", tmp_path / version)


def test_a_transductive_model_is_refused_before_anything_is_written(tmp_path):
    save_preset(small.make_model(), tmp_path / "preset")
    with pytest.raises(UserError, match="cnn.normalisation = 'query'"):
        export(tmp_path / "preset", tmp_path / "served" / "1")
    assert not (tmp_path / "served").exists()


@pytest.mark.slow
def test_what_exists_is_overwritten_only_when_asked_and_only_by_a_whole_export(tmp_path, monkeypatch):
    before = small_runs.tree(served.exported())
    with pytest.raises(UserError, match="exists already"):
        export(served.make_model(), served.exported())

    def fail(*arguments, **named):
        raise RuntimeError("in the middle of writing")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(RuntimeError):
        export(served.make_model(), served.exported(), overwrite=True)
    assert small_runs.tree(served.exported()) == before
    assert os.listdir(served.exported().parent) == ["1"]


@pytest.mark.slow
def test_a_run_is_exported_and_overwritten(tmp_path, monkeypatch):
    gin_file = small_runs.write_gin(tmp_path / "a.gin", "cnn.normalisation = 'task'")
    run_dir, out = tmp_path / "run", tmp_path / "served" / "7"
    assert small_runs.run_here(monkeypatch, "train", f"--gin_file={gin_file}", f"--run_dir={run_dir}") == 0
    for more in ([], ["--overwrite"]):
        done = served.run_export(f"--run_dir={run_dir}", f"--out={out}", "--json", *more)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["signatures"] == list(served.SIGNATURES)
    assert os.listdir(out.parent) == ["7"]
