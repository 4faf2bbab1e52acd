# SPDX-License-Identifier: BSD-3-Clause
"""Streams and definitions as they lie on disk, read by nothing but `struct` and NumPy: what tests of the recorder hold it against."""

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HEAD = struct.Struct("<8sII16s256s40s4iII10QII")
PER_SEGMENT, SEGMENT = 32768, 1 << 20
OPEN, ERROR, ANY_SOURCE, ANY_TAG, DERIVED, COPIED, POLLS, EXTENDED = (1 << i for i in range(8))
WIDE, COMPLETED, SECOND, NESTED, VALUES, STARTED = range(0xF00, 0xF06)
PROCESS, OPERATION, SITE, COMM, STATE, STRING, CLOCK, NOTE, SPAWN = range(1, 10)


@dataclass
class Record:
    index: int
    start: int
    lasts: int
    moves: int
    what: int
    more: list = field(default_factory=list)

    duration = property(lambda self: self.lasts & (1 << 40) - 1)
    peer = property(lambda self: (self.lasts >> 40) - 2)
    bytes = property(lambda self: (self.moves & (1 << 40) - 1) - 1)
    comm = property(lambda self: self.moves >> 40 & 0xFFFF)
    flags = property(lambda self: self.moves >> 56)
    tag = property(lambda self: struct.unpack("<i", struct.pack("<I", self.what & 0xFFFFFFFF))[0])
    site = property(lambda self: self.what >> 32 & 0xFFFFF)
    operation = property(lambda self: self.what >> 52)

    def of(self, kind):
        """The records that say more of this one."""
        return [more for more in self.more if more.operation == kind]


class Stream:
    """One file: its head, and the calls in it by index, each with what more is said of it."""

    def __init__(self, path):
        data = Path(path).read_bytes()
        head = HEAD.unpack_from(data)
        assert head[0] == b"mmpi-str" and head[1:3] == (1, 4096)
        self.job, self.host, self.boot = (text.split(b"\0")[0].decode() for text in head[3:6])
        self.pid, self.tid, self.rank, self.size, self.thread, self.ticks_are_ns = head[6:12]
        self.first, self.latest = head[12:15], head[15:18]
        self.segments, self.limit, self.dropped, self.record_ns, self.ring, self.finished = head[18:]
        self.calls, self.starts = {}, {}
        oldest = max(0, self.segments - self.limit) if self.ring else 0
        for k in range(oldest, self.segments):
            place = k % self.limit if self.ring else k
            block = data[4096 + place * SEGMENT :][:SEGMENT]
            number, = struct.unpack_from("<Q", block)
            if self.ring and number == k + self.limit:  # emptied for the segment that comes next
                continue
            assert number == k
            for i in range(1, len(block) // 32):
                record = Record(k * PER_SEGMENT + i, *struct.unpack_from("<4Q", block, i * 32))
                if record.operation:
                    self._add(record)

    def _add(self, record):
        if record.operation < 0xF00:
            self.calls[record.index] = record
        else:
            if record.start in self.calls:
                self.calls[record.start].more.append(record)
            if record.operation == STARTED:
                self.starts[record.index] = record

    def ns(self, record):
        """When a call began and ended, in ns of CLOCK_MONOTONIC."""
        rate = 1.0
        if not self.ticks_are_ns:
            rate = (self.latest[1] - self.first[1]) / max(1, self.latest[0] - self.first[0])
        begin = self.first[1] + (record.start - self.first[0]) * rate
        return begin, begin + record.duration * rate


class Definitions:
    """The definitions of a process, by kind and number, and the notes in their order."""

    def __init__(self, path):
        data, at = Path(path).read_bytes(), 0
        self.operations, self.sites, self.comms, self.states, self.strings = {}, {}, {}, {}, {}
        self.clocks, self.notes, self.spawns, self.process, self.world = [], [], [], None, None
        while at + 8 <= len(data):
            length, crc = struct.unpack_from("<II", data, at)
            body = data[at + 8 : at + 8 + length]
            if len(body) < length or zlib.crc32(body) != crc:
                break
            kind, number, *numbers = struct.unpack_from("<II6q", body)
            self._add(kind, number, numbers, [text.decode() for text in body[56:].split(b"\0")[:-1]])
            at += 8 + length

    def _add(self, kind, number, numbers, texts):
        if kind == PROCESS:
            self.process, self.world = (*numbers[:3], *texts), numbers[3]
        elif kind == CLOCK:
            self.clocks.append(numbers[:4])
        elif kind == NOTE:
            self.notes.append((numbers[0], texts[0]))
        elif kind == SPAWN:
            self.spawns.append(numbers[:4])
        else:
            tables = {OPERATION: self.operations, SITE: self.sites, COMM: self.comms, STATE: self.states, STRING: self.strings}
            tables[kind][number] = (*numbers, *texts)


class Process:
    """What a process has recorded: its streams, the first thread's first, and what their numbers mean."""

    def __init__(self, definitions):
        self.definitions = Definitions(definitions)
        stem = Path(definitions).name.removesuffix(".mmpid")
        paths = Path(definitions).parent.glob(f"{stem}-*.mmpis")
        self.streams = sorted((Stream(path) for path in paths), key=lambda stream: stream.thread)
        self.rank = self.streams[0].rank if self.streams else -1

    def name(self, record):
        """MPI_Send, or what the user's states are called."""
        of = self.definitions
        return of.operations[record.operation][-1] if record.operation < 0x800 else of.states[record.operation][-3]

    def calls(self, *names, stream=0):
        """The calls of these names in the order in which they were entered, or all."""
        every = self.streams[stream].calls.values()
        return [record for record in every if not names or self.name(record).removeprefix("MPI_") in names]

    def line(self, record):
        """File and line of a call."""
        line, *_, file, _function = self.definitions.sites[record.site]
        return Path(file).name, line

    def values(self, record):
        """The values of a state or event."""
        found = []
        for more in record.of(VALUES):
            for kind, value in ((more.what & 0xFF, more.lasts), (more.what >> 8 & 0xFF, more.moves)):
                raw = struct.pack("<Q", value)
                if kind == 3:
                    found.append(self.definitions.strings[value][-1])
                elif kind:
                    found.append(struct.unpack("<q" if kind == 1 else "<d", raw)[0])
        return found

    def started(self, completed):
        """The call that started what was completed."""
        thread, index = completed.lasts >> 48, completed.lasts & (1 << 48) - 1
        stream = next(stream for stream in self.streams if stream.thread == thread)
        return stream.calls.get(index) or stream.starts[index]


def many_calls(path):
    """Operations, flags and tags of the calls in a stream that is no ring: what `Stream` tells, sooner."""
    with open(path, "rb") as file:
        segments = HEAD.unpack(file.read(HEAD.size))[18]
    words = np.fromfile(path, "<u8", segments * SEGMENT // 8, offset=4096).reshape(-1, 4)
    words = words[np.arange(len(words)) % PER_SEGMENT != 0]  # without the heads of segments
    operations = words[:, 3] >> 52
    is_call = (operations > 0) & (operations < 0xF00)
    return operations[is_call], words[is_call, 2] >> 56, words[is_call, 3].astype("<u4").astype("<i4")


def read(folder):
    """All processes of a folder, by rank, then pid."""
    found = [Process(path) for path in Path(folder).glob("*.mmpid")]
    return sorted(found, key=lambda process: (process.rank, process.definitions.process[0]))
