# SPDX-License-Identifier: BSD-3-Clause
"""The MPI side of the suite: C, mmpi and mpi4py in one job, with the same library, communicator and buffers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from mmpi.bench.cases import MIB
from mmpi.bench.measure import Case, Contender, compile_c
from mmpi.bench.objects import Answers
from mmpi.bench.overhead import open_faces
from mmpi.bench.programs import program_cases
from mmpi.bench.things import array, make

C, TYPED, OBJECTS = "C", "typed", "objects"
Statements = str | tuple[str, str]  # for all ranks, or for 0 and 1


class Arguments(ctypes.Structure):
    """`struct arguments` of messages.c."""

    _fields_ = (
        ("send", ctypes.c_void_p),
        ("receive", ctypes.c_void_p),
        ("count", ctypes.c_int),
        ("rank", ctypes.c_int),
        ("size", ctypes.c_int),
        ("window", ctypes.c_int),
        ("handle", ctypes.c_ssize_t),
    )


class Side:
    """A rank of the job: builds the cases that the driver asks for, and lines up with the others."""

    def __init__(self) -> None:
        faces = open_faces()
        self.numpy: Any = import_module("numpy")
        self.faces = faces
        self.comms = {name: mpi.COMM_WORLD for name, mpi in faces.items()}
        self.comm = next(iter(self.comms.values()))
        self.rank, self.size = int(self.comm.Get_rank()), int(self.comm.Get_size())
        self.library = compile_c(Path(__file__).with_suffix(".c"))
        self.open: list[Any] = []  # windows and files of the case
        self.things: dict[str, Any] = {f"{name} objects": comm for name, comm in self.comms.items()}
        if "mpi4py" in faces:
            self.things["mpi4py pkl5"] = import_module("mpi4py.util.pkl5").Intracomm(self.comms["mpi4py"])

    def line_up(self) -> None:
        """Wait for the other ranks."""
        self.comm.Barrier()

    def build(self, name: str, *arguments: Any) -> list[Case]:
        """The cases of this side; none, if it has no contender."""
        return BUILDERS[name](self, *arguments) if name in BUILDERS else []

    def close(self) -> None:
        """The case is over."""
        while self.open:
            item = self.open.pop()
            (item.Free if hasattr(item, "Free") else item.Close)()


class Buffers:
    """What typed calls and C send and receive; `expected` is what arrives, row by row, None if nothing does."""

    def __init__(self, side: Side, send: Any, rows: int, expected: Any = None, own: int | None = None) -> None:
        self.a, self.expected, self.own = send, expected, own
        self.b = side.numpy.zeros((rows, *(send.shape if expected is None else expected.shape[1:])), send.dtype)

    def spoil(self) -> None:
        """Make the receive buffer differ from any right answer; the row that is ours to send stays."""
        self.b[...] = 0
        if self.own is not None:
            self.b[self.own] = self.a

    def right(self) -> bool:
        """Did it arrive?"""
        return self.expected is None or bool((self.b == self.expected).all())


def typed(side: Side, function: str, statements: Statements, buffers: Buffers, count: int, window: int = 1, **more: Any) -> Case:
    """C and the typed calls of mmpi and mpi4py. `more` are further names, a dict by face where each has its own; `handle` C's."""
    handle = more.pop("handle", 0)
    arguments = Arguments(buffers.a.ctypes.data, buffers.b.ctypes.data, count, side.rank, side.size, window, handle)
    contenders = [Contender.c(C, side.library, function, ctypes.byref(arguments))]
    for face, mpi in side.faces.items():
        own = {name: value[face] if isinstance(value, dict) else value for name, value in more.items()}
        names = {"comm": side.comms[face], "a": buffers.a, "b": buffers.b, "rows": list(buffers.b), "peer": 1 - side.rank}
        names |= {"wait": mpi.Request.Waitall, "ack": side.numpy.zeros(1, "u1"), **own}
        contenders.append(Contender.python(f"{face} {TYPED}", mine(side, statements), **names))
    return Case(function, contenders, buffers.spoil, buffers.right)


def objects(side: Side, name: str, statements: Statements, thing: Any, expected: list[Any], rows: int = 1) -> Case:
    """The calls of mmpi and mpi4py that send objects; what `keep` takes is compared with what is expected."""
    answers = Answers(lambda: expected)
    names = {"x": thing, "peer": 1 - side.rank, "rows": range(rows), "ranks": range(side.size)}
    made = [answers.python(n, mine(side, statements), comm=comm, **names) for n, comm in side.things.items()]
    return answers.case(name, made)


def mine(side: Side, statements: Statements) -> str:
    """This rank's statement."""
    return statements if isinstance(statements, str) else statements[min(side.rank, 1)]


# --- between two ranks ---------------------------------------------------------------------------------------------

PING_PONG = {
    TYPED: ("comm.Send(a, 1); comm.Recv(b, 1)", "comm.Recv(b, 0); comm.Send(a, 0)"),
    OBJECTS: ("comm.send(x, 1); keep(comm.recv(source=1))", "keep(comm.recv(source=0)); comm.send(x, 0)"),
}
BOTH_WAYS = {TYPED: "comm.Sendrecv(a, peer, 0, b, peer, 0)", OBJECTS: "keep(comm.sendrecv(x, peer, 0, None, peer, 0))"}
WINDOW = {
    TYPED: (
        "wait([comm.Isend(a, 1) for _ in rows]); comm.Recv(ack, 1, 1)",
        "wait([comm.Irecv(row, 0) for row in rows]); comm.Send(ack, 0, 1)",
    ),
    OBJECTS: (
        "for r in [comm.isend(x, 1) for _ in rows]: r.wait()\ncomm.recv(source=1, tag=1)",
        "for _ in rows: keep(comm.recv(source=0, tag=0))\ncomm.send(None, 0, 1)",
    ),
}


def exchange(function: str, statements: dict[str, Any]) -> Callable[[Side, int], list[Case]]:
    """An array to the other rank and its own back."""

    def build(side: Side, count: int) -> list[Case]:
        a, other = array(side.rank, count), array(1 - side.rank, count)
        buffers = Buffers(side, a, 1, other[None])
        return [
            typed(side, function, statements[TYPED], buffers, count),
            objects(side, function, statements[OBJECTS], a, [other]),
        ]

    return build


def window(side: Side, count: int, many: int) -> list[Case]:
    """Many messages under way from rank 0 to rank 1, then a word back."""
    a = array(0, count)
    expected = side.numpy.stack([a] * many) if side.rank else None
    buffers = Buffers(side, a, many, expected)
    return [
        typed(side, "window", WINDOW[TYPED], buffers, count, many),
        objects(side, "window", WINDOW[OBJECTS], a, [a] * many if side.rank else [], many),
    ]


def thing(side: Side, name: str) -> list[Case]:
    """An object there and one back."""
    return [objects(side, name, PING_PONG[OBJECTS], make(name, side.rank), [make(name, 1 - side.rank)])]


def stream(side: Side) -> list[Case]:
    """Strings of 256 bytes one way, as in the table of the documentation of `processing`: plain sends, one after the other."""
    send, receive = "for _ in rows: comm.send(x, 1)\ncomm.recv(source=1, tag=1)", WINDOW[OBJECTS][1]
    text = make("string of 256", 0)
    return [objects(side, "stream", (send, receive), text, [text] * 256 if side.rank else [], 256)]


# --- collectives -----------------------------------------------------------------------------------------------------


def barrier(side: Side, count: int) -> list[Case]:
    """Nothing but waiting for each other."""
    buffers = Buffers(side, array(0, 0), 1)
    return [typed(side, "barrier", "comm.Barrier()", buffers, 0), objects(side, "barrier", "comm.barrier()", None, [])]


def bcast(side: Side, count: int) -> list[Case]:
    """Once from each rank."""
    parts = [array(rank, count) for rank in range(side.size)]
    buffers = Buffers(side, parts[side.rank], side.size, side.numpy.stack(parts), own=side.rank)
    one_way = "for root, row in roots: comm.Bcast(row, root)"
    return [
        typed(side, "bcast", one_way, buffers, count, roots=list(enumerate(buffers.b))),
        objects(side, "bcast", "for root in ranks: keep(comm.bcast(x, root))", parts[side.rank], parts),
    ]


def allreduce(side: Side, count: int) -> list[Case]:
    """The sum of arrays of doubles."""
    a = side.numpy.full(count // 8, side.rank + 1.0)
    total = side.numpy.full(count // 8, side.size * (side.size + 1) / 2)
    buffers = Buffers(side, a, 1, total[None])
    return [
        typed(side, "allreduce", "comm.Allreduce(a, b)", buffers, count),
        objects(side, "allreduce", "keep(comm.allreduce(x))", a, [total]),
    ]


def allgather(side: Side, count: int) -> list[Case]:
    """Everyone gets what everyone has."""
    parts = [array(rank, count) for rank in range(side.size)]
    buffers = Buffers(side, parts[side.rank], side.size, side.numpy.stack(parts))
    return [
        typed(side, "allgather", "comm.Allgather(a, b)", buffers, count),
        objects(side, "allgather", "keep(comm.allgather(x))", parts[side.rank], [parts]),
    ]


def alltoall(side: Side, count: int) -> list[Case]:
    """A part of its own from each to each."""
    send = [array(side.rank * side.size + to, count) for to in range(side.size)]
    received = [array(source * side.size + side.rank, count) for source in range(side.size)]
    buffers = Buffers(side, side.numpy.stack(send), side.size, side.numpy.stack(received))
    return [
        typed(side, "alltoall", "comm.Alltoall(a, b)", buffers, count),
        objects(side, "alltoall", "keep(comm.alltoall(x))", send, [received]),
    ]


# --- overlap, memory of others, files --------------------------------------------------------------------------------

START, WAIT = "r = [comm.Irecv(b, peer), comm.Isend(a, peer)]", "wait(r)"
OVERLAP = {
    "1 MiB each way": f"{START}; {WAIT}",
    "computing": "compute(v, out)",
    "1 MiB each way while computing": f"{START}; compute(v, out); {WAIT}",
}


def overlap(side: Side, name: str) -> list[Case]:
    """What of the communication goes on while NumPy computes; no C, whose computing would be another."""
    buffers = Buffers(side, array(side.rank, MIB), 1, array(1 - side.rank, MIB)[None] if "each way" in name else None)
    v = side.numpy.linspace(0, 1, 1 << 15)
    names = {"compute": side.numpy.sin, "v": v, "out": side.numpy.empty_like(v)}
    case = typed(side, "both_ways", OVERLAP[name], buffers, MIB, **names)
    return [Case(name, [contender for contender in case.contenders if contender.name != C], case.prepare, case.verify)]


ONESIDED = {
    "put": "win.Put(a, 1); win.Flush(1)",
    "get": "win.Get(b, 1); win.Flush(1)",
    "count": "win.Fetch_and_op(a, b, 1); win.Flush(1)",
}


def onesided(side: Side, verb: str, count: int) -> list[Case]:
    """Rank 0 in rank 1's memory; rank 1 waits in a barrier, so that libraries whose targets must help find it in MPI."""
    dtype = "i8" if verb == "count" else "u1"
    memory = {face: array(1, count).view(dtype) * (verb == "get") for face in side.faces}
    windows = {face: mpi.Win.Create(memory[face], comm=side.comms[face]) for face, mpi in side.faces.items()}
    side.open += windows.values()
    side.open += [_Locked(win) for win in windows.values()]
    a = side.numpy.ones(1, dtype) if verb == "count" else array(0, count)
    got = side.rank == 0 and verb == "get"
    buffers = Buffers(side, a, 1, array(1, count)[None] if got else None)
    first = next(iter(windows.values()))
    statements = (ONESIDED[verb], "pass")
    case = typed(side, verb, statements, buffers, count, win=windows, handle=first.handle)
    where = {C: next(iter(memory)), **{f"{face} {TYPED}": face for face in memory}}

    def made(contender: Contender) -> Case:
        target = memory[where[contender.name]]

        def prepare() -> None:
            buffers.spoil()
            if verb != "get":
                target[:] = 0
            side.line_up()

        def verify() -> bool:
            side.line_up()
            return buffers.right() and (verb == "get" or side.rank == 0 or bool((target == a).all()))

        return Case(verb, [contender], prepare, verify)

    return [made(contender) for contender in case.contenders]


class _Locked:
    """A window that is locked for all as long as the case lasts."""

    def __init__(self, win: Any) -> None:
        self.win = win
        win.Lock_all()

    def Close(self) -> None:
        self.win.Unlock_all()


def parallel_io(side: Side, verb: str, count: int) -> list[Case]:
    """One file, a part of each rank, collectively, in the folder for temporary files."""
    path = os.path.join(side.comm.bcast(os.environ.get("TMPDIR", "/tmp")), f"mmpi-bench-{side.comm.bcast(os.getpid())}")
    first = next(iter(side.faces.values()))
    mode = first.MODE_CREATE | first.MODE_RDWR | first.MODE_DELETE_ON_CLOSE
    a, place = array(side.rank, count), side.rank * count
    files = {}
    for face, mpi in side.faces.items():
        files[face] = mpi.File.Open(side.comms[face], f"{path}-{face}", mode)
        files[face].Write_at_all(place, array(side.rank + 7 * (verb == "write"), count))
    side.open += files.values()
    buffers = Buffers(side, a, 1, a[None] if verb == "read" else None)
    statement = "file.Read_at_all(place, b)" if verb == "read" else "file.Write_at_all(place, a)"
    handle = next(iter(files.values())).handle
    case = typed(side, verb, statement, buffers, count, file=files, place=place, handle=handle)

    def made(contender: Contender) -> Case:
        file = files[contender.name.split()[0]] if contender.name != C else next(iter(files.values()))

        def verify() -> bool:
            found = buffers.b if verb == "read" else side.numpy.zeros((1, count), "u1")
            if verb == "write":
                file.Read_at_all(place, found)
            return bool((found == a).all())

        return Case(verb, [contender], buffers.spoil, verify)

    return [made(contender) for contender in case.contenders]


def program(side: Side, name: str, quick: bool) -> list[Case]:
    """A whole program, as mmpi's and mpi4py's users write it: with arrays, and with objects."""
    forms = ("typed", "objects")
    ways = [(f"{face} {form}", form, (mpi,)) for face, mpi in side.faces.items() for form in forms]
    return program_cases(name, quick, ways, leader=side.rank == 0)


BUILDERS: dict[str, Callable[..., list[Case]]] = {
    "ping_pong": exchange("ping_pong", PING_PONG),
    "both_ways": exchange("both_ways", BOTH_WAYS),
    "window": window, "thing": thing, "stream": stream, "barrier": barrier, "bcast": bcast, "allreduce": allreduce,
    "allgather": allgather, "alltoall": alltoall, "overlap": overlap, "onesided": onesided, "parallel_io": parallel_io, "program": program,
}  # fmt: skip
