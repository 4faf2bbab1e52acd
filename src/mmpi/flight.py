# SPDX-License-Identifier: BSD-3-Clause
"""Reading flight records from outside: the files `<pid>.page` in a job's folder. Their layout: src/core/flight.h."""

from __future__ import annotations

import contextlib
import os
import struct
from dataclasses import dataclass

_HEAD = struct.Struct("<8s4i5iiq256s512si4xq")
_MAGIC, _VERSION = b"mmpi-fly", 1


@dataclass(frozen=True)
class Head:
    """Who a rank is, and how it says that it ends."""

    pid: int
    rank: int
    size: int
    initialized: bool
    finalized: bool
    status: int  # exit status, -1 as long as none is decided
    decided: float  # when it was, in seconds since the epoch


def read_head(path: str) -> Head | None:
    """The head of one record; None if this is none, or of another version."""
    try:
        with open(path, "rb") as file:
            data = file.read(_HEAD.size)
    except OSError:
        return None
    if len(data) < _HEAD.size:
        return None
    magic, version, *_sizes, pid, rank, size, initialized, finalized, status, _, _, _, _, decided = _HEAD.unpack(data)
    if (magic, version) != (_MAGIC, _VERSION):
        return None
    return Head(pid, rank, size, bool(initialized), bool(finalized), status, decided / 1e9)


def read_heads(folder: str) -> dict[int, Head]:
    """The heads of all records in a job's folder, by pid: those of ranks that run, or ended without MPI_Finalize."""
    heads = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            head = read_head(os.path.join(folder, name)) if name.endswith(".page") else None
            if head:
                heads[head.pid] = head
    return heads
