# SPDX-License-Identifier: BSD-3-Clause
"""Traces as OTF2, the Open Trace Format of Score-P, Vampir, Scalasca, Pipit: by the package `otf2` from PyPI.

A location for each thread; regions for the functions of MPI and the user's states; sends, receives and collectives as OTF2 has them for MPI;
counters as metrics. Lines of the program and the user's values are attributes of the entry of a region.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from .clog2 import Lines
from .container import Trace
from .perfetto import label, labels
from .sequence import Array, tour, within

Tell = Callable[[int, int], None]
ENTER, SEND, ISEND, RECEIVE_REQUEST, COLLECTIVE, REQUEST, SENT, RECEIVED, IRECEIVED, COLLECTED, COMPLETED, METRIC, LEAVE = range(13)
AT_END = 10  # larger than what stands between two entries
NO_ROOT = 0xFFFFFFFF
MAXIMUM = (1 << 32) - 1
COLLECTIVES = (
    "barrier", "bcast", "gather", "gatherv", "scatter", "scatterv", "allgather", "allgatherv", "alltoall", "alltoallv", "alltoallw",
    "allreduce",
    "reduce", "reduce_scatter", "scan", "exscan", "reduce_scatter_block",
)  # fmt: skip  # in OTF2's order
CREATE, DESTROY = 17, 18  # OTF2's numbers for collectives that make handles, or free them
SITE = "site"
INT64, DOUBLE, STRING = 8, 10, 11  # OTF2's types of attributes
PART = 1 << 16


def package() -> Any:
    """The package `otf2`. ImportError says how to get it."""
    try:
        import otf2
    except (ImportError, OSError) as error:
        raise ImportError(f"OTF2 needs the package otf2: pip install 'maroonmpi[otf2]' ({error})") from None
    return otf2


def place(path: str) -> tuple[str, str]:
    """Folder and name of the archive that a path means: `run.otf2` is one in the folder of that file, `run` a folder of its own."""
    if path.endswith(".otf2"):
        return os.path.dirname(path) or ".", os.path.basename(path)[: -len(".otf2")]
    return path, "traces"


def _make_room(folder: str, name: str) -> None:
    """Take away an archive that is replaced; refuse what is something else."""
    anchor = os.path.join(folder, f"{name}.otf2")
    parts = [os.path.join(folder, name), os.path.join(folder, f"{name}.def")]
    if os.path.isfile(anchor):
        os.unlink(anchor)
        shutil.rmtree(parts[0], ignore_errors=True)
        if os.path.exists(parts[1]):
            os.unlink(parts[1])
    for part in parts:
        if os.path.exists(part):
            raise FileExistsError(f"{part} is in the way of the OTF2 archive {anchor}, and no part of one: take another name")


def write(trace: Trace, path: str, tell: Tell) -> str:
    """Write `trace` as an OTF2 archive. ImportError without the package, FileExistsError if other things are in the way."""
    otf2 = package()
    folder, name = place(path)
    _make_room(folder, name)
    os.makedirs(folder, exist_ok=True)
    archive = otf2.writer.Writer(folder, archive_name=name, timer_resolution=1_000_000_000)
    try:
        archive.creator = "MaroonMPI"
        _Export(otf2, archive, trace).run(tell)
    finally:
        archive.close()
    return f"{os.path.join(folder, name)}.otf2: {len(trace.calls)} calls, {len(trace.messages)} messages"


def collective(name: str) -> int:
    """OTF2's number for a collective function of MPI, -1 if it has none."""
    plain = re.sub(r"^p?mpix?_", "", name.lower()).removesuffix("_c")
    for word in (plain, plain[1:] if plain.startswith("i") else plain):
        if word in COLLECTIVES:
            return COLLECTIVES.index(word)
    if re.match(r"i?comm_(dup|split|create)|cart_create|graph_create|dist_graph_create|win_create|win_allocate|file_open|intercomm", plain):
        return CREATE
    return DESTROY if plain in ("comm_free", "comm_disconnect", "win_free", "file_close") else -1


class _Export:
    """The writing of one archive."""

    def __init__(self, otf2: Any, archive: Any, trace: Trace) -> None:
        self.otf2, self.archive, self.trace = otf2, archive, trace
        self.lines = Lines(trace)
        self.shift = min(0, int(trace.calls["start"].min(initial=0)))  # OTF2 knows no times before zero
        self.called = labels(trace)
        self.locations = self._locations()
        self.comms = self._comms()
        self.regions = [self._region(operation) for operation in trace.operations]
        self.metrics = {number: self._metric(operation) for number, operation in enumerate(trace.operations) if operation["kind"] == "counter"}
        self.attributes: dict[tuple[str, int], int] = {}
        self.strings = self._strings()
        self.functions = _functions()

    # --- definitions ---

    def _locations(self) -> list[Any]:
        """A location for each row, after one for each rank that has none."""
        definitions, enums, rows = self.archive.definitions, self.otf2.enums, self.trace.rows
        root = definitions.system_tree_node("machine", "machine")
        names = list(dict.fromkeys(row.get("host", "") for row in rows))
        nodes = {name: definitions.system_tree_node(name or "node", "node", parent=root) for name in names}
        self.groups: dict[int, Any] = {}
        for row in rows:
            if row["rank"] not in self.groups:
                self.groups[row["rank"]] = definitions.location_group(
                    f"rank {row['rank']}", location_group_type=enums.LocationGroupType.PROCESS, system_tree_parent=nodes[row.get("host", "")]
                )
        found = [
            definitions.location(f"thread {row['thread']}", type=enums.LocationType.CPU_THREAD, group=self.groups[row["rank"]]) for row in rows
        ]
        self.main: dict[int, Any] = {}
        for row, location in zip(rows, found, strict=True):
            if row["rank"] not in self.main or row["thread"] == 0:
                self.main[row["rank"]] = location
        for rank in range(len(self.lines.groups[0])):
            if rank not in self.main:
                node = next(iter(nodes.values()), root)
                group = definitions.location_group(
                    f"rank {rank} (no trace)", location_group_type=enums.LocationGroupType.PROCESS, system_tree_parent=node
                )
                self.main[rank] = definitions.location("thread 0", type=enums.LocationType.CPU_THREAD, group=group)
        return found

    def _comms(self) -> list[Any]:
        """Communicators, numbered as in CLOG-2: one between two groups stands for both together."""
        definitions, enums = self.archive.definitions, self.otf2.enums
        mpi = enums.Paradigm.MPI
        world = [self.main[rank] for rank in range(len(self.lines.groups[0]))]
        definitions.group("locations of MPI", group_type=enums.GroupType.COMM_LOCATIONS, paradigm=mpi, members=tuple(world))
        names = {0: "MPI_COMM_WORLD"}
        for number, comm in zip(self.lines.number, self.trace.comms, strict=True):
            names.setdefault(number, comm.get("name") or f"communicator {number}")
        comms: list[Any] = []
        for number, ranks in enumerate(self.lines.groups):
            members = tuple(self.main.get(rank, world[0]) for rank in ranks)
            group = definitions.group(f"group of {names[number]}", group_type=enums.GroupType.COMM_GROUP, paradigm=mpi, members=members)
            comms.append(definitions.comm(names[number], group=group, parent=comms[0] if comms else None))
        return comms

    def _region(self, operation: dict[str, Any]) -> Any:
        enums, name = self.otf2.enums, operation["name"]
        of_mpi = operation["kind"] == "mpi"
        number = collective(name)
        role = enums.RegionRole.FUNCTION if not of_mpi else enums.RegionRole.POINT2POINT if number < 0 else enums.RegionRole.COLL_OTHER
        role = enums.RegionRole.BARRIER if of_mpi and number == 0 else role
        paradigm = enums.Paradigm.MPI if of_mpi else enums.Paradigm.USER
        return self.archive.definitions.region(name, name, operation["kind"], region_role=role, paradigm=paradigm)

    def _metric(self, operation: dict[str, Any]) -> Any:
        definitions, enums = self.archive.definitions, self.otf2.enums
        member = definitions.metric_member(
            operation["name"], "counter", metric_type=enums.MetricType.USER, metric_mode=enums.MetricMode.ABSOLUTE_POINT
        )
        return definitions.metric_class(members=(member,), occurrence=enums.MetricOccurrence.ASYNCHRONOUS)

    def _strings(self) -> list[int]:
        return [self.archive.definitions.strings.create(text)._ref for text in self.trace.strings]

    def _attribute(self, name: str, kind: int) -> int:
        if (name, kind) not in self.attributes:
            enums = self.otf2.enums
            types = {INT64: enums.Type.INT64, DOUBLE: enums.Type.DOUBLE, STRING: enums.Type.STRING}
            self.attributes[name, kind] = self.archive.definitions.attribute(name, "", types[kind])._ref
        return self.attributes[name, kind]

    # --- events ---

    def run(self, tell: Tell) -> None:
        """Write the events of each row."""
        events = self._events()
        bounds = np.searchsorted(events["row"], np.arange(len(self.trace.rows) + 1))
        self.notes = self._notes()
        self.archive._update_timestamps(0)  # where the times of the trace count from
        for row, location in enumerate(self.locations):
            mine = events[bounds[row] : bounds[row + 1]]
            writer = self.archive.event_writer_from_location(location)
            if len(mine):
                self.archive._update_timestamps(int(mine["time"][-1]))
            handle = ctypes.cast(writer.handle, ctypes.c_void_p)
            for first in range(0, len(mine), PART):
                self._write(writer, handle, mine[first : first + PART].tolist())
                tell(int(bounds[row]) + min(first + PART, len(mine)), len(events))
            location._number_of_events_written = len(mine)
        self.archive._realtime_timestamp = float(self.trace.meta.get("began", 0)) / 1e9

    def _events(self) -> Array:
        """All events as (row, time, key, kind, a to f), in the order of their rows and times."""
        trace = self.trace
        calls = trace.calls
        self.tour = tour(calls)
        counter = within(["counter"], trace)
        lasting, counts = np.flatnonzero(~counter), np.flatnonzero(counter)
        parts = [
            self._part(ENTER, lasting, calls["operation"][lasting], lasting),
            self._part(LEAVE, lasting, calls["operation"][lasting]),
            self._part(METRIC, counts, calls["operation"][counts], counts),
            *self._message_parts(),
            *self._collective_parts(),
        ]
        events = np.concatenate(parts)
        events = events[np.lexsort((events["key"], events["time"], events["row"]))]
        events["time"] -= self.shift
        return events

    def _part(self, kind: int, call: Array, *arguments: Any) -> Array:
        """Events of one kind, in these calls: at their start or their end."""
        calls = self.trace.calls[call]
        names = ["row", "time", "key", "kind", *"abcdef"]
        events = np.zeros(len(call), [(name, "<i8") for name in names])
        at_end = kind >= SENT and kind != METRIC
        events["row"], events["time"] = calls["row"], calls["end"] if at_end else calls["start"]
        events["kind"] = kind
        events["key"] = 2 * AT_END * (self.tour.leave[call] if at_end else self.tour.enter[call]) + (kind - LEAVE if at_end else kind)
        for name, values in zip("abcdef", arguments, strict=False):
            events[name] = values
        return events

    def _message_parts(self) -> list[Array]:
        from .clog2 import _ends

        trace = self.trace
        messages = trace.messages
        number = np.arange(len(messages))
        comm, sender, receiver = _ends(trace, self.lines, number)
        tag, size = np.clip(messages["tag"], 0, MAXIMUM), np.maximum(messages["bytes"], 0)
        now, later = messages["send"] == messages["send_done"], messages["send"] != messages["send_done"]
        done = later & (messages["send_done"] >= 0)
        got = messages["receive_done"] >= 0
        one, two = got & (messages["receive"] == messages["receive_done"]), messages["receive"] != messages["receive_done"]
        end = two & got
        ours, theirs = 2 * number, 2 * number + 1  # numbers of requests
        return [
            self._part(SEND, messages["send"][now], receiver[now], comm[now], tag[now], size[now]),
            self._part(ISEND, messages["send"][later], receiver[later], comm[later], tag[later], size[later], ours[later]),
            self._part(SENT, messages["send_done"][done], ours[done]),
            self._part(RECEIVED, messages["receive_done"][one], sender[one], comm[one], tag[one], size[one]),
            self._part(RECEIVE_REQUEST, messages["receive"][two], theirs[two]),
            self._part(IRECEIVED, messages["receive_done"][end], sender[end], comm[end], tag[end], size[end], theirs[end]),
            *self._lone_parts(),
        ]

    def _lone_parts(self) -> list[Array]:
        """Sends and receives without a partner, as far as their peer is known."""
        trace, parts = self.trace, []
        for why, kind in ((1, SEND), (2, RECEIVED)):
            call = trace.unmatched["call"][trace.unmatched["why"] == why]
            calls = trace.calls[call]
            comm, _ = self.lines.of(calls["comm"], calls["row"])
            known = (calls["world_peer"] >= 0) & (calls["world_peer"] < self.lines.rank.shape[1])
            peer = self.lines.rank[comm, np.where(known, calls["world_peer"], 0)]
            known &= peer >= 0
            chosen = calls[known]
            parts.append(
                self._part(kind, call[known], peer[known], comm[known], np.clip(chosen["tag"], 0, MAXIMUM), np.maximum(chosen["bytes"], 0))
            )
        return parts

    def _collective_parts(self) -> list[Array]:
        trace = self.trace
        codes = np.array([collective(operation["name"]) for operation in trace.operations] or [-1])
        table = trace.collectives
        table = table[codes[trace.calls["operation"][table["call"]]] >= 0]
        call, done = table["call"], table["done"]
        calls = trace.calls[call]
        comm, rank = self.lines.of(calls["comm"], calls["row"])
        code = codes[calls["operation"]]
        size = np.maximum(calls["bytes"], 0)
        rooted = np.isin(code, (1, 2, 3, 4, 5, 12)) & (calls["peer"] >= 0)
        is_root = rooted & (rank == calls["peer"])
        spreads = np.isin(code, (1, 4, 5))
        sent = np.where(rooted & (spreads != is_root), 0, size)
        received = np.where(rooted & (spreads == is_root), 0, size)
        root = np.where(rooted, calls["peer"], NO_ROOT)
        now, later = done == call, done != call
        end = later & (done >= 0)
        number = 2 * len(trace.messages) + np.arange(len(table))
        return [
            self._part(COLLECTIVE, call[now]),
            self._part(COLLECTED, call[now], code[now], comm[now], root[now], sent[now], received[now]),
            self._part(REQUEST, call[later], number[later]),
            self._part(COMPLETED, done[end], code[end], comm[end], root[end], sent[end], received[end], number[end]),
        ]

    def _notes(self) -> dict[int, list[tuple[int, int, Any]]]:
        """Attributes of the entries of calls: number, type, value."""
        trace = self.trace
        notes: dict[int, list[tuple[int, int, Any]]] = {}
        named: dict[int, int] = {}
        for call in np.flatnonzero(trace.calls["site"] > 0).tolist():
            site = int(trace.calls["site"][call])
            if site not in named:
                said = trace.sites[site]
                named[site] = self.archive.definitions.strings.create(f"{said['file']}:{said['line']}")._ref
            notes[call] = [(self._attribute(SITE, STRING), STRING, named[site])]
        values = trace.values[np.lexsort((trace.values["position"], trace.values["call"]))]
        reals = np.ascontiguousarray(values["value"]).view("<f8").tolist()
        self.counted: dict[int, float] = {}
        operations = trace.calls["operation"][values["call"]].tolist()
        for value, real, operation in zip(values.tolist(), reals, operations, strict=True):
            call, position, kind, whole = value
            if operation in self.metrics:
                self.counted.setdefault(call, real if kind == 2 else float(whole))
                continue
            name = label(self.called[operation], position)
            type_ = {1: INT64, 2: DOUBLE, 3: STRING}.get(kind)
            if type_ and (kind != 3 or 0 <= whole < len(self.strings)):
                content = whole if kind == 1 else real if kind == 2 else self.strings[whole]
                notes.setdefault(call, []).append((self._attribute(name, type_), type_, content))
        return notes

    def _write(self, writer: Any, handle: Any, events: list[tuple[int, ...]]) -> None:
        """Write events of a row; what fails is told with OTF2's own number."""
        regions = [region._ref for region in self.regions]
        comms = [comm._ref for comm in self.comms]
        f = self.functions
        enter, leave, others = f.write[ENTER], f.write[LEAVE], f.write
        new = f.list_new()
        failed = 0
        for _, time, _, kind, a, b, *rest in events:
            if kind == ENTER:
                for attribute, type_, value in self.notes.get(b, ()):
                    f.add[type_](new, attribute, value)
                failed |= enter(handle, new, time, regions[a])
            elif kind == LEAVE:
                failed |= leave(handle, None, time, regions[a])
            elif kind == METRIC:
                writer.metric(time, self.metrics[a], self.counted.get(b, 0.0))
            else:
                count = COUNTS[kind]
                failed |= others[kind](handle, None, time, *((a, comms[b], *rest) if count > 1 else (a,))[:count])
        f.list_delete(new)
        if failed:
            raise OSError(f"OTF2 could not write events (error {failed}): is the disk full?")


def arguments() -> dict[int, tuple[str, tuple[Any, ...]]]:
    """Of each kind of event OTF2's name, and what it has besides location, time and attributes."""
    u64, u32, u8 = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint8
    message, both = (u32, u32, u32, u64), (u8, u32, u32, u64, u64)
    return {
        ENTER: ("Enter", (u32,)), LEAVE: ("Leave", (u32,)), SEND: ("MpiSend", message), RECEIVED: ("MpiRecv", message),
        ISEND: ("MpiIsend", (*message, u64)), IRECEIVED: ("MpiIrecv", (*message, u64)), SENT: ("MpiIsendComplete", (u64,)),
        RECEIVE_REQUEST: ("MpiIrecvRequest", (u64,)), COLLECTIVE: ("MpiCollectiveBegin", ()), COLLECTED: ("MpiCollectiveEnd", both),
        REQUEST: ("NonBlockingCollectiveRequest", (u64,)), COMPLETED: ("NonBlockingCollectiveComplete", (*both, u64)),
    }  # fmt: skip


class _Functions:
    """OTF2's own functions, without the checks of each argument that the package makes: those take most of the time."""

    def __init__(self, lib: Any) -> None:
        pointer, u64, u32 = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32
        self.write = {
            kind: ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, u64, *types)((f"OTF2_EvtWriter_{name}", lib))
            for kind, (name, types) in arguments().items()
        }
        self.list_new = ctypes.CFUNCTYPE(pointer)(("OTF2_AttributeList_New", lib))
        self.list_delete = ctypes.CFUNCTYPE(ctypes.c_int, pointer)(("OTF2_AttributeList_Delete", lib))
        kinds = ((INT64, "Int64", ctypes.c_int64), (DOUBLE, "Double", ctypes.c_double), (STRING, "StringRef", u32))
        self.add = {
            kind: ctypes.CFUNCTYPE(ctypes.c_int, pointer, u32, argument)((f"OTF2_AttributeList_Add{name}", lib))
            for kind, name, argument in kinds
        }


COUNTS = {kind: len(types) for kind, (_, types) in arguments().items()}


def _functions() -> _Functions:
    from _otf2.Config import conf

    return _Functions(conf.lib)
