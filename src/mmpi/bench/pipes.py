# SPDX-License-Identifier: BSD-3-Clause
"""The multiprocessing side of the suite: processes that were forked, with Pipes between all, Queues and SharedMemory."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from multiprocessing import resource_tracker, shared_memory
from typing import Any

from mmpi.bench.cases import MIB
from mmpi.bench.measure import Case, Contender
from mmpi.bench.objects import Answers
from mmpi.bench.programs import program_cases
from mmpi.bench.things import array, make

BYTES, PIPE, QUEUE, SHARED = "Pipe bytes", "Pipe", "Queue", "SharedMemory"
LARGEST = 64 * MIB


class Side:
    """One of the processes. All is made before the fork, as a program would."""

    def __init__(self, size: int) -> None:
        self.numpy: Any = import_module("numpy")
        self.rank, self.size = 0, size
        context = multiprocessing.get_context("fork")
        resource_tracker.ensure_running()  # one for all: it knows who made the memory
        self.ends: list[list[Any]] = [[None] * size for _ in range(size)]
        for i in range(size):
            for j in range(i):
                self.ends[i][j], self.ends[j][i] = context.Pipe()
        self.queues = [context.Queue() for _ in range(size)]
        self.filled = [context.Semaphore(0) for _ in range(2)]
        self.barrier, self.counter = context.Barrier(size), context.Value("q", 0)
        self.blocks = [shared_memory.SharedMemory(create=True, size=LARGEST) for _ in range(2)]
        self.file = tempfile.TemporaryFile()
        self.children: list[Any] = []
        self.context = context

    def fork(self, target: Callable[[Side], object]) -> None:
        """Start the others, which do `target` as this one will."""

        def child(rank: int) -> None:
            self.rank = rank
            target(self)

        for rank in range(1, self.size):
            self.children.append(self.context.Process(target=child, args=(rank,), daemon=True))
            self.children[-1].start()

    def line_up(self) -> None:
        """Wait for the others: everyone tells the first, the first everyone."""
        if self.rank:
            self.ends[self.rank][0].send_bytes(b"")
            self.ends[self.rank][0].recv_bytes()
            return
        for end in self.ends[0][1:]:
            end.recv_bytes()
        for end in self.ends[0][1:]:
            end.send_bytes(b"")

    def shared(self, shape: Sequence[int]) -> Any:
        """Zeros in memory that all processes see."""
        items = int(self.numpy.prod(shape))
        if 8 * items > LARGEST:
            raise ValueError(f"{items} doubles are more than the shared memory has room for")
        whole = self.numpy.ndarray((items,), "f8", self.blocks[0].buf).reshape(shape)
        self.line_up()
        if self.rank == 0:
            whole[...] = 0
        self.line_up()
        return whole

    def build(self, name: str, *arguments: Any) -> list[Case]:
        """The cases of this side; none, if it has no contender."""
        return BUILDERS[name](self, *arguments) if name in BUILDERS else []

    def close(self) -> None:
        """The case is over."""

    def end(self) -> None:
        """The last case is over: wait for the others, and give back the memory."""
        for child in self.children:
            child.join(10)
        if self.rank == 0:
            for block in self.blocks:
                block.unlink()


def statement(side: Side, name: str, texts: str | tuple[str, str], expected: list[Any], **names: Any) -> Case:
    """One contender that keeps what it receives."""
    answers, peer = Answers(lambda: expected), 1 - side.rank
    if peer >= 0:
        more = {"pipe": side.ends[side.rank][peer], "to": side.queues[peer], "mine": side.queues[side.rank]}
        names = more | {"out": side.blocks[side.rank].buf, "come": side.blocks[peer].buf} | names
        names |= {"mine_full": side.filled[side.rank], "its_full": side.filled[peer]}
    text = texts if isinstance(texts, str) else texts[min(side.rank, 1)]
    return answers.case(name, [answers.python(name, text, **names)])


EXCHANGES = {
    BYTES: (
        "pipe.send_bytes(a); pipe.recv_bytes_into(b); keep(b)",
        "pipe.recv_bytes_into(b); keep(b); pipe.send_bytes(a)",
    ),
    PIPE: ("pipe.send(a); keep(pipe.recv())", "keep(pipe.recv()); pipe.send(a)"),
    QUEUE: ("to.put(a); keep(mine.get())", "keep(mine.get()); to.put(a)"),
    SHARED: (
        "out[:n] = a; mine_full.release(); its_full.acquire(); b[:] = come[:n]; keep(b)",
        "its_full.acquire(); b[:] = come[:n]; keep(b); out[:n] = a; mine_full.release()",
    ),
}


def ping_pong(side: Side, count: int) -> list[Case]:
    """An array there and one back."""
    names = {"a": array(side.rank, count), "b": side.numpy.zeros(count, "u1"), "n": count}
    ways = [name for name in EXCHANGES if count or name not in (BYTES, SHARED)]
    return [statement(side, name, EXCHANGES[name], [array(1 - side.rank, count)], **names) for name in ways]


def thing(side: Side, name: str) -> list[Case]:
    """An object there and one back."""
    expected = [make(name, 1 - side.rank)]
    return [statement(side, way, EXCHANGES[way], expected, a=make(name, side.rank)) for way in (PIPE, QUEUE)]


STREAMS = {
    PIPE: ("for _ in rows: pipe.send(a)\npipe.recv()", "for _ in rows: keep(pipe.recv())\npipe.send(None)"),
    QUEUE: ("for _ in rows: to.put(a)\nmine.get()", "for _ in rows: keep(mine.get())\nto.put(None)"),
}


def stream(side: Side, thing: Any = None, many: int = 256) -> list[Case]:
    """Many messages one way, then a word back."""
    a = make("string of 256", 0) if thing is None else thing
    expected = [a] * many if side.rank else []
    return [statement(side, way, texts, expected, a=a, rows=range(many)) for way, texts in STREAMS.items()]


def window(side: Side, count: int, many: int) -> list[Case]:
    """The same of arrays."""
    return stream(side, array(0, count), many)


def barrier(side: Side, count: int) -> list[Case]:
    """multiprocessing's own."""
    return [statement(side, "Barrier", "wait()", [], wait=side.barrier.wait)]


def bcast(side: Side, count: int) -> list[Case]:
    """Once from each process, through a pipe to each other one."""
    parts = [array(rank, count) for rank in range(side.size)]

    def each_root() -> None:
        for root in range(side.size):
            if root == side.rank:
                for end in side.ends[root]:
                    if end:
                        end.send(parts[root])
            else:
                answers.keep(side.ends[side.rank][root].recv())

    answers = Answers(lambda: [part for rank, part in enumerate(parts) if rank != side.rank])
    return [answers.case(PIPE, [Contender.python(PIPE, "f()", f=each_root)])]


def allreduce(side: Side, count: int) -> list[Case]:
    """To the first process through pipes, and the sum back."""
    mine = side.numpy.full(count // 8, side.rank + 1.0)
    answers = Answers(lambda: [side.numpy.full(count // 8, side.size * (side.size + 1) / 2)])

    def add() -> None:
        if side.rank:
            side.ends[side.rank][0].send(mine)
            answers.keep(side.ends[side.rank][0].recv())
            return
        total = mine.copy()
        for end in side.ends[0][1:]:
            total += end.recv()
        for end in side.ends[0][1:]:
            end.send(total)
        answers.keep(total)

    return [answers.case(PIPE, [Contender.python(PIPE, "f()", f=add)])]


def onesided(side: Side, verb: str, count: int) -> list[Case]:
    """Shared memory, and a Value with its lock; the first process alone does something."""
    if verb == "count":
        text = "with value.get_lock():\n    old = value.value\n    value.value = old + 1\nkeep(value is not None)"
        return [statement(side, "Value", (text, "pass"), [] if side.rank else [True], value=side.counter)]
    a, b, there = array(0, count), side.numpy.zeros(count, "u1"), side.numpy.ndarray((count,), "u1", side.blocks[1].buf)
    source, target = (a, there) if verb == "put" else (there, b)
    if side.rank == 0 and verb == "get":
        there[:] = array(1, count)
    text = "target[:] = source" if side.rank == 0 else "pass"
    copy = Contender.python(SHARED, text, target=target, source=source)
    return [Case(SHARED, [copy], lambda: target.fill(0) if side.rank == 0 else None, lambda: side.rank > 0 or (target == source).all())]


def parallel_io(side: Side, verb: str, count: int) -> list[Case]:
    """One file, a part of each process."""
    a, place, number = array(side.rank, count), side.rank * count, side.file.fileno()
    os.pwrite(number, a, place)
    names = {"write": os.pwrite, "read": os.pread, "a": a, "place": place, "file": number, "n": count, "wait": side.barrier.wait}
    text = "keep(write(file, a, place)); wait()" if verb == "write" else "keep(read(file, n, place)); wait()"
    return [statement(side, "os.pwrite" if verb == "write" else "os.pread", text, [count if verb == "write" else bytes(a)], **names)]


def program(side: Side, name: str, quick: bool) -> list[Case]:
    """A whole program of processes that share memory."""
    return program_cases(name, quick, [(SHARED, "processes", (side,))], leader=side.rank == 0)


BUILDERS: dict[str, Callable[..., list[Case]]] = {
    "ping_pong": ping_pong, "thing": thing, "stream": stream, "window": window, "barrier": barrier, "bcast": bcast,
    "allreduce": allreduce, "onesided": onesided, "parallel_io": parallel_io, "program": program,
}  # fmt: skip
