# SPDX-License-Identifier: BSD-3-Clause
"""Traces as CLOG-2, the format of MPE2, which clog2TOslog2 turns into SLOG-2 for Jumpshot.

A preamble of 1024 bytes in text, then blocks of 64 KiB, each a row of records of which the last says that the block, or the log,
ends; at last a table of communicators. A record has a head of 24 bytes: the time in seconds, communicator, rank in it, thread, type.
All numbers are big-endian.

What the converter wants, and how it gets it:

- An event belongs to a line (communicator, rank, thread) that a record of the communicator made known before.
- It pairs the first open begin of a state with the first end on the same line: a state inside itself gets events of its own.
- It pairs messages by tag and both lines, first come, first served: the ends of messages that overtook each other in completing
  are put into the order of their sends.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .colors import x11
from .container import Trace
from .sequence import Array, self_nesting, tour, within

VERSION = "CLOG-02.44"
PREAMBLE, BLOCK, UNIT = 1024, 65536, 1 << 30
WORD, WORDS = 8, BLOCK // 8
HEAD = struct.Struct(">diiii")
ENDLOG, ENDBLOCK, STATEDEF, EVENTDEF, CONSTDEF, BARE, CARGO, MESSAGE, COLLECTIVE, COMM, SOURCE, SHIFT = range(12)
BODY = {
    ENDLOG: 0,
    ENDBLOCK: 0,
    STATEDEF: 112,
    EVENTDEF: 104,
    CONSTDEF: 40,
    BARE: 8,
    CARGO: 40,
    MESSAGE: 24,
    COLLECTIVE: 16,
    COMM: 48,
    SOURCE: 48,
    SHIFT: 8,
}
SEND, RECEIVE = -101, -102  # types of events of messages
KNOWN_STATES, USER_EVENT, USER_SOLO = 300, 600, 5000  # where MPE's own numbers end, and those of users begin
WORLD_CREATE, INTRA_CREATE = 0, 100
INTRA = 1  # kind of communicator
UUID, COLOR, NAME, FORMAT, BYTES = 32, 24, 32, 40, 32
CALL_FORMAT = "peer=%d tag=%d bytes=%l at=%s"  # of the calls of MPI
SITE_ROOM = BYTES - 4 - 4 - 8 - 2
NESTED = 8  # levels of a state inside itself that are told apart
INT32 = (1 << 31) - 1
GROUP = 64  # blocks written at a time
STRING, SITE = 3, 4  # types of values: 1 and 2 are integers and floats
LETTER = {1: "l", 2: "E", STRING: "s", SITE: "s"}
CLAUSE = re.compile(r"([^%]*)%[-+ #0-9.lhz]*[a-zA-Z]")
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Kind:
    """What the records of the calls of one operation look like."""

    begin: int  # number of the event that begins the first level of nesting
    solo: bool
    format: str
    types: tuple[int, ...]  # of the values in the order of the format; SITE: the line


def write(trace: Trace, path: str, tell: Tell) -> str:
    """Write `trace` as a CLOG-2 file; returns what was written. ValueError if it has more than the format can number."""
    lines = Lines(trace)
    level = self_nesting(trace.calls, NESTED)
    kinds = _kinds(trace, level)
    records = _records(trace, lines, kinds, level)
    definitions = [*lines.records(), *_definitions(trace, kinds, level)]
    with open(path, "w+b") as file:
        file.write(b"\0" * PREAMBLE)
        blocks = _write_definitions(file, definitions)
        blocks += _write_events(file, trace, lines, kinds, records, tell)
        file.write(lines.table())
        file.seek(0)
        file.write(_preamble(trace, lines, kinds, PREAMBLE + blocks * BLOCK))
    return f"{path}: {len(trace.calls)} calls, {len(trace.messages)} messages, {blocks} blocks"


# --- lines: who did it -----------------------------------------------------------------------------------------------


class Lines:
    """Communicators as the format numbers them, 0 being WORLD, and each row's rank in each of them.

    One between two groups stands for both together, first the group that the trace calls its members. What happens on one
    with members that are not known is said of WORLD."""

    def __init__(self, trace: Trace) -> None:
        ranks = [int(row["rank"]) for row in trace.rows]
        size = max([int(trace.meta.get("size", 0) or 0), *(rank + 1 for rank in ranks)], default=1)
        self.groups: list[list[int]] = [list(range(size))]
        self.gids = ["world"]
        self.number = [self._add(trace, comm) for comm in range(len(trace.comms))]  # of each communicator of the trace
        self.world_of_rows = np.array(ranks, np.int64)
        self.thread = np.array([int(row["thread"]) for row in trace.rows], np.int64)
        self.threads = int(self.thread.max(initial=0)) + 1
        self.largest = max(len(group) for group in self.groups)
        if len(self.groups) * self.largest * self.threads > INT32:
            self.number = [0] * len(trace.comms)
            del self.groups[1:], self.gids[1:]
        self.rank = np.full((len(self.groups), max(size, 1 + max((r for g in self.groups for r in g), default=0))), -1, np.int64)
        for i, group in enumerate(self.groups):
            for place, world in reversed(list(enumerate(group))):
                if world >= 0:
                    self.rank[i, world] = place

    def _add(self, trace: Trace, number: int) -> int:
        comm = trace.comms[number]
        group = [*comm.get("members", []), *comm.get("remote", [])]
        if not group or number == 0 or -1 in group or (group == self.groups[0] and "WORLD" in comm.get("name", "").upper()):
            return 0
        self.groups.append(group)
        self.gids.append(str(comm.get("gid", number)))
        return len(self.groups) - 1

    def of(self, comm: Array, row: Array) -> tuple[Array, Array]:
        """Communicator and rank of calls on these communicators of the trace, by these rows: of WORLD where they are not known."""
        number = np.array(self.number, np.int64)[comm]
        world = self.world_of_rows[row]
        rank = self.rank[number, world]
        return np.where(rank >= 0, number, 0), np.where(rank >= 0, rank, world)

    def records(self) -> Iterator[bytes]:
        """What makes the lines known."""
        for number, group in enumerate(self.groups):
            what = INTRA_CREATE if number else WORLD_CREATE
            for rank, world in enumerate(group):
                if world >= 0:
                    yield HEAD.pack(0.0, 0, world, 0, COMM) + struct.pack(f">iiii{UUID}s", what, number, rank, world, self.uuid(number))

    def uuid(self, number: int) -> bytes:
        """What names a communicator everywhere."""
        return f"{self.gids[number]:>0{UUID - 1}}"[: UUID - 1].encode("ascii", "replace")

    def table(self) -> bytes:
        """The table of communicators at the end of the file."""
        rows = [struct.pack(f">{UUID}sii", self.uuid(number), number, INTRA) for number in range(len(self.groups))]
        return struct.pack(">i", len(rows)) + b"".join(rows)


# --- definitions -----------------------------------------------------------------------------------------------------


def _kinds(trace: Trace, level: Array) -> list[Kind]:
    """How each operation is written. States have two events for every level that they nest in."""
    deepest = np.zeros(len(trace.operations), np.int64)
    np.maximum.at(deepest, trace.calls["operation"], level)
    solo = [operation["kind"] in ("event", "counter") for operation in trace.operations]
    states = sum(int(levels) + 1 for levels, alone in zip(deepest.tolist(), solo, strict=True) if not alone)
    begin, alone_number = USER_EVENT, max(USER_SOLO, USER_EVENT + 2 * states)
    found: dict[int, list[int]] = {}
    values = trace.values[np.argsort(trace.values["position"], kind="stable")]
    operations = trace.calls["operation"][values["call"]]
    for number in np.unique(operations).tolist():
        mine = values[operations == number]
        found[number] = mine["type"][mine["call"] == mine["call"][0]].tolist()
    kinds = []
    for number, operation in enumerate(trace.operations):
        text, types = (CALL_FORMAT, ()) if operation["kind"] == "mpi" else _user_format(operation.get("format", ""), found.get(number, []))
        if solo[number]:
            kinds.append(Kind(alone_number, True, text, types))
            alone_number += 1
        else:
            kinds.append(Kind(begin, False, text, types))
            begin += 2 * (int(deepest[number]) + 1)
    return kinds


def _user_format(text: str, types: list[int]) -> tuple[str, tuple[int, ...]]:
    """The format of the values of a user's state: numbers first, then a string or the line in the program if that fits into 32 bytes."""
    labels = [label.strip(" ,;") for label in CLAUSE.findall(text)]
    parts = [(labels[i] if i < len(labels) else f"v{i}=", kind) for i, kind in enumerate(types) if kind in LETTER]
    numbers = [part for part in parts if part[1] != STRING][: BYTES // 8]
    strings = [part for part in parts if part[1] == STRING] or [("at=", SITE)] * (len(numbers) <= 2)
    chosen = numbers + strings[: 1 if len(numbers) < BYTES // 8 else 0]
    for room in (FORMAT, 6, 3, 1):
        written = " ".join(f"{label[:room] or 'v='}%{LETTER[kind]}" for label, kind in chosen)
        if len(written) < FORMAT:
            break
    return written, tuple(kind for _, kind in chosen)


def _text(text: str, length: int) -> bytes:
    return text.encode("ascii", "replace")[: length - 1].ljust(length, b"\0")


def _definitions(trace: Trace, kinds: list[Kind], level: Array) -> Iterator[bytes]:
    deepest = np.zeros(len(kinds), np.int64)
    np.maximum.at(deepest, trace.calls["operation"], level)
    state = 0
    for operation, kind, levels in zip(trace.operations, kinds, deepest.tolist(), strict=True):
        said = _text(x11(operation.get("color", ""), operation["name"]), COLOR) + _text(operation["name"], NAME) + _text(kind.format, FORMAT)
        if kind.solo:
            yield HEAD.pack(0.0, 0, 0, 0, EVENTDEF) + struct.pack(">ii", kind.begin, 0) + said
            continue
        for begin in range(kind.begin, kind.begin + 2 * levels + 2, 2):
            yield HEAD.pack(0.0, 0, 0, 0, STATEDEF) + struct.pack(">iiii", KNOWN_STATES + state, begin, begin + 1, 0) + said
            state += 1


def _preamble(trace: Trace, lines: Lines, kinds: list[Kind], table: int) -> bytes:
    solos = [kind for kind in kinds if kind.solo]
    states = max((kind.begin for kind in kinds if not kind.solo), default=USER_EVENT) - USER_EVENT
    said = [
        VERSION, "is_big_endian=", "TRUE ", "is_finalzed=", "TRUE ", "block_size=", BLOCK, "num_buffered_blocks=", 128,  # "finalzed": so in MPE
        "max_comm_world_size=", lines.largest, "max_thread_count=", lines.threads, "known_eventID_start=", 0, "user_eventID_start=", USER_EVENT,
        "known_solo_eventID_start=", -10, "user_solo_eventID_start=", min((kind.begin for kind in solos), default=USER_SOLO),
        "known_stateID_count=", KNOWN_STATES, "user_stateID_count=", states // 2 + NESTED, "known_solo_eventID_count=", 10,
        "user_solo_eventID_count=", len(solos), "commtable_fptr=", table // UNIT, UNIT, table % UNIT,
    ]  # fmt: skip
    return b"".join(str(item).encode() + b"\0" for item in said).ljust(PREAMBLE, b"\0")


def _write_definitions(file: Any, records: list[bytes]) -> int:
    block, blocks = bytearray(), 0
    for record in records:
        if len(block) + len(record) > BLOCK - HEAD.size:
            file.write((bytes(block) + HEAD.pack(0.0, 0, 0, 0, ENDBLOCK)).ljust(BLOCK, b"\0"))
            block.clear()
            blocks += 1
        block += record
    file.write((bytes(block) + HEAD.pack(0.0, 0, 0, 0, ENDBLOCK)).ljust(BLOCK, b"\0"))
    return blocks + 1


# --- events ----------------------------------------------------------------------------------------------------------

BEGINS, ENDS, SENDS, RECEIVES = range(4)


@dataclass(frozen=True)
class Records:
    """All events in the order of the file: a call's begin or end, or a message's; of which; when; how long in words of 8 bytes."""

    what: Array
    index: Array
    time: Array
    words: Array
    payload: Payload
    level: Array


def _records(trace: Trace, lines: Lines, kinds: list[Kind], level: Array) -> Records:
    calls, messages = trace.calls, trace.messages
    alone = np.array([kind.solo for kind in kinds] or [False])[calls["operation"]]
    order = tour(calls)
    payload = Payload(trace, kinds)
    begin, end = np.arange(len(calls)), np.flatnonzero(~alone)
    arrives = _arrivals(trace)
    done = np.where(messages["receive_done"] >= 0, messages["receive_done"], messages["receive"])
    number = np.arange(len(messages))
    what = np.repeat(np.array([BEGINS, ENDS, SENDS, RECEIVES], np.int8), [len(begin), len(end), len(number), len(number)])
    index = np.concatenate([begin, end, number, number])
    time = np.concatenate([calls["start"], calls["end"][end], calls["start"][messages["send"]], arrives])
    row = np.concatenate([calls["row"], calls["row"][end], calls["row"][messages["send"]], calls["row"][done]])
    place = np.concatenate([4 * order.enter, 4 * order.leave[end], 4 * order.enter[messages["send"]] + 1, 4 * order.leave[done] - 1])
    words = np.concatenate([np.where(payload.has, 8, 4), np.full(len(end), 4), np.full(2 * len(number), 6)])
    sort = np.lexsort((place, row, time))
    return Records(what[sort], index[sort], time[sort], words[sort], payload, level)


def _arrivals(trace: Trace) -> Array:
    """When messages end: with the call that completed them, but not before one with the same tag and lines that was sent earlier."""
    calls, messages = trace.calls, trace.messages
    done = np.where(messages["receive_done"] >= 0, messages["receive_done"], messages["receive"])
    time = calls["end"][done].copy()
    source, target = calls["row"][messages["send"]], calls["row"][messages["receive"]]
    order = np.lexsort((calls["start"][messages["send"]], messages["tag"], messages["comm"], target, source))
    keys = [column[order] for column in (source, target, messages["comm"], messages["tag"])]
    same = np.zeros(len(order), bool)
    same[1:] = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    late = same.copy()
    late[1:] &= time[order][1:] < time[order][:-1]
    if late.any():  # seldom, so one group after the other
        group = np.cumsum(~same) - 1
        for number in np.unique(group[late]).tolist():
            members = order[group == number]
            time[members] = np.maximum.accumulate(time[members])
    return time


class Payload:
    """The 32 bytes that say more of a call: where it was made, its peer, tag and bytes; or the user's values."""

    def __init__(self, trace: Trace, kinds: list[Kind]) -> None:
        self.trace = trace
        calls = trace.calls
        is_mpi = within(["mpi"], trace)
        self.has = is_mpi & ((calls["site"] > 0) | (calls["peer"] != -1) | (calls["tag"] != -1) | (calls["bytes"] >= 0))
        self.is_mpi = is_mpi
        sites = np.zeros((len(trace.sites), SITE_ROOM + 2), np.uint8)
        for number, site in enumerate(trace.sites):
            said = f"{site['file'].rpartition('/')[2]}:{site['line']}"[-SITE_ROOM:].encode("ascii", "replace") if number else b""
            sites[number, : 2 + len(said)] = list(struct.pack(">h", len(said)) + said)
        self.sites = sites
        self.user, self.place = self._values(kinds)

    def _values(self, kinds: list[Kind]) -> tuple[Array, Array]:
        """The payloads of calls with values, and which of them is a call's."""
        only_site = np.array([kind.types == (SITE,) for kind in kinds] or [False])[self.trace.calls["operation"]]
        here = only_site & (self.trace.calls["site"] > 0) & ~self.is_mpi
        here[self.trace.values["call"]] |= ~self.is_mpi[self.trace.values["call"]]
        owners = np.flatnonzero(here)
        place = np.full(len(self.trace.calls), -1)
        place[owners] = np.arange(len(owners))
        user = np.zeros((len(owners), BYTES), np.uint8)
        operation = self.trace.calls["operation"]
        for number in np.unique(operation[owners]).tolist():
            types = kinds[number].types
            mine = owners[operation[owners] == number]
            self.has[mine] = bool(types)
            if types[-1:] == (SITE,):
                at = 8 * (len(types) - 1)
                user[place[mine], at : at + SITE_ROOM + 2] = self.sites[self.trace.calls["site"][mine]]
                types = types[:-1]
            for offset, (kind, nth) in enumerate((kind, types[:i].count(kind)) for i, kind in enumerate(types)):
                self._fill(user, place, number, kind, nth, 8 * offset)
        return user, place

    def _fill(self, user: Array, place: Array, number: int, kind: int, nth: int, at: int) -> None:
        """Put the nth value of this type of the calls of an operation into their payloads."""
        values, operation = self.trace.values, self.trace.calls["operation"]
        chosen = values[(operation[values["call"]] == number) & (values["type"] == kind)]
        chosen = chosen[np.lexsort((chosen["position"], chosen["call"]))]
        first = np.searchsorted(chosen["call"], chosen["call"], "left")
        chosen = chosen[np.arange(len(chosen)) - first == nth]
        rows = place[chosen["call"]]
        if kind != STRING:
            user[rows, at : at + 8] = np.ascontiguousarray(chosen["value"], ">i8").view(np.uint8).reshape(-1, 8)
            return
        room = BYTES - at - 2
        for string in np.unique(chosen["value"]).tolist():
            text = self.trace.strings[string].encode("ascii", "replace")[:room] if 0 <= string < len(self.trace.strings) else b""
            data = np.frombuffer(struct.pack(">h", len(text)) + text, np.uint8)
            user[rows[chosen["value"] == string], at : at + len(data)] = data

    def of(self, numbers: Array) -> Array:
        """The payloads of these calls, as four big-endian words each."""
        calls = self.trace.calls[numbers]
        data = np.zeros((len(numbers), BYTES), np.uint8)
        data[:, 0:4] = np.clip(calls["peer"], -2, INT32).astype(">i4").view(np.uint8).reshape(-1, 4)
        data[:, 4:8] = np.clip(calls["tag"], -1, INT32).astype(">i4").view(np.uint8).reshape(-1, 4)
        data[:, 8:16] = calls["bytes"].astype(">i8").view(np.uint8).reshape(-1, 8)
        data[:, 16:] = self.sites[calls["site"]]
        theirs = ~self.is_mpi[numbers]
        data[theirs] = self.user[self.place[numbers[theirs]]]
        return data.view(">u8").astype(np.uint64)


def _write_events(file: Any, trace: Trace, lines: Lines, kinds: list[Kind], records: Records, tell: Tell) -> int:
    """Fill blocks with the events, GROUP at a time."""
    room = WORDS - HEAD.size // WORD
    ends = np.cumsum(records.words)
    first, blocks, total = [0], 0, len(ends)
    while first[-1] < total:
        before = int(ends[first[-1] - 1]) if first[-1] else 0
        first.append(int(np.searchsorted(ends, before + room, "right")))
    count = max(1, len(first) - 1)
    first = first if len(first) > 1 else [0, 0]
    for at in range(0, count, GROUP):
        bounds = np.array(first[at : at + GROUP + 1])
        words = _blocks(trace, lines, kinds, records, ends, bounds, last=at + GROUP >= count)
        words.astype(">u8").tofile(file)
        blocks += len(bounds) - 1
        tell(int(bounds[-1]), total)
    file.flush()
    file.seek(0, 2)
    return blocks


def _pair(high: Any, low: Any) -> Array:
    """Two 32-bit integers in a word."""
    return (np.asarray(high, np.int64).astype(np.uint64) << np.uint64(32)) | (
        np.asarray(low, np.int64).astype(np.uint64) & np.uint64(0xFFFFFFFF)
    )


def _blocks(trace: Trace, lines: Lines, kinds: list[Kind], records: Records, ends: Array, bounds: Array, last: bool) -> Array:
    """The words of the blocks whose records begin at these bounds."""
    part = slice(int(bounds[0]), int(bounds[-1]))
    what, index, time = records.what[part], records.index[part], records.time[part] / 1e9
    block = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    used = np.concatenate([[0], ends])  # words before each record
    at = used[part.start : part.stop] - used[bounds[:-1]][block] + block * WORDS
    out = np.zeros((len(bounds) - 1) * WORDS, np.uint64)
    comm, rank, thread = _lines(trace, lines, what, index)
    out[at] = time.view(np.uint64)
    out[at + 1] = _pair(comm, rank)
    is_call = what <= ENDS
    cargo = (what == BEGINS) & (records.words[part] == 8)
    kind = np.where(is_call, np.where(cargo, CARGO, BARE), MESSAGE)
    out[at + 2] = _pair(thread, kind)
    _put_calls(trace, kinds, records, out, at, what, index, is_call, cargo)
    _put_messages(trace, lines, out, at[~is_call], what[~is_call], index[~is_call])
    closing = np.arange(len(bounds) - 1) * WORDS + used[bounds[1:]] - used[bounds[:-1]]
    latest = used[:0].astype(float) if not len(time) else time[np.maximum(bounds[1:] - 1 - part.start, 0)]
    out[closing] = latest.view(np.uint64) if len(latest) else 0
    types = np.full(len(closing), ENDBLOCK)
    types[-1] = ENDLOG if last else ENDBLOCK
    out[closing + 2] = _pair(0, types)
    return out


def _lines(trace: Trace, lines: Lines, what: Array, index: Array) -> tuple[Array, Array, Array]:
    """Communicator, rank and thread of events."""
    calls, messages = trace.calls, trace.messages
    row, comm = np.zeros(len(what), np.int64), np.zeros(len(what), np.int64)
    is_call = what <= ENDS
    row[is_call], comm[is_call] = calls["row"][index[is_call]], calls["comm"][index[is_call]]
    for kind, column in ((SENDS, "send"), (RECEIVES, "receive")):
        mine = what == kind
        row[mine], comm[mine] = calls["row"][messages[column][index[mine]]], messages["comm"][index[mine]]
    number, rank = lines.of(comm, row)
    ends = _ends(trace, lines, index[~is_call])
    number[~is_call] = ends[0]
    rank[~is_call] = np.where(what[~is_call] == SENDS, ends[1], ends[2])
    return number, rank, lines.thread[row]


def _ends(trace: Trace, lines: Lines, index: Array) -> tuple[Array, Array, Array]:
    """Communicator, rank of the sender and of the receiver of messages: in WORLD if one of them is not known in the message's."""
    calls, messages = trace.calls, trace.messages[index]
    source, target = calls["row"][messages["send"]], calls["row"][messages["receive"]]
    (comm, sender), (other, receiver) = lines.of(messages["comm"], source), lines.of(messages["comm"], target)
    good = comm == other
    return (
        np.where(good, comm, 0), np.where(good, sender, lines.world_of_rows[source]), np.where(good, receiver, lines.world_of_rows[target]),
    )  # fmt: skip


def _put_calls(
    trace: Trace, kinds: list[Kind], records: Records, out: Array, at: Array, what: Array, index: Array, is_call: Array, cargo: Array
) -> None:
    begin = np.array([kind.begin for kind in kinds] or [0], np.int64)
    calls = index[is_call]
    number = begin[trace.calls["operation"][calls]] + 2 * records.level[calls] + (what[is_call] == ENDS)
    out[at[is_call] + 3] = _pair(number, 0)
    if cargo.any():
        out[at[cargo][:, None] + np.arange(4, 8)] = records.payload.of(index[cargo])


def _put_messages(trace: Trace, lines: Lines, out: Array, at: Array, what: Array, index: Array) -> None:
    comm, sender, receiver = _ends(trace, lines, index)
    messages = trace.messages[index]
    sends = what == SENDS
    out[at + 3] = _pair(np.where(sends, SEND, RECEIVE), comm)
    out[at + 4] = _pair(np.where(sends, receiver, sender), np.clip(messages["tag"], -1, INT32))
    out[at + 5] = _pair(np.clip(messages["bytes"], 0, INT32), 0)
