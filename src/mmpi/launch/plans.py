# SPDX-License-Identifier: BSD-3-Clause
"""From what the user asked for to the exact command line and environment: a Plan. Nothing is started here."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ..waiting import YIELDING
from . import hydra, openmpi, programs, stdin
from .errors import LaunchError
from .host import Host, marks_of_other_jobs
from .hosts import place_of_agent

if TYPE_CHECKING:
    from ..library import Choice

GRACE = 1.0  # seconds from one means of ending a job to the next, harder one
WAITS = ("auto", "block", "yield", "idle")


class Part(NamedTuple):
    """One program of a job: how many ranks run it, its command line, and variables for these ranks alone."""

    n: int
    argv: tuple[str, ...]
    env: Mapping[str, str] = MappingProxyType({})

    def command(self) -> list[str]:
        """The command line of one rank. env(1) replaces itself by the program, so no process is added."""
        return ["env", *(f"{name}={value}" for name, value in self.env.items()), *self.argv] if self.env else [*self.argv]


class Options(NamedTuple):
    """What holds for a whole job."""

    hosts: tuple[tuple[str, int], ...] = ()
    agent: str | None = None  # what reaches them; None: ssh, or srun in an allocation
    wait: str | None = None
    stdin_program: bytes | None = None
    hang_timeout: float | None = None
    trace: str | None = None  # the folder of the job's trace
    grace: float = GRACE
    first: str | None = None  # a library that is to be loaded before all others, also into what ranks spawn


class Plan(NamedTuple):
    """Everything needed to start one job, once. `environment` is set in any case, `defaults` where a variable is free."""

    parts: tuple[Part, ...]
    options: Options
    choice: Choice
    launcher: str
    mpiexec: str
    environment: Mapping[str, str]
    defaults: Mapping[str, str]
    removed: tuple[str, ...]
    job: str
    directory: str
    cores: int

    @property
    def ranks(self) -> int:
        """The number of ranks of all parts."""
        return sum(part.n for part in self.parts)

    @property
    def crowded(self) -> bool:
        """More ranks than cores that we may use here?"""
        return not self.options.hosts and self.ranks > self.cores

    @property
    def argv(self) -> tuple[str, ...]:
        """The full command line of the launcher."""
        family, hosts = FAMILIES[self.launcher], self.options.hosts
        words = family.options(self.mpiexec, hosts, place_of_agent(self.directory))
        on_the_way = ["/bin/sh", os.path.join(self.directory, stdin.SCRIPT)]
        for i, part in enumerate(self.parts):
            words += [":"] if i else []
            words += ["-n", str(part.n), *on_the_way, *part.command()]
        return tuple(words)

    def environ(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment of the launcher, made from another one."""
        kept = {name: value for name, value in base.items() if name not in self.removed}
        return {**self.defaults, **kept, **self.environment}

    def __str__(self) -> str:
        return shlex.join(self.argv)


FAMILIES = {"hydra": hydra, "openmpi": openmpi}


def plan(
    argv: Sequence[str],
    n: int,
    *,
    env: Mapping[str, str] | None = None,
    wait: str | None = None,
    choice: Choice | None = None,
) -> Plan:
    """Plan a job of one program on `n` ranks of this machine.

    `argv` is what stands after the options of `mmpi run`: a Python file, `-m module`, `-c code` or an executable,
    then its arguments. `choice` is the MPI library, by default the one that `import mmpi` would load.
    """
    if n < 1:
        raise LaunchError(f"n = {n}: a job has at least one rank")
    if wait is not None and wait not in WAITS:
        raise LaunchError(f"wait = {wait!r}: one of {', '.join(WAITS)}")
    part = Part(n, tuple(programs.resolve(list(argv))), dict(env or {}))
    return build([part], Options(wait=wait), choice or locate(), Host.here())


def locate() -> Choice:
    """The MPI library of this environment; LaunchError (127) if there is none."""
    from mmpi import library

    try:
        return library.locate()
    except (ImportError, OSError) as e:
        raise LaunchError(f"no MPI library to run with: {e}", status=127, hint="`mmpi info` shows what was tried") from e


def build(parts: Sequence[Part], options: Options, choice: Choice, host: Host) -> Plan:
    """Put the parts of a plan together. Reads files to find the launcher, changes nothing."""
    launcher, mpiexec = find_mpiexec(choice, host.environ)
    job = os.urandom(4).hex()
    directory = os.path.join(folder_of_jobs(), f"mmpi-{host.uid}-{job}")
    # Every rank loads exactly the library that we have chosen, also if the user's word for it leaves room ("mpich").
    exact = "site" if choice.family == "site" else choice.path
    environment = {"MMPI_JOB": job, "MMPI_JOB_DIR": directory, "MMPI_LIBMPI": exact}
    if options.wait:
        environment["MMPI_WAIT"] = options.wait
    if options.first:
        environment["LD_PRELOAD"] = preload(options.first, host.environ.get("LD_PRELOAD"))
    if options.trace:
        environment["MMPI_TRACE"] = options.trace
        if options.hosts and all(part.argv[:1] == (sys.executable,) for part in parts):  # else some ranks would not take part
            environment.setdefault("MMPI_TRACE_SYNC", "1")
    crowded = not options.hosts and sum(part.n for part in parts) > host.cores
    if crowded and choice.spins and (options.wait or host.environ.get("MMPI_WAIT")) != "block":
        preloaded = environment.get("LD_PRELOAD") or host.environ.get("LD_PRELOAD")
        parts = [giving_way(part, preloaded) for part in parts]
    defaults = {
        # Ranks write to a pipe, where Python would keep 8 KiB back: what a rank prints must be seen when it is printed,
        # above all when the rank then hangs or is killed.
        "PYTHONUNBUFFERED": "1",
        **FAMILIES[launcher].defaults(mpiexec, directory, crowded, host),
    }
    removed = marks_of_other_jobs(host.environ)
    free = {name: value for name, value in defaults.items() if name in removed or name not in host.environ}
    return Plan(tuple(parts), options, choice, launcher, mpiexec, environment, free, removed, job, directory, host.cores)


def giving_way(part: Part, preloaded: str | None) -> Part:
    """A part whose program gives way while it waits. (A path with a space or a colon cannot be preloaded; Python with mmpi needs no help.)"""
    if " " in YIELDING or ":" in YIELDING:
        return part
    return part._replace(env={**part.env, "LD_PRELOAD": preload(YIELDING, part.env.get("LD_PRELOAD", preloaded))})


def preload(library: str, others: str | None) -> str:
    """LD_PRELOAD with this library before all others."""
    return f"{library}:{others}" if others else library


def folder_of_jobs() -> str:
    """Where folders of jobs are made: memory, so that ranks can map their pages there; else a place for files."""
    if os.access("/dev/shm", os.W_OK | os.X_OK):
        return "/dev/shm"
    import tempfile  # dear at every start, as are others that are imported where they are needed

    return tempfile.gettempdir()


def find_mpiexec(choice: Choice, environ: Mapping[str, str]) -> tuple[str, str]:
    """(launcher family, path) of the mpiexec that belongs to the library: beside it, else the first fitting on PATH."""
    wanted = "openmpi" if choice.maker == "openmpi" else "hydra"
    own = [os.path.join(choice.prefix, "bin")] if choice.prefix else []
    folders = [*own, *environ.get("PATH", os.defpath).split(os.pathsep)]
    for folder in folders:
        for name in FAMILIES[wanted].NAMES:
            path = os.path.join(folder, name)
            if os.access(path, os.X_OK) and os.path.isfile(path) and family_of(path) in (wanted, None):
                return wanted, path
    raise LaunchError(
        f"no mpiexec belongs to {choice.path} (looked in {', '.join([*own, 'PATH'])})",
        status=127,
        hint="install the mpiexec of this MPI, or choose another library by MMPI_LIBMPI=mpich|openmpi|PATH",
    )


def family_of(mpiexec: str) -> str | None:
    """The family of a launcher, by the name of the file behind the links, else by its neighbours; None: cannot tell."""
    real = os.path.realpath(mpiexec)
    for family, module in FAMILIES.items():
        if any(word in os.path.basename(real) for word in module.REAL_NAMES):
            return family
    there = [f for f, module in FAMILIES.items() if any(map(lambda n: beside(real, n), module.NEIGHBOURS))]
    return there[0] if len(there) == 1 else None


def beside(path: str, name: str) -> bool:
    """Is there a file of this name in the folder of path?"""
    return os.path.exists(os.path.join(os.path.dirname(path), name))


def explain(plan: Plan) -> str:
    """The plan in words, for `--explain`."""
    where = ", ".join(f"{host} ({slots})" for host, slots in plan.options.hosts) or "this machine"
    load = f"{plan.cores} usable core{'s' if plan.cores != 1 else ''}{', more ranks than cores' if plan.crowded else ''}"
    lines = [
        f"library   {plan.choice.path} (family {plan.choice.family})",
        f"          because: {plan.choice.reason}",
        f"launcher  {plan.mpiexec} ({plan.launcher})",
        f"ranks     {plan.ranks} on {where}; {load}",
        f"waiting   {plan.options.wait or 'auto'}",
        *(f"part {i}    {part.n} x {shlex.join(part.command())}" for i, part in enumerate(plan.parts)),
        f"command   {plan}",
        "sets      " + "\n          ".join(f"{k}={shlex.quote(v)}" for k, v in {**plan.environment, **plan.defaults}.items()),
    ]
    if plan.removed:
        lines.append("unsets    " + " ".join(plan.removed))
    if plan.options.stdin_program is not None:
        lines.append(f"stdin     {len(plan.options.stdin_program)} bytes of program, given to every rank")
    return "\n".join(lines)
