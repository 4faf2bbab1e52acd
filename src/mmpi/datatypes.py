# SPDX-License-Identifier: BSD-3-Clause
"""What datatypes need of Python: type codes, what a type was made of, how a NumPy array lies in memory.

The core asks here where speed does not matter, or where the answer is kept.
"""

from __future__ import annotations

from functools import cache, lru_cache

from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

core: Any = None  # set by `prepare`
typedict: dict[str, Any] = {}  # live: who adds a code here, can use it

# --- type codes -----------------------------------------------------------------------------------------------------

# code: datatypes, the first that the MPI library has
CODES = {
    "?": "C_BOOL CXX_BOOL", "b": "SIGNED_CHAR", "h": "SHORT", "i": "INT", "l": "LONG", "q": "LONG_LONG",
    "B": "UNSIGNED_CHAR", "H": "UNSIGNED_SHORT", "I": "UNSIGNED", "L": "UNSIGNED_LONG", "Q": "UNSIGNED_LONG_LONG",
    "e": "FLOAT16_T REAL2", "f": "FLOAT", "d": "DOUBLE", "g": "LONG_DOUBLE",
    "F": "C_FLOAT_COMPLEX CXX_FLOAT_COMPLEX COMPLEX8", "D": "C_DOUBLE_COMPLEX CXX_DOUBLE_COMPLEX COMPLEX16",
    "G": "C_LONG_DOUBLE_COMPLEX CXX_LONG_DOUBLE_COMPLEX", "E": "COMPLEX4",
    "b1": "C_BOOL CXX_BOOL", "i1": "INT8_T", "i2": "INT16_T", "i4": "INT32_T", "i8": "INT64_T", "i16": "INTEGER16",
    "u1": "UINT8_T", "u2": "UINT16_T", "u4": "UINT32_T", "u8": "UINT64_T", "f2": "FLOAT16_T REAL2", "f4": "FLOAT", "f8": "DOUBLE",
    "f16": "REAL16", "c4": "COMPLEX4", "c8": "C_FLOAT_COMPLEX COMPLEX8", "c16": "C_DOUBLE_COMPLEX COMPLEX16", "c32": "COMPLEX32",
    "n": "COUNT", "N": "UNSIGNED_LONG", "p": "AINT", "P": "UNSIGNED_LONG", "M": "INT64_T", "M8": "INT64_T", "m": "INT64_T",
    "m8": "INT64_T", "c": "CHAR", "a": "CHAR", "S": "CHAR", "S1": "CHAR", "s": "CHAR", "1s": "CHAR", "U": "WCHAR", "U1": "WCHAR",
    "w": "WCHAR", "1w": "WCHAR", "u": "UINT16_T", "1u": "UINT16_T",
}  # fmt: skip
C_CODES = "? b h i l q B H I L Q f d g F D G b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 f16 c8 c16 c32".split()
FORTRAN_CODES = {
    "l": "LOGICAL", "i": "INTEGER", "r": "REAL", "s": "REAL", "d": "DOUBLE_PRECISION", "c": "COMPLEX", "z": "DOUBLE_COMPLEX",
    **{f"{kind[0].lower()}{size}": f"{kind}{size}" for kind, sizes in (("LOGICAL", "1 2 4 8 16"), ("INTEGER", "1 2 4 8 16"),
       ("REAL", "2 4 8 16"), ("COMPLEX", "4 8 16 32")) for size in sizes.split()},
}  # fmt: skip

# datatypes of one code: what is not here has one by its kind and size
CHARACTERS = {
    "PACKED": "B", "BYTE": "B", "AINT": "p", "OFFSET": "p", "COUNT": "p", "CHAR": "c", "WCHAR": "U", "SIGNED_CHAR": "b", "SHORT": "h",
    "INT": "i", "LONG": "l", "LONG_LONG": "q", "UNSIGNED_CHAR": "B", "UNSIGNED_SHORT": "H", "UNSIGNED": "I", "UNSIGNED_LONG": "L",
    "UNSIGNED_LONG_LONG": "Q", "FLOAT": "f", "DOUBLE": "d", "LONG_DOUBLE": "g", "FLOAT16_T": "e", "C_FLOAT_COMPLEX": "F",
    "C_DOUBLE_COMPLEX": "D", "C_LONG_DOUBLE_COMPLEX": "G", "CXX_BOOL": "?", "CXX_FLOAT_COMPLEX": "F", "CXX_DOUBLE_COMPLEX": "D",
    "CXX_LONG_DOUBLE_COMPLEX": "G", "CHARACTER": "c",
}  # fmt: skip
KINDS = {"C_BOOL": "b", "INT": "i", "UINT": "u", "LOGICAL": "b", "INTEGER": "i", "REAL": "f", "DOUBLE_PRECISION": "f", "COMPLEX": "c",
         "DOUBLE_COMPLEX": "c"}  # fmt: skip
BY_SIZE = {"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "l", "u1": "B", "u2": "H", "u4": "I", "u8": "L", "f2": "e", "f4": "f", "f8": "d",
           "f16": "g", "c4": "E", "c8": "F", "c16": "D", "c32": "G"}  # fmt: skip
STRINGS = {**{char: text for text, char in BY_SIZE.items()}, "q": "i8", "Q": "u8", "p": "i8", "c": "S1", "U": "U1"}
PAIRS = {"SHORT_INT": 4, "TWOINT": 4, "LONG_INT": 8, "FLOAT_INT": 4, "DOUBLE_INT": 8, "LONG_DOUBLE_INT": 16}  # how they are aligned
WIDE = ("LOGICAL16", "INTEGER16", "REAL16", "COMPLEX32")


class Code(Record):
    """The codes of a datatype: one character, with the size, the one that `tocode` prefers."""

    char: str | None = None
    text: str | None = None
    preferred: str | None = None


def prepare(module: Any, long_double: int) -> dict[str, Any]:
    """Give the core its dicts of type codes, and the functions that mpi4py has for them; called once, before MPI starts."""
    global core
    core = module
    codes = CODES | {"Z" + real: CODES[letter] for real, letter in zip("efdg", "EFDG", strict=True)}
    if long_double == 16:
        codes |= {"f16": "LONG_DOUBLE", "c32": "C_LONG_DOUBLE_COMPLEX"}
    typedict.update((code, found) for code, names in codes.items() if (found := first(names)))
    module._typedict = typedict
    module._typedict_c = {code: typedict[code] for code in C_CODES if code in typedict}
    module._typedict_f = {code: found for code, name in FORTRAN_CODES.items() if (found := first(name))}
    module._typecode, module._typealign = typecode, typealign
    module._datatype_create, module._datatype_decode = create, decode
    return typedict


def first(names: str) -> Any:
    """The first of these datatypes that the library has, or None."""
    return next((kind for name in names.split() if (kind := getattr(core, name))), None)


def abi_info() -> Any:
    """What MPI_Abi_get_info says, for libraries that are older than it."""
    return core.Info.Create({f"mpi_{name.lower()}_size": str(getattr(core, name).size) for name in ("AINT", "COUNT", "OFFSET")})


def abi_fortran_info() -> Any:
    """What MPI_Abi_get_fortran_info says, for libraries that are older than it; INFO_NULL if there is no Fortran."""
    sizes = {name: found.size if (found := first(name)) else 0 for name in FORTRAN_CODES.values()}
    plain = {name: size for name, size in sizes.items() if name in ("LOGICAL", "INTEGER", "REAL", "DOUBLE_PRECISION")}
    exact = {name: size for name, size in sizes.items() if name[-1].isdigit() or name == "DOUBLE_COMPLEX"}
    facts = {f"mpi_{name.lower()}_size": str(size) for name, size in plain.items()}
    facts |= {f"mpi_{name.lower()}_supported": str(size > 0).lower() for name, size in exact.items()}
    return core.Info.Create(facts) if any(plain.values()) else core.INFO_NULL


@cache
def names_by_handle() -> dict[int, str]:
    """The names of the predefined datatypes that have codes."""
    names = [*CHARACTERS, *PAIRS, *FORTRAN_CODES.values(), "C_BOOL", *(f"{sign}INT{bits}_T" for sign in ("", "U") for bits in (8, 16, 32, 64))]
    return {getattr(core, name).handle: name for name in names if getattr(core, name)}


def name_of(datatype: Any) -> str:
    """The name of a predefined datatype that has codes, else the name of its constructor."""
    combiner = datatype.combiner
    if combiner == core.COMBINER_NAMED:
        return names_by_handle().get(datatype.handle, "")
    return constructors()[combiner]


def codes_of(datatype: Any) -> Code:
    """All codes of a datatype; duplicates have those of their original."""
    if not datatype:
        return Code()
    name = name_of(datatype)
    if name == "DUP":
        return codes_of(datatype.Get_contents()[3][0])
    if name in CHARACTERS:
        char = CHARACTERS[name]
        return Code(char, STRINGS[char], char)
    sized_name = name.removeprefix("F90_").removesuffix("_T")
    base = sized_name.rstrip("0123456789")
    kind = KINDS.get(base)
    if not kind:
        return Code()
    size = datatype.size
    sized = BY_SIZE.get(f"{kind}{size}") or BY_SIZE.get(f"i{size}")
    text = f"{'i' if kind == 'b' and size > 1 else kind}{size}"
    return Code(sized, text, text if sized_name != base or name == "C_BOOL" or name.startswith("F90_") else sized)


def typechar(datatype: Any) -> str:
    """One character: 'd'."""
    return (codes_of(datatype).char or "V") if datatype else ""


def typestr(datatype: Any) -> str:
    """With the size: 'f8'."""
    return (codes_of(datatype).text or f"V{datatype.extent}") if datatype else ""


def typecode(datatype: Any) -> str | None:
    """The type code of a datatype, or None."""
    return codes_of(datatype).preferred


def tocode(datatype: Any) -> str:
    """The type code of a datatype, or ValueError."""
    code = typecode(datatype)
    if code is None:
        raise ValueError(f"no type code for {datatype!r}")
    return code


def typealign(datatype: Any) -> int | None:
    """To how many bytes items of the datatype are aligned, or None."""
    name = name_of(datatype) if datatype else ""
    if name in PAIRS or name in WIDE:
        return PAIRS.get(name, 16)
    char = typechar(datatype)
    return int(STRINGS[char][1:]) // (2 if char in "EFDG" else 1) * (4 if char == "U" else 1) if char in STRINGS else None


# --- what a type was made of ----------------------------------------------------------------------------------------


@cache
def constructors() -> dict[int, str]:
    """The names of the constructors by their combiners; of several with one number, the first."""
    names = [name for name in vars(core) if name.startswith("COMBINER_")]
    return {getattr(core, name): name.removeprefix("COMBINER_") for name in reversed(names)}


def decode(datatype: Any, mark: bool = False) -> tuple[Any, str, dict[str, Any]]:
    """The datatype that it was made of, the name of the constructor, its arguments."""
    if datatype.combiner == core.COMBINER_NAMED:
        return datatype, "NAMED", {}
    name = name_of(datatype)
    i, a, c, types = datatype.Get_contents()
    arguments = PARAMETERS[name](i, a, c) if name in PARAMETERS else {}
    if name == "STRUCT":
        arguments["datatypes"] = types
    if name == "VALUE_INDEX":
        arguments = {"value": types[0], "index": types[1]}
    return types[0] if len(types) == 1 else core.DATATYPE_NULL, name, arguments


def blocks(i: list[int], a: list[int], c: list[int]) -> dict[str, Any]:
    """Lengths and displacements: all counts, or integers and addresses."""
    n, *rest = c or i + a
    return {"blocklengths": rest[:n], "displacements": rest[n:]}


def equal_blocks(i: list[int], a: list[int], c: list[int]) -> dict[str, Any]:
    """One length and displacements."""
    _, length, *displacements = c or i + a
    return {"blocklength": length, "displacements": displacements}


def vector(i: list[int], a: list[int], c: list[int]) -> dict[str, Any]:
    """Three numbers."""
    return dict(zip(("count", "blocklength", "stride"), c or i + a, strict=True))


def subarray(i: list[int], a: list[int], c: list[int]) -> dict[str, Any]:
    """The number of dimensions, three lists of that length, the order."""
    n, numbers = i[0], c or i[1:]
    return {"sizes": numbers[:n], "subsizes": numbers[n : 2 * n], "starts": numbers[2 * n : 3 * n], "order": i[-1]}


def darray(i: list[int], a: list[int], c: list[int]) -> dict[str, Any]:
    """Size, rank, the number of dimensions, four lists of that length, the order."""
    size, rank, n, *numbers = i[:3] + c + i[3:]
    lists = {name: numbers[k * n : (k + 1) * n] for k, name in enumerate(("gsizes", "distribs", "dargs", "psizes"))}
    return {"size": size, "rank": rank, **lists, "order": i[-1]}


PARAMETERS: dict[str, Callable[[list[int], list[int], list[int]], dict[str, Any]]] = {
    "CONTIGUOUS": lambda i, a, c: {"count": (c or i)[0]},
    "VECTOR": vector, "HVECTOR": vector, "INDEXED": blocks, "HINDEXED": blocks, "STRUCT": blocks, "INDEXED_BLOCK": equal_blocks,
    "HINDEXED_BLOCK": equal_blocks, "SUBARRAY": subarray, "DARRAY": darray,
    "RESIZED": lambda i, a, c: dict(zip(("lb", "extent"), c or a, strict=True)),
    "F90_INTEGER": lambda i, a, c: {"r": i[0]},
    "F90_REAL": lambda i, a, c: {"p": i[0], "r": i[1]},
    "F90_COMPLEX": lambda i, a, c: {"p": i[0], "r": i[1]},
}  # fmt: skip


def create(datatype: Any, combiner: str, params: dict[str, Any], free: bool = False) -> Any:
    """The reverse of `decode`: a committed datatype. (With `free`, of which it is made need not be freed: it frees itself.)"""
    name = "Get_value_index" if combiner == "VALUE_INDEX" else "Create_" + combiner.lower()
    return getattr(datatype, name)(**params).Commit()


def reduce(datatype: Any) -> str | tuple[Any, ...]:
    """For pickle: the constant itself, a copy of it, or how it was made."""
    for name, value in vars(core).items():
        if isinstance(value, core.Datatype) and value == datatype and name.isidentifier():
            return name if value is datatype else (type(datatype), (value,))
    return create, (*decode(datatype), True)


# --- arrays ---------------------------------------------------------------------------------------------------------

NUMBER, OPAQUE, GAPS = range(3)  # as in core.h


def opaque(size: int) -> Any:
    """An item that MPI only moves."""
    return core.BYTE.Create_contiguous(size).Commit()


def overlap(fields: list[tuple[Any, int]]) -> bool:
    """Do fields of a structure lie in one place?"""
    ends = [(offset, offset + kind.itemsize) for kind, offset in fields]
    return any(end > start for (_, end), (start, _) in zip(sorted(ends), sorted(ends)[1:], strict=False))


def structure(dtype: Any) -> Any:
    """The datatype of a structure, with the gaps between its fields."""
    fields = [dtype.fields[name][:2] for name in dtype.names]
    if overlap(fields):
        return opaque(dtype.itemsize)
    types = [item(kind)[0] for kind, _ in fields]
    made = core.Datatype.Create_struct([1] * len(fields), [offset for _, offset in fields], types)
    return made.Create_resized(0, dtype.itemsize).Commit()


@lru_cache(maxsize=256)
def item(dtype: Any) -> tuple[Any, int]:
    """The datatype of one item, and whether MPI knows what it is: NUMBER or OPAQUE."""
    if dtype.hasobject or dtype.kind == "T":
        raise TypeError(f"items of dtype {dtype} are Python objects: send them by the lower-case method")
    if dtype.subdtype:
        base = dtype.base
        count = dtype.itemsize // base.itemsize if base.itemsize else 0
        return item(base)[0].Create_contiguous(count).Commit(), OPAQUE
    if dtype.names:
        return structure(dtype), OPAQUE
    known = typedict.get(dtype.char if dtype.isbuiltin == 1 else dtype.str[1:]) if dtype.isbuiltin < 2 and dtype.isnative else None
    return (known, NUMBER) if known and known.extent == dtype.itemsize else (opaque(dtype.itemsize), OPAQUE)


@lru_cache(maxsize=256)
def layout(dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[Any, Any, int, int, int, int, bool, bool]:
    """How an array lies in memory, from its first item on.

    (datatype, datatype of one item, extent in bytes, how many, bytes in all, form, does a datatype hold many items, do items overlap)
    """
    kind, form = item(dtype)
    total = dtype.itemsize
    for n in shape:
        total *= n
    dims: list[tuple[int, int]] = []
    for n, stride in zip(shape, strides, strict=True):
        if n != 1 and dims and dims[-1][1] == n * stride:
            dims[-1] = dims[-1][0] * n, stride
        elif n != 1:
            dims.append((n, stride))
    dense = dtype.itemsize
    for n, stride in sorted(dims, key=lambda dim: abs(dim[1])):
        dense = dense * n if stride == dense else 0
    if dense or not total:
        return kind, kind, dtype.itemsize, total // dtype.itemsize if total else 0, total, form, False, False
    (count, extent), *inner = dims
    row = kind
    for n, stride in reversed(inner):
        row = row.Create_hindexed_block(1, range(0, -n, -1)) if stride == -1 else row.Create_hvector(n, 1, stride)  # Open MPI takes -1 for 1
    return row.Create_resized(0, extent).Commit(), kind, extent, count, total, GAPS, bool(inner), any(not stride for _, stride in dims)
