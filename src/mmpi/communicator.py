# SPDX-License-Identifier: BSD-3-Clause
"""Communicators as objects that are lists of ranks, as MaroonMPI 1 had them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, overload

from . import library

if TYPE_CHECKING:
    from .MPI import Intracomm


class Communicator:
    """A communicator: `comm` is the one of mmpi.MPI, `len` and slices tell its ranks, `int` is its C handle.

    Made from WORLD by default, from an object of mmpi.MPI, from another Communicator, or from a C handle.
    """

    def __init__(self, comm: Any = None) -> None:
        core: Any = library.load()
        if comm is None:
            comm = core.COMM_WORLD
        elif isinstance(comm, Communicator):
            comm = comm.comm
        elif isinstance(comm, int):
            comm = core.Intracomm.fromhandle(comm)
        if not isinstance(comm, core.Intracomm):
            raise TypeError(f"expected a communicator of mmpi.MPI or its handle, not {comm!r}")
        self.comm: Intracomm = comm

    def rank(self) -> int:
        """The rank of this process."""
        return self.comm.Get_rank()

    def size(self) -> int:
        """The number of processes."""
        return self.comm.Get_size()

    def dup(self) -> Communicator:
        """A duplicate."""
        return Communicator(self.comm.Dup())

    def create(self, ranks: Iterable[int]) -> Communicator | None:
        """A communicator of these ranks, in this order; None for the others. All ranks must call this."""
        group = self.comm.Get_group()
        part = group.Incl(list(ranks))
        try:
            return _or_none(self.comm.Create(part))
        finally:
            part.Free()
            group.Free()

    def split(self, color: int, key: int = 0) -> Communicator | None:
        """A communicator for each color, ranks ordered by key; None for the color UNDEFINED."""
        return _or_none(self.comm.Split(color, key))

    def __len__(self) -> int:
        return self.size()

    def __int__(self) -> int:
        return self.comm.handle

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        ranks = range(self.size())
        return list(ranks[index]) if isinstance(index, slice) else ranks[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Communicator) and int(self) == int(other)

    def __hash__(self) -> int:
        return hash(int(self))

    def __repr__(self) -> str:
        return f"<mmpi.Communicator of {self.comm!r}>"


def _or_none(comm: Any) -> Communicator | None:
    return Communicator(comm) if comm else None
