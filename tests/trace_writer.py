# SPDX-License-Identifier: BSD-3-Clause
"""Streams and definitions as docs/trace-format.md has them, written without the recorder."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

HEAD, SEGMENT, RECORDS = 4096, 1 << 20, 1 << 15
FIRST_USER, EXTENSION = 0x800, 0xF00
WIDE, COMPLETED, SECOND, NESTED, VALUES, STARTED = range(EXTENSION, EXTENSION + 6)
OPEN, ERROR, ANY_SOURCE, ANY_TAG, DERIVED, COPIED, POLLS, EXTENDED = (1 << bit for bit in range(8))
PROCESS, OPERATION, SITE, COMM, STATE, STRING, CLOCK, NOTE, SPAWN = range(1, 10)
NONE, PROC_NULL = -2, -1  # peers
WORLD = 0x1234


def low(value, bits):
    """The lowest bits of a number, which must fit."""
    assert 0 <= value < 1 << bits, (value, bits)
    return value


class Process:
    """A process that is traced; `now` of its calls are ticks, which are ns unless `rate` (ns a tick) says otherwise."""

    def __init__(self, folder, rank, size, job="j0b", host="here", boot="boot", pid=None, rate=None, began=0, since=10**18, world=0, started=0):
        self.folder, self.rank, self.size, self.job, self.host, self.boot = Path(folder), rank, size, job, host, boot
        self.pid, self.rate, self.began, self.since = pid or 100 + rank, rate, began, since
        self.definitions, self.threads, self.known = b"", {}, {}
        self.operation_numbers, self.site_numbers, self.comm_numbers, self.string_numbers = {}, {}, {}, {}
        self.world, self.started = world, started
        self.describe(rank, size)
        self.note(0, "recording started")

    def describe(self, rank, size):
        self.define(PROCESS, 0, [self.pid, rank, size, self.world, 7, self.started], [self.job, self.host, self.boot, "program.py", "MPICH 4"])

    def define(self, kind, number, numbers, texts):
        body = struct.pack("<II6q", kind, number, *numbers, *[0] * (6 - len(numbers))) + b"".join(text.encode() + b"\0" for text in texts)
        self.definitions += struct.pack("<II", len(body), zlib.crc32(body)) + body

    def note(self, kind, text):
        self.define(NOTE, 0, [kind, self.began], [text])

    def operation(self, name):
        if name not in self.operation_numbers:
            self.operation_numbers[name] = len(self.operation_numbers) + 1
            self.define(OPERATION, self.operation_numbers[name], [], [name])
        return self.operation_numbers[name]

    def state(self, name, kind=0, color="teal", form=""):
        if name not in self.operation_numbers:
            self.operation_numbers[name] = FIRST_USER + len(self.operation_numbers)
            self.define(STATE, self.operation_numbers[name], [kind], [name, color, form])
        return self.operation_numbers[name]

    def site(self, file, line, function="main"):
        key = (file, line, function)
        if key not in self.site_numbers:
            self.site_numbers[key] = len(self.site_numbers) + 1
            self.define(SITE, self.site_numbers[key], [line], [file, function])
        return self.site_numbers[key]

    def string(self, text):
        if text not in self.string_numbers:
            self.string_numbers[text] = len(self.string_numbers) + 1
            self.define(STRING, self.string_numbers[text], [], [text])
        return self.string_numbers[text]

    def comm(self, gid=WORLD, rank=None, size=None, remote=-1, leader=0, parent=0, name=""):
        if gid not in self.comm_numbers:
            self.comm_numbers[gid] = len(self.comm_numbers) + 1
            numbers = [gid, parent, self.rank if rank is None else rank, self.size if size is None else size, remote, leader]
            self.define(COMM, self.comm_numbers[gid], numbers, [name])
        return self.comm_numbers[gid]

    def exchange(self, time, difference, bound, peer=0):
        self.define(CLOCK, 0, [peer, time, difference, bound], [])

    def spawn(self, gid, before, after, size):
        """The process has spawned others, which it meets on this communicator."""
        self.define(SPAWN, 0, [gid, before, after, size], [])

    def thread(self, number=0):
        if number not in self.threads:
            self.threads[number] = Thread(self, number)
        return self.threads[number]

    def pair(self, ticks):
        """The clocks at this time."""
        ns = ticks if self.rate is None else self.began + round(ticks * self.rate)
        return struct.pack("<3Q", ticks, ns, ns + self.since)

    def stem(self):
        return f"{self.job}-{self.host}-{self.pid}"

    def write(self, **how):
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{self.stem()}.mmpid").write_bytes(self.definitions)
        for thread in self.threads.values():
            thread.write(**how)


class Thread:
    """The stream of a thread."""

    def __init__(self, process, number):
        self.process, self.number, self.records, self.latest = process, number, [], 1

    def add(self, start, lasts, moves, what):
        """A record as four words; returns its index in the stream."""
        if len(self.records) % RECORDS == 0:
            ticks = max(start if what >> 52 < EXTENSION else self.latest, 1)
            self.records.append(struct.pack("<Q", len(self.records) // RECORDS) + self.process.pair(ticks))
        self.records.append(struct.pack("<4Q", start, lasts, moves, what))
        return len(self.records) - 1

    def name(self, index):
        """The number of a record in its process."""
        return self.number << 48 | index

    def call(self, operation, start, end, comm=None, peer=NONE, tag=-1, size=-1, site=0, flags=0):
        """A call; `operation` is a name of MPI, or the number of a state. end None: it never ended. Returns the record's index."""
        number = self.process.operation(operation) if isinstance(operation, str) else operation
        lasts = 0 if end is None else end - start
        self.latest = max(self.latest, start + lasts)
        flags |= OPEN if end is None else 0
        words = self.words(lasts, peer, size, comm or 0, flags, tag, site)
        return self.add(start, words[0], words[1], words[2] | number << 52)

    @staticmethod
    def words(lasts, peer, size, comm, flags, tag, site):
        moves = low(size + 1, 40) | low(comm, 16) << 40 | low(flags, 8) << 56
        return low(lasts, 40) | low(peer + 2, 24) << 40, moves, (tag & 0xFFFFFFFF) | low(site, 20) << 32

    def more(self, kind, of, lasts=0, moves=0, tag=0, site=0):
        """A record that refers to that with the index `of`."""
        flagged = list(struct.unpack("<4Q", self.records[of]))
        flagged[2] |= EXTENDED << 56
        self.records[of] = struct.pack("<4Q", *flagged)
        return self.add(of, lasts, moves, (tag & 0xFFFFFFFF) | low(site, 20) << 32 | kind << 52)

    def completed(self, wait, target, source=NONE, tag=-1, size=-1, cancelled=False):
        """`wait` completed the request that the record `target` (a number in the process) started."""
        return self.more(COMPLETED, wait, target, low(size + 1, 40) | low(source + 2, 24) << 40, tag, int(cancelled))

    def second(self, of, source, tag, size, comm, flags=0):
        return self.more(SECOND, of, low(source + 2, 24) << 40, self.words(0, 0, size, comm, flags, 0, 0)[1], tag, flags)

    def started(self, of, target):
        return self.more(STARTED, of, target)

    def write(self, finished=True, ring=0, dropped=0):
        """`ring`: only so many segments have room, the newest overwrite the oldest."""
        process = self.process
        count = -(-len(self.records) // RECORDS)
        first, latest = process.pair(1 if process.rate else process.began + 1), process.pair(self.latest)
        head = struct.pack(
            "<8sII16s256s40s4iII", b"mmpi-str", 1, HEAD, process.job.encode(), process.host.encode(), process.boot.encode(), process.pid,
            process.pid * 10 + self.number, process.rank, process.size, self.number, process.rate is None,
        ) + first + latest + struct.pack("<4QII", count, ring, dropped, 41_500, bool(ring), finished)  # fmt: skip
        data = b"".join(self.records).ljust(count * SEGMENT, b"\0")
        segments = [data[i * SEGMENT : (i + 1) * SEGMENT] for i in range(count)]
        if ring and count > ring:
            kept = [b""] * ring
            for i in range(count - ring, count):
                kept[i % ring] = segments[i]
            segments = kept
        self.path = process.folder / f"{process.stem()}-{process.pid * 10 + self.number}.mmpis"
        self.path.write_bytes(head.ljust(HEAD, b"\0") + b"".join(segments))
