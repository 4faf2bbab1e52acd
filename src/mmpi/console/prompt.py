# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi console`: the prompt that owns the terminal. The ranks are a job of their own, in a session of their own."""

from __future__ import annotations

import argparse
import code
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from ..launch import LaunchError
from .evaluate import shown
from .session import Session, SessionEnded

HISTORY = os.path.expanduser("~/.mmpi_history")


class Leave(Exception):
    """The console ends, with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Prompt(code.InteractiveConsole):
    """Python's own prompt, whose statements run on the ranks."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.terminal = sys.stdin.isatty()

    def runsource(self, source: str, filename: str = "<console>", symbol: str = "single") -> bool:
        """Run what is complete; say whether more lines are needed."""
        try:
            if self.compile(source, filename, symbol) is None:
                return True
        except (OverflowError, SyntaxError, ValueError):
            self.showsyntaxerror(filename)
            return False
        if source.strip():
            self._run(source)
        return False

    def _run(self, source: str) -> None:
        outcomes = self.session.run(source)
        self.write_out(shown(outcomes))
        if all(one.leave is not None for one in outcomes):
            raise Leave(max(one.leave or 0 for one in outcomes))
        if any(one.leave is not None for one in outcomes):
            ranks = [rank for rank, one in enumerate(outcomes) if one.leave is not None]
            self.write_out(f"SystemExit on ranks {ranks} only: nobody leaves\n")

    def write_out(self, text: str) -> None:
        """Write to standard output."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def write(self, data: str) -> None:
        """Write to standard error; without a terminal, not the empty line that ends a session."""
        if self.terminal or data != "\n":
            super().write(data)

    def raw_input(self, prompt: str = "") -> str:
        """A line; without a terminal, no prompt is shown."""
        if self.terminal:
            return input(prompt)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")


def edit_with(session: Session) -> Any:
    """Editing, completion and history by readline, if there is one; return it."""
    try:
        import readline
    except ImportError:
        return None
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            found[:] = session.complete(text) if text.strip() else ["\t"]
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    try:
        readline.read_history_file(HISTORY)
    except OSError:
        pass
    return readline


def main(argv: Sequence[str]) -> int:
    """Run `mmpi console` with these words; return its exit status."""
    parser = argparse.ArgumentParser(prog="mmpi console", description="A prompt whose statements run on N ranks.")
    parser.add_argument("-n", type=int, default=None, metavar="N", help="how many ranks (default: the usable cores)")
    words = parser.parse_args(list(argv))
    from ..launch.host import Host

    try:
        session = Session(Host.here().default_ranks() if words.n is None else words.n)
    except (LaunchError, SessionEnded) as error:
        print(f"mmpi console: {error}", file=sys.stderr)
        return error.status
    for signum in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(signum, lambda number, frame: sys.exit(128 + number))
    try:
        return _interact(session)
    finally:
        session.close()


def _interact(session: Session) -> int:
    prompt = Prompt(session)
    readline = edit_with(session) if prompt.terminal else None
    banner = f"Python {sys.version.split()[0]} on {session.n} ranks; rank, size, comm are at hand" if prompt.terminal else ""
    try:
        prompt.interact(banner, exitmsg="")
    except Leave as end:
        return end.status
    except SessionEnded as end:
        print(f"mmpi console: {end}", file=sys.stderr)
        return end.status
    finally:
        if readline:
            try:
                readline.write_history_file(HISTORY)
            except OSError:
                pass
    return 0
