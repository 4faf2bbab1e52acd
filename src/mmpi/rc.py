# SPDX-License-Identifier: BSD-3-Clause
"""Options of the start and the end: `mmpi.rc.abort = False`, `mmpi.rc(threads=False)`, or MMPI_RC_ABORT=0 in the environment.

initialize     whether `from mmpi import MPI` initializes MPI (True)
threads        whether threads may call MPI (True); False means thread level "single"
thread_level   "single", "funneled", "serialized" or "multiple" ("multiple")
finalize       whether the end of the program finalizes MPI (None: if mmpi initialized it)
errors         what a failing call does: "exception", "default" (leave it to MPI), "abort" or "fatal" ("exception")
abort          whether an uncaught exception or a non-zero exit status ends the whole job (True)

Words as in variables, and 0 and 1, are taken for what they mean.

`fast_reduce`, `recv_mprobe` and `irecv_bufsz` are mpi4py's; they may be set, and change nothing: objects of any size are
always received by matched probes, and reduced in the fastest way.
"""

from __future__ import annotations

import os
import sys

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
    "fast_reduce": (True, False),
    "recv_mprobe": (True, False),
}
_NAMES = (*_ALLOWED, "irecv_bufsz")
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False, "none": None}

initialize: bool = True
threads: bool = True
thread_level: str = "multiple"
finalize: bool | None = None
errors: str = "exception"
abort: bool = True
fast_reduce: bool = True
recv_mprobe: bool = True
irecv_bufsz: int = 32768
_unexpected: dict[str, Any] | None = None  # under mpi4py's name: values that mean nothing, to be told when MPI is loaded


def _value(name: str, value: Any) -> Any:
    """What an option becomes by a value, or by a word for it; TypeError if that means nothing."""
    if name == "irecv_bufsz":
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise TypeError(f"mmpi.rc.irecv_bufsz: expected a size in bytes, not {value!r}")
    if name not in _ALLOWED:
        raise TypeError(f"mmpi.rc has no option {name!r}; it has {', '.join(_NAMES)}")
    meant = _WORDS.get(value.lower(), value.lower()) if isinstance(value, str) else value
    for allowed in _ALLOWED[name]:
        if meant is allowed or (allowed is not None and meant == allowed):  # 0 is False, numpy.True_ is True
            return allowed
    raise TypeError(f"mmpi.rc.{name}: expected one of {', '.join(map(repr, _ALLOWED[name]))}, not {value!r}")


class Rc:
    """The options, in place of the module `mmpi.rc`."""

    initialize, threads, thread_level, finalize, errors, abort = initialize, threads, thread_level, finalize, errors, abort
    fast_reduce, recv_mprobe, irecv_bufsz = fast_reduce, recv_mprobe, irecv_bufsz
    LEVELS = LEVELS
    _unexpected = _unexpected
    __name__, __doc__, __file__, __spec__ = __name__, __doc__, __file__, __spec__

    def __init__(self, **options: Any) -> None:
        self(**options)

    def __call__(self, **options: Any) -> None:
        """Set several options at once."""
        values = {name: self._meaning(name, value) for name, value in options.items()}
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            value = self._meaning(name, value)
        super().__setattr__(name, value)
        life: Any = sys.modules.get("mmpi.life")
        if life and self is _rc and name in ("abort", "finalize"):
            life.apply_options()

    def _meaning(self, name: str, value: Any) -> Any:
        """As _value; under mpi4py's name, a value that means nothing leaves the option as it is."""
        try:
            return _value(name, value)
        except TypeError:
            if self._unexpected is None or name not in _NAMES:
                raise
            self._unexpected[name] = value
            return getattr(self, name)

    def __dir__(self) -> list[str]:
        return list(_NAMES)

    def __repr__(self) -> str:
        return f"mmpi.rc({', '.join(f'{name}={getattr(self, name)!r}' for name in _NAMES)})"

    def _read_environment(self, prefix: str) -> None:
        """Set the options for which there are variables that begin so; our own prefix has precedence."""
        for name in _NAMES:
            text = os.environ.get(prefix + name.upper())
            if text is None or (prefix != "MMPI_RC_" and f"MMPI_RC_{name.upper()}" in os.environ):
                continue
            try:
                setattr(self, name, text)
            except TypeError as error:
                raise TypeError(f"environment variable {prefix}{name.upper()}={text}: {error}") from None


_rc = Rc()
_rc._read_environment("MMPI_RC_")
_read_environment = _rc._read_environment
sys.modules[__name__] = _rc  # type: ignore[assignment]
