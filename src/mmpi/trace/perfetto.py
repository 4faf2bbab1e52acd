# SPDX-License-Identifier: BSD-3-Clause
"""Traces for https://ui.perfetto.dev: as JSON (the format of Chrome) or in Perfetto's own protobuf.

A process for each rank, a thread for each of its threads, slices for calls and states, flows for messages from the call that sent to the call
that received, counters, instants. Arguments of a slice: communicator, peer, tag, bytes, line; what belongs to one collective has its number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .container import Trace
from .sequence import Array, tour, within

JSON_CALLS = 1_000_000  # a JSON file of more would be too large for the page that reads it
PART = 65536  # calls at a time
ALONE = ("event", "counter")
Tell = Callable[[int, int], None]


def write(trace: Trace, path: str, tell: Tell) -> str:
    """Write `trace`: as JSON if `path` ends in .json, else as protobuf. ValueError for JSON of more than 1,000,000 calls."""
    calls = f"{len(trace.calls)} calls, {len(trace.messages)} messages"
    if not path.endswith(".json"):
        with open(path, "wb") as file:
            for part in Protobuf(trace).parts(tell):
                file.write(part)
        return f"{path}: {calls}, as protobuf"
    if len(trace.calls) > JSON_CALLS:
        raise ValueError(
            f"{len(trace.calls)} calls: JSON takes up to {JSON_CALLS}; give the file a name that does not end in .json, and protobuf is written"
        )
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
        separator = ""
        for lines in _json(trace, tell):
            file.write(separator + ",\n".join(lines))
            separator = ",\n" if lines else separator
        file.write("\n]}\n")
    return f"{path}: {calls}, as JSON"


class Facts:
    """What both formats say of calls, as arrays with a row a call."""

    def __init__(self, trace: Trace) -> None:
        calls = trace.calls
        self.alone = within(["event"], trace)
        self.counter = within(["counter"], trace)
        self.instance = np.full(len(calls), -1)
        self.instance[trace.collectives["call"]] = trace.collectives["instance"]
        self.pids = [row["rank"] + 1 for row in trace.rows]  # a process 0 would be taken for that of the system
        largest = max(self.pids, default=0)
        self.tids = [
            pid if row["thread"] == 0 else largest + 1 + number for number, (row, pid) in enumerate(zip(trace.rows, self.pids, strict=True))
        ]
        self.names = [comm["name"] or (f"communicator {number}" if number else "") for number, comm in enumerate(trace.comms)]
        self.done = np.where(trace.messages["receive_done"] >= 0, trace.messages["receive_done"], trace.messages["receive"])


def _values(trace: Trace) -> dict[int, list[Any]]:
    """The users' values of each call that has some."""
    found: dict[int, list[Any]] = {}
    table = trace.values[np.lexsort((trace.values["position"], trace.values["call"]))]
    floats = np.ascontiguousarray(table["value"]).view("<f8").tolist()
    for call, kind, value, real in zip(table["call"].tolist(), table["type"].tolist(), table["value"].tolist(), floats, strict=True):
        text = trace.strings[value] if kind == 3 and 0 <= value < len(trace.strings) else ""
        found.setdefault(call, []).append(value if kind == 1 else real if kind == 2 else text)
    return found


def labels(trace: Trace) -> list[list[str]]:
    """Names of the values of each operation, from its format."""
    from .clog2 import CLAUSE

    return [[label.strip(" ,;=:") for label in CLAUSE.findall(operation.get("format", ""))] for operation in trace.operations]


def label(names: list[str], position: int) -> str:
    """The name of a value."""
    return names[position] if position < len(names) and names[position] else f"value {position}" if position else "value"


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(trace: Trace, tell: Tell) -> Iterator[list[str]]:
    facts, values = Facts(trace), _values(trace)
    yield list(_json_rows(trace, facts))
    named = [json.dumps(operation["name"]) for operation in trace.operations]
    kinds = [operation["kind"] for operation in trace.operations]
    comms = [json.dumps(name) for name in facts.names]
    sites = [json.dumps(f"{site['file']}:{site['line']}" if number else "") for number, site in enumerate(trace.sites)]
    called = labels(trace)
    for first in range(0, len(trace.calls), PART):
        yield _json_calls(trace, facts, (named, kinds, comms, sites, called, values), first)
        tell(min(first + PART, len(trace.calls)), len(trace.calls))
    for first in range(0, len(trace.messages), PART):
        yield _json_flows(trace, facts, first)


def _json_rows(trace: Trace, facts: Facts) -> Iterator[str]:
    for row, pid, tid in zip(trace.rows, facts.pids, facts.tids, strict=True):
        host = f" on {row['host']}" if row.get("host") else ""
        texts = (("process_name", "name", f"rank {row['rank']}{host}"), ("process_sort_index", "sort_index", row["rank"]))
        threads = (("thread_name", "name", f"thread {row['thread']}"), ("thread_sort_index", "sort_index", row["thread"]))
        for name, key, value in texts + threads:
            yield json.dumps({"ph": "M", "pid": pid, "tid": tid, "name": name, "args": {key: value}})


def _micro(ns: int) -> str:
    """ns as microseconds, exactly."""
    return f"{'-' if ns < 0 else ''}{abs(ns) // 1000}.{abs(ns) % 1000:03}"


def _json_calls(trace: Trace, facts: Facts, words: tuple[Any, ...], first: int) -> list[str]:
    named, kinds, comms, sites, called, values = words
    part = trace.calls[first : first + PART]
    lines = []
    columns = [part[name].tolist() for name in ("row", "start", "duration", "operation", "site", "comm", "peer", "tag", "bytes")]
    instances = facts.instance[first : first + PART].tolist()
    for number, (row, start, duration, operation, site, comm, peer, tag, size, instance) in enumerate(
        zip(*columns, instances, strict=True), first
    ):
        args = []
        if comm:
            args.append(f'"comm":{comms[comm]}')
        if peer != -1:
            args.append(f'"peer":{peer if peer >= 0 else chr(34) + "PROC_NULL" + chr(34)}')
        if tag != -1:
            args.append(f'"tag":{tag}')
        if size >= 0:
            args.append(f'"bytes":{size}')
        if site:
            args.append(f'"site":{sites[site]}')
        if instance >= 0:
            args.append(f'"collective":{instance}')
        for position, value in enumerate(values.get(number, ())):
            args.append(
                f"{json.dumps(label(called[operation], position))}:{json.dumps(value if value == value and abs_finite(value) else str(value))}"
            )
        where = f'"pid":{facts.pids[row]},"tid":{facts.tids[row]},"ts":{_micro(start)},"name":{named[operation]},"cat":"{kinds[operation]}"'
        what = (
            '"ph":"C"'
            if kinds[operation] == "counter"
            else '"ph":"i","s":"t"'
            if kinds[operation] == "event"
            else f'"ph":"X","dur":{_micro(duration)}'
        )
        if kinds[operation] == "counter":
            args = [text for text in args if not text.startswith(('"comm"', '"site"'))]
        lines.append(f'{{{what},{where},"args":{{{",".join(args)}}}}}')
    return lines


def abs_finite(value: Any) -> bool:
    """Can JSON hold it?"""
    return not isinstance(value, float) or value - value == 0


def _json_flows(trace: Trace, facts: Facts, first: int) -> list[str]:
    messages, calls = trace.messages[first : first + PART], trace.calls
    done = facts.done[first : first + PART]
    send, arrive = calls["start"][messages["send"]].tolist(), np.maximum(calls["end"][done] - 1, calls["start"][done]).tolist()
    lines = []
    for number, (start, end, source, target) in enumerate(
        zip(send, arrive, calls["row"][messages["send"]].tolist(), calls["row"][done].tolist(), strict=True), first
    ):
        common = f'"cat":"message","name":"message","id":{number + 1}'
        lines.append(f'{{"ph":"s",{common},"pid":{facts.pids[source]},"tid":{facts.tids[source]},"ts":{_micro(start)}}}')
        lines.append(f'{{"ph":"f","bp":"e",{common},"pid":{facts.pids[target]},"tid":{facts.tids[target]},"ts":{_micro(end)}}}')
    return lines


# --- protobuf --------------------------------------------------------------------------------------------------------

# Numbers of fields in perfetto/trace/*.proto
PACKET, TIME, SEQUENCE, FLAGS, EVENT, INTERNED, TRACK, FIRST = 1, 8, 10, 13, 11, 12, 60, 87
CATEGORY, ARGUMENT, TYPE, NAME, ON_TRACK, COUNTER_INT, SITE, COUNTER, FLOW, FLOW_ENDS, CORRELATION = 3, 4, 9, 10, 11, 30, 34, 44, 47, 48, 52
BEGIN, END, INSTANT, COUNT = 1, 2, 3, 4
CLEARED, NEEDED = 1, 2  # state of interned texts
CATEGORIES = ("mpi", "state", "event", "counter")
ARGUMENTS = ("comm", "peer", "tag", "bytes", "collective")


def varint(value: int) -> bytes:
    """An integer as protobuf has it; a negative one as that of 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field that is an integer."""
    return varint(field << 3) + varint(value)


def data(field: int, content: bytes | str) -> bytes:
    """A field that is a message or a text."""
    content = content.encode("utf-8", "replace") if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


class Columns:
    """Many messages at once: pieces of bytes side by side, a row a message; each row has of a piece what it needs."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.pieces: list[tuple[Array, Array]] = []  # bytes [n, width], how many of them [n]

    def fixed(self, content: bytes, present: Array | None = None) -> None:
        """The same bytes in each row, or in those where it is present."""
        piece = np.broadcast_to(np.frombuffer(content, np.uint8), (self.n, len(content)))
        self.pieces.append((piece, np.full(self.n, len(content)) if present is None else np.where(present, len(content), 0)))

    def varint(self, values: Array, present: Array | None = None) -> None:
        """A number of each row; negative ones as 64 bits."""
        rest = np.asarray(values).astype(np.int64).astype(np.uint64)
        longest = max(1, (int(rest.max(initial=0)).bit_length() + 6) // 7)
        piece = np.empty((self.n, longest), np.uint8)
        length = np.ones(self.n, np.int64)
        for i in range(longest):
            low = (rest & np.uint64(127)).astype(np.uint8)
            rest = rest >> np.uint64(7)
            piece[:, i] = low | np.where(rest > 0, 128, 0).astype(np.uint8)
            length += (rest > 0) & (i + 1 < longest)
        self.pieces.append((piece, length if present is None else np.where(present, length, 0)))

    def field(self, field: int, values: Array, present: Array | None = None) -> None:
        """A field that is an integer."""
        self.fixed(varint(field << 3), present)
        self.varint(values, present)

    def bytes8(self, values: Array, present: Array) -> None:
        """The eight bytes of each value."""
        piece = np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(self.n, 8)
        self.pieces.append((piece, np.where(present, 8, 0)))

    def lengths(self) -> Array:
        """How long each row is."""
        return sum((length for _, length in self.pieces), np.zeros(self.n, np.int64))

    def nested(self, field: int, inner: Columns, present: Array | None = None, more: Array | int = 0) -> None:
        """A field that is a message, the rows of `inner`; it has `more` bytes that come elsewhere."""
        self.fixed(varint(field << 3 | 2), present)
        self.varint(inner.lengths() + more, present)
        for piece, length in inner.pieces:
            self.pieces.append((piece, length if present is None else np.where(present, length, 0)))

    def joined(self) -> Array:
        """All rows, one behind the other."""
        whole = np.concatenate([piece for piece, _ in self.pieces], 1)
        mask = np.concatenate([np.arange(piece.shape[1]) < length[:, None] for piece, length in self.pieces], 1)
        return whole[mask]  # type: ignore[no-any-return]


class Protobuf:
    """A trace as packets: the tracks, the texts, then the events of each row in their order."""

    def __init__(self, trace: Trace) -> None:
        self.trace, self.facts = trace, Facts(trace)
        self.tour = tour(trace.calls)
        messages = trace.messages
        self.flows = {
            FLOW: _grouped(messages["send"], np.arange(len(messages)) + 1), FLOW_ENDS: _grouped(self.facts.done, np.arange(len(messages)) + 1),
        }  # fmt: skip
        self.called = labels(trace)
        self.values = _by_position(trace)
        self.argument_names = list(ARGUMENTS)
        self.argument_ids = self._argument_ids()
        self.counter_tracks = np.zeros((len(trace.rows), max(1, len(trace.operations))), np.int64)

    def parts(self, tell: Tell) -> Iterator[bytes]:
        """The file in parts."""
        trace = self.trace
        yield b"".join(self._tracks())
        yield self._texts()
        bounds = np.searchsorted(trace.calls["row"], np.arange(len(trace.rows) + 1))
        kinds = np.array([operation["kind"] in ALONE for operation in trace.operations] or [False])
        for row in range(len(trace.rows)):
            numbers = np.arange(bounds[row], bounds[row + 1])
            left = numbers[~kinds[trace.calls["operation"][numbers]]]
            call, leaves = np.concatenate([numbers, left]), np.repeat([False, True], [len(numbers), len(left)])
            time = np.where(leaves, trace.calls["end"][call], trace.calls["start"][call])
            order = np.lexsort((np.where(leaves, self.tour.leave[call], self.tour.enter[call]), time))
            for first in range(0, len(order), PART):
                chosen = order[first : first + PART]
                yield from self._events(row, call[chosen], leaves[chosen], time[chosen])
                tell(int(bounds[row]) + (first + len(chosen)) // 2, len(trace.calls))

    def _tracks(self) -> Iterator[bytes]:
        seen = set()
        for i, (row, pid, tid) in enumerate(zip(self.trace.rows, self.facts.pids, self.facts.tids, strict=True)):
            if pid not in seen:
                seen.add(pid)
                host = f" on {row['host']}" if row.get("host") else ""
                process = number(1, pid) + data(6, f"rank {row['rank']}{host}") + number(3, row["rank"])
                yield _packet(data(TRACK, number(1, self._process(pid)) + data(3, process) + number(12, row["rank"]) + number(11, 3)))
            thread = number(1, pid) + number(2, tid) + data(5, f"thread {row['thread']}") + number(3, row["thread"])
            yield _packet(data(TRACK, number(1, self._row(i)) + number(5, self._process(pid)) + data(4, thread) + number(12, row["thread"])))
        yield from self._counter_tracks()

    def _argument_ids(self) -> Array:
        """The number of the name of each value of each operation."""
        table = np.zeros((max(1, len(self.called)), max(1, len(self.values))), np.int64)
        for operation, names in enumerate(self.called):
            for position in range(len(self.values)):
                name = label(names, position)
                if name not in self.argument_names:
                    self.argument_names.append(name)
                table[operation, position] = self.argument_names.index(name) + 1
        return table

    def _process(self, pid: int) -> int:
        return len(self.trace.rows) + 1 + pid

    def _row(self, row: int) -> int:
        return row + 1

    def _counter_tracks(self) -> Iterator[bytes]:
        calls = self.trace.calls[self.facts.counter]
        pairs = np.unique(np.stack([calls["row"], calls["operation"]], 1), axis=0) if len(calls) else np.zeros((0, 2), int)
        first = self._process(max(self.facts.pids, default=0)) + 1
        for track, (row, operation) in enumerate(pairs.tolist(), first):
            self.counter_tracks[row, operation] = track
            described = data(2, self.trace.operations[operation]["name"]) + number(5, self._row(row)) + data(8, b"")
            yield _packet(data(TRACK, number(1, track) + described))

    def _texts(self) -> bytes:
        """All texts, once: the events name them by numbers."""
        texts = [data(1, number(1, i + 1) + data(2, name)) for i, name in enumerate(CATEGORIES)]
        texts += [data(2, number(1, i + 1) + data(2, operation["name"])) for i, operation in enumerate(self.trace.operations)]
        texts += [data(3, number(1, i + 1) + data(2, name)) for i, name in enumerate(self.argument_names)]
        for i, site in enumerate(self.trace.sites):
            if i:
                texts.append(data(4, number(1, i) + data(2, site["file"]) + data(3, site["function"]) + number(4, max(0, site["line"]))))
        texts += [data(29, number(1, i + 1) + data(2, name)) for i, name in enumerate([*self.facts.names, "", *self.trace.strings, ""])]
        return _packet(data(INTERNED, b"".join(texts)) + number(FLAGS, CLEARED) + number(FIRST, 1))

    def _events(self, row: int, call: Array, leaves: Array, time: Array) -> Iterator[bytes]:
        flows, counts = self._flows(call, leaves)
        more = 10 * counts
        whole, parts = np.empty(len(call), np.int64), []
        for chosen, event in ((np.flatnonzero(~leaves), self._event), (np.flatnonzero(leaves), self._leave)):
            packet = Columns(len(chosen))
            packet.field(TIME, np.maximum(time[chosen], 0))
            packet.fixed(number(SEQUENCE, 1) + number(FLAGS, NEEDED))
            packet.nested(EVENT, event(row, call[chosen]), more=more[chosen])
            outer = Columns(len(chosen))
            outer.nested(PACKET, packet, more=more[chosen])
            whole[chosen] = outer.lengths() + more[chosen]
            parts.append((chosen, outer))
        yield _interleaved(whole, parts, flows, counts).tobytes()

    def _leave(self, row: int, call: Array) -> Columns:
        event = Columns(len(call))
        event.fixed(number(TYPE, END) + number(ON_TRACK, self._row(row)))
        return event

    def _event(self, row: int, call: Array) -> Columns:
        trace, facts = self.trace, self.facts
        calls = trace.calls[call]
        counter = facts.counter[call]
        slices = ~counter
        event = Columns(len(call))
        event.field(TYPE, np.where(counter, COUNT, np.where(facts.alone[call], INSTANT, BEGIN)))
        event.field(ON_TRACK, np.where(counter, self.counter_tracks[row, calls["operation"]], self._row(row)))
        kinds = np.array([CATEGORIES.index(operation["kind"]) + 1 for operation in trace.operations] or [0])
        event.field(CATEGORY, kinds[calls["operation"]], slices)
        event.field(NAME, calls["operation"] + 1, slices)
        event.field(SITE, calls["site"], slices & (calls["site"] > 0))
        for place, (name, values, present) in enumerate((
            ("comm", calls["comm"] + 1, calls["comm"] > 0), ("peer", calls["peer"], calls["peer"] != -1), ("tag", calls["tag"],
            calls["tag"] != -1),
            ("bytes", calls["bytes"], calls["bytes"] >= 0), ("collective", facts.instance[call], facts.instance[call] >= 0),
        )):  # fmt: skip
            if (present & slices).any():
                argument = Columns(len(call))
                argument.fixed(number(1, place + 1))
                argument.field(17 if name == "comm" else 4, values)
                event.nested(ARGUMENT, argument, slices & present)
        event.field(CORRELATION, facts.instance[call], slices & (facts.instance[call] >= 0))
        self._add_values(event, call, calls["operation"], counter)
        return event

    def _add_values(self, event: Columns, call: Array, operation: Array, counter: Array) -> None:
        """The users' values: arguments of slices, the first number the value of a counter."""
        for position, table in enumerate(self.values):
            place = np.minimum(np.searchsorted(table["call"], call), len(table) - 1)
            mine = table[place]
            present = mine["call"] == call
            if not present.any():
                continue
            whole, real, text = (mine["type"] == kind for kind in (1, 2, 3))
            argument = Columns(len(call))
            argument.field(1, self.argument_ids[operation, position])
            argument.field(4, mine["value"], whole)
            argument.fixed(varint(5 << 3 | 1), real)
            argument.bytes8(mine["value"], real)
            argument.field(17, np.clip(mine["value"], 0, len(self.trace.strings)) + len(self.facts.names) + 2, text)
            event.nested(ARGUMENT, argument, present & ~counter)
            if position == 0:
                event.field(COUNTER_INT, np.where(whole, mine["value"], 0), present & counter & ~real)
                event.fixed(varint(COUNTER << 3 | 1), present & counter & real)
                event.bytes8(mine["value"], present & counter & real)

    def _flows(self, call: Array, leaves: Array) -> tuple[Array, Array]:
        """Flows that begin with the entry of a call, or end when one is left: their bytes, ten each, and how many a row has."""
        counts = np.zeros(len(call), np.int64)
        places, contents = [], []
        for field, side in ((FLOW, ~leaves), (FLOW_ENDS, leaves)):
            owners, values = self.flows[field]
            low, high = np.searchsorted(owners, call, "left"), np.searchsorted(owners, call, "right")
            mine = np.where(side, high - low, 0)
            rows = np.repeat(np.arange(len(call)), mine)
            within_row = np.arange(len(rows)) - np.repeat(np.cumsum(mine) - mine, mine)
            content = np.empty((len(rows), 10), np.uint8)
            content[:, :2] = np.frombuffer(varint(field << 3 | 1), np.uint8)
            content[:, 2:] = values[low[rows] + within_row].astype("<u8").view(np.uint8).reshape(-1, 8)
            places.append(rows)
            contents.append(content)
            counts += mine
        order = np.argsort(np.concatenate(places), kind="stable")
        return np.concatenate(contents)[order], counts


def _packet(content: bytes) -> bytes:
    return data(PACKET, content + number(SEQUENCE, 1))


def _grouped(owners: Array, values: Array) -> tuple[Array, Array]:
    order = np.argsort(owners, kind="stable")
    return owners[order], values[order]


def _by_position(trace: Trace) -> list[Array]:
    """The users' values: the first of each call, the second, ..."""
    table = trace.values[np.lexsort((trace.values["position"], trace.values["call"]))]
    nth = np.arange(len(table)) - np.searchsorted(table["call"], table["call"], "left")
    return [table[nth == position] for position in range(int(nth.max(initial=-1)) + 1)]


def _interleaved(whole: Array, parts: list[tuple[Array, Columns]], flows: Array, counts: Array) -> Array:
    """Rows of these lengths, of which each part makes some, each with its flows behind it."""
    begin = np.cumsum(whole) - whole
    out = np.empty(int(whole.sum()), np.uint8)
    for chosen, columns in parts:
        head = columns.lengths()
        out[np.arange(int(head.sum())) + np.repeat(begin[chosen] - (np.cumsum(head) - head), head)] = columns.joined()
    nth = np.arange(len(flows)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = np.repeat(begin + whole - 10 * counts, counts) + 10 * nth
    out[place[:, None] + np.arange(10)] = flows
    return out
