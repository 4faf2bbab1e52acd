# SPDX-License-Identifier: BSD-3-Clause
"""The merged trace, a file `.mmpit` (docs/trace-format.md): reading it into arrays, writing arrays into it. Needs NumPy when used."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _merge

if TYPE_CHECKING:
    import numpy as np

MAGIC, TAIL_MAGIC = b"mmpit\0\1\n", b"mmpT"
TAIL = struct.Struct("<QI4s")
LENGTH = struct.Struct("<I")
VERSION = 1
LARGEST = 65536  # rows of a block
VARINT = 10  # bytes of the longest
LEVEL = 2  # of deflate: higher ones save 5 % and take three times as long
COLUMNS: dict[str, list[tuple[str, str]]] = {
    "calls": [
        ("start", "delta"), ("duration", "plain"), ("operation", "delta"), ("site", "delta"), ("comm", "delta"), ("peer", "zigzag"),
        ("tag", "zigzag"), ("bytes", "zigzag"), ("flags", "plain"), ("depth", "plain"),
    ],
    "messages": [
        ("send", "delta"), ("send_done", "zigzag"), ("receive", "zigzag"), ("receive_done", "zigzag"), ("bytes", "zigzag"),
        ("tag", "zigzag"), ("comm", "delta"), ("assumed", "plain"),
    ],
    "collectives": [("instance", "delta"), ("call", "delta"), ("done", "zigzag")],
    "nested": [("call", "delta"), ("kind", "plain"), ("after", "plain"), ("duration", "plain"), ("bytes", "plain")],
    "values": [("call", "delta"), ("position", "plain"), ("type", "plain"), ("value", "zigzag")],
    "unmatched": [("call", "delta"), ("why", "plain")],
}  # fmt: skip
CALL_OF = [  # columns that are numbers of calls, always
    ("messages", "send"), ("messages", "receive"), ("collectives", "call"), ("nested", "call"), ("values", "call"), ("unmatched", "call"),
]  # fmt: skip
DERIVED = ("row", "end", "world_peer")  # columns of calls that are not in the file as such
NARROW = {
    "operation": "<i4", "site": "<i4", "comm": "<i4", "peer": "<i4", "world_peer": "<i4", "row": "<i4", "flags": "<i4", "depth": "<i4",
    "assumed": "<i4", "kind": "<i4", "position": "<i4", "type": "<i4", "why": "<i4",
}  # fmt: skip
LISTS = ("rows", "operations", "sites", "comms", "strings")
NO_SITE = {"file": "", "line": 0, "function": ""}
NO_COMM = {"gid": "0", "parent": "0", "name": "", "size": 0, "remote_size": -1, "members": [], "remote": []}


class TraceError(ValueError):
    """A file that is no trace, or a damaged one; names it."""


class Chunk(NamedTuple):
    """A part of a merged file as it lies there: deflated. The first is the footer."""

    table: str  # "footer", or a key of COLUMNS
    entry: dict[str, int]  # what the footer says of it
    data: bytes


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise ImportError("traces are read into NumPy arrays: pip install 'maroonmpi[trace]'") from None
    return numpy


# --- writing ---------------------------------------------------------------------------------------------------------


class Writer:
    """A merged file in the making. It appears under its name when it is whole."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.unfinished = f"{self.path}.{os.getpid()}.tmp"
        self.file = open(self.unfinished, "wb")
        self.file.write(MAGIC)
        self.at = len(MAGIC)
        self.blocks: dict[str, list[dict[str, int]]] = {name: [] for name in COLUMNS}

    def block(self, table: str, data: bytes, **entry: int) -> None:
        """Append a block: columns behind each other, deflated (`deflated` makes them). `entry` is what the footer says of it."""
        self.file.write(data)
        self.blocks[table].append(entry | {"offset": self.at, "length": len(data)})
        self.at += len(data)

    def close(self, footer: Mapping[str, Any]) -> None:
        """Write the footer; `footer` has `meta` and the lists."""
        text = json.dumps({"version": VERSION, **footer, "columns": COLUMNS, **self.blocks}, separators=(",", ":"), ensure_ascii=False)
        data = zlib.compress(text.encode("utf-8", "surrogateescape"))
        self.file.write(data + TAIL.pack(self.at, len(data), TAIL_MAGIC))
        self.file.close()
        os.replace(self.unfinished, self.path)

    def abandon(self) -> None:
        """Leave nothing behind."""
        self.file.close()
        if os.path.exists(self.unfinished):
            os.unlink(self.unfinished)


def deflated(columns: Sequence[bytes]) -> bytes:
    """A block of encoded columns."""
    return zlib.compress(b"".join(part for column in columns for part in (LENGTH.pack(len(column)), column)), LEVEL)


# --- reading ---------------------------------------------------------------------------------------------------------


class Reader:
    """A merged file, opened: its footer, and its blocks."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.file = open(self.path, "rb")
        try:
            self.size = os.fstat(self.file.fileno()).st_size
            self.packed = self._find_footer()
            self.footer = self._parse(self.packed)
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *unused: object) -> None:
        self.file.close()

    def wrong(self, what: str) -> TraceError:
        """An error that names the file."""
        return TraceError(f"{self.path}: {what}")

    def _find_footer(self) -> bytes:
        if self.file.read(len(MAGIC)) != MAGIC:
            raise self.wrong("this is no merged trace of MaroonMPI")
        if self.size < len(MAGIC) + TAIL.size:
            raise self.wrong("the file is cut off")
        self.file.seek(self.size - TAIL.size)
        offset, length, magic = TAIL.unpack(self.file.read(TAIL.size))
        if magic != TAIL_MAGIC or offset + length + TAIL.size != self.size:
            raise self.wrong("the file is cut off or damaged: it does not end as it should; merge again")
        return self.part(offset, length)

    def part(self, offset: int, length: int) -> bytes:
        """These bytes of the file."""
        if not (0 <= offset <= self.size and 0 <= length <= self.size - offset):
            raise self.wrong(f"damaged: a block at {offset} of {length} bytes in a file of {self.size}")
        self.file.seek(offset)
        return self.file.read(length)

    def _parse(self, packed: bytes) -> dict[str, Any]:
        try:
            footer = json.loads(zlib.decompress(packed))
            if footer["version"] != VERSION:
                raise self.wrong(f"version {footer['version']} of the format: this MaroonMPI reads version {VERSION}")
            named = {name: [tuple(pair) for pair in footer["columns"][name]] for name in COLUMNS}
            whole = isinstance(footer["meta"], dict) and all(isinstance(footer[name], list) for name in (*LISTS, *COLUMNS))
        except TraceError:
            raise
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self.wrong(f"damaged: its footer cannot be read ({type(error).__name__}: {error})") from None
        if not whole or named != COLUMNS:
            raise self.wrong("damaged: its footer is not that of a trace")
        return footer  # type: ignore[no-any-return]

    def columns(self, table: str, entry: Mapping[str, int]) -> list[bytearray]:
        """The columns of a block, each the bytes of 64-bit integers."""
        names = COLUMNS[table]
        try:
            n = entry["n"]
            if not 0 <= n <= LARGEST:
                raise ValueError(f"{n} rows")
            largest = len(names) * (LENGTH.size + n * VARINT)
            unpacker = zlib.decompressobj()
            data = memoryview(unpacker.decompress(self.part(entry["offset"], entry["length"]), largest))
            if not unpacker.eof:
                raise ValueError("it does not end")
            return list(_split(data, n, [coding for _, coding in names]))
        except TraceError:
            raise
        except (zlib.error, struct.error, ValueError, KeyError, TypeError) as error:
            raise self.wrong(f"damaged: a block of {table} cannot be read ({type(error).__name__}: {error})") from None

    def table(self, name: str) -> np.ndarray[Any, Any]:
        """All blocks of a table as one array."""
        np = _numpy()
        entries = self.footer[name]
        counts = [entry["n"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("n"), int)]
        if len(counts) != len(entries) or not all(0 <= n <= LARGEST for n in counts):
            raise self.wrong(f"damaged: the list of blocks of {name} makes no sense")
        array, at = np.zeros(sum(counts), dtype(name)), 0
        for entry, n in zip(entries, counts, strict=True):
            for (column, _), data in zip(COLUMNS[name], self.columns(name, entry), strict=True):
                array[column][at : at + n] = np.frombuffer(data, "<i8")
            if name == "calls":
                row = entry.get("row")
                if not isinstance(row, int) or not 0 <= row < len(self.footer["rows"]):
                    raise self.wrong(f"damaged: a block of row {row}")
                array["row"][at : at + n] = row
            at += n
        return array  # type: ignore[no-any-return]


def _split(data: memoryview, n: int, codings: list[str]) -> Iterator[bytearray]:
    at = 0
    for coding in codings:
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        if length > len(data) - at:
            raise ValueError("a column is cut off")
        yield _merge.decode(data[at : at + length], n, coding)
        at += length
    if at != len(data):
        raise ValueError("bytes are left over")


def chunks(path: str | os.PathLike[str]) -> Iterator[Chunk]:
    """The parts of a merged file as they lie there, the footer first: for what decodes them itself."""
    with Reader(path) as reader:
        yield Chunk("footer", {"offset": reader.size - TAIL.size - len(reader.packed), "length": len(reader.packed)}, reader.packed)
        for table in COLUMNS:
            for entry in reader.footer[table]:
                try:
                    data = reader.part(entry["offset"], entry["length"])
                except (KeyError, TypeError):
                    raise reader.wrong(f"damaged: the list of blocks of {table} makes no sense") from None
                yield Chunk(table, entry, data)


# --- a trace in memory -----------------------------------------------------------------------------------------------


def dtype(table: str) -> np.dtype[Any]:
    """The type of the rows of a table; that of `calls` has the derived columns too."""
    names = [name for name, _ in COLUMNS[table]] + (list(DERIVED) if table == "calls" else [])
    return _numpy().dtype([(name, NARROW.get(name, "<i8")) for name in names])  # type: ignore[no-any-return]


def empty(table: str, n: int = 0) -> np.ndarray[Any, Any]:
    """An array for `n` rows of a table, all zero, to be filled by those who make traces."""
    return _numpy().zeros(n, dtype(table))  # type: ignore[no-any-return]


class Trace:
    """A merged trace: `meta` (dict), `rows`, `operations`, `sites`, `comms`, `strings` (lists), and the tables `calls`, `messages`,
    `collectives`, `nested`, `values`, `unmatched` as structured arrays whose columns docs/trace-format.md explains.

    `calls` stands in the order of rows, then start; besides it has `row`, `end` (ns) and `world_peer`: the peer as a rank in WORLD,
    negative if there is none or it is not known. Numbers of calls, rows, ... are indices.

    Making one: tables may be structured arrays (`empty`) or mappings of columns; `end` and `world_peer` are computed here.
    Site and communicator 0 mean none and are put in front if the lists are empty. ValueError if tables and lists do not fit.
    """

    def __init__(
        self,
        meta: Mapping[str, Any],
        rows: Sequence[Mapping[str, Any]],
        operations: Sequence[Mapping[str, Any]],
        sites: Sequence[Mapping[str, Any]] = (),
        comms: Sequence[Mapping[str, Any]] = (),
        strings: Sequence[str] = (),
        calls: Any = None,
        messages: Any = None,
        collectives: Any = None,
        nested: Any = None,
        values: Any = None,
        unmatched: Any = None,
    ) -> None:
        self.meta = dict(meta)
        self.rows = [dict(row) for row in rows]
        self.operations = [dict(operation) for operation in operations]
        self.sites = [dict(site) for site in sites] or [dict(NO_SITE)]
        self.comms = [dict(comm) for comm in comms] or [dict(NO_COMM)]
        self.strings = list(strings)
        self.calls = _as_table("calls", calls)
        self.messages = _as_table("messages", messages)
        self.collectives = _as_table("collectives", collectives)
        self.nested = _as_table("nested", nested)
        self.values = _as_table("values", values)
        self.unmatched = _as_table("unmatched", unmatched)
        self._check()
        self.calls["end"] = self.calls["start"] + self.calls["duration"]
        self.calls["world_peer"] = self._world_peers()
        for row, n in zip(self.rows, _numpy().bincount(self.calls["row"], minlength=len(self.rows)).tolist(), strict=True):
            row["calls"] = n

    def _check(self) -> None:
        _in_range("calls", self.calls, "row", 0, len(self.rows))
        _in_range("calls", self.calls, "operation", 0, len(self.operations))
        _in_range("calls", self.calls, "site", 0, len(self.sites))
        _in_range("calls", self.calls, "comm", 0, len(self.comms))
        _in_range("messages", self.messages, "comm", 0, len(self.comms))
        for table, column in CALL_OF:
            _in_range(table, getattr(self, table), column, 0, len(self.calls))
        for table, column in (("messages", "send_done"), ("messages", "receive_done"), ("collectives", "done")):
            _in_range(table, getattr(self, table), column, -1, len(self.calls))
        row, start = self.calls["row"], self.calls["start"]
        if ((row[1:] < row[:-1]) | ((row[1:] == row[:-1]) & (start[1:] < start[:-1]))).any():
            raise ValueError("calls must stand in the order of rows, then start")

    def _world_peers(self) -> np.ndarray[Any, Any]:
        np = _numpy()
        groups = [comm.get("remote") or comm.get("members") or [] for comm in self.comms]
        sizes = np.array([len(group) for group in groups], "i8")
        first = np.cumsum(sizes) - sizes
        ranks = np.array([rank for group in groups for rank in group] or [-1], "i8")
        comm, peer = self.calls["comm"], self.calls["peer"]
        known = (peer >= 0) & (peer < sizes[comm])
        return np.where(known, ranks[np.where(known, first[comm] + peer, 0)], np.minimum(peer, -1))  # type: ignore[no-any-return]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the trace as a file, by custom `.mmpit`."""
        writer = Writer(path)
        try:
            self._write_tables(writer)
            writer.close({"meta": self.meta, **{name: getattr(self, name) for name in LISTS}})
        except BaseException:
            writer.abandon()
            raise

    def _write_tables(self, writer: Writer) -> None:
        at = 0
        for row, description in enumerate(self.rows):
            for first in range(at, at + description["calls"], LARGEST):
                block = self.calls[first : min(first + LARGEST, at + description["calls"])]
                times = {"start": int(block["start"][0]), "end": int(block["end"].max())}
                writer.block("calls", _packed("calls", block), row=row, first=first, n=len(block), **times)
            at += description["calls"]
        for table in COLUMNS:
            array = getattr(self, table)
            for first in range(0, len(array) if table != "calls" else 0, LARGEST):
                block = array[first : first + LARGEST]
                writer.block(table, _packed(table, block), n=len(block))

    def __repr__(self) -> str:
        return f"<Trace of {len(self.rows)} rows, {len(self.calls)} calls, {len(self.messages)} messages>"


def _packed(table: str, block: np.ndarray[Any, Any]) -> bytes:
    np = _numpy()
    return deflated([_merge.encode(np.ascontiguousarray(block[name], "<i8"), coding) for name, coding in COLUMNS[table]])


def _as_table(name: str, data: Any) -> np.ndarray[Any, Any]:
    np = _numpy()
    wanted = dtype(name)
    if data is None:
        return np.zeros(0, wanted)  # type: ignore[no-any-return]
    if getattr(data, "dtype", None) == wanted:
        return data  # type: ignore[no-any-return]
    columns = data if isinstance(data, Mapping) else {column: data[column] for column in data.dtype.names}
    n = len(next(iter(columns.values()))) if columns else 0
    table = np.zeros(n, wanted)
    for column in wanted.names or ():
        if column in columns:
            table[column] = columns[column]
        elif column not in ("end", "world_peer"):
            raise ValueError(f"{name} lacks the column {column}")
    return table  # type: ignore[no-any-return]


def _in_range(table: str, array: np.ndarray[Any, Any], column: str, low: int, end: int) -> None:
    values = array[column]
    wrong = (values < low) | (values >= end)
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(f"{table}[{at}]: {column} is {int(values[at])}, which must be from {low} to {end - 1}")


def read(path: str | os.PathLike[str]) -> Trace:
    """The trace in a merged file. TraceError if it is none or damaged; names it."""
    with Reader(path) as reader:
        tables: dict[str, Any] = {name: reader.table(name) for name in COLUMNS}
        try:
            lists: dict[str, Any] = {name: reader.footer[name] for name in LISTS}
            return Trace(reader.footer["meta"], **lists, **tables)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise reader.wrong(f"damaged: {error}") from None


def load(path: str | os.PathLike[str]) -> Trace:
    """The trace in a folder of streams (merged first when that was not done or is out of date) or in a merged file.

    FileNotFoundError if there is nothing; TraceError for what is no trace, or damaged."""
    return read(merged(path))


def merged(path: str | os.PathLike[str]) -> str:
    """The merged file of a folder, made if it is missing or older than a stream; a merged file is its own."""
    if not os.path.isdir(path):
        return os.fspath(path)
    from . import merge

    return merge.up_to_date(path)
