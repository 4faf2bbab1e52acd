# SPDX-License-Identifier: BSD-3-Clause
"""Where ranks are in Python: asked by a signal, answered by faulthandler into the rank's `.stack` file.

That works in a rank that blocks in MPI, holds the GIL in C, or computes; not in one that is stopped.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sysconfig
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..launch import processes

STACK_SIGNAL = signal.SIGRTMIN + 7  # asks a rank for the Python stacks of its threads; runtime.c has it, too
PATIENCE = 1.0  # seconds for an answer to begin; ranks may be many on few cores
QUIET = 0.08  # seconds without more text: it is complete

_THREAD = re.compile(r"^(?:Current thread|Thread) 0x([0-9a-f]+)")
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PYTHON = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))


@dataclass(frozen=True)
class Place:
    """A line of a Python program."""

    file: str
    line: int
    function: str
    text: str = ""


def ask(folder: str, pids: Iterable[int]) -> dict[int, dict[int, list[Place]]]:
    """The Python stacks of these ranks, by pid and pthread_self(), innermost frame first; of those that answer."""
    return {pid: _parse(pid, text) for pid, text in _collect(folder, request(folder, pids)).items() if text}


def request(folder: str, pids: Iterable[int]) -> dict[int, int]:
    """Ask, without waiting for the answers; where in each rank's file its answer will begin."""
    before = {}
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):  # it is not that far, or has finalized
            size = os.path.getsize(os.path.join(folder, f"{pid}.stack"))
            if processes.catches(pid, STACK_SIGNAL):
                before[pid] = size
                processes.send(pid, STACK_SIGNAL)
    return before


def left(folder: str, since: float) -> dict[int, dict[int, list[Place]]]:
    """What ranks that have ended had answered, if that was after a time (in seconds since the epoch)."""
    found = {}
    for name in os.listdir(folder):
        pid, _, kind = name.partition(".")
        path = os.path.join(folder, name)
        if kind == "stack" and os.path.getmtime(path) >= since:
            found[int(pid)] = _parse(int(pid), _tail(path, 0))
    return found


def _collect(folder: str, before: dict[int, int]) -> dict[int, str]:
    texts = dict.fromkeys(before, "")
    changed = {pid: time.monotonic() for pid in before}
    end = time.monotonic() + PATIENCE + len(before) / 20
    while (now := time.monotonic()) < end:
        for pid, start in before.items():
            text = _tail(os.path.join(folder, f"{pid}.stack"), start)
            if len(text) != len(texts[pid]):
                texts[pid], changed[pid] = text, now
        if all(texts[pid] and now - changed[pid] > QUIET for pid in before):
            break
        time.sleep(QUIET / 4)
    return texts


def _tail(path: str, start: int) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _parse(pid: int, text: str) -> dict[int, list[Place]]:
    stacks: dict[int, list[Place]] = {}
    frames: list[Place] = []
    source = _Source(pid)
    for line in text.splitlines():
        if thread := _THREAD.match(line):
            frames = stacks[int(thread[1], 16)] = []
        elif frame := _FRAME.match(line):
            file, number = source.path(frame[1]), int(frame[2])
            frames.append(Place(file, number, frame[3], source.line(file, number)))
    return stacks


class _Source:
    """The source text of a process, as far as it can be read."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.lines: dict[str, list[str]] = {}

    def path(self, name: str) -> str:
        if name.startswith(("/", "<")):
            return name
        try:
            return os.path.join(os.readlink(f"/proc/{self.pid}/cwd"), name)
        except OSError:  # it has ended
            return os.path.abspath(name)

    def line(self, file: str, number: int) -> str:
        if file not in self.lines:
            self.lines[file] = self._read(file).splitlines()
        lines = self.lines[file]
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""

    def _read(self, file: str) -> str:
        try:
            if file == "<string>":
                with open(f"/proc/{self.pid}/cmdline", "rb") as command:
                    words = command.read().decode(errors="replace").split("\0")
                return words[words.index("-c") + 1] if "-c" in words[:-1] else ""
            with open(file, encoding="utf-8", errors="replace") as source:
                return source.read()
        except OSError:
            return ""


def users_place(frames: list[Place]) -> Place | None:
    """The innermost line that is neither ours nor Python's own library's."""
    for frame in frames:
        library = frame.file.startswith(_PYTHON) and f"{os.sep}site-packages{os.sep}" not in frame.file
        if not library and not frame.file.startswith((_OWN, "<frozen")):
            return frame
    return frames[0] if frames else None
