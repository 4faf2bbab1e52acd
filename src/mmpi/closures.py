"""C functions made at run time, for user operations beyond those stamped into the core."""

import ctypes
from collections.abc import Callable

_Function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_kept: list[object] = []  # MPI may call them until MPI_Finalize, and frees nothing


def user_function(call: Callable[..., None], slot: int) -> int:
    """The address of an MPI_User_function that calls `call(slot, in, inout, count, datatype)` with addresses."""
    function = _Function(lambda a, b, count, datatype: call(slot, a or 0, b or 0, count, datatype))
    _kept.append(function)
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
