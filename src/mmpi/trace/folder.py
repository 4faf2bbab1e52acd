# SPDX-License-Identifier: BSD-3-Clause
"""The folder of a trace: one job's, and no other's."""

from __future__ import annotations

import contextlib
import os
import re
import struct

_FILE = re.compile(r"([^-]+)-.+\.mmpi[sd]$")  # streams and definitions: `<job>-<host>-<pid>...`
MERGED = "trace.mmpit"
_REALTIME = 368  # where in a stream's head stands when it began (StreamHead in src/trace/format.h)


def owner(path: str, since: float) -> str | None:
    """The job whose trace a folder holds, if it is one's, and none of its streams began before (seconds since 1970)."""
    with contextlib.suppress(OSError, struct.error):
        names = {name: found[1] for name in os.listdir(path) if (found := _FILE.match(name))}
        began = [_began(os.path.join(path, name)) for name in names if name.endswith("s")]
        return names.popitem()[1] if len(set(names.values())) == 1 and began and min(began) >= since else None
    return None


def _began(stream: str) -> float:
    with open(stream, "rb") as file:
        found: int = struct.unpack("<Q", file.read(_REALTIME + 8)[_REALTIME:])[0]
    return found / 1e9


def of_others(path: str, job: str) -> list[str]:
    """The files in a folder that belong to the trace of another job."""
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []
    jobs = {name: found[1] for name in names if (found := _FILE.match(name))}
    others = [name for name, owner in jobs.items() if owner != job]
    return [*others, *([MERGED] if MERGED in names and job not in jobs.values() else [])]


def prepare(path: str, job: str, overwrite: bool = False) -> None:
    """Make the folder for the trace of a job; FileExistsError if it holds another's, which `overwrite` removes instead."""
    os.makedirs(path, exist_ok=True)
    others = of_others(path, job)
    if others and not overwrite:
        raise FileExistsError(f"{path} holds the trace of another job ({others[0]}): name another folder, or let it be overwritten")
    for name in others:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(path, name))
