# SPDX-License-Identifier: BSD-3-Clause
"""Traces as CSV: a line a call, or a line a message."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from .container import Trace

CALLS = (
    "call", "rank", "thread", "host", "operation", "kind", "start", "end", "duration", "depth", "file", "line", "function", "communicator",
    "peer",
    "world_peer", "tag", "bytes", "flags",
)  # fmt: skip
MESSAGES = (
    "send", "receive", "source", "source_thread", "destination", "destination_thread", "communicator", "tag", "bytes", "send_operation",
    "receive_operation",
    "send_start", "send_end", "receive_start", "receive_end", "send_file", "send_line", "receive_file", "receive_line", "assumed",
)  # fmt: skip
FLAGS = {1: "open", 2: "error", 4: "any_source", 8: "any_tag", 16: "derived", 32: "copied", 64: "polls"}
PART = 65536  # lines at a time
Tell = Callable[[int, int], None]


def write(trace: Trace, path: str, table: str, tell: Tell) -> str:
    """Write the `calls` or the `messages` of a trace. A field is empty where there is nothing to say."""
    if table not in ("calls", "messages"):
        raise ValueError(f"no table {table!r}: choose calls or messages")
    header, lines = (CALLS, _calls) if table == "calls" else (MESSAGES, _messages)
    total = len(getattr(trace, table))
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        _write_lines(file, header, lines, trace, total, tell)
    return f"{path}: {total} {table}"


def _write_lines(file: TextIO, header: tuple[str, ...], lines: Any, trace: Trace, total: int, tell: Tell) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for first in range(0, total, PART):
        writer.writerows(lines(trace, first, min(first + PART, total)))
        tell(min(first + PART, total), total)


def seconds(times: Any) -> list[str]:
    """Times in ns as seconds, exactly."""
    return [f"{'-' if t < 0 else ''}{abs(t) // 1000000000}.{abs(t) % 1000000000:09}" for t in times.tolist()]


def _known(values: Any) -> list[Any]:
    return [value if value >= 0 else "" for value in values.tolist()]


def _peers(values: Any) -> list[Any]:
    return [value if value >= 0 else "PROC_NULL" if value == -2 else "" for value in values.tolist()]


def _flags(values: Any) -> list[str]:
    words: dict[int, str] = {0: ""}
    for value in set(values.tolist()):
        words[value] = " ".join(word for bit, word in FLAGS.items() if value & bit)
    return [words[value] for value in values.tolist()]


def _calls(trace: Trace, first: int, end: int) -> Iterator[tuple[Any, ...]]:
    calls = trace.calls[first:end]
    rows = [trace.rows[row] for row in calls["row"].tolist()]
    operations = [trace.operations[number] for number in calls["operation"].tolist()]
    sites = [trace.sites[number] for number in calls["site"].tolist()]
    return zip(
        range(first, end), [row["rank"] for row in rows], [row["thread"] for row in rows], [row["host"] for row in rows],
        [operation["name"] for operation in operations], [operation["kind"] for operation in operations],
        seconds(calls["start"]), seconds(calls["end"]), seconds(calls["duration"]), calls["depth"].tolist(),
        [site["file"] for site in sites], [site["line"] or "" for site in sites], [site["function"] for site in sites],
        [trace.comms[number]["name"] or (number or "") for number in calls["comm"].tolist()],
        _peers(calls["peer"]), _peers(calls["world_peer"]), _known(calls["tag"]), _known(calls["bytes"]), _flags(calls["flags"]), strict=True,
    )  # fmt: skip


def _messages(trace: Trace, first: int, end: int) -> Iterator[tuple[Any, ...]]:
    messages = trace.messages[first:end]
    sides = []
    for name in ("send", "receive"):
        done = messages[f"{name}_done"]
        calls, ended = trace.calls[messages[name]], trace.calls["end"][done] if len(done) else done
        ends = [time if number >= 0 else "" for time, number in zip(seconds(ended), done.tolist(), strict=True)]
        sides.append((calls, seconds(calls["start"]), ends, [trace.sites[number] for number in calls["site"].tolist()]))
    (send, send_start, send_end, send_site), (receive, receive_start, receive_end, receive_site) = sides
    from_row, to_row = ([trace.rows[row] for row in calls["row"].tolist()] for calls in (send, receive))
    return zip(
        messages["send"].tolist(), messages["receive"].tolist(), [row["rank"] for row in from_row], [row["thread"] for row in from_row],
        [row["rank"] for row in to_row], [row["thread"] for row in to_row],
        [trace.comms[number]["name"] or number for number in messages["comm"].tolist()],
        _known(messages["tag"]), _known(messages["bytes"]),
        [trace.operations[number]["name"] for number in send["operation"].tolist()],
        [trace.operations[number]["name"] for number in receive["operation"].tolist()],
        send_start, send_end, receive_start, receive_end, [site["file"] for site in send_site], [site["line"] or "" for site in send_site],
        [site["file"] for site in receive_site], [site["line"] or "" for site in receive_site], messages["assumed"].tolist(), strict=True,
    )  # fmt: skip
