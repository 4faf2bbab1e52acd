#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What no compiler says of our C and shell files: tabs, blanks at line ends, long lines, functions beyond a screen.

usage: style.py FILE...        prints file:line: what; exits 1 if there was anything
"""
from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

COLUMNS, LINES = 190, 60
HEAD = re.compile(r"(METHOD0?|CLASSMETHOD|FUNCTION0?|GETTER)\(")        # a signature and its documentation


def flaws(path: Path) -> Iterator[str]:
    """Each flaw of a file, as `line: what`."""
    text = path.read_text()
    facts = path.parent.name == "abi"            # tables: one fact a line, however long
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield "end: must end in one newline"
    opened = 0
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line and path.suffix in (".c", ".h"):
            yield f"{number}: tab"
        if line != line.rstrip():
            yield f"{number}: blank at the end"
        if len(line) > COLUMNS and not facts and not HEAD.match(line):
            yield f"{number}: {len(line)} columns, {COLUMNS} allowed"
        if line == "{":
            opened = number
        if line == "}" and opened:
            if number - opened >= LINES:
                yield f"{opened}: function of {number - opened} lines, {LINES} allowed"
            opened = 0
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield f"{number}: unfinished"


def main() -> int:
    """Print all flaws of the files named; return the exit status."""
    found = [f"{name}:{flaw}" for name in sys.argv[1:] for flaw in flaws(Path(name))]
    print("".join(line + "\n" for line in found), end="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
