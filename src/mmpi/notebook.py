# SPDX-License-Identifier: BSD-3-Clause
"""IPython: after `%load_ext mmpi`, `%%mmpi -n 4` runs a cell on 4 ranks, which stay alive for the next cell.

`%mmpi restart` starts them anew, `%mmpi stop` ends them. Interrupting the kernel interrupts the ranks.
"""

from __future__ import annotations

import atexit
import sys
from typing import Any

from .console.evaluate import shown
from .console.session import RanksFailed, Session, SessionEnded

USAGE = "%%mmpi [-n N], then a cell; %mmpi restart [-n N]; %mmpi stop"
_session: Session | None = None


def _ranks(n: int | None) -> Session:
    """The ranks of the last cell, if they are as many; else new ones."""
    global _session
    if _session is not None and n in (None, _session.n):
        return _session
    stop()
    from .launch.host import Host

    _session = Session(Host.here().default_ranks() if n is None else n)
    return _session


def stop() -> None:
    """End the ranks."""
    global _session
    session, _session = _session, None
    if session is not None:
        session.close()


def _count(words: list[str]) -> int | None:
    """The number behind -n; None without it."""
    if not words:
        return None
    text = words[1] if len(words) == 2 and words[0] == "-n" else words[0].removeprefix("-n") if len(words) == 1 else ""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{' '.join(words)}: usage: {USAGE}")
    return int(text)


def mmpi(line: str, cell: str | None = None) -> None:
    """Run a cell on ranks that stay alive; or restart them, or stop them."""
    words = line.split()
    if cell is None:
        if not words or words[0] not in ("restart", "stop"):
            raise ValueError(f"usage: {USAGE}")
        n = _count(words[1:]) or (_session.n if _session else None)
        stop()
        if words[0] == "restart":
            _ranks(n)
        return
    _run(_ranks(_count(words)), cell)


def _run(session: Session, cell: str) -> None:
    try:
        outcomes = session.run(cell)
    except SessionEnded as end:
        stop()
        raise RanksFailed(f"{end}; the next cell starts new ranks") from None
    sys.stdout.write(shown(outcomes))
    failed = [rank for rank, one in enumerate(outcomes) if one.error]
    if failed:
        raise RanksFailed(f"{len(failed)} of {session.n} ranks raised an exception: {failed}")
    if all(one.leave is not None for one in outcomes):
        stop()


def load(ipython: Any) -> None:
    """Register the magic command."""
    ipython.register_magic_function(mmpi, "line_cell", "mmpi")
    atexit.register(stop)
