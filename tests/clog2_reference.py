# SPDX-License-Identifier: BSD-3-Clause
"""What Jumpshot's converter makes of a CLOG-2 file, record by record and without mercy: for tests of the exporter.

Shares nothing with mmpi.trace. The converter dies of an event that nothing defines, and of a line that no communicator made known.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BODIES = {0: 0, 1: 0, 2: 112, 3: 104, 4: 40, 5: 8, 6: 40, 7: 24, 8: 16, 9: 48, 10: 48, 11: 8}
SIZES = {"s": 2, "h": 2, "d": 4, "l": 8, "x": 4, "X": 8, "e": 4, "E": 8}


@dataclass
class Drawing:
    """What Jumpshot would show."""

    states: list[tuple[Any, ...]] = field(default_factory=list)  # name, world rank, thread, begin, end, what the info box says
    events: list[tuple[Any, ...]] = field(default_factory=list)
    arrows: list[tuple[Any, ...]] = field(default_factory=list)  # world rank and time of both ends, tag, size
    unmatched: int = 0
    colors: dict[str, str] = field(default_factory=dict)
    comms: int = 0


def text(raw: bytes) -> str:
    assert b"\0" in raw, "a text without an end"
    return raw.partition(b"\0")[0].decode("ascii")


class Converter:
    """Reads one file."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        tokens = [part.decode("ascii").strip() for part in self.data[:1024].split(b"\0") if part]
        assert tokens[0] == "CLOG-02.44" and len(tokens) == 33
        said = dict(zip(tokens[1:-4:2], tokens[2:-4:2], strict=True)) | {tokens[-4]: tokens[-3:]}
        assert said["is_big_endian="] == "TRUE" and said["is_finalzed="] == "TRUE"
        self.block, self.size, self.threads = (int(said[key]) for key in ("block_size=", "max_comm_world_size=", "max_thread_count="))
        giga, unit, rest = map(int, said["commtable_fptr="])
        self.table = giga * unit + rest
        self.kinds: dict[int, tuple[str, Any]] = {}
        self.formats: dict[str, str] = {}
        first, count = int(said["known_eventID_start="]), int(said["known_stateID_count="])
        user, user_count = int(said["user_eventID_start="]), int(said["user_stateID_count="])
        solo, solo_count = int(said["user_solo_eventID_start="]), int(said["user_solo_eventID_count="])
        for begin in [*range(first, first + 2 * count, 2), *range(user, user + 2 * user_count, 2)]:
            self.kinds[begin], self.kinds[begin + 1] = ("begin", begin), ("end", begin)
        for number in range(solo, solo + solo_count):
            assert number not in self.kinds
            self.kinds[number] = ("solo", number)
        self.names: dict[int, str] = {}
        self.lines: dict[int, tuple[int, int]] = {}
        self.open: dict[int, list[Any]] = {}
        self.sends: list[Any] = []
        self.receives: list[Any] = []
        self.drawing = Drawing()

    def line(self, comm: int, rank: int, thread: int) -> int:
        assert rank < self.size and thread < self.threads
        return comm * self.size * self.threads + rank * self.threads + thread

    def run(self) -> Drawing:
        at, previous, ended = 1024, float("-inf"), False
        while not ended:
            assert at + self.block <= len(self.data), "a block is cut off"
            end, here = at + self.block, at
            while True:
                assert here + 24 <= end
                time, comm, rank, thread, kind = struct.unpack_from(">diiii", self.data, here)
                body = self.data[here + 24 : here + 24 + BODIES[kind]]
                here += 24 + BODIES[kind]
                assert here <= end
                assert time >= previous, "not in the order of time"
                previous = time
                if kind in (0, 1):
                    ended = kind == 0
                    break
                self.record(kind, time, (comm, rank, thread), body)
            at = end
        assert at == self.table
        (self.drawing.comms,) = struct.unpack_from(">i", self.data, at)
        assert len(self.data) == at + 4 + 40 * self.drawing.comms
        self.drawing.unmatched = len(self.sends) + len(self.receives) + sum(map(len, self.open.values()))
        return self.drawing

    def record(self, kind: int, time: float, who: tuple[int, int, int], body: bytes) -> None:
        if kind == 2:
            _, begin, end, _ = struct.unpack_from(">iiii", body)
            self.kinds[begin], self.kinds[end] = ("begin", begin), ("end", begin)
            self.define(begin, body[16:])
        elif kind == 3:
            (number, _) = struct.unpack_from(">ii", body)
            self.kinds[number] = ("solo", number)
            self.define(number, body[8:])
        elif kind in (5, 6):
            self.event(struct.unpack_from(">i", body)[0], time, who, body[8:])
        elif kind == 7:
            self.message(time, who, *struct.unpack_from(">iiiii", body))
        elif kind == 9:
            _, comm, rank, world = struct.unpack_from(">iiii", body)
            for thread in range(self.threads):
                self.lines[self.line(comm, rank, thread)] = (world, thread)

    def define(self, number: int, body: bytes) -> None:
        color, name, format_ = text(body[:24]), text(body[24:56]), text(body[56:96])
        self.names[number], self.drawing.colors[name] = name, color
        self.formats[number] = format_

    def info(self, number: int, payload: bytes) -> str:
        at, said = 0, ""
        for i, part in enumerate(self.formats[number].split("%")):
            if i == 0:
                said += part
                continue
            letter, rest = part[0], part[1:]
            if not payload:
                return ""
            if letter == "s":
                (length,) = struct.unpack_from(">h", payload, at)
                value: Any = payload[at + 2 : at + 2 + length].decode("ascii")
                assert len(value) == length
                at += 2 + length
            else:
                (value,) = struct.unpack_from({"h": ">h", "d": ">i", "l": ">q", "E": ">d"}[letter], payload, at)
                at += SIZES[letter]
            said += f"{value}{rest}"
        return said

    def event(self, number: int, time: float, who: tuple[int, int, int], payload: bytes) -> None:
        what, begin = self.kinds[number]
        line = self.line(*who)
        world, thread = self.lines[line]
        if what == "solo":
            self.drawing.events.append((self.names[number], world, thread, time, self.info(number, payload)))
            return
        states = self.open.setdefault(begin, [])
        if what == "begin":
            states.append((line, time, self.info(begin, payload)))
            return
        first = next(state for state in states if state[0] == line)  # fails where the converter says "No matching"
        states.remove(first)
        self.drawing.states.append((self.names[begin], world, thread, first[1], time, first[2]))

    def message(self, time: float, who: tuple[int, int, int], kind: int, comm: int, rank: int, tag: int, size: int) -> None:
        mine, other = (who[0], who[1]), (comm, rank)
        world = self.lines[self.line(*who)][0]
        sends = kind == -101
        assert sends or kind == -102
        key = (tag, mine, other) if sends else (tag, other, mine)
        waiting, own = (self.receives, self.sends) if sends else (self.sends, self.receives)
        partner = next((item for item in waiting if item[0] == key), None)
        if partner is None:
            own.append((key, world, time, size))
            return
        waiting.remove(partner)
        first, last = ((key, world, time, size), partner) if sends else (partner, (key, world, time, size))
        self.drawing.arrows.append((first[1], first[2], last[1], last[2], tag, first[3]))


def drawing(path: Path) -> Drawing:
    """What the converter makes of a file."""
    return Converter(path).run()
