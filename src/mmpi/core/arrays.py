# SPDX-License-Identifier: BSD-3-Clause
"""What is sent, as memory of the type that the call names; what is received, as a new array: of NumPy if it is there."""

from __future__ import annotations

import array
import functools
from typing import Any

from .handles import lib, number, take

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment]

# names in mmpi.MPI, and NumPy's code for an item
_CODES = {
    "CHAR CHARACTER": "S1", "BYTE PACKED UNSIGNED_CHAR UINT8_T": "B", "SIGNED_CHAR INT8_T": "b", "SHORT INT16_T INTEGER2": "h",
    "UNSIGNED_SHORT UINT16_T": "H", "INT INT32_T INTEGER INTEGER4 LOGICAL": "i", "UNSIGNED UINT32_T": "I", "LONG": "l",
    "UNSIGNED_LONG": "L", "LONG_LONG INT64_T INTEGER8 AINT OFFSET COUNT": "q", "UNSIGNED_LONG_LONG UINT64_T": "Q",
    "FLOAT REAL REAL4": "f", "DOUBLE DOUBLE_PRECISION REAL8": "d", "LONG_DOUBLE": "g", "C_BOOL CXX_BOOL": "?",
    "C_FLOAT_COMPLEX COMPLEX COMPLEX8 CXX_FLOAT_COMPLEX": "F", "C_DOUBLE_COMPLEX DOUBLE_COMPLEX COMPLEX16 CXX_DOUBLE_COMPLEX": "D",
    "TWOINT TWOINTEGER": "i,i", "SHORT_INT": "h,i", "LONG_INT": "l,i", "FLOAT_INT": "f,i", "DOUBLE_INT": "d,i",
}  # fmt: skip


@functools.cache
def codes() -> dict[int, str]:
    """The item of each datatype, by handle; derived ones are added with that of the type that they are made of."""
    core = lib()
    found: dict[int, str] = {}
    for names, code in _CODES.items():
        for name in names.split():
            if getattr(core, name, None):
                found.setdefault(getattr(core, name).handle, code)
    return found


def _dtype(code: str) -> Any:
    return np.dtype(code, align=True) if np else None


def converted(buf: Any, code: str) -> Any:
    """The items of `buf`, in memory of this type, one after the other."""
    if isinstance(buf, str):
        buf = buf.encode()
    return _with_numpy(buf, _dtype(code)) if np else _with_array(buf, code)


def _with_numpy(buf: Any, dtype: Any) -> Any:
    if isinstance(buf, bytes | bytearray):
        if len(buf) % dtype.itemsize:
            raise ValueError(f"buf has {len(buf)} bytes, no whole number of items of {dtype.itemsize} bytes ({dtype})")
        return np.frombuffer(buf, dtype)
    if dtype.names and not isinstance(buf, np.ndarray):
        buf = [tuple(item) for item in buf]
        return np.array(buf, dtype)
    items = np.asarray(buf)
    if items.dtype == dtype or not items.size:
        return np.ascontiguousarray(items, dtype).reshape(-1)
    if items.dtype.kind in "SU" and dtype.kind == "S":
        return np.ascontiguousarray(items, dtype).reshape(-1)
    if not np.can_cast(items.dtype, dtype, "same_kind"):
        raise TypeError(f"items of type {items.dtype} cannot be sent as {dtype} without losing something")
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(items.astype(dtype)).reshape(-1)
    if dtype.kind in "iu" and (result != items.reshape(-1)).any():
        raise OverflowError(f"an item does not fit into {dtype}")
    return result


def _with_array(buf: Any, code: str) -> Any:
    known = code if code in array.typecodes else "i" if code == "i,i" else "B"
    if isinstance(buf, array.array) and buf.typecode == known:
        return buf
    result = array.array(known)
    if isinstance(buf, bytes | bytearray | memoryview) or known != code:
        result.frombytes(buf)
    else:
        result.extend(buf if hasattr(buf, "__iter__") else [buf])
    return result


def _memory(data: Any) -> Any:
    return data.view(np.uint8) if np and isinstance(data, np.ndarray) else data


def outgoing(buf: Any, count: Any, datatype: Any) -> list[Any]:
    """What MPI is to send. The core checks that the memory holds what the counts say."""
    kind = take("Datatype", datatype)
    if buf is lib().BOTTOM or buf is lib().IN_PLACE:
        return [buf, count, kind]
    code = codes().get(number(datatype))
    return [_memory(converted(buf, code) if code else buf), count, kind]


def incoming(count: int, datatype: Any, block: Any = None) -> tuple[Any, list[Any]]:
    """A new array for `count` items, and what MPI is to receive into it; `block` in place of count if it has parts."""
    kind = take("Datatype", datatype)
    if count < 0:
        raise ValueError(f"count is {count}, and cannot be negative")
    span = (count - 1) * kind.extent + kind.true_ub if count else 0
    code = codes().get(number(datatype), "B")
    data = empty(code, span)
    return data, [_memory(data), count if block is None else block, kind]


def empty(code: str, span: int) -> Any:
    """An array of zeros that covers `span` bytes."""
    if np:
        dtype = _dtype(code)
        return np.zeros(-(-span // dtype.itemsize), dtype)
    data = array.array(code if code in array.typecodes else "i" if code == "i,i" else "B")
    data.frombytes(bytes(-(-span // data.itemsize) * data.itemsize))
    return data
