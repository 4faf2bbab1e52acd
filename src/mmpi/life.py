# SPDX-License-Identifier: BSD-3-Clause
"""The life of MPI in this process: start, end, and what happens when something goes wrong (MPI 5.0, chapter 11)."""

from __future__ import annotations

import _thread
import os
import sys

from . import rc
from .errors import LaunchMismatch, MPIError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing mmpi costs little; what init() needs is imported there
    from types import ModuleType, TracebackType
    from typing import Any, NoReturn

    from .waiting import Policy

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
    sys.stdout.flush()
    sys.stderr.flush()
    _core().COMM_WORLD.Abort(code)
    os._exit(code)


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
    from . import job, library
    from .waiting import policy

    global _policy
    core = _core()
    job.sweep()
    provided, _ours = core._begin(getattr(core, f"THREAD_{level.upper()}"), job.folder(), rc.errors)
    library.forget_start_defaults()
    size = core.COMM_WORLD.size
    _policy = policy(core.__name__.rpartition("_")[2], size)
    apply_options()
    _install_hooks()
    if size == 1:
        _refuse_false_world()
    else:
        _whole_lines()
    return int(provided)


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
        ends = rc.abort and not _interactive()
        core._set_policy(_policy.mode, _policy.typed, ends, rc.finalize is not False)


def _refuse_false_world() -> None:
    """Raise if a launcher started several processes of which each is a world of its own."""
    from . import evidence, library

    launcher = evidence.launcher_evidence()
    if launcher is None or launcher.size is None or launcher.size == 1:
        return
    choice = library.select()
    raise LaunchMismatch(
        f"{launcher.executable or 'the launcher'} started {launcher.size} processes, but each would be rank 0 of 1: "
        f"it does not belong to the MPI library {choice.path} ({choice.reason}). "
        f"Start the program by `mmpi run -n {launcher.size} ...`, or by the mpiexec of that library"
    )


# --- when something goes wrong ------------------------------------------------------------------------------


def _interactive() -> bool:
    return bool(hasattr(sys, "ps1") or sys.flags.interactive)


def _doom(status: int, what: str) -> None:
    """Nobody caught an exception: say where, and end the job."""
    core = _core()
    if not rc.abort or _interactive() or core._state() != "running":
        return
    world = core.COMM_WORLD
    sys.stdout.flush()
    sys.stderr.write(f"mmpi: {what} on rank {world.rank} of {world.size}, host {core.Get_processor_name()}, pid {os.getpid()}: the job ends\n")
    sys.stderr.flush()
    core._doom(status)


def _install_hooks() -> None:
    import threading

    main_hook, thread_hook, unraisable_hook = sys.excepthook, threading.excepthook, sys.unraisablehook

    def in_main(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        main_hook(kind, value, trace)
        _doom(130 if issubclass(kind, KeyboardInterrupt) else 1, f"uncaught {kind.__name__}")

    def in_thread(arguments: Any) -> None:
        thread_hook(arguments)
        if arguments.exc_type is not SystemExit:
            name = arguments.thread.name if arguments.thread else "?"
            _doom(1, f"uncaught {arguments.exc_type.__name__} in thread {name}")

    def unraisable(arguments: Any) -> None:
        unraisable_hook(arguments)
        if "atexit" in (arguments.err_msg or ""):
            _doom(1, f"uncaught {arguments.exc_type.__name__} in an atexit callback")

    sys.excepthook, threading.excepthook, sys.unraisablehook = in_main, in_thread, unraisable
