"""docs/serving: the client and the stand-in server, whose batching must not change an answer."""

import base64
import concurrent.futures
import functools
import inspect
import json
import pathlib
import re
import sys
import threading

import numpy as np
import pytest
import served_model as served
import small_model as small
import tensorflow as tf
from google.protobuf import text_format

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving", reason="needs the extra `serving`")
DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "serving"
sys.path.insert(0, str(DOCS))
import client as serving_client  # noqa: E402
import load_test  # noqa: E402
import loopback_server  # noqa: E402

ONE_BY_ONE = [(small.SUPPORT[0], [0, 1, 2, -1, 2, -1, 0], small.QUERY[0])]
ONE_BY_ONE += [
    (small.SUPPORT[1, :3], [1, 0, 1], small.QUERY[1, :2]),
    (small.SUPPORT[0, :5], [0, 1, 1, 0, 2], small.QUERY[1]),
]


@functools.lru_cache(maxsize=None)
def _server():
    return loopback_server.serve(str(served.exported()), max_batch_size=8, timeout=0.5)


def _client():
    return serving_client.Client(f"127.0.0.1:{_server()[1]}", timeout=60.0)


def _expected(support, labels, queries):
    model, classes = served.make_model(), max(labels) + 1
    weights = model.generate(support, np.array(labels, np.int32), n_way=classes)
    return tf.nn.softmax(model.classify(queries, weights)).numpy()


@pytest.mark.slow
def test_requests_of_different_sizes_are_joined_and_answered_as_if_alone():
    client, answers = _client(), {}
    threads = [
        threading.Thread(target=lambda i, request: answers.update({i: client.few_shot(*request)}), args=each)
        for each in enumerate(ONE_BY_ONE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, request in enumerate(ONE_BY_ONE):
        np.testing.assert_allclose(answers[index], _expected(*request), atol=1e-5)


def test_joining_fills_up_with_the_first_element_and_splitting_undoes_it():
    requests = [
        {name: array[np.newaxis] for name, array in zip("ab", (np.arange(1, 3), np.full((2, 2), 7)))},
        {name: array[np.newaxis] for name, array in zip("ab", (np.arange(4, 8), np.full((1, 3), 9)))},
    ]
    joined = loopback_server.join(requests)
    np.testing.assert_array_equal(joined["a"], [[1, 2, 1, 1], [4, 5, 6, 7]])
    assert joined["b"].shape == (2, 2, 3)
    first, second = loopback_server.split(joined, [1, 1])
    np.testing.assert_array_equal(second["a"], requests[1]["a"])
    assert first["b"].shape == (1, 2, 3)


def _together(*questions):
    """Asks at the same time; the answers, or what was raised."""
    with concurrent.futures.ThreadPoolExecutor(len(questions)) as pool:
        asked = [pool.submit(question) for question in questions]
        return [each.exception() or each.result() for each in asked]


def test_no_batch_has_more_tasks_than_allowed_and_every_request_is_answered():
    sizes = []

    def signature(x):
        sizes.append(len(x))
        return {"y": 2 * x}

    batcher = loopback_server.Batcher(signature, max_batch_size=4, timeout=0.2, num_batch_threads=2)
    requests = [np.full((tasks, 2), tasks) for tasks in (3, 1, 2, 4, 3, 2, 1)]
    answers = _together(*[functools.partial(batcher.ask, {"x": request}) for request in requests])
    for request, answer in zip(requests, answers):
        np.testing.assert_array_equal(answer["y"], 2 * request)
    assert max(sizes) <= 4 and sum(sizes) == 16 and len(sizes) < len(requests)


def test_a_request_that_cannot_be_batched_is_refused_and_computes_nothing():
    batcher = loopback_server.Batcher(None, max_batch_size=4, timeout=0.0, num_batch_threads=1)
    with pytest.raises(ValueError, match="Task size 5 is larger than maximum input batch size 4"):
        batcher.ask({"x": np.zeros((5, 2))})
    with pytest.raises(ValueError, match="equal 0th-dimension size"):
        batcher.ask({"x": np.zeros((2, 2)), "y": np.zeros((3, 2))})


def test_as_many_batches_as_there_are_threads_are_computed_at_the_same_time():
    both = threading.Barrier(2, timeout=30)

    def signature(x):
        both.wait()  # breaks unless two are here together
        return {"y": x}

    batcher = loopback_server.Batcher(signature, max_batch_size=1, timeout=0.0, num_batch_threads=2)
    answers = _together(*[functools.partial(batcher.ask, {"x": np.full((1, 1), each)}) for each in (5, 6)])
    assert [answer["y"].item() for answer in answers] == [5, 6]


def test_the_stand_in_batches_as_the_batching_config_says():
    values = dict(re.findall(r"^(\w+)(?: \{ value: |: )(\w+)", (DOCS / "batching.config").read_text(), re.MULTILINE))
    defaults = {name: each.default for name, each in inspect.signature(loopback_server.serve).parameters.items()}
    assert int(values.pop("max_batch_size")) == defaults["max_batch_size"]
    assert int(values.pop("num_batch_threads")) == defaults["num_batch_threads"]
    assert int(values.pop("batch_timeout_micros")) == 1e6 * defaults["timeout"]
    # Not large batch splitting beside filling up: the parts of a request could then differ in shape.
    assert values == {"max_enqueued_batches": "64", "pad_variable_length_inputs": "true"}


@pytest.mark.slow
def test_weights_generated_once_answer_many_queries():
    client = _client()
    weights = client.generate(*ONE_BY_ONE[0][:2])
    for index in range(3):
        query = small.QUERY[1, index : index + 1]
        expected = _expected(*ONE_BY_ONE[0][:2], query)
        np.testing.assert_allclose(client.classify(weights, query), expected, atol=1e-5)


@pytest.mark.slow
def test_encoded_pictures_are_answered_and_the_rest_request_holds_the_same(tmp_path, capsys, monkeypatch):
    for name, images in (("light ones", small.SUPPORT[0, :2]), ("dark", small.SUPPORT[1, :1])):
        (tmp_path / "support" / name).mkdir(parents=True)
        for index, image in enumerate(images):
            (tmp_path / "support" / name / f"{index}.png").write_bytes(tf.io.encode_png(image).numpy())
    (tmp_path / "asked.png").write_bytes(tf.io.encode_png(small.QUERY[0, 0]).numpy())
    support, labels, names = serving_client.read_folder(str(tmp_path / "support"))
    assert names == ["dark", "light ones"] and labels == [0, 1, 1]
    images = np.concatenate([small.SUPPORT[1, :1], small.SUPPORT[0, :2]])
    answer = _client().few_shot_bytes(support, labels, [(tmp_path / "asked.png").read_bytes()])
    np.testing.assert_allclose(answer, _expected(images, labels, small.QUERY[0, :1]), atol=1e-5)
    flags = [f"--support={tmp_path / 'support'}", str(tmp_path / "asked.png")]
    monkeypatch.setattr(sys, "argv", ["client.py", "--rest", *flags])
    serving_client.main()
    request = json.loads(capsys.readouterr().out)
    assert request["signature_name"] == "few_shot_bytes" and request["inputs"]["support_labels"] == [[-1, 0, 1, 1]]
    sent = [base64.b64decode(each["b64"]) for each in request["inputs"]["support_pictures"][0]]
    assert sent == [b"", *support]
    monkeypatch.setattr(sys, "argv", ["client.py", f"--address=127.0.0.1:{_server()[1]}", *flags])
    serving_client.main()
    assert "asked.png: " in capsys.readouterr().out


@pytest.mark.parametrize("labels", [[0, 2, 2], [0, 0, 0], [1, 2, 1], [0, 1]])
def test_the_client_sends_nothing_that_would_be_refused(labels):
    with pytest.raises(ValueError):
        serving_client.support_inputs("support_images", small.SUPPORT[0, :3], labels)


@pytest.mark.slow
def test_the_server_names_what_is_wrong_and_stays_up():
    client, request = _client(), served.few_shot()
    request["support_labels"] = request["support_labels"] + 1
    with pytest.raises(grpc.RpcError) as refused:
        client._ask("few_shot", request)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "labels go from 0 to 2" in refused.value.details()
    np.testing.assert_allclose(client.few_shot(*ONE_BY_ONE[1]), _expected(*ONE_BY_ONE[1]), atol=1e-5)


def test_the_model_config_file_is_what_serving_reads():
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse((DOCS / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    assert config.model_config_list.config[0].name == "hypertransformer"


@pytest.mark.slow
def test_the_load_test_fills_its_table():
    row = load_test.measure_server(str(served.exported()), "classify", max_batch_size=4, threads=4, seconds=0.5)
    assert row["requests_per_second"] > 0 and 0 < row["p50_ms"] <= row["p99_ms"]
