"""Reading pickles, which are programs, without letting them do anything but build arrays.

Few-shot data sets are handed around as pickles and as `.npy` files of object arrays, which hold one.
The unpickler here knows NumPy arrays and plain containers only and names whatever else it meets.
"""

import math
import os
import pickle
import re
from typing import Any, BinaryIO, Callable

import numpy as np

from hypertransformer_tf.data.npy_header import read_npy_header
from hypertransformer_tf.errors import UserError


class _Function:
    """A function that a pickle may call but, unlike a Python function, not change."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]):
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("it tries to change a function")


class _DType:
    """What a pickle takes for `numpy.dtype`: plain numbers, text and objects, without any structure."""

    __slots__ = ("dtype",)

    def __init__(self, spec: str, *_: Any):
        if not isinstance(spec, str) or not re.fullmatch(r"[<>|=]?([biuf?O]\d{0,2}|[SU]\d+)", spec):
            raise pickle.UnpicklingError(f"it uses the array type {spec!r}, and only plain ones are allowed")
        self.dtype = np.dtype(spec)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, byte_order, *structure = state
        if any(part is not None for part in structure[:3]) or byte_order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("it uses a structured array type, and only plain ones are allowed")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _Array(np.ndarray):
    """An array under construction; NumPy itself trusts the size of what it is filled with."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *_, shape, kind, fortran, data = state
        size = math.prod(shape) * (1 if kind.dtype.hasobject else kind.dtype.itemsize)
        if min(shape, default=0) < 0 or len(data) != size or isinstance(data, list) != kind.dtype.hasobject:
            raise pickle.UnpicklingError(f"it fills an array of shape {shape} with content of another size")
        super().__setstate__((1, shape, kind.dtype, bool(fortran), data))  # type: ignore[arg-type]  # for the stub, NumPy's bool


_NDARRAY = object()  # stands for `numpy.ndarray`, which a pickle may name but not call


def _reconstruct(kind: object, *_: Any) -> np.ndarray:
    """How all protocols but the fifth begin an array, which `__setstate__` then fills."""
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("it builds an array of an unknown kind")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _from_buffer(buffer: Any, kind: _DType, shape: tuple[int, ...], order: Any) -> np.ndarray:
    """How protocol 5 spells an array."""
    return np.frombuffer(buffer, dtype=kind.dtype).reshape(shape, order=order)


def _scalar(kind: _DType, data: bytes) -> Any:
    """A NumPy number."""
    return np.frombuffer(data, dtype=kind.dtype)[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 spells bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it uses the text encoding {encoding!r}")
    return text.encode("latin1")


def _allowed() -> dict[tuple[str, str], Any]:
    allowed = {
        ("numpy", "ndarray"): _NDARRAY,
        ("numpy", "dtype"): _DType,
        ("_codecs", "encode"): _Function(_encode),
    }
    for core in ("numpy.core", "numpy._core"):  # the name before and since NumPy 2
        allowed[core + ".multiarray", "_reconstruct"] = _Function(_reconstruct)
        allowed[core + ".multiarray", "scalar"] = _Function(_scalar)
        allowed[core + ".numeric", "_frombuffer"] = _Function(_from_buffer)
    for module in ("builtins", "__builtin__"):  # Python 3 and Python 2
        for kind in (list, dict, tuple, set, frozenset, bytes, bytearray, str, int, float, bool, complex):
            allowed[module, kind.__name__] = kind
    # A plain dict keeps the order too, and takes no attributes from a pickle.
    allowed["collections", "OrderedDict"] = dict
    return allowed


class _Unpickler(pickle.Unpickler):
    """An unpickler to which nothing but arrays and containers exists."""

    _known = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, and only NumPy arrays and plain containers are allowed"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it refers to the outside object {pid!r}")


def load_pickle(path: str | os.PathLike, encoding: str = "latin1") -> Any:
    """Reads a pickle of arrays and plain containers.

    Args:
      path: the file.
      encoding: how strings of Python 2 are to be read; its arrays need 'latin1'.

    Raises:
      UserError: the file cannot be read, is no pickle, or asks for anything else; the message names it.
    """
    try:
        with open(path, "rb") as file:
            return _unpickle(file, os.fspath(path), encoding)
    except OSError as error:
        raise UserError(f"{os.fspath(path)} cannot be read ({error.strerror}).") from error


def load_object_npy(path: str | os.PathLike) -> np.ndarray:
    """Reads a `.npy` file whose elements are objects: a header, then a pickle of the whole array.

    Raises:
      UserError: as `load_pickle`.
    """
    where = os.fspath(path)
    try:
        with open(path, "rb") as file:
            read_npy_header(file)
            array = _unpickle(file, where, "latin1")
    except OSError as error:
        raise UserError(f"{where} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise UserError(f"{where} is not a .npy file or is damaged ({error}).") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{where} holds a {type(array).__name__} where an array was expected.")
    return array


def _unpickle(file: BinaryIO, where: str, encoding: str) -> Any:
    try:
        return _Unpickler(file, encoding=encoding).load()
    except pickle.UnpicklingError as error:
        raise UserError(f"{where} was not loaded: {error}.") from error
    except MemoryError as error:
        raise UserError(f"{where} was not loaded: it asks for more memory than there is.") from error
    except Exception as error:  # damaged opcodes surface as almost any type
        raise UserError(f"{where} is damaged or no pickle ({error or type(error).__name__}).") from error
