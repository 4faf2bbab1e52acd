# SPDX-License-Identifier: BSD-3-Clause
"""The command `mmpi`, also `python -m mmpi`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

HELP = """\
usage: mmpi COMMAND [arguments]
       python -m mmpi COMMAND [arguments]

commands:
  run        run a program on several ranks:  mmpi run -n 4 program.py
  console    a Python prompt whose statements run on all ranks:  mmpi console -n 4
  pympi      run a program with pyMPI's `mpi` as a builtin:  mmpi run -n 3 mmpi pympi script.py
  workit     let files flow through a pipeline of commands, a stage on each rank
  ps         list the running jobs
  hang       say what the ranks of a running job do, for whom they wait, and what is wrong
  trace      what happened when, on every rank: mmpi trace view DIR  after  mmpi run --trace DIR program.py
  doctor     find out what keeps programs from running, and what to do
  bench      measure C, mmpi, mpi4py and multiprocessing side by side on this machine
  info       say which MPI library is used, and why

  mmpi COMMAND --help tells more about a command; mmpi --version prints the version.
"""


# Each command loads its part of the package when it is used, so that `mmpi info` needs nothing of `mmpi run`.
def _run(argv: Sequence[str]) -> int:
    from mmpi.launch import command

    return command.main(argv)


def _console(argv: Sequence[str]) -> int:
    from mmpi.console import prompt

    return prompt.main(argv)


def _pympi(argv: Sequence[str]) -> int:
    from mmpi import interpreter

    return interpreter.main(argv)


def _workit(argv: Sequence[str]) -> int:
    from mmpi import workit

    return workit.main(argv)


def _info(argv: Sequence[str]) -> int:
    from mmpi import info

    return info.main(argv)


def _ps(argv: Sequence[str]) -> int:
    from mmpi.hang import command

    return command.ps(argv)


def _hang(argv: Sequence[str]) -> int:
    from mmpi.hang import command

    return command.main(argv)


def _trace(argv: Sequence[str]) -> int:
    from mmpi.trace import command

    return command.main(argv)


def _bench(argv: Sequence[str]) -> int:
    from mmpi.bench import command

    return command.main(argv)


def _doctor(argv: Sequence[str]) -> int:
    from mmpi import doctor

    return doctor.main(argv)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "run": _run, "console": _console, "pympi": _pympi, "workit": _workit, "ps": _ps, "hang": _hang, "trace": _trace, "doctor": _doctor,
    "bench": _bench, "info": _info,
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (by default the process's arguments) names; return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        print(HELP, end="", file=sys.stderr)
        return 2
    name, arguments = words[0], words[1:]
    if name in COMMANDS:
        return COMMANDS[name](arguments)
    if name in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if name in ("-V", "--version"):
        from mmpi import __version__

        print(f"mmpi {__version__}")
        return 0
    what = "option" if name.startswith("-") else "command"
    print(f"mmpi: unknown {what} {name}; the commands are: {', '.join(COMMANDS)}", file=sys.stderr)
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, 1)
    print(f"mmpi: did you mean `mmpi {close[0]}`?" if close else "mmpi: `mmpi --help` tells more", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
