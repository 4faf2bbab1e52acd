# SPDX-License-Identifier: BSD-3-Clause
"""NumPy dtypes as MPI datatypes and back.

Calls of MPI take arrays of any dtype without this; it is for datatypes that a program makes other things of.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import Any

from mmpi import MPI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy import dtype
    from numpy.typing import DTypeLike

_np_dtype: Any
try:
    from numpy import dtype as _np_dtype
except ImportError:  # then descriptions take the place of dtypes
    _np_dtype = None

__all__ = ["from_numpy_dtype", "to_numpy_dtype"]


def from_numpy_dtype(dtype: DTypeLike) -> MPI.Datatype:
    """The MPI datatype of a NumPy dtype, to be freed. ValueError for Python objects, other byte orders, raw bytes."""
    if _np_dtype is None:
        raise RuntimeError("from_numpy_dtype() needs NumPy")
    made = _np_dtype(dtype)
    if made.hasobject:
        raise ValueError(f"{made}: MPI cannot move Python objects")
    if not made.isnative:
        raise ValueError(f"{made}: MPI knows only this machine's byte order")
    return _of_dtype(made).Commit()


def _of_dtype(dtype: Any) -> MPI.Datatype:
    if dtype.names is not None:
        fields = [dtype.fields[name][:2] for name in dtype.names]
        types = [_of_dtype(kind) for kind, _ in fields]
        made = MPI.Datatype.Create_struct([1] * len(types), [offset for _, offset in fields], types)
        return made if made.Get_extent() == (0, dtype.itemsize) else made.Create_resized(0, dtype.itemsize)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        inner = _of_dtype(base)
        return inner.Create_contiguous(shape[0]) if len(shape) == 1 else inner.Create_subarray(shape, shape, [0] * len(shape))
    if dtype.kind == "V":
        raise ValueError(f"{dtype}: bytes without a meaning")
    if dtype.kind in "SU":
        one = MPI.CHAR if dtype.kind == "S" else MPI.WCHAR
        count = dtype.itemsize // one.extent
        return one.Dup() if count == 1 else one.Create_contiguous(count)
    return MPI.Datatype.fromcode(dtype.char).Dup()


def to_numpy_dtype(datatype: MPI.Datatype) -> dtype[Any]:
    """The NumPy dtype of an MPI datatype; without NumPy, what would describe one. ValueError if none fits."""
    if not datatype:
        raise ValueError("to_numpy_dtype(): DATATYPE_NULL")
    return _make(_describe(datatype))  # type: ignore[no-any-return]


def _make(description: Any) -> Any:
    return description if _np_dtype is None else _np_dtype(description)


def _describe(datatype: MPI.Datatype) -> Any:
    base, combiner, how = datatype.decode()
    make = _CONSTRUCTORS.get(combiner)
    if make:
        return make(datatype, base, how)
    if combiner in ("NAMED", "F90_INTEGER", "F90_REAL", "F90_COMPLEX"):
        return _named(datatype)
    raise ValueError(f"no NumPy dtype is like a datatype made by {combiner}")


def _named(datatype: MPI.Datatype) -> Any:
    codes = _pairs().get(datatype.handle)
    if codes:
        return _pair(*codes)
    if _np_dtype is None:
        return datatype.tocode()
    code = datatype.typestr
    return _np_dtype(datatype.typechar if code[0] == "V" else code)


@cache
def _pairs() -> dict[int, tuple[str, str]]:
    """The codes of the types for MINLOC and MAXLOC, by their handles."""
    names = {"SHORT_INT": "h", "INT_INT": "i", "TWOINT": "i", "LONG_INT": "l", "FLOAT_INT": "f", "DOUBLE_INT": "d", "LONG_DOUBLE_INT": "g"}
    return {getattr(MPI, name).handle: (code, "i") for name, code in names.items() if hasattr(MPI, name)}


def _pair(value: str, index: str) -> Any:
    return _structure([value, index], None, None, True)


def _structure(formats: list[Any], offsets: list[int] | None, itemsize: int | None, aligned: bool) -> Any:
    names = [f"f{i}" for i in range(len(formats))]
    if offsets is None:
        return _np_dtype(list(zip(names, formats, strict=True)), align=aligned) if _np_dtype else ",".join(formats)
    described = {"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize, "aligned": aligned}
    if _np_dtype is None:
        return described
    if aligned:
        del described["aligned"]
        return _np_dtype(described, align=True)
    return _np_dtype(described)


def _align(description: Any) -> int:
    return int(description.alignment) if _np_dtype else 1


def _struct(datatype: MPI.Datatype, base: MPI.Datatype, how: dict[str, Any]) -> Any:
    formats = [
        _make(_describe(kind)) if n == 1 else _make((_describe(kind), (n,)))
        for n, kind in zip(how["blocklengths"], how["datatypes"], strict=True)
    ]
    offsets = how["displacements"]
    ends = [offset + kind.itemsize for offset, kind in zip(offsets, formats, strict=True)] if _np_dtype else [datatype.true_ub]
    size = max(datatype.extent, *ends)  # a first field that does not start at 0 is not part of MPI's extent
    return _structure(formats, offsets, size, _is_aligned(formats, offsets, size))


def _is_aligned(formats: list[Any], offsets: list[int], itemsize: int) -> bool:
    if _np_dtype is None:
        return True
    places = chain(zip(formats, offsets, strict=True), ((kind, itemsize) for kind in formats))
    return all(offset % _align(kind) == 0 for kind, offset in places)


def _resized(datatype: MPI.Datatype, base: MPI.Datatype, how: dict[str, Any]) -> Any:
    inner = _describe(base)
    if how["lb"] == 0 and how["extent"] == base.extent:
        return inner
    dtype = _make(inner)
    if base.combiner != MPI.COMBINER_STRUCT and getattr(dtype, "names", None) is None:
        raise ValueError("no NumPy dtype has a size of its own but a structure")
    if _np_dtype is None:
        return dict(inner, itemsize=how["extent"])
    formats = [dtype.fields[name][0] for name in dtype.names]
    offsets = [dtype.fields[name][1] for name in dtype.names]
    return _structure(formats, offsets, how["extent"], dtype.isalignedstruct and _is_aligned(formats, offsets, how["extent"]))


def _blocks(datatype: MPI.Datatype, base: MPI.Datatype, lengths: list[int], offsets: list[int]) -> Any:
    """Blocks of items, at offsets in bytes: a structure of arrays."""
    inner = _make(_describe(base))
    size = inner.itemsize if _np_dtype else base.extent
    if size != base.extent and any(length > 1 for length in lengths):
        raise ValueError("no NumPy dtype is like a datatype whose items overlap")
    formats = [_make((inner, (length,))) for length in lengths]
    end = max((offset + length * size for offset, length in zip(offsets, lengths, strict=True)), default=0)
    itemsize = max(end, sum(datatype.Get_extent()))
    return _structure(formats, offsets, itemsize, _is_aligned(formats, offsets, itemsize))


def _vector(unit: bool) -> Any:
    def describe(datatype: MPI.Datatype, base: MPI.Datatype, how: dict[str, Any]) -> Any:
        step = how["stride"] * (base.extent if unit else 1)
        count = how["count"]
        return _blocks(datatype, base, [how["blocklength"]] * count, [i * step for i in range(count)])

    return describe


def _indexed(unit: bool) -> Any:
    def describe(datatype: MPI.Datatype, base: MPI.Datatype, how: dict[str, Any]) -> Any:
        offsets = [at * (base.extent if unit else 1) for at in how["displacements"]]
        lengths = how["blocklengths"] if "blocklengths" in how else [how["blocklength"]] * len(offsets)
        return _blocks(datatype, base, lengths, offsets)

    return describe


def _subarray(datatype: MPI.Datatype, base: MPI.Datatype, how: dict[str, Any]) -> Any:
    if how["sizes"] != how["subsizes"] or any(how["starts"]):
        raise ValueError("no NumPy dtype is a part of an array")
    shape = how["sizes"]
    return _make(_describe(base)), tuple(shape if how["order"] == MPI.ORDER_C else shape[::-1])


_CONSTRUCTORS: dict[str, Any] = {
    "DUP": lambda datatype, base, how: _describe(base),
    "CONTIGUOUS": lambda datatype, base, how: (_make(_describe(base)), (how["count"],)),
    "SUBARRAY": _subarray,
    "VECTOR": _vector(True),
    "HVECTOR": _vector(False),
    "INDEXED": _indexed(True),
    "HINDEXED": _indexed(False),
    "INDEXED_BLOCK": _indexed(True),
    "HINDEXED_BLOCK": _indexed(False),
    "STRUCT": _struct,
    "RESIZED": _resized,
    "VALUE_INDEX": lambda datatype, base, how: _pair(_code(how["value"]), _code(how["index"])),
}


def _code(datatype: MPI.Datatype) -> Any:
    return _make(_describe(datatype))
