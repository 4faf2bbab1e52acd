# SPDX-License-Identifier: BSD-3-Clause
"""What Python adds to a call of MPI: mmpi and mpi4py beside C, in one process and one run, on one rank.

python -m mmpi.bench.overhead [--json FILE] [--repeat N] [--quick]
"""

from __future__ import annotations

import argparse
import ctypes
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mmpi.bench.measure import Case, Contender, Result, Summary, compile_c, measure
from mmpi.bench.report import load_warning, machine, quotient, table, to_json

COUNT = 8  # bytes, or one double


class Arguments(ctypes.Structure):
    """`struct arguments` of overhead.c."""

    _fields_ = (
        ("send", ctypes.c_void_p),
        ("receive", ctypes.c_void_p),
        ("count", ctypes.c_int),
        ("type", ctypes.c_ssize_t),
        ("op", ctypes.c_ssize_t),
        ("comm", ctypes.c_ssize_t),
    )


@dataclass(frozen=True)
class Call:
    """A call to measure: its name, C function and Python statement; mmpi's extra time may be `target` of mpi4py's."""

    name: str
    function: str
    statement: str
    target: float = math.nan
    receives: bool = False


CALLS = (
    Call("Send to PROC_NULL", "send", "comm.Send(a, nobody)", 0.85),
    Call("Bcast", "bcast", "comm.Bcast(a)", 0.5),
    Call("Allreduce", "allreduce", "comm.Allreduce(a, b, op)", 0.5, True),
    Call("Sendrecv", "sendrecv", "comm.Sendrecv(a, 0, 0, b, 0, 0)", 0.6, True),
    Call("Isend+Recv+Wait", "exchange", "r = comm.Isend(a, 0); comm.Recv(b, 0, 0); r.Wait()", 0.6, True),
)


class Buffers:
    """A send and a receive buffer of one kind, and what C must know of them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "numpy":
            numpy: Any = import_module("numpy")
            self.send: Any = numpy.array([math.pi])
            self.receive: Any = numpy.zeros(1)
            self.count, self.type, self.op = 1, "DOUBLE", "SUM"
        else:
            self.send, self.receive = bytearray(range(1, COUNT + 1)), bytearray(COUNT)
            self.count, self.type, self.op = COUNT, "BYTE", "BOR"
        self.expected = bytes(memoryview(self.send).cast("B"))

    def spoil(self) -> None:
        """Make the receive buffer differ from any right answer."""
        memoryview(self.receive).cast("B")[:] = bytes(COUNT)

    def right(self, receives: bool) -> bool:
        """Is the message unchanged, and if the call receives, arrived?"""
        send, receive = (bytes(memoryview(x).cast("B")) for x in (self.send, self.receive))
        return send == self.expected and receive == (self.expected if receives else bytes(COUNT))

    def arguments(self, mpi: Any) -> Arguments:
        """The same for C."""
        send, receive = (ctypes.addressof(ctypes.c_char.from_buffer(x)) for x in (self.send, self.receive))
        type, op = getattr(mpi, self.type).handle, getattr(mpi, self.op).handle
        return Arguments(send, receive, self.count, type, op, mpi.COMM_SELF.handle)


def build(faces: dict[str, Any], kinds: Sequence[str]) -> list[Case]:
    """The cases: every call with every kind of buffer; the contenders are C and the given mpi4py-like modules."""
    library = compile_c(Path(__file__).with_suffix(".c"))
    first = next(iter(faces.values()))
    return [_case(call, Buffers(kind), library, faces, first) for kind in kinds for call in CALLS]


def _case(call: Call, buffers: Buffers, library: ctypes.CDLL, faces: dict[str, Any], first: Any) -> Case:
    arguments = buffers.arguments(first)
    contenders = [Contender.c("C", library, call.function, ctypes.byref(arguments))]
    for name, mpi in faces.items():
        names = {"comm": mpi.COMM_SELF, "a": buffers.send, "b": buffers.receive}
        names |= {"nobody": mpi.PROC_NULL, "op": getattr(mpi, buffers.op)}
        contenders.append(Contender.python(name, call.statement, **names))
    title = f"{call.name} {buffers.kind}"
    return Case(title, contenders, buffers.spoil, lambda: buffers.right(call.receives))


def floors(faces: dict[str, Any]) -> Case:
    """What cannot be undercut: an empty method of Python itself, and a call that does next to nothing."""
    first = next(iter(faces.values()))
    library = compile_c(Path(__file__).with_suffix(".c"))
    arguments = Arguments(comm=first.COMM_SELF.handle)
    contenders = [
        Contender.c("C", library, "get_rank", ctypes.byref(arguments)),
        Contender.python("Python method", "empty.isascii()", empty=b""),
    ]
    contenders += [Contender.python(n, "comm.Get_rank()", comm=mpi.COMM_SELF) for n, mpi in faces.items()]
    return Case("Get_rank", contenders)


def report(results: Sequence[Result], targets: dict[str, float], ours: str, theirs: str | None) -> str:
    """The table of extra times over C, with the target of each case and whether it is met."""
    rows = [["call", "C ns", f"{ours} +ns", f"{theirs} +ns" if theirs else "-", "ratio", "target", ""]]
    for result in results:
        row = [result.case, _ns(result.time("C")), _ns(result.extra(ours, "C"))]
        if theirs:
            ratio, target = result.ratio(ours, theirs, above="C"), targets[result.case]
            verdict = "OK" if ratio.median <= target else "MISSED"
            row += [_ns(result.extra(theirs, "C")), quotient(ratio), f"{target:.2f}", verdict]
        rows.append(row + [""] * (len(rows[0]) - len(row)))
    return table(rows)


def _ns(summary: Summary) -> str:
    return f"{summary.median:.0f} ± {summary.spread:.0f}"


def open_faces() -> dict[str, Any]:
    """mmpi.MPI, which initializes MPI, and mpi4py's, which joins, if it is installed."""
    faces = {"mmpi": import_module("mmpi.MPI")}
    try:
        import_module("mpi4py").rc.initialize = False
    except ImportError:
        return faces
    return {**faces, "mpi4py": import_module("mpi4py.MPI")}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m mmpi.bench.overhead", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples and the machine to FILE")
    parser.add_argument("--repeat", metavar="N", type=int, default=51, help="rounds per case (default 51)")
    parser.add_argument("--quick", action="store_true", help="9 rounds of short batches: does it run, roughly")
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, not {options.repeat}")
    return options


def main(arguments: Sequence[str] | None = None, faces: dict[str, Any] | None = None) -> int:
    """Measure and print; the status is 0 unless something did not run or gave a wrong answer (then it raises)."""
    options = parse(arguments)
    faces = faces or open_faces()
    ours, theirs = [*faces, None][:2]
    described = machine()
    if warning := load_warning(described):
        print(warning, file=sys.stderr)
    repeat, batch = (min(9, options.repeat), 2e-4) if options.quick else (options.repeat, 2e-3)
    kinds = ["bytearray"] + (["numpy"] if described["packages"]["numpy"] else [])
    # One rank never waits for another, so the thread's processor time is the whole time, without interruptions.
    *results, floor = [
        measure(case, repeat=repeat, batch_seconds=batch, clock=time.thread_time_ns)
        for case in [*build(faces, kinds), floors(faces)]
    ]
    targets = {f"{call.name} {kind}": call.target for call in CALLS for kind in kinds}
    print(f"{described['mpi']}, {described['python']}, {described['processor']}")
    print(report(results, targets, str(ours), theirs))
    print("floors: " + ", ".join(f"{name} {_ns(floor.time(name))} ns" for name in floor.timings) + " (Get_rank)")
    if options.json:
        options.json.write_text(to_json([*results, floor], described, targets=targets) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
