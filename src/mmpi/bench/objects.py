# SPDX-License-Identifier: BSD-3-Clause
"""Python objects between two ranks: mmpi and mpi4py beside C, in the same processes, library and run.

python -m mmpi.bench.objects [--json FILE] [--repeat N] [--quick] [--only WORDS] [--sweep]

Alone it starts a job of two ranks through `mmpi run`, and then the jobs that need processes of their own.
docs/benchmarks.md says how to read the table.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import math
import os
import pickle
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmpi.bench.measure import Case, Contender, Result, Summary, Timing, compile_c, measure, summarize
from mmpi.bench.overhead import open_faces
from mmpi.bench.report import load_warning, machine, quotient, sized, table, to_json

C, PROBED, OURS, TYPED, THEIRS, UPPER = NAMES = "C", "C Mprobe", "mmpi", "mmpi typed", "mpi4py", "mpi4py typed"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RANKS = 2
LIMIT = 300  # seconds for a job
MODULE = "mmpi.bench.objects"
Make = Callable[[int], Any]  # the object number i: whoever receives it can tell who sent it
Expected = Callable[[], list[Any]]
Read = Callable[[Any], list[Any]]


# --- targets -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """A ratio of two contenders' times, or of their extra times above the fastest C, and its target if it has one."""

    name: str
    above: str  # numerator
    below: str
    extra: bool = False
    limit: float | None = None
    at_least: bool = False

    def judge(self, row: str, result: Result) -> Outcome:
        """What came out; nothing where the contender to compare with is not there."""
        if self.below not in result.timings:
            return Outcome(row, self.name, None, None, self.limit, self.at_least)
        base = min({C, PROBED} & set(result.timings), key=lambda name: result.time(name).median) if self.extra else None
        value, spread = result.ratio(self.above, self.below, base)
        goal = self.name.format(base)
        if math.isnan(value):
            return Outcome(row, goal, None, None, self.limit, self.at_least, f"{self.below} is as fast as {base}")
        return Outcome(row, goal, value, spread, self.limit, self.at_least)


@dataclass(frozen=True)
class Outcome:
    """A value beside its target."""

    row: str
    goal: str
    value: float | None
    spread: float | None
    target: float | None
    at_least: bool = False
    note: str = ""

    @property
    def summary(self) -> Summary | None:
        """Value and spread."""
        return None if self.value is None else Summary(self.value, self.spread or 0.0)

    @property
    def verdict(self) -> str:
        """OK or MISSED, where there is something to compare."""
        if self.value is None or self.target is None:
            return self.note
        return "OK" if (self.value >= self.target if self.at_least else self.value <= self.target) else "MISSED"

    def words(self) -> list[str]:
        """Goal, value, target and verdict for a table."""
        value = quotient(self.summary) if self.summary else "-"
        target = "" if self.target is None else f"{'>=' if self.at_least else '<='} {self.target:g}"
        return [self.goal, value, target, self.verdict]


def of_extra(limit: float) -> Goal:
    """Our time above C's, beside theirs."""
    return Goal("over {}, of mpi4py's", OURS, THEIRS, True, limit)


def of_theirs(limit: float) -> Goal:
    """Our time beside theirs."""
    return Goal("of mpi4py", OURS, THEIRS, limit=limit)


def of_upper(limit: float) -> Goal:
    """Our time beside that of their typed call."""
    return Goal("of mpi4py typed", OURS, UPPER, limit=limit)


def of_c(limit: float | None) -> Goal:
    """Our time beside C's."""
    return Goal("of C", OURS, C, limit=limit)


BANDWIDTH = Goal("of C's bandwidth", C, OURS, limit=0.9, at_least=True)
FLOOR = Goal("C alone, of mpi4py", C, THEIRS)
OF_TYPED = Goal("of mmpi typed", OURS, TYPED)


# --- what is measured ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row of the table. `build` makes its case on this rank when its turn comes: the objects may be large."""

    name: str
    goals: tuple[Goal, ...]
    build: Callable[[Kit, str], Case]
    most_rounds: int = sys.maxsize
    again: bool = False  # see MALLOC


class Arguments(ctypes.Structure):
    """`struct arguments` of objects.c."""

    data: Any
    result: Any
    bytes: Any
    rank: Any
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("result", ctypes.c_void_p),
        ("bytes", ctypes.c_long),
        ("rank", ctypes.c_int),
    )


class Kit:
    """What every case needs: NumPy, this rank, the C functions, and the modules that move objects."""

    def __init__(self, faces: dict[str, Any]) -> None:
        self.numpy: Any = import_module("numpy")
        self.comms = {name: mpi.COMM_WORLD for name, mpi in faces.items()}
        self.comm: Any = next(iter(self.comms.values()))
        self.rank: int = self.comm.Get_rank()
        self.library = compile_c(Path(__file__).with_suffix(".c"))

    def array(self, size: int, number: int) -> Any:
        """An array of float64 of `size` bytes that differs from those with other numbers in every item."""
        return self.numpy.arange(number, size // 8 + number, dtype=self.numpy.float64)


class Answers:
    """What the contenders of a case receive: kept and compared in the trial run, dropped while the time is taken.

    Dropping at once is what the C loop does with its memory, and a place to keep it would be part of the time.
    """

    def __init__(self, expected: Expected) -> None:
        self.expected = expected
        self.kept: list[Any] = []
        self.trial = False

    def prepare(self) -> None:
        """The next batch is a trial."""
        self.kept.clear()
        self.trial = True

    def verify(self) -> bool:
        """The trial is over: was it right?"""
        kept, self.kept[:], self.trial = [*self.kept], [], False
        return same(kept, self.expected())

    def keep(self, item: Any) -> None:
        """What a function does with what it receives."""
        if self.trial:
            self.kept.append(item)

    def python(self, name: str, statement: str, **names: Any) -> Contender:
        """A statement in which `keep(x)` marks what is received."""
        trial = Contender.python(name, statement, keep=self.kept.append, **names)
        timed = Contender.python(name, statement.replace("keep(", "("), **names)
        return Contender(name, lambda n: (trial if self.trial else timed).run(n), timed.empty)

    def c(self, kit: Kit, function: str, data: Any, item: int, result: Any, read: Read, name: str = C) -> Contender:
        """A function of objects.c that sends items of so many bytes of `data`; `read` finds the answers in its result.

        `result` is memory, or a number of bytes: then it is there in the trial only, and what comes is dropped later.
        """
        source = kit.numpy.frombuffer(data, kit.numpy.uint8)
        fixed = None if isinstance(result, int) else result
        arguments = Arguments(source.ctypes.data, None if fixed is None else fixed.ctypes.data, item, kit.rank)
        loop = Contender.c(name, kit.library, function, ctypes.byref(arguments))

        def run(n: int, held: Any = source) -> None:
            if not self.trial:
                loop.run(n)
                return
            memory = kit.numpy.zeros(result, kit.numpy.uint8) if fixed is None else fixed
            arguments.result = memory.ctypes.data
            loop.run(n)
            self.kept.extend(read(memory))
            if fixed is None:
                arguments.result = None

        return Contender(name, run, loop.empty)

    def case(self, name: str, contenders: Sequence[Contender]) -> Case:
        """The case of these contenders."""
        return Case(name, contenders, self.prepare, self.verify)


def same(got: Any, wanted: Any) -> bool:
    """Equal, of the same type, and if it is an array writable and of the same dtype and shape."""
    if type(got) is not type(wanted):
        return False
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    if hasattr(wanted, "dtype"):
        alike = got.dtype == wanted.dtype and got.shape == wanted.shape and got.flags.writeable
        return bool(alike and (got == wanted).all())
    return bool(got == wanted)


PING_PONG = ("comm.send(x, 1); keep(comm.recv(source=1))", "keep(comm.recv(source=0)); comm.send(x, 0)")


def exchange(make: Make) -> Callable[[Kit, str], Case]:
    """A small object there and one back, beside C with as many bytes as the pickle has."""

    def build(kit: Kit, name: str) -> Case:
        answers = Answers(lambda: [make(1 - kit.rank)])
        data = pickle.dumps(make(kit.rank))
        memory = kit.numpy.zeros(len(data), kit.numpy.uint8)
        ways = {C: "exchange", PROBED: "exchange_probed"}
        floor = [
            answers.c(kit, f, data, len(data), memory, lambda got: [pickle.loads(got)], n) for n, f in ways.items()
        ]
        ours = [answers.python(n, PING_PONG[kit.rank], comm=c, x=make(kit.rank)) for n, c in kit.comms.items()]
        return answers.case(name, [*floor, *ours])

    return build


TYPED_PING_PONG = (
    "comm.Send(x, 1); b = empty_like(x); comm.Recv(b, 1); keep(b); del b",
    "b = empty_like(x); comm.Recv(b, 0); keep(b); del b; comm.Send(x, 0)",
)


def exchange_array(size: int, listed: bool = False, typed: bool = False) -> Callable[[Kit, str], Case]:
    """An array there and one back (in a list, if so wanted), beside C that receives into memory from malloc()."""

    def build(kit: Kit, name: str) -> Case:
        wrap: Callable[[Any], Any] = (lambda array: [array]) if listed else (lambda array: array)
        answers = Answers(lambda: [wrap(kit.array(size, 1 - kit.rank))])
        mine = kit.array(size, kit.rank)
        contenders = [answers.c(kit, "exchange_fresh", mine, size, size, lambda got: [wrap(got.view(mine.dtype))])]
        if typed:
            names = {"comm": kit.comm, "x": mine, "empty_like": kit.numpy.empty_like}
            contenders.append(answers.python(TYPED, TYPED_PING_PONG[kit.rank], **names))
        contenders += [answers.python(n, PING_PONG[kit.rank], comm=c, x=wrap(mine)) for n, c in kit.comms.items()]
        return answers.case(name, contenders)

    return build


@dataclass(frozen=True)
class Collective:
    """A collective method on two ranks. `statements` are those of rank 0 and 1; with a root, it is each of them once."""

    statements: tuple[str, str]
    sends: int  # items
    answers: Callable[[int, list[Any]], list[Any]]  # of this rank, from the items it gets of rank 0 and 1


COLLECTIVES = {
    "bcast": Collective(
        ("keep(comm.bcast(x, 0)); keep(comm.bcast(None, 1))", "keep(comm.bcast(None, 0)); keep(comm.bcast(x, 1))"),
        1,
        lambda rank, items: items,
    ),
    "gather": Collective(
        ("keep(comm.gather(x, 0)); keep(comm.gather(x, 1))",) * 2,
        1,
        lambda rank, items: [items, None] if rank == 0 else [None, items],
    ),
    "scatter": Collective(
        (
            "keep(comm.scatter(x, 0)); keep(comm.scatter(None, 1))",
            "keep(comm.scatter(None, 0)); keep(comm.scatter(x, 1))",
        ),
        2,
        lambda rank, items: items,
    ),
    "allgather": Collective(("keep(comm.allgather(x))",) * 2, 1, lambda rank, items: [items]),
    "alltoall": Collective(("keep(comm.alltoall(x))",) * 2, 2, lambda rank, items: [items]),
}


def collective(method: str, make: Make) -> Callable[[Kit, str], Case]:
    """A collective of small objects, beside C's with as many bytes as their pickles have."""
    which = COLLECTIVES[method]

    def build(kit: Kit, name: str) -> Case:
        numbers = [rank * which.sends + (kit.rank if which.sends > 1 else 0) for rank in range(RANKS)]
        answers = Answers(lambda: which.answers(kit.rank, [make(number) for number in numbers]))
        mine = [make(kit.rank * which.sends + i) for i in range(which.sends)]
        pickles = [pickle.dumps(item) for item in mine]
        size = len(pickles[0])
        memory = kit.numpy.zeros((RANKS, size), kit.numpy.uint8)
        if method == "bcast":
            memory[kit.rank] = kit.numpy.frombuffer(pickles[0], kit.numpy.uint8)

        def read(got: Any) -> list[Any]:
            return which.answers(kit.rank, [pickle.loads(part) for part in got])

        c = answers.c(kit, method, b"".join(pickles), size, memory, read)
        x, statement = mine if which.sends > 1 else mine[0], which.statements[kit.rank]
        return answers.case(name, [c, *(answers.python(n, statement, comm=comm, x=x) for n, comm in kit.comms.items())])

    return build


def allreduce(make: Make) -> Callable[[Kit, str], Case]:
    """A sum of numbers, beside C's of a double."""

    def build(kit: Kit, name: str) -> Case:
        total = make(0) + make(1)
        answers = Answers(lambda: [total])
        data, memory = kit.numpy.array([float(make(kit.rank))]), kit.numpy.zeros(1)
        c = answers.c(kit, "allreduce", data, data.nbytes, memory, lambda got: [type(total)(got[0])])
        ours = [answers.python(n, "keep(comm.allreduce(x))", comm=c, x=make(kit.rank)) for n, c in kit.comms.items()]
        return answers.case(name, [c, *ours])

    return build


EMPTY = "b = empty_like(x); "
TYPED_COLLECTIVES = {  # the upper-case calls; what is allocated is dropped before the next call, as in the lower-case ones
    "bcast": (
        f"comm.Bcast(x, 0); keep(x); {EMPTY}comm.Bcast(b, 1); keep(b); del b",
        f"{EMPTY}comm.Bcast(b, 0); keep(b); del b; comm.Bcast(x, 1); keep(x)",
    ),
    "allgather": ("b = empty((2, x.size)); comm.Allgather(x, b); keep(list(b)); del b",) * 2,
    "allreduce": (f"{EMPTY}comm.Allreduce(x, b); keep(b); del b",) * 2,
}


def collective_array(method: str, size: int) -> Callable[[Kit, str], Case]:
    """A collective of arrays, beside mpi4py's typed call into a result that it allocates."""

    def build(kit: Kit, name: str) -> Case:
        def expected() -> list[Any]:
            items = [kit.array(size, rank) for rank in range(RANKS)]
            return [items[0] + items[1]] if method == "allreduce" else COLLECTIVES[method].answers(kit.rank, items)

        statement = COLLECTIVES[method].statements[kit.rank] if method in COLLECTIVES else "keep(comm.allreduce(x))"
        answers, mine = Answers(expected), kit.array(size, kit.rank)
        contenders = [answers.python(name, statement, comm=comm, x=mine) for name, comm in kit.comms.items()]
        if THEIRS in kit.comms:
            names = {"empty": kit.numpy.empty, "empty_like": kit.numpy.empty_like}
            contenders.append(
                answers.python(UPPER, TYPED_COLLECTIVES[method][kit.rank], comm=kit.comms[THEIRS], x=mine, **names)
            )
        return answers.case(name, contenders)

    return build


def rows(quick: bool) -> list[Row]:
    """The table: sizes up to 1 MiB only, if it is to be quick."""
    small: dict[str, Make] = {
        "7": lambda number: 7 + number,
        '"abc"': lambda number: "abcd"[number : number + 3] if number < 2 else "xyz",
        '(1, 2.5, "x")': lambda number: (1, 2.5 + number, "x"),
        "None": lambda number: None,
    }
    some: dict[str, Make] = {
        "7": small["7"],
        "dict of 10": dict_of_10,
        "str of 100": lambda number: "abcd"[number] * 100,
    }
    table = [Row(f"send/recv {text}", (of_extra(0.5),), exchange(make)) for text, make in small.items()]
    table.append(Row("send/recv dict of 10", (of_theirs(0.8),), exchange(dict_of_10)))
    limits = {8: 0.15, 64 * KIB: 0.5, MIB: 0.2, 16 * MIB: 0.2, 256 * MIB: 0.2}
    limits = {size: limit for size, limit in limits.items() if size <= MIB or not quick}
    for size, limit in limits.items():
        goals = (of_theirs(limit), *([BANDWIDTH] if size >= MIB else []), *([FLOOR] if size >= 64 * KIB else []))
        rounds = 7 if size > 16 * MIB else sys.maxsize
        table.append(Row(f"send/recv array {sized(size)}", goals, exchange_array(size), rounds))
    for method in COLLECTIVES:
        limit = 0.35 if method.startswith("all") else 0.45
        table += [Row(f"{method} {text}", (of_theirs(limit),), collective(method, make)) for text, make in some.items()]
    goals = (of_theirs(0.15), of_c(4))
    table.append(Row("allreduce float", goals, allreduce(lambda number: 2.5 + number)))
    table.append(Row("allreduce int", goals, allreduce(lambda number: 7 + number)))
    size, goals = MIB if quick else 16 * MIB, (of_theirs(0.3), of_upper(1.2))
    table += [
        Row(f"{method} array {sized(size)}", goals, collective_array(method, size)) for method in TYPED_COLLECTIVES
    ]
    goals = (Goal("of mpi4py", OURS, THEIRS), Goal("of C's bandwidth", C, OURS), FLOOR)
    return table + [
        Row(f"send/recv array {sized(size)}{AGAIN}", goals, exchange_array(size), again=True)
        for size in limits
        if MIB <= size < MOST_KEPT
    ]


def dict_of_10(number: int) -> dict[str, int]:
    """Ten items, of which one says which dict it is."""
    return {"number": number, **{f"key{i}": i for i in range(9)}}


def sweep(quick: bool) -> list[Row]:
    """For tuning: arrays by powers of two and around thresholds, alone and in a list; strings in collectives."""
    around = {threshold + step for threshold in (16 * KIB, 128 * KIB) for step in (-KIB, KIB)}
    sizes = sorted({KIB << i for i in range(11 if quick else 13)} | around)
    goals = (OF_TYPED, of_c(None))
    table = [Row(f"array {sized(size)}", goals, exchange_array(size, typed=True)) for size in sizes]
    table += [Row(f"list with array {sized(size)}", (of_c(None),), exchange_array(size, listed=True)) for size in sizes]
    for method in ("bcast", "allgather", "alltoall"):
        for size in (64, 128, 192, 224, 240, 256, 288, 512, KIB, 4 * KIB, 16 * KIB, 64 * KIB):
            table.append(Row(f"{method} str of {size}", (of_c(None),), collective(method, string_of(size))))
    kept = [size for size in sizes if size >= 64 * KIB]
    return table + [Row(f"array {sized(s)}{AGAIN}", goals, exchange_array(s, typed=True), again=True) for s in kept]


def string_of(size: int) -> Make:
    """Strings of so many letters."""
    return lambda number: "abcd"[number] * size


# --- on two ranks --------------------------------------------------------------------------------------------------

AGAIN = ", memory kept"
MOST_KEPT = 32 * MIB  # more glibc does not take as a threshold of mmap()
# Does memory of large objects go back to the system when they are freed, so that the next ones get fresh pages, or is it
# kept? Left alone, glibc does both, by what was freed before: an array would cost more or less by what ran earlier.
# Told in the environment: in ranks of a running job mallopt() changed nothing.
MALLOC = {
    False: {"MALLOC_MMAP_THRESHOLD_": str(128 * KIB), "MALLOC_TRIM_THRESHOLD_": str(64 * MIB)},
    True: {"MALLOC_MMAP_THRESHOLD_": str(MOST_KEPT), "MALLOC_TRIM_THRESHOLD_": str(GIB)},
}


def compare(options: argparse.Namespace, faces: dict[str, Any]) -> int:
    """All ranks: measure and judge; rank 0 prints. The status is 0 unless the job has a wrong size."""
    kit = Kit(faces)
    if (size := kit.comm.Get_size()) != RANKS:
        if kit.rank == 0:
            say(f"{MODULE}: needs {RANKS} ranks, this job has {size}: mmpi run -n {RANKS} -m {MODULE}")
        kit.comm.Barrier()
        return 2
    described = machine()
    if kit.rank == 0 and (warning := load_warning(described, RANKS)):
        say(warning)
    results, outcomes = [], []
    wanted = [row for row in chosen(options) if row.again == options.kept]
    for i, row in enumerate(wanted, 1):
        if kit.rank == 0:
            say(f"{i}/{len(wanted)} {row.name}")
        repeat = min(options.repeat, row.most_rounds)
        result = measure(row.build(kit, row.name), repeat=repeat, batch_seconds=options.batch, comm=kit.comm)
        results.append(result)
        outcomes.append([goal.judge(row.name, result) for goal in row.goals])
    if kit.rank == 0:
        print(f"{described['mpi']}, {described['python']}, {described['processor']}, {RANKS} ranks; medians in us")
        print(report(results, outcomes), flush=True)
        if options.json:
            judged = [as_json(outcome) for group in outcomes for outcome in group]
            options.json.write_text(to_json(results, described, rows=judged) + "\n")
    return 0


def say(line: str) -> None:
    """Something for people, beside the table."""
    print(line, file=sys.stderr, flush=True)


def report(results: Sequence[Result], outcomes: Sequence[Sequence[Outcome]]) -> str:
    """The table: the times of each row, and a line for each of its goals; then which goals were missed or noisy."""
    names = [name for name in NAMES if any(name in result.timings for result in results)]
    lines = [["row", *names, "goal", "value", "target", ""]]
    for result, group in zip(results, outcomes, strict=True):
        times = [microseconds(result.time(name)) if name in result.timings else "" for name in names]
        for i, outcome in enumerate(group):
            lines.append([*([""] * (1 + len(names)) if i else [result.case, *times]), *outcome.words()])
    return f"{table(lines)}\n{conclusion([outcome for group in outcomes for outcome in group])}".rstrip()


def microseconds(time: Summary) -> str:
    """A time in us, with as many digits as mean something."""
    return f"{time.median / 1e3:.{2 if time.median < 1e5 else 0}f}"


def conclusion(outcomes: Sequence[Outcome]) -> str:
    """How many goals were met, which were not, and which rows are too noisy to be trusted."""
    judged = [outcome for outcome in outcomes if outcome.verdict in ("OK", "MISSED")]
    missed = [f"{outcome.row} ({outcome.goal})" for outcome in judged if outcome.verdict == "MISSED"]
    noisy = dict.fromkeys(outcome.row for outcome in outcomes if outcome.summary and outcome.summary.noisy)
    lines = [f"{len(judged) - len(missed)} of {len(judged)} targets met"] if judged else []
    return "\n".join(lines + [f"{word}: {'; '.join(x)}" for word, x in (("MISSED", missed), ("noisy", noisy)) if x])


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome for a file; no NaN, which is not JSON."""
    facts = {**asdict(outcome), "verdict": outcome.verdict}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in facts.items()
    }


# --- in jobs of their own ------------------------------------------------------------------------------------------

MEMORY, CROWDED = "memory of send/recv array 1 GiB", "allreduce float on 4 ranks"
NEEDED = 8 * GIB
MANY = 4  # ranks; the target holds where there are fewer cores


def memory() -> tuple[list[Outcome], dict[str, list[float]]]:
    """What sending and receiving an array of 1 GiB takes at most, the array included; outcomes and samples."""
    goals = {"sender, GiB over base": 1.01, "receiver, GiB over base": 1.05}
    there = proc("meminfo", "MemAvailable")
    if there < NEEDED:
        note = f"skipped: {there / GIB:.1f} GiB are free, {NEEDED // GIB} are needed"
        return [Outcome(MEMORY, goal, None, None, limit, note=note) for goal, limit in goals.items()], {}
    used = output_of([*MMPI_RUN, "-n", str(RANKS), "-c", f"from {MODULE} import memory_job; memory_job()"])
    pairs = zip(goals.items(), used, strict=True)
    return [Outcome(MEMORY, goal, value, 0.0, limit) for (goal, limit), value in pairs], {"GiB of rank 0 and 1": used}


def memory_job() -> None:
    """Both ranks of that job; rank 0 prints what each has used."""
    numpy: Any = import_module("numpy")
    comm = import_module("mmpi.MPI").COMM_WORLD
    sender = comm.Get_rank() == 0
    for count in (4 * MIB // 8, GIB // 8):  # what is set up once, by the first, belongs to the base
        reset_peak()
        base = proc("self/status", "VmHWM")
        if sender:
            array = numpy.ones(count)
            comm.send(array, 1)
        else:
            array = comm.recv(source=0)
        used = numpy.array([(proc("self/status", "VmHWM") - base) / GIB])
        if array.size != count or array.sum() != count:
            raise ValueError("the array did not arrive as it was sent")
        del array
    both = numpy.zeros(RANKS)
    comm.Allgather(used, both)
    if sender:
        print(json.dumps(both.tolist()))


def proc(file: str, name: str) -> int:
    """A line of /proc that holds kilobytes, in bytes."""
    lines = Path("/proc", file).read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith(f"{name}:"))


def reset_peak() -> None:
    """Let VmHWM begin anew, where that is allowed; elsewhere it counts from what was the most before."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def crowded() -> tuple[list[Outcome], dict[str, list[float]]]:
    """A sum over more ranks than cores, in jobs that the library's own mpiexec starts, with no setting of ours."""
    from mmpi.launch import plans

    plan = plans.plan(["-c", f"from {MODULE} import crowded_job; crowded_job()"], MANY)
    goal = "times as fast as mpi4py"
    if not find_spec(THEIRS):
        return [Outcome(CROWDED, goal, None, None, 30, True, "skipped: needs mpi4py")], {}
    hydra = plan.launcher == "hydra"
    options = [] if hydra else ["--map-by", ":OVERSUBSCRIBE", *(["--allow-run-as-root"] if os.getuid() == 0 else [])]
    command = [plan.mpiexec, *options, "-n", str(MANY), *plan.parts[0].argv]
    samples: dict[str, list[float]] = {OURS: [], THEIRS: []}
    for _ in range(3):  # how the ranks share the cores is often decided once for a job
        ours, theirs = output_of(command, MMPI_LIBMPI=plan.choice.path)
        samples[OURS] += ours
        samples[THEIRS] += theirs
    ratio = Result(CROWDED, {name: Timing(1, times) for name, times in samples.items()}).ratio(THEIRS, OURS)
    times = ", ".join(f"{name} {microseconds(summarize(times))} us" for name, times in samples.items())
    say(f"{CROWDED}: {times}")
    limit = 30.0 if hydra and plan.crowded else None
    return [Outcome(CROWDED, goal, ratio.median, ratio.spread, limit, True)], samples


def crowded_job() -> None:
    """Each rank of such a job; rank 0 prints the nanoseconds of a call of either, one of each in every round."""
    faces = open_faces()
    answers = Answers(lambda: [2.5 * MANY])
    comms = {name: mpi.COMM_WORLD for name, mpi in faces.items()}
    contenders = [answers.python(n, "keep(comm.allreduce(2.5))", comm=comm) for n, comm in comms.items()]
    result = measure(answers.case(CROWDED, contenders), repeat=7, batch_seconds=0.02, comm=comms[OURS])
    if comms[OURS].Get_rank() == 0:
        print(json.dumps([timing.samples for timing in result.timings.values()]))


JOBS = {MEMORY: memory, CROWDED: crowded}
MMPI_RUN = [sys.executable, "-m", "mmpi", "run"]


def output_of(command: list[str], **environment: str) -> Any:
    """The numbers that a job prints last."""
    done = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, **environment}, text=True, timeout=LIMIT)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed with status {done.returncode}:\n{done.stdout}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def alone(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """One process: run the job of two ranks with the same arguments, then the other jobs, and put all together."""
    data: dict[str, Any] = {"format": 1, "machine": machine(), "cases": [], "rows": []}
    for kept, environment in MALLOC.items():
        if not [row for row in chosen(options) if row.again == kept]:
            continue
        with tempfile.TemporaryDirectory(prefix="mmpi-bench-") as folder:
            file = Path(folder, "objects.json")
            more = ["--json", str(file), *(["--kept"] if kept else [])]
            command = [*MMPI_RUN, "-n", str(RANKS), "-m", MODULE, *arguments, *more]
            if status := subprocess.run(command, env={**os.environ, **environment}).returncode:
                return status
            found = json.loads(file.read_text())
        data = {**found, "cases": data["cases"] + found["cases"], "rows": data["rows"] + found["rows"]}
    outcomes = []
    for name, run in chosen_jobs(options).items():
        say(name)
        found, data[name] = run()
        outcomes += found
        data["rows"] += map(as_json, found)
    if outcomes:
        lines = [[outcome.row, *outcome.words()] for outcome in outcomes]
        print(f"\n{table([['in jobs of their own', 'goal', 'value', 'target', ''], *lines])}\n{conclusion(outcomes)}")
        print("messages and collectives used: counted by tests/test_objects_counts.py")
    if options.json:
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0


# --- command line --------------------------------------------------------------------------------------------------


def chosen(options: argparse.Namespace) -> list[Row]:
    """The rows wanted in the job of two ranks."""
    return [row for row in (sweep if options.sweep else rows)(options.quick) if wanted(row.name, options)]


def chosen_jobs(options: argparse.Namespace) -> dict[str, Callable[[], tuple[list[Outcome], dict[str, list[float]]]]]:
    """The rows wanted in jobs of their own."""
    return {} if options.quick or options.sweep else {n: run for n, run in JOBS.items() if wanted(n, options)}


def wanted(name: str, options: argparse.Namespace) -> bool:
    """Is the row one of those that --only asks for?"""
    return not options.only or any(word.strip() in name for word in options.only.split(","))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples, outcomes and the machine to FILE")
    parser.add_argument(
        "--repeat", metavar="N", type=int, default=31, help="rounds per row (default 31; 7 of the largest)"
    )
    parser.add_argument("--quick", action="store_true", help="3 short rounds, up to 1 MiB: does it run, roughly")
    parser.add_argument("--only", metavar="WORDS", help="only rows in whose name one of these is, separated by commas")
    parser.add_argument("--sweep", action="store_true", help="instead of the table: many sizes, beside C, for tuning")
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)  # only the rows in which memory is kept
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, not {options.repeat}")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no folder {options.json.parent}")
    options.repeat, options.batch = (min(3, options.repeat), 5e-4) if options.quick else (options.repeat, 5e-3)
    if not chosen(options) and not chosen_jobs(options):
        names = [*(row.name for row in (sweep if options.sweep else rows)(options.quick)), *JOBS]
        parser.error(f"--only {options.only}: no row has such a name; there are {'; '.join(names)}")
    return options


def main(arguments: Sequence[str] | None = None, faces: dict[str, Any] | None = None) -> int:
    """Measure and print; the status is 0 unless something did not run or gave a wrong answer (then it raises)."""
    words = sys.argv[1:] if arguments is None else arguments
    options = parse(words)
    if not find_spec("numpy"):
        raise SystemExit(f"{MODULE}: needs NumPy: pip install numpy")
    if faces or is_rank():
        return compare(options, faces or open_faces())
    return alone(options, words)


def is_rank() -> bool:
    """Did a launcher start this process?"""
    from mmpi.world import RANKS as VARIABLES

    return any(name in os.environ for name in VARIABLES)


if __name__ == "__main__":
    sys.exit(main())
