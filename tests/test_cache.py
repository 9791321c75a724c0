"""Claims about decoded sets kept on disk."""

import json
import multiprocessing
import os
import time

import numpy as np
import pytest

from hypertransformer_tf.data import cache
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HT_CACHE_DIR", str(tmp_path / "sets"))
    return tmp_path / "sets"


class Builder:
    """Counts how often a set was built."""

    def __init__(self, value=7):
        self.calls, self.value = 0, value

    def __call__(self, allocate):
        self.calls += 1
        images = allocate((5, 4, 4, 1))
        images[...] = self.value
        return ImagesByClass("toy", images, offsets_of([2, 3]), ("a", "b"), {"train": np.array([1])})


def test_a_set_is_built_once_and_then_mapped():
    build = Builder()
    first, second = (cache.load_or_build({"source": "toy"}, build) for _ in range(2))
    assert build.calls == 1
    for loaded in (first, second):
        assert isinstance(loaded.images, np.memmap) and not loaded.images.flags.writeable
        assert np.all(loaded.images == 7) and loaded.images.shape == (5, 4, 4, 1)
        assert loaded.name == "toy" and loaded.class_names == ("a", "b")
        assert loaded.offsets.tolist() == [0, 2, 5] and loaded.splits["train"].tolist() == [1]


def test_a_set_that_depends_on_something_else_is_another_set():
    one = cache.load_or_build({"image_size": 28}, Builder(1))
    two = cache.load_or_build({"image_size": 32}, Builder(2))
    assert one.images[0, 0, 0, 0] == 1 and two.images[0, 0, 0, 0] == 2


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_an_old_version(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "suffix, damage, said",
    [
        (".npy", cut, "is damaged"),
        (".npy", flip_a_byte, "is damaged"),
        (".npy", empty, "is damaged"),
        (".npy", os.remove, None),
        (".json", cut, "is damaged"),
        (".json", empty, "is damaged"),
        (".json", os.remove, None),
        (".json", of_an_old_version, "is of another version (0, and not 1)"),
        (".json", lambda path: path.write_text("[]"), "is damaged"),
    ],
)
def test_a_damaged_or_old_set_is_built_again_and_that_is_said(folder, caplog, suffix, damage, said):
    build = Builder()
    cache.load_or_build({}, build)
    damage(next(folder.glob("*" + suffix)))
    rebuilt = cache.load_or_build({}, build)
    assert build.calls == 2 and np.all(rebuilt.images == 7)
    assert [said in message and "built again" in message for message in caplog.messages] == [True] * (said is not None)
    cache.load_or_build({}, build)
    assert build.calls == 2


def test_a_set_of_another_format_version_is_built_again_in_its_place(folder, monkeypatch, caplog):
    build = Builder()
    cache.load_or_build({}, build)
    monkeypatch.setattr(cache, "FORMAT_VERSION", cache.FORMAT_VERSION + 1)
    cache.load_or_build({}, build)
    assert build.calls == 2 and "another version (1, and not 2)" in caplog.text and len(list(folder.iterdir())) == 2


def test_vectors_are_kept_as_they_are():
    def build(allocate):
        vectors = allocate((3, 1, 1, 5), np.float32)
        vectors[...] = 0.1
        return ImagesByClass("vectors", vectors, offsets_of([3]), ("a",), {})

    first, second = (cache.load_or_build({}, build) for _ in range(2))
    for loaded in (first, second):
        assert isinstance(loaded.images, np.memmap) and loaded.images.dtype == np.float32
        assert np.all(loaded.images == np.float32(0.1))


def test_a_reader_that_fails_leaves_nothing_behind(folder):
    def build(allocate):
        allocate((5, 4, 4, 1))
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        cache.load_or_build({}, build)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, caplog, place):
    (tmp_path / "file").write_text("")
    path = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "sets"}.get(place, place)
    monkeypatch.setenv("HT_CACHE_DIR", str(path))
    build = Builder()
    for calls in (1, 2):
        assert np.all(cache.load_or_build({}, build).images == 7)
        assert build.calls == calls
    assert not caplog.messages


def test_a_full_disk_is_no_error(monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100}))
    loaded = cache.load_or_build({}, Builder())
    assert np.all(loaded.images == 7) and not isinstance(loaded.images, np.memmap)


def test_files_that_cannot_be_renamed_are_no_error(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError("no")

    monkeypatch.setattr(cache.os, "replace", refuse)
    assert np.all(cache.load_or_build({}, Builder()).images == 7)
    assert not list(folder.iterdir())


def test_the_image_of_a_reader_with_memory_of_its_own_is_returned_as_it_is():
    images = np.zeros((1, 2, 2, 1), np.uint8)
    made = ImagesByClass("own", images, offsets_of([1]), ("a",), {})
    assert cache.load_or_build({}, lambda allocate: made) is made


def test_unfinished_files_of_dead_processes_are_removed_and_those_of_living_ones_are_not(folder):
    folder.mkdir()
    old, new = folder / "old.unfinished", folder / "new.unfinished"
    for path in (old, new):
        path.write_text("")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    cache.load_or_build({}, Builder())
    assert not old.exists() and new.exists()


def _build_slowly(queue):
    def build(allocate):
        images = allocate((5, 4, 4, 1))
        for image in images:
            image[...] = 3
            time.sleep(0.02)
        return ImagesByClass("toy", images, offsets_of([5]), ("a",), {})

    queue.put(int(cache.load_or_build({"source": "both"}, build).images.sum()))


def test_two_processes_may_build_the_same_set_at_once(folder):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_build_slowly, args=(queue,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert [queue.get(timeout=20) for _ in workers] == [5 * 16 * 3] * 2
    for worker in workers:
        worker.join()
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".npy"]


def test_files_are_described_by_path_size_and_time(tmp_path):
    path = tmp_path / "x"
    path.write_text("ab")
    before = cache.describe_files([path])
    assert before[0][:2] == [str(path), 2]
    os.utime(path, ns=(1, 1))
    assert cache.describe_files([path]) != before


def test_the_check_of_a_large_file_reads_a_part_of_it_and_sees_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_BLOCK", 16)
    monkeypatch.setattr(cache, "_CHECKED_BLOCKS", 4)
    path = tmp_path / "large"
    path.write_bytes(bytes(16 * 100))
    whole = cache._checksum(path)
    path.write_bytes(bytes(16 * 100 - 1))
    assert cache._checksum(path) != whole
    path.write_bytes(b"\x01" + bytes(16 * 100 - 1))
    assert cache._checksum(path) != whole
