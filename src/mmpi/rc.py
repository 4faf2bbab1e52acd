# SPDX-License-Identifier: BSD-3-Clause
"""Options of the start and the end: `mmpi.rc.abort = False`, `mmpi.rc(threads=False)`, or MMPI_RC_ABORT=0 in the environment.

initialize     whether `from mmpi import MPI` initializes MPI (True)
threads        whether threads may call MPI (True); False means thread level "single"
thread_level   "single", "funneled", "serialized" or "multiple" ("multiple")
finalize       whether the end of the program finalizes MPI (None: if mmpi initialized it)
errors         what a failing call does: "exception", "default" (leave it to MPI), "abort" or "fatal" ("exception")
abort          whether an uncaught exception or a non-zero exit status ends the whole job (True)
"""

from __future__ import annotations

import os
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEVELS = ("single", "funneled", "serialized", "multiple")
_ALLOWED: dict[str, tuple[Any, ...]] = {
    "initialize": (True, False),
    "threads": (True, False),
    "thread_level": LEVELS,
    "finalize": (None, True, False),
    "errors": ("exception", "default", "abort", "fatal"),
    "abort": (True, False),
}
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False, "none": None}

initialize: bool = True
threads: bool = True
thread_level: str = "multiple"
finalize: bool | None = None
errors: str = "exception"
abort: bool = True


def _check(name: str, value: Any) -> None:
    if name not in _ALLOWED:
        raise TypeError(f"mmpi.rc has no option {name!r}; it has {', '.join(_ALLOWED)}")
    if not any(value is allowed or (value == allowed and isinstance(allowed, str)) for allowed in _ALLOWED[name]):
        raise TypeError(f"mmpi.rc.{name}: expected one of {', '.join(map(repr, _ALLOWED[name]))}, not {value!r}")


class _Options(types.ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__"):
            _check(name, value)
        super().__setattr__(name, value)
        life = sys.modules.get("mmpi.life")
        if life and name in ("abort", "finalize"):
            life.apply_options()

    def __call__(self, **options: Any) -> None:
        """Set several options at once."""
        for name, value in options.items():
            _check(name, value)
        for name, value in options.items():
            setattr(self, name, value)


def _read_environment() -> None:
    for name in _ALLOWED:
        text = os.environ.get(f"MMPI_RC_{name.upper()}")
        if text is None:
            continue
        value: Any = _WORDS.get(text.lower(), text.lower())
        try:
            _check(name, value)
        except TypeError as error:
            raise TypeError(f"environment variable MMPI_RC_{name.upper()}={text}: {error}") from None
        globals()[name] = value


_read_environment()
sys.modules[__name__].__class__ = _Options
