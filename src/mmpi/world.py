# SPDX-License-Identifier: BSD-3-Clause
"""Whether this process is a rank: children of ranks are none, and launchers may not belong to our MPI library."""

from __future__ import annotations

import os
import sys

from .errors import LaunchMismatch, MPIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .evidence import Launcher
    from .library import Choice

RANK = "MMPI_RANK"  # set when MPI starts: "<pid> <rank>", so that programs which this rank starts know whose children they are
_OF_ONE_JOB = frozenset(("MMPI_JOB", "MMPI_JOB_DIR", "MMPI_REPORT", RANK, "MMPI_TRACE"))
_STARTS_OF_ONE_JOB = (
    "PMI_", "PMIX_", "HYDI_", "HYDRA_PROXY", "MPI_LOCALRANKS", "MPI_LOCALNRANKS", "MPI_LOCALRANKID", "MPI_APPNUM", "MPI_UNIVERSE_SIZE",
    "I_MPI_HYDRA_", "I_MPI_INFO_", "OMPI_COMM_WORLD", "OMPI_UNIVERSE_SIZE", "OMPI_APP_CTX", "OMPI_FIRST_RANKS", "OMPI_NUM_APP",
    "OMPI_FILE_LOCATION", "OMPI_ARGV", "OMPI_COMMAND", "OMPI_MCA_ess", "OMPI_MCA_orte", "OMPI_MCA_initial_wdir", "OMPI_VERSION",
    "OMPI_MCA_pmix", "OMPI_MCA_num_procs", "PRTE_LAUNCHED", "ORTE_", "OPAL_PREFIX", "PRTE_PREFIX",
)  # fmt: skip
RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
MAKERS = {"mpich": "MPICH", "impi": "Intel MPI", "openmpi": "Open MPI"}


def is_of_one_job(name: str) -> bool:
    """Is a variable set by a launcher for one rank, or by us for one job? What a rank starts must not inherit it, and take it for its own."""
    return name in _OF_ONE_JOB or (name.startswith(_STARTS_OF_ONE_JOB) and not name.startswith("PMIX_MCA_"))


def parent_rank() -> str | None:
    """`rank 2 (pid 77)` if a rank has started this process, directly or not; None if not, or if we are that rank."""
    pid, _, rank = os.environ.get(RANK, "").partition(" ")
    return f"rank {rank} (pid {pid})" if rank and pid != str(os.getpid()) else None


def was_spawned() -> bool:
    """Have ranks started this process by Spawn, as far as can be told before MPI runs?"""
    return os.environ.get("PMI_SPAWNED", "0") not in ("", "0") or "OMPI_PARENT_PORT" in os.environ


def child_of_multiprocessing() -> bool:
    """Is this process, or the program it is just importing, a worker that multiprocessing has made?"""
    process = sys.modules.get("multiprocessing.process")
    return bool(process and (process.parent_process() or getattr(process.current_process(), "_inheriting", False)))


def is_worker() -> bool:
    """Are we a worker of a rank, which must not become a rank by importing the program again?"""
    return child_of_multiprocessing() and any(name in os.environ for name in (RANK, *RANKS))


def settle(choice: Choice) -> Launcher | None:
    """Before MPI starts: raise if this process can be no rank; forget what other jobs left in the environment.

    Returns the launcher to which we belong.
    """
    from .evidence import launcher_evidence

    parent, launcher = parent_rank(), launcher_evidence()
    if is_worker():
        raise MPIError(
            f"this process is no rank but a worker that {parent or 'a rank'} has started by multiprocessing: MPI cannot start here. "
            'What only ranks shall do belongs under `if __name__ == "__main__":`'
        )
    unfit = launcher is not None and (launcher.size or 1) > 1 and foreign(launcher, choice)
    alone = allowed_alone() or (unfit and allowed_unfit())
    if launcher and alone:
        launcher = None
    elif launcher and unfit:
        raise mismatch(launcher, choice)
    if parent or alone:
        forget(launcher is not None)
    return launcher


def allowed_alone() -> bool:
    """Does the user want each process to be a world of its own?"""
    return os.environ.get("MMPI_ALLOW_SINGLETON", "0") not in ("", "0")


def allowed_unfit() -> bool:
    """Under mpi4py's name: is the launcher of another MPI let pass, as mpi4py does in silence where this variable says so?"""
    compat = sys.modules.get("mmpi.compat")
    word = os.environ.get("MPI4PY_CHECK_MPIEXEC", "yes").lower()
    return bool(compat and compat.installed()) and word in ("false", "no", "off", "n", "0", "")


def forget(launched: bool) -> None:
    """Remove the variables of a job that is not ours: of an outer `mmpi run`, and of the launcher if none started us."""
    for name in [name for name in os.environ if is_of_one_job(name) and (not launched or name.startswith("MMPI_"))]:
        del os.environ[name]


def foreign(launcher: Launcher, choice: Choice) -> bool:
    """Can this launcher not start this library? Some libraries end the process when they notice, hence before they start."""
    own = os.path.basename(launcher.executable).startswith(("hydra", "prte", "orte"))
    return own and (launcher.family == "openmpi") != (choice.maker == "openmpi")


def refuse_false(launcher: Launcher | None, size: int) -> None:
    """After MPI has started: raise if the launcher started several processes, but we are alone."""
    if allowed_unfit():
        return
    if launcher and size == 1 < (launcher.size or 1):
        from . import library

        raise mismatch(launcher, library.select())


def mismatch(launcher: Launcher, choice: Choice) -> LaunchMismatch:
    """The error, with what to do."""
    serves = {"openmpi": ", which starts Open MPI", "mpich": ", which starts MPICH and its kin"}.get(launcher.family or "", "")
    seen = launcher.executable or f"not to be seen; it has set {', '.join(list(launcher.variables)[:3])}"
    command = f"mmpi run -n {launcher.size} {program()}"
    return LaunchMismatch(
        f"{launcher.size} processes were started, and each would be rank 0 of 1: the launcher does not belong to the MPI library\n"
        f"  launcher: {seen}{serves}\n"
        f"  library:  {choice.path}, {MAKERS.get(choice.maker, choice.maker)} ({choice.reason})\n"
        f"  works:    {command}\n"
        f"  or:       {own_launcher(choice, launcher)}\n"
        "  MMPI_ALLOW_SINGLETON=1 lets each process be a world of its own"
    )


def program() -> str:
    """How this program was called, for a command line to copy."""
    import shlex

    words = sys.orig_argv[1:] if sys.argv[:1] != ["-c"] else ["-c", "..."]
    return shlex.join(words) if len(shlex.join(words)) < 200 else f"{sys.argv[0]} ..."


def own_launcher(choice: Choice, launcher: Launcher) -> str:
    """The command of this library's own launcher."""
    from .launch.errors import LaunchError
    from .launch.plans import find_mpiexec

    if os.path.basename(launcher.executable) == "slurmstepd":
        return f"srun --mpi={'pmix' if choice.maker == 'openmpi' else 'pmi2'} -n {launcher.size} python {program()}"
    try:
        return f"{find_mpiexec(choice, os.environ)[1]} -n {launcher.size} python {program()}"
    except LaunchError as error:
        return f"the mpiexec of that library, once it is there: {error}"
