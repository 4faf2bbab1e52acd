# SPDX-License-Identifier: BSD-3-Clause
"""Objects whose methods can be called on other ranks: `obj.__remote__[0].method(argument)`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from .. import MPI


class RemoteObject:
    """A mix-in class: all ranks make such an object, and each may call the methods of the others'.

    Calls return at once, without a result; a thread of each receiving rank makes them, in the order in which a caller sent them.
    comm: whose ranks; tag: of the messages, on a communicator of the object's own; receive: whether this rank takes calls.
    """

    def __init__(self, comm: Any = None, tag: int = 99, receive: bool = True) -> None:
        from . import WORLD

        if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
            raise MPI.Exception("RemoteObject needs threads: mmpi.rc.thread_level must stay 'multiple'")
        self.__comm = (WORLD if comm is None else comm).comm.Dup()
        self.__tag = tag
        if receive:
            threading.Thread(target=_serve, args=(self, self.__comm, tag), name="mmpi remote calls", daemon=True).start()

    @property
    def __remote__(self) -> _Ranks:
        return _Ranks(self.__comm, self.__tag)


class _Ranks:
    """The ranks of a remote object; an index, slice or list of them picks those to call."""

    def __init__(self, comm: Any, tag: int) -> None:
        self._comm, self._tag = comm, tag

    def __getitem__(self, which: int | slice | Iterable[int]) -> _Those:
        ranks = range(self._comm.Get_size())
        if isinstance(which, int):
            return _Those(self._comm, self._tag, [ranks[which]])
        return _Those(self._comm, self._tag, ranks[which] if isinstance(which, slice) else [ranks[i] for i in which])


class _Those:
    def __init__(self, comm: Any, tag: int, ranks: Iterable[int]) -> None:
        self._comm, self._tag, self._ranks = comm, tag, ranks

    def __getattr__(self, method: str) -> Callable[..., None]:
        def call(*args: Any, **kwargs: Any) -> None:
            for rank in self._ranks:
                self._comm.send((method, args, kwargs), rank, self._tag)

        return call


def _serve(target: RemoteObject, comm: Any, tag: int) -> None:
    """Make the calls that come; an exception in one is that of the thread, and so ends the job."""
    while True:
        method, args, kwargs = comm.recv(None, MPI.ANY_SOURCE, tag)
        try:
            getattr(target, method)(*args, **kwargs)
        except Exception:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
