# SPDX-License-Identifier: BSD-3-Clause
"""The command `mmpi trace`: what happened when, on every rank."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

HELP = """\
usage: mmpi trace COMMAND [arguments]

Look at what `mmpi run --trace DIR program.py` recorded. DIR is merged when a command needs it.

commands:
  merge      make one file of the streams of all processes:  mmpi trace merge DIR
  report     say what was slow, where, and why:  mmpi trace report DIR
  view       draw it, in a page that opens anywhere:  mmpi trace view DIR -o run.html
  export     write it for other tools:  mmpi trace export DIR --to perfetto -o run.json
  import     read what other tools wrote:  mmpi trace import FILE -o run.mmpit

  mmpi trace COMMAND --help tells more about a command.
"""
MODULES = {"merge": "merge", "report": "report", "view": "view", "export": "export", "import": "imports"}


def main(argv: Sequence[str]) -> int:
    """Run `mmpi trace`; return the exit status."""
    if not argv:
        print(HELP, end="", file=sys.stderr)
        return 2
    name, arguments = argv[0], argv[1:]
    if name in MODULES:
        return int(importlib.import_module(f"mmpi.trace.{MODULES[name]}").main(arguments))
    if name in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    what = "option" if name.startswith("-") else "command"
    close = difflib.get_close_matches(name, MODULES, 1)
    hint = f"did you mean `mmpi trace {close[0]}`?" if close else f"the commands are: {', '.join(MODULES)}"
    print(f"mmpi trace: unknown {what} {name}; {hint}", file=sys.stderr)
    return 2
