# SPDX-License-Identifier: BSD-3-Clause
"""The folder of a trace as its processes left it: heads of streams, definitions (src/trace/format.h, docs/trace-format.md)."""

from __future__ import annotations

import glob
import mmap
import os
import struct
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

STREAM, DEFINITIONS = ".mmpis", ".mmpid"
VERSION, STREAM_HEAD, SEGMENT = 1, 4096, 1 << 20
HEAD = struct.Struct("<8sII16s256s40s4iII3Q3Q4QII")
PAIR = struct.Struct("<3Q")
NUMBERED = struct.Struct("<4Q")  # head of a segment
DEFINITION_HEAD = struct.Struct("<II")
DEFINITION = struct.Struct("<II6q")
KINDS = PROCESS, OPERATION, SITE, COMM, STATE, STRING, CLOCK, NOTE, SPAWN = range(1, 10)
STATE_KINDS = ("state", "event", "counter")
NOTE_START, NOTE_STOP, NOTE_FULL = range(3)
MOST_RANKS = 1 << 22
END_OF_TIME = 1 << 62  # of any clock
LARGEST = 1 << 16  # bytes of a definition: any more is damage


class StreamError(ValueError):
    """A file that is no stream, or damaged beyond use; names it."""


class Pair(NamedTuple):
    """Clocks that were read together."""

    ticks: int
    monotonic: int
    realtime: int


@dataclass
class Stream:
    """The records of a thread, mapped, and what the head of their file says."""

    path: str
    data: mmap.mmap
    job: str
    host: str
    boot: str
    pid: int
    tid: int
    rank: int
    size: int
    thread: int
    ticks_are_ns: bool
    first: Pair
    latest: Pair
    segments: int
    limit: int
    dropped: int
    record_ns: float
    ring: bool
    finished: bool

    def pairs(self) -> list[Pair]:
        """All pairs of clocks in the file."""
        found = [self.first, self.latest]
        for at in range(STREAM_HEAD, len(self.data) - NUMBERED.size + 1, SEGMENT):
            number, *clocks = NUMBERED.unpack_from(self.data, at)
            if number < self.segments:
                found.append(Pair(*clocks))
        return [pair for pair in found if all(0 < clock < END_OF_TIME for clock in pair)]


class Communicator(NamedTuple):
    """A communicator as a process defined it."""

    gid: int
    parent: int
    rank: int
    size: int
    remote_size: int  # -1: none
    leader: int  # rank in WORLD of rank 0
    name: str


class Exchange(NamedTuple):
    """A comparison with the clock of the host of rank 0, in ns."""

    peer: int
    time: int
    difference: int
    bound: int


class Spawn(NamedTuple):
    """A call that has spawned processes."""

    gid: int  # of the communicator with them
    before: int  # ns, when the call began, to some ms
    after: int
    size: int  # of their world


@dataclass
class Process:
    """What a process has defined."""

    stem: str  # of the names of its files
    number: int = 0
    job: str = ""
    host: str = ""
    boot: str = ""
    program: str = ""
    library: str = ""
    pid: int = 0
    rank: int = -1
    size: int = -1
    world: int = 0  # 0: the launcher's, 1: one that was spawned, else which of those
    started: int = 0  # in ticks of its kernel
    began: int = 0  # the same in ns of its clock, one tick too early at most; 0: not told
    operations: dict[int, str] = field(default_factory=dict)
    sites: dict[int, tuple[str, int, str]] = field(default_factory=dict)
    comms: dict[int, Communicator] = field(default_factory=dict)
    states: dict[int, tuple[int, str, str, str]] = field(default_factory=dict)
    strings: dict[int, str] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    notes: list[tuple[int, int, str]] = field(default_factory=list)
    spawns: list[Spawn] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def open_stream(path: str) -> Stream:
    """Map a stream; StreamError if it is none."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < STREAM_HEAD:
            raise StreamError(f"{path}: cut off: {size} bytes, the head alone has {STREAM_HEAD}")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    magic, version, head, job, host, boot, pid, tid, rank, ranks, thread, are_ns, *rest = HEAD.unpack_from(data)
    if magic != b"mmpi-str":
        raise StreamError(f"{path}: this is no stream of MaroonMPI, or its head is damaged")
    if version != VERSION or head != STREAM_HEAD:
        raise StreamError(f"{path}: version {version} of the format: this MaroonMPI reads version {VERSION}")
    segments, limit, dropped, record_ns, ring, finished = rest[6:]
    flags = ring <= 1 and finished <= 1 and are_ns <= 1 and (limit or not ring)
    clocks = all(0 < clock < END_OF_TIME for clock in rest[:3])
    if not flags or not clocks or not -1 <= rank < max(ranks, 1) or ranks > MOST_RANKS or thread >= 1 << 16:
        raise StreamError(f"{path}: damaged: what its head says makes no sense")
    return Stream(
        path, data, _text(job), _text(host), _text(boot), pid, tid, rank, ranks, thread, bool(are_ns), Pair(*rest[:3]), Pair(*rest[3:6]),
        segments, limit, dropped, record_ns / 1000, bool(ring), bool(finished),
    )  # fmt: skip


def read_definitions(path: str, process: Process) -> None:
    """Add what a file defines, as far as it is whole."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at + DEFINITION_HEAD.size <= len(data):
        length, checksum = DEFINITION_HEAD.unpack_from(data, at)
        body = data[at + DEFINITION_HEAD.size : at + DEFINITION_HEAD.size + length]
        if length < DEFINITION.size or length > LARGEST or len(body) < length or zlib.crc32(body) != checksum:
            process.notes.append((NOTE_FULL, 0, f"{path}: only the first {at} of {len(data)} bytes are whole"))
            return
        at += DEFINITION_HEAD.size + length
        kind, number, *numbers = DEFINITION.unpack_from(body)
        _define(process, kind, number, numbers, body[DEFINITION.size :].split(b"\0"))


def _define(process: Process, kind: int, number: int, numbers: list[int], raw: list[bytes]) -> None:
    texts = [text.decode("utf-8", "replace") for text in raw] + [""] * 5
    if kind == PROCESS:
        process.pid, process.rank, process.size, process.world, process.started, process.began = numbers
        process.job, process.host, process.boot, process.program, process.library = texts[:5]
    elif kind == OPERATION:
        process.operations[number] = texts[0]
    elif kind == SITE:
        process.sites[number] = (texts[0], numbers[0], texts[1])
    elif kind == COMM:
        gid, parent = (value & (1 << 64) - 1 for value in numbers[:2])
        rank, size, remote_size, leader = numbers[2:6]
        process.comms[number] = Communicator(gid, parent, rank, size, remote_size, leader, texts[0])
    elif kind == STATE:
        process.states[number] = (numbers[0], texts[0], texts[1], texts[2])
    elif kind == STRING:
        process.strings[number] = texts[0]
    elif kind == CLOCK:
        process.exchanges.append(Exchange(*numbers[:4]))
    elif kind == NOTE:
        process.notes.append((numbers[0], numbers[1], texts[0]))
    elif kind == SPAWN:
        process.spawns.append(Spawn(numbers[0] & (1 << 64) - 1, *numbers[1:4]))


def read_folder(folder: str | os.PathLike[str]) -> list[Process]:
    """The processes that left streams in a folder, by rank. StreamError names a file that cannot be used."""
    processes: dict[str, Process] = {}
    where = os.fspath(folder)
    if not os.path.isdir(where):
        raise FileNotFoundError(f"{where}: there is no such folder")
    for path in sorted(glob.glob(os.path.join(glob.escape(where), "*" + STREAM))):
        stem = path.removesuffix(STREAM).rpartition("-")[0]
        process = processes.setdefault(stem, Process(stem))
        process.streams.append(open_stream(path))
    if not processes:
        raise FileNotFoundError(f"{where}: no streams (*{STREAM}) are here: record some with mmpi run --trace {where} program.py")
    for process in processes.values():
        _complete(process)
    found = sorted(processes.values(), key=lambda process: (process.job, process.rank, process.streams[0].first.monotonic, process.pid))
    for number, process in enumerate(found):
        process.number = number
    return found


def _complete(process: Process) -> None:
    head = process.streams[0]
    try:
        read_definitions(process.stem + DEFINITIONS, process)
    except FileNotFoundError:
        process.notes.append((NOTE_FULL, 0, f"{process.stem + DEFINITIONS} is missing: its calls have no names"))
    process.pid = process.pid or head.pid
    process.job, process.host, process.boot = (process.job or head.job, process.host or head.host, head.boot or process.boot)
    if process.rank < 0:
        process.rank = max(stream.rank for stream in process.streams)
        process.size = max(stream.size for stream in process.streams)
    process.streams.sort(key=lambda stream: stream.thread)
