# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi run`: its command line, and running what it says."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import foreground, hosts, programs
from .errors import LaunchError
from .host import Host
from .output import Show
from .plans import GRACE, WAITS, Options, Part, build, explain, locate, preload

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
  --hang-timeout SECONDS  when no rank has completed a call of MPI for this time, say what all do and what is wrong,
                          and end the job with status 124
  --grace SECONDS         how long the ranks have for their `finally` blocks after Ctrl-C, SIGTERM or a time limit (default: 1)
  --wait {"|".join(WAITS)}
                          how ranks wait for messages (sets MMPI_WAIT)
  --as-mpi4py             `import mpi4py` means mmpi in these ranks and in what they start
  --tag                   put its rank before each line: "[3] text"
  --collapse              print lines that several ranks print once: "[0-63] text"
  --only RANKS            show what these ranks print (0 or 0,3 or 0-3), and of the others only what a failing one said last
  --output DIR            keep what each rank prints in a file DIR/rank-N.txt, and show nothing that none of the above asks for
  --trace DIR             record what every rank does into this folder (sets MMPI_TRACE); `mmpi trace --help` tells how to look at it
  --trace-all             record programs that are not Python, too: their calls of MPI in C and Fortran
  --trace-overwrite       remove the trace of another job from there first
  --hosts A:2,B:2         run on these hosts, so many ranks on each, reached by ssh (in a Slurm allocation: by srun)
  --hostfile FILE         the same from a file with a line for each host: "A:2" or "A slots=2"
  --agent CMD             what to reach hosts with: it is called like ssh, CMD HOST COMMAND
  -h, --help              this text

exit status: that of the rank that failed first (128+S if signal S killed it), else 0; 2 wrong command line; 124 time-out;
126 or 127 the program cannot be executed or was not found; 130 Ctrl-C; 143 SIGTERM.

examples:
  mmpi run -n 4 program.py input.txt
  mmpi run -n 8 --timeout 600 -m package.module
  mmpi run -n 1 master.py : -n 3 ./worker
"""


class Command:
    """A parsed command line."""

    help: bool = False
    explain: bool = False
    verbose: bool = False
    timeout: float | None = None
    hang_timeout: float | None = None
    grace: float = GRACE
    wait: str | None = None
    hosts: tuple[tuple[str, int], ...] = ()
    agent: str | None = None
    from_stdin: bool = False
    as_mpi4py: bool = False
    tag: bool = False
    collapse: bool = False
    only: frozenset[int] | None = None
    output: str | None = None
    trace: str | None = None
    trace_all: bool = False
    trace_overwrite: bool = False

    def __init__(self) -> None:
        self.parts: list[Part] = []

    @property
    def show(self) -> Show:
        """What is to be seen of the ranks' output."""
        return Show(self.tag, self.collapse, self.only, self.output)


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
        command.parts.append(Part(n, tuple(argv_of_rank), alias(part.env) if command.as_mpi4py else part.env))
    return command


def alias(variables: dict[str, str]) -> dict[str, str]:
    """The variables of a part, so that `import mpi4py` means mmpi there."""
    from mmpi import compat

    return {**variables, **compat.environment({**os.environ, **variables})}


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


class PartOptions:
    """The options of one part."""

    def __init__(self) -> None:
        self.n: int | None = None
        self.env: dict[str, str] = {}


def read_options(command: Command, part: PartOptions, words: list[str], index: int) -> list[str]:
    """Take the options from the front of a part; return its program and arguments."""
    words = list(words)
    while words and words[0].startswith("-") and words[0] not in ("-", "-m", "-c"):
        word = words.pop(0)
        if word == "--":
            break
        name, value = separate(word)
        if name not in ALL:
            import difflib

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
        if variable in ("MMPI_LIBMPI", "MMPI_JOB", "MMPI_JOB_DIR", "MMPI_TRACE"):
            raise LaunchError(
                f"--env {variable}: this variable holds for the whole job",
                hint=f"{value} mmpi run ..." if variable in ("MMPI_LIBMPI", "MMPI_TRACE") else "`mmpi run` sets it",
            )
        part.env[variable] = content
    else:
        attribute, read = WITH_VALUE[name]
        setattr(command, attribute, read(value, name))


def positive(text: str, what: str) -> int:
    """A number of ranks or slots."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**31):
        raise LaunchError(f"{what} {text}: a whole number from 1 on is needed")
    return int(text)


def waiting(text: str, name: str) -> str:
    """A way to wait."""
    if text not in WAITS:
        raise LaunchError(f"{name} {text}: one of {', '.join(WAITS)} is needed")
    return text


def as_it_is(text: str, name: str) -> str:
    """Any text."""
    return text


def ranks(text: str) -> frozenset[int]:
    """Ranks and ranges of them, as in 0,4-7."""
    chosen: set[int] = set()
    for item in text.split(","):
        found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", item)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise LaunchError(f"--only {text}: ranks are needed, as in 0 or 0,4-7")
        chosen.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return frozenset(chosen)


def seconds(text: str, name: str) -> float:
    """A time limit."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise LaunchError(f"{name} {text}: a number of seconds above 0 is needed")
    return value


OF_PART = ("-n", "--env")
FLAGS = {"-v": "verbose", "--verbose": "verbose", "--explain": "explain", "-h": "help", "--help": "help"}
FLAGS |= {"--tag": "tag", "--collapse": "collapse", "--as-mpi4py": "as_mpi4py"}
FLAGS |= {"--trace-all": "trace_all", "--trace-overwrite": "trace_overwrite"}
WITH_VALUE: dict[str, tuple[str, Callable[[str, str], Any]]] = {  # what it sets, and what reads it
    "--timeout": ("timeout", seconds),
    "--hang-timeout": ("hang_timeout", seconds),
    "--grace": ("grace", seconds),
    "--wait": ("wait", waiting),
    "--hosts": ("hosts", lambda text, _: hosts.parse(text)),
    "--hostfile": ("hosts", lambda text, _: hosts.read(text)),
    "--agent": ("agent", as_it_is),
    "--only": ("only", lambda text, _: ranks(text)),
    "--output": ("output", as_it_is),
    "--trace": ("trace", as_it_is),
}
ALL = (*OF_PART, *FLAGS, *WITH_VALUE)


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
    command.hosts = command.hosts or hosts.of_allocation(here.environ)
    program = sys.stdin.buffer.read() if command.from_stdin else None
    trace = trace_folder(command, here.environ)
    first = interposer() if command.trace_all else None
    parts = [loaded_first(first, part) for part in command.parts] if first else command.parts
    options = Options(command.hosts, command.agent, command.wait, program, command.hang_timeout, trace, command.grace, first)
    plan = build(parts, options, locate(), here)
    if command.explain:
        print(explain(plan))
        return 0
    if command.verbose:
        print(f"mmpi run: library {plan.choice.path} ({plan.choice.reason})", file=sys.stderr)
        print(f"mmpi run: {plan}", file=sys.stderr, flush=True)
    if trace:
        prepare_trace(trace, plan.job, command.trace_overwrite)
    return foreground.run(plan, command.timeout, command.show)


def trace_folder(command: Command, environ: Mapping[str, str]) -> str | None:
    """Where the trace goes, by --trace or MMPI_TRACE, as a full path: ranks may have another working directory."""
    path = command.trace if command.trace is not None else environ.get("MMPI_TRACE", "")
    if command.trace == "":
        raise LaunchError("--trace needs a folder", hint="mmpi run --trace DIR -n 4 program.py")
    for given, option in (command.trace_overwrite, "--trace-overwrite"), (command.trace_all, "--trace-all"):
        if given and not path:
            raise LaunchError(f"{option} needs --trace with a folder", hint=f"mmpi run --trace DIR {option} -n 4 program")
    return os.path.abspath(path) if path else None


def interposer() -> str:
    """What records programs that are not Python; ranks of Python record by themselves."""
    library = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "libmmpi_interposer.so")
    if re.search("[: ]", library):
        raise LaunchError(f"--trace-all: {library} cannot be loaded first, since its path has a space or a colon")
    return library


def loaded_first(library: str, part: Part) -> Part:
    """A part that has libraries of its own to be loaded first, with this one before them."""
    others = part.env.get("LD_PRELOAD")
    return part._replace(env={**part.env, "LD_PRELOAD": preload(library, others)}) if others else part


def prepare_trace(path: str, job: str, overwrite: bool) -> None:
    """Make the folder of the trace; LaunchError if that cannot be, or it holds the trace of another job."""
    from mmpi.trace import folder

    try:
        folder.prepare(path, job, overwrite)
    except FileExistsError as e:
        raise LaunchError(f"--trace {path}: {e}", hint="--trace-overwrite removes that trace first") from e
    except OSError as e:
        raise LaunchError(f"--trace {path}: cannot make this folder: {e.strerror}") from e
