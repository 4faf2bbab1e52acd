# SPDX-License-Identifier: BSD-3-Clause
"""Traces: what every rank did, and when. Recording, and, loaded when they are used, reading and drawing.

Importing it needs neither MPI nor NumPy, and records nothing.
"""

from __future__ import annotations

from typing import Any

from .recording import counter, event, flush, is_recording, pause, resume, start, state, stop, window

__all__ = [
    "Trace", "TraceError", "counter", "event", "flush", "is_recording", "load", "pause", "resume", "show", "start", "state", "stop", "window",
]  # fmt: skip
_LAZY = {"load": "container", "Trace": "container", "TraceError": "container", "show": "view"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
