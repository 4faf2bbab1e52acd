# SPDX-License-Identifier: BSD-3-Clause
"""Order among the processes of a communicator: Sequential, Counter, Mutex, Condition, Semaphore.

State lies in windows, and is changed by atomic operations. A process that has to wait does so in a receive, by its wait
policy, until another sends it an empty message; so waiting costs the owner of the window nothing.
"""

from __future__ import annotations

import array
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar

from mmpi import MPI

T = TypeVar("T")

__all__ = ["Condition", "Counter", "Mutex", "Semaphore", "Sequential"]

_NONE = -1
_PASS, _WAKE = 1, 2  # tags: the mutex is yours; the condition was notified


class Sequential:
    """Lets the processes of a communicator do something one after the other, in the order of their ranks.

    with Sequential(comm):
        print(comm.Get_rank())
    """

    def __init__(self, comm: MPI.Intracomm, tag: int = 0) -> None:
        self.comm = comm
        self.tag = int(tag)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def begin(self) -> None:
        """Wait until the process before this one has ended its turn."""
        rank = self.comm.Get_rank()
        if rank > 0:
            self.comm.Recv([None, 0, MPI.BYTE], rank - 1, self.tag)

    def end(self) -> None:
        """Let the next process begin."""
        rank = self.comm.Get_rank()
        if rank + 1 < self.comm.Get_size():
            self.comm.Send([None, 0, MPI.BYTE], rank + 1, self.tag)


class _Words:
    """Numbers at one process, that all may read and change."""

    def __init__(self, values: list[Any], typecode: str, comm: MPI.Intracomm, info: MPI.Info, root: int) -> None:
        self.datatype = MPI.Datatype.fromcode(typecode)
        self.typecode = typecode
        self.root = root
        size = self.datatype.extent
        mine = len(values) * size if comm.Get_rank() == root else 0
        self.win = MPI.Win.Allocate(mine, size, info, comm)
        if mine:
            self.win.Lock(root, MPI.LOCK_EXCLUSIVE)
            memoryview(self.win).cast("B")[:mine] = self._pack(values)
            self.win.Unlock(root)
        comm.Barrier()

    def _pack(self, values: list[Any]) -> memoryview:
        return memoryview(array.array(self.typecode, values)).cast("B")

    def change(self, value: Any, at: int = 0, op: MPI.Op = MPI.SUM) -> Any:
        """Combine the word with a value by an operation; return what it was."""
        mine, old = array.array(self.typecode, [value]), array.array(self.typecode, [0])
        self.win.Lock(self.root, MPI.LOCK_SHARED)
        self.win.Fetch_and_op([mine, self.datatype], [old, self.datatype], self.root, at, op)
        self.win.Unlock(self.root)
        return old[0]

    def get(self, at: int = 0) -> Any:
        """The value of the word."""
        return self.change(0, at, MPI.NO_OP)

    def set(self, value: Any, at: int = 0) -> Any:
        """Replace the word; return what it was."""
        return self.change(value, at, MPI.REPLACE)

    def swap_if(self, expected: Any, value: Any, at: int = 0) -> Any:
        """Replace the word if it has the value expected; return what it was."""
        mine, old = array.array(self.typecode, [value]), array.array(self.typecode, [0])
        wanted = array.array(self.typecode, [expected])
        self.win.Lock(self.root, MPI.LOCK_SHARED)
        self.win.Compare_and_swap([mine, self.datatype], [wanted, self.datatype], [old, self.datatype], self.root, at)
        self.win.Unlock(self.root)
        return old[0]

    def free(self) -> None:
        """Give the window back. Collective."""
        self.win.Free()


class Counter:
    """Numbers that no two processes get: next(counter), or counter.next(increment). Collective to make and to free."""

    def __init__(
        self,
        start: Any = 0,
        step: Any = 1,
        *,
        typecode: str = "i",
        comm: MPI.Intracomm = MPI.COMM_SELF,
        info: MPI.Info = MPI.INFO_NULL,
        root: int = 0,
    ) -> None:
        self._step = step
        self._words: _Words | None = _Words([start], typecode, comm, info, root)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, incr: Any = None) -> Any:
        """The value, which then grows by `incr` (by default the step)."""
        if self._words is None:
            raise RuntimeError("this counter has been freed")
        return self._words.change(self._step if incr is None else incr)

    def free(self) -> None:
        """Give the window back. Collective."""
        if self._words is not None:
            self._words.free()
            self._words = None


class _Acquired(ABC):
    """What `with` acquires and releases."""

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    @abstractmethod
    def acquire(self, blocking: bool = True) -> bool:
        """Get it; wait for it if `blocking`."""

    @abstractmethod
    def release(self) -> None:
        """Give it back."""


class _Communicating(_Acquired):
    """The same with a communicator of its own, until it is freed."""

    _comm: MPI.Intracomm | None

    def _alive(self) -> MPI.Intracomm:
        if self._comm is None:
            raise RuntimeError(f"this {type(self).__name__.lower()} has been freed")
        return self._comm


class Mutex(_Communicating):
    """A lock that one process at a time has, in the order in which they asked for it. Collective to make and to free.

    With `recursive`, who has it may acquire it again.
    """

    def __init__(self, *, recursive: bool = False, comm: MPI.Intracomm = MPI.COMM_SELF, info: MPI.Info = MPI.INFO_NULL) -> None:
        self._recursive = bool(recursive)
        self._count = 0
        self._rank = comm.Get_rank()
        self._comm = comm.Dup()
        # Word 0 is the last process that asked; word 1 + r is who asked after r.
        self._words = _Words([_NONE] * (1 + comm.Get_size()), "i", comm, info, 0)

    def acquire(self, blocking: bool = True) -> bool:
        """Get the lock, wait for it if `blocking`; True if it is ours now. RuntimeError if it was already, and is not recursive."""
        comm = self._alive()
        if self._count and not self._recursive:
            raise RuntimeError("this process has the mutex already")
        if not self._count and not self._get(comm, blocking):
            return False
        self._count += 1
        return True

    def _get(self, comm: MPI.Intracomm, blocking: bool) -> bool:
        if not blocking:
            return bool(self._words.swap_if(_NONE, self._rank) == _NONE)
        before = self._words.set(self._rank)
        if before != _NONE:
            self._words.set(self._rank, 1 + before)
            comm.Recv([None, 0, MPI.BYTE], MPI.ANY_SOURCE, _PASS)
        return True

    def release(self) -> None:
        """Give the lock to the next process that asked. RuntimeError if it is not ours."""
        comm = self._alive()
        if not self._count:
            raise RuntimeError("this process does not have the mutex")
        self._count -= 1
        if self._count or self._words.swap_if(self._rank, _NONE) == self._rank:
            return
        while (after := self._words.set(_NONE, 1 + self._rank)) == _NONE:
            pass  # it has asked, and is about to say who it is
        comm.Send([None, 0, MPI.BYTE], after, _PASS)

    def locked(self) -> bool:
        """Does this process have the lock?"""
        self._alive()
        return self._count > 0

    def count(self) -> int:
        """How many times has this process acquired the lock?"""
        self._alive()
        return self._count

    def free(self) -> None:
        """Release the lock if it is ours, and free the mutex. Collective."""
        if self._comm is None:
            return
        while self._count:
            self.release()
        self._words.free()
        self._comm.Free()
        self._comm = None


class Condition(_Communicating):
    """Lets processes wait until another one notifies them. Collective to make and to free.

    It has a mutex, one given or one of its own, which is to be held when waiting and notifying.
    """

    def __init__(
        self,
        mutex: Mutex | None = None,
        *,
        recursive: bool = True,
        comm: MPI.Intracomm = MPI.COMM_SELF,
        info: MPI.Info = MPI.INFO_NULL,
    ) -> None:
        self._own = mutex is None
        self._mutex = Mutex(recursive=recursive, comm=comm, info=info) if mutex is None else mutex
        comm = self._mutex._alive()
        self._comm = comm.Dup()
        # Under the mutex: word 0 counts who began to wait, word 1 who was notified; the others are a ring of ranks.
        self._words = _Words([0, 0] + [_NONE] * comm.Get_size(), "i", comm, info, 0)

    def _held(self) -> MPI.Intracomm:
        comm = self._alive()
        if not self._mutex.locked():
            raise RuntimeError("this process does not have the mutex of the condition")
        return comm

    def acquire(self, blocking: bool = True) -> bool:
        """Acquire the mutex."""
        self._alive()
        return self._mutex.acquire(blocking)

    def release(self) -> None:
        """Release the mutex."""
        self._alive()
        self._mutex.release()

    def locked(self) -> bool:
        """Does this process have the mutex?"""
        self._alive()
        return self._mutex.locked()

    def wait(self) -> Literal[True]:
        """Release the mutex, wait to be notified, and acquire it again."""
        comm = self._held()
        at = self._words.change(1) % comm.Get_size()
        self._words.set(comm.Get_rank(), 2 + at)
        count = self._mutex.count()
        for _ in range(count):
            self._mutex.release()
        comm.Recv([None, 0, MPI.BYTE], MPI.ANY_SOURCE, _WAKE)
        for _ in range(count):
            self._mutex.acquire()
        return True

    def wait_for(self, predicate: Callable[[], T]) -> T:
        """Wait until the predicate is true; return what it returned."""
        self._held()
        while not (result := predicate()):
            self.wait()
        return result

    def notify(self, n: int = 1) -> int:
        """Wake up to `n` processes that wait, the first first; return how many there were."""
        comm = self._held()
        woken = min(n, int(self._words.get(0) - self._words.get(1)))
        for _ in range(woken):
            at = self._words.change(1, 1) % comm.Get_size()
            comm.Send([None, 0, MPI.BYTE], self._words.get(2 + at), _WAKE)
        return woken

    def notify_all(self) -> int:
        """Wake all processes that wait; return how many there were."""
        return self.notify(self._held().Get_size())

    def free(self) -> None:
        """Free the condition, and the mutex if it is its own, which is released if it is ours. Collective."""
        if self._comm is None:
            return
        while self._mutex._count:
            self._mutex.release()
        if self._own:
            self._mutex.free()
        self._words.free()
        self._comm.Free()
        self._comm = None


class Semaphore(_Acquired):
    """As many processes at a time as its value says. Collective to make and to free.

    A bounded one refuses to be released more often than acquired.
    """

    def __init__(
        self, value: int = 1, *, bounded: bool = True, comm: MPI.Intracomm = MPI.COMM_SELF, info: MPI.Info = MPI.INFO_NULL
    ) -> None:
        if value < 0:
            raise ValueError(f"Semaphore(value): expected 0 or more, not {value}")
        self._bounded = bool(bounded)
        self._initial = int(value)
        self._counter = Counter(self._initial, comm=comm, info=info)
        self._condition = Condition(recursive=False, comm=comm, info=info)

    def acquire(self, blocking: bool = True) -> bool:
        """Take one, wait for it if `blocking`; True if there was one."""
        with self._condition as condition:
            while not self._counter.next(0):
                if not blocking:
                    return False
                condition.wait()
            self._counter.next(-1)
            return True

    def release(self, n: int = 1) -> None:
        """Give back `n`. ValueError if a bounded semaphore would get more than it had."""
        if n < 1:
            raise ValueError(f"release(n): expected at least 1, not {n}")
        with self._condition as condition:
            if self._bounded and self._counter.next(0) + n > self._initial:
                raise ValueError("the semaphore would be released more often than acquired")
            self._counter.next(n)
            condition.notify(n)

    def free(self) -> None:
        """Free the semaphore. Collective."""
        self._counter.free()
        self._condition.free()
