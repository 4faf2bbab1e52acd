# SPDX-License-Identifier: BSD-3-Clause
"""What ranks print: shown whole lines at a time, with their numbers, collapsed, only in part, or kept in files."""

from __future__ import annotations

import os
import re
import select
import time
from collections import defaultdict, deque
from collections.abc import Collection
from typing import BinaryIO, NamedTuple

from .errors import LaunchError

STREAMS = ("out", "err")
BEGUN = 0.05  # seconds after which the begin of a line is shown: a prompt, a row of dots
QUIET, LONGEST = (
    0.3,
    3.0,
)  # seconds in which no other rank said the same; and the most that a line is kept for those that might
SMALL, LARGEST = (
    1 << 16,
    1 << 24,
)  # bytes without the end of a line that are kept: where it may be torn, where it may not
HIDDEN = 1 << 14  # bytes kept of what a rank printed last, if it is not shown


class Show(NamedTuple):
    """What the user wants to see."""

    tag: bool = False
    collapse: bool = False
    only: frozenset[int] | None = None
    directory: str | None = None

    @property
    def silent(self) -> bool:
        """Is everything kept in files, and nothing shown?"""
        return self.directory is not None and not (self.tag or self.collapse or self.only)

    def shows(self, rank: int) -> bool:
        """Is what this rank prints shown?"""
        return not self.silent and (self.only is None or rank in self.only)


class Group:
    """One line that several ranks printed."""

    def __init__(self, line: bytes, now: float) -> None:
        self.line = line
        self.began = self.grew = now
        self.ranks: set[int] = set()
        self.leaving = False

    def due(self) -> float:
        """When it is shown, however few have joined."""
        return min(self.grew + QUIET, self.began + LONGEST)


class Begun:
    """The begin of a line, in pieces."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.size = 0
        self.pieces: list[bytes] = []


class Screen:
    """One of our standard streams, and what all ranks print to it."""

    def __init__(self, fd: int, show: Show, ranks: int) -> None:
        self.fd, self.show = fd, show
        self.ranks = len(show.only) if show.only is not None else ranks
        self.lines = show.tag or show.collapse
        self.rests: dict[int, Begun] = {}
        self.begun: int | None = None  # the rank whose begun line stands last on the screen
        self.groups: dict[int, Group] = {}  # by their id
        self.by_line: defaultdict[bytes, list[Group]] = defaultdict(list)
        self.by_rank: defaultdict[int, deque[Group]] = defaultdict(deque)
        # In a file a line is never torn, so one with tags waits for its end there; on a terminal somebody may wait for it.
        self.shows_begun = not self.lines or os.isatty(fd)

    def feed(self, rank: int, data: bytes) -> None:
        """A rank has printed this."""
        now = time.monotonic()
        begun = self.rests.pop(rank, None) or Begun(now)
        if b"\n" in data or b"\r" in data or (begun.pieces and begun.pieces[-1].endswith(b"\r")):
            whole, data = split(b"".join([*begun.pieces, data]))
            begun = Begun(now)
            self.show_lines(rank, whole, now)
        if data:
            begun.pieces.append(data)
            begun.size += len(data)
            self.rests[rank] = begun
        if begun.size > (LARGEST if self.lines else SMALL):
            self.flush(rank)

    def show_lines(self, rank: int, whole: bytes, now: float) -> None:
        """A rank has printed whole lines."""
        if self.show.collapse:
            for line in whole.splitlines(keepends=True):
                self.gather(rank, line, now)
        elif whole:
            self.write(rank, whole)

    def due(self) -> float | None:
        """When there is something to do that does not depend on what comes."""
        times = [begun.since + BEGUN for begun in self.rests.values()] if self.shows_begun else []
        times += [group.due() for group in self.groups.values()]
        return min(times, default=None)

    def tick(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if self.shows_begun:
            for rank in [rank for rank, begun in self.rests.items() if begun.since + BEGUN <= now]:
                self.flush(rank)
        for group in [group for group in self.groups.values() if group.due() <= now]:
            self.release(group)

    def close(self) -> None:
        """Show what is left."""
        self.release_all()
        for rank in sorted(self.rests):
            self.flush(rank)
            if self.lines:
                self.end_line()

    def flush(self, rank: int) -> None:
        """Show the begun line of a rank."""
        self.release_all()
        self.write(rank, b"".join(self.rests.pop(rank).pieces))

    def gather(self, rank: int, line: bytes, now: float) -> None:
        """Put a line to those that others have printed."""
        group = next((group for group in self.by_line[line] if rank not in group.ranks), None)
        if group is None:
            group = Group(line, now)
            self.groups[id(group)] = group
            self.by_line[line].append(group)
        self.by_rank[rank].append(group)
        group.ranks.add(rank)
        group.grew = now
        if len(group.ranks) == self.ranks:
            self.release(group)

    def release(self, group: Group) -> None:
        """Show a group, and first what its ranks have printed before."""
        way = [group] if id(group) in self.groups else []
        while way:
            way[-1].leaving = True
            firsts = (self.by_rank[rank][0] for rank in way[-1].ranks)
            earlier = next((first for first in firsts if not first.leaving), None)
            if earlier:
                way.append(earlier)
            else:
                self.show_group(way.pop())

    def show_group(self, group: Group) -> None:
        """Show a line with all its ranks."""
        del self.groups[id(group)]
        self.by_line[group.line].remove(group)
        if not self.by_line[group.line]:
            del self.by_line[group.line]
        for rank in group.ranks:
            self.by_rank[rank].remove(group)
        self.end_line()
        put(self.fd, label(group.ranks) + group.line)

    def release_all(self) -> None:
        """Show all groups."""
        for group in list(self.groups.values()):
            self.release(group)

    def write(self, rank: int, text: bytes) -> None:
        """Show whole lines of a rank, or the begin of one."""
        if not self.lines:
            put(self.fd, text)
            return
        if self.begun != rank:
            self.end_line()
        tag = label([rank])
        tagged = b"".join(tag + line for line in text.splitlines(keepends=True))
        put(self.fd, tagged[len(tag) :] if self.begun == rank else tagged)
        self.begun = None if text.endswith((b"\n", b"\r")) else rank

    def end_line(self) -> None:
        """Begin a new line if the last is not complete."""
        if self.begun is not None:
            put(self.fd, b"\n")
            self.begun = None


class Printer:
    """Shows, or keeps, what the ranks of a job print. `joined`: our standard streams are the same, and so are theirs."""

    def __init__(self, show: Show, ranks: int) -> None:
        if show.only and max(show.only) >= ranks:
            raise LaunchError(f"--only {spans(show.only)}: the job has {ranks} rank{'s' if ranks > 1 else ''}, counted from 0")
        self.show = show
        self.joined = same_file(1, 2)
        self.screens = {"out": Screen(1, show, ranks)}
        self.screens["err"] = self.screens["out"] if self.joined else Screen(2, show, ranks)
        self.hidden: dict[int, bytes] = {}
        self._files: dict[int, BinaryIO] = {}
        self._width = len(str(ranks - 1))
        if show.directory is not None:
            make_folder(show.directory)

    def feed(self, rank: int, stream: str, data: bytes) -> None:
        """A rank has printed this to a stream."""
        if self.show.directory is not None:
            self.file(self.show.directory, rank).write(data)
        if self.show.shows(rank):
            self.screens[stream].feed(rank, data)
        elif self.joined or stream == "err":
            self.hidden[rank] = (self.hidden.get(rank, b"") + data)[-HIDDEN:]

    def file(self, directory: str, rank: int) -> BinaryIO:
        """The file of a rank: both its streams, as a terminal would have shown them."""
        if rank not in self._files:
            self._files[rank] = open(os.path.join(directory, f"rank-{rank:0{self._width}}.txt"), "wb", buffering=0)
        return self._files[rank]

    def pause(self) -> float | None:
        """Seconds until `tick` is due; None if it is not."""
        times = [due for screen in self.screens.values() if (due := screen.due()) is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def tick(self) -> None:
        """Do what is due."""
        for screen in self.screens.values():
            screen.tick()

    def close(self) -> None:
        """Nothing more comes."""
        for screen in self.screens.values():
            screen.close()
        for file in self._files.values():
            file.close()


def split(data: bytes) -> tuple[bytes, bytes]:
    """Whole lines, and the begin of one. A return ends a line too, as of a progress bar, but at the very end it may be half an end."""
    end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
    return data[:end], data[end:]


def label(ranks: Collection[int]) -> bytes:
    """`[0-2,5] `."""
    return f"[{spans(ranks)}] ".encode()


def spans(numbers: Collection[int]) -> str:
    """`0-2,5` for 0, 1, 2, 5."""
    rows: list[list[int]] = []
    for number in sorted(numbers):
        if rows and number == rows[-1][1] + 1:
            rows[-1][1] = number
        else:
            rows.append([number, number])
    return ",".join(f"{first}-{last}" if first != last else str(first) for first, last in rows)


def put(fd: int, data: bytes) -> None:
    """Write all of this; to a reader that has gone away, nothing: `mmpi run` sees the signal of that."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # whoever shares our terminal has made it so
            select.select([], [fd], [])
        except BrokenPipeError:
            return


def same_file(a: int, b: int) -> bool:
    """Do two descriptors write to the same file, pipe or terminal?"""
    one, other = os.fstat(a), os.fstat(b)
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def make_folder(path: str) -> None:
    """Make the folder for the ranks' files; those of an earlier job, of more ranks perhaps, would be taken for ours."""
    try:
        os.makedirs(path, exist_ok=True)
        for name in os.listdir(path):
            if re.fullmatch(r"rank-\d+\.txt", name):
                os.unlink(os.path.join(path, name))
    except OSError as e:
        raise LaunchError(f"--output {path}: {e.strerror}") from e
