# SPDX-License-Identifier: BSD-3-Clause
"""What the file of an MPI library says about itself, read without opening the library."""

from __future__ import annotations

import itertools
import os
import struct

from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


class Unusable(Exception):
    """Why this file cannot be the MPI library."""


_MARKS = ("PMPI_Init", "MPI_Abi_get_version", "ompi_mpi_comm_world", "MPIR_Dup_fn")
_MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86-64", 183: "aarch64", 243: "riscv"}
_DYNAMIC, _DYNSYM = 6, 11  # section types
_NEEDED, _SONAME, _RPATH, _RUNPATH = 1, 14, 15, 29  # tags of the dynamic section


class Elf:
    """The few facts of an ELF shared object that tell which MPI it is."""

    def __init__(self) -> None:
        self.soname, self.strings = "", b""
        self.needed: list[str] = []
        self.runpath: list[str] = []
        self.defined: set[str] = set()  # those of _MARKS


def read_elf(path: str) -> Elf:
    """Read the dynamic section and the dynamic symbols of a shared object for this machine."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            _check_header(head)
            wide = head[4] == 2
            word, dynamic, symbol = ("Q", "=qQ", "=IBBHQQ") if wide else ("I", "=iI", "=IIIBBH")
            *_, start, _, _, _, _, size, count, _ = struct.unpack_from(f"=16sHHI3{word}I6H", head)
            sections = list(struct.iter_unpack(f"=II4{word}II2{word}", _read(file, start, size * count)))

            def content(section: tuple[int, ...]) -> bytes:
                return _read(file, section[4], section[5])

            elf = Elf()
            for section in sections:
                if section[1] == _DYNAMIC:
                    _read_tags(elf, struct.iter_unpack(dynamic, content(section)), content(sections[section[6]]))
                elif section[1] == _DYNSYM:
                    elf.strings = content(sections[section[6]])
                    entries = struct.iter_unpack(symbol, content(section))
                    _read_symbols(elf, {entry[0] for entry in entries if entry[3 if wide else 5]})
            return elf
    except OSError as error:
        why = (
            "there is no such file" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error.strerror}"
        )
        raise Unusable(why) from None
    except (struct.error, IndexError, ValueError):
        raise Unusable("it is a damaged ELF file") from None


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    if not 0 < size <= os.fstat(file.fileno()).st_size - start:
        raise ValueError("outside of the file")
    file.seek(start)
    return file.read(size)


def _check_header(head: bytes) -> None:
    if not head:
        raise Unusable("it is an empty file")
    if head[:4] != b"\x7fELF" and head.isascii():
        raise Unusable("it is a text file (a linker script; name the versioned file, such as libmpi.so.12)")
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise Unusable("it is not an ELF file")
    with open("/proc/self/exe", "rb") as file:
        own = file.read(64)
    if (head[4:6], head[18:20]) != (own[4:6], own[18:20]):
        raise Unusable(f"wrong architecture: it is {_machine(head)}, this Python is {_machine(own)}")


def _machine(head: bytes) -> str:
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return f"{32 * head[4]}-bit {_MACHINES.get(number, f'machine {number}')}"


def _read_tags(elf: Elf, tags: Iterator[tuple[int, ...]], strings: bytes) -> None:
    for tag, value in itertools.takewhile(lambda entry: entry[0], tags):
        if tag in (_NEEDED, _SONAME, _RPATH, _RUNPATH):
            text = strings[value : strings.index(b"\0", value)].decode()
            if tag == _SONAME:
                elf.soname = text
            elif tag == _NEEDED:
                elf.needed.append(text)
            else:
                elf.runpath += text.split(":")


def _read_symbols(elf: Elf, offsets: set[int]) -> None:
    """Which of _MARKS are defined here: a name that only stands in the string table may be undefined."""
    for name in _MARKS:
        place = -1
        while (place := elf.strings.find(name.encode() + b"\0", place + 1)) >= 0:
            if place in offsets:
                elf.defined.add(name)


class Library(Record):
    """An MPI library as its file describes it."""

    path: str
    soname: str
    family: str | None
    maker: str
    spins: bool  # while it waits, without ever giving way, by a function of UCX


def examine(path: str) -> Library:
    """Which MPI library is this file? Raises `Unusable`."""
    elf = read_elf(path)
    if "PMPI_Init" not in elf.defined:
        raise Unusable("it is not an MPI library (it defines no PMPI_Init)")
    soname = elf.soname or os.path.basename(path)
    native = "ompi_mpi_comm_world" in elf.defined
    # The MPI 5 libraries of Open MPI and Intel carry these names, which MPICH's does not.
    openmpi = native or any(name.startswith("libopen") for name in elf.needed)
    maker = "openmpi" if openmpi else "impi" if b"I_MPI_" in elf.strings else "mpich"
    family = "openmpi" if native else "mpich" if "MPIR_Dup_fn" in elf.defined else None
    if family is None and soname.startswith("libmpi_abi") and "MPI_Abi_get_version" in elf.defined:
        family = "std"
    by_ucx = "libucp.so.0" in elf.needed and b"\0ucp_worker_progress\0" in elf.strings
    spins = by_ucx and b"\0sched_yield\0" not in elf.strings and not openmpi  # whose other libraries yield
    return Library(path, soname, family, maker, spins)


def same_library(a: str, b: str) -> bool:
    """Are these two paths one library? Intel's wheel has real copies of one under three names."""
    if os.path.realpath(a) == os.path.realpath(b):
        return True
    try:
        return os.path.realpath(os.path.dirname(a)) == os.path.realpath(os.path.dirname(b)) and (
            examine(a).soname == examine(b).soname
        )
    except Unusable:
        return False
