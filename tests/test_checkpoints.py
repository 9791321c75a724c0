"""What checkpoint files promise: whole or not there, checked when read, the newest few kept."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs import checkpoints

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _arrays(step: int, size: int = 100) -> dict[str, np.ndarray]:
    return {"weight": np.full((size, 3), step, np.float32), "step": np.array(step, np.int64)}


def _save(folder: pathlib.Path, *steps: int, keep: int = 3) -> None:
    for step in steps:
        checkpoints.save_checkpoint(folder, step, _arrays(step), {"seed": 1}, keep=keep)


def _flip_byte(path: pathlib.Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_arrays_and_metadata_come_back_as_they_were(tmp_path):
    transposed = np.arange(6, dtype=np.float64).reshape(2, 3).T
    arrays = {
        "a/kernel:0": transposed,
        "scalar": np.array(3, np.int64),
        "none": np.zeros((0, 4), np.float32),
        "mask": np.array([True, False]),
        "state": np.array([1, 2**40], np.uint64),
        "half": np.ones(2, np.float16),
    }
    metadata = {"seed": 7, "best": 0.125, "note": 'ü "quoted"'}
    checkpoints.save_checkpoint(tmp_path / "new", 1234, arrays, metadata)
    loaded = checkpoints.load_latest(tmp_path / "new")
    assert loaded.path.name == "checkpoint-00001234.safetensors"
    assert (loaded.step, loaded.metadata) == (1234, metadata)
    assert {type(value) for value in loaded.metadata.values()} == {int, float, str}
    assert set(loaded.arrays) == set(arrays)
    for name, array in arrays.items():
        assert loaded.arrays[name].dtype == array.dtype and loaded.arrays[name].shape == array.shape
        np.testing.assert_array_equal(loaded.arrays[name], array)


def test_a_folder_without_checkpoints_has_no_latest(tmp_path):
    assert checkpoints.load_latest(tmp_path) is None
    assert checkpoints.load_latest(tmp_path / "absent") is None
    assert checkpoints.load_best(tmp_path) is None


def test_only_the_newest_are_kept_and_the_best_beside_them(tmp_path):
    checkpoints.save_best(tmp_path, 10, _arrays(10), {})
    _save(tmp_path, 10, 20, 30, 40, 50, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.safetensors",
        "checkpoint-00000040.safetensors",
        "checkpoint-00000050.safetensors",
    ]
    assert checkpoints.load_best(tmp_path).step == 10


@pytest.mark.parametrize("harm", ["cut", "empty", "flipped in the weights", "flipped in the header", "other content"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path, harm):
    _save(tmp_path, 10, 20)
    newest = tmp_path / "checkpoint-00000020.safetensors"
    size = newest.stat().st_size
    if harm == "cut":
        os.truncate(newest, size // 2)
    elif harm == "empty":
        os.truncate(newest, 0)
    elif harm == "flipped in the weights":
        _flip_byte(newest, size - 5)
    elif harm == "flipped in the header":
        _flip_byte(newest, newest.read_bytes().index(b"sha256") + 12)
    else:
        newest.write_text("something else")
    reports = []
    loaded = checkpoints.load_latest(tmp_path, reports.append)
    assert loaded.step == 10
    assert len(reports) == 1 and "checkpoint-00000020.safetensors is damaged" in reports[0]
    assert "continuing from step 10" in reports[0]


def _unreadable(monkeypatch, name):
    """Files of that name cannot be read from here on, as on a disk that fails; root may read whatever is there."""
    read = pathlib.Path.read_bytes

    def fails(path):
        if path.name == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", fails)


def test_an_unreadable_newest_checkpoint_gives_way_to_the_one_before(tmp_path, monkeypatch):
    _save(tmp_path, 10, 20)
    _unreadable(monkeypatch, "checkpoint-00000020.safetensors")
    reports = []
    assert checkpoints.load_latest(tmp_path, reports.append).step == 10
    assert reports == [
        "Checkpoint checkpoint-00000020.safetensors cannot be read (Input/output error); continuing from step 10."
    ]


def test_an_unreadable_checkpoint_with_nothing_before_it_is_one_sentence(tmp_path, monkeypatch):
    _save(tmp_path, 10)
    _unreadable(monkeypatch, "checkpoint-00000010.safetensors")
    with pytest.raises(UserError, match=r"the newest cannot be read \(Input/output error\): restore one") as caught:
        checkpoints.load_latest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_of_checkpoints_that_cannot_be_listed_is_one_sentence(tmp_path, monkeypatch):
    def fails(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(pathlib.Path, "iterdir", fails)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\): make the directory readable"):
        checkpoints.load_latest(tmp_path)


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    arrays = {"weight": np.arange(4, dtype=np.float32)}
    path = checkpoints.save_checkpoint(tmp_path, 3, arrays, {"seed": 1})
    content = path.read_bytes()
    noticed = 0
    for position in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)
            try:
                loaded = checkpoints.load_checkpoint(path)
            except checkpoints.DamagedCheckpoint:
                noticed += 1
                continue
            assert loaded.step == 3 and loaded.metadata == {"seed": 1}
            np.testing.assert_array_equal(loaded.arrays["weight"], arrays["weight"])
    assert noticed > 0.9 * 8 * len(content)


def test_when_all_are_damaged_training_does_not_silently_begin_again(tmp_path):
    _save(tmp_path, 10, 20)
    for path in tmp_path.iterdir():
        os.truncate(path, 20)
    with pytest.raises(UserError, match="All 2 checkpoints"):
        checkpoints.load_latest(tmp_path)


def test_a_damaged_later_checkpoint_does_not_push_out_good_ones(tmp_path):
    _save(tmp_path, 10, 20, 30)
    os.truncate(tmp_path / "checkpoint-00000030.safetensors", 9)
    _save(tmp_path, 25, keep=1)
    assert checkpoints.load_latest(tmp_path).step == 25


def test_a_damaged_best_checkpoint_is_named(tmp_path):
    path = checkpoints.save_best(tmp_path, 1, _arrays(1), {})
    _flip_byte(path, path.stat().st_size - 1)
    with pytest.raises(UserError, match=r"best\.safetensors is damaged \(checksum differs\)"):
        checkpoints.load_best(tmp_path)


def _for_use(folder):
    reports = []
    return checkpoints.load_for_use(folder, reports.append), reports


def test_the_best_is_used_and_the_newest_where_none_was_kept(tmp_path):
    assert _for_use(tmp_path) == (None, [])
    _save(tmp_path, 10, 20)
    found, reports = _for_use(tmp_path)
    assert found.step == 20 and not reports
    checkpoints.save_best(tmp_path, 10, _arrays(10), {})
    found, reports = _for_use(tmp_path)
    assert found.step == 10 and not reports


@pytest.mark.parametrize("harm, says", [("damaged", "is damaged"), ("missing", "is not there any more")])
def test_a_best_that_is_lost_gives_way_to_the_newest_and_that_is_said(tmp_path, harm, says):
    path = checkpoints.save_best(tmp_path, 10, _arrays(10), {})
    checkpoints.save_checkpoint(tmp_path, 20, _arrays(20), {"best_validation": 0.5})
    path.unlink() if harm == "missing" else os.truncate(path, 30)
    found, (report,) = _for_use(tmp_path)
    assert found.step == 20
    assert "best.safetensors" in report and says in report and "of step 20, is used" in report


def test_a_best_that_cannot_be_read_gives_way_to_the_newest_and_that_is_said(tmp_path, monkeypatch):
    checkpoints.save_best(tmp_path, 10, _arrays(10), {})
    _save(tmp_path, 20)
    _unreadable(monkeypatch, checkpoints.BEST)
    found, (report,) = _for_use(tmp_path)
    assert found.step == 20
    assert "best.safetensors cannot be read (Input/output error); the newest checkpoint, of step 20, is used" in report


def test_a_damaged_best_with_nothing_beside_it_is_named(tmp_path):
    os.truncate(checkpoints.save_best(tmp_path, 10, _arrays(10), {}), 30)
    with pytest.raises(UserError, match=r"best\.safetensors is damaged .*no other checkpoint"):
        checkpoints.load_for_use(tmp_path)


def test_loading_leaves_what_a_writer_has_not_finished(tmp_path):
    _save(tmp_path, 10)
    leftover = tmp_path / ".checkpoint-00000020.safetensors.123.partial"
    leftover.write_bytes(b"half")
    assert checkpoints.load_latest(tmp_path).step == 10
    assert leftover.exists()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_last_good_checkpoint_and_nothing_else(tmp_path, monkeypatch, call):
    _save(tmp_path, 10)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(SaveError, match="No space left on device; checkpoint-00000010.safetensors is intact"):
            checkpoints.save_checkpoint(tmp_path, 20, _arrays(20), {})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000010.safetensors"]
    assert checkpoints.load_latest(tmp_path).step == 10


def test_a_write_that_stops_halfway_leaves_the_last_good_checkpoint(tmp_path):
    """A real limit of the kernel on file size in place of a full disk: the write itself fails midway."""
    program = """
import resource, sys
import numpy as np
from hypertransformer_tf.runs import checkpoints
folder = sys.argv[1]
checkpoints.save_checkpoint(folder, 1, {'w': np.ones(1000)}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
  checkpoints.save_checkpoint(folder, 2, {'w': np.ones(1_000_000)}, {})
except checkpoints.SaveError as error:
  print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "checkpoint-00000001.safetensors is intact" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000001.safetensors"]
    assert checkpoints.load_latest(tmp_path).step == 1


def test_sigkill_at_any_moment_leaves_a_readable_newest_checkpoint(tmp_path):
    program = """
import sys
import numpy as np
from hypertransformer_tf.runs import checkpoints
latest = checkpoints.load_latest(sys.argv[1])
step = latest.step if latest else 0
print('ready', flush=True)
while True:
  step += 1
  checkpoints.save_checkpoint(sys.argv[1], step, {'w': np.full(200_000, step, np.float32)}, {})
"""
    before = 0
    for attempt in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(0.05 + 0.013 * attempt)
            process.send_signal(signal.SIGKILL)
        reports = []
        loaded = checkpoints.load_latest(tmp_path, reports.append)
        assert not reports
        if loaded is not None:
            assert loaded.step >= before
            before = loaded.step
            np.testing.assert_array_equal(loaded.arrays["w"], np.full(200_000, loaded.step, np.float32))
    assert before > 0
