# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of devices: what the core asks of their producers, by DLPack and the CUDA array interface.

Where the MPI library does not take the memory of a device, an array travels through a copy on the host, which is made,
and brought back, by means of its producer.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

CPU = 1


class _OnHost:
    """What `numpy.from_dlpack` wants of an array: a capsule, and that it is on the host."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU, 0


def capsule_of(array: Any, _access: int) -> Any:
    """The capsule of an array, in the newest form that its producer knows; nobody waits for the device's work."""
    device, number = array.__dlpack_device__() if hasattr(array, "__dlpack_device__") else (CPU, 0)
    options = {} if device == CPU else {"stream": -1}
    if not isinstance(device, int) or not isinstance(number, int):
        raise TypeError(f"__dlpack_device__: expected two integers, not {(device, number)!r}")
    try:
        return array.__dlpack__(max_version=(1, 0), copy=False, **options)
    except TypeError:  # a producer from before DLPack 1.0
        return array.__dlpack__(**options)


def cuda_array(array: Any, writes: bool) -> tuple[int, int, int, str, str]:
    """(address, bytes, bytes of an item, its type code or "", the typestr) of an array with the CUDA array interface."""
    interface = array.__cuda_array_interface__
    (address, read_only), typestr, shape = interface["data"], interface["typestr"], interface["shape"]
    strides, descr = interface.get("strides"), interface.get("descr")
    size = int(typestr[2:])
    count = 1
    for n in shape:
        if n < 0:
            raise BufferError(f"__cuda_array_interface__: the shape {shape} is negative")
        count *= n
    if interface.get("mask") is not None:
        raise BufferError("__cuda_array_interface__: an array with a mask cannot be communicated")
    if strides is not None and not in_one_piece(shape, strides, size):
        raise BufferError("__cuda_array_interface__: the array is not contiguous in memory")
    if writes and read_only:
        raise BufferError("__cuda_array_interface__: the array is read-only, and MPI would write into it")
    if descr is not None and (len(descr) != 1 or descr[0] != ("", typestr)):
        warnings.warn("__cuda_array_interface__: only the typestr is looked at, not 'descr'", RuntimeWarning, stacklevel=1)
    native = typestr[0] == "|" or typestr[0] == {"little": "<", "big": ">"}[sys.byteorder]
    return address or 0, count * size, size, typestr[1:] if native else "", typestr


def in_one_piece(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> bool:
    """Do the items lie one after another, in C or Fortran order?"""
    if len(strides) != len(shape):
        raise ValueError(f"__cuda_array_interface__: the shape {shape} has other dimensions than the strides {strides}")
    for dims in zip(shape, strides, strict=True), reversed(list(zip(shape, strides, strict=True))):
        distance, fits = size, True
        for n, stride in dims:
            fits = fits and (n <= 1 or stride == distance)
            distance *= n
        if fits or not distance:
            return True
    return False


def to_host(array: Any, device: int) -> Any:
    """A copy on the host, as a NumPy array."""
    import numpy

    if isinstance(array, numpy.ndarray):  # the host's already, but in an order that the library cannot take
        return array.copy(order="C")
    if hasattr(array, "__dlpack__"):
        try:
            return numpy.from_dlpack(_OnHost(array.__dlpack__(max_version=(1, 0), dl_device=(CPU, 0), copy=True)))
        except (TypeError, BufferError, NotImplementedError):  # its producer knows no copies
            pass
    for method in ("get", "copy_to_host", "cpu"):  # CuPy, Numba, PyTorch
        if hasattr(array, method):
            return numpy.asarray(getattr(array, method)())
    raise BufferError(
        f"the memory of the array is on a device (DLPack type {device}), which this MPI library cannot reach, and its producer "
        f"{type(array).__module__} offers no copy on the host: make one"
    )


def from_host(pairs: list[tuple[Any, Any]]) -> None:
    """Bring copies back into their arrays."""
    for array, copy in pairs:
        if hasattr(array, "set"):  # CuPy
            array.set(copy)
        elif hasattr(array, "copy_to_device"):  # Numba
            array.copy_to_device(copy)
        elif hasattr(array, "copy_"):  # PyTorch
            array.copy_(sys.modules["torch"].from_numpy(copy))
        else:
            array[...] = copy
