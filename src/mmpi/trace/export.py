# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi trace export`: a trace for other tools.

`export(trace, target, path)` does the same from a program.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from .container import TraceError, load
from .words import check_folder_of, reason

if TYPE_CHECKING:
    from .container import Trace

TARGETS = ("clog2", "perfetto", "otf2", "csv")
TABLES = ("calls", "messages")
EPILOG = """\
formats:
  clog2     CLOG-2 of MPE: clog2TOslog2 makes SLOG-2 of it, which Jumpshot shows; names are cut to 31 characters, sizes to 2 GiB - 1
  perfetto  for https://ui.perfetto.dev: JSON if FILE ends in .json (up to 1,000,000 calls), else protobuf
  otf2      Open Trace Format 2, for Vampir, Scalasca, Pipit, otf2-print; needs pip install 'maroonmpi[otf2]'. FILE is a new folder, or its
            traces.otf2; it may also end in .otf2
  csv       a line a call, or a message; times in seconds

examples:
  mmpi trace export DIR --to clog2 -o run.clog2
  mmpi trace export DIR --to perfetto -o run.pftrace
  mmpi trace export run.mmpit --to csv --table messages -o messages.csv
"""


class Progress:
    """How far something long has come, in one line of a terminal; nothing elsewhere, or if it is short."""

    PERIOD = 0.2  # seconds between two lines

    def __init__(self, what: str) -> None:
        self.what = what
        self.shows = sys.stderr.isatty()
        self.next = time.monotonic() + 1
        self.shown = False

    def __call__(self, done: int, total: int) -> None:
        """So much of it is done."""
        if self.shows and total and time.monotonic() >= self.next:
            self.next = time.monotonic() + self.PERIOD
            self.shown = True
            print(f"\r{self.what}: {100 * done // total} %", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self.shown:
            print("\r" + " " * (len(self.what) + 7) + "\r", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


def export(
    trace: Trace, target: str, path: str | os.PathLike[str], table: str = "calls", progress: Callable[[int, int], None] | None = None
) -> str:
    """Write `trace` as `path` in a format: "clog2", "perfetto", "otf2" or "csv"; `table`, of csv: "calls" or "messages".

    Returns what was written, in a sentence. ValueError for a format that is not known,
    or cannot hold the trace; ImportError if OTF2 is missing.
    """
    path = os.fspath(path)
    tell = progress or (lambda done, total: None)
    if target == "clog2":
        from . import clog2

        return clog2.write(trace, path, tell)
    if target == "perfetto":
        from . import perfetto

        return perfetto.write(trace, path, tell)
    if target == "otf2":
        from . import otf2

        return otf2.write(trace, path, tell)
    if target == "csv":
        from . import table as tables

        return tables.write(trace, path, table, tell)
    raise ValueError(f"no format {target!r}: choose one of {', '.join(TARGETS)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmpi trace export", description="Write a trace in the format of another tool.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("source", metavar="SRC", help="the folder of a trace, or a file .mmpit")
    parser.add_argument("--to", required=True, choices=TARGETS, help="the format")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="what to write; a file that exists is replaced")
    parser.add_argument("--table", choices=TABLES, default="calls", help="of csv: what its lines are (default: calls)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run `mmpi trace export`; return the exit status."""
    options = _parser().parse_args(list(argv))
    if options.table != "calls" and options.to != "csv":
        print(f"mmpi trace export: --table is for --to csv: {options.to} holds calls and messages together", file=sys.stderr)
        return 2
    try:
        check_folder_of(options.output)
        with Progress("mmpi trace export") as progress:
            said = export(load(options.source), options.to, options.output, options.table, progress)
    except (OSError, ValueError, ImportError, TraceError) as error:
        print(f"mmpi trace export: {reason(error)}", file=sys.stderr)
        return 1
    print(said)
    return 0
