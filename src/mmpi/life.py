# SPDX-License-Identifier: BSD-3-Clause
"""The life of MPI in this process: start, end, and what happens when something goes wrong (MPI 5.0, chapter 11)."""

from __future__ import annotations

import _thread
import atexit
import faulthandler
import os
import sys

from . import endings, job, rc, world
from .errors import MPIError
from .waiting import Policy, policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import Any, NoReturn

_lock = _thread.allocate_lock()
_called = False  # init() was called
_policy: Policy | None = None


def init(*argv: Any, threads: bool | str | None = None) -> tuple[int, int]:
    """Start MPI; return the rank of this process and the number of processes.

    threads: the thread level to ask for: True ("multiple"), False ("single"), or its name; by default `mmpi.rc` says.
    `thread_level()` tells what was got. Arguments `argv`, or `argc, argv`, are accepted and not used.
    MPI that somebody else initialized (C, mpi4py, `from mmpi import MPI`) is joined, and left for them to finalize.
    Raises MPIError on a second call and after `finalize()`, LaunchMismatch if a launcher started several processes
    and each would be alone. (MPI 5.0, section 11.2)
    """
    global _called
    core = _core()
    with _lock:
        if _called and "mmpi.pytest_plugin" not in sys.modules:  # each test may think that it is the program
            raise MPIError("mmpi.init() was called before: MPI is initialized once in a program")
        if core._state() != "running":
            start(_level(threads))
        _called = True
    return core.COMM_WORLD.rank, core.COMM_WORLD.size


def finalize() -> None:
    """End MPI in this process; all processes of the job must call it, or reach the end of the program. (Section 11.2)"""
    recording = sys.modules.get("mmpi.trace.recording")
    if recording:
        recording._end()
    _core().Finalize()


def initialized() -> bool:
    """Whether MPI runs or has run in this process."""
    core = sys.modules.get("mmpi._core")
    return bool(core and core.Is_initialized())


def finalized() -> bool:
    """Whether MPI has ended in this process."""
    core = sys.modules.get("mmpi._core")
    return bool(core and core.Is_finalized())


def abort(code: int = 1) -> NoReturn:
    """End all processes of the job; `code` is the exit status. (Section 9.3)"""
    _core().COMM_WORLD.Abort(code)
    os._exit(code)


def clean_env(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment (or another one) without what a launcher has set for this rank.

    For programs that a rank starts: `subprocess.run(["mpiexec", "-n", "2", "./solver"], env=mmpi.clean_env())`.
    """
    return {name: value for name, value in (os.environ if environ is None else environ).items() if not world.is_of_one_job(name)}


def thread_level() -> str:
    """What MPI provides: "single", "funneled", "serialized" or "multiple". (Section 11.6)"""
    core = _core()
    provided = core.Query_thread()
    return rc.LEVELS[[core.THREAD_SINGLE, core.THREAD_FUNNELED, core.THREAD_SERIALIZED, core.THREAD_MULTIPLE].index(provided)]


def wait_policy() -> Policy | None:
    """How this rank waits; None before MPI was initialized."""
    return _policy


def _core() -> ModuleType:
    from . import library

    return library.load()


def _level(threads: bool | str | None) -> str:
    if threads is None:
        return rc.thread_level if rc.threads else "single"
    if isinstance(threads, bool):
        return "multiple" if threads else "single"
    if threads not in rc.LEVELS:
        raise ValueError(f"init(threads={threads!r}): expected True, False, {', '.join(map(repr, rc.LEVELS))}")
    return threads


def start(level: str) -> int:
    """Initialize or join MPI, and prepare its end; return the thread level provided, as MPI's number."""
    from . import library

    core = _core()
    endings.install_hooks()
    traced = _trace_folder()
    launcher = world.settle(library.select())
    job.sweep()
    folder = job.folder()
    provided, _ours = core._begin(getattr(core, f"THREAD_{level.upper()}"), folder, rc.errors)
    _tell_stacks(core, f"{folder}/{os.getpid()}.page")
    rank, size = core.COMM_WORLD.rank, core.COMM_WORLD.size
    os.environ[world.RANK] = f"{os.getpid()} {rank}"
    _settle_down(core, size)
    if core.Comm.Get_parent() == core.COMM_NULL:
        world.refuse_false(launcher, size)
    if size > 1:
        _whole_lines()
    _begin_trace(core, traced)
    return int(provided)


def _trace_folder() -> str | None:
    """Where MMPI_TRACE wants a trace; may raise if that cannot be. What a rank starts is no part of the job, nor of its trace."""
    folder = None if world.parent_rank() else os.environ.get("MMPI_TRACE") or None
    if folder:
        from .trace import recording

        return None if recording.is_refused() else folder
    return None


def _begin_trace(core: Any, folder: str | None) -> None:
    recording = sys.modules.get("mmpi.trace.recording")
    if recording:
        recording.begin(core, folder)


def _tell_stacks(core: Any, page: str) -> None:
    """From now on a signal writes the Python stacks of all threads beside the page, also from within C, with or without the GIL."""
    if not os.path.exists(page):
        return
    try:
        file = os.open(page.removesuffix("page") + "stack", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        faulthandler.register(core._stack_signal(), file, all_threads=True)
    except OSError:  # no room
        pass


def start_sessions(rank: int, size: int) -> None:
    """Prepare what a program needs that opens a session before or without `init()`, as one of `size` processes."""
    core = _core()
    endings.install_hooks()
    traced = _trace_folder()
    job.sweep()
    core._begin_sessions(job.folder(), rc.errors, rank, size)
    _settle_down(core, size)
    _begin_trace(core, traced)


def _settle_down(core: Any, size: int) -> None:
    """What follows the start of MPI, as one of `size` processes: how we wait, and how we end."""
    from . import library

    global _policy
    library.forget_start_defaults()
    _policy = policy(core.__name__.rpartition("_")[2], size)
    apply_options()
    endings.watch_fatal_signals()
    atexit.register(core._report_leaks)


def _whole_lines() -> None:
    """Let lines of different ranks appear when printed, and never torn: each is one write."""
    import io

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(line_buffering=True, write_through=False)


def apply_options() -> None:
    """Tell the core what `mmpi.rc` and the wait policy say; nothing before MPI was initialized."""
    core = sys.modules.get("mmpi._core")
    if core and _policy:
        core._set_policy(_policy.mode, _policy.typed, endings.ends(), rc.finalize is not False)
