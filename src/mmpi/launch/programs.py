# SPDX-License-Identifier: BSD-3-Clause
"""From what a user names as the program to the command line of one rank."""

from __future__ import annotations

import os
import sys

from ..library import which
from .errors import LaunchError

STDIN_PROGRAM = "program.py"  # its name in the job's folder
# Runs the program that came by standard input as `python -` would: sys.path begins with the current folder, argv[0] is
# "-"; but from a file, so that tracebacks show the lines.
FROM_STDIN = f"""import os, sys
sys.argv[0] = "-"
with open(os.path.join(os.environ["MMPI_JOB_DIR"], "{STDIN_PROGRAM}"), "rb") as file: code = compile(file.read(), file.name, "exec")
del os, sys, file
exec(globals().pop("code"))"""


def resolve(words: list[str]) -> list[str]:
    """The command line of a rank: FILE, -m MODULE or -c CODE with arguments. LaunchError says what is wrong with it."""
    if not words:
        raise LaunchError("no program", hint="mmpi run -n 4 program.py")
    if ":" in words:
        raise LaunchError("an argument that is just ':' would begin another program for every mpiexec")
    first, arguments = words[0], words[1:]
    if first in ("-m", "-c"):
        if not arguments:
            raise LaunchError(f"{first} needs {'a module' if first == '-m' else 'code'}")
        return [sys.executable, *words]
    if not first:
        raise LaunchError("the name of the program is empty")
    if os.path.isdir(first):
        return [sys.executable, *python_folder(words)]
    if first.endswith(".py") or (os.path.isfile(first) and not os.access(first, os.X_OK)):
        check_readable(first)
        return [sys.executable, *plain(words)]
    path = executable(first)
    check_format(path)
    return [path, *arguments]


def plain(words: list[str]) -> list[str]:
    """Protect a file name that Python would take for an option."""
    return [os.path.join(".", words[0]), *words[1:]] if words[0].startswith("-") else words


def python_folder(words: list[str]) -> list[str]:
    """A folder that is a program, as `python FOLDER` takes it."""
    if not os.path.isfile(os.path.join(words[0], "__main__.py")):
        raise LaunchError(f"{words[0]}: is a folder without __main__.py", status=126)
    return plain(words)


def check_readable(path: str) -> None:
    """Is this a file that Python can read?"""
    if not os.path.exists(path):
        raise LaunchError(f"{path}: no such file", hint=similar(path))
    if not os.access(path, os.R_OK):
        raise LaunchError(f"{path}: cannot be read (permission denied)", status=126)


def similar(path: str) -> str:
    """A hint that names a file beside the missing one that may be meant."""
    import difflib

    folder, name = os.path.split(path)
    try:
        there = os.listdir(folder or ".")
    except OSError:
        return f"there is no folder {folder}; the current one is {os.getcwd()}"
    close = difflib.get_close_matches(name, there, 1)
    return f"did you mean {os.path.join(folder, close[0])}?" if close else f"the current folder is {os.getcwd()}"


def executable(name: str) -> str:
    """The path of an executable: the file of that name, else the first on PATH."""
    if os.path.isfile(name):
        return name if "/" in name else os.path.join(".", name)
    found = None if "/" in name else which(name)
    if not found:
        where = "no such file" if "/" in name else "no such file here, no such program on PATH"
        raise LaunchError(f"{name}: {where}", status=127, hint=similar(name))
    return found


def check_format(path: str) -> None:
    """Can the kernel start this file? A launcher would only say that something failed."""
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except PermissionError:
        return  # an executable need not be readable
    if first.startswith(b"#!"):
        words = os.fsdecode(first[2:]).split()
        if not words or not os.access(words[0], os.X_OK):
            interpreter = words[0] if words else "nothing"
            raise LaunchError(f"{path}: its first line names {interpreter}, which cannot be executed", status=126)
    elif first[:4] != b"\x7fELF" and not foreign_formats():
        raise LaunchError(
            f"{path}: neither a binary nor a script with #! in its first line",
            status=126,
            hint=f"a Python program runs with `chmod -x {path}`, as FILE.py, or with #!/usr/bin/env python3 as its first line",
        )


def foreign_formats() -> bool:
    """Has this system registered more formats of executables (binfmt_misc)?"""
    try:
        return bool(set(os.listdir("/proc/sys/fs/binfmt_misc")) - {"register", "status"})
    except OSError:
        return False
