# SPDX-License-Identifier: BSD-3-Clause
"""How objects that have no code of their own become bytes: `MPI.pickle`, and what stands in for it."""

from __future__ import annotations

import _pickle  # what pickle takes its functions from; pickle itself imports re, which takes a rank longer than all else here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .MPI import buffer

__all__ = ["Pickle", "pickle", "place", "serializer"]


LEAST_BUFFER = 16384  # bytes; smaller buffers stay in the stream, as in the core
HIGHEST_PROTOCOL = _pickle.dumps(None, -1)[1]


def _parameters(dumps: Callable[..., Any]) -> tuple[bool, bool]:
    """Whether a function takes a protocol, and a buffer_callback."""
    if dumps is _pickle.dumps:
        return True, True
    import inspect  # with ast and dis more than every rank should pay for

    try:
        names = inspect.signature(dumps).parameters
    except (TypeError, ValueError):
        return False, False
    return "protocol" in names, "buffer_callback" in names


class Pickle:
    """A pair of functions that turn an object into bytes and back.

    Calling `__init__` again replaces them; without arguments it restores those of Python's pickle. Where `dumps` takes
    a `buffer_callback` and the protocol is 5 or more, large buffers in the object are sent from where they are."""

    def __init__(
        self,
        dumps: Callable[..., Any] | None = None,
        loads: Callable[..., Any] | None = None,
        protocol: int | None = None,
        threshold: int | None = None,
    ) -> None:
        for name, function in ("dumps", dumps), ("loads", loads):
            if function is not None and not callable(function):
                raise TypeError(f"Pickle(dumps, loads, protocol): {name}: {function!r} cannot be called")
        self._dumps: Callable[..., Any] = dumps or _pickle.dumps
        self._loads: Callable[..., Any] = loads or _pickle.loads
        takes_protocol, takes_buffers = _parameters(self._dumps)
        if protocol is None and (self._dumps is _pickle.dumps or (takes_protocol and takes_buffers)):
            protocol = HIGHEST_PROTOCOL
        self._protocol = protocol
        self._source: Any = None  # what this stands for, where it was made of a module or another object
        self.THRESHOLD = threshold
        self._takes_buffers = takes_buffers
        self._choose()

    def _choose(self) -> None:
        protocol = self._protocol
        if isinstance(protocol, int) and protocol < 0:
            protocol = HIGHEST_PROTOCOL
        self._out_of_band = self._takes_buffers and isinstance(protocol, int) and protocol >= 5

    def dumps(self, obj: Any) -> bytes:
        """The object as bytes."""
        data = self._dumps(obj) if self._protocol is None else self._dumps(obj, self._protocol)
        return data if isinstance(data, bytes) else bytes(data)

    def loads(self, data: Any) -> Any:
        """The object that the bytes were made of."""
        return self._loads(data)

    def dumps_oob(self, obj: Any) -> tuple[bytes, list[buffer]]:
        """The object as bytes, by protocol 5 at least, and its buffers of THRESHOLD bytes or more, which stay where they are."""
        if not self._takes_buffers:
            return self.dumps(obj), []
        from .library import load

        kind, buffers = load().buffer, []

        def stays(picked: _pickle.PickleBuffer) -> bool:
            memory = picked.raw()
            if memory.nbytes < self._threshold:
                return True
            buffers.append(kind.frombuffer(memory, memory.readonly))
            return False

        protocol = self._protocol if isinstance(self._protocol, int) and self._protocol >= 0 else HIGHEST_PROTOCOL
        return self._dumps(obj, max(protocol, 5), buffer_callback=stays), buffers

    def loads_oob(self, data: Any, buffers: Any) -> Any:
        """The object that the bytes and buffers were made of."""
        return self._loads(data, buffers=buffers) if buffers else self._loads(data)

    @property
    def PROTOCOL(self) -> int | None:
        """The protocol that `dumps` is asked for; None: its own."""
        return self._protocol

    @PROTOCOL.setter
    def PROTOCOL(self, protocol: int | None) -> None:
        if protocol is None and self._dumps is _pickle.dumps:
            protocol = HIGHEST_PROTOCOL
        self._protocol = protocol
        self._choose()

    @property
    def THRESHOLD(self) -> int:
        """The smallest buffer, in bytes, that `dumps_oob` keeps apart; None sets the default."""
        return self._threshold

    @THRESHOLD.setter
    def THRESHOLD(self, threshold: int | None) -> None:
        self._threshold = LEAST_BUFFER if threshold is None else threshold


pickle = Pickle()


def serializer(with_: Any) -> Pickle | None:
    """What `comm.serializer = with_` means: a Pickle of its dumps and loads, or None for MPI.pickle."""
    if with_ is None or isinstance(with_, Pickle):
        return with_
    dumps, loads = getattr(with_, "dumps", None), getattr(with_, "loads", None)
    if not callable(dumps) or not callable(loads):
        raise TypeError(f"serializer: expected a module or object with dumps and loads, or None, not {with_!r}")
    made = Pickle(dumps, loads)
    made._source = with_
    return made


def place(received: Any, buf: Any) -> Any:
    """Copy an array that was received into `buf` and return that; anything but an array is returned as it is."""
    try:
        came, there = memoryview(received), memoryview(buf)
    except (TypeError, ValueError, BufferError):
        if not hasattr(received, "dtype") or not hasattr(buf, "dtype"):
            return received
        return _copy_array(received, buf)
    if hasattr(received, "dtype") and hasattr(buf, "dtype"):
        return _copy_array(received, buf)
    if isinstance(received, (bytes, bytearray)):
        came = came.cast("B")
        there = there.cast("B")
    if (came.format, came.shape) != (there.format, there.shape):
        raise ValueError(
            f"recv(buf): an array of {came.format!r} {came.shape} was received, but buf has {there.format!r} {there.shape}"
        )
    if came.nbytes:
        there.cast("B")[:] = came.cast("B")
    return buf


def _copy_array(received: Any, buf: Any) -> Any:
    if received.dtype != buf.dtype or received.shape != buf.shape:
        raise ValueError(
            f"recv(buf): an array of {received.dtype} {received.shape} was received, but buf has {buf.dtype} {buf.shape}"
        )
    buf[...] = received
    return buf
