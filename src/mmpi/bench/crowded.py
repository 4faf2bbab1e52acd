# SPDX-License-Identifier: BSD-3-Clause
"""More ranks than cores: whole jobs by turns, mmpi through `mmpi run` beside the same calls in C, and by mpi4py under plain `mpiexec`.

python -m mmpi.bench.crowded [--mpich PYTHON] [--openmpi PYTHON] [--ranks 4,8,16] [--repeat N] [--json FILE]

PYTHON is the interpreter of an environment in which mmpi uses that library; without either, this one is measured. mpi4py is measured
where it is installed, a bare call of Python (no arguments, nothing but MPI) where Python's headers are.
"""

from __future__ import annotations

import argparse
import array
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmpi.bench.report import load_warning, machine, table

SOURCE = Path(__file__).with_suffix(".c")
BATCHES, BATCH = 5, 0.02  # in a job: this many batches of so many seconds
TYPED = ("allreduce", "barrier", "bcast", "ring")
OBJECTS = ("object allreduce", "object barrier", "object bcast", "object ring")
UNKNOWN = ("object bcast", "object ring")  # in C, too, as messages whose size only the sender knows
BARE = ("bcast", "ring")
TWIN = {name: name.removeprefix("object ") for name in (*TYPED, *OBJECTS)}  # the same in C
JOB_LIMIT = 300  # seconds
SLOW = 1e-3  # seconds; what plain MPICH takes at least for a collective where the kernel's sched_yield does not give way
# What Open MPI must be told: that we mean it as root, and with more ranks than cores.
ALLOWED = {f"{maker}_ALLOW_RUN_AS_ROOT{end}": "1" for maker in ("OMPI", "PRTE") for end in ("", "_CONFIRM")}
CROWD = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}


# --- in a job -------------------------------------------------------------------------------------------------------


def repeated(call: Callable[[], object], expected: object, into: array.array[float] | None = None) -> Callable[[int], object]:
    """What calls it n times, then looks at the last answer, or at what came into the array."""

    def run(n: int) -> None:
        answer: object = expected
        for _ in range(n):
            answer = call()
        if n and expected != (into[0] if into else answer):
            raise RuntimeError("the answer is wrong")

    return run


def statements(comm: Any, add: Any) -> dict[str, Callable[[int], object]]:
    """What Python does n times; then it checks the last answer. `add` is the operation SUM."""
    rank, size = comm.rank, comm.size
    mine, other = array.array("d", [rank + 1]), array.array("d", [0])
    left, right, total = (rank - 1) % size, (rank + 1) % size, size * (size + 1) / 2

    news = array.array("d", [7 if rank == 0 else 0])

    return {
        "allreduce": repeated(partial(comm.Allreduce, mine, other), total, other),
        "barrier": repeated(comm.Barrier, None),
        "bcast": repeated(partial(comm.Bcast, news), 7, news),
        "ring": repeated(partial(comm.Sendrecv, mine, right, 0, other, left, 0), left + 1, other),
        "object allreduce": repeated(partial(comm.allreduce, rank + 1.0, add), total),
        "object barrier": repeated(comm.barrier, None),
        "object bcast": repeated(partial(comm.bcast, 7.0 if rank == 0 else None), 7),
        "object ring": repeated(partial(comm.sendrecv, rank, right, 0, None, left, 0), left),
    }


def in_c() -> dict[str, Callable[[int], object]]:
    """The same in C."""
    from mmpi.bench.measure import Contender, compile_c

    library = compile_c(SOURCE)
    return {name: Contender.c(name, library, name.replace(" ", "_")).run for name in (*TYPED, *UNKNOWN)}


def bare() -> dict[str, Callable[[int], object]]:
    """The same by functions of Python that take no arguments and do nothing but call MPI; n times."""
    import sysconfig

    from mmpi.bench.measure import build_c

    with tempfile.TemporaryDirectory(prefix="mmpi-bench-") as folder:
        build_c(SOURCE, Path(folder, "bare.so"), "-DEXTENSION", f"-I{sysconfig.get_path('include')}")
        sys.path.insert(0, folder)
        module = importlib.import_module("bare")
    return {name: repeated(getattr(module, name), 0) for name in BARE}


def work(face: str, names: Sequence[str]) -> None:
    """Rank 0 says how often, all ranks do it; rank 0 prints the seconds that one takes. Ranks of face `mixed` are C from 1 on."""
    mpi = importlib.import_module("mpi4py.MPI" if face == "mpi4py" else "mmpi.MPI")
    comm, rank = mpi.COMM_WORLD, mpi.COMM_WORLD.Get_rank()
    own = bare if face == "bare" else in_c if face == "c" or (face == "mixed" and rank) else partial(statements, comm, mpi.SUM)
    runs = own()
    found = {}
    for name in names:
        if rank == 0:
            found[name] = lead(comm, runs[name])
        else:
            follow(comm, runs[name])
    if rank == 0:
        print(json.dumps(found), flush=True)


def lead(comm: Any, run: Callable[[int], object]) -> float:
    """The median of some batches, in seconds for one iteration."""

    def batch(n: int) -> float:
        comm.Bcast(array.array("l", [n]))
        if not n:
            return 0.0
        start = time.perf_counter()
        run(n)
        return (time.perf_counter() - start) / n

    n = 8
    while (each := batch(n)) * n < BATCH:
        n = max(2 * n, min(100 * n, int(1.2 * BATCH / each)))
    samples = [batch(n) for _ in range(BATCHES)]
    batch(0)
    return statistics.median(samples)


def follow(comm: Any, run: Callable[[int], object]) -> None:
    """As often as rank 0 says, until it says 0."""
    n = array.array("l", [1])
    while True:
        comm.Bcast(n)
        if not n[0]:
            return
        run(n[0])


# --- from outside ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of job: a name, the environment's Python, what the ranks run, `mmpi run` and its options or plain mpiexec."""

    name: str
    python: str
    face: str
    names: tuple[str, ...]
    options: tuple[str, ...] | None = ()  # None: plain mpiexec

    def command(self, n: int, program: str) -> list[str]:
        """The command line of the whole job."""
        own = ["-m", "mmpi.bench.crowded", "--work", "typed" if self.face == "program" else self.face, ",".join(self.names)]
        if self.options is None:
            return [plain(self.python), "-n", str(n), self.python, *own]
        run = [self.python, "-m", "mmpi", "run", *self.options]
        if self.face == "program":
            return [*run, "-n", "1", *own, ":", "-n", str(n - 1), program]
        return [*run, "-n", str(n), *own]


def plain(python: str) -> str:
    """The mpiexec of an environment's library."""
    return ask(python, "from mmpi.launch import plans; import os; print(plans.find_mpiexec(plans.locate(), os.environ)[1])")


def ask(python: str, code: str) -> str:
    """What Python code prints in another environment."""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{python}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def library_of(python: str) -> str:
    """What the MPI library of an environment says of itself. RuntimeError, if there is none."""
    return ask(python, "from mmpi import library; library.load(); from mmpi.bench.report import library_version; print(library_version())")


def kinds(mpich: str | None = None, openmpi: str | None = None) -> list[Kind]:
    """The jobs that go by turns."""
    found = [
        Kind(f"mpi4py, {name}", python, "mpi4py", (*TYPED, *OBJECTS), None)
        for name, python in (("Open MPI", openmpi), ("MPICH", mpich))
        if python and ask(python, "import importlib.util; print(importlib.util.find_spec('mpi4py') is not None)") == "True"
    ]
    if openmpi:
        found += [
            Kind("C, Open MPI", openmpi, "c", TYPED, None),
            Kind("C, Open MPI, size unknown", openmpi, "c", UNKNOWN, None),
            Kind("mmpi, Open MPI", openmpi, "typed", (*TYPED, *OBJECTS)),
        ]
        if os.path.exists(ask(openmpi, "import sysconfig; print(sysconfig.get_path('include') + '/Python.h')")):
            found.append(Kind("bare call, Open MPI", openmpi, "bare", BARE))
    if mpich:
        collectives = TYPED[:3]
        found += [
            Kind("C, MPICH, plain mpiexec", mpich, "c", collectives, None),
            Kind("mmpi, MPICH", mpich, "typed", (*TYPED, *OBJECTS)),
            Kind("mmpi, MPICH, --wait yield", mpich, "typed", collectives, ("--wait", "yield")),
            Kind("rank 0 mmpi, others C", mpich, "program", ("allreduce",)),
            Kind("rank 0 mmpi, others C in Python", mpich, "mixed", ("allreduce",)),
        ]
    return found


def run(kind: Kind, n: int, program: str) -> dict[str, float]:
    """Seconds for one iteration, by name, of one job."""
    crowd = CROWD if kind.options is None else {}
    alone = {"MMPI_WAIT": "block"} if kind.face == "c" else {}  # Python brings C's loop there: it must not help its MPI
    env = {**os.environ, **ALLOWED, **crowd, **alone, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run(kind.command(n, program), capture_output=True, text=True, env=env, timeout=JOB_LIMIT)
    if done.returncode:
        raise RuntimeError(f"{kind.name}, {n} ranks: status {done.returncode}\n{done.stderr}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def compile_program(python: str, folder: str, source: Path = SOURCE) -> str:
    """A C program (here the one that follows a rank 0 in Python), linked with the environment's library."""
    path, include, family = ask(
        python,
        "from mmpi import library; from mmpi.bench.measure import _include; c = library.locate(); print(c.path, _include(), c.family, sep='|')",
    ).split("|")
    Path(folder, "mpi.h").write_text('#include "abi.h"\n')
    flags = ["-std=gnu99", "-O2", "-DPROGRAM", f"-DMMPI_ABI_{family.upper()}", f"-I{folder}", f"-I{include}"]
    program = os.path.join(folder, source.stem)
    # Our declarations are weak: they alone would not make the linker take the library.
    linked = ["-Wl,--no-as-needed", path, f"-Wl,-rpath,{os.path.dirname(path)}"]
    subprocess.run([os.environ.get("CC") or "cc", *flags, str(source), *linked, "-o", program], check=True)
    return program


Samples = dict[tuple[str, int, str], list[float]]  # kind, ranks, name


def measure(found: Sequence[Kind], ranks: Sequence[int], repeat: int, program: str) -> Samples:
    """Run all jobs, `repeat` times by turns."""
    samples: Samples = {}
    for turn in range(repeat):
        for n in ranks:
            for kind in found:
                print(f"\rround {turn + 1} of {repeat}, {n} ranks: {kind.name}".ljust(79), end="", file=sys.stderr, flush=True)
                for name, seconds in run(kind, n, program).items():
                    samples.setdefault((kind.name, n, name), []).append(seconds)
    print("\r" + " " * 79 + "\r", end="", file=sys.stderr, flush=True)
    return samples


@dataclass(frozen=True)
class Goal:
    """A kind of job may take so many times what another takes."""

    kind: str
    other: str
    names: tuple[str, ...]
    limit: float
    ranks: tuple[int, ...] = ()


GOALS = (
    Goal("mmpi, MPICH", "C, Open MPI", ("ring", *OBJECTS), 6),
    Goal("mmpi, Open MPI", "C, Open MPI", ("ring", *OBJECTS), 1.5),
    Goal("mmpi, MPICH", "C, Open MPI, size unknown", UNKNOWN, 6),
    Goal("mmpi, Open MPI", "C, Open MPI, size unknown", UNKNOWN, 1.5),
    Goal("bare call, Open MPI", "C, Open MPI", BARE, 1.5),
    Goal("mmpi, MPICH", "C, MPICH, plain mpiexec", TYPED[:3], 1 / 30, (4,)),
    Goal("rank 0 mmpi, others C", "C, MPICH, plain mpiexec", ("allreduce",), 1 / 30, (4,)),
    Goal("rank 0 mmpi, others C in Python", "C, MPICH, plain mpiexec", ("allreduce",), 1 / 30, (4,)),
    Goal("mmpi, MPICH, --wait yield", "C, MPICH, plain mpiexec", TYPED[:3], 1 / 100, (4,)),
)


def rows(samples: Samples) -> Iterator[list[str]]:
    """A row for each goal, number of ranks and name that was measured: times in us, the ratio, and whether it is enough; and mpi4py's time."""
    yield ["case", "ranks", "us", "beside", "us", "ratio", "target", "", "mpi4py, us"]
    for goal in GOALS:
        for (kind, n, name), mine in samples.items():
            theirs = samples.get((goal.other, n, name)) or samples.get((goal.other, n, TWIN[name]))
            if kind != goal.kind or name not in goal.names or not theirs or (goal.ranks and n not in goal.ranks):
                continue
            ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
            others = samples.get((kind.replace("mmpi", "mpi4py"), n, name)) if kind.startswith("mmpi") else None
            times = [f"{1e6 * statistics.median(s):.1f} ± {1e6 * spread(s):.1f}" if s else "-" for s in (mine, theirs, others)]
            cured = goal.limit < 1 and statistics.median(theirs) < SLOW
            verdict = "OK" if ratio <= goal.limit else "no need" if cured else "MISSED"
            yield [f"{kind}: {name}", str(n), times[0], goal.other, times[1], f"{ratio:.3g}", f"{goal.limit:.3g}", verdict, times[2]]


def spread(values: Sequence[float]) -> float:
    """The median absolute deviation."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m mmpi.bench.crowded", description=__doc__.splitlines()[0])
    parser.add_argument("--mpich", metavar="PYTHON", help="of an environment with MPICH")
    parser.add_argument("--openmpi", metavar="PYTHON", help="of an environment with Open MPI")
    parser.add_argument("--ranks", default="4,8,16", help="numbers of ranks (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    parser.add_argument("--work", nargs=2, metavar=("FACE", "NAMES"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, not {options.repeat}")
    words = options.ranks.split(",")
    if not all(word.isdecimal() and int(word) > 1 for word in words):
        parser.error(f"--ranks {options.ranks}: numbers above 1 with commas between them are needed")
    options.ranks = [int(word) for word in words]
    if not (options.mpich or options.openmpi):
        from mmpi import library

        setattr(options, "openmpi" if library.locate().maker == "openmpi" else "mpich", sys.executable)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the status is 0 unless a job failed or gave a wrong answer (then it raises)."""
    options = parse(arguments)
    if options.work:
        work(options.work[0], options.work[1].split(","))
        return 0
    described = machine()
    if warning := load_warning(described):
        print(warning, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="mmpi-bench-") as folder:
        program = compile_program(options.mpich, folder) if options.mpich else ""
        samples = measure(kinds(options.mpich, options.openmpi), options.ranks, options.repeat, program)
    print(f"{described['processor']}, {described['cores']} cores, Linux {os.uname().release}, {described['python']}")
    listed = list(rows(samples))
    print(table(listed))
    if any(row[-1] == "no need" for row in listed):
        print("no need: on this kernel plain MPICH is not slow")
    if options.json:
        values = [{"kind": kind, "ranks": n, "name": name, "seconds": s} for (kind, n, name), s in samples.items()]
        options.json.write_text(json.dumps({"format": 1, "machine": described, "samples": values}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
