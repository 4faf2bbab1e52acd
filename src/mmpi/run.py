# SPDX-License-Identifier: BSD-3-Clause
"""`python -m mmpi.run program.py`: what `python -m mpi4py` is there, for command lines that say so.

It runs FILE, a folder or zip file, -m MODULE, -c CODE, or - (standard input). That an error ends the job needs no such
help here: it always does.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from . import spawning

HELP = """\
usage: python -m {package} [options] FILE | -m MODULE | -c CODE | -  [arguments]

Run a program with MPI; one whose error nobody catches ends the job, as always.

options:
  -rc NAME=VALUE,...  options of mmpi.rc, such as threads=False
  --version           the version of this package
  --prefix            where it is installed
  --module            the file of the module MPI
  --mpi-vendor        the MPI library and its version
  --mpi-library       its file
  --mpi-std-version   the version of the MPI standard that it has
  --mpi-lib-version   what it says of itself
  --mpi-abi-version   the version of the ABI that it has
  -h, --help          this text
"""


def set_abort_status(status: Any) -> None:
    """At the end of the program, abort the job with this status: that of sys.exit(status) for anything but an integer."""
    from . import library

    core = library.load()
    if core.Is_initialized() and not core.Is_finalized():
        core._set_abort_status(status if isinstance(status, int) else int(status is not None))


def run_command_line(args: Sequence[str] | None = None) -> None:
    """Run the program that `args` (by default the process's arguments) name: FILE, -m MODULE, -c CODE or -, with arguments."""
    words = list(sys.argv[1:] if args is None else args)
    if not words:
        _wrong("no program: give FILE, -m MODULE, -c CODE or -")
    first = words[0]
    if first in ("-m", "-c"):
        if len(words) < 2:
            _wrong(f"{first} needs {'a module' if first == '-m' else 'code'}")
        sys.argv[:] = [first, *words[2:]] if first == "-c" else words[1:]
        sys.path[0:1] = [""]  # as Python does it; in place of the folder of the program that ran before
        if first == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            _execute(compile(words[1], "<string>", "exec"))
    elif first == "-":
        sys.argv[:] = words
        sys.path[0:1] = [""]
        _execute(compile(sys.stdin.read(), "<stdin>", "exec"))
    else:
        import os

        sys.argv[:] = words
        sys.path[0:1] = [] if os.path.isdir(first) else [os.path.realpath(os.path.dirname(first))]
        runpy.run_path(first, run_name="__main__")


def _execute(code: Any) -> None:
    import types

    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


def main() -> None:
    """The command line of `python -m mmpi.run`."""
    words = sys.argv[1:]
    while words and words[0].startswith("-") and words[0] not in ("-", "-m", "-c"):
        word = words.pop(0)
        if word in ("-h", "--help"):
            print(HELP.format(package="mmpi.run"), end="")
            return
        if word.startswith(("-rc", "--rc")):
            value = word.partition("=")[2] if word.startswith(("-rc=", "--rc=")) else (words.pop(0) if words else "")
            _set_options(value)
        elif word in _TELL:
            print(_TELL[word]())
            return
        else:
            _wrong(f"unknown option {word}")
    try:
        run_command_line(words)
    except SystemExit as end:
        set_abort_status(end.code)
        raise
    except KeyboardInterrupt:
        set_abort_status(130)
        raise
    except BaseException:
        set_abort_status(1)
        raise


def _wrong(text: str) -> NoReturn:
    print(f"{text}\npython -m mmpi.run --help tells more", file=sys.stderr)
    sys.exit(2)


def _set_options(text: str) -> None:
    from . import rc

    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            _wrong(f"-rc {pair}: expected NAME=VALUE")
        try:
            setattr(rc, name.strip(), value.strip())
        except TypeError as error:
            _wrong(f"-rc {pair}: {error}")


def _core() -> Any:
    from . import library

    return library.load()


def _version() -> str:
    import mmpi

    compat = spawning.alias()
    return f"{compat.NAME} {compat.VERSION}" if compat else f"mmpi {mmpi.__version__}"


def _prefix() -> str:
    import os

    return os.path.dirname(os.path.abspath(__file__))


def _vendor() -> str:
    from . import rc

    rc.initialize = False
    from .MPI import get_vendor

    name, version = get_vendor()
    return f"{name} {'.'.join(map(str, version))}"


def _library() -> str:
    from . import library

    return str(library.select().path)


def _numbers(pair: Sequence[int]) -> str:
    return ".".join(map(str, pair))


_TELL: dict[str, Callable[[], str]] = {
    "--version": _version,
    "--prefix": _prefix,
    "--module": lambda: str(_core().__file__),
    "--mpi-vendor": _vendor,
    "--mpi-library": _library,
    "--mpi-std-version": lambda: f"MPI {_numbers(_core().Get_version())}",
    "--mpi-lib-version": lambda: str(_core().Get_library_version()).strip("\n\0"),
    "--mpi-abi-version": lambda: _numbers(_core().Get_abi_version()),
}

if __name__ == "__main__":
    main()
