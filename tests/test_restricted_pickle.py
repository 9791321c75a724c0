"""Claims about pickles: arrays and containers come through, nothing else runs."""

import collections
import io
import os
import pickle

import numpy as np
import pytest

from hypertransformer_tf.data import restricted_pickle
from hypertransformer_tf.errors import UserError

CONTENT = {
    "image_data": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "class_dict": {"n01": [0, 1]},
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">i4"),
    "bool": np.array([True, False]),
    "text": np.array(["ab", "c"]),
    "bytes": b"\xff\x00",
    "number": np.float32(1.5),
    "objects": np.array([np.zeros(2, np.uint8), None, [1, (2, {3})]], dtype=object),
    "empty": np.zeros((0, 4)),
    "ordered": collections.OrderedDict(a=1),
}


def save(tmp_path, content, protocol=4):
    path = tmp_path / "file.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


def assert_equal(got, expected):
    if isinstance(expected, np.ndarray) and expected.dtype == object:
        assert got.dtype == object and got.shape == expected.shape
        for a, b in zip(got, expected):
            assert_equal(a, b)
    elif isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype.newbyteorder(got.dtype.byteorder) and np.array_equal(got, expected)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_equal(got[key], expected[key])
    else:
        assert got == expected


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_containers_come_back_in_every_protocol(tmp_path, protocol):
    assert_equal(restricted_pickle.load_pickle(save(tmp_path, CONTENT, protocol)), CONTENT)


def test_a_pickle_of_python_2_is_read(tmp_path):
    old = (
        b"(dp0\nS'image_data'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\n"
        b"p5\ntp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'|'\np13\nNNNI-1\n"
        b"I-1\nI0\ntp14\nbI00\nS'\\xff\\x01'\np15\ntp16\nbs."
    )
    path = save(tmp_path, old)
    # Strings come as text with latin1; NumPy turns them back into the bytes they were.
    assert restricted_pickle.load_pickle(path)["image_data"].tolist() == [255, 1]


class Calls:
    """Pickles to a call of any function."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "function, args, told",
    [
        (os.system, ("echo run > {}",), r"(posix|nt)\.system"),
        (eval, ('open("{}", "w")',), r"builtins\.eval"),
        (getattr, (1, "real"), r"builtins\.getattr"),
        (np.load, ("{}",), r"numpy\.load"),
        (np.memmap, ("{}", "uint8", "w+", 0, 4), r"numpy.*memmap"),
        (io.open, ("{}", "w"), r"io\.open"),
    ],
)
def test_whatever_else_a_pickle_asks_for_is_refused_by_name_and_does_not_run(tmp_path, function, args, told):
    target = tmp_path / "target"
    path = save(tmp_path, [Calls(function, *(a.format(target) if isinstance(a, str) else a for a in args))])
    with pytest.raises(UserError, match=told) as raised:
        restricted_pickle.load_pickle(path)
    assert str(path) in str(raised.value) and not target.exists()


def array_state(dtype, shape, data):
    """A pickle of an array whose state was tampered with."""

    class Array:
        def __reduce__(self):
            return np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, shape, dtype, False, data)

    return pickle.dumps(Array(), 2)


@pytest.mark.parametrize(
    "dtype, shape, data",
    [
        (np.dtype("O"), (5,), [None]),
        (np.dtype("u1"), (5,), b"1"),
        (np.dtype("O"), (1,), b"12345678"),
        (np.dtype("u1"), (-1,), b""),
        (np.dtype([("a", "O")]), (1,), b"12345678"),
    ],
)
def test_an_array_with_content_of_another_size_or_kind_is_refused(tmp_path, dtype, shape, data):
    with pytest.raises(UserError, match="was not loaded"):
        restricted_pickle.load_pickle(save(tmp_path, array_state(dtype, shape, data)))


@pytest.mark.parametrize(
    "content",
    [
        # numpy.ndarray called, a function's attribute set, an outside object, a function called with a foreign encoding
        b"cnumpy\nndarray\n((I1\ntR.",
        b"c_codecs\nencode\n(N(dS'x'\nI1\nstb.",
        b"Pwhatever\n.",
        b"c_codecs\nencode\n(S'a'\nS'zlib'\ntR.",
    ],
)
def test_allowed_names_cannot_be_abused(tmp_path, content):
    with pytest.raises(UserError):
        restricted_pickle.load_pickle(save(tmp_path, content))


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps(CONTENT)[:-20], b"\x80\x04\x95"])
def test_a_damaged_pickle_is_named(tmp_path, content):
    path = save(tmp_path, content)
    with pytest.raises(UserError, match="file.pkl"):
        restricted_pickle.load_pickle(path)


def test_a_missing_pickle_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.pkl cannot be read"):
        restricted_pickle.load_pickle(tmp_path / "gone.pkl")


def ragged():
    array = np.empty(2, object)
    array[:] = [np.zeros((2, 4, 4), np.uint8), np.ones((3, 4, 4), bool)]
    return array


def test_an_object_npy_is_read(tmp_path):
    np.save(tmp_path / "a.npy", ragged(), allow_pickle=True)
    loaded = restricted_pickle.load_object_npy(tmp_path / "a.npy")
    assert_equal(loaded, ragged())


def test_an_object_npy_that_would_run_something_is_refused(tmp_path):
    array = np.empty(1, object)
    array[0] = Calls(os.system, f"touch {tmp_path / 'target'}")
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=r"a\.npy was not loaded: it asks for (posix|nt)\.system"):
        restricted_pickle.load_object_npy(tmp_path / "a.npy")
    assert not (tmp_path / "target").exists()


def test_a_truncated_object_npy_is_named(tmp_path):
    np.save(tmp_path / "a.npy", ragged(), allow_pickle=True)
    content = (tmp_path / "a.npy").read_bytes()
    for length in (4, 20, len(content) - 5):
        (tmp_path / "a.npy").write_bytes(content[:length])
        with pytest.raises(UserError, match="a.npy"):
            restricted_pickle.load_object_npy(tmp_path / "a.npy")
