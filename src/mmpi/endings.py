# SPDX-License-Identifier: BSD-3-Clause
"""What a rank says when something goes wrong, and that the job then ends.

Under `mmpi run` a rank leaves word in the job's folder, `<pid>.end` and `<pid>.crash`, of which one report is made for all
of them when the job has ended. Otherwise it says itself what it can.
"""

from __future__ import annotations

import faulthandler
import os
import sys

from . import rc
from .errors import LaunchMismatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

_crash = -1  # descriptor of the file for fatal signals


def interactive() -> bool:
    """Is a person typing here, who sees errors and goes on?"""
    return bool(hasattr(sys, "ps1") or sys.flags.interactive or "ipykernel" in sys.modules)


def ends() -> bool:
    """Does an error that nobody caught end the job?"""
    return rc.abort and not interactive()


def _folder() -> str:
    """Where `mmpi run` looks for what we say; "" if nobody does."""
    return os.environ.get("MMPI_REPORT", "")


def say(what: str, text: str) -> bool:
    """Leave word of our end for the report; False if nobody makes one, or we have said something before."""
    if not _folder():
        return False
    try:
        with open(os.path.join(_folder(), f"{os.getpid()}.end"), "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{what}\n{text}")
    except OSError:
        return False
    return True


def aborting(code: int) -> None:
    """A rank is about to call MPI_Abort: write out what it printed, and say where the call is."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("mmpi."):
        frame = frame.f_back
    if say(f"MPI_Abort({code}) at {frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}", ""):
        with open(os.devnull, "wb") as null:  # what MPI says of it would only repeat that
            os.dup2(null.fileno(), 2)


def _traceback(error: BaseException | None) -> str:
    import traceback  # seldom needed, and dear at every start

    return "".join(traceback.format_exception(error)) if error else ""


def _end(status: int, what: str, error: BaseException | None, hook: Any, usual: Any, *arguments: Any) -> None:
    """Nobody caught an exception: say so, by the hook and by the report, and end the job."""
    core: Any = sys.modules["mmpi._core"]
    if not ends() or core._state() != "running":
        hook(*arguments)
        return
    sys.stdout.flush()
    if hook is not usual or not say(what, _traceback(error)):
        hook(*arguments)
        if not say(what, ""):
            world = core.COMM_WORLD
            where = f"rank {world.rank} of {world.size}, host {core.Get_processor_name()}, pid {os.getpid()}"
            sys.stderr.write(f"mmpi: {what} on {where}: the job ends\n")
    sys.stderr.flush()
    core._doom(status)


def _say_once(text: str) -> None:
    """Of several processes that have the same to say, one says it; the others give it the time, since launchers are quick."""
    import socket
    import time

    from . import job

    what, _, details = text.partition("\n")
    if say(what, details):
        return
    with socket.socket(socket.AF_UNIX) as mine:  # its name goes away with us, however we end
        try:
            mine.bind(f"\0mmpi-{os.getuid()}-{job.job_name()}")
            sys.stderr.write(f"mmpi: {text}\n")
            sys.stderr.flush()
        except OSError:
            pass
        time.sleep(1)


_installed = False


def install_hooks() -> None:
    """From now on an exception that nobody catches ends the job."""
    global _installed
    if _installed:
        return
    _installed = True
    import threading  # dearer than importing mmpi shall be

    main_hook, thread_hook, unraisable_hook = sys.excepthook, threading.excepthook, sys.unraisablehook

    def in_main(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if kind is LaunchMismatch and ends():
            _say_once(f"{kind.__name__}: {value}")
        else:
            status = 130 if issubclass(kind, KeyboardInterrupt) else 1
            _end(status, f"uncaught {kind.__name__}", value, main_hook, sys.__excepthook__, kind, value, trace)

    def in_thread(arguments: Any) -> None:
        if arguments.exc_type is SystemExit:
            thread_hook(arguments)
        else:
            name = arguments.thread.name if arguments.thread else "?"
            what = f"uncaught {arguments.exc_type.__name__} in thread {name}"
            _end(1, what, arguments.exc_value, thread_hook, threading.__excepthook__, arguments)

    def unraisable(arguments: Any) -> None:
        if "atexit" in (arguments.err_msg or ""):
            what = f"uncaught {arguments.exc_type.__name__} in an atexit callback"
            _end(1, what, arguments.exc_value, unraisable_hook, sys.__unraisablehook__, arguments)
        else:
            unraisable_hook(arguments)

    sys.excepthook, threading.excepthook, sys.unraisablehook = in_main, in_thread, unraisable


def watch_fatal_signals() -> None:
    """Let a fatal signal (SIGSEGV, SIGABRT, ...) write where in Python it came."""
    global _crash
    if faulthandler.is_enabled() or not ends():
        return
    more = {"c_stack": False} if sys.version_info >= (3, 14) else {}
    if not _folder():
        faulthandler.enable(2, **more)
        return
    try:
        _crash = os.open(os.path.join(_folder(), f"{os.getpid()}.crash"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    faulthandler.enable(_crash, **more)
    os.register_at_fork(after_in_child=_in_child)


def _in_child() -> None:
    """A forked child is no rank: its words go where those of other programs go."""
    os.environ.pop("MMPI_REPORT", None)
    try:
        os.dup2(2, _crash, inheritable=False)
    except OSError:  # it has no standard error
        pass
