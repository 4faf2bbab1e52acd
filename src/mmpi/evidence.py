# SPDX-License-Identifier: BSD-3-Clause
"""Which MPI launcher started this process, if one did."""

from __future__ import annotations

import os
import stat
import time

from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Launcher(Record):
    """The MPI launcher that started this process."""

    executable: str
    family: str | None  # mpich, openmpi, or None for one that serves all (Slurm, Flux, ...)
    prefix: str | None
    variables: dict[str, str]
    size: int | None  # of the world that it announces


_TELLTALES = frozenset(
    "PMI_FD PMI_PORT PMI_RANK PMI_SIZE PMI_HOSTNAME PMIX_RANK PMIX_NAMESPACE PMIX_VERSION HYDI_CONTROL_FD I_MPI_HYDRA_UUID PRTE_LAUNCHED"
    " OMPI_VERSION OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE OPAL_PREFIX MPI_LOCALRANKID SLURM_STEP_ID SLURM_STEP_NUM_TASKS FLUX_TASK_RANK"
    " FLUX_JOB_SIZE PALS_RANKID PALS_SIZE".split()
)
_FAMILIES = {"hydra": "mpich", "mpiexec": "mpich", "mpispawn": "mpich", "prte": "openmpi", "orte": "openmpi"}
_SERVERS = ("slurmstepd", "flux-shell", "palsd", "mpirun", "jsmd")
_WRAPPERS = frozenset("sh bash dash zsh ksh env time timeout nice numactl taskset strace ltrace gdb perf".split())
_SIZES = {
    "mpich": ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"),
    "openmpi": ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"),
}


def launcher_family(name: str) -> str | None:
    """The MPI whose launcher has this file name: mpich, openmpi, or None if the name does not tell."""
    return next((family for start, family in _FAMILIES.items() if name.startswith(start)), None)


def _is_wrapper(name: str) -> bool:
    """Is this a shell or a tool that runs another program?"""
    return name in _WRAPPERS or name.startswith("valgrind")


def launcher_evidence() -> Launcher | None:
    """The launcher that started this process, or None.

    Its variables alone prove nothing, since a child that a rank starts inherits them: the parent must be a launcher
    (or a shell or a tool below one), or the launcher's socket be open here, or the parent be invisible.
    """
    variables = {name: os.environ[name] for name in sorted(_TELLTALES.intersection(os.environ))}
    executable = _parent_launcher()
    if executable is None and _socket_is_open():
        executable = ""
    family = launcher_family(os.path.basename(executable or ""))
    if executable is None or not (family or variables):
        return None
    if not executable and "HYDI_CONTROL_FD" in variables:
        family = "mpich"
    prefix = os.path.dirname(os.path.dirname(executable)) if family and os.path.isabs(executable) else None
    return Launcher(executable, family, prefix, variables, _announced_size(family))


def _parent_launcher() -> str | None:
    """The launcher above us: a path, a bare name where another user's, "" if our parent cannot be seen, else None."""
    for pid, executable in _ancestors():
        if not executable:
            return "" if pid == os.getppid() else None
        name = os.path.basename(executable)
        if launcher_family(name) or name in _SERVERS:
            return executable
        if not _is_wrapper(name):
            return None
    return None


def launchers_began() -> float:
    """When the first of the launchers above us was started, in seconds since 1970, to a tick of the kernel; 0.0 if none is seen."""
    first = 0
    for pid, executable in _ancestors():
        name = os.path.basename(executable)
        if launcher_family(name):
            first = pid
        elif first or not _is_wrapper(name):
            break
    ticks = stat_field(first, 22) if first else 0
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0


def _ancestors() -> Iterator[tuple[int, str]]:
    """Our parent, its parent, and so on, as far as launchers may be: pids and executables."""
    pid = os.getppid()
    for _ in range(8):
        yield pid, _executable(pid)
        pid = stat_field(pid, 4)


def _executable(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        pass
    try:  # a daemon of another user, such as slurmstepd, still shows its name
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def stat_field(pid: int, number: int) -> int:
    """A number of /proc/PID/stat, counted from 1; 0 if there is no such process."""
    try:  # the name, in parentheses, may hold anything
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            return int(file.read().rpartition(b")")[2].split()[number - 3])
    except (OSError, ValueError, IndexError):
        return 0


def _socket_is_open() -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(int(os.environ["PMI_FD"])).st_mode)
    except (KeyError, ValueError, OSError, OverflowError):
        return False


def _announced_size(family: str | None) -> int | None:
    names = _SIZES.get(family or "", _SIZES["mpich"])
    for name in (*names, "SLURM_STEP_NUM_TASKS", "FLUX_JOB_SIZE", "PALS_SIZE"):
        value = os.environ.get(name, "")
        if value.isdecimal():
            return int(value)
    return None
