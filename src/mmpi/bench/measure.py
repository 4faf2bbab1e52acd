# SPDX-License-Identifier: BSD-3-Clause
"""Measure contenders side by side: C and Python in one process, one MPI job, by turns.

A contender does n iterations of a thing. A case is what several contenders do alike. `measure()` checks the answer
of each, finds how many iterations fill a batch of 2 ms, and then runs rounds: in each round one batch of every
contender, and the same number of turns of its empty loop, which is subtracted. What disturbs the machine for a while
hits all contenders of a round, so ratios are taken within rounds. docs/benchmarks.md says how to read the numbers.
"""

from __future__ import annotations

import array
import ctypes
import gc
import itertools
import math
import os
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

Batch = Callable[[int], object]
Clock = Callable[[], int]
MOST_ITERATIONS = 10**9
NOISY = 0.1  # a spread above this part of the median is marked in tables


class Comm(Protocol):
    """What measuring on several ranks needs of a communicator: mmpi's and mpi4py's have it."""

    def Get_rank(self) -> int: ...
    def Get_size(self) -> int: ...
    def Barrier(self) -> None: ...
    def Bcast(self, buf: Any, root: int = 0) -> None: ...
    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None: ...


class WrongAnswerError(Exception):
    """A contender computed something else than its case asks for."""


@dataclass(frozen=True)
class Contender:
    """One way of doing a case: `run(n)` does it n times, `empty(n)` turns the same loop n times around nothing."""

    name: str
    run: Batch
    empty: Batch | None = None

    @classmethod
    def python(cls, name: str, statement: str, **names: object) -> Contender:
        """A Python statement; `names` are its variables, all of them local ones of the loop."""
        return cls(name, _loop(statement, names), _loop("pass", {}))

    @classmethod
    def c(cls, name: str, library: ctypes.CDLL, function: str, *arguments: object) -> Contender:
        """`int function(long n, arguments...)` of a library made by compile_c(); it returns the first MPI error."""
        loop, empty = library[function], library["mmpi_bench_empty"]

        def run(n: int) -> None:
            if error := loop(ctypes.c_long(n), *arguments):
                raise RuntimeError(f"C function {function} returned MPI error {error}")

        return cls(name, run, lambda n: empty(ctypes.c_long(n)))


@dataclass(frozen=True)
class Case:
    """What the contenders do alike. `prepare` spoils the result buffers, `verify` looks for the answer in them."""

    name: str
    contenders: Sequence[Contender]
    prepare: Callable[[], object] | None = None
    verify: Callable[[], bool] | None = None


class Summary(NamedTuple):
    """Median and spread (median absolute deviation) of some samples."""

    median: float
    spread: float

    @property
    def noisy(self) -> bool:
        """Is the spread more than a tenth of the median?"""
        return not self.spread <= NOISY * abs(self.median)


@dataclass(frozen=True)
class Timing:
    """Nanoseconds per iteration of one contender, one sample a round."""

    iterations: int
    samples: list[float]

    @property
    def summary(self) -> Summary:
        """Median and spread of the samples."""
        return summarize(self.samples)


@dataclass(frozen=True)
class Result:
    """The timings of a case, by contender, in the case's order. What is measured may be bytes, too."""

    case: str
    timings: dict[str, Timing]
    unit: str = "ns"

    def time(self, name: str) -> Summary:
        """Nanoseconds per iteration."""
        return self._timing(name).summary

    def extra(self, name: str, base: str) -> Summary:
        """Nanoseconds per iteration above those of the contender `base`, round by round."""
        return summarize(self._above(name, base))

    def ratio(self, name: str, other: str, above: str | None = None) -> Summary:
        """Time of `name` / time of `other`, round by round; with `above`, of their extra times over that contender."""
        pairs = zip(self._above(name, above), self._above(other, above), strict=True)
        quotients = [a / b for a, b in pairs if b > 0]
        return summarize(quotients) if quotients else Summary(math.nan, math.nan)

    def _timing(self, name: str) -> Timing:
        if name not in self.timings:
            raise ValueError(f"case {self.case!r} has no contender {name!r}: it has {', '.join(self.timings)}")
        return self.timings[name]

    def _above(self, name: str, base: str | None) -> list[float]:
        samples = self._timing(name).samples
        return [a - b for a, b in zip(samples, self._timing(base).samples, strict=True)] if base else samples


def summarize(samples: Sequence[float]) -> Summary:
    """Median and median absolute deviation."""
    median = statistics.median(samples)
    return Summary(median, statistics.median(abs(sample - median) for sample in samples))


def measure(
    case: Case,
    *,
    repeat: int = 51,
    batch_seconds: float = 2e-3,
    comm: Comm | None = None,
    clock: Clock = time.perf_counter_ns,
    single: bool = False,
) -> Result:
    """Run `repeat` rounds of a case. With `comm`, all its ranks call this alike, with contenders of the same names:
    rank 0 decides the batch sizes, each batch starts after a barrier, and a sample is the time of the slowest rank.
    With `single` a batch is one iteration: for what takes long by itself, as a whole program does."""
    _check(case, repeat, batch_seconds)
    job = _Job(comm)
    check_answers(case)
    collecting = gc.isenabled()
    gc.disable()
    try:
        sizes = [1 if single else _batch_size(contender, batch_seconds * 1e9, job, clock) for contender in case.contenders]
        samples: list[list[float]] = [[] for _ in sizes]
        for start in range(repeat):  # each round begins with another contender
            for i in (j % len(sizes) for j in range(start, start + len(sizes))):
                samples[i].append(_sample(case.contenders[i], sizes[i], job, clock))
    finally:
        if collecting:
            gc.enable()
    names = [contender.name for contender in case.contenders]
    return Result(case.name, {n: Timing(k, job.slowest(s)) for n, k, s in zip(names, sizes, samples, strict=True)})


def _check(case: Case, repeat: int, batch_seconds: float) -> None:
    names = [contender.name for contender in case.contenders]
    if not names:
        raise ValueError(f"case {case.name!r} has no contenders")
    if len(set(names)) < len(names):
        raise ValueError(f"case {case.name!r}: names of contenders must differ, got {', '.join(names)}")
    if repeat < 1:
        raise ValueError(f"repeat must be at least 1, got {repeat}")
    if not 0 < batch_seconds < math.inf:
        raise ValueError(f"batch_seconds must be a positive number, got {batch_seconds}")


def check_answers(case: Case) -> None:
    """Run each contender once, and look for the answer of the case."""
    for contender in case.contenders:
        if case.prepare:
            case.prepare()
        contender.run(1)
        if case.verify and not case.verify():
            raise WrongAnswerError(f"{case.name}: the answer of {contender.name} is wrong")


def _batch_size(contender: Contender, batch_ns: float, job: _Job, clock: Clock) -> int:
    """Iterations that fill a batch. The shorter of two runs counts: the other may have been interrupted."""
    _elapsed(contender.run, 3, job, clock)  # warm-up
    n = 1
    while True:
        took = min(_elapsed(contender.run, n, job, clock) for _ in range(2))
        growth = 1.2 * batch_ns / took if took > 0 else 10
        wanted = n if took >= batch_ns else math.ceil(n * min(10, max(1.2, growth)))
        wanted = job.agree(min(wanted, MOST_ITERATIONS))
        if wanted == n:
            return n
        n = wanted


def _sample(contender: Contender, n: int, job: _Job, clock: Clock) -> float:
    took = _elapsed(contender.run, n, job, clock)
    return (took - (_elapsed(contender.empty, n, job, clock) if contender.empty else 0)) / n


def _elapsed(batch: Batch, n: int, job: _Job, clock: Clock) -> int:
    job.line_up()
    start = clock()
    batch(n)
    return clock() - start


class _Job:
    """The ranks that measure together; without a communicator, this process alone."""

    def __init__(self, comm: Comm | None) -> None:
        self.comm = comm if comm and comm.Get_size() > 1 else None

    def agree(self, number: int) -> int:
        """Rank 0's number."""
        buffer = array.array("q", [number])
        if self.comm:
            self.comm.Bcast(buffer)
        return buffer[0]

    def line_up(self) -> None:
        if self.comm:
            self.comm.Barrier()

    def slowest(self, samples: list[float]) -> list[float]:
        """For each sample the maximum over all ranks."""
        if not self.comm:
            return samples
        count = len(samples)
        everything = array.array("d", bytes(8 * count * self.comm.Get_size()))
        self.comm.Allgather(array.array("d", samples), everything)
        return [max(everything[i::count]) for i in range(count)]


def _loop(statement: str, names: Mapping[str, object]) -> Batch:
    """A function that runs the statement n times, with the names as local variables (the fastest kind)."""
    lines = "\n        ".join(statement.splitlines())
    parameters = "".join(f", {name}={name}" for name in names)
    source = f"def loop(_n, _repeat=_repeat{parameters}):\n    for _ in _repeat(None, _n):\n        {lines}\n"
    space: dict[str, Any] = {"_repeat": itertools.repeat, **names}
    exec(compile(source, f"<statement {statement!r}>", "exec"), space)
    loop: Batch = space["loop"]
    return loop


# --- C contenders ---

_EMPTY_LOOP = 'void mmpi_bench_empty(long n) { for (long i = 0; i < n; i++) __asm__ volatile("" ::: "memory"); }\n'


def family() -> str:
    """The ABI family of the MPI library loaded in this process: std, mpich or openmpi."""
    process = ctypes.CDLL(None)
    if not hasattr(process, "MPI_Init"):
        raise RuntimeError("no MPI library is loaded with global symbols: initialize mmpi first")
    if hasattr(process, "ompi_mpi_comm_world"):
        return "openmpi"
    major, minor = ctypes.c_int(-1), ctypes.c_int(-1)
    if hasattr(process, "MPI_Abi_get_version"):
        process.MPI_Abi_get_version(ctypes.byref(major), ctypes.byref(minor))
    return "std" if major.value > 0 else "mpich"


def compile_c(source: str | Path) -> ctypes.CDLL:
    """Compile C text, or a file, that includes <mpi.h>, and load it next to the MPI library that this process uses.

    mpi.h is our own: the MPI needs no headers of its own. If MMPI_MPICC is set, that compiler and its mpi.h are used.
    """
    with tempfile.TemporaryDirectory(prefix="mmpi-bench-") as folder:
        return ctypes.CDLL(str(build_c(source, Path(folder, "bench.so"))), mode=os.RTLD_NOW)  # stays mapped when the folder is gone


def build_c(source: str | Path, library: Path, *more: str) -> Path:
    """Make a shared library of C as compile_c says, in a folder of its own, with more flags. RuntimeError with what the compiler says."""
    text, folder = source.read_text() if isinstance(source, Path) else source, library.parent
    file = library.with_suffix(".c")
    file.write_text(f"{_EMPTY_LOOP}#line 1\n{text}")
    site = os.environ.get("MMPI_MPICC")
    compiler = shlex.split(site or os.environ.get("CC") or "cc")
    flags = [] if site else [f"-DMMPI_ABI_{family().upper()}", f"-I{folder}", f"-I{_include()}"]
    Path(folder, "mpi.h").write_text('#include "abi.h"\n')
    command = [*compiler, "-std=gnu99", "-O2", "-fPIC", "-shared", *flags, *more, str(file), "-o", str(library)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise RuntimeError(f"no C compiler: cannot run {compiler[0]} ({error.strerror}); set CC to one") from error
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed with status {done.returncode}:\n{done.stderr}")
    return library


def _include() -> Path:
    """The folder of our MPI declarations: in the installed package, or in the source tree."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "include", package.parent / "core" / "abi"):
        if (folder / "abi.h").is_file():
            return folder
    raise RuntimeError(f"{package / 'include' / 'abi.h'} is missing: install maroonmpi again")
