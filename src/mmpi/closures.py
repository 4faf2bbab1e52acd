"""C functions for user operations: those made at run time, beyond those stamped into the core, and those that users bring."""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

_Function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_kept: list[object] = []  # MPI may call them until MPI_Finalize, and frees nothing


def user_function(call: Callable[..., None], slot: int) -> int:
    """The address of an MPI_User_function that calls `call(slot, in, inout, count, datatype)` with addresses."""
    function = _Function(lambda a, b, count, datatype: call(slot, a or 0, b or 0, count, datatype))
    _kept.append(function)
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address


def address_of(function: Any) -> int | None:
    """The address of a C function: given as such, or an object of ctypes, cffi or Numba; None for one of Python."""
    if isinstance(function, int):
        return function if function >= 4096 else None  # nothing lies in the first page
    if isinstance(function, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        return ctypes.cast(function, ctypes.c_void_p).value
    backend = sys.modules.get("_cffi_backend")
    if backend and isinstance(function, backend._CDataBase):
        return int(backend.cast(backend.new_primitive_type("uintptr_t"), function))
    address = getattr(function, "address", None) if type(function).__module__.partition(".")[0] == "numba" else None
    return address if isinstance(address, int) else None
