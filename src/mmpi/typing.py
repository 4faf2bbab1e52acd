# SPDX-License-Identifier: BSD-3-Clause
"""Types of arguments, for annotations: `def send_all(buf: mmpi.typing.BufSpec) -> None`.

Importing this loads no MPI library. Integers of any kind are taken, those of NumPy too, so counts, ranks and tags are
`SupportsIndex`. MPI writes into receive buffers, which types cannot say.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, ForwardRef, Protocol, SupportsIndex, TypeAlias

if TYPE_CHECKING:
    from .MPI import BottomType, Datatype, InPlaceType
else:
    BottomType, Datatype, InPlaceType = (ForwardRef(name, module="mmpi.MPI") for name in ("BottomType", "Datatype", "InPlaceType"))

__all__ = [
    "Aint", "Bottom", "BufSpec", "BufSpecB", "BufSpecV", "BufSpecW", "Buffer", "Count", "Counts", "Displ", "Displs", "InPlace",
    "Integers", "Offset", "PathSpec", "SupportsBuffer", "SupportsCAI", "SupportsDLPack", "TargetSpec", "TypeSpec",
]  # fmt: skip


class SupportsBuffer(Protocol):
    """An object with the buffer protocol of Python, such as bytearray, array.array, memoryview, a NumPy array."""

    def __buffer__(self, flags: int, /) -> memoryview:  # Python objects have it from 3.12 on, their types always
        """The memory of the object."""


class SupportsDLPack(Protocol):
    """An array with the DLPack protocol, such as those of PyTorch, JAX, CuPy and NumPy."""

    def __dlpack__(self, /, *, stream: Any = None) -> Any:
        """The array as a DLPack capsule."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """Kind and number of the device that has the memory."""


class SupportsCAI(Protocol):
    """An array with the CUDA array interface, such as those of CuPy, Numba and PyTorch."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Address, shape and type of the array."""


class Integers(Protocol):
    """A list of integers, in a list, tuple, range, array or NumPy array."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> SupportsIndex:
        """One of them."""


Buffer: TypeAlias = SupportsBuffer | SupportsDLPack | SupportsCAI
Bottom: TypeAlias = BottomType | None
InPlace: TypeAlias = InPlaceType | None
Aint: TypeAlias = SupportsIndex
Count: TypeAlias = SupportsIndex
Displ: TypeAlias = SupportsIndex
Offset: TypeAlias = SupportsIndex
Counts: TypeAlias = Count | Integers  # one for each rank, or one that holds for all
Displs: TypeAlias = Displ | Integers  # where each part begins, in items; or the distance of parts
TypeSpec: TypeAlias = Datatype | str  # or a type code, such as "d"

# In place of a tuple, a list does as well: [buffer, count, datatype]. Types cannot tell what stands at which place of it.

# a buffer with one count
BufSpec: TypeAlias = (
    Buffer
    | tuple[Buffer]
    | tuple[Buffer, Count]
    | tuple[Buffer, TypeSpec]
    | tuple[Buffer, tuple[Count, Displ]]
    | tuple[Buffer, Count, TypeSpec]
    | tuple[Buffer, tuple[Count, Displ], TypeSpec]
    | tuple[Buffer, Count, Displ, TypeSpec]
    | tuple[Bottom, Count, TypeSpec]
    | tuple[Bottom, tuple[Count, Displ], TypeSpec]
    | tuple[Bottom, Count, Displ, TypeSpec]
    | list[Any]
)

# a buffer in equal blocks, one for each rank; the count is that of one block
BufSpecB: TypeAlias = BufSpec

# a buffer in blocks of any length
BufSpecV: TypeAlias = (
    Buffer
    | tuple[Buffer]
    | tuple[Buffer, Counts]
    | tuple[Buffer, TypeSpec]
    | tuple[Buffer, tuple[Counts, Displs]]
    | tuple[Buffer, Counts, TypeSpec]
    | tuple[Buffer, tuple[Counts, Displs], TypeSpec]
    | tuple[Buffer, Counts, Displs, TypeSpec]
    | tuple[Bottom, Counts, TypeSpec]
    | tuple[Bottom, tuple[Counts, Displs], TypeSpec]
    | tuple[Bottom, Counts, Displs, TypeSpec]
    | list[Any]
)

# a buffer in blocks of any length and datatype; displacements are in bytes
BufSpecW: TypeAlias = (
    tuple[Buffer, Sequence[TypeSpec]]
    | tuple[Buffer, tuple[Counts, Displs], Sequence[TypeSpec]]
    | tuple[Buffer, Counts, Displs, Sequence[TypeSpec]]
    | tuple[Bottom, tuple[Counts, Displs], Sequence[TypeSpec]]
    | tuple[Bottom, Counts, Displs, Sequence[TypeSpec]]
    | list[Any]
)

# a place in a window: displacement, count, datatype
TargetSpec: TypeAlias = (
    Displ | tuple[()] | tuple[Displ] | tuple[Displ, Count] | tuple[Displ, Count, TypeSpec] | list[Any]
)

# the name of a file
PathSpec: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]
