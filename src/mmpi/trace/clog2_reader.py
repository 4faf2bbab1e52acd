# SPDX-License-Identifier: BSD-3-Clause
"""CLOG-2 files, ours or of MPE2, read as traces."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import clog2, imports
from .clog2 import BARE, BODY, CARGO, COMM, ENDBLOCK, ENDLOG, EVENTDEF, HEAD, MESSAGE, PREAMBLE, RECEIVE, SEND, STATEDEF
from .container import NO_COMM, NO_SITE, Trace, TraceError, empty
from .imports import Events, Operation
from .sequence import Array, occurrence

LARGEST_BLOCK = 1 << 30
PARALLEL = 1024  # blocks whose records are found together
FIELDS = {"x": 4, "d": 4, "h": 2, "X": 8, "l": 8, "e": 4, "E": 8}
FLOATS = {"e": ">f4", "E": ">f8"}
CLAUSE = re.compile(r"([^%]*)%(.)", re.DOTALL)
COMPLETES = re.compile("P?MPI_(Wait|Test)(all|any|some)?", re.IGNORECASE)
MOST_RANKS, MOST_THREADS = 1 << 24, 1 << 20
OUR_FORMAT, OUR_SITE = clog2.CALL_FORMAT, "at=%s"
Tell = Callable[[int, int], None]


@dataclass
class File:
    """A CLOG-2 file in memory."""

    path: str
    data: Any  # the bytes
    words: Array  # as 32-bit integers, from the end of the preamble on
    doubles: Array
    block: int  # bytes of a block
    ranks: int  # no communicator has more
    threads: int
    finalized: bool

    def wrong(self, offset: int, what: str) -> TraceError:
        return TraceError(f"{self.path}: at byte {offset}: {what}")


@dataclass
class Found:
    """The records, in the order of the file: where (in 32-bit words after the preamble) and of what type."""

    at: Array
    kind: Array


def read(path: str, tell: Tell) -> Trace:
    """The trace in a CLOG-2 file. TraceError if it is damaged: names file, place, and what is wrong."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < PREAMBLE:
            raise TraceError(f"{path}: at byte {size}: the file is cut off in the preamble of {PREAMBLE} bytes")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # arrays look into it: it goes away with the last
    return _trace(_open(path, data, size), tell)


def _open(path: str, data: Any, size: int) -> File:
    said = bytes(data[:PREAMBLE]).decode("latin-1").split("\0")
    version = said[0].strip()
    if version != clog2.VERSION:
        raise TraceError(f"{path}: at byte 0: version {version!r}: only {clog2.VERSION}, of MPE2 from 2008 on, can be read")
    values = {title.strip(): value.strip() for title, value in zip(said[1::2], said[2::2], strict=False)}
    limits = (("block_size=", LARGEST_BLOCK), ("max_comm_world_size=", MOST_RANKS), ("max_thread_count=", MOST_THREADS))
    block, ranks, threads = (_said(path, values, title, limit) for title, limit in limits)
    if block < HEAD.size or block % 8:
        raise TraceError(f"{path}: the preamble is damaged: blocks of {block} bytes")
    order = ">" if values.get("is_big_endian=", "").upper() in ("TRUE", "YES") else "<"
    count = (size - PREAMBLE) // 8
    words = np.frombuffer(data, order + "i4", 2 * count, PREAMBLE)
    doubles = np.frombuffer(data, order + "f8", count, PREAMBLE)
    return File(path, data, words, doubles, block, ranks, threads, values.get("is_finalzed=", "TRUE").upper() == "TRUE")


def _said(path: str, values: dict[str, str], title: str, limit: int) -> int:
    """A number of the preamble."""
    text = values.get(title, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and 0 < int(text) <= limit):
        raise TraceError(f"{path}: the preamble is damaged: {title}{text} must be a number from 1 to {limit}")
    return int(text)


# --- records ---------------------------------------------------------------------------------------------------------


def _find(file: File, tell: Tell) -> Found:
    """All records. Those of many blocks are found together, since each says only where the next one begins."""
    length = np.full(len(BODY), 0, np.int64)
    for number, body in BODY.items():
        length[number] = (HEAD.size + body) // 4
    size = file.block // 4
    total = len(file.words) // size
    ats, kinds, ended = [], [], False
    for first in range(0, total, PARALLEL):
        at, kind, ended = _chains(file, np.arange(first, min(first + PARALLEL, total)) * size, size, length)
        ats.append(at)
        kinds.append(kind)
        tell(min(first + PARALLEL, total), total)
        if ended:
            return Found(np.concatenate(ats), np.concatenate(kinds))
    rest = PREAMBLE + total * file.block
    hint = "it is cut off, or was never finished (MPE's clog2_repair may help)"
    raise file.wrong(rest, f"the file ends, after {total} whole blocks, without the record that ends a log: {hint}")


def _chains(file: File, start: Array, size: int, length: Array) -> tuple[Array, Array, bool]:
    """The records of blocks that begin at these words, and whether the log ends there."""
    words, at, block = file.words, start.copy(), np.arange(len(start))
    ats, kinds, blocks = [], [], []
    wrong: dict[int, TraceError] = {}
    end_of_log = len(start)
    while len(at):
        over = at + HEAD.size // 4 > start[block] + size
        kind = np.where(over, -1, words[np.where(over, 0, at + 5)])
        bad = (kind < 0) | (kind >= len(length))
        bad |= at + np.where(bad, 0, length[np.where(bad, 0, kind)]) > start[block] + size
        for i in np.flatnonzero(bad).tolist():
            wrong[int(block[i])] = _bad_record(file, int(at[i]), int(kind[i]), bool(over[i]))
        logged = np.flatnonzero(kind == ENDLOG)
        end_of_log = min(end_of_log, int(block[logged].min())) if len(logged) else end_of_log
        good = ~bad & (kind != ENDLOG) & (kind != ENDBLOCK)
        ats.append(at[good])
        kinds.append(kind[good])
        blocks.append(block[good])
        at, block = at[good] + length[kind[good]], block[good]
    first_wrong = min(wrong, default=len(start))
    if first_wrong <= end_of_log and wrong:
        raise wrong[first_wrong]
    found, types, where = np.concatenate(ats), np.concatenate(kinds), np.concatenate(blocks)
    kept = where <= end_of_log
    order = np.argsort(found[kept], kind="stable")
    return found[kept][order], types[kept][order], end_of_log < len(start)


def _bad_record(file: File, at: int, kind: int, over: bool) -> TraceError:
    offset = PREAMBLE + 4 * at
    if over:
        return file.wrong(offset, "a block does not end with the record that ends a block")
    if 0 <= kind < len(BODY):
        return file.wrong(offset, f"a record of type {kind} does not fit into its block")
    return file.wrong(offset, f"a record of type {kind}; there are types 0 to {len(BODY) - 1}")


def _trace(file: File, tell: Tell) -> Trace:
    found = _find(file, tell)
    lines = Lines(file, found)
    operations = Operations(file, found)
    chosen = np.isin(found.kind, (BARE, CARGO, MESSAGE))
    at, kind = found.at[chosen], found.kind[chosen]
    return _Import(file, lines, operations, at, kind).trace()


# --- definitions -----------------------------------------------------------------------------------------------------


class Lines:
    """Who is who: communicators, and the ranks of WORLD behind those of others."""

    def __init__(self, file: File, found: Found) -> None:
        self.file = file
        at = found.at[found.kind == COMM]
        body = file.words[at[:, None] + np.arange(6, 10)].astype(np.int64) if len(at) else np.zeros((0, 4), np.int64)
        bad = (body[:, 1] < 0) | (body[:, 2] < 0) | (body[:, 2] >= file.ranks) | (body[:, 3] < 0) | (body[:, 3] >= file.ranks)
        if bad.any():
            where = int(np.argmax(bad))
            raise file.wrong(
                PREAMBLE + 4 * int(at[where]), f"a communicator {body[where, 1]} with rank {body[where, 2]}, rank {body[where, 3]} in WORLD"
            )
        self.known = body[body[:, 0] != 10]  # 10: it was freed
        self.groups: dict[int, dict[int, int]] = {0: {}}
        for _, number, rank, world in self.known.tolist():
            self.groups.setdefault(number, {})[rank] = world
        self.numbers = {number: i + 1 for i, number in enumerate(sorted(self.groups))}
        keys = self.known[:, 1] * MOST_RANKS + self.known[:, 2]
        self.keys, first = np.unique(keys, return_index=True)
        self.worlds = self.known[first, 3]

    def world(self, comm: Array, rank: Array, at: Array) -> Array:
        """Ranks in WORLD of ranks in communicators: the rank itself where no record says."""
        bad = (rank < 0) | (rank >= self.file.ranks)
        if bad.any():
            where = int(np.argmax(bad))
            raise self.file.wrong(
                PREAMBLE + 4 * int(at[where]), f"an event of rank {rank[where]}: no communicator has more than {self.file.ranks} ranks"
            )
        if not len(self.keys):
            return rank
        key = np.where(comm >= 0, comm, 0) * MOST_RANKS + rank
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[place] == key, self.worlds[place], rank)

    def number(self, comm: Array) -> Array:
        """Numbers of communicators in the trace."""
        keys = np.array(sorted(self.numbers))
        place = np.minimum(np.searchsorted(keys, comm), len(keys) - 1)
        return np.where(keys[place] == comm, place + 1, 0)

    def comms(self, size: int) -> list[dict[str, Any]]:
        """The communicators as the trace lists them."""
        result = [dict(NO_COMM)]
        for number in sorted(self.groups):
            group = self.groups[number]
            members = [group.get(rank, -1) for rank in range(max(group) + 1)] if group else list(range(size))
            name = "MPI_COMM_WORLD" if number == 0 else f"communicator {number}"
            result.append({**NO_COMM, "gid": f"{number + 1:x}", "name": name, "size": len(members), "members": members})
        return result


class Operations:
    """What the numbers of events mean."""

    def __init__(self, file: File, found: Found) -> None:
        self.operations: list[Operation] = []
        self.of: dict[int, tuple[int, int]] = {}  # operation, and 1 for its begin, -1 for its end, 0 for both in one
        same: dict[tuple[str, ...], int] = {}
        chosen = (found.kind == STATEDEF) | (found.kind == EVENTDEF)
        for at, kind in zip(found.at[chosen].tolist(), found.kind[chosen].tolist(), strict=True):
            state = kind == STATEDEF
            text = bytes(file.data[PREAMBLE + 4 * at + HEAD.size + (16 if state else 8) :][:96])
            color, name, format_ = (part.partition(b"\0")[0].decode("utf-8", "replace") for part in (text[:24], text[24:56], text[56:96]))
            what = "event" if not state else "mpi" if name.startswith(("MPI_", "PMPI_", "MPIX_")) else "state"
            key = (what, name, color, format_)
            if key not in same:
                same[key] = len(self.operations)
                self.operations.append(Operation(name, what, color, format_))
            words = file.words[at + 6 : at + 9].tolist()
            numbers = ((words[1], 1), (words[2], -1)) if state else ((words[0], 0),)
            self.of.update({number: (same[key], step) for number, step in numbers})

    def unknown(self, number: int) -> None:
        """Name an event that no record describes: MPE numbers begin and end of a state from an even number on, events of their own from
        5000."""
        if number >= clog2.USER_SOLO or number < 0:
            self.operations.append(Operation(f"event {number}", "event"))
            self.of[number] = len(self.operations) - 1, 0
            return
        begin = number - number % 2
        self.operations.append(Operation(f"state {begin}", "state"))
        self.of[begin], self.of[begin + 1] = (len(self.operations) - 1, 1), (len(self.operations) - 1, -1)

    def look_up(self, types: Array) -> tuple[Array, Array]:
        """Operation and step of events with these numbers."""
        numbers, place = np.unique(types, return_inverse=True)
        for number in numbers.tolist():
            if number not in self.of:
                self.unknown(number)
        table = np.array([self.of[number] for number in numbers.tolist()] or [(0, 0)], np.int64)
        return table[place, 0], table[place, 1]


# --- the trace -------------------------------------------------------------------------------------------------------


class _Import:
    """Events to calls and messages."""

    def __init__(self, file: File, lines: Lines, operations: Operations, at: Array, kind: Array) -> None:
        self.file, self.lines, self.operations = file, lines, operations
        self.at, self.kind = at, kind
        words = file.words
        self.comm, rank, self.thread = (words[at + offset].astype(np.int64) for offset in (2, 3, 4))
        self.rank = rank
        self.world = lines.world(self.comm, rank, at)
        bad = (self.thread < 0) | (self.thread >= file.threads)
        self._refuse(bad, lambda i: f"an event of thread {self.thread[i]}: the preamble says {file.threads} threads")
        seconds = file.doubles[at // 2].astype(np.float64)
        bad = ~(np.abs(seconds) < imports.LONGEST / 1e9)
        self._refuse(bad, lambda i: f"an event at {seconds[i]} s")
        self.time = np.rint(seconds * 1e9).astype(np.int64)
        self.type = words[at + 6].astype(np.int64)

    def _refuse(self, bad: Array, what: Callable[[int], str]) -> None:
        if bad.any():
            where = int(np.argmax(bad))
            raise self.file.wrong(PREAMBLE + 4 * int(self.at[where]), what(where))

    def trace(self) -> Trace:
        """All of it."""
        is_message = self.kind == MESSAGE
        self._refuse(is_message & (self.type != SEND) & (self.type != RECEIVE), lambda i: f"a message's event of type {self.type[i]}")
        keys, row = np.unique(self.world * MOST_THREADS + self.thread, return_inverse=True)
        rows = [{"rank": key // MOST_THREADS, "thread": key % MOST_THREADS, "host": ""} for key in keys.tolist()]
        self.operation, self.step = np.full(len(self.at), -1), np.zeros(len(self.at), np.int64)
        self.operation[~is_message], self.step[~is_message] = self.operations.look_up(self.type[~is_message])
        order = np.argsort(row, kind="stable")
        for name in ("at", "kind", "comm", "rank", "world", "thread", "time", "type", "operation", "step"):
            setattr(self, name, getattr(self, name)[order])
        self.row, self.order = row[order], order
        size = 1 + max((item["rank"] for item in rows), default=0)
        events = Events(self.row, self.time, self.step, self.operation, self._comms(), rows, self.operations.operations, self.lines.comms(size))
        return self._finish(events)

    def _comms(self) -> Array:
        """The trace's communicator of each event: none for states of users on WORLD."""
        kinds = np.array([operation.kind == "mpi" for operation in self.operations.operations] or [False])
        of_mpi = kinds[np.maximum(self.operation, 0)] & (self.operation >= 0)
        return np.where(of_mpi | (self.comm != 0), self.lines.number(self.comm), 0)

    def _finish(self, events: Events) -> Trace:
        sides = np.flatnonzero(self.kind == MESSAGE)
        alone = imports.stand_alone(events, sides, np.where(self.type[sides] == SEND, "MPE_Log_send", "MPE_Log_receive"))
        built = imports.build(events)
        self._cargo(events, built, tables := {})
        messages, unmatched = self._messages(built, sides)
        self._fill_calls(built, sides)
        notes = [f"{built.strays} ends of states that were never begun were left out"] if built.strays else []
        if alone:
            notes.append(f"{alone} sides of messages outside of calls of MPI stand as events of their own")
        if not self.file.finalized:
            notes.append("the file was not finalized: it may hold one process only, by its own clock")
        duration = int((built.calls["start"] + built.calls["duration"]).max(initial=0))
        meta = imports.describe(self.file.path, "MPE2 (CLOG-2)", events.rows, duration, notes=notes)
        tables["collectives"] = imports.collectives(events, built.calls)
        return imports.finish(events, built, meta, messages=messages, unmatched=unmatched, **tables)

    def _messages(self, built: imports.Built, sides: Array) -> tuple[Array, Array]:
        """Matched as Jumpshot's converter does: by tag and both lines, in the order of the file."""
        order = sides[np.argsort(self.order[sides], kind="stable")]  # back to the order of the file
        words = self.file.words
        other_comm, other_rank, tag, size = (words[self.at[order] + offset].astype(np.int64) for offset in (7, 8, 9, 10))
        sends = self.type[order] == SEND
        mine = self.comm[order] * MOST_RANKS + self.rank[order]
        other = other_comm * MOST_RANKS + other_rank
        source, target = np.where(sends, mine, other), np.where(sends, other, mine)
        nth = np.empty(len(order), np.int64)
        for side in (sends, ~sends):
            if side.any():
                nth[side] = occurrence(source[side], target[side], tag[side])
        sort = np.lexsort((sends, nth, tag, target, source))  # the receive comes first
        same = np.zeros(len(order), bool)
        keys = [key[sort] for key in (source, target, tag, nth)]
        same[1:] = np.logical_and.reduce([key[1:] == key[:-1] for key in keys]) if len(order) else True
        second = np.flatnonzero(same)
        receive, send = sort[second - 1], sort[second]
        messages = empty("messages", len(send))
        messages["send"] = messages["send_done"] = built.around[order[send]]
        messages["receive"] = messages["receive_done"] = built.around[order[receive]]
        messages["bytes"], messages["tag"], messages["comm"] = size[send], tag[send], self.lines.number(self.comm[order[send]])
        lone = np.ones(len(order), bool)
        lone[send] = lone[receive] = False
        unmatched = empty("unmatched", int(lone.sum()))
        unmatched["call"] = built.around[order[lone]]
        unmatched["why"] = np.where(sends[lone], imports.SEND_ALONE, imports.RECEIVE_ALONE)
        return messages, unmatched

    def _fill_calls(self, built: imports.Built, sides: Array) -> None:
        """Peer, tag and bytes of calls of which no payload tells: those of their message."""
        calls = built.calls
        around = built.around[sides]
        sides, around = sides[around >= 0], around[around >= 0]
        once = np.bincount(around, minlength=len(calls))[around] == 1 if len(around) else np.zeros(0, bool)
        bare = once & ~self.told[around]
        chosen, target = self.at[sides[bare]], around[bare]
        for column, offset in (("peer", 8), ("tag", 9), ("bytes", 10)):
            calls[column][target] = self.file.words[chosen + offset]

    # --- what calls carry ---

    def _cargo(self, events: Events, built: imports.Built, tables: dict[str, Any]) -> None:
        self.told = np.zeros(len(built.calls), bool)
        carries = np.flatnonzero((self.kind == CARGO) & (built.call_of >= 0))
        parts: list[Array] = []
        texts: dict[str, int] = {}
        for number in np.unique(self.operation[carries]).tolist():
            mine = carries[self.operation[carries] == number]
            operation = events.operations[number]
            calls = built.call_of[mine]
            data = self._bytes(mine)
            if operation.kind == "mpi" and operation.format == OUR_FORMAT:
                self._call(events, built, calls, data)
            elif operation.format:
                parts.extend(self._user(events, built, operation.format, calls, data, texts))
        for operation in events.operations:
            operation.format = "" if operation.format == OUR_FORMAT else operation.format.removesuffix(OUR_SITE).rstrip()
        values = np.concatenate(parts) if parts else empty("values")
        order = np.lexsort((values["position"], values["call"]))
        events.strings.extend(texts)
        tables["values"] = values[order]

    def _bytes(self, numbers: Array) -> Array:
        start = PREAMBLE + 4 * self.at[numbers] + HEAD.size + 8
        whole = np.frombuffer(self.file.data, np.uint8)
        return whole[start[:, None] + np.arange(clog2.BYTES)]

    def _call(self, events: Events, built: imports.Built, calls: Array, data: Array) -> None:
        """What our own exporter says of calls of one operation. One that says nothing but its line is on no communicator, as are waits."""
        self.told[calls] = True
        peer, tag, size = _number(data[:, 0:4], ">i4"), _number(data[:, 4:8], ">i4"), _number(data[:, 8:16], ">i8")
        for column, said in (("peer", peer), ("tag", tag), ("bytes", size)):
            built.calls[column][calls] = said
        operation = events.operations[int(built.calls["operation"][calls[0]])].name
        nowhere = (peer == -1) & (tag == -1) & (size == -1) | (COMPLETES.fullmatch(operation) is not None)
        built.calls["comm"][calls[nowhere & (built.calls["comm"][calls] == self.lines.numbers[0])]] = 0
        self._sites(events, built, calls, data, np.full(len(calls), 16))

    def _user(self, events: Events, built: imports.Built, text: str, calls: Array, data: Array, strings: dict[str, int]) -> Iterator[Array]:
        """The values of users' states; a last clause of our exporter says the line."""
        ours = text.endswith(OUR_SITE)
        numbers, at = calls, np.zeros(len(calls), np.int64)
        for table, after in _values(text.removesuffix(OUR_SITE), calls, data, strings):
            numbers, at = table["call"], after
            yield table
        if ours:
            self._sites(events, built, numbers, data[np.searchsorted(calls, numbers)], at)

    def _sites(self, events: Events, built: imports.Built, calls: Array, data: Array, at: Array) -> None:
        """Lines of the program, as strings "file:line" at these places of the payloads."""
        known = {(site["file"], site["line"]): i for i, site in enumerate(events.sites)}
        fits = at + 2 <= clog2.BYTES
        calls, rest = calls[fits], [row[start:].tobytes() for row, start in zip(data[fits], at[fits].tolist(), strict=True)]
        numbers: dict[bytes, int] = {}
        for text in set(rest):
            said = _string(np.frombuffer(text, np.uint8), 0)
            file, _, line = said.rpartition(":")
            key = (file or said, int(line) if line.isascii() and line.isdecimal() else 0)
            if said and key not in known:
                known[key] = len(events.sites)
                events.sites.append({**NO_SITE, "file": key[0], "line": key[1]})
            numbers[text] = known[key] if said else 0
        built.calls["site"][calls] = [numbers[text] for text in rest]


def _number(data: Array, kind: str) -> Array:
    return np.ascontiguousarray(data).view(kind).ravel()


def _string(data: Array, at: int) -> str:
    """A string in a payload: its length in two bytes, then so many."""
    length = int(data[at]) << 8 | int(data[at + 1])
    return bytes(data[at + 2 : at + 2 + length]).decode("utf-8", "replace").rstrip("\0")


def _values(text: str, calls: Array, data: Array, strings: dict[str, int]) -> Iterator[tuple[Array, Array]]:
    """The values in payloads of one format, a table for each clause; and where in the payloads they end."""
    at = np.zeros(len(calls), np.int64)
    for position, (_, letter) in enumerate(CLAUSE.findall(text)):
        size = FIELDS.get(letter, 2)
        if (letter not in FIELDS and letter != "s") or len(at) == 0:
            return
        fits = at + size <= clog2.BYTES
        calls, data, at = calls[fits], data[fits], at[fits]
        table = empty("values", len(calls))
        table["call"], table["position"] = calls, position
        if letter == "s":
            said = [_string(row, start) for row, start in zip(data, at.tolist(), strict=True)]
            table["type"], table["value"] = 3, [strings.setdefault(string, len(strings)) for string in said]
            at = (
                at
                + 2
                + np.array([(int(row[start]) << 8) + int(row[start + 1]) for row, start in zip(data, at.tolist(), strict=True)], np.int64)
            )
        else:
            field = data[np.arange(len(at))[:, None], at[:, None] + np.arange(size)]
            if letter in FLOATS:
                table["type"], table["value"] = 2, _number(field, FLOATS[letter]).astype("<f8").view("<i8")
            else:
                table["type"], table["value"] = 1, _number(field, f">i{size}")
            at = at + size
        yield table, at
