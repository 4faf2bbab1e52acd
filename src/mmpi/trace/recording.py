# SPDX-License-Identifier: BSD-3-Clause
"""Recording: start, stop, and what a program wants to see of itself in the picture. Needs neither MPI nor NumPy."""

from __future__ import annotations

import atexit
import os
import re
import sys

from .folder import owner, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


def _load() -> Any:
    """The recorder; what it exports, extensions in C shall find."""
    loaded = sys.modules.get("mmpi._trace")
    if loaded:
        return loaded
    before = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
    try:
        from mmpi import _trace
    finally:
        sys.setdlopenflags(before)
    return _trace


def _wrap(state: Any, function: F) -> F:
    """`@S`: each call of the function is the state."""
    import functools
    import inspect

    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{function!r} gives the control away in between, so a call is no state: use `with` inside of it")

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with state:
            return function(*args, **kwargs)

    return inside  # type: ignore[return-value]


_trace = _load()
_trace.prepare(os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep, _wrap)

_STATE, _EVENT, _COUNTER = 0, 1, 2
_TICK = 0.02  # seconds that a launcher may seem to have begun too late
_RUNS = ("running", "sessions")  # sessions: there is no WORLD


# --- start and stop -------------------------------------------------------------------------------------------------------


def start(
    folder: str | os.PathLike[str] | None = None,
    *,
    limit: int | str | None = None,
    ring: bool | None = None,
    overwrite: bool = False,
) -> None:
    """Record the calls of MPI and the states of this process, from now on, into files in a folder.

    Each rank calls it, with the same folder; a serial program may, too. `folder` is by default that of MMPI_TRACE, else "trace".
    At most `limit` bytes are recorded by a process (a number, or text as "64M"; at least 2 MiB, by default 256 MiB, or as
    MMPI_TRACE_LIMIT says); then it stops, or, with `ring=True`, forgets the oldest ("64M,ring" there). FileExistsError if the
    folder holds the trace of another job and `overwrite` is false, RuntimeError if a recording is under way, ValueError if the
    limit is none, OSError if files cannot be made.
    """
    if _trace.is_started():
        raise RuntimeError("mmpi.trace.start(): a recording is under way; stop() ends it, pause() and resume() interrupt it")
    path = os.path.abspath(os.fspath(folder) if folder is not None else os.environ.get("MMPI_TRACE") or "trace")
    job, limits = _job(path), _limits(limit, ring)
    prepare(path, job, overwrite)
    _start(path, job, limits, sys.modules.get("mmpi._core"))
    if _mpi_runs():  # what was sent before is not recorded: the notes of a pause say so
        _trace.pause(True)
        _trace.pause(False)


def stop() -> None:
    """End the recording; its files are complete then. Nothing if there is none."""
    _end()
    _attach(False)
    if _mpi_runs():
        _trace.pause(True)  # what comes is missing
    _trace.stop()


def pause() -> None:
    """Record nothing until `resume()`."""
    _attach(False)
    _trace.pause(True)


def resume() -> None:
    """Go on after `pause()`. Nothing if no recording was started."""
    if _trace.is_started():
        _trace.pause(False)
        _attach(True)


def flush() -> None:
    """Write what was recorded to the disk. Only the death of the machine asks for that: that of the program loses nothing."""
    _trace.flush()


def is_recording() -> bool:
    """Whether calls and states are recorded now."""
    return bool(_trace.is_on())


class window:  # noqa: N801 (used like a function)
    """`with mmpi.trace.window(step in (10, 11)):` records what is inside only if the condition holds, and then goes on as before.

    Without a recording it does nothing, unless it is given a folder: then the first one starts it, see `start()`.
    """

    def __init__(self, when: bool = True, folder: str | os.PathLike[str] | None = None) -> None:
        self._when, self._folder, self._before = bool(when), folder, False

    def __enter__(self) -> None:
        self._before = is_recording()
        if self._when and self._folder is not None and not _trace.is_started():
            start(self._folder)
        elif self._when:
            resume()
        else:
            pause()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        (resume if self._before else pause)()


def _limits(limit: int | str | None, ring: bool | None) -> tuple[int, bool]:
    """Bytes, and whether the oldest are overwritten."""
    size, keep_latest = _trace.limit("MMPI_TRACE_LIMIT", os.environ.get("MMPI_TRACE_LIMIT", ""))
    if limit is not None:
        size, latest = _trace.limit("limit", str(limit).strip())
        keep_latest = keep_latest or latest
    return size, keep_latest if ring is None else bool(ring)


def _job(path: str = "") -> str:
    """The job's name; a process without a launcher is one of its own, a spawned one is of who records there since its launcher began."""
    from mmpi import job, world
    from mmpi.evidence import launcher_evidence, launchers_began

    if os.environ.get("MMPI_JOB"):
        return job.job_name()
    if launcher_evidence():
        return (owner(path, launchers_began() - _TICK) if world.was_spawned() else None) or job.job_name()
    return job.name_of_process(os.getpid())


def _program() -> str:
    import shlex

    words = sys.orig_argv[1:]
    return shlex.join(words[: words.index("-c") + 1] if "-c" in words else words)[:900]


def _mpi_runs() -> bool:
    core = sys.modules.get("mmpi._core")
    return core is not None and core._state() in _RUNS


def _who(core: Any) -> tuple[str, int, int, bool]:
    """Library, rank, size, and whether others have spawned this WORLD; -1 as long as MPI does not run."""
    if core is None or core._state() not in _RUNS:
        return "", -1, -1, False
    library = core.Get_library_version().partition("\n")[0][:200]
    if core._state() == "running":
        return library, *core._place(), core.Comm.Get_parent() != core.COMM_NULL
    from mmpi import world

    return library, *core._place(), world.was_spawned()


def _start(folder: str, job: str, limits: tuple[int, bool], core: Any) -> None:
    """Record into a folder that was prepared for this job."""
    who = _who(core)
    _trace.start(folder, job, _program(), *who, *limits)
    _synchronize(core, *who[2:])
    _attach(True)


def _attach(yes: bool) -> None:
    core = sys.modules.get("mmpi._core")
    if core is not None:
        core._record_with(_trace.recorder if yes else None)


# --- beside the life of MPI (life.py) -------------------------------------------------------------------------------------


def is_refused() -> bool:
    """Before MPI starts: prepare the folder of MMPI_TRACE; raise if it cannot be used.

    Not in processes that ranks have spawned, for which those wait: they only say that they are not recorded.
    """
    from mmpi import world

    _limits(None, None)
    folder = os.environ.get("MMPI_TRACE")
    if not folder or _trace.is_started():
        return False
    path = os.path.abspath(folder)
    try:
        prepare(path, _job(path))
    except FileExistsError as error:
        if not world.was_spawned():
            raise
        print(f"mmpi: this process is not recorded: {error}", file=sys.stderr)
        return True
    return False


def begin(core: Any, folder: str | None) -> None:
    """After MPI has started: record into the folder of MMPI_TRACE, or tell the recording under way which rank this is."""
    if _trace.is_started():
        who = _who(core)
        _trace.set_rank(*who)
        _synchronize(core, *who[2:])
        if _trace.is_on():
            _attach(True)
    elif folder:
        path = os.path.abspath(folder)
        _start(path, _job(path), _limits(None, None), core)


_clocks: Any = None  # how the clocks of several hosts are compared, or None


def _synchronize(core: Any, size: int, spawned: bool) -> None:
    """Compare the clocks of hosts, if all ranks take part: `mmpi run` knows, else MMPI_TRACE_SYNC=1 says so; not of those that were spawned."""
    global _clocks
    if size < 2 or spawned or core._state() != "running":
        return
    if os.environ.get("MMPI_TRACE_SYNC", "0") in ("", "0") and not os.environ.get("MMPI_TRACE_FAKE_CLOCK"):
        return
    from .clocks import Clocks

    _clocks = Clocks(core)
    atexit.register(_end)


def _end() -> None:
    """Before MPI ends: compare the clocks again."""
    global _clocks
    if _clocks is not None and sys.modules["mmpi._core"]._state() == "running":
        on = is_recording()
        _attach(False)
        clocks, _clocks = _clocks, None
        clocks.end()
        _attach(on)


# --- the user's states ----------------------------------------------------------------------------------------------------


def _named(kind: int, what: str, name: str, color: str | None, format: str | None) -> tuple[int, str, str, str, list[str]]:
    if not isinstance(name, str) or not name:
        raise TypeError(f"{what}(name): expected a text that is not empty, not {name!r}")
    for argument, value in ("color", color), ("format", format):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{what}({argument}): expected a text, not {value!r}")
    return kind, name, color or "", format or "", re.findall(r"(\w+)\s*[=:]\s*%", format or "")[:8]


def state(name: str, color: str | None = None, format: str | None = None) -> Any:
    """A part of the program that is to be seen in the picture, under this name and in this color (a CSS color).

        S = mmpi.trace.state("assemble", color="teal")
        with S: ...                     or   with S(cells=n): ...       or      S.begin(); ...; S.end()
        @S
        def assemble(): ...             each call of it

    Values are integers, floats or short texts, at most eight; `format` says how to show them ("cells=%d"), by default
    name=value. The same name is the same state on all ranks. Without a recording all this costs next to nothing.
    """
    return _trace.State(*_named(_STATE, "state", name, color, format))


def event(name: str, color: str | None = None, format: str | None = None) -> Any:
    """Something that happens at one time: `E = event("checkpoint")`, then `E()` or `E(step=12)`. See `state` for the rest."""
    return _trace.Mark(*_named(_EVENT, "event", name, color, format))


def counter(name: str, color: str | None = None, format: str | None = None) -> Any:
    """A number that changes: `C = counter("residual")`, then `C(1e-3)` whenever it has. See `state` for the rest."""
    return _trace.Mark(*_named(_COUNTER, "counter", name, color, format))
