# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi trace view`: the trace as one HTML file that opens anywhere, and `mmpi.trace.show` for notebooks.

The page holds the blocks of the merged file as they are, in base64; its scripts (the folder page/) inflate and decode them.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import json
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .container import Chunk, Trace

HELP = """\
Draw a trace: one HTML file with all of it inside, which a browser opens without a server and without a network.
SRC is a folder that `mmpi run --trace` filled, or a merged file.
"""
PAGE = Path(__file__).with_name("page")
SCRIPTS = (
    "words", "palette", "load", "model", "links", "state", "search", "bars", "arrows", "ink", "statistics", "panels", "info", "save", "app",
    "actions", "report", "input", "main",
)  # fmt: skip
MOST_CALLS = 20_000_000  # that a browser draws with ease, in about 1 GB of memory
INLINE = 32 << 20  # bytes of a page inside a notebook, which is saved with it
WAIT_COLUMNS = [
    ("call", "delta"), ("kind", "plain"), ("duration", "plain"), ("culprit", "zigzag"), ("culprit_row", "zigzag"), ("cause", "plain"),
    ("cause_row", "zigzag"), ("cause_call", "zigzag"), ("cause_state", "zigzag"),
]  # fmt: skip
BLOCK = 65536


class ViewError(ValueError):
    """What cannot be drawn, and what to do."""


# --- what to draw ------------------------------------------------------------------------------------------------------


def cut(trace: Trace, start: int, end: int) -> Trace:
    """The part of a trace between two times in ns: calls that touch it, whole, and what joins them."""
    import numpy as np

    from .container import Trace

    calls = trace.calls
    kept = (calls["start"] <= end) & (calls["end"] >= start)
    number = np.where(kept, np.cumsum(kept) - 1, -1)

    def renumbered(name: str, must: Sequence[str], may: Sequence[str] = ()) -> Any:
        table = getattr(trace, name)
        here = np.ones(len(table), bool)
        for column in must:
            here &= kept[table[column]]
        table = table[here].copy()
        for column in (*must, *may):
            table[column] = np.where(table[column] >= 0, number[table[column]], -1)
        return table

    counts = np.bincount(calls["row"][kept], minlength=len(trace.rows)).tolist()
    rows = [row | {"calls": count} for row, count in zip(trace.rows, counts, strict=True)]
    tables = {name: renumbered(name, ["call"]) for name in ("nested", "values", "unmatched")}
    return Trace(
        trace.meta | {"from": start, "to": end}, rows, trace.operations, trace.sites, trace.comms, trace.strings, calls[kept],
        renumbered("messages", ["send", "receive"], ["send_done", "receive_done"]), renumbered("collectives", ["call"], ["done"]), **tables,
    )  # fmt: skip


def _duration(trace: Trace) -> int:
    return max(int(trace.meta.get("duration") or 0), int(trace.calls["end"].max(initial=0)), 1)


def _check_size(calls: int, source: str, duration: int) -> None:
    if calls > MOST_CALLS:
        part = duration * MOST_CALLS / calls * 0.9 / 1e9
        raise ViewError(
            f"{source} has {calls:,} calls, more than the {MOST_CALLS:,} that a page can hold: draw a part of its {duration / 1e9:.3g} s, "
            f"for example --from 0 --to {part:.3g}"
        )


# --- the parts of the page ---------------------------------------------------------------------------------------------


def _escaped(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _block(table: str, index: int, data: bytes) -> str:
    return f'<script type="application/x-mmpit" id="{table}-{index}">{base64.b64encode(data).decode()}</script>\n'


def _wait_blocks(analysis: Any) -> list[tuple[int, bytes]]:
    """The wait states, as a table of the file would be."""
    import numpy as np

    from .. import _merge
    from .container import deflated

    waits, blocks = analysis.waits, []
    for first in range(0, len(waits), BLOCK):
        part = waits[first : first + BLOCK]
        numbers: list[Any] = [np.ascontiguousarray(part[name], "<i8") for name, _ in WAIT_COLUMNS]
        columns = [_merge.encode(column, coding) for column, (_, coding) in zip(numbers, WAIT_COLUMNS, strict=True)]
        blocks.append((len(part), deflated(columns)))
    return blocks


def _data(chunks: Iterator[Chunk], trace: Trace, interval: tuple[int | None, int | None], report: bool) -> Iterator[str]:
    """The elements that hold the trace: its blocks, then the footer with wait states, then the report."""
    footer = json.loads(zlib.decompress(next(chunks).data))
    counts: dict[str, int] = {}
    for table, _, data in chunks:
        yield _block(table, counts.setdefault(table, 0), data)
        counts[table] += 1
    from . import analysis, waits
    from .report import verdict

    found = analysis.analyze(trace)
    blocks = _wait_blocks(found)
    for index, (_, data) in enumerate(blocks):
        yield _block("waits", index, data)
    footer["columns"]["waits"] = WAIT_COLUMNS
    footer["waits"] = [{"n": n, "length": len(data)} for n, data in blocks]
    footer["wait_kinds"] = waits.KINDS
    yield f'<script type="application/json" id="footer">{_escaped(footer)}</script>\n'
    if report:
        told = (found if interval == (None, None) else analysis.analyze(trace, *interval)).as_dict()
        yield f'<script type="application/json" id="report">{_escaped(told | {"verdict": verdict(told)})}</script>\n'


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _frame(title: str) -> tuple[str, str]:
    """The page before and after its data. Its policy lets it run its own scripts, by their hashes, and reach nothing."""
    style, decoder = _read("page.css"), _read("decode.js")
    script = "\n".join(_read(f"{name}.js") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {_hash(decoder)} {_hash(script)}; style-src {_hash(style)}; worker-src blob:; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {"TITLE": html.escape(title), "POLICY": policy, "STYLE": style, "DECODER": decoder, "SCRIPT": script}
    page = re.sub(r"@(TITLE|POLICY|STYLE|DECODER|SCRIPT)@", lambda match: parts[match[1]], _read("page.html"))
    before, after = page.split("@DATA@")
    return before, after


def parts(source: str | os.PathLike[str], start: int | None = None, end: int | None = None, report: bool = True) -> Iterator[str]:
    """The page of a trace, in parts. `start` and `end` in ns: only what touches that time. ViewError if it is too large."""
    from . import container

    path = container.merged(source)
    trace = container.read(path)
    interval = (start, end)
    if interval == (None, None):
        _check_size(len(trace.calls), os.fspath(source), _duration(trace))
        yield from _page(container.chunks(path), trace, interval, report)
        return
    low, high = max(0, start or 0), min(_duration(trace), _duration(trace) if end is None else end)
    if low >= high:
        raise ViewError(f"from {low / 1e9:g} s to {high / 1e9:g} s there is nothing: the trace lasts {_duration(trace) / 1e9:g} s")
    trace = cut(trace, low, high)
    _check_size(len(trace.calls), f"from {low / 1e9:g} s to {high / 1e9:g} s {os.fspath(source)}", high - low)
    with tempfile.TemporaryDirectory(prefix="mmpi-view-") as folder:
        trace.write(Path(folder, "part.mmpit"))
        yield from _page(container.chunks(Path(folder, "part.mmpit")), trace, (low, high), report)


def _page(chunks: Iterator[Chunk], trace: Trace, interval: tuple[int | None, int | None], report: bool) -> Iterator[str]:
    name = os.path.basename(str(trace.meta.get("program") or "")) or "trace"
    before, after = _frame(f"{name}: timeline")
    yield before
    yield from _data(chunks, trace, interval, report)
    yield after


def write(
    source: str | os.PathLike[str], path: str | os.PathLike[str], start: int | None = None, end: int | None = None, report: bool = True
) -> int:
    """Write the page of a trace; return its size in bytes. The file appears when it is whole."""
    path = os.fspath(path)
    unfinished = f"{path}.{os.getpid()}.tmp"
    try:
        with open(unfinished, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts(source, start, end, report))
        os.replace(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise
    return os.path.getsize(path)


# --- notebooks ---------------------------------------------------------------------------------------------------------


class Inline:
    """A page that a notebook shows in the output of its cell."""

    def __init__(self, page: str, height: int) -> None:
        self.page = page
        self.height = height

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {self.height}px; border: 1px solid #8884; border-radius: 6px"
        return f'<iframe srcdoc="{html.escape(self.page)}" style="{style}" title="Timeline"></iframe>'

    def __repr__(self) -> str:
        return f"<Timeline of {len(self.page)} characters: the last expression of a notebook's cell shows it>"


def show(source: str | os.PathLike[str], start: int | None = None, end: int | None = None, height: int = 640) -> Inline:
    """Show a trace in a notebook: the last expression of a cell. `start`, `end`: ns; `height`: pixels.

    ViewError if the page has more than 32 MiB, which would be saved with the notebook."""
    page = "".join(parts(source, start, end))
    if len(page) > INLINE:
        raise ViewError(
            f"the page of {os.fspath(source)} has {len(page) >> 20} MiB, too many inside a notebook ({INLINE >> 20}): give start and end, "
            f"or write a file: mmpi trace view {os.fspath(source)} -o run.html"
        )
    return Inline(page, height)


# --- the command -------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="mmpi trace view", description=HELP, formatter_class=formatter, allow_abbrev=False)
    parser.add_argument("source", metavar="SRC", help="a folder of streams, or a merged file (.mmpit)")
    parser.add_argument("-o", "--output", metavar="FILE", help="the page (default: SRC with the suffix .html; in a folder trace.html)")
    parser.add_argument("--from", dest="start", metavar="TIME", help="only what comes after: seconds, or with a unit: 200ms, 35us")
    parser.add_argument("--to", dest="end", metavar="TIME", help="only what comes before")
    parser.add_argument("--no-report", dest="report", action="store_false", help="only the timeline, no report as first page")
    return parser


def _output(source: str, output: str | None) -> str:
    if output is not None:
        return output
    return os.path.join(source, "trace.html") if os.path.isdir(source) else os.path.splitext(source)[0] + ".html"


def main(argv: Sequence[str]) -> int:
    """Run `mmpi trace view`; return its exit status."""
    from .report import seconds
    from .words import check_folder_of, reason

    options = _parser().parse_args(list(argv))
    try:
        start, end = (None if word is None else seconds(word, option) for word, option in ((options.start, "--from"), (options.end, "--to")))
        output = _output(options.source, options.output)
        check_folder_of(output)
        size = write(options.source, output, start, end, options.report)
    except (OSError, ValueError, ImportError) as error:
        print(f"mmpi trace view: {reason(error)}", file=sys.stderr)
        return 1
    print(f"{output}: {size / 1e6:.1f} MB; open it in a browser")
    return 0
