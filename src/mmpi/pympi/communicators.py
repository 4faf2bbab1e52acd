# SPDX-License-Identifier: BSD-3-Clause
"""pyMPI's communicators: sequences of ranks, whose methods move any Python object."""

from __future__ import annotations

import array
import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .. import MPI
from ..life import abort as end_job
from .mapping import Mapping
from .output import Output
from .requests import Request, Status, status_of

Combine = Callable[[Any, Any], Any]


class Communicator(Output, Mapping):
    """Some processes, each with a rank. False if it is null; a list of its ranks; `int` is its C handle."""

    def __init__(self, comm: MPI.Comm, persistent: bool = True) -> None:
        Output.__init__(self)
        Mapping.__init__(self)
        self.comm: Any = comm
        self.persistent = bool(persistent)
        self._lap = MPI.Wtime()

    def __del__(self) -> None:
        if getattr(self, "persistent", True) is False and self.comm and not MPI.Is_finalized():
            self.comm.Free()

    @property
    def rank(self) -> int:
        """The rank of this process."""
        return int(self.comm.Get_rank())

    @property
    def size(self) -> int:
        """The number of processes."""
        return int(self.comm.Get_size())

    procs = size

    def comm_rank(self) -> int:
        """The rank of this process."""
        return self.rank

    def comm_size(self) -> int:
        """The number of processes."""
        return self.size

    def __len__(self) -> int:
        return self.size if self.comm else 0

    def __bool__(self) -> bool:
        return bool(self.comm)

    def __int__(self) -> int:
        return int(self.comm.handle)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __getitem__(self, index: int | slice) -> Any:
        ranks = range(len(self))
        return list(ranks[index]) if isinstance(index, slice) else ranks[index]

    def __repr__(self) -> str:
        return f"<mmpi.pympi.{type(self).__name__} of {self.comm!r}>"

    # --- messages ---------------------------------------------------------------------------------------------

    def send(self, message: Any, destination: int, tag: int = 0) -> None:
        """Send an object."""
        self.comm.send(message, destination, tag)

    def recv(self, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG) -> tuple[Any, Status]:
        """Receive an object; return it and its status."""
        filled = MPI.Status()
        message = self.comm.recv(None, source, tag, filled)
        return message, status_of(filled)

    def sendrecv(
        self, message: Any, destination: int, source: int = MPI.ANY_SOURCE, sendtag: int = 0, recvtag: int = MPI.ANY_TAG
    ) -> tuple[Any, Status]:
        """Send an object and receive another at once; return that and its status."""
        filled = MPI.Status()
        got = self.comm.sendrecv(message, destination, sendtag, None, source, recvtag, filled)
        return got, status_of(filled)

    def isend(self, message: Any, destination: int, tag: int = 0) -> Request:
        """Start to send an object; it must not change until the request is done."""
        return Request(self.comm.isend(message, destination, tag))

    def irecv(self, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG) -> Request:
        """Start to receive an object of any size."""
        return Request(self.comm.irecv(None, source, tag))

    # --- collectives ------------------------------------------------------------------------------------------

    def barrier(self) -> None:
        """Wait until all ranks have come."""
        self.comm.barrier()

    def bcast(self, value: Any = None, root: int = 0) -> Any:
        """The root's value, at all ranks."""
        return self.comm.bcast(value, root)

    def scatter(self, seq: Any, root: int = 0) -> Any:
        """A slice of the root's sequence for each rank, as even as can be; lists, tuples and strings stay what they are."""
        parts = None
        if self.rank == root:
            ends = [len(seq) * i // self.size for i in range(self.size + 1)]
            parts = [seq[a:b] for a, b in itertools.pairwise(ends)]
        return self.comm.scatter(parts, root)

    def gather(self, seq: Any, count: int | None = None, root: int = 0) -> Any:
        """The sequences of all ranks, or their first `count` items, one after the other; None but at the root."""
        parts = self.comm.gather(seq if count is None else seq[:count], root)
        return None if parts is None else _concatenated(parts)

    def allgather(self, seq: Any, count: int | None = None) -> Any:
        """The sequences of all ranks, or their first `count` items, one after the other."""
        return _concatenated(self.comm.allgather(seq if count is None else seq[:count]))

    def reduce(self, message: Any, op: MPI.Op | Combine, root: int = 0, ground: Any = None, type: type | None = None) -> Any:
        """Combine the messages in the order of ranks, after `ground` if given; None but at the root.

        op: an operation of MPI, or any function of two. type: int or float, if all ranks promise it: MPI's own reduction.
        """
        if type is not None:
            result = self._native(message, op, type, root)
        else:
            result = self.comm.reduce(message, op, root)
        return _grounded(op, ground, result) if self.rank == root else None

    def allreduce(self, message: Any, op: MPI.Op | Combine, root: int = 0, ground: Any = None, type: type | None = None) -> Any:
        """As reduce; all ranks get the result."""
        if type is not None:
            result = self._native(message, op, type, None)
        else:
            result = self.comm.allreduce(message, op)
        return _grounded(op, ground, result)

    def scan(self, message: Any, op: MPI.Op | Combine, root: int = 0, ground: Any = None, type: type | None = None) -> Any:
        """Combine the messages of the ranks up to this one."""
        return _grounded(op, ground, self.comm.scan(message, op))

    def _native(self, message: Any, op: Any, kind: type, root: int | None) -> Any:
        if kind not in (int, float):
            raise TypeError(f"type={kind!r}: MPI reduces int or float")
        if not isinstance(op, MPI.Op):
            raise TypeError(f"type={kind.__name__} needs an operation of MPI, not {op!r}")
        code = "q" if kind is int else "d"
        mine, result = array.array(code, [kind(message)]), array.array(code, [0])
        if root is None:
            self.comm.Allreduce(mine, result, op)
        else:
            self.comm.Reduce(mine, result if self.rank == root else None, op, root)
        return result[0]

    # --- other communicators ----------------------------------------------------------------------------------

    def comm_create(self, group: int | Iterable[int]) -> Communicator | None:
        """A communicator of these ranks, or of this one; None for the others. All ranks must call it."""
        whole = self.comm.Get_group()
        part = whole.Incl([group] if isinstance(group, int) else list(group))
        made = self.comm.Create(part)
        part.Free()
        whole.Free()
        return Communicator(made) if made else None

    def comm_dup(self) -> Communicator:
        """A duplicate."""
        return Communicator(self.comm.Dup())

    def comm_split(self, color: int | None, key: int = 0) -> Communicator | None:
        """A communicator for each color, ranks ordered by key; None for the color None."""
        made = self.comm.Split(MPI.UNDEFINED if color is None else color, key)
        return Communicator(made) if made else None

    def cart_create(self, dims: Sequence[int] | None = None, periods: Sequence[int] | None = None, reorder: int = 1) -> Cartesian | None:
        """A grid, by default a ring of all ranks; None for those that have no place on it."""
        shape = list(dims) if dims is not None else [self.size]
        made = self.comm.Create_cart(shape, [True] * len(shape) if periods is None else list(map(bool, periods)), bool(reorder))
        return Cartesian(made) if made else None

    def comm_free(self) -> None:
        """Free the communicator; it is null then."""
        self.comm.Free()

    # --- time, and the end ------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since some time in the past."""
        return MPI.Wtime()

    def tick(self) -> float:
        """Seconds between two ticks of time()."""
        return MPI.Wtick()

    def stopwatch(self) -> float:
        """Seconds since the last stopwatch() of this communicator, at first since it was made."""
        before, self._lap = self._lap, MPI.Wtime()
        return self._lap - before

    def abort(self, code: int = 1) -> None:
        """End all processes of the job with this exit status."""
        end_job(code)


class Cartesian(Communicator):
    """Processes on a grid."""

    @property
    def dims(self) -> tuple[int, ...]:
        """The size of the grid in each dimension."""
        return tuple(self.comm.dims)

    @property
    def ndims(self) -> int:
        """The number of dimensions."""
        return int(self.comm.ndim)

    @property
    def periods(self) -> tuple[int, ...]:
        """Which dimensions wrap around: 1 or 0 for each."""
        return tuple(int(wraps) for wraps in self.comm.periods)

    def coords(self, rank: int | None = None) -> tuple[int, ...]:
        """The coordinates of a rank, by default this one; negative ranks count from the end."""
        which = self.rank if rank is None else rank
        return tuple(self.comm.Get_coords(which + self.size if which < 0 else which))

    def shift(self, direction: int = 0, displacement: int = 1) -> tuple[int, int]:
        """The ranks to receive from and to send to, for a shift along a dimension; MPI's PROC_NULL beyond the edge."""
        source, dest = self.comm.Shift(direction, displacement)
        return source, dest


def _concatenated(parts: list[Any]) -> Any:
    if hasattr(parts[0], "__array_function__"):
        import numpy as np

        return np.concatenate(parts)
    if isinstance(parts[0], str | bytes):
        return parts[0][:0].join(parts)
    if all(isinstance(part, list) for part in parts):
        return [item for part in parts for item in part]
    return functools.reduce(operator.add, parts)


def _grounded(op: Any, ground: Any, result: Any) -> Any:
    return result if ground is None else op(ground, result)
