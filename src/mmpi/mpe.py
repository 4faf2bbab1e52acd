# SPDX-License-Identifier: BSD-3-Clause
"""MPE's way to log a parallel program, as MaroonMPI had it, over the recorder of `mmpi.trace`.

    from mmpi import mpe
    mpe.init_log()
    begin, end = mpe.log_get_event_number(), mpe.log_get_event_number()
    mpe.describe_state(begin, end, "compute", "red")
    mpe.log_event(begin, 0, "start"); ...; mpe.log_event(end, 0, "done")
    mpe.finish_log("run")               the trace is the folder "run": mmpi trace view run

All ranks call `init_log` and `finish_log`. New programs better use `mmpi.trace.state` and `event`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from . import trace
from .trace.recording import _job, _load

__all__ = [
    "Log", "MPEError", "describe_event", "describe_state", "finish_log", "init_log", "log_event", "log_get_event_number", "mpeException",
    "start_log", "stop_log",
]  # fmt: skip

_trace = _load()
_OFF, _LOGGING, _FINISHED = range(3)
_phase = _OFF
_logs = 0  # so far
_folder: str | None = None  # that we have made; None: the trace is somebody else's, as by `mmpi run --trace`


class MPEError(RuntimeError):
    """A function of MPE was used in a way that makes no sense."""


mpeException = MPEError  # noqa: N816 (its old name)


def _need(what: str, *phases: int) -> None:
    if _phase not in phases:
        why = {_OFF: "init_log() comes first", _LOGGING: "init_log() was called before", _FINISHED: "finish_log() has ended the log"}[_phase]
        raise MPEError(f"mpe.{what}: {why}")


def _number(what: str, name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 4096:
        raise MPEError(f"mpe.{what}({name}): expected a number of log_get_event_number(), not {value!r}")
    return value


def _text(what: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise MPEError(f"mpe.{what}({name}): expected a text, not {value!r}")
    return value


def init_log() -> None:
    """Begin to log. Where a trace is recorded already (`mmpi run --trace DIR`), the log goes there."""
    global _phase, _folder, _logs
    _need("init_log()", _OFF, _FINISHED)
    if not _trace.is_started():
        _logs += 1
        _folder = os.path.abspath(f"mpe-{_job()}-{_logs}")
        trace.start(_folder)
    _phase = _LOGGING


def start_log() -> None:
    """Log again, after `stop_log`."""
    _need("start_log()", _LOGGING)
    trace.resume()


def stop_log() -> None:
    """Log nothing until `start_log`."""
    _need("stop_log()", _LOGGING)
    trace.pause()


def finish_log(path: str) -> None:
    """End the log; the folder `path` is its trace. A trace that others have begun goes on, and stays where it is."""
    global _phase, _folder
    _need(f"finish_log({path!r})", _LOGGING)
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise MPEError(f"mpe.finish_log(path): expected the name of a folder, not {path!r}")
    if _folder is not None:
        _move(_folder, os.path.abspath(os.fspath(path)))
    _phase, _folder = _FINISHED, None


def _move(folder: str, path: str) -> None:
    """Give the folder its name, once all ranks are done with it; who comes first on a host does it."""
    trace.stop()
    core = sys.modules.get("mmpi._core")
    parallel = core is not None and core._state() == "running" and core.COMM_WORLD.size > 1
    if os.path.exists(path):
        raise MPEError(f"mpe.finish_log({path!r}): this exists already; the trace is in {folder}")
    if parallel and core is not None:
        core.COMM_WORLD.Barrier()
    try:
        os.rename(folder, path)
    except FileNotFoundError:  # another rank was first
        if not os.path.isdir(path):
            raise


def log_get_event_number() -> int:
    """A number for an event, or for one end of a state, that nothing else has."""
    number = int(_trace.event_number())
    if not number:
        raise MPEError("mpe.log_get_event_number(): there are no numbers left, 4095 are given")
    return number


def describe_state(start: int, end: int, name: str, color: str) -> None:
    """The time between the events `start` and `end` is a state with this name and color."""
    what = "describe_state"
    first, last = _number(what, "start", start), _number(what, "end", end)
    if first == last:
        raise MPEError(f"mpe.describe_state(start, end): both are {first}, but a state needs two events")
    _described(what, first, last, _text(what, "name", name), _text(what, "color", color))


def describe_event(event: int, name: str, color: str) -> None:
    """The event has this name and color."""
    what = "describe_event"
    _described(what, _number(what, "event", event), 0, _text(what, "name", name), _text(what, "color", color))


def _described(what: str, start: int, end: int, name: str, color: str) -> None:
    if not name or not _trace.describe_events(start, end, name, color, ""):
        raise MPEError(f"mpe.{what}(name): {name!r} cannot be described: {'too many names' if name else 'it is empty'}")


def log_event(event: int, intdata: int = 0, text: str = "") -> None:
    """The event happens: a state begins or ends. `intdata` and `text` are kept with it."""
    _need(f"log_event({event!r})", _LOGGING)
    number = _number("log_event", "event", event)
    if not isinstance(intdata, int) or not -(2**63) <= intdata < 2**63:
        raise MPEError(f"mpe.log_event(intdata): expected an integer of 64 bits, not {intdata!r}")
    if not _trace.log_event(number, intdata, _text("log_event", "text", text)):
        raise MPEError(f"mpe.log_event({number}): it was not described, or is the end of a state that has not begun")


class Log:
    """A log with a memory of what was described in it: `log = Log("run")`, ..., `log.finish()`; also for `with`."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.events: dict[int, tuple[str, str]] = {}  # number: name, color
        self.states: dict[tuple[int, int], tuple[str, str]] = {}  # numbers of begin and end: name, color
        self.logged: list[tuple[int, int, str]] = []  # number, intdata, text
        init_log()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *error: object) -> None:
        self.finish()

    def start(self) -> None:
        """Log again."""
        start_log()

    def stop(self) -> None:
        """Log nothing until `start`."""
        stop_log()

    def finish(self) -> None:
        """End the log; it is in the folder `filename`."""
        finish_log(self.filename)

    def describe_state(self, name: str, color: str) -> tuple[int, int]:
        """A new state; return the numbers of its two events."""
        pair = log_get_event_number(), log_get_event_number()
        describe_state(*pair, name, color)
        self.states[pair] = name, color
        return pair

    def describe_event(self, name: str, color: str) -> int:
        """A new event; return its number."""
        number = log_get_event_number()
        describe_event(number, name, color)
        self.events[number] = name, color
        return number

    def log_event(self, event: int, intdata: int = 0, text: str = "") -> None:
        """The event happens."""
        log_event(event, intdata, text)
        self.logged.append((event, intdata, text))

    def displayEvents(self) -> None:
        """Print what was logged."""
        for event, intdata, text in self.logged:
            print(f"{event}: {intdata} {text}".rstrip())

    def displayStates(self) -> None:
        """Print the states."""
        for (start, end), (name, color) in self.states.items():
            print(f"{start}-{end}: {name} ({color})")

    def displayEventDescriptions(self) -> None:
        """Print the events that are no ends of states."""
        for number, (name, color) in self.events.items():
            print(f"{number}: {name} ({color})")
