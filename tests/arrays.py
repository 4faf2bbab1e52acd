# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of memory that tests hand to MPI calls: each makes an object that a user could have, and shows what lies in it."""

from __future__ import annotations

import array
import ctypes
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# NumPy's character of a type, and the name of its MPI datatype.
TYPES = {
    "?": "C_BOOL",
    "b": "SIGNED_CHAR",
    "B": "UNSIGNED_CHAR",
    "h": "SHORT",
    "H": "UNSIGNED_SHORT",
    "i": "INT",
    "I": "UNSIGNED",
    "l": "LONG",
    "L": "UNSIGNED_LONG",
    "q": "LONG_LONG",
    "Q": "UNSIGNED_LONG_LONG",
    "f": "FLOAT",
    "d": "DOUBLE",
    "g": "LONG_DOUBLE",
    "F": "C_FLOAT_COMPLEX",
    "D": "C_DOUBLE_COMPLEX",
    "G": "C_LONG_DOUBLE_COMPLEX",
}
CODES = "".join(TYPES)


def pattern(code: str, count: int, seed: int = 0) -> np.ndarray:
    """`count` values that are exact in the type, differ from their neighbours and are never all zero."""
    numbers = (np.arange(count) * 7 + seed * 13 + 1) % 100
    if code == "?":
        return (numbers % 3 != 0).astype(code)
    values = numbers.astype(code)
    return values * (1 - 2j) if code in "FDG" else values


@dataclass(frozen=True)
class Made:
    """An object of some kind, and its items as an array on the same memory."""

    object: Any
    items: np.ndarray


@dataclass(frozen=True)
class Kind:
    """A way to have memory: the types it can hold, how to make it, and, where possible, how to put it on given memory."""

    name: str
    codes: str
    make: Callable[[str, int], Any]
    over: Callable[[Any, str], Any] | None = None

    def __str__(self) -> str:
        return self.name

    def new(self, code: str, values: Sequence[Any] | np.ndarray) -> Made:
        """A writable object that holds the values."""
        thing = self.make(code, len(values))
        items = thing.items if hasattr(thing, "items") else np.frombuffer(thing, code)
        items[...] = np.asarray(values, code)
        return Made(thing, items)


# --- DLPack, as a library other than NumPy would export it ---------------------------------------------------------


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]


class _Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]
_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]

_lent: dict[int, Any] = {}  # address of a managed tensor -> all that must live until its deleter is called
_DLPACK_KINDS = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _delete(address: int) -> None:
    del _lent[address]  # a second call raises KeyError, which ctypes prints: see dlpack_lent


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _drop_capsule(capsule: int) -> None:
    for name in (b"dltensor", b"dltensor_versioned"):  # a consumer renames what it has taken
        if _is_valid(capsule, name):
            _delete(_get_pointer(capsule, name))


def dlpack_lent() -> int:
    """How many exported tensors nobody has given back."""
    return len(_lent)


class DLPackArray:
    """An array that offers its memory by DLPack only, as producers did before version 1."""

    CPU = 1

    def __init__(self, items: np.ndarray, device: tuple[int, int] = (CPU, 0), strides: bool = False) -> None:
        self.items, self.device, self.with_strides = items, device, strides

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def _tensor(self) -> tuple[_Tensor, Any]:
        items = self.items
        shape = (ctypes.c_int64 * items.ndim)(*items.shape)
        strides = (ctypes.c_int64 * items.ndim)(*(s // items.itemsize for s in items.strides))
        plain = items.flags.c_contiguous and not self.with_strides
        tensor = _Tensor(
            items.ctypes.data,
            _Device(*self.device),
            items.ndim,
            _Type(_DLPACK_KINDS[items.dtype.kind], items.itemsize * 8, 1),
            shape,
            None if plain else strides,
            0,
        )
        return tensor, (items, shape, strides)

    def _capsule(self, managed: Any, name: bytes, keep: Any) -> Any:
        address = ctypes.addressof(managed)
        _lent[address] = (managed, keep)
        return _new_capsule(address, name, ctypes.cast(_drop_capsule, ctypes.c_void_p))

    def __dlpack__(self, stream: int | None = None) -> Any:
        tensor, keep = self._tensor()
        managed = _Managed(tensor, None, ctypes.cast(_delete, ctypes.c_void_p))
        return self._capsule(managed, b"dltensor", keep)


class DLPack1Array(DLPackArray):
    """The same by the versioned protocol, which can say that memory is read-only."""

    READ_ONLY = 1

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
        if max_version is None or max_version[0] < 1:
            if not self.items.flags.writeable:
                raise BufferError("read-only, which only DLPack 1.0 can say")
            return super().__dlpack__(stream)
        tensor, keep = self._tensor()
        flags = 0 if self.items.flags.writeable else self.READ_ONLY
        managed = _Versioned(1, 0, None, ctypes.cast(_delete, ctypes.c_void_p), flags, tensor)
        return self._capsule(managed, b"dltensor_versioned", keep)


class CudaArray:
    """Host memory behind the CUDA array interface: for libraries that take any address, it is as good as a device's."""

    def __init__(self, items: np.ndarray, **changes: Any) -> None:
        self.items, self.changes = items, changes

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        items = self.items
        description = {
            "shape": items.shape,
            "typestr": items.dtype.str,
            "data": (items.ctypes.data, not items.flags.writeable),
            "strides": None if items.flags.c_contiguous else items.strides,
            "version": 3,
        }
        return {**description, **self.changes}


# --- the kinds -----------------------------------------------------------------------------------------------------

_CTYPES: dict[str, Any] = {
    "?": ctypes.c_bool,
    "b": ctypes.c_byte,
    "B": ctypes.c_ubyte,
    "h": ctypes.c_short,
    "H": ctypes.c_ushort,
    "i": ctypes.c_int,
    "I": ctypes.c_uint,
    "l": ctypes.c_long,
    "L": ctypes.c_ulong,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
    "g": ctypes.c_longdouble,
}


def _numpy_over(memory: Any, code: str) -> np.ndarray:
    return np.frombuffer(memory, code)


def _memoryview_over(memory: Any, code: str) -> memoryview:
    return memoryview(memory).cast("B").cast(code)  # type: ignore[call-overload, no-any-return]


def _ctypes_over(memory: Any, code: str) -> Any:
    count = memoryview(memory).nbytes // np.dtype(code).itemsize
    return (_CTYPES[code] * count).from_buffer(memory)


def _size(code: str, count: int) -> int:
    return count * np.dtype(code).itemsize


KINDS = {
    kind.name: kind
    for kind in [
        Kind("bytearray", "B", lambda _, count: bytearray(count)),
        Kind("mmap", "B", lambda _, count: mmap.mmap(-1, max(count, 1))),
        Kind("array", "bBhHiIlLqQfd", lambda code, count: array.array(code, bytes(_size(code, count)))),
        Kind(
            "memoryview",
            "?bBhHiIlLqQfd",
            lambda code, count: _memoryview_over(bytearray(_size(code, count)), code),
            _memoryview_over,
        ),
        Kind("ctypes", "".join(_CTYPES), lambda code, count: (_CTYPES[code] * count)(), _ctypes_over),
        Kind("numpy", CODES, lambda code, count: np.zeros(count, code), _numpy_over),
        Kind(
            "dlpack",
            "?bBhHilLIfdFD",
            lambda code, count: DLPackArray(np.zeros(count, code)),
            lambda memory, code: DLPackArray(_numpy_over(memory, code)),
        ),
        Kind(
            "dlpack1",
            "?bBhHilLIfdFD",
            lambda code, count: DLPack1Array(np.zeros(count, code)),
            lambda memory, code: DLPack1Array(_numpy_over(memory, code)),
        ),
        Kind(
            "cuda",
            "?bBhHilLIfdFD",
            lambda code, count: CudaArray(np.zeros(count, code)),
            lambda memory, code: CudaArray(_numpy_over(memory, code)),
        ),
    ]
}
