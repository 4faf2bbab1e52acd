# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi run`: its command line, and running what it says."""

from __future__ import annotations

import difflib
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from . import foreground, programs
from .errors import LaunchError
from .host import Host
from .plans import WAITS, Options, Part, build, explain, locate

HELP = f"""\
usage: mmpi run [job options] [-n N] [--env NAME=VALUE] PROGRAM [arguments] [: [-n N] [--env NAME=VALUE] PROGRAM ...]

Run a program on N ranks of one MPI job, or several programs in one job, with the mpiexec of the MPI library that
`import mmpi` loads. Options end at the program; what follows belongs to it, up to a word that is just ":".

PROGRAM is
  FILE          a Python program (*.py, or any file that is not executable), or an executable by path or from PATH
  -m MODULE     a Python module
  -c CODE       Python code
  -             a Python program from standard input, which every rank gets

before each program:
  -n N                    how many ranks (default: the usable cores; 1 after a ":")
  --env NAME=VALUE        set a variable for these ranks (as often as you like)

job options, before the first program only:
  -v, --verbose           say which library and which command are used
  --explain               print the whole plan and run nothing
  --timeout SECONDS       end the job after this time, with status 124
  --wait {"|".join(WAITS)}
                          how ranks wait for messages (sets MMPI_WAIT)
  --hosts A:2,B:2         hosts and their slots (so far only with --explain)
  -h, --help              this text

exit status: that of the rank that failed first (128+S if signal S killed it), else 0; 2 wrong command line; 124 timeout;
126 or 127 the program cannot be executed or was not found; 130 Ctrl-C; 143 SIGTERM.

examples:
  mmpi run -n 4 program.py input.txt
  mmpi run -n 8 --timeout 600 -m package.module
  mmpi run -n 1 master.py : -n 3 ./worker
"""


@dataclass
class Command:
    """A parsed command line."""

    parts: list[Part] = field(default_factory=list)
    help: bool = False
    explain: bool = False
    verbose: bool = False
    timeout: float | None = None
    wait: str | None = None
    hosts: tuple[tuple[str, int], ...] = ()
    from_stdin: bool = False


def parse(argv: Sequence[str], default_ranks: Callable[[], int]) -> Command:
    """Read the command line; LaunchError says what is wrong with it."""
    command = Command()
    for i, words in enumerate(split(argv)):
        part = PartOptions()
        rest = read_options(command, part, words, i)
        if command.help:
            return command
        if not rest:
            raise LaunchError(
                "no program" if i == 0 else 'no program after ":"',
                hint="mmpi run -n 4 program.py; `mmpi run --help` tells more",
            )
        if rest[0] == "-":
            command.from_stdin = True
            argv_of_rank = [sys.executable, "-c", programs.FROM_STDIN, *rest[1:]]
        else:
            argv_of_rank = programs.resolve(rest)
        slots = sum(count for _, count in command.hosts)
        n = part.n or (1 if i else slots or default_ranks())
        command.parts.append(Part(n, tuple(argv_of_rank), part.env))
    return command


def split(argv: Sequence[str]) -> list[list[str]]:
    """The words between those that are just ':'."""
    parts: list[list[str]] = [[]]
    for word in argv:
        if word == ":":
            if not parts[-1]:
                raise LaunchError('nothing stands before ":"', hint="mmpi run -n 1 a.py : -n 3 b.py")
            parts.append([])
        else:
            parts[-1].append(word)
    if len(parts) > 1 and not parts[-1]:
        raise LaunchError('nothing stands after ":"', hint="mmpi run -n 1 a.py : -n 3 b.py")
    return parts


@dataclass
class PartOptions:
    """The options of one part."""

    n: int | None = None
    env: dict[str, str] = field(default_factory=dict)


OF_PART = ("-n", "--env")
FLAGS = {"-v": "verbose", "--verbose": "verbose", "--explain": "explain", "-h": "help", "--help": "help"}
WITH_VALUE = ("--timeout", "--wait", "--hosts")
ALL = (*OF_PART, *FLAGS, *WITH_VALUE)


def read_options(command: Command, part: PartOptions, words: list[str], index: int) -> list[str]:
    """Take the options from the front of a part; return its program and arguments."""
    words = list(words)
    while words and words[0].startswith("-") and words[0] not in ("-", "-m", "-c"):
        word = words.pop(0)
        if word == "--":
            break
        name, value = separate(word)
        if name not in ALL:
            close = difflib.get_close_matches(name, ALL, 1)
            raise LaunchError(
                f"unknown option {name}",
                hint=f"did you mean {close[0]}?" if close else "the options of a program stand after its name; see `mmpi run --help`",
            )
        if index and name not in OF_PART:
            raise LaunchError(f"{name} holds for the whole job", hint="it stands before the first program")
        if name in FLAGS:
            if value is not None:
                raise LaunchError(f"{name} takes no value")
            setattr(command, FLAGS[name], True)
            continue
        if value is None:
            if not words:
                raise LaunchError(f"{name} needs a value")
            value = words.pop(0)
        read_value(command, part, name, value)
    return words


def separate(word: str) -> tuple[str, str | None]:
    """`--name=value` and `-n4` have their value in the same word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    if word.startswith("-n") and word[2:].removeprefix("=").isdecimal():
        return "-n", word[2:].removeprefix("=")
    return word, None


def read_value(command: Command, part: PartOptions, name: str, value: str) -> None:
    """Read the value of an option."""
    if name == "-n":
        part.n = positive(value, "-n")
    elif name == "--env":
        variable, equals, content = value.partition("=")
        if not equals or not variable:
            raise LaunchError(f"--env {value}: NAME=VALUE is needed", hint="other variables are passed on anyway")
        if variable in ("MMPI_LIBMPI", "MMPI_JOB", "MMPI_JOB_DIR"):
            raise LaunchError(
                f"--env {variable}: this variable holds for the whole job",
                hint=f"{value} mmpi run ..." if variable == "MMPI_LIBMPI" else "`mmpi run` sets it",
            )
        part.env[variable] = content
    elif name == "--timeout":
        command.timeout = seconds(value)
    elif name == "--wait":
        if value not in WAITS:
            raise LaunchError(f"--wait {value}: one of {', '.join(WAITS)} is needed")
        command.wait = value
    elif name == "--hosts":
        command.hosts = tuple(host(item) for item in value.split(","))


def positive(text: str, what: str) -> int:
    """A number of ranks or slots."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**31):
        raise LaunchError(f"{what} {text}: a whole number from 1 on is needed")
    return int(text)


def seconds(text: str) -> float:
    """A time limit."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise LaunchError(f"--timeout {text}: a number of seconds above 0 is needed")
    return value


def host(text: str) -> tuple[str, int]:
    """HOST or HOST:SLOTS."""
    name, colon, slots = text.partition(":")
    if not name or any(c.isspace() for c in name):
        raise LaunchError(f"--hosts: {text!r} is no HOST:SLOTS", hint="--hosts a:2,b:2")
    return name, positive(slots, f"--hosts {name}:") if colon else 1


def main(argv: Sequence[str]) -> int:
    """Run `mmpi run` with these words; return its exit status."""
    while os.open(os.devnull, os.O_RDWR) <= 2:  # a closed standard stream must not become some other file of ours
        pass
    try:
        return execute(argv)
    except LaunchError as e:
        print(f"mmpi run: {e}", file=sys.stderr)
        if e.hint:
            print(f"mmpi run: {e.hint}", file=sys.stderr)
        return e.status


def execute(argv: Sequence[str]) -> int:
    """Parse, plan, and explain or run."""
    here = Host.here()
    command = parse(argv, here.default_ranks)
    if command.help:
        print(HELP, end="")
        return 0
    if command.hosts and not command.explain:
        raise LaunchError("--hosts: running on other hosts is only planned so far", hint="--explain shows the plan")
    program = sys.stdin.buffer.read() if command.from_stdin else None
    plan = build(command.parts, Options(command.hosts, command.wait, program), locate(), here)
    if command.explain:
        print(explain(plan))
        return 0
    if command.verbose:
        print(f"mmpi run: library {plan.choice.path} ({plan.choice.reason})", file=sys.stderr)
        print(f"mmpi run: {plan}", file=sys.stderr, flush=True)
    return foreground.run(plan, command.timeout)
