"""What a run directory promises: one process at a time, one configuration, nothing written when refused."""

import errno
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from small_runs import experiment_of

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs import metrics_file, run_configuration, run_directory

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIGURATION = {
    "episodes": {"n_way": 5, "sizes": (1, 2)},
    "training": {"steps": 100, "seed": 0},
    "data": {"data_dir": None},
    "evaluation": {"queries_per_class": None},
}
TEXT = "episodes.n_way = 5\n"


def _open(path, configuration=CONFIGURATION) -> run_directory.RunDirectory:
    return run_directory.RunDirectory(path, configuration, TEXT, seed=3, command_line=["bin/train", "--seed=3"])


def _changed(name: str, **values) -> dict:
    return {**CONFIGURATION, name: {**CONFIGURATION[name], **values}}


def _tree(path: pathlib.Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() if file.is_file() else b"" for file in path.rglob("*")}


def test_a_new_run_keeps_its_configuration_and_record(tmp_path):
    with _open(tmp_path / "runs" / "first") as run:
        run.begin(0)
        assert run.is_new and run.checkpoints.is_dir()
        run.finish("finished", 100)
    assert (run.path / "config.gin").read_text() == TEXT
    assert run_directory.read_configuration(run.path)["episodes"] == {"n_way": 5, "sizes": [1, 2]}
    (start,) = json.loads((run.path / "run.json").read_text())["starts"]
    assert start["seed"] == 3 and start["command_line"] == ["bin/train", "--seed=3"]
    assert (start["from_step"], start["to_step"], start["outcome"]) == (0, 100, "finished")
    assert start["started"] <= start["ended"]
    assert start["versions"]["numpy"] == np.__version__ and "tensorflow" in start["versions"]
    assert start["machine"]["cores"] >= 1 and start["machine"]["memory_bytes"] > 2**20


def test_the_same_configuration_continues_the_run_and_adds_a_start(tmp_path):
    _open(tmp_path).close()
    with _open(tmp_path) as run:
        assert not run.is_new
        run.begin(0)
    assert len(json.loads((tmp_path / "run.json").read_text())["starts"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        _changed("training", steps=900),
        _changed("data", data_dir="elsewhere"),
        _changed("evaluation", queries_per_class=5),
    ],
)
def test_more_steps_moved_data_and_other_queries_at_the_end_are_no_difference(tmp_path, change):
    _open(tmp_path).close()
    with _open(tmp_path, change) as run:
        assert not run.is_new
        run.begin(0)
    assert run_directory.read_configuration(tmp_path) == json.loads(json.dumps(change))


def test_another_configuration_is_refused_with_what_differs_and_nothing_changes(tmp_path):
    _open(tmp_path).close()
    before = _tree(tmp_path)
    with pytest.raises(UserError, match=r"episodes\.n_way: 5 -> 20"):
        _open(tmp_path, _changed("episodes", n_way=20))
    with pytest.raises(UserError, match=r"loss\.smoothing: 'unset' -> 0\.1"):
        _open(tmp_path, {**CONFIGURATION, "loss": {"smoothing": 0.1}})
    assert _tree(tmp_path) == before


def test_a_run_that_goes_on_is_changed_only_once_it_begins(tmp_path):
    _open(tmp_path).close()
    before = _tree(tmp_path)
    with _open(tmp_path, _changed("training", steps=900)) as run:
        run.finish("stopped by an error", 0)
    after = _tree(tmp_path)
    assert {**before, ".lock": b""} == {**after, ".lock": b""}


def test_a_parameter_that_is_new_has_had_its_default(tmp_path):
    from hypertransformer_tf.experiment import load_experiment

    effective = load_experiment(None).effective()
    old = {name: dict(values) for name, values in effective.items() if name != "evaluation"}
    del old["episodes"]["mixture"], old["cnn"]["normalisation"]
    _open(tmp_path, old).close()
    _open(tmp_path, effective).close()
    with pytest.raises(UserError, match=r"another configuration \(episodes\.mixture: \[\] -> \[\[5, 1\]\]\)"):
        _open(tmp_path, {**effective, "episodes": {**effective["episodes"], "mixture": [[5, 1]]}})


def test_other_devices_than_before_are_noted_and_said(tmp_path):
    devices = {"strategy": "OneDeviceStrategy", "replicas": 1, "tensorflow": "2.21.0"}
    with _open(tmp_path) as run:
        assert run.begin(0, devices) is None
    with _open(tmp_path) as run:
        assert run.begin(10, devices) is None
    with _open(tmp_path) as run:
        said = run.begin(20, {**devices, "replicas": 2})
    assert "replicas 1 -> 2" in said and "tensorflow" not in said and "\n" not in said
    starts = json.loads((tmp_path / "run.json").read_text())["starts"]
    assert [start["devices"]["replicas"] for start in starts] == [1, 1, 2]


@pytest.mark.parametrize(
    "drawn, changed, says",
    [
        ({}, {"replicas": 2}, "last digits"),
        ({"cnn": {"dropout": 0.0}, "loss": {"max_remove_labelled": 0.0}}, {"replicas": 2}, "last digits"),
        ({"cnn": {"dropout": 0.1}}, {"tensorflow": "2.15.1"}, "last digits"),
        ({"cnn": {"dropout": 0.1}}, {"replicas": 2}, "another run from here on, .* own episodes .cnn.dropout."),
        ({"loss": {"max_remove_unlabelled": 0.5}}, {"replicas": 2}, "another run .* .loss.max_remove_unlabelled."),
    ],
)
def test_another_number_of_devices_is_another_run_where_a_step_draws(tmp_path, drawn, changed, says):
    devices = {"strategy": "OneDeviceStrategy", "replicas": 1, "tensorflow": "2.21.0"}
    with _open(tmp_path, {**CONFIGURATION, **drawn}) as run:
        run.begin(0, devices)
    with _open(tmp_path, {**CONFIGURATION, **drawn}) as run:
        assert re.search(says, run.begin(10, {**devices, **changed}))


def test_what_a_step_draws_by_are_parameters_that_there_are():
    parameters = {f"{name}.{each}" for name, part in experiment_of().effective().items() for each in part}
    assert set(run_configuration._DRAWN_IN_A_STEP) < parameters
    assert {each for each in parameters if each.endswith("dropout")} < set(run_configuration._DRAWN_IN_A_STEP)


@pytest.mark.parametrize("name", ["x" * 300, "a/" + "x" * 300, "a\0b"])
def test_a_name_that_no_folder_can_have_is_one_sentence(tmp_path, name):
    with pytest.raises(UserError, match="Run directory .* cannot be written: .*; choose another --run_dir"):
        _open(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_second_process_is_refused_with_the_first_ones_number(tmp_path):
    program = f"""
import sys
from hypertransformer_tf.runs import run_directory
run = run_directory.RunDirectory(sys.argv[1], {CONFIGURATION!r}, '', seed=0)
print('open', flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        with pytest.raises(UserError, match=f"is being used by process {process.pid}:"):
            _open(tmp_path)
        process.send_signal(signal.SIGKILL)
    _open(tmp_path).close()  # the lock of a killed process does not stay


def test_a_folder_that_holds_something_else_is_refused_untouched(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"picture")
    with pytest.raises(UserError, match="something else .'holiday.jpg'"):
        _open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_an_empty_folder_and_one_of_a_start_that_was_killed_are_taken(tmp_path):
    (tmp_path / ".lock").write_text("123")
    (tmp_path / ".config.json.123.partial").write_text("{")
    with _open(tmp_path) as run:
        assert run.is_new
    assert not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize("below", ["", "runs/first"])
def test_a_file_in_the_way_is_named(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match=f"{file} is a file"):
        _open(file / below)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may write anywhere
    with pytest.raises(UserError, match="cannot be written: no permission in"):
        _open(tmp_path / "runs" / "first")
    assert not list(tmp_path.iterdir())


def test_a_folder_the_system_refuses_is_one_sentence():
    with pytest.raises(UserError, match="Run directory /proc/nothing cannot be"):
        _open(pathlib.Path("/proc/nothing"))


def test_a_damaged_configuration_is_named_and_not_overwritten(tmp_path):
    _open(tmp_path).close()
    (tmp_path / "config.json").write_text('{"episodes": ')
    with pytest.raises(UserError, match="config.json cannot be read"):
        _open(tmp_path)
    assert (tmp_path / "config.json").read_text() == '{"episodes": '


@pytest.mark.parametrize(
    "content", ["[]", "null", "{}", '{"n_way": 5, "image_shape": [28, 28, 1]}', '{"a": {}, "b": 1}']
)
def test_a_config_json_of_something_else_marks_no_run(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    before = _tree(tmp_path)
    for use in (_open, run_directory.read_configuration):
        with pytest.raises(UserError, match=f"{tmp_path} is not a run directory"):
            use(tmp_path)
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("content", ["{", "[]", '{"starts": 3}', '{"starts": [1]}', "\0"])
def test_a_damaged_record_is_set_aside_once_the_run_begins(tmp_path, content, caplog):
    _open(tmp_path).close()
    (tmp_path / "run.json").write_text(content)
    with _open(tmp_path) as run:
        assert (tmp_path / "run.json").read_text() == content and not caplog.messages
        run.begin(0)
    assert (tmp_path / "run.json.damaged").read_text() == content
    assert len(json.loads((tmp_path / "run.json").read_text())["starts"]) == 1
    (said,) = caplog.messages
    assert said.startswith(f"{tmp_path / 'run.json'} is damaged and was renamed to run.json.damaged;")


class _FileOnAFullDisk(io.FileIO):
    def write(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("folder", ["", "runs/first"])
def test_a_new_run_on_a_full_disk_leaves_nothing(tmp_path, folder, monkeypatch, caplog):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(run_directory, "open", lambda path, *_, **__: _FileOnAFullDisk(path, "a+"), raising=False)
    with pytest.raises(SaveError, match="cannot be written: No space left on device; make room"):
        _open(tmp_path / folder)
    assert not list(tmp_path.iterdir()) and not caplog.messages
    monkeypatch.undo()
    _open(tmp_path / folder).close()


def test_a_lock_that_cannot_be_closed_is_released_all_the_same(tmp_path):
    class Lock:
        def close(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = _open(tmp_path)
    run._lock.close()
    run._lock = Lock()
    run.close()


def test_what_is_no_run_cannot_be_read_as_one(tmp_path):
    with pytest.raises(UserError, match="not a run directory"):
        run_directory.read_configuration(tmp_path)


def test_metrics_past_the_resumed_step_and_a_half_written_line_are_dropped(tmp_path):
    with _open(tmp_path) as run:
        run.begin(0)
        for step in (10, 20, 30):
            run.append_metrics({"step": step, "loss": np.float32(0.5), "accuracy": float("nan")})
        with open(tmp_path / "metrics.jsonl", "a") as file:
            file.write('{"step": 40, "lo')
    with _open(tmp_path) as run:
        run.begin(20)
        run.append_metrics({"step": 30, "loss": 0.25})
    lines = metrics_file.read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [10, 20, 30]
    assert lines[0] == {"step": 10, "loss": 0.5, "accuracy": None} and lines[-1]["loss"] == 0.25
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 3


def test_metrics_that_cannot_be_read_are_one_sentence(tmp_path, monkeypatch):
    def fails(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with _open(tmp_path) as run:
        run.begin(0)
        run.append_metrics({"step": 10})
    with _open(tmp_path) as run, monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "read_bytes", fails)
        with pytest.raises(UserError, match=r"metrics\.jsonl cannot be read \(Input/output error\): make it readable"):
            run.begin(10)
    assert [line["step"] for line in metrics_file.read_metrics(tmp_path / "metrics.jsonl")] == [10]


def test_metrics_are_on_disk_after_every_line(tmp_path):
    with _open(tmp_path) as run:
        run.begin(0)
        run.append_metrics({"step": 1})
        assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n'


def test_metrics_that_cannot_be_written_stop_the_run_with_a_save_error():
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    metrics = metrics_file.MetricsFile(pathlib.Path("/dev/full"))
    with pytest.raises(SaveError, match="No space left on device"):
        metrics.append({"step": 1})
    metrics.close()
