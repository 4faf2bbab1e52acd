# SPDX-License-Identifier: BSD-3-Clause
"""OTF2 archives, of Score-P or ours, read as traces.

OTF2's library does not survive every damage, so it reads in a process of its own, which writes a merged trace for us.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import imports, otf2
from .container import NO_COMM, NO_SITE, Trace, TraceError, empty
from .container import read as read_merged
from .imports import Events, Operation
from .sequence import Array, occurrence

Tell = Callable[[int, int], None]
BATCH = 20000  # events between two reports
WIDTH = 9  # numbers an event: kind, location, time, a to f
COMPLAINTS = 6  # lines of OTF2's own words that an error repeats
LETTERS = {1: "d", 2: "g", 3: "s"}
ATTRIBUTES = {  # OTF2's types that we keep: ours, how many bits they have, and whether signed; a real number is kept as its bits
    **{kind: (1, 8 << (kind - 1) % 4, kind > 4) for kind in range(1, 9)}, otf2.DOUBLE: (2, 64, True), otf2.STRING: (3, 32, False),
}  # fmt: skip
WRONG = (TraceError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError)  # what damage leads to
KINDS = ("mpi", "state", "event", "counter")


def read(anchor: str, tell: Tell) -> Trace:
    """The trace in an archive, named by its anchor file. TraceError if it is damaged, ImportError without the package otf2."""
    otf2.package()
    with tempfile.TemporaryDirectory() as folder:
        merged = os.path.join(folder, "x.mmpit")
        complaints = os.path.join(folder, "complaints")
        with open(complaints, "wb") as errors:
            command = [sys.executable, "-m", "mmpi.trace.otf2_reader", anchor, merged]
            environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True, env=environment
            ) as child:
                try:
                    for line in child.stdout or ():
                        done, _, total = line.partition(" ")
                        tell(int(done), int(total))
                except BaseException:
                    child.kill()
                    raise
        if child.returncode != 0 or not os.path.exists(merged):
            raise TraceError(_complaint(anchor, child.returncode, Path(complaints).read_text(errors="replace")))
        return read_merged(merged)


def _complaint(anchor: str, status: int, said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if "[OTF2]" in line or re.match(r"[\w.]+(Error|Exception)?: ", line)]
    why = f"{signal.Signals(-status).name} ended OTF2's library" if status < 0 else "OTF2 cannot read it"
    return "\n  ".join([f"{anchor}: the archive is damaged: {why}", *lines[-COMPLAINTS:]])


def _limit(anchor: str) -> None:
    """Bound time and memory by what the archive has: damaged numbers make OTF2 ask for more than any machine has, or go on for ever."""
    files = [anchor]
    for folder, _, names in os.walk(anchor.removesuffix(".otf2")):
        files += [os.path.join(folder, name) for name in names]
    size = sum(os.path.getsize(file) for file in files)
    for what, limit in ((resource.RLIMIT_CPU, 60 + size // 100_000), (resource.RLIMIT_AS, (4 << 30) + (len(files) << 25) + 200 * size)):
        _, most = resource.getrlimit(what)
        resource.setrlimit(what, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def main(anchor: str, merged: str) -> int:
    """What the process of its own does."""
    package = otf2.package()
    _limit(anchor)
    import _otf2

    try:
        with package.reader.open(anchor) as reader:
            trace = Archive(anchor, package, reader).trace()
    except (*WRONG, _otf2.Error, package.error.Error) as error:
        print(f"{type(error).__name__}: {error}" if not isinstance(error, TraceError) else error, file=sys.stderr)
        return 1
    trace.write(merged)
    return 0


class Archive:
    """An archive, read."""

    def __init__(self, anchor: str, package: Any, reader: Any) -> None:
        self.anchor, self.package, self.reader = anchor, package, reader
        self.definitions = reader.definitions
        self.record = array("q")
        self.texts: dict[int, str] = {}
        self.notes: dict[int, list[tuple[int, int, int]]] = {}  # attributes by event: number, type, value
        self._who()
        self._what()

    # --- definitions ---

    def _who(self) -> None:
        """Rows are locations of threads; ranks are those of MPI, else the order of the processes."""
        enums = self.package.enums
        mpi = [
            group
            for group in self.definitions.groups
            if group.group_type == enums.GroupType.COMM_LOCATIONS and group.paradigm == enums.Paradigm.MPI
        ]
        self.rank_of: dict[Any, int] = {}
        for group in mpi[:1]:
            for rank, location in enumerate(group.members):
                self.rank_of.setdefault(location._ref, rank)
        process: dict[Any, int] = {}
        for location in self.definitions.locations:
            if location._ref in self.rank_of:
                process.setdefault(location.group._ref, self.rank_of[location._ref])
        for location in self.definitions.locations:
            process.setdefault(location.group._ref, max(process.values(), default=-1) + 1)
        threads = [location for location in self.definitions.locations if location.type == enums.LocationType.CPU_THREAD]
        threads.sort(key=lambda location: (process[location.group._ref], location._ref not in self.rank_of, location._ref))
        self.rows: list[dict[str, Any]] = []
        self.row_of: dict[Any, int] = {}
        count = dict.fromkeys(process.values(), 0)
        for location in threads:
            rank = process[location.group._ref]
            if location.number_of_events or location._ref not in self.rank_of:
                self.row_of[location._ref] = len(self.rows)
                node = location.group.system_tree_parent
                self.rows.append({"rank": rank, "thread": count[rank], "host": node.name if node is not None else ""})
            count[rank] += 1
        self.ranks = np.array([row["rank"] for row in self.rows] or [0], np.int64)

    def _what(self) -> None:
        """Regions, communicators, metrics."""
        enums = self.package.enums
        self.operations: list[Operation] = []
        self.region_of: dict[Any, int] = {}
        for region in self.definitions.regions:
            kind = "mpi" if region.paradigm == enums.Paradigm.MPI else region.description if region.description in KINDS else "state"
            self.region_of[region._ref] = len(self.operations)
            self.operations.append(Operation(region.name, kind))
        self.comms, self.comm_of = [dict(NO_COMM)], {}
        self.across: dict[int, set[int]] = {}  # numbers of those between two groups, and the ranks of their second
        for comm in self.definitions.comms:
            self.comm_of[comm._ref] = len(self.comms)
            if hasattr(comm, "groupA"):
                sides = [self._members(comm.groupA), self._members(comm.groupB)]
                self.across[len(self.comms)] = set(sides[1])
                for mine, other in (sides, sides[::-1]):
                    self._add_comm(comm, mine, other)
            else:
                self._add_comm(comm, self._members(comm.group), None)
        self.metric_of: dict[Any, int] = {}

    def _members(self, group: Any) -> list[int]:
        return [self.rank_of.get(getattr(location, "_ref", location), -1) for location in group.members]

    def _add_comm(self, comm: Any, members: list[int], remote: list[int] | None) -> None:
        gid = f"{self.comm_of[comm._ref]:x}"
        sizes = {"size": len(members), "remote_size": -1 if remote is None else len(remote)}
        self.comms.append({**NO_COMM, "gid": gid, "name": comm.name or "", **sizes, "members": members, "remote": remote or []})

    # --- events ---

    def _read(self) -> Array:
        import _otf2

        handle = self.reader._get_global_evt_reader_handle(None)
        callbacks = _otf2.GlobalEvtReaderCallbacks_New()
        held = self._set_callbacks(callbacks)
        _otf2.GlobalEvtReaderCallbacks_SetMetricCallback(callbacks, self._metric)
        _otf2.GlobalEvtReader_SetCallbacks(handle, callbacks, None)
        _otf2.GlobalEvtReaderCallbacks_Delete(callbacks)
        total, done = sum(location.number_of_events for location in self.definitions.locations), 0
        while True:
            count = _otf2.GlobalEvtReader_ReadEvents(handle, BATCH)
            done += count
            print(done, total, flush=True)
            if count < BATCH:
                break
        held.clear()
        if done < total:
            raise TraceError(f"{done} of the {total} events that the definitions promise are there: it is cut off")
        return np.frombuffer(self.record, np.int64).reshape(-1, WIDTH)

    def _set_callbacks(self, callbacks: Any) -> list[Any]:
        """Let OTF2 call us, without the wrappers of the package that take most of the time. What is returned must live as long."""
        from _otf2.Config import conf

        pointer, u64 = ctypes.c_void_p, ctypes.c_uint64
        held = []
        for kind, (name, types) in otf2.arguments().items():
            prototype = ctypes.CFUNCTYPE(ctypes.c_int, u64, u64, pointer, pointer, *types)
            held.append(prototype(self._enter(conf.lib) if kind == otf2.ENTER else self._callback(kind, len(types))))
            set_callback = ctypes.CFUNCTYPE(ctypes.c_int, pointer, prototype)((f"OTF2_GlobalEvtReaderCallbacks_Set{name}Callback", conf.lib))
            set_callback(ctypes.cast(callbacks, pointer), held[-1])
        return held

    def _callback(self, kind: int, count: int) -> Any:
        """A function that notes events of one kind. Numbers beyond 63 bits are not of MPI."""
        extend, row_of, largest = self.record.extend, self.row_of, 0x7FFFFFFFFFFFFFFF
        padding = (0,) * (WIDTH - 3 - count)

        def callback(location: int, time: int, user: Any, attributes: Any, *numbers: int) -> int:
            extend((kind, row_of.get(location, -1), time & largest, *[number & largest for number in numbers], *padding))
            return 0

        return callback

    def _enter(self, lib: Any) -> Any:
        """The same for entries, whose attributes are noted too."""
        note, plain, record = self.notes, self._callback(otf2.ENTER, 1), self.record
        number, kind, value = ctypes.c_uint32(), ctypes.c_uint8(), ctypes.c_uint64()
        places = ctypes.byref(number), ctypes.byref(kind), ctypes.byref(value)
        pointer, u32 = ctypes.c_void_p, ctypes.c_uint32
        count = ctypes.CFUNCTYPE(u32, pointer)(("OTF2_AttributeList_GetNumberOfElements", lib))
        get = ctypes.CFUNCTYPE(ctypes.c_int, pointer, u32, pointer, pointer, pointer)(("OTF2_AttributeList_GetAttributeByIndex", lib))

        def callback(location: int, time: int, user: Any, attributes: Any, region: int) -> int:
            n = count(attributes) if attributes else 0
            if n:
                found = note[len(record) // WIDTH] = []
                for i in range(n):
                    if get(attributes, i, *places) == 0 and kind.value in ATTRIBUTES:
                        type_, bits, signed = ATTRIBUTES[kind.value]
                        content = value.value & ((1 << bits) - 1)
                        content -= (1 << bits) if signed and content >> (bits - 1) else 0
                        found.append((number.value, type_, min(content, 0x7FFFFFFFFFFFFFFF)))
            return int(plain(location, time, user, None, region))

        return callback

    def _metric(self, location: int, time: int, user: Any, attributes: Any, metric: int, kinds: Any, values: Any) -> None:
        """A moment for each value; those of hardware counters too."""
        if metric not in self.metric_of:
            definition = self.definitions.metrics[metric]
            self.metric_of[metric] = len(self.operations)
            self.operations.extend(Operation(member.name, "counter") for member in getattr(definition, "metric_class", definition).members)
        row = self.row_of.get(location, -1)
        for i, (kind, value) in enumerate(zip(kinds, values, strict=True)):
            real = int(getattr(kind, "value", kind)) == otf2.DOUBLE
            content = int(np.float64(value.floating_point).view(np.int64)) if real else int(value.signed_int)
            self.notes[len(self.record) // WIDTH] = [(-1, 2 if real else 1, content)]
            self.record.extend((otf2.METRIC, row, time & 0x7FFFFFFFFFFFFFFF, self.metric_of[metric] + i, 0, 0, 0, 0, 0))

    # --- the trace ---

    def trace(self) -> Trace:
        """All of it."""
        raw = self._read()
        numbers = np.flatnonzero(raw[:, 1] >= 0)
        self.number = numbers[np.argsort(raw[numbers, 1], kind="stable")]  # of each event in the archive's order
        events = raw[self.number]
        self.kind, self.row, self.argument = events[:, 0], events[:, 1], events[:, 3:]
        self.time, began = self._times(events[:, 2])
        step = np.where(self.kind == otf2.ENTER, 1, np.where(self.kind == otf2.LEAVE, -1, 0))
        operation = np.full(len(events), -1)
        regions = step != 0
        operation[regions] = self._regions(self.argument[regions, 0])
        operation[self.kind == otf2.METRIC] = self.argument[self.kind == otf2.METRIC, 0]
        moments = np.array([item.kind == "event" for item in self.operations] or [False])[operation] & regions
        operation[moments & (step < 0)] = -1
        step[moments] = 0
        whole = Events(self.row, self.time, step, operation, np.zeros(len(events), np.int64), self.rows, self.operations, self.comms)
        return self._finish(whole, began)

    def _regions(self, refs: Array) -> Array:
        known, place = np.unique(refs, return_inverse=True)
        unknown = [ref for ref in known.tolist() if ref not in self.region_of]
        if unknown:
            raise TraceError(f"an event of region {unknown[0]}, which nothing defines")
        return np.array([self.region_of[ref] for ref in known.tolist()] or [0], np.int64)[place]

    def _times(self, ticks: Array) -> tuple[Array, int]:
        clock = self.definitions.clock_properties
        base = min(int(clock.global_offset), int(ticks.min(initial=1 << 62)))
        if clock.timer_resolution <= 0:
            raise TraceError(f"a clock of {clock.timer_resolution} ticks a second")
        since = ticks - base
        ns = since if clock.timer_resolution == 1_000_000_000 else np.rint(since * (1e9 / clock.timer_resolution)).astype(np.int64)
        if ns.max(initial=0) > imports.LONGEST:
            raise TraceError(f"an event {ns.max() / 1e9} s after the beginning")
        began = getattr(clock, "realtime_timestamp", 0)
        return ns, int(began) if 0 <= began < 1 << 62 else 0

    def _finish(self, events: Events, began: int) -> Trace:
        kinds = np.isin(self.kind, (otf2.SEND, otf2.ISEND, otf2.RECEIVED, otf2.IRECEIVED, otf2.RECEIVE_REQUEST))
        sides = np.flatnonzero(kinds)
        sends = np.isin(self.kind[sides], (otf2.SEND, otf2.ISEND))
        alone = imports.stand_alone(events, sides, np.where(sends, "send", "receive")) if len(sides) else 0
        built = imports.build(events)
        self.calls, self.around = built.calls, built.around
        tables = {"collectives": self._collectives(), "values": self._attributes(events, built)}
        tables["messages"], tables["unmatched"] = self._messages()
        notes = [f"{built.strays} exits from regions that were never entered were left out"] if built.strays else []
        if alone:
            notes.append(f"{alone} sides of messages outside of calls of MPI stand as events of their own")
        duration = int((self.calls["start"] + self.calls["duration"]).max(initial=0))
        meta = imports.describe(self.anchor, "OTF2", self.rows, duration, began, notes)
        return imports.finish(events, built, meta, **tables)

    def _comm(self, refs: Array, row: Array) -> Array:
        """Numbers of communicators in the trace, of those between two groups the side of the row."""
        known, place = np.unique(refs, return_inverse=True)
        numbers = np.array([self.comm_of.get(ref, 0) for ref in known.tolist()] or [0], np.int64)[place]
        for number, second in self.across.items():
            numbers[(numbers == number) & np.isin(self.ranks[row], list(second))] = number + 1
        return numbers

    def _completed(self, start: Array, end: Array) -> tuple[Array, Array]:
        """Which starts and ends of requests belong together: those of one rank with one number, in their order."""
        column = {otf2.ISEND: 4, otf2.SENT: 0, otf2.RECEIVE_REQUEST: 0, otf2.IRECEIVED: 4, otf2.REQUEST: 0, otf2.COMPLETED: 5}
        both = np.concatenate([start, end])
        number = np.array(
            [self.argument[event, column[kind]] for event, kind in zip(both.tolist(), self.kind[both].tolist(), strict=True)], np.int64
        )
        rank = self.ranks[self.row[both]]
        side = np.repeat([0, 1], [len(start), len(end)])
        nth = np.concatenate([occurrence(number[side == i], rank[side == i]) for i in (0, 1)]) if len(both) else side
        order = np.lexsort((side, nth, number, rank))
        keys = [key[order] for key in (rank, number, nth)]
        second = 1 + np.flatnonzero(np.logical_and.reduce([key[1:] == key[:-1] for key in keys])) if len(order) > 1 else np.zeros(0, np.int64)
        return both[order[second - 1]], both[order[second]]

    def _sides(self, event: Array, comm: Array, peer: Array) -> tuple[Array, Array]:
        """Ranks in WORLD: of the one that an event is of, and of its peer."""
        world = np.full(len(event), -1)
        for number in np.unique(comm).tolist():
            group = self.comms[number]["remote"] or self.comms[number]["members"]
            mine = (comm == number) & (peer < len(group))
            world[mine] = np.array(group or [-1], np.int64)[peer[mine]]
        return self.ranks[self.row[event]], world

    def _messages(self) -> tuple[Array, Array]:
        send = np.flatnonzero((self.kind == otf2.SEND) | (self.kind == otf2.ISEND))
        got = np.flatnonzero((self.kind == otf2.RECEIVED) | (self.kind == otf2.IRECEIVED))
        posted = np.arange(len(self.kind))
        for begun, ended in [self._completed(np.flatnonzero(self.kind == otf2.RECEIVE_REQUEST), got[self.kind[got] == otf2.IRECEIVED])]:
            posted[ended] = begun
        sent = np.where(self.kind == otf2.SEND, np.arange(len(self.kind)), -1)
        begun, ended = self._completed(send[self.kind[send] == otf2.ISEND], np.flatnonzero(self.kind == otf2.SENT))
        sent[begun] = ended
        send = send[np.argsort(self.time[send], kind="stable")]
        got = got[np.lexsort((posted[got], self.time[posted[got]]))]
        halves = []
        for event in (send, got):
            comm, peer, tag = self._comm(self.argument[event, 1], self.row[event]), self.argument[event, 0], self.argument[event, 2]
            halves.append((comm, tag, *self._sides(event, comm, peer)))
            self._say(posted[event], comm, peer, tag, self.argument[event, 3])
        (comm, tag, source, target), (_, other_tag, receiver, sender) = halves
        ref = [self.argument[event, 1] for event in (send, got)]
        keys = [np.concatenate(pair) for pair in (ref, (tag, other_tag), (source, sender), (target, receiver))]
        side = np.repeat([0, 1], [len(send), len(got)])
        nth = np.concatenate([occurrence(*(key[side == i] for key in keys)) for i in (0, 1)]) if len(side) else side
        order = np.lexsort((side, nth, *keys))
        same = np.zeros(len(order), bool)
        same[1:] = np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in (*keys, nth)]) if len(order) else True
        second = np.flatnonzero(same)
        first, last = order[second - 1], order[second] - len(send)
        messages = empty("messages", len(second))
        messages["send"], messages["receive"] = self.around[send[first]], self.around[posted[got[last]]]
        messages["send_done"] = np.where(sent[send[first]] >= 0, self.around[sent[send[first]]], -1)
        messages["receive_done"] = self.around[got[last]]
        messages["bytes"], messages["tag"], messages["comm"] = self.argument[send[first], 3], tag[first], comm[first]
        return messages, self._unmatched(np.delete(send, first), posted[np.delete(got, last)])

    def _say(self, event: Array, comm: Array, peer: Array, tag: Array, size: Array) -> None:
        """Peer, tag and bytes of calls are those of their message; of an exchange those of what it sends, which is not said again."""
        call = self.around[event]
        free = (call >= 0) & (self.calls["peer"][call] < 0)
        for column, values in (("comm", comm), ("peer", peer), ("tag", tag), ("bytes", size)):
            self.calls[column][call[free]] = values[free]

    def _unmatched(self, sends: Array, receives: Array) -> Array:
        table = empty("unmatched", len(sends) + len(receives))
        table["call"] = np.concatenate([self.around[sends], self.around[receives]])
        table["why"] = np.repeat([imports.SEND_ALONE, imports.RECEIVE_ALONE], [len(sends), len(receives)])
        return table[table["call"] >= 0]

    def _collectives(self) -> Array:
        """The n-th of each rank on a communicator belong together."""
        over = np.flatnonzero(self.kind == otf2.COLLECTED)
        begun, ended = self._completed(np.flatnonzero(self.kind == otf2.REQUEST), np.flatnonzero(self.kind == otf2.COMPLETED))
        call, done = self.around[np.concatenate([over, begun])], self.around[np.concatenate([over, ended])]
        event = np.concatenate([over, ended])
        known = (call >= 0) & (done >= 0)
        call, done, event = call[known], done[known], event[known]
        order = np.argsort(self.calls["start"][call], kind="stable")
        call, done, event = call[order], done[order], event[order]
        comm, root, sent, got = (self.argument[event, i] for i in (1, 2, 3, 4))
        number = self._comm(comm, self.row[event])
        nth = occurrence(comm, self.ranks[self.row[event]])
        size = np.maximum(sent, got)
        size[size == 0] = -1  # OTF2 cannot tell that nothing is said
        for column, values in (("comm", number), ("peer", np.where(root < otf2.NO_ROOT - 2, root, -1)), ("tag", nth + 1), ("bytes", size)):
            self.calls[column][call] = values
        table = empty("collectives", len(call))
        table["instance"] = np.unique(np.stack([comm, nth], 1), axis=0, return_inverse=True)[1].reshape(-1) if len(call) else 0
        table["call"], table["done"] = call, done
        return table[np.argsort(table["instance"], kind="stable")]

    def _attributes(self, events: Events, built: imports.Built) -> Array:
        """Lines of the program that our exporter noted; all else are values."""
        names = {attribute._ref: attribute.name for attribute in self.definitions.attributes}
        sites = {("", 0): 0}
        strings: dict[str, int] = {}
        place = {number: at for at, number in enumerate(self.number.tolist()) if number in self.notes}
        values = []
        for number, found in self.notes.items():
            call = int(built.call_of[place[number]]) if number in place else -1
            if call < 0:
                continue
            operation = events.operations[int(built.calls["operation"][call])]
            rest = []
            for attribute, kind, value in found:
                text = self._text(value) if kind == 3 else ""
                if names.get(attribute) == otf2.SITE and kind == 3:
                    file, _, line = text.rpartition(":")
                    key = (file, int(line)) if file and line.isascii() and line.isdecimal() and len(line) < 10 else (text, 0)
                    built.calls["site"][call] = sites.setdefault(key, len(sites))
                else:
                    rest.append((attribute, kind, strings.setdefault(text, len(strings)) if kind == 3 else value))
            values += [(call, position, kind, value) for position, (_, kind, value) in enumerate(rest)]
            if rest and not operation.format and operation.kind != "counter":
                operation.format = " ".join(f"{names.get(attribute, 'value')}=%{LETTERS[kind]}" for attribute, kind, _ in rest)
        events.sites[:] = [{**NO_SITE, "file": file, "line": line} for file, line in sites]
        events.strings[:] = list(strings)
        table = empty("values", len(values))
        for i, column in enumerate(("call", "position", "type", "value")):
            table[column] = [value[i] for value in values]
        return table

    def _text(self, ref: int) -> str:
        if ref not in self.texts:
            self.texts[ref] = str(self.definitions.strings[ref])
        return self.texts[ref]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
