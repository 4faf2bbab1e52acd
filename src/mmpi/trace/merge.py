# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi trace merge`: one file of the streams of all processes. Needs neither MPI nor NumPy; the work on records is C (src/trace/)."""

from __future__ import annotations

import argparse
import array
import glob
import os
import re
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from .. import _merge
from . import alignment, spawning
from .container import COLUMNS, NO_COMM, NO_SITE, Reader, TraceError, Writer, deflated
from .folder import MERGED
from .streams import (
    DEFINITIONS,
    NOTE_START,
    NOTE_STOP,
    STATE_KINDS,
    STREAM,
    Communicator,
    Process,
    Stream,
    StreamError,
    read_folder,
)
from .words import reason

DESCRIPTION = """\
Make one file of what the processes of a job recorded: their calls on one clock, which send belongs to which receive, which calls are one
collective. Streams of processes that died, and of jobs that still run, are taken as far as they go.
"""
FIRST_USER, OPERATIONS = 0x800, 0xF00
SENDS, RECEIVES, RETURNS, PREPARES, COLLECTIVE, PARTITIONED = 1, 2, 4, 8, 16, 32  # merge.h
MISSES_SOME, MISSES_END, PART = 1, 2, 4
UNKNOWN = "?"  # the name of operations that nobody defined
MOST_TRIES = 10  # to find clocks that no message contradicts
RECENT = 60 * 10**9  # ns: a stream may get records and keep its time so long
MESSAGES = {
    **dict.fromkeys(("Send", "Bsend", "Ssend", "Rsend", "Sendrecv", "Sendrecv_replace"), SENDS),
    **dict.fromkeys(("Isend", "Ibsend", "Issend", "Irsend", "Isendrecv", "Isendrecv_replace"), SENDS | RETURNS),
    **dict.fromkeys(("Send_init", "Bsend_init", "Ssend_init", "Rsend_init"), SENDS | PREPARES),
    **dict.fromkeys(("Recv", "Mrecv"), RECEIVES), **dict.fromkeys(("Irecv", "Imrecv"), RECEIVES | RETURNS), "Recv_init": RECEIVES | PREPARES,
    "Psend_init": SENDS | PREPARES | PARTITIONED, "Precv_init": RECEIVES | PREPARES | PARTITIONED,
    "MPE_Log_send": SENDS, "MPE_Log_receive": RECEIVES,
}  # fmt: skip
NEITHER = {"Probe", "Iprobe", "Mprobe", "Improbe", "Comm_create_group", "Comm_create_from_group", "Intercomm_create_from_groups"}
COMPLETING = ("Wait", "Test", "Request_get_status")  # so begin calls whose records may have the tag of what came
NONBLOCKING = re.compile(r"I(?!nter|nfo|nit)|(Comm|File)_i")


def does(name: str) -> int:
    """What an operation of this name does, as matching sees it: flags of merge.h."""
    base = name.removeprefix("MPI_").removeprefix("MPIX_").removesuffix("_c")
    if base in MESSAGES:
        return MESSAGES[base]
    if base in NEITHER or base.startswith(COMPLETING):
        return 0
    return COLLECTIVE | (PREPARES if base.endswith("_init") else RETURNS if NONBLOCKING.match(base) else 0)


# --- tables of all processes -----------------------------------------------------------------------------------------


class Side(NamedTuple):
    """What is the same on all ranks of a group of a communicator."""

    world: int  # spawned worlds number theirs alike
    gid: int
    size: int
    remote_size: int
    leader: int  # of one group of two; of a communicator of one group 0


class Tables:
    """Numbers that mean the same in all processes, and what each process calls them."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self.processes = processes
        self.notes: list[str] = []
        self.worlds = _worlds(processes)
        self.links = spawning.Links(processes, self.worlds)
        self.operations = self._operations()
        self.unknown = len(self.operations)
        self.number_of = {(entry["name"], entry["kind"]): i for i, entry in enumerate(self.operations)}
        self.sites: list[dict[str, Any]] = [dict(NO_SITE)]
        self.site_of: dict[tuple[str, int, str], int] = {("", 0, ""): 0}
        self.strings: list[str] = []
        self.string_of: dict[str, int] = {}
        self.sides: dict[Side, int] = {}
        self.descriptions: list[Communicator] = [Communicator(0, 0, -1, 0, -1, 0, "")]
        self.other = [0]
        self.members: list[list[int]] = [[]]  # processes
        self.apart = [False]  # with processes of a world that was not found
        self._add_comms()

    def _operations(self) -> list[dict[str, Any]]:
        names = sorted({name for process in self.processes for name in process.operations.values()})
        found: list[dict[str, Any]] = [{"name": name, "kind": "mpi", "color": "", "format": ""} for name in names]
        users: dict[tuple[str, str], dict[str, Any]] = {}
        for process in self.processes:
            for kind, name, color, form in process.states.values():
                word = STATE_KINDS[kind] if 0 <= kind < len(STATE_KINDS) else STATE_KINDS[0]
                entry = users.setdefault((name, word), {"name": name, "kind": word, "color": color, "format": form})
                entry["color"], entry["format"] = entry["color"] or color, entry["format"] or form
        return found + list(users.values())

    def _add_comms(self) -> None:
        for process in self.processes:
            for comm in process.comms.values():
                if comm.gid and 0 < comm.size < 1 << 24 and 0 <= comm.rank < comm.size and -1 <= comm.remote_size < 1 << 24:
                    self._add_comm(process, comm)
        by_gid: dict[tuple[int, int], list[Side]] = {}
        for side in self.sides:
            if side.remote_size >= 0:
                by_gid.setdefault(self.links.known_as(side.world, side.gid), []).append(side)
        for sides in by_gid.values():
            self._pair(sides)

    def _add_comm(self, process: Process, comm: Communicator) -> None:
        side = self._side(process, comm)
        number = self.sides.get(side)
        if number is None:
            number = self.sides[side] = self._new_side(comm, self.links.are_missing(self.worlds[process.number], comm))
        if self.members[number][comm.rank] not in (-1, process.number):
            text = f"two processes say they are rank {comm.rank} of {comm.name or hex(comm.gid)}: what moved there is not matched"
            self.notes += [text] if text not in self.notes else []
            self.members[number] = [-2] * comm.size  # nobody's
        elif self.members[number][comm.rank] == -1:
            self.members[number][comm.rank] = process.number
        if comm.name:
            self.descriptions[number] = self.descriptions[number]._replace(name=comm.name)

    def _side(self, process: Process, comm: Communicator) -> Side:
        world, gid, inter = self.worlds[process.number], comm.gid, comm.remote_size >= 0
        if not inter:
            world, gid = self.links.known_as(world, gid)
        return Side(world, gid, comm.size, comm.remote_size, comm.leader if inter else 0)

    def _new_side(self, comm: Communicator, apart: bool) -> int:
        self.descriptions.append(comm)
        self.members.append([-1] * comm.size)
        self.apart.append(apart)
        self.other.append(len(self.other))
        return len(self.other) - 1

    def _pair(self, sides: list[Side]) -> None:
        """Both groups of a communicator; one of which no process told is made up."""
        numbers = [self.sides[side] for side in sides[:2]]
        if len(sides) == 1:
            told = self.descriptions[numbers[0]]
            numbers.append(self._new_side(told._replace(size=told.remote_size, remote_size=told.size), self.apart[numbers[0]]))
        self.other[numbers[0]], self.other[numbers[1]] = numbers[1], numbers[0]

    def comms(self) -> list[dict[str, Any]]:
        """As the footer has them."""
        entries = [dict(NO_COMM)]
        for number, comm in enumerate(self.descriptions[1:], 1):
            other = self.other[number]
            remote = self.ranks(other) if comm.remote_size >= 0 else []
            entries.append({
                "gid": f"{comm.gid:x}", "parent": f"{comm.parent:x}", "name": comm.name, "size": comm.size, "remote_size": comm.remote_size,
                "members": self.ranks(number), "remote": remote,
            })  # fmt: skip
        return entries

    def ranks(self, comm: int) -> list[int]:
        """The ranks in WORLD of a communicator's members, -1 where none says so."""
        return [self.processes[member].rank if member >= 0 else -1 for member in self.members[comm]]

    # --- as C wants them

    def packed_comms(self) -> tuple[bytes, bytes]:
        """All communicators, and the members of all."""
        packed, at = [], 0
        for number, comm in enumerate(self.descriptions):
            other = self.other[number]
            total = comm.size + max(comm.remote_size, 0)
            packed.append(struct.pack("<4iIi", other, min(number, other), comm.size, total, at, self.apart[number]))
            at += comm.size
        return b"".join(packed), _ints(member for members in self.members for member in members)

    def packed_operations(self, process: Process) -> bytes:
        """Number and flags of each operation of a process."""
        pairs = [(-1, 0)] * OPERATIONS
        for operation, name in process.operations.items():
            if 0 < operation < FIRST_USER:
                pairs[operation] = (self.number_of[name, "mpi"], does(name))
        for operation, (kind, name, _, _) in process.states.items():
            if FIRST_USER <= operation < OPERATIONS:
                pairs[operation] = (self.number_of[name, STATE_KINDS[kind] if 0 <= kind < len(STATE_KINDS) else STATE_KINDS[0]], 0)
        return _ints(value for pair in pairs for value in pair)

    def packed_sites(self, process: Process) -> bytes:
        """The number of each site of a process."""
        for site in process.sites.values():
            if site not in self.site_of:
                self.site_of[site] = len(self.sites)
                self.sites.append(dict(zip(("file", "line", "function"), site, strict=True)))
        return _numbers({number: self.site_of[site] for number, site in process.sites.items()}, 1 << 20)

    def packed_strings(self, process: Process) -> bytes:
        """The number of each string of a process."""
        for text in process.strings.values():
            if text not in self.string_of:
                self.string_of[text] = len(self.strings)
                self.strings.append(text)
        return _numbers({number: self.string_of[text] for number, text in process.strings.items()}, 1 << 20)

    def packed_memberships(self, process: Process) -> bytes:
        """Number of each communicator of a process, and its rank there."""
        pairs = [(0, -1)] * (1 + max((number for number in process.comms if 0 <= number < 1 << 16), default=0))
        for number, comm in process.comms.items():
            found = self.sides.get(self._side(process, comm), 0)
            if 0 <= number < len(pairs):
                pairs[number] = (found, comm.rank if found and self.members[found][comm.rank] >= 0 else -1)
        return _ints(value for pair in pairs for value in pair)


def _ints(values: Iterable[int]) -> bytes:
    return array.array("i", values).tobytes()


def _numbers(table: dict[int, int], end: int) -> bytes:
    known = {number: value for number, value in table.items() if 0 <= number < end}
    numbers = array.array("i", bytes(4 * (1 + max(known, default=0))))
    for number, value in known.items():
        numbers[number] = value
    return numbers.tobytes()


def _worlds(processes: Sequence[Process]) -> list[int]:
    """To which WORLD each process belongs, by number."""
    jobs: dict[str, list[Process]] = {}
    for process in processes:
        jobs.setdefault(process.job, []).append(process)
    worlds, number = [0] * len(processes), 0
    for members in jobs.values():
        for world in _worlds_of_job(members):
            for process in world:
                worlds[process.number] = number
            number += 1
    return worlds


def _worlds_of_job(processes: Sequence[Process]) -> list[list[Process]]:
    """What the launcher started, then what ranks have spawned, the first first."""
    told: dict[int, list[Process]] = {}
    for process in processes:
        told.setdefault(process.world, []).append(process)
    spawned = [members for world, members in told.items() if world > 1] + _unnamed(told.get(1, []))
    spawned.sort(key=lambda members: min(process.streams[0].first.realtime for process in members))
    return [told[0], *spawned] if 0 in told else spawned


def _unnamed(processes: Sequence[Process]) -> list[list[Process]]:
    """Worlds without a name. On a host, a launcher starts the processes of one after those of the other, in the order of their ranks."""
    runs: list[list[Process]] = []
    for process in sorted(processes, key=lambda process: (process.boot, process.started, process.pid)):
        last = runs[-1][-1] if runs else None
        if not last or (process.boot, process.size) != (last.boot, last.size) or process.rank <= last.rank:
            runs.append([])
        runs[-1].append(process)
    whole = [run for run in runs if len(run) == run[0].size]
    for size in {run[0].size for run in runs if len(run) < run[0].size}:
        parts = [run for run in runs if len(run) < size == run[0].size]
        ranks = [process.rank for run in parts for process in run]
        whole += [[process for run in parts for process in run]] if len(set(ranks)) == len(ranks) else parts  # else which is whose nobody knows
    return whole


def _renumber(processes: Sequence[Process], worlds: Sequence[int]) -> list[str]:
    """Let the ranks of each world follow those of the one before; returns what is to be said of that."""
    sizes: dict[int, int] = {}
    for process in processes:
        world = worlds[process.number]
        sizes[world] = max(sizes.get(world, 0), process.size, process.rank + 1)
    notes, base = [], 0
    for world, size in sorted(sizes.items()):
        for process in processes:
            if base and worlds[process.number] == world and process.rank >= 0:
                process.rank += base
        if base:
            ranks = f"rank {base} is rank 0" if size == 1 else f"ranks {base}-{base + size - 1} are ranks 0-{size - 1}"
            notes.append(f"{ranks} of a WORLD of its own, which was started later")
        base += size
    for process in processes:
        process.size = base or process.size
    return notes


# --- the merge -------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A thread: its stream, and what was found in it."""

    process: Process
    stream: Stream
    calls: int
    first: int  # ns on its host's clock
    last: int


class Merger:
    """One merge, step by step; `meta`, `violations` and the lists of the footer come of it."""

    def __init__(self, folder: str | os.PathLike[str], jobs: int) -> None:
        self.processes = read_folder(folder)
        self.jobs = jobs
        self.tables = Tables(self.processes)
        self.notes = [*self.tables.notes, *_renumber(self.processes, self.tables.worlds)]
        self.hosts = self._hosts()
        self.handle = self._prepare()
        self.rows = self._scan()
        self.found: dict[str, int] = {}

    def _hosts(self) -> list[str]:
        """Boots of kernels; that of rank 0 first."""
        boots = list(dict.fromkeys(process.boot for process in self.processes))
        first = next((process.boot for process in self.processes if process.rank == 0), boots[0])
        return sorted(boots, key=lambda boot: boot != first)

    def _streams(self) -> list[tuple[Process, Stream]]:
        every = [(process, stream) for process in self.processes for stream in process.streams]
        every.sort(key=lambda pair: (self.tables.worlds[pair[0].number], pair[0].rank, pair[0].number, pair[1].thread))
        return every

    def _prepare(self) -> Any:
        knots: dict[tuple[str, bool], bytes] = {}
        packed, streams = {}, []
        for process in self.processes:
            for stream in process.streams:
                key = (process.boot, stream.ticks_are_ns)
                if key not in knots:
                    knots[key] = alignment.knots([s for p in self.processes for s in p.streams if (p.boot, s.ticks_are_ns) == key])
            packed[process.number] = (
                self.tables.packed_operations(process), self.tables.packed_sites(process), self.tables.packed_memberships(process),
                self.tables.packed_strings(process),
            )  # fmt: skip
        for process, stream in self._streams():
            host = self.hosts.index(process.boot)
            clock = knots[process.boot, stream.ticks_are_ns]
            streams.append((stream.data, clock, *packed[process.number], process.number, stream.thread, host, self.tables.unknown))
        return _merge.merge(streams, *self.tables.packed_comms(), bytes(4 * (len(self.processes) + 1)), len(self.hosts))

    def _each(self, work: Callable[[int], Any], n: int) -> list[Any]:
        if self.jobs == 1 or n < 2:
            return [work(i) for i in range(n)]
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(work, range(n)))

    def _scan(self) -> list[Row]:
        streams = self._streams()
        results = self._each(lambda i: _merge.scan(self.handle, i), len(streams))
        self.flags = [_pauses(process) for process in self.processes]
        damaged = 0
        rows = []
        for (process, stream), (calls, first, last, torn, wrong, lost, _) in zip(streams, results, strict=True):
            self.flags[process.number] |= (MISSES_SOME if torn or lost else 0) | (MISSES_END if stream.dropped else 0)
            self._tell(stream, torn, wrong, lost)
            damaged += wrong
            rows.append(Row(process, stream, calls, first, last))
        if damaged:
            self.tables.operations.append({"name": UNKNOWN, "kind": "mpi", "color": "", "format": ""})
        for process in self.processes:
            self.notes += [f"rank {process.rank}: {text}" for kind, _, text in process.notes if kind not in (NOTE_START, NOTE_STOP)]
        return rows

    def _tell(self, stream: Stream, torn: int, wrong: int, lost: int) -> None:
        if torn:
            self.notes.append(f"{stream.path}: {torn} records were not written")
        if wrong:
            self.notes.append(f"{stream.path}: {wrong} records make no sense, or what they mean is not defined")
        if lost:
            self.notes.append(f"{stream.path}: what came first was overwritten: {lost} MiB")
        if stream.dropped:
            self.notes.append(f"{stream.path}: {stream.dropped} records found no room")

    def settle(self) -> None:
        """Match, and find the clocks."""
        unknown = MISSES_END if self.missing() or any(self.flags) else 0  # who never named a communicator has done nothing there
        bounds = _merge.match(self.handle, _ints([*self.flags, unknown]))
        hosts = [self._host(boot) for boot in self.hosts]
        self.names = [host.name for host in hosts]
        self.clocks, notes = alignment.align(hosts, bounds)
        for _ in range(MOST_TRIES):  # `bounds` are some of the messages only: the clocks may contradict others
            worst = _merge.early(self.handle, [(clock.at, clock.offset, clock.drift) for clock in self.clocks])
            before, bounds = self.clocks, [*bounds, *worst]
            self.clocks, notes = alignment.align(hosts, bounds) if worst else (before, notes)
            if self.clocks == before:
                break
        self.notes += notes
        self.began = min(self._time(row, row.first) for row in self.rows)
        self.violations = _merge.settle(self.handle, [(clock.at, clock.offset, clock.drift) for clock in self.clocks], self.began)

    def _host(self, boot: str) -> alignment.Host:
        rows = [row for row in self.rows if row.process.boot == boot]
        since = rows[0].stream.first.realtime - rows[0].stream.first.monotonic
        reference = {process.rank for process in self.processes if process.boot == self.hosts[0]}
        processes = [process for process in self.processes if process.boot == boot]
        exchanges = [one for process in processes for one in process.exchanges if one.peer in reference]
        return alignment.Host(rows[0].process.host, boot, min(row.first for row in rows), max(row.last for row in rows), since, exchanges)

    def _time(self, row: Row, ns: int) -> int:
        return self.clocks[self.hosts.index(row.process.boot)](ns)

    def write(self, writer: Writer) -> None:
        """Write all blocks and the footer."""
        lock = threading.Lock()
        bases = [sum(row.calls for row in self.rows[:i]) for i in range(len(self.rows))]

        def write_row(i: int) -> None:
            at = bases[i]

            def take(columns: list[bytes], n: int, start: int, end: int) -> None:
                nonlocal at
                data = deflated(columns)
                with lock:
                    writer.block("calls", data, row=i, first=at, n=n, start=start, end=end)
                at += n

            _merge.calls(self.handle, i, take)

        def write_table(name: str) -> None:
            def take(columns: list[bytes], n: int, start: int, end: int) -> None:
                data = deflated(columns)
                with lock:
                    writer.block(name, data, n=n)

            _merge.table(self.handle, name, take)

        self._each(write_row, len(self.rows))
        tables = [name for name in COLUMNS if name != "calls"]
        self._each(lambda i: write_table(tables[i]), len(tables))
        writer.blocks["calls"].sort(key=lambda entry: entry["first"])
        self.found = {name: sum(entry["n"] for entry in blocks) for name, blocks in writer.blocks.items()}
        writer.close(self.footer())

    def footer(self) -> dict[str, Any]:
        """All but the blocks."""
        lists = {"operations": self.tables.operations, "sites": self.tables.sites, "comms": self.tables.comms(), "strings": self.tables.strings}
        return {"meta": self.meta(), "rows": self._rows(), **lists}

    def _rows(self) -> list[dict[str, Any]]:
        rows = []
        for row in self.rows:
            process, stream = row.process, row.stream
            last = row.last if stream.finished else max(other.last for other in self.rows if other.process is process)
            rows.append({
                "rank": process.rank, "thread": stream.thread, "host": process.host, "pid": process.pid, "tid": stream.tid, "calls": row.calls,
                "first": self._time(row, row.first) - self.began, "last": self._time(row, last) - self.began, "finished": stream.finished,
                "dropped": stream.dropped,
            })  # fmt: skip
        return rows

    def missing(self) -> list[int]:
        """Ranks without a stream."""
        here = {process.rank for process in self.processes}
        return [rank for rank in range(max(process.size for process in self.processes)) if rank not in here]

    def meta(self) -> dict[str, Any]:
        """What is said of the whole trace."""
        first = next((process for process in self.processes if process.rank == 0), self.processes[0])
        size, missing = max(process.size for process in self.processes), self.missing()
        head = first.streams[0].first
        row = next(row for row in self.rows if row.stream is first.streams[0])
        began = head.realtime - head.monotonic + self.began - (self._time(row, row.first) - row.first)
        hosts = [
            {"name": name, "boot": boot, "offset": clock.offset, "drift": clock.drift * 1e6, "bound": clock.bound, "residual": clock.residual}
            for name, boot, clock in zip(self.names, self.hosts, self.clocks, strict=True)
        ]
        costs = [stream.record_ns for process in self.processes for stream in process.streams]
        return {
            "job": first.job, "program": first.program, "library": first.library, "began": began, "size": size, "hosts": hosts,
            "duration": max(self._time(row, row.last) for row in self.rows) - self.began, "violations": self.violations,
            "dropped": sum(row.stream.dropped for row in self.rows), "record_ns": sum(costs) / len(costs), "notes": self.notes,
            "missing": missing, "complete": not missing and all(row.stream.finished for row in self.rows),
        }  # fmt: skip


def _pauses(process: Process) -> int:
    """What notes of pauses say: one in the middle, one that lasted to the end."""
    notes = [kind for kind, _, _ in process.notes if kind in (NOTE_START, NOTE_STOP)]
    return (PART if notes.count(NOTE_START) > 1 else 0) | (MISSES_END if notes[-2:] == [NOTE_STOP] * 2 else 0)


def merge(folder: str | os.PathLike[str], output: str | os.PathLike[str] | None = None, jobs: int | None = None) -> Merger:
    """Merge the streams in a folder into `output`, by default trace.mmpit there, with so many threads (by default one a core).

    Returns what is known of the trace. FileNotFoundError if there is nothing to merge, StreamError for a file that cannot be used."""
    merger = Merger(folder, jobs or min(8, len(os.sched_getaffinity(0))))
    merger.settle()
    writer = Writer(output or os.path.join(folder, MERGED))
    try:
        merger.write(writer)
    except BaseException:
        writer.abandon()
        raise
    return merger


def up_to_date(folder: str | os.PathLike[str]) -> str:
    """The merged file of a folder, made anew if it is missing or older than a stream."""
    path = os.path.join(folder, MERGED)
    names = [name for kind in (STREAM, DEFINITIONS) for name in glob.glob(os.path.join(glob.escape(os.fspath(folder)), "*" + kind))]
    newest = max((os.stat(name).st_mtime_ns for name in names), default=0)
    if not os.path.exists(path) or not _is_recent(path, newest):
        merge(folder)
    return path


def _is_recent(path: str, newest: int) -> bool:
    merged = os.stat(path).st_mtime_ns
    if merged <= newest:
        return False
    try:
        with Reader(path) as reader:
            return bool(reader.footer["meta"].get("complete")) or merged > newest + RECENT
    except TraceError:
        return False


# --- the command -----------------------------------------------------------------------------------------------------


def _counted(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def summary(merger: Merger) -> list[str]:
    """What a merge found, in a few lines."""
    meta, found = merger.meta(), merger.found
    ranks = len({process.rank for process in merger.processes})
    lines = [
        f"{_counted(ranks, 'rank')} of {meta['size']} on {_counted(len(merger.hosts), 'host')}, {meta['duration'] / 1e9:.3f} s: "
        f"{_counted(found['calls'], 'call')}, {_counted(found['messages'], 'message')}, {_counted(found['collectives'], 'part')} of "
        f"collectives; {found['unmatched']:,} without their counterparts"
    ]
    if len(merger.hosts) > 1:
        known = [clock.bound for clock in merger.clocks]
        error = f"right within {max(known) / 1000:.1f} µs" if min(known) >= 0 else "of some hosts not known"
        lines.append(f"clocks {error}; {meta['violations']:,} of {_counted(found['messages'], 'message')} arrive before they were sent")
    if meta["missing"]:
        lines.append(f"no stream of {'ranks' if len(meta['missing']) > 1 else 'rank'} {_ranges(meta['missing'])}")
    return lines + [f"note: {text}" for text in meta["notes"]]


def _ranges(numbers: list[int]) -> str:
    groups: list[list[int]] = []
    for number in numbers:
        if groups and groups[-1][-1] == number - 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(f"{group[0]}-{group[-1]}" if len(group) > 1 else str(group[0]) for group in groups)


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is no number of threads: say 1 or more")
    return int(word)


def main(argv: Sequence[str]) -> int:
    """Run `mmpi trace merge`; return the exit status."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="mmpi trace merge", description=DESCRIPTION, formatter_class=plain)
    parser.add_argument("folder", metavar="DIR", help="where the job recorded: the folder given to mmpi run --trace")
    parser.add_argument("-o", "--output", metavar="FILE", help=f"the file to write (default: {MERGED} in DIR)")
    parser.add_argument("-j", "--jobs", metavar="N", type=_positive, help="threads to use (default: one a core, at most 8)")
    words = parser.parse_args(argv)
    try:
        merger = merge(words.folder, words.output, words.jobs)
    except (OSError, StreamError, MemoryError) as error:
        print(f"mmpi trace merge: {reason(error)}", file=sys.stderr)
        return 1
    print(f"{words.output or os.path.join(words.folder, MERGED)}:")
    print("\n".join(f"  {line}" for line in summary(merger)))
    return 0
