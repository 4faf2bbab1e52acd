# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi doctor`: looks for what keeps MPI programs from running here, tries them, and says what to do."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import info, library
from .cores import cpu_quota, usable_cores

LIMIT = 30.0  # seconds for a test run
ROOM = 64 << 20  # bytes of shared memory below which MPI libraries fail with a few ranks on a host
LIBRARIES = ("libmpi.so", "libmpich.so", "libmpi_abi.so")
HELLO = """import mmpi
rank, size = mmpi.init()
assert size == 2, f"a world of {size}"
assert mmpi.allgather({"rank": rank}) == [{"rank": 0}, {"rank": 1}]
print("fine" if rank == 0 else "", end="")"""


@dataclass
class Finding:
    """One thing that was looked at. `fix` says what to do if it is not as it should be; `fatal`: programs cannot run."""

    what: str
    seen: str
    fix: str = ""
    fatal: bool = False


def examine(hosts: str | None = None, agent: str | None = None, limit: float = LIMIT) -> Iterator[Finding]:
    """Look at everything, what is quick first. Each finding comes when it is known."""
    first = shutil.which("mpiexec")  # as the user has it: loading a library may put its launcher before others
    facts = info.collect()
    library.forget_start_defaults()  # what we start may use another MPI
    yield python()
    yield other_package(facts["mmpi"])
    yield from libraries(facts, first)
    for look in (cores, memory, name_of_host, root, containers):
        yield look()
    yield from test_runs(facts, limit)
    if hosts:
        yield several_hosts(hosts, agent, limit)


def python() -> Finding:
    """Which Python, and is it one that we run on?"""
    seen = f"{platform.python_version()}, {sys.executable}"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return Finding(
            "Python",
            seen,
            "this is a free-threaded Python, for which there is no wheel yet: use one with the GIL",
            True,
        )
    return Finding("Python", seen)


def other_package(version: str | None) -> Finding:
    """Another package, on PyPI under the name mmpi, brings a folder `mmpi` as well, and overwrites ours or is overwritten."""
    try:
        other = importlib.metadata.distribution("mmpi")
    except importlib.metadata.PackageNotFoundError:
        return Finding("package", f"maroonmpi {version or '(not installed as a package)'}, {Path(__file__).parent}")
    fix = f"{sys.executable} -m pip uninstall -y mmpi maroonmpi && {sys.executable} -m pip install maroonmpi"
    return Finding("package", f"another package, {other.name} {other.version}, is installed over this one", fix, True)


def libraries(facts: dict[str, Any], first: str | None) -> Iterator[Finding]:
    """The library that is taken, what came with it, and its launcher."""
    chosen = facts["library"]
    if facts["error"] or not chosen:
        wanted = os.environ.get("MMPI_LIBMPI")
        fix = (
            f"MMPI_LIBMPI={wanted} asks for something that is not here: unset it, or set mpich, openmpi or the path of a libmpi"
            if wanted
            else ""
        )
        fix = fix or f"{sys.executable} -m pip install 'maroonmpi[mpich]', or install MPICH or Open MPI from your system"
        yield Finding("library", (facts["error"] or "none").splitlines()[0].removesuffix(". Looked at:"), fix, True)
        return
    yield Finding("library", f"{chosen['path']} ({chosen['reason']})")
    if also := pulled_by_others(chosen["path"]):
        yield also
    yield launcher(first)


def pulled_by_others(chosen: str) -> Finding | None:
    """Packages that bring or bind an MPI of their own: in one process there can be only one."""
    bound = []
    for name in ("mpi4py", "h5py", "petsc4py", "slepc4py", "netCDF4"):
        path = package_library(name)
        if path and os.path.realpath(path) != os.path.realpath(chosen):
            bound.append(f"{name} is linked to {path}")
    if not bound:
        return None
    fix = f"if one program imports both, let both use one library: MMPI_LIBMPI={bound[0].rpartition(' ')[2]}"
    return Finding("others", "; ".join(bound), fix)


def package_library(name: str) -> str | None:
    """The libmpi that the extensions of an installed package need, as the linker would find it."""
    try:
        files = importlib.metadata.distribution(name).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name.endswith(".so") and (out := said(["ldd", str(file.locate())])):
            for line in out.splitlines():
                words = line.split()
                if len(words) > 2 and words[0].startswith(LIBRARIES) and words[2].startswith("/"):
                    return words[2]
    return None


def said(words: Sequence[str], limit: float = 10.0) -> str:
    """What a command prints; nothing if it fails."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=limit, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def launcher(first: str | None) -> Finding:
    """The mpiexec that belongs to the library; and is the first on PATH another one?"""
    from .launch import LaunchError, plans

    try:
        _, path = plans.find_mpiexec(library.locate(), os.environ)
    except LaunchError as e:
        return Finding("launcher", str(e), e.hint, True)
    if first and os.path.realpath(first) != os.path.realpath(path) and plans.family_of(first) not in (None, plans.family_of(path)):
        fix = f"start programs by `mmpi run`, or by {path}; {first} would start ranks that do not find each other"
        return Finding("launcher", f"{path}, but the first mpiexec on PATH is that of another MPI, {first}", fix)
    return Finding("launcher", path)


def cores() -> Finding:
    """How many cores may be used, and what limits them."""
    usable, there, quota = usable_cores(), os.cpu_count() or 1, cpu_quota()
    allowed = len(os.sched_getaffinity(0))
    limits = []
    if allowed < there:
        limits.append(f"the affinity of this process allows {allowed} of {there}")
    if quota and quota < allowed:
        limits.append(f"the container's CPU quota is {quota:g}")
    seen = f"{usable} usable core{'s' * (usable > 1)}" + (f" ({'; '.join(limits)})" if limits else "")
    asked = os.environ.get("SLURM_NTASKS") or os.environ.get("PBS_NP")
    if asked and asked.isdecimal() and int(asked) > usable and os.environ.get("SLURM_JOB_NUM_NODES", "1") == "1":
        return Finding(
            "cores",
            f"{seen}, but the batch system plans {asked} ranks",
            "ask for a core for each rank, or expect them to share",
        )
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 1 and int(threads) >= usable:
        return Finding("cores", f"{seen}; OMP_NUM_THREADS={threads}", f"with n ranks here, set OMP_NUM_THREADS to {usable}/n")
    return Finding("cores", seen)


def memory(path: str = "/dev/shm") -> Finding:
    """The shared memory through which ranks on a host talk."""
    try:
        sizes = os.statvfs(path)
    except OSError as e:
        return Finding("shared memory", f"{path}: {e.strerror}", f"mount -t tmpfs -o mode=1777 tmpfs {path}")
    size, free = sizes.f_frsize * sizes.f_blocks, sizes.f_frsize * sizes.f_bavail
    seen = f"{path} has {free >> 20} of {size >> 20} MiB free"
    if not os.access(path, os.W_OK | os.X_OK):
        return Finding("shared memory", f"{path} cannot be written", f"chmod 1777 {path}")
    if size < ROOM:
        return Finding("shared memory", seen, f"make it larger: docker run --shm-size=1g, or mount -o remount,size=1g {path}")
    if free < ROOM:
        return Finding("shared memory", seen, f"look at `ls -l {path}` and remove what jobs that were killed have left there")
    return Finding("shared memory", seen)


def name_of_host() -> Finding:
    """Launchers look up the name of their host, and some fail or wait long if nobody knows it."""
    name = socket.gethostname()
    try:
        addresses = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None)})
    except OSError:
        return Finding("host", f"the name {name} cannot be resolved", f"echo '127.0.1.1 {name}' >>/etc/hosts (as root)")
    return Finding("host", f"{name} is {', '.join(addresses)}")


def root() -> Finding:
    """Open MPI refuses to run as root unless told otherwise, twice."""
    if os.getuid() != 0:
        return Finding("user", f"uid {os.getuid()}")
    return Finding(
        "user",
        "root; `mmpi run` allows that, a plain mpiexec of Open MPI wants OMPI_ALLOW_RUN_AS_ROOT=1 and .._CONFIRM=1",
    )


def containers() -> Finding:
    """The limits of a container that MPI meets: open files, processes, memory."""
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    limits = [f"{files} open files"]
    own = group_limits()
    limits += [f"{text} {what}" for what, text in own.items()]
    seen = f"{', '.join(limits)}{'; inside a container' if in_container() else ''}"
    if files < 256:
        return Finding("limits", seen, "ulimit -n 1024")
    if own.get("processes", "").isdecimal() and int(own["processes"]) < 64:
        return Finding("limits", seen, "allow more processes: docker run --pids-limit=1024")
    return Finding("limits", seen)


def in_container() -> bool:
    """As Docker and Podman mark them."""
    return any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))


def group_limits(root: Path = Path("/sys/fs/cgroup")) -> dict[str, str]:
    """What the cgroup of this process limits."""
    found = {}
    for name, what in (("pids.max", "processes"), ("memory.max", "memory")):
        try:
            text = (root / name).read_text().strip()
        except OSError:
            continue
        if text != "max":
            found[what] = f"{int(text) >> 20} MiB of" if what == "memory" else text
    return found


def test_runs(facts: dict[str, Any], limit: float) -> Iterator[Finding]:
    """Two ranks under every MPI that is here: the chosen one, and what else would be taken."""
    chosen = facts["library"]
    words = [chosen["path"]] if chosen else []
    for candidate in (entry["candidate"] for entry in facts["rejected"]):
        if os.path.isfile(candidate) and os.path.realpath(candidate) not in map(os.path.realpath, words):
            words.append(candidate)
    for path in words:
        yield test_run(path, limit, path == words[0] and bool(chosen))


def test_run(path: str, limit: float, chosen: bool) -> Finding:
    """Two ranks under one library."""
    words = [sys.executable, "-P", "-m", "mmpi", "run", "-n", "2", "--timeout", str(limit), "-c", HELLO]
    what = "2 ranks" if chosen else "also here"
    status, out, err = tried(words, limit, {"MMPI_LIBMPI": path})
    if status == 0 and out == "fine":
        return Finding(what, f"run well with {path}")
    why = f"do not end within {limit:g} s" if status == 124 else f"end with status {status}"
    if not chosen:
        return Finding(what, f"{path}, where 2 ranks {why} ({first_line(err)})")
    repeat = f"MMPI_LIBMPI={shlex.quote(path)} {shlex.join(words[:-1])} {shlex.quote('import mmpi; print(mmpi.init())')}"
    return Finding(what, f"{why} with {path}: {first_line(err)}", f"the items above may be why; to see it: {repeat}", True)


def tried(words: Sequence[str], limit: float, env: dict[str, str]) -> tuple[int, str, str]:
    """Status, output and errors of a command that is ended after the limit and 10 seconds."""
    from .launch.host import marks_of_other_jobs

    clean = {name: value for name, value in os.environ.items() if name not in marks_of_other_jobs(os.environ)}
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean | env)
    try:
        out, err = process.communicate(timeout=limit + 10)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        return 124, out, err
    return process.returncode, out, err


def first_line(text: str) -> str:
    """What a failed run says, in a line: the end of a traceback, else the first line with words."""
    lines = [line.strip() for line in text.splitlines() if any(map(str.isalpha, line))]
    errors = [line for line in lines if "Error" in line or "error" in line]
    return (errors or lines or ["it says nothing"])[0][:300]


def several_hosts(hosts: str, agent: str | None, limit: float) -> Finding:
    """A rank on each of several hosts."""
    words = [sys.executable, "-P", "-m", "mmpi", "run", "--hosts", hosts, "--timeout", str(limit)]
    words += ["--agent", agent] if agent else []
    code = "import mmpi, os; rank, size = mmpi.init(); names = mmpi.allgather(os.uname().nodename)\nif rank == 0: print(*names)"
    status, out, err = tried([*words, "-c", code], limit, {})
    if status == 0:
        return Finding("hosts", f"ranks on {', '.join(out.split())} run well together")
    lines = [line.removeprefix("mmpi run: ") for line in err.splitlines() if line.startswith("mmpi run: ")]
    fix = lines[1] if len(lines) > 1 else "mmpi, Python and MPI must have the same paths on all hosts, and the hosts reach each other by TCP"
    why = f"no end within {limit:g} s" if status == 124 else lines[0] if lines else first_line(err)
    return Finding("hosts", why, fix, True)


def main(argv: Sequence[str]) -> int:
    """`mmpi doctor`: print the findings as they come, then OK or what to do; 1 if programs cannot run."""
    parser = argparse.ArgumentParser(prog="mmpi doctor", description="Find out what keeps MPI programs from running here, and what to do.")
    parser.add_argument("--hosts", metavar="A:2,B:2", help="try these hosts together, too, as `mmpi run --hosts` would")
    parser.add_argument("--agent", metavar="CMD", help="what to reach them with, as for `mmpi run`")
    parser.add_argument("--timeout", metavar="S", type=float, default=LIMIT, help="seconds for each test run (default: %(default)g)")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    options = parser.parse_args(list(argv))
    findings = []
    show: Callable[[Finding], None] = (lambda finding: None) if options.json else print_finding
    for finding in examine(options.hosts, options.agent, options.timeout):
        show(finding)
        findings.append(finding)
    fixes = [finding for finding in findings if finding.fix]
    broken = any(finding.fatal for finding in findings)
    if options.json:
        print(json.dumps({"ok": not broken, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print("\n" + ("OK" if not fixes else "Programs run; yet:" if not broken else "To do:"))
        print(
            "\n".join(f"{i}. {finding.what}: {finding.fix}" for i, finding in enumerate(fixes, 1)),
            end="\n" if fixes else "",
        )
    return int(broken)


def print_finding(finding: Finding) -> None:
    """One line."""
    mark = "ok" if not finding.fix else "BAD" if finding.fatal else "!"
    print(f"{mark:<4}{finding.what:<15}{finding.seen}", flush=True)
