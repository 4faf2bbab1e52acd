# SPDX-License-Identifier: BSD-3-Clause
# Made by tools/stubs.py. Change the signatures in src/core, or the tables there, and run it.
"""MPI under the names that mpi4py made known. Importing this module initializes MPI, unless `mmpi.rc.initialize` is False."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar, Final, Literal, NoReturn, Self, SupportsIndex, final, overload

from typing_extensions import disjoint_base

from .errors import MPIError
from .pickling import Pickle as Pickle
from .pickling import pickle as pickle
from .typing import (
    Buffer,
    BufSpec,
    BufSpecB,
    BufSpecV,
    BufSpecW,
    Counts,
    InPlace,
    Integers,
    PathSpec,
    TargetSpec,
    TypeSpec,
)

Exception = MPIError

MAX_DATAREP_STRING: Final[int]
MAX_ERROR_STRING: Final[int]
MAX_INFO_KEY: Final[int]
MAX_INFO_VAL: Final[int]
MAX_LIBRARY_VERSION_STRING: Final[int]
MAX_OBJECT_NAME: Final[int]
MAX_PORT_NAME: Final[int]
MAX_PROCESSOR_NAME: Final[int]
MAX_STRINGTAG_LEN: Final[int]
MAX_PSET_NAME_LEN: Final[int]
BSEND_OVERHEAD: Final[int]
DISPLACEMENT_CURRENT: Final[int]
F_STATUS_SIZE: Final[int]
F_SOURCE: Final[int]
F_TAG: Final[int]
F_ERROR: Final[int]
SUCCESS: Final[int]
ERR_BUFFER: Final[int]
ERR_COUNT: Final[int]
ERR_TYPE: Final[int]
ERR_TAG: Final[int]
ERR_COMM: Final[int]
ERR_RANK: Final[int]
ERR_REQUEST: Final[int]
ERR_ROOT: Final[int]
ERR_GROUP: Final[int]
ERR_OP: Final[int]
ERR_TOPOLOGY: Final[int]
ERR_DIMS: Final[int]
ERR_ARG: Final[int]
ERR_UNKNOWN: Final[int]
ERR_TRUNCATE: Final[int]
ERR_OTHER: Final[int]
ERR_INTERN: Final[int]
ERR_PENDING: Final[int]
ERR_IN_STATUS: Final[int]
ERR_ACCESS: Final[int]
ERR_AMODE: Final[int]
ERR_ASSERT: Final[int]
ERR_BAD_FILE: Final[int]
ERR_BASE: Final[int]
ERR_CONVERSION: Final[int]
ERR_DISP: Final[int]
ERR_DUP_DATAREP: Final[int]
ERR_FILE_EXISTS: Final[int]
ERR_FILE_IN_USE: Final[int]
ERR_FILE: Final[int]
ERR_INFO_KEY: Final[int]
ERR_INFO_NOKEY: Final[int]
ERR_INFO_VALUE: Final[int]
ERR_INFO: Final[int]
ERR_IO: Final[int]
ERR_KEYVAL: Final[int]
ERR_LOCKTYPE: Final[int]
ERR_NAME: Final[int]
ERR_NO_MEM: Final[int]
ERR_NOT_SAME: Final[int]
ERR_NO_SPACE: Final[int]
ERR_NO_SUCH_FILE: Final[int]
ERR_PORT: Final[int]
ERR_QUOTA: Final[int]
ERR_READ_ONLY: Final[int]
ERR_RMA_ATTACH: Final[int]
ERR_RMA_CONFLICT: Final[int]
ERR_RMA_RANGE: Final[int]
ERR_RMA_SHARED: Final[int]
ERR_RMA_SYNC: Final[int]
ERR_SERVICE: Final[int]
ERR_SIZE: Final[int]
ERR_SPAWN: Final[int]
ERR_UNSUPPORTED_DATAREP: Final[int]
ERR_UNSUPPORTED_OPERATION: Final[int]
ERR_WIN: Final[int]
ERR_RMA_FLAVOR: Final[int]
ERR_PROC_ABORTED: Final[int]
ERR_VALUE_TOO_LARGE: Final[int]
ERR_SESSION: Final[int]
ERR_ERRHANDLER: Final[int]
ERR_ABI: Final[int]
T_ERR_CANNOT_INIT: Final[int]
T_ERR_NOT_ACCESSIBLE: Final[int]
T_ERR_NOT_INITIALIZED: Final[int]
T_ERR_NOT_SUPPORTED: Final[int]
T_ERR_MEMORY: Final[int]
T_ERR_INVALID: Final[int]
T_ERR_INVALID_INDEX: Final[int]
T_ERR_INVALID_ITEM: Final[int]
T_ERR_INVALID_SESSION: Final[int]
T_ERR_INVALID_HANDLE: Final[int]
T_ERR_INVALID_NAME: Final[int]
T_ERR_OUT_OF_HANDLES: Final[int]
T_ERR_OUT_OF_SESSIONS: Final[int]
T_ERR_CVAR_SET_NOT_NOW: Final[int]
T_ERR_CVAR_SET_NEVER: Final[int]
T_ERR_PVAR_NO_WRITE: Final[int]
T_ERR_PVAR_NO_STARTSTOP: Final[int]
T_ERR_PVAR_NO_ATOMIC: Final[int]
ERR_LASTCODE: Final[int]
MODE_APPEND: Final[int]
MODE_CREATE: Final[int]
MODE_DELETE_ON_CLOSE: Final[int]
MODE_EXCL: Final[int]
MODE_RDONLY: Final[int]
MODE_RDWR: Final[int]
MODE_SEQUENTIAL: Final[int]
MODE_UNIQUE_OPEN: Final[int]
MODE_WRONLY: Final[int]
MODE_NOCHECK: Final[int]
MODE_NOPRECEDE: Final[int]
MODE_NOPUT: Final[int]
MODE_NOSTORE: Final[int]
MODE_NOSUCCEED: Final[int]
ANY_SOURCE: Final[int]
ANY_TAG: Final[int]
PROC_NULL: Final[int]
ROOT: Final[int]
UNDEFINED: Final[int]
THREAD_SINGLE: Final[int]
THREAD_FUNNELED: Final[int]
THREAD_SERIALIZED: Final[int]
THREAD_MULTIPLE: Final[int]
ORDER_C: Final[int]
ORDER_FORTRAN: Final[int]
DISTRIBUTE_NONE: Final[int]
DISTRIBUTE_BLOCK: Final[int]
DISTRIBUTE_CYCLIC: Final[int]
DISTRIBUTE_DFLT_DARG: Final[int]
COMBINER_NAMED: Final[int]
COMBINER_DUP: Final[int]
COMBINER_CONTIGUOUS: Final[int]
COMBINER_VECTOR: Final[int]
COMBINER_HVECTOR: Final[int]
COMBINER_INDEXED: Final[int]
COMBINER_HINDEXED: Final[int]
COMBINER_INDEXED_BLOCK: Final[int]
COMBINER_HINDEXED_BLOCK: Final[int]
COMBINER_STRUCT: Final[int]
COMBINER_SUBARRAY: Final[int]
COMBINER_DARRAY: Final[int]
COMBINER_F90_REAL: Final[int]
COMBINER_F90_COMPLEX: Final[int]
COMBINER_F90_INTEGER: Final[int]
COMBINER_RESIZED: Final[int]
COMBINER_VALUE_INDEX: Final[int]
TYPECLASS_INTEGER: Final[int]
TYPECLASS_REAL: Final[int]
TYPECLASS_COMPLEX: Final[int]
IDENT: Final[int]
CONGRUENT: Final[int]
SIMILAR: Final[int]
UNEQUAL: Final[int]
CART: Final[int]
GRAPH: Final[int]
DIST_GRAPH: Final[int]
COMM_TYPE_SHARED: Final[int]
COMM_TYPE_HW_UNGUIDED: Final[int]
COMM_TYPE_HW_GUIDED: Final[int]
COMM_TYPE_RESOURCE_GUIDED: Final[int]
LOCK_EXCLUSIVE: Final[int]
LOCK_SHARED: Final[int]
WIN_FLAVOR_CREATE: Final[int]
WIN_FLAVOR_ALLOCATE: Final[int]
WIN_FLAVOR_DYNAMIC: Final[int]
WIN_FLAVOR_SHARED: Final[int]
WIN_UNIFIED: Final[int]
WIN_SEPARATE: Final[int]
SEEK_CUR: Final[int]
SEEK_END: Final[int]
SEEK_SET: Final[int]
KEYVAL_INVALID: Final[int]
TAG_UB: Final[int]
IO: Final[int]
HOST: Final[int]
WTIME_IS_GLOBAL: Final[int]
APPNUM: Final[int]
LASTUSEDCODE: Final[int]
UNIVERSE_SIZE: Final[int]
WIN_BASE: Final[int]
WIN_DISP_UNIT: Final[int]
WIN_SIZE: Final[int]
WIN_CREATE_FLAVOR: Final[int]
WIN_MODEL: Final[int]
T_CB_REQUIRE_NONE: Final[int]
T_CB_REQUIRE_MPI_RESTRICTED: Final[int]
T_CB_REQUIRE_THREAD_SAFE: Final[int]
T_CB_REQUIRE_ASYNC_SIGNAL_SAFE: Final[int]
T_SOURCE_ORDERED: Final[int]
T_SOURCE_UNORDERED: Final[int]
T_VERBOSITY_USER_BASIC: Final[int]
T_VERBOSITY_USER_DETAIL: Final[int]
T_VERBOSITY_USER_ALL: Final[int]
T_VERBOSITY_TUNER_BASIC: Final[int]
T_VERBOSITY_TUNER_DETAIL: Final[int]
T_VERBOSITY_TUNER_ALL: Final[int]
T_VERBOSITY_MPIDEV_BASIC: Final[int]
T_VERBOSITY_MPIDEV_DETAIL: Final[int]
T_VERBOSITY_MPIDEV_ALL: Final[int]
T_BIND_NO_OBJECT: Final[int]
T_BIND_MPI_COMM: Final[int]
T_BIND_MPI_DATATYPE: Final[int]
T_BIND_MPI_ERRHANDLER: Final[int]
T_BIND_MPI_FILE: Final[int]
T_BIND_MPI_GROUP: Final[int]
T_BIND_MPI_OP: Final[int]
T_BIND_MPI_REQUEST: Final[int]
T_BIND_MPI_WIN: Final[int]
T_BIND_MPI_MESSAGE: Final[int]
T_BIND_MPI_INFO: Final[int]
T_BIND_MPI_SESSION: Final[int]
T_SCOPE_CONSTANT: Final[int]
T_SCOPE_READONLY: Final[int]
T_SCOPE_LOCAL: Final[int]
T_SCOPE_GROUP: Final[int]
T_SCOPE_GROUP_EQ: Final[int]
T_SCOPE_ALL: Final[int]
T_SCOPE_ALL_EQ: Final[int]
T_PVAR_CLASS_STATE: Final[int]
T_PVAR_CLASS_LEVEL: Final[int]
T_PVAR_CLASS_SIZE: Final[int]
T_PVAR_CLASS_PERCENTAGE: Final[int]
T_PVAR_CLASS_HIGHWATERMARK: Final[int]
T_PVAR_CLASS_LOWWATERMARK: Final[int]
T_PVAR_CLASS_COUNTER: Final[int]
T_PVAR_CLASS_AGGREGATE: Final[int]
T_PVAR_CLASS_TIMER: Final[int]
T_PVAR_CLASS_GENERIC: Final[int]
ERR_PROC_FAILED: Final[int]
ERR_PROC_FAILED_PENDING: Final[int]
ERR_REVOKED: Final[int]
TYPECLASS_LOGICAL: Final[int]
UNWEIGHTED: Final[int]
WEIGHTS_EMPTY: Final[int]
OP_NULL: Final[Op]
SUM: Final[Op]
MIN: Final[Op]
MAX: Final[Op]
PROD: Final[Op]
BAND: Final[Op]
BOR: Final[Op]
BXOR: Final[Op]
LAND: Final[Op]
LOR: Final[Op]
LXOR: Final[Op]
MINLOC: Final[Op]
MAXLOC: Final[Op]
REPLACE: Final[Op]
NO_OP: Final[Op]
COMM_NULL: Final[Comm]
COMM_WORLD: Final[Intracomm]
COMM_SELF: Final[Intracomm]
GROUP_NULL: Final[Group]
GROUP_EMPTY: Final[Group]
WIN_NULL: Final[Win]
FILE_NULL: Final[File]
SESSION_NULL: Final[Session]
MESSAGE_NULL: Final[Message]
MESSAGE_NO_PROC: Final[Message]
INFO_NULL: Final[Info]
INFO_ENV: Final[Info]
ERRHANDLER_NULL: Final[Errhandler]
ERRORS_ARE_FATAL: Final[Errhandler]
ERRORS_ABORT: Final[Errhandler]
ERRORS_RETURN: Final[Errhandler]
REQUEST_NULL: Final[Request]
DATATYPE_NULL: Final[Datatype]
AINT: Final[Datatype]
COUNT: Final[Datatype]
OFFSET: Final[Datatype]
PACKED: Final[Datatype]
SHORT: Final[Datatype]
INT: Final[Datatype]
LONG: Final[Datatype]
LONG_LONG: Final[Datatype]
UNSIGNED_SHORT: Final[Datatype]
UNSIGNED: Final[Datatype]
UNSIGNED_LONG: Final[Datatype]
UNSIGNED_LONG_LONG: Final[Datatype]
FLOAT: Final[Datatype]
C_FLOAT_COMPLEX: Final[Datatype]
CXX_FLOAT_COMPLEX: Final[Datatype]
DOUBLE: Final[Datatype]
C_DOUBLE_COMPLEX: Final[Datatype]
CXX_DOUBLE_COMPLEX: Final[Datatype]
LOGICAL: Final[Datatype]
INTEGER: Final[Datatype]
REAL: Final[Datatype]
COMPLEX: Final[Datatype]
DOUBLE_PRECISION: Final[Datatype]
DOUBLE_COMPLEX: Final[Datatype]
CHARACTER: Final[Datatype]
LONG_DOUBLE: Final[Datatype]
C_LONG_DOUBLE_COMPLEX: Final[Datatype]
CXX_LONG_DOUBLE_COMPLEX: Final[Datatype]
FLOAT_INT: Final[Datatype]
DOUBLE_INT: Final[Datatype]
LONG_INT: Final[Datatype]
TWOINT: Final[Datatype]
SHORT_INT: Final[Datatype]
LONG_DOUBLE_INT: Final[Datatype]
TWOREAL: Final[Datatype]
TWODOUBLE_PRECISION: Final[Datatype]
TWOINTEGER: Final[Datatype]
C_BOOL: Final[Datatype]
CXX_BOOL: Final[Datatype]
WCHAR: Final[Datatype]
INT8_T: Final[Datatype]
UINT8_T: Final[Datatype]
CHAR: Final[Datatype]
SIGNED_CHAR: Final[Datatype]
UNSIGNED_CHAR: Final[Datatype]
BYTE: Final[Datatype]
INT16_T: Final[Datatype]
UINT16_T: Final[Datatype]
INT32_T: Final[Datatype]
UINT32_T: Final[Datatype]
INT64_T: Final[Datatype]
UINT64_T: Final[Datatype]
LOGICAL1: Final[Datatype]
INTEGER1: Final[Datatype]
LOGICAL2: Final[Datatype]
INTEGER2: Final[Datatype]
REAL2: Final[Datatype]
LOGICAL4: Final[Datatype]
INTEGER4: Final[Datatype]
REAL4: Final[Datatype]
COMPLEX4: Final[Datatype]
LOGICAL8: Final[Datatype]
INTEGER8: Final[Datatype]
REAL8: Final[Datatype]
COMPLEX8: Final[Datatype]
LOGICAL16: Final[Datatype]
INTEGER16: Final[Datatype]
REAL16: Final[Datatype]
COMPLEX16: Final[Datatype]
COMPLEX32: Final[Datatype]
FLOAT16_T: Final[Datatype]
BFLOAT16_T: Final[Datatype]
SIGNED_SHORT: Final[Datatype]
SIGNED_INT: Final[Datatype]
SIGNED_LONG: Final[Datatype]
SIGNED_LONG_LONG: Final[Datatype]
UNSIGNED_INT: Final[Datatype]
BOOL: Final[Datatype]
C_COMPLEX: Final[Datatype]
INT_INT: Final[Datatype]
FLOAT32_T: Final[Datatype]
FLOAT64_T: Final[Datatype]
ORDER_F: Final[int]
DISP_CUR: Final[int]
WIN_FLAVOR: Final[int]
SINT8_T: Final[Datatype]
SINT16_T: Final[Datatype]
SINT32_T: Final[Datatype]
SINT64_T: Final[Datatype]
F_BOOL: Final[Datatype]
F_INT: Final[Datatype]
F_FLOAT: Final[Datatype]
F_DOUBLE: Final[Datatype]
F_COMPLEX: Final[Datatype]
F_FLOAT_COMPLEX: Final[Datatype]
F_DOUBLE_COMPLEX: Final[Datatype]
BOTTOM: Final[BottomType]
IN_PLACE: Final[InPlaceType]
BUFFER_AUTOMATIC: Final[BufferAutomaticType]
VERSION: Final[int]
SUBVERSION: Final[int]

@disjoint_base
class Group:
    """An ordered set of processes."""

    def __new__(cls, other: Group | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def Get_rank(self) -> int:
        """The rank of this process in the group, UNDEFINED outside."""
    def Get_size(self) -> int:
        """The number of processes in the group."""
    def Compare(self, group: Group) -> int:
        """IDENT, SIMILAR or UNEQUAL."""
    def Translate_ranks(self, ranks: Integers | None = None, group: Group | None = None) -> list[int]:
        """The ranks of these processes in another group (None: all ranks, the group of WORLD)."""
    @classmethod
    def Union(cls, group1: Group, group2: Group) -> Self:
        """The processes of the first group, then those of the second that are not in it."""
    @classmethod
    def Intersection(cls, group1: Group, group2: Group) -> Self:
        """The processes of the first group that are in the second."""
    @classmethod
    def Intersect(cls, group1: Group, group2: Group) -> Self:
        """The processes of the first group that are in the second."""
    @classmethod
    def Difference(cls, group1: Group, group2: Group) -> Self:
        """The processes of the first group that are not in the second."""
    def Dup(self) -> Self:
        """A group of the same processes."""
    def Incl(self, ranks: Integers) -> Self:
        """The processes with these ranks, in this order."""
    def Excl(self, ranks: Integers) -> Self:
        """All processes but those with these ranks."""
    def Range_incl(self, ranks: Sequence[Integers]) -> Self:
        """The processes in these ranges, triples (first, last, stride)."""
    def Range_excl(self, ranks: Sequence[Integers]) -> Self:
        """All processes but those in these ranges, triples (first, last, stride)."""
    def Free(self) -> None:
        """Free the group."""
    @classmethod
    def Create_from_session_pset(cls, session: Session, pset_name: str) -> Self:
        """The group of a session's process set."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""
    @property
    def rank(self) -> int:
        """The rank of this process in the group."""
    @property
    def size(self) -> int:
        """The number of processes in the group."""

@disjoint_base
class Datatype:
    """What lies in a buffer, and how."""

    def __new__(cls, other: Datatype | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def Get_size(self) -> int:
        """The number of bytes of data in one item."""
    def Get_extent(self) -> tuple[int, int]:
        """Lower bound and extent, in bytes."""
    def Get_true_extent(self) -> tuple[int, int]:
        """Lower bound and extent of the data itself, in bytes."""
    def Get_name(self) -> str:
        """The name of the datatype."""
    def Set_name(self, name: str) -> None:
        """Give it a name, for debuggers and tools."""
    def Dup(self) -> Self:
        """A duplicate of the datatype."""
    def Create_dup(self) -> Self:
        """A duplicate of the datatype."""
    def Create_contiguous(self, count: SupportsIndex) -> Self:
        """Items one after the other."""
    def Create_vector(self, count: SupportsIndex, blocklength: SupportsIndex, stride: SupportsIndex) -> Self:
        """Blocks of items at a distance of stride items."""
    def Create_hvector(self, count: SupportsIndex, blocklength: SupportsIndex, stride: SupportsIndex) -> Self:
        """Blocks of items at a distance of stride bytes."""
    def Create_indexed(self, blocklengths: Integers, displacements: Integers) -> Self:
        """Blocks of different lengths, at displacements in items."""
    def Create_hindexed(self, blocklengths: Integers, displacements: Integers) -> Self:
        """Blocks of different lengths, at displacements in bytes."""
    def Create_indexed_block(self, blocklength: SupportsIndex, displacements: Integers) -> Self:
        """Blocks of one length, at displacements in items."""
    def Create_hindexed_block(self, blocklength: SupportsIndex, displacements: Integers) -> Self:
        """Blocks of one length, at displacements in bytes."""
    @classmethod
    def Create_struct(cls, blocklengths: Integers, displacements: Integers, datatypes: Sequence[TypeSpec]) -> Self:
        """Blocks of different types, at displacements in bytes."""
    def Create_subarray(
        self, sizes: Integers, subsizes: Integers, starts: Integers, order: SupportsIndex = ORDER_C
    ) -> Self:
        """A part of an array of several dimensions."""
    def Create_darray(
        self,
        size: SupportsIndex,
        rank: SupportsIndex,
        gsizes: Integers,
        distribs: Integers,
        dargs: Integers,
        psizes: Integers,
        order: SupportsIndex = ORDER_C,
    ) -> Self:
        """A rank's part of an array that is distributed over a grid of processes."""
    def Create_resized(self, lb: SupportsIndex, extent: SupportsIndex) -> Self:
        """The same data with another lower bound and extent."""
    def Resized(self, lb: SupportsIndex, extent: SupportsIndex) -> Self:
        """The same data with another lower bound and extent."""
    @classmethod
    def Create_f90_integer(cls, r: SupportsIndex) -> Self:
        """The Fortran integer of at least r decimal digits."""
    @classmethod
    def Create_f90_real(cls, p: SupportsIndex, r: SupportsIndex) -> Self:
        """The Fortran real of at least p decimal digits and a decimal exponent range of r."""
    @classmethod
    def Create_f90_complex(cls, p: SupportsIndex, r: SupportsIndex) -> Self:
        """The Fortran complex of at least p decimal digits and a decimal exponent range of r."""
    @classmethod
    def Match_size(cls, typeclass: SupportsIndex, size: SupportsIndex) -> Self:
        """The datatype of a class (TYPECLASS_REAL, ...) and of a size in bytes."""
    @classmethod
    def Get_value_index(cls, value: TypeSpec, index: TypeSpec) -> Self:
        """The pair of these two that MINLOC and MAXLOC take; DATATYPE_NULL: there is none."""
    def Commit(self) -> Self:
        """Make it ready for communication; returns itself."""
    def Free(self) -> None:
        """Free the datatype; what is under way with it goes on."""
    def Get_envelope(self) -> tuple[int, int, int, int, int]:
        """How it was made: the numbers of integers, addresses, counts and datatypes in its contents, and the combiner.
        """
    def Get_contents(self) -> tuple[list[int], list[int], list[int], list[Datatype]]:
        """What it was made of: lists of integers, addresses, counts and datatypes."""
    def decode(self) -> tuple[Datatype, str, dict[str, Any]]:
        """What it was made of: the datatype, the name of the constructor, its arguments in a dict."""
    def tocode(self) -> str:
        """The type code of NumPy, such as 'd' or 'i8'. ValueError: there is none."""
    @classmethod
    def fromcode(cls, code: str) -> Datatype:
        """The datatype of a type code, such as 'd' or 'i8'. ValueError: there is none."""
    @classmethod
    def Create_keyval(
        cls,
        copy_fn: Callable[[Self, int, Any], Any] | bool | None = None,
        delete_fn: Callable[[Self, int, Any], object] | None = None,
        nopython: bool = False,
    ) -> int:
        """A key for attributes. copy_fn(object, keyval, value) returns the value for a duplicate, NotImplemented for
        none; True copies it. delete_fn(object, keyval, value) is called at the end. With nopython, values are
        addresses.
        """
    @classmethod
    def Free_keyval(cls, keyval: SupportsIndex) -> int:
        """Free a key; attributes that have it stay. Returns KEYVAL_INVALID."""
    def Get_attr(self, keyval: SupportsIndex) -> Any:
        """The attribute of a key, or None."""
    def Set_attr(self, keyval: SupportsIndex, attrval: Any) -> None:
        """Set the attribute of a key."""
    def Delete_attr(self, keyval: SupportsIndex) -> None:
        """Delete the attribute of a key."""
    def Pack(self, inbuf: BufSpec, outbuf: BufSpec, position: SupportsIndex, comm: Comm) -> int:
        """Pack all items of a buffer into another, at a position in bytes; return the position behind them."""
    def Unpack(self, inbuf: BufSpec, position: SupportsIndex, outbuf: BufSpec, comm: Comm) -> int:
        """Unpack as many items as a buffer holds from another, at a position in bytes; return the position behind them.
        """
    def Pack_size(self, count: SupportsIndex, comm: Comm) -> int:
        """The bytes that so many items may take when packed."""
    def Pack_external(self, datarep: str, inbuf: BufSpec, outbuf: BufSpec, position: SupportsIndex) -> int:
        """Pack all items of a buffer in the form 'external32'; return the position behind them."""
    def Unpack_external(self, datarep: str, inbuf: BufSpec, position: SupportsIndex, outbuf: BufSpec) -> int:
        """Unpack as many items as a buffer holds from the form 'external32'; return the position behind them."""
    def Pack_external_size(self, datarep: str, count: SupportsIndex) -> int:
        """The bytes that so many items take in the form 'external32'."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""
    @property
    def size(self) -> int:
        """The number of bytes of data in one item."""
    @property
    def lb(self) -> int:
        """The lower bound, in bytes."""
    @property
    def extent(self) -> int:
        """The extent, in bytes."""
    @property
    def ub(self) -> int:
        """The upper bound, in bytes."""
    @property
    def true_lb(self) -> int:
        """The lower bound of the data itself, in bytes."""
    @property
    def true_extent(self) -> int:
        """The extent of the data itself, in bytes."""
    @property
    def true_ub(self) -> int:
        """The upper bound of the data itself, in bytes."""
    @property
    def name(self) -> str:
        """The name of the datatype."""
    @name.setter
    def name(self, value: str) -> None: ...
    @property
    def envelope(self) -> tuple[int, int, int, int, int]:
        """How it was made: see Get_envelope."""
    @property
    def contents(self) -> tuple[list[int], list[int], list[int], list[Datatype]]:
        """What it was made of: see Get_contents."""
    @property
    def combiner(self) -> int:
        """The constructor that made it: COMBINER_VECTOR, ..."""
    @property
    def is_named(self) -> bool:
        """Whether MPI has a name for it."""
    @property
    def is_predefined(self) -> bool:
        """Whether MPI or Fortran 90 parameters define it."""
    @property
    def typechar(self) -> str:
        """The type code of NumPy in one character: 'd'. 'V': there is none."""
    @property
    def typestr(self) -> str:
        """The type code of NumPy with the size: 'f8'. 'V12': there is none."""

@disjoint_base
class Op:
    """An operation of reductions."""

    def __new__(cls, other: Op | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __call__(self, x: Any, y: Any) -> Any: ...
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    @classmethod
    def Create(cls, function: Callable[[buffer, buffer, Datatype], object] | int, commute: bool = False) -> Self:
        """An operation from function(inbuf, inoutbuf, datatype), which changes inoutbuf in place; or from a C function
        (MPI_User_function): its address, or an object of ctypes, cffi or Numba.
        """
    def Free(self) -> None:
        """Free the operation."""
    def Is_commutative(self) -> bool:
        """Whether the order of operands does not matter."""
    def Reduce_local(self, inbuf: BufSpec, inoutbuf: BufSpec) -> None:
        """Combine two buffers of this process into the second."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""
    @property
    def is_commutative(self) -> bool:
        """Whether the order of operands does not matter."""
    @property
    def is_predefined(self) -> bool:
        """Whether MPI defines it."""

@disjoint_base
class Request:
    """An operation under way."""

    def __new__(cls, other: Request | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    def __exit__(self, *error: object) -> None: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    @classmethod
    def Get_status_all(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> bool:
        """Say whether all operations are done, without ending the requests."""
    @classmethod
    def Get_status_any(cls, requests: Iterable[Request], status: Status | None = None) -> tuple[int, bool]:
        """Say whether one operation is done, without ending its request: its index, and the answer."""
    @classmethod
    def Get_status_some(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> list[int] | None:
        """The indices of the operations that are done, without ending their requests; None if none is under way."""
    @classmethod
    def get_status_all(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> bool:
        """Say whether all operations are done, without ending the requests."""
    @classmethod
    def get_status_any(cls, requests: Iterable[Request], status: Status | None = None) -> tuple[int, bool]:
        """Say whether one operation is done, without ending its request: its index, and the answer."""
    @classmethod
    def get_status_some(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> list[int] | None:
        """The indices of the operations that are done, without ending their requests; None if none is under way."""
    def Wait(self, status: Status | None = None) -> Literal[True]:
        """Wait until the operation is done; its buffers may be reused then."""
    def Test(self, status: Status | None = None) -> bool:
        """Say whether the operation is done."""
    def Get_status(self, status: Status | None = None) -> bool:
        """Say whether the operation is done, without ending the request."""
    def Cancel(self) -> None:
        """Ask to cancel the operation; Wait must follow."""
    def Free(self) -> None:
        """Let go of the request; an operation under way goes on, and keeps its buffers until it is done. An object that
        was to be received is not.
        """
    @classmethod
    def Waitall(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> Literal[True]:
        """Wait until all operations are done."""
    @classmethod
    def Waitany(cls, requests: Iterable[Request], status: Status | None = None) -> int:
        """Wait until one operation is done; return its index, UNDEFINED if none is under way."""
    @classmethod
    def Waitsome(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> list[int] | None:
        """Wait until some operations are done; return their indices, None if none is under way."""
    @classmethod
    def Testall(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> bool:
        """Say whether all operations are done."""
    @classmethod
    def Testany(cls, requests: Iterable[Request], status: Status | None = None) -> tuple[int, bool]:
        """Say whether one operation is done: its index, and the answer."""
    @classmethod
    def Testsome(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> list[int] | None:
        """The indices of the operations that are done, None if none is under way."""
    def wait(self, status: Status | None = None) -> Any:
        """Wait until the operation is done; return the object that it brought, or None."""
    def test(self, status: Status | None = None) -> tuple[bool, Any]:
        """Say whether the operation is done, and what object it brought: (True, object), or (False, None)."""
    def get_status(self, status: Status | None = None) -> bool:
        """Say whether the operation is done, without ending the request."""
    def cancel(self) -> None:
        """Ask to cancel the operation; wait must follow."""
    @classmethod
    def waitall(cls, requests: Iterable[Request], statuses: list[Status] | None = None) -> list[Any]:
        """Wait until all operations are done; return the objects that they brought."""
    @classmethod
    def waitany(cls, requests: Iterable[Request], status: Status | None = None) -> tuple[int, Any]:
        """Wait until one operation is done; return its index, and the object that it brought."""
    @classmethod
    def waitsome(
        cls, requests: Iterable[Request], statuses: list[Status] | None = None
    ) -> tuple[list[int] | None, list[Any] | None]:
        """Wait until some operations are done; return their indices and the objects that they brought, (None, None) if
        none is under way.
        """
    @classmethod
    def testall(
        cls, requests: Iterable[Request], statuses: list[Status] | None = None
    ) -> tuple[bool, list[Any] | None]:
        """Say whether all operations are done, and what they brought: (True, objects), or (False, None)."""
    @classmethod
    def testany(cls, requests: Iterable[Request], status: Status | None = None) -> tuple[int, bool, Any]:
        """Say whether one operation is done: its index, the answer, and the object that it brought."""
    @classmethod
    def testsome(
        cls, requests: Iterable[Request], statuses: list[Status] | None = None
    ) -> tuple[list[int] | None, list[Any] | None]:
        """The indices of the operations that are done and the objects that they brought, (None, None) if none is under
        way.
        """
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""

class Prequest(Request):
    """An operation that is prepared once and started as often as needed."""

    def Start(self) -> None:
        """Start the operation that was prepared; Wait or Test ends it, and it may be started again."""
    @classmethod
    def Startall(cls, requests: Iterable[Request]) -> None:
        """Start all these operations."""
    def Pready(self, partition: SupportsIndex) -> None:
        """This partition of the buffer may be sent."""
    def Pready_range(self, partition_low: SupportsIndex, partition_high: SupportsIndex) -> None:
        """The partitions from low to high, both included, may be sent."""
    def Pready_list(self, partitions: Integers) -> None:
        """These partitions of the buffer may be sent."""
    def Parrived(self, partition: SupportsIndex) -> bool:
        """Say whether this partition of the buffer has come."""

class Grequest(Request):
    """An operation of one's own that can be waited for like those of MPI."""

    @classmethod
    def Start(
        cls,
        query_fn: Callable[..., object] | None = None,
        free_fn: Callable[..., object] | None = None,
        cancel_fn: Callable[..., object] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """A request for an operation of one's own. query_fn(status, *args, **kwargs) fills the status, free_fn(*args,
        **kwargs) is called at the end, cancel_fn(completed, *args, **kwargs) by Cancel.
        """
    def Complete(self) -> None:
        """The operation is done."""
    def complete(self, obj: Any = None) -> None:
        """The operation is done; wait and test return the object."""

@disjoint_base
class Status:
    """What came in, from whom."""

    def __new__(cls, other: Status | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def Get_source(self) -> int:
        """The rank the message came from."""
    def Set_source(self, source: SupportsIndex) -> None:
        """Set the rank the message came from."""
    def Get_tag(self) -> int:
        """The tag of the message."""
    def Set_tag(self, tag: SupportsIndex) -> None:
        """Set the tag of the message."""
    def Get_error(self) -> int:
        """The error code of the operation."""
    def Set_error(self, error: SupportsIndex) -> None:
        """Set the error code of the operation."""
    def Get_count(self, datatype: TypeSpec = BYTE) -> int:
        """The number of items received, UNDEFINED if they are not whole."""
    def Get_elements(self, datatype: TypeSpec) -> int:
        """The number of basic elements received."""
    def Set_elements(self, datatype: TypeSpec, count: SupportsIndex) -> None:
        """Set the number of basic elements received."""
    def Is_cancelled(self) -> bool:
        """Whether the operation was cancelled."""
    def Set_cancelled(self, flag: bool) -> None:
        """Mark the operation as cancelled, or not."""
    def py2f(self) -> list[int]:
        """The status as Fortran has it, a list of integers."""
    @classmethod
    def f2py(cls, arg: Integers) -> Self:
        """Make a Status from one of Fortran, a list of integers."""
    def tomemory(self) -> memoryview:
        """A memoryview of the MPI status, as C ints."""
    @property
    def source(self) -> int:
        """The rank the message came from."""
    @source.setter
    def source(self, value: SupportsIndex) -> None: ...
    @property
    def tag(self) -> int:
        """The tag of the message."""
    @tag.setter
    def tag(self, value: SupportsIndex) -> None: ...
    @property
    def error(self) -> int:
        """The error code of the operation."""
    @error.setter
    def error(self, value: SupportsIndex) -> None: ...
    @property
    def count(self) -> int:
        """The number of bytes received."""
    @count.setter
    def count(self, value: SupportsIndex) -> None: ...
    @property
    def cancelled(self) -> bool:
        """Whether the operation was cancelled."""
    @cancelled.setter
    def cancelled(self, value: bool) -> None: ...

@disjoint_base
class Message:
    """A message that was matched and waits to be received."""

    def __new__(cls, other: Message | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    @classmethod
    def Probe(
        cls, comm: Comm, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Self:
        """Wait for a message and take it."""
    @classmethod
    def Iprobe(
        cls, comm: Comm, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Self | None:
        """Take a message if one is there, else None."""
    def Recv(self, buf: BufSpec, status: Status | None = None) -> None:
        """Receive the message into a buffer."""
    def Irecv(self, buf: BufSpec) -> Request:
        """Start to receive the message into a buffer."""
    @classmethod
    def probe(
        cls, comm: Comm, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Self:
        """Wait for a message and take it."""
    @classmethod
    def iprobe(
        cls, comm: Comm, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Self | None:
        """Take a message if one is there, else None."""
    def recv(self, status: Status | None = None) -> Any:
        """Receive the object that the message brings."""
    def irecv(self) -> Request:
        """Start to receive the object that the message brings; request.wait() returns it."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""

@disjoint_base
class Info:
    """Hints to MPI: keys and values."""

    def __new__(cls, other: Info | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __iter__(self) -> Iterator[str]: ...
    def __bool__(self) -> bool: ...
    def __len__(self) -> int: ...
    def __getitem__(self, key: str, /) -> str: ...
    def __setitem__(self, key: str, value: str, /) -> None: ...
    def __delitem__(self, key: str, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    @classmethod
    def Create(cls, items: Info | Mapping[str, str] | Iterable[tuple[str, str]] | None = None) -> Self:
        """A new Info; of an Info, a mapping, or pairs of key and value."""
    @classmethod
    def Create_env(cls, args: str | Sequence[str] | None = None) -> Self:
        """The Info of how this process was started: command, argv, maxprocs, soft, host, arch, wdir, file."""
    def Dup(self) -> Self:
        """A copy, with the keys in the same order."""
    def Free(self) -> None:
        """Free the info; MPI keeps what it needs of it."""
    def Get(self, key: str) -> str | None:
        """The value of a key, or None."""
    def Set(self, key: str, value: TypeSpec) -> None:
        """Set the value of a key."""
    def Delete(self, key: str) -> None:
        """Remove a key and its value."""
    def Get_nkeys(self) -> int:
        """The number of keys."""
    def Get_nthkey(self, n: SupportsIndex) -> str:
        """The key at place n, from 0."""
    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""
    def keys(self) -> list[str]:
        """All keys, in their order."""
    def values(self) -> list[str]:
        """All values, in the order of keys."""
    def items(self) -> list[tuple[str, str]]:
        """All pairs of key and value."""
    def update(self, items: Mapping[str, str] | Iterable[tuple[str, str]] = (), **kwds: str) -> None:
        """Set keys and values of an Info, a mapping, or pairs."""
    def pop(self, key: str, default: Any = ...) -> Any:
        """Remove a key and return its value; the default if there is none, else KeyError."""
    def popitem(self) -> tuple[str, str]:
        """Remove the last pair of key and value and return it."""
    def copy(self) -> Self:
        """A copy."""
    def clear(self) -> None:
        """Remove all keys."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""

@disjoint_base
class Errhandler:
    """What MPI does when a call fails."""

    def __new__(cls, other: Errhandler | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def Free(self) -> None:
        """Free the error handler; it goes on for the objects that use it."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""

@disjoint_base
class Comm:
    """A communicator."""

    def __new__(cls, other: Comm | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def Get_rank(self) -> int:
        """The rank of this process in the communicator."""
    def Get_size(self) -> int:
        """The number of processes in the communicator."""
    def Get_group(self) -> Group:
        """The group of the communicator."""
    def Is_inter(self) -> bool:
        """Whether it joins two groups."""
    def Is_intra(self) -> bool:
        """Whether it has one group."""
    def Get_topology(self) -> int:
        """CART, GRAPH, DIST_GRAPH, or UNDEFINED."""
    def Compare(self, comm: Comm) -> int:
        """IDENT, CONGRUENT, SIMILAR or UNEQUAL."""
    def Get_name(self) -> str:
        """The name that debuggers and tools show."""
    def Set_name(self, name: str) -> None:
        """Give it a name, for debuggers and tools."""
    @classmethod
    def Create_errhandler(cls, errhandler_fn: Callable[[Self, int], object]) -> Errhandler:
        """An error handler that calls errhandler_fn(object, errorcode)."""
    def Get_errhandler(self) -> Errhandler:
        """What happens when a call on it fails."""
    def Set_errhandler(self, errhandler: Errhandler) -> None:
        """Say what happens when a call on it fails."""
    def Call_errhandler(self, errorcode: SupportsIndex) -> None:
        """Do what happens when a call fails with this code."""
    def Attach_buffer(self, buf: Buffer | BufferAutomaticType | None) -> None:
        """Give MPI a buffer for buffered sends here; it belongs to MPI until Detach_buffer. BUFFER_AUTOMATIC or None:
        MPI takes memory as it needs it.
        """
    def Detach_buffer(self) -> Buffer | BufferAutomaticType | None:
        """Wait until all buffered messages from here are sent; return the buffer, None if there is none."""
    def Flush_buffer(self) -> None:
        """Wait until all buffered messages from here are sent."""
    def Iflush_buffer(self) -> Request:
        """The request is done when all buffered messages from here are sent."""
    @classmethod
    def Create_keyval(
        cls,
        copy_fn: Callable[[Self, int, Any], Any] | bool | None = None,
        delete_fn: Callable[[Self, int, Any], object] | None = None,
        nopython: bool = False,
    ) -> int:
        """A key for attributes. copy_fn(object, keyval, value) returns the value for a duplicate, NotImplemented for
        none; True copies it. delete_fn(object, keyval, value) is called at the end. With nopython, values are
        addresses.
        """
    @classmethod
    def Free_keyval(cls, keyval: SupportsIndex) -> int:
        """Free a key; attributes that have it stay. Returns KEYVAL_INVALID."""
    def Get_attr(self, keyval: SupportsIndex) -> Any:
        """The attribute of a key, or None."""
    def Set_attr(self, keyval: SupportsIndex, attrval: Any) -> None:
        """Set the attribute of a key."""
    def Delete_attr(self, keyval: SupportsIndex) -> None:
        """Delete the attribute of a key."""
    def Abort(self, errorcode: SupportsIndex = 0) -> NoReturn:
        """End all processes of the communicator's job."""
    def Dup(self, info: Info | None = None) -> Self:
        """Duplicate the communicator, with its topology and attributes."""
    def Clone(self) -> Self:
        """Duplicate the communicator."""
    def Dup_with_info(self, info: Info | None) -> Self:
        """Duplicate the communicator, with other hints."""
    def Idup(self, info: Info | None = None) -> tuple[Self, Request]:
        """Start to duplicate the communicator: the duplicate, which is usable when the request is done, and the
        request.
        """
    def Idup_with_info(self, info: Info | None) -> tuple[Self, Request]:
        """Start to duplicate the communicator, with other hints: the duplicate, which is usable when the request is
        done, and the request.
        """
    def Get_info(self) -> Info:
        """The hints that are in use."""
    def Set_info(self, info: Info | None) -> None:
        """Set hints."""
    def Revoke(self) -> None:
        """End all communication here, on all ranks: it fails with ERR_REVOKED."""
    def Is_revoked(self) -> bool:
        """Whether it was revoked."""
    def Get_failed(self) -> Group:
        """The group of the processes that are known to have failed."""
    def Ack_failed(self, num_to_ack: SupportsIndex | None = None) -> int:
        """Acknowledge so many of the failed processes (None: all); return how many are acknowledged."""
    def Agree(self, flag: SupportsIndex) -> int:
        """The bitwise and of the flags of all living ranks; with two groups, of those in the other."""
    def Iagree(self, flag: Buffer) -> Request:
        """Start to agree: the buffer of one C int gets the bitwise and of the flags of all living ranks; with two
        groups, of those in the other.
        """
    def Shrink(self) -> Self:
        """A communicator of the processes that are still alive."""
    def Ishrink(self) -> tuple[Self, Request]:
        """Start to make a communicator of the processes that are still alive: it, usable when the request is done, and
        the request.
        """
    def Create(self, group: Group) -> Comm:
        """A communicator of the processes in the group; COMM_NULL elsewhere."""
    def Split(self, color: SupportsIndex = 0, key: SupportsIndex = 0) -> Comm:
        """A communicator for each color, ranks ordered by key; COMM_NULL for color UNDEFINED."""
    def Split_type(self, split_type: SupportsIndex, key: SupportsIndex = 0, info: Info | None = INFO_NULL) -> Comm:
        """A communicator for each set of processes that share something, such as memory (COMM_TYPE_SHARED)."""
    def Free(self) -> None:
        """Free the communicator; all its processes must call this."""
    def Disconnect(self) -> None:
        """Wait until all communication on it is done, then free it; all its processes must call this."""
    def Send(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> None:
        """Send a buffer. Return when the buffer may be reused."""
    def Isend(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> Request:
        """Start to: Send a buffer. Wait for the request before the buffer is reused."""
    def Ssend(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> None:
        """Send a buffer; synchronous: its receive has begun when this ends. Return when the buffer may be reused."""
    def Issend(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> Request:
        """Start to: Send a buffer; synchronous: its receive has begun when this ends. Wait for the request before the
        buffer is reused.
        """
    def Bsend(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> None:
        """Send a buffer through the attached one. Return when the buffer may be reused."""
    def Ibsend(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> Request:
        """Start to: Send a buffer through the attached one. Wait for the request before the buffer is reused."""
    def Rsend(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> None:
        """Send a buffer to a receive that is already posted. Return when the buffer may be reused."""
    def Irsend(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> Request:
        """Start to: Send a buffer to a receive that is already posted. Wait for the request before the buffer is
        reused.
        """
    def Send_init(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> Prequest:
        """Prepare to: Send a buffer. Start the request as often as needed."""
    def Ssend_init(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> Prequest:
        """Prepare to: Send a buffer; synchronous: its receive has begun when this ends. Start the request as often as
        needed.
        """
    def Bsend_init(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> Prequest:
        """Prepare to: Send a buffer through the attached one. Start the request as often as needed."""
    def Rsend_init(self, buf: BufSpec, dest: SupportsIndex, tag: SupportsIndex = 0) -> Prequest:
        """Prepare to: Send a buffer to a receive that is already posted. Start the request as often as needed."""
    def Recv_init(self, buf: BufSpec, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG) -> Prequest:
        """Prepare to receive into a buffer; start the request as often as needed."""
    def Psend_init(
        self,
        buf: BufSpec,
        partitions: SupportsIndex,
        dest: SupportsIndex,
        tag: SupportsIndex = 0,
        info: Info | None = INFO_NULL,
    ) -> Prequest:
        """Prepare to send a buffer in equal partitions: after Start, each goes when Pready says so."""
    def Precv_init(
        self,
        buf: BufSpec,
        partitions: SupportsIndex,
        source: SupportsIndex = ANY_SOURCE,
        tag: SupportsIndex = ANY_TAG,
        info: Info | None = INFO_NULL,
    ) -> Prequest:
        """Prepare to receive a buffer in equal partitions: after Start, Parrived tells of each."""
    def Isendrecv(
        self,
        sendbuf: BufSpec,
        dest: SupportsIndex,
        sendtag: SupportsIndex = 0,
        recvbuf: BufSpec | None = None,
        source: SupportsIndex = ANY_SOURCE,
        recvtag: SupportsIndex = ANY_TAG,
    ) -> Request:
        """Start to send and receive at once."""
    def Isendrecv_replace(
        self,
        buf: BufSpec,
        dest: SupportsIndex,
        sendtag: SupportsIndex = 0,
        source: SupportsIndex = ANY_SOURCE,
        recvtag: SupportsIndex = ANY_TAG,
    ) -> Request:
        """Start to send a buffer and receive into it."""
    def Recv(
        self,
        buf: BufSpec,
        source: SupportsIndex = ANY_SOURCE,
        tag: SupportsIndex = ANY_TAG,
        status: Status | None = None,
    ) -> None:
        """Receive into a buffer."""
    def Irecv(self, buf: BufSpec, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG) -> Request:
        """Start to receive into a buffer."""
    def Sendrecv(
        self,
        sendbuf: BufSpec,
        dest: SupportsIndex,
        sendtag: SupportsIndex = 0,
        recvbuf: BufSpec | None = None,
        source: SupportsIndex = ANY_SOURCE,
        recvtag: SupportsIndex = ANY_TAG,
        status: Status | None = None,
    ) -> None:
        """Send and receive at once."""
    def Sendrecv_replace(
        self,
        buf: BufSpec,
        dest: SupportsIndex,
        sendtag: SupportsIndex = 0,
        source: SupportsIndex = ANY_SOURCE,
        recvtag: SupportsIndex = ANY_TAG,
        status: Status | None = None,
    ) -> None:
        """Send a buffer and receive into it."""
    def Probe(
        self, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Literal[True]:
        """Wait until a message could be received."""
    def Iprobe(
        self, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> bool:
        """Say whether a message could be received."""
    def Mprobe(
        self, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Message:
        """Wait for a message and take it, to be received by Message.Recv."""
    def Improbe(
        self, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Message | None:
        """Take a message if one is there, to be received by Message.Recv; else None."""
    def probe(
        self, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Literal[True]:
        """Wait until a message could be received."""
    def iprobe(
        self, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> bool:
        """Say whether a message could be received."""
    def mprobe(
        self, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Message:
        """Wait for a message and take it, to be received by Message.recv."""
    def improbe(
        self, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None
    ) -> Message | None:
        """Take a message if one is there, to be received by Message.recv; else None."""
    def Barrier(self) -> None:
        """Wait until all ranks have come."""
    def Ibarrier(self) -> Request:
        """Start a barrier; the request is done when all ranks have come."""
    def Barrier_init(self, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare a barrier; start the request as often as needed."""
    def Bcast(self, buf: BufSpec, root: SupportsIndex = 0) -> None:
        """Broadcast a buffer from one rank to all."""
    def Ibcast(self, buf: BufSpec, root: SupportsIndex = 0) -> Request:
        """Start to: Broadcast a buffer from one rank to all."""
    def Bcast_init(self, buf: BufSpec, root: SupportsIndex = 0, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Broadcast a buffer from one rank to all. Start the request as often as needed."""
    def Gather(self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpecB | None, root: SupportsIndex = 0) -> None:
        """Gather equal parts from all ranks at one."""
    def Igather(self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpecB | None, root: SupportsIndex = 0) -> Request:
        """Start to: Gather equal parts from all ranks at one."""
    def Gather_init(
        self,
        sendbuf: BufSpec | InPlace | None,
        recvbuf: BufSpecB | None,
        root: SupportsIndex = 0,
        info: Info | None = INFO_NULL,
    ) -> Prequest:
        """Prepare to: Gather equal parts from all ranks at one. Start the request as often as needed."""
    def Gatherv(self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpecV | None, root: SupportsIndex = 0) -> None:
        """Gather parts of any length from all ranks at one."""
    def Igatherv(self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpecV | None, root: SupportsIndex = 0) -> Request:
        """Start to: Gather parts of any length from all ranks at one."""
    def Gatherv_init(
        self,
        sendbuf: BufSpec | InPlace | None,
        recvbuf: BufSpecV | None,
        root: SupportsIndex = 0,
        info: Info | None = INFO_NULL,
    ) -> Prequest:
        """Prepare to: Gather parts of any length from all ranks at one. Start the request as often as needed."""
    def Scatter(self, sendbuf: BufSpecB | None, recvbuf: BufSpec | InPlace | None, root: SupportsIndex = 0) -> None:
        """Scatter equal parts from one rank to all."""
    def Iscatter(self, sendbuf: BufSpecB | None, recvbuf: BufSpec | InPlace | None, root: SupportsIndex = 0) -> Request:
        """Start to: Scatter equal parts from one rank to all."""
    def Scatter_init(
        self,
        sendbuf: BufSpecB | None,
        recvbuf: BufSpec | InPlace | None,
        root: SupportsIndex = 0,
        info: Info | None = INFO_NULL,
    ) -> Prequest:
        """Prepare to: Scatter equal parts from one rank to all. Start the request as often as needed."""
    def Scatterv(self, sendbuf: BufSpecV | None, recvbuf: BufSpec | InPlace | None, root: SupportsIndex = 0) -> None:
        """Scatter parts of any length from one rank to all."""
    def Iscatterv(
        self, sendbuf: BufSpecV | None, recvbuf: BufSpec | InPlace | None, root: SupportsIndex = 0
    ) -> Request:
        """Start to: Scatter parts of any length from one rank to all."""
    def Scatterv_init(
        self,
        sendbuf: BufSpecV | None,
        recvbuf: BufSpec | InPlace | None,
        root: SupportsIndex = 0,
        info: Info | None = INFO_NULL,
    ) -> Prequest:
        """Prepare to: Scatter parts of any length from one rank to all. Start the request as often as needed."""
    def Allgather(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecB) -> None:
        """Gather equal parts from all ranks at all."""
    def Iallgather(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecB) -> Request:
        """Start to: Gather equal parts from all ranks at all."""
    def Allgather_init(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecB, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Gather equal parts from all ranks at all. Start the request as often as needed."""
    def Allgatherv(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecV) -> None:
        """Gather parts of any length from all ranks at all."""
    def Iallgatherv(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecV) -> Request:
        """Start to: Gather parts of any length from all ranks at all."""
    def Allgatherv_init(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecV, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Gather parts of any length from all ranks at all. Start the request as often as needed."""
    def Alltoall(self, sendbuf: BufSpecB | InPlace, recvbuf: BufSpecB) -> None:
        """Send an equal part to each rank, and receive one from each."""
    def Ialltoall(self, sendbuf: BufSpecB | InPlace, recvbuf: BufSpecB) -> Request:
        """Start to: Send an equal part to each rank, and receive one from each."""
    def Alltoall_init(self, sendbuf: BufSpecB | InPlace, recvbuf: BufSpecB, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Send an equal part to each rank, and receive one from each. Start the request as often as needed.
        """
    def Alltoallv(self, sendbuf: BufSpecV | InPlace, recvbuf: BufSpecV) -> None:
        """Send a part of any length to each rank, and receive one from each."""
    def Ialltoallv(self, sendbuf: BufSpecV | InPlace, recvbuf: BufSpecV) -> Request:
        """Start to: Send a part of any length to each rank, and receive one from each."""
    def Alltoallv_init(self, sendbuf: BufSpecV | InPlace, recvbuf: BufSpecV, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Send a part of any length to each rank, and receive one from each. Start the request as often as
        needed.
        """
    def Alltoallw(self, sendbuf: BufSpecW | InPlace, recvbuf: BufSpecW) -> None:
        """Send a part of any length and datatype to each rank, and receive one from each."""
    def Ialltoallw(self, sendbuf: BufSpecW | InPlace, recvbuf: BufSpecW) -> Request:
        """Start to: Send a part of any length and datatype to each rank, and receive one from each."""
    def Alltoallw_init(self, sendbuf: BufSpecW | InPlace, recvbuf: BufSpecW, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Send a part of any length and datatype to each rank, and receive one from each. Start the request
        as often as needed.
        """
    def Reduce(
        self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpec | None, op: Op = SUM, root: SupportsIndex = 0
    ) -> None:
        """Reduce buffers over all ranks; one gets the result."""
    def Ireduce(
        self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpec | None, op: Op = SUM, root: SupportsIndex = 0
    ) -> Request:
        """Start to: Reduce buffers over all ranks; one gets the result."""
    def Reduce_init(
        self,
        sendbuf: BufSpec | InPlace | None,
        recvbuf: BufSpec | None,
        op: Op = SUM,
        root: SupportsIndex = 0,
        info: Info | None = INFO_NULL,
    ) -> Prequest:
        """Prepare to: Reduce buffers over all ranks; one gets the result. Start the request as often as needed."""
    def Allreduce(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> None:
        """Reduce buffers over all ranks; all get the result."""
    def Iallreduce(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> Request:
        """Start to: Reduce buffers over all ranks; all get the result."""
    def Allreduce_init(
        self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM, info: Info | None = INFO_NULL
    ) -> Prequest:
        """Prepare to: Reduce buffers over all ranks; all get the result. Start the request as often as needed."""
    def Reduce_scatter_block(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> None:
        """Reduce buffers over all ranks; each gets an equal part."""
    def Ireduce_scatter_block(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> Request:
        """Start to: Reduce buffers over all ranks; each gets an equal part."""
    def Reduce_scatter_block_init(
        self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM, info: Info | None = INFO_NULL
    ) -> Prequest:
        """Prepare to: Reduce buffers over all ranks; each gets an equal part. Start the request as often as needed."""
    def Reduce_scatter(
        self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, recvcounts: Counts | None = None, op: Op = SUM
    ) -> None:
        """Reduce buffers over all ranks; each gets a part of any length."""
    def Ireduce_scatter(
        self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, recvcounts: Counts | None = None, op: Op = SUM
    ) -> Request:
        """Start to: Reduce buffers over all ranks; each gets a part of any length."""
    def Reduce_scatter_init(
        self,
        sendbuf: BufSpec | InPlace,
        recvbuf: BufSpec,
        recvcounts: Counts | None = None,
        op: Op = SUM,
        info: Info | None = INFO_NULL,
    ) -> Prequest:
        """Prepare to: Reduce buffers over all ranks; each gets a part of any length. Start the request as often as
        needed.
        """
    def send(self, obj: Any, dest: SupportsIndex, tag: SupportsIndex = 0) -> None:
        """Send an object. Return when it has left; it may be changed then."""
    def isend(self, obj: Any, dest: SupportsIndex, tag: SupportsIndex = 0) -> Request:
        """Start to: Send an object. It must not be changed until the request is done."""
    def ssend(self, obj: Any, dest: SupportsIndex, tag: SupportsIndex = 0) -> None:
        """Send an object; synchronous: its receive has begun when this ends. Return when it has left; it may be changed
        then.
        """
    def issend(self, obj: Any, dest: SupportsIndex, tag: SupportsIndex = 0) -> Request:
        """Start to: Send an object; synchronous: its receive has begun when this ends. It must not be changed until the
        request is done.
        """
    def bsend(self, obj: Any, dest: SupportsIndex, tag: SupportsIndex = 0) -> None:
        """Send an object through the attached buffer, all of it in one message. Return when it has left; it may be
        changed then.
        """
    def ibsend(self, obj: Any, dest: SupportsIndex, tag: SupportsIndex = 0) -> Request:
        """Start to: Send an object through the attached buffer, all of it in one message. It must not be changed until
        the request is done.
        """
    def recv(
        self,
        buf: Any = None,
        source: SupportsIndex = ANY_SOURCE,
        tag: SupportsIndex = ANY_TAG,
        status: Status | None = None,
    ) -> Any:
        """Receive an object of any size. An array that equals `buf` in shape and dtype is received into it, and `buf`
        returned.
        """
    def irecv(self, buf: Any = None, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG) -> Request:
        """Start to receive an object of any size; request.wait() returns it."""
    def sendrecv(
        self,
        sendobj: Any,
        dest: SupportsIndex,
        sendtag: SupportsIndex = 0,
        recvbuf: Any = None,
        source: SupportsIndex = ANY_SOURCE,
        recvtag: SupportsIndex = ANY_TAG,
        status: Status | None = None,
    ) -> Any:
        """Send an object and receive another at once."""
    def bcast(self, obj: Any, root: SupportsIndex = 0) -> Any:
        """Broadcast an object from one rank to all; return it."""
    def ibcast(self, obj: Any, root: SupportsIndex = 0) -> Request:
        """Start to: Broadcast an object from one rank to all; return it. request.wait() returns the result."""
    def gather(self, sendobj: Any, root: SupportsIndex = 0) -> list[Any] | None:
        """Gather an object from each rank at one, as a list; the others get None."""
    def igather(self, sendobj: Any, root: SupportsIndex = 0) -> Request:
        """Start to: Gather an object from each rank at one, as a list; the others get None. request.wait() returns the
        result.
        """
    def scatter(self, sendobj: Sequence[Any] | None, root: SupportsIndex = 0) -> Any:
        """Scatter the items of a sequence from one rank to all; return one's own."""
    def iscatter(self, sendobj: Sequence[Any] | None, root: SupportsIndex = 0) -> Request:
        """Start to: Scatter the items of a sequence from one rank to all; return one's own. request.wait() returns the
        result.
        """
    def allgather(self, sendobj: Any) -> list[Any]:
        """Gather an object from each rank at all, as a list."""
    def iallgather(self, sendobj: Any) -> Request:
        """Start to: Gather an object from each rank at all, as a list. request.wait() returns the result."""
    def alltoall(self, sendobj: Sequence[Any] | None) -> list[Any]:
        """Send an item of a sequence to each rank; return a list of what came from each."""
    def ialltoall(self, sendobj: Sequence[Any] | None) -> Request:
        """Start to: Send an item of a sequence to each rank; return a list of what came from each. request.wait()
        returns the result.
        """
    def barrier(self) -> None:
        """Wait until all ranks have come."""
    def ibarrier(self) -> Request:
        """Start a barrier; the request is done when all ranks have come."""
    def iallreduce(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, commute: bool = False) -> Request:
        """Start to: Combine an object of each rank, in rank order; request.wait() returns the result, or raises what
        went wrong, on all ranks.
        """
    def reduce(
        self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, root: SupportsIndex = 0, commute: bool = False
    ) -> Any:
        """Combine an object of each rank, in rank order unless op commutes; the root gets the result, the others None.
        """
    def allreduce(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, commute: bool = False) -> Any:
        """Combine an object of each rank, in rank order unless op commutes; all get the result."""
    @classmethod
    def Get_parent(cls) -> Intercomm:
        """What joins us with the processes that started us; COMM_NULL if none did."""
    @classmethod
    def Join(cls, fd: SupportsIndex) -> Intercomm:
        """Meet the process at the other end of a socket, which must call this too."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""
    @property
    def rank(self) -> int:
        """The rank of this process in the communicator."""
    @property
    def size(self) -> int:
        """The number of processes in the communicator."""
    @property
    def group(self) -> Group:
        """The group of the communicator."""
    @property
    def is_inter(self) -> bool:
        """Whether it joins two groups."""
    @property
    def is_intra(self) -> bool:
        """Whether it has one group."""
    @property
    def topology(self) -> int:
        """CART, GRAPH, DIST_GRAPH, or UNDEFINED."""
    @property
    def is_topo(self) -> bool:
        """Whether it has a topology."""
    @property
    def info(self) -> Info:
        """The hints: those in use, and, set, new ones."""
    @info.setter
    def info(self, value: Info) -> None: ...
    @property
    def name(self) -> str:
        """The name that debuggers and tools show."""
    @name.setter
    def name(self, value: str) -> None: ...
    @property
    def serializer(self) -> Any:
        """What packs objects instead of MPI.pickle: anything with dumps and loads, or None. New communicators made of
        this one inherit it.
        """
    @serializer.setter
    def serializer(self, value: Any) -> None: ...

class Intracomm(Comm):
    """A communicator of one group."""

    def Create_group(self, group: Group, tag: SupportsIndex = 0) -> Intracomm:
        """A communicator of the processes in the group, which alone must call this."""
    def Scan(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> None:
        """Reduce buffers over the ranks up to this one."""
    def Iscan(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> Request:
        """Start to: Reduce buffers over the ranks up to this one."""
    def Scan_init(
        self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM, info: Info | None = INFO_NULL
    ) -> Prequest:
        """Prepare to: Reduce buffers over the ranks up to this one. Start the request as often as needed."""
    def Exscan(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> None:
        """Reduce buffers over the ranks before this one."""
    def Iexscan(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> Request:
        """Start to: Reduce buffers over the ranks before this one."""
    def Exscan_init(
        self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM, info: Info | None = INFO_NULL
    ) -> Prequest:
        """Prepare to: Reduce buffers over the ranks before this one. Start the request as often as needed."""
    def Create_cart(self, dims: Integers, periods: bool | Integers | None = None, reorder: bool = False) -> Cartcomm:
        """A communicator whose processes form a grid."""
    def Cart_map(self, dims: Integers, periods: bool | Integers | None = None) -> int:
        """The rank that this process would have on a grid that MPI is free to place, UNDEFINED outside."""
    def Create_graph(self, index: Integers, edges: Integers, reorder: bool = False) -> Graphcomm:
        """A communicator whose processes form a graph: the neighbors of node i are edges[index[i-1]:index[i]]."""
    def Graph_map(self, index: Integers, edges: Integers) -> int:
        """The rank that this process would have in a graph that MPI is free to place, UNDEFINED outside."""
    def Create_dist_graph_adjacent(
        self,
        sources: Integers | None,
        destinations: Integers | None,
        sourceweights: Integers | None = None,
        destweights: Integers | None = None,
        info: Info | None = INFO_NULL,
        reorder: bool = False,
    ) -> Distgraphcomm:
        """A communicator in which each process names those that it receives from and those that it sends to."""
    def Create_dist_graph(
        self,
        sources: Integers | None,
        degrees: Integers | None,
        destinations: Integers | None,
        weights: Integers | None = None,
        info: Info | None = INFO_NULL,
        reorder: bool = False,
    ) -> Distgraphcomm:
        """A communicator of which each process names some edges: degrees[i] of the destinations belong to sources[i].
        """
    def scan(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, commute: bool = False) -> Any:
        """Combine the objects of the ranks up to this one, in rank order."""
    def exscan(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, commute: bool = False) -> Any:
        """Combine the objects of the ranks before this one, in rank order; None on rank 0."""
    def Create_intercomm(
        self, local_leader: SupportsIndex, peer_comm: Comm, remote_leader: SupportsIndex, tag: SupportsIndex = 0
    ) -> Intercomm:
        """Join this communicator's processes with those of another. The leaders of both are members of peer_comm, which
        only they need to know.
        """
    def Spawn(
        self,
        command: PathLike[str] | str | bytes | None,
        args: Sequence[PathLike[str] | str | bytes] | str | bytes | None = None,
        maxprocs: SupportsIndex = 1,
        info: Info | None = INFO_NULL,
        root: SupportsIndex = 0,
        errcodes: list[int] | None = None,
    ) -> Intercomm:
        """Start a program, with maxprocs processes; return the communicator that joins them with us. Arguments count at
        the root only. errcodes: a list, gets an error code for each.
        """
    def Spawn_multiple(
        self,
        command: Sequence[PathLike[str] | str | bytes] | None,
        args: Sequence[Sequence[PathLike[str] | str | bytes] | None] | None = None,
        maxprocs: Integers | SupportsIndex | None = None,
        info: Sequence[Info] | Info | None = INFO_NULL,
        root: SupportsIndex = 0,
        errcodes: list[list[int]] | None = None,
    ) -> Intercomm:
        """Start several programs as one job; return the communicator that joins their processes with us. Arguments are
        sequences and count at the root only.
        """
    def Accept(self, port_name: str | None, info: Info | None = INFO_NULL, root: SupportsIndex = 0) -> Intercomm:
        """Wait for a job that connects to a port; the port counts at the root only."""
    def Connect(self, port_name: str | None, info: Info | None = INFO_NULL, root: SupportsIndex = 0) -> Intercomm:
        """Connect to a job that accepts at a port; the port counts at the root only."""
    @classmethod
    def Create_from_group(
        cls,
        group: Group,
        stringtag: str = 'org.maroonmpi',
        info: Info | None = INFO_NULL,
        errhandler: Errhandler | None = None,
    ) -> Intracomm:
        """A communicator of a group's processes, which all call this with the same tag; no other communicator is
        needed.
        """
    def Create(self, group: Group) -> Intracomm:
        """A communicator of the processes in the group; COMM_NULL elsewhere."""
    def Split(self, color: SupportsIndex = 0, key: SupportsIndex = 0) -> Intracomm:
        """A communicator for each color, ranks ordered by key; COMM_NULL for color UNDEFINED."""
    def Split_type(self, split_type: SupportsIndex, key: SupportsIndex = 0, info: Info | None = INFO_NULL) -> Intracomm:
        """A communicator for each set of processes that share something, such as memory (COMM_TYPE_SHARED)."""

class Intercomm(Comm):
    """A communicator that joins two groups."""

    def Get_remote_group(self) -> Group:
        """The group on the other side."""
    def Get_remote_size(self) -> int:
        """The number of processes on the other side."""
    def Merge(self, high: bool = False) -> Intracomm:
        """One communicator of both groups; that which says high=True comes last."""
    @classmethod
    def Create_from_groups(
        cls,
        local_group: Group,
        local_leader: SupportsIndex,
        remote_group: Group,
        remote_leader: SupportsIndex,
        stringtag: str = 'org.maroonmpi',
        info: Info | None = INFO_NULL,
        errhandler: Errhandler | None = None,
    ) -> Intercomm:
        """Join the processes of two groups, which all call this with the same tag; no other communicator is needed."""
    @property
    def remote_group(self) -> Group:
        """The group on the other side."""
    @property
    def remote_size(self) -> int:
        """The number of processes on the other side."""

class Topocomm(Intracomm):
    """A communicator with a topology."""

    def Neighbor_allgather(self, sendbuf: BufSpec, recvbuf: BufSpecB) -> None:
        """Send one part to all neighbors, and receive an equal one from each."""
    def Ineighbor_allgather(self, sendbuf: BufSpec, recvbuf: BufSpecB) -> Request:
        """Start to: Send one part to all neighbors, and receive an equal one from each."""
    def Neighbor_allgather_init(self, sendbuf: BufSpec, recvbuf: BufSpecB, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Send one part to all neighbors, and receive an equal one from each. Start the request as often as
        needed.
        """
    def Neighbor_allgatherv(self, sendbuf: BufSpec, recvbuf: BufSpecV) -> None:
        """Send one part to all neighbors, and receive one of any length from each."""
    def Ineighbor_allgatherv(self, sendbuf: BufSpec, recvbuf: BufSpecV) -> Request:
        """Start to: Send one part to all neighbors, and receive one of any length from each."""
    def Neighbor_allgatherv_init(self, sendbuf: BufSpec, recvbuf: BufSpecV, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Send one part to all neighbors, and receive one of any length from each. Start the request as
        often as needed.
        """
    def Neighbor_alltoall(self, sendbuf: BufSpecB, recvbuf: BufSpecB) -> None:
        """Send an equal part to each neighbor, and receive one from each."""
    def Ineighbor_alltoall(self, sendbuf: BufSpecB, recvbuf: BufSpecB) -> Request:
        """Start to: Send an equal part to each neighbor, and receive one from each."""
    def Neighbor_alltoall_init(self, sendbuf: BufSpecB, recvbuf: BufSpecB, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Send an equal part to each neighbor, and receive one from each. Start the request as often as
        needed.
        """
    def Neighbor_alltoallv(self, sendbuf: BufSpecV, recvbuf: BufSpecV) -> None:
        """Send a part of any length to each neighbor, and receive one from each."""
    def Ineighbor_alltoallv(self, sendbuf: BufSpecV, recvbuf: BufSpecV) -> Request:
        """Start to: Send a part of any length to each neighbor, and receive one from each."""
    def Neighbor_alltoallv_init(self, sendbuf: BufSpecV, recvbuf: BufSpecV, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Send a part of any length to each neighbor, and receive one from each. Start the request as often
        as needed.
        """
    def Neighbor_alltoallw(self, sendbuf: BufSpecW, recvbuf: BufSpecW) -> None:
        """Send a part of any length and datatype to each neighbor, and receive one from each."""
    def Ineighbor_alltoallw(self, sendbuf: BufSpecW, recvbuf: BufSpecW) -> Request:
        """Start to: Send a part of any length and datatype to each neighbor, and receive one from each."""
    def Neighbor_alltoallw_init(self, sendbuf: BufSpecW, recvbuf: BufSpecW, info: Info | None = INFO_NULL) -> Prequest:
        """Prepare to: Send a part of any length and datatype to each neighbor, and receive one from each. Start the
        request as often as needed.
        """
    def neighbor_allgather(self, sendobj: Any) -> list[Any]:
        """Send an object to all neighbors; return a list of what came from each."""
    def ineighbor_allgather(self, sendobj: Any) -> Request:
        """Start to: Send an object to all neighbors; return a list of what came from each. request.wait() returns the
        result.
        """
    def neighbor_alltoall(self, sendobj: Sequence[Any] | None) -> list[Any]:
        """Send an item of a sequence to each neighbor; return a list of what came from each."""
    def ineighbor_alltoall(self, sendobj: Sequence[Any] | None) -> Request:
        """Start to: Send an item of a sequence to each neighbor; return a list of what came from each. request.wait()
        returns the result.
        """
    @property
    def degrees(self) -> tuple[int, int]:
        """The numbers of processes that this one receives from and sends to."""
    @property
    def indegree(self) -> int:
        """The number of processes that this one receives from."""
    @property
    def outdegree(self) -> int:
        """The number of processes that this one sends to."""
    @property
    def inoutedges(self) -> tuple[list[int], list[int]]:
        """The ranks that this process receives from, and those that it sends to."""
    @property
    def inedges(self) -> list[int]:
        """The ranks that this process receives from."""
    @property
    def outedges(self) -> list[int]:
        """The ranks that this process sends to."""

class Cartcomm(Topocomm):
    """A communicator whose processes form a grid."""

    def Get_dim(self) -> int:
        """The number of dimensions."""
    def Get_topo(self) -> tuple[list[int], list[int], list[int]]:
        """The grid's dimensions, periods and the coordinates of this process: three lists."""
    def Get_cart_rank(self, coords: Integers) -> int:
        """The rank of the process at these coordinates."""
    def Get_coords(self, rank: SupportsIndex) -> list[int]:
        """The coordinates of a rank."""
    def Shift(self, direction: SupportsIndex, disp: SupportsIndex) -> tuple[int, int]:
        """The ranks to receive from and to send to, for a shift along a dimension; PROC_NULL beyond the edge."""
    def Sub(self, remain_dims: Integers) -> Cartcomm:
        """A communicator for each slice of the grid in the dimensions that remain."""
    @property
    def dim(self) -> int:
        """The number of dimensions."""
    @property
    def ndim(self) -> int:
        """The number of dimensions."""
    @property
    def topo(self) -> tuple[list[int], list[int], list[int]]:
        """Dimensions, periods and own coordinates."""
    @property
    def dims(self) -> list[int]:
        """The grid's dimensions."""
    @property
    def periods(self) -> list[int]:
        """Which dimensions wrap around."""
    @property
    def coords(self) -> list[int]:
        """The coordinates of this process."""

class Graphcomm(Topocomm):
    """A communicator whose processes form a graph that all know."""

    def Get_dims(self) -> tuple[int, int]:
        """The numbers of nodes and of edges."""
    def Get_topo(self) -> tuple[list[int], list[int]]:
        """The index and the edges of the graph: two lists."""
    def Get_neighbors_count(self, rank: SupportsIndex) -> int:
        """The number of neighbors of a rank."""
    def Get_neighbors(self, rank: SupportsIndex) -> list[int]:
        """The neighbors of a rank."""
    @property
    def dims(self) -> tuple[int, int]:
        """The numbers of nodes and of edges."""
    @property
    def topo(self) -> tuple[list[int], list[int]]:
        """The index and the edges of the graph."""
    @property
    def nnodes(self) -> int:
        """The number of nodes."""
    @property
    def nedges(self) -> int:
        """The number of edges."""
    @property
    def index(self) -> list[int]:
        """Where the edges of each node end in the list of edges."""
    @property
    def edges(self) -> list[int]:
        """The edges of all nodes."""
    @property
    def nneighbors(self) -> int:
        """The number of neighbors of this process."""
    @property
    def neighbors(self) -> list[int]:
        """The neighbors of this process."""

class Distgraphcomm(Topocomm):
    """A communicator whose processes form a graph of which each knows its part."""

    def Get_dist_neighbors_count(self) -> tuple[int, int, bool]:
        """The numbers of processes that this one receives from and sends to, and whether there are weights."""
    def Get_dist_neighbors(self) -> tuple[list[int], list[int], tuple[list[int], list[int]] | None]:
        """The processes that this one receives from, those that it sends to, and the weights of both, or None."""

@disjoint_base
class Session:
    """MPI for a part of the program."""

    def __new__(cls, other: Session | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    @classmethod
    def Create_errhandler(cls, errhandler_fn: Callable[[Self, int], object]) -> Errhandler:
        """An error handler that calls errhandler_fn(object, errorcode)."""
    def Get_errhandler(self) -> Errhandler:
        """What happens when a call on it fails."""
    def Set_errhandler(self, errhandler: Errhandler) -> None:
        """Say what happens when a call on it fails."""
    def Call_errhandler(self, errorcode: SupportsIndex) -> None:
        """Do what happens when a call fails with this code."""
    @classmethod
    def Init(cls, info: Info | None = INFO_NULL, errhandler: Errhandler | None = None) -> Self:
        """Open a session: MPI for this part of the program, whether or not it was initialized."""
    def Finalize(self) -> None:
        """Close the session; what was made of it must have been freed."""
    def Get_num_psets(self, info: Info | None = INFO_NULL) -> int:
        """The number of process sets."""
    def Get_nth_pset(self, n: SupportsIndex, info: Info | None = INFO_NULL) -> str:
        """The name of a process set."""
    def Get_info(self) -> Info:
        """The hints that MPI uses."""
    def Get_pset_info(self, pset_name: str) -> Info:
        """What is known of a process set: mpi_size, and what the library adds."""
    def Create_group(self, pset_name: str) -> Group:
        """The group of a process set."""
    def Attach_buffer(self, buf: Buffer | BufferAutomaticType | None) -> None:
        """Give MPI a buffer for buffered sends here; it belongs to MPI until Detach_buffer. BUFFER_AUTOMATIC or None:
        MPI takes memory as it needs it.
        """
    def Detach_buffer(self) -> Buffer | BufferAutomaticType | None:
        """Wait until all buffered messages from here are sent; return the buffer, None if there is none."""
    def Flush_buffer(self) -> None:
        """Wait until all buffered messages from here are sent."""
    def Iflush_buffer(self) -> Request:
        """The request is done when all buffered messages from here are sent."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""

@disjoint_base
class Win:
    """Memory of each process that the others can reach into."""

    def __new__(cls, other: Win | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    @classmethod
    def Create(
        cls,
        memory: Buffer | BottomType | None,
        disp_unit: SupportsIndex = 1,
        info: Info | None = INFO_NULL,
        comm: Comm = COMM_SELF,
    ) -> Self:
        """A window on memory of each process, or none (BOTTOM); displacements count disp_unit bytes (MPI 5.0, section
        12.2.1).
        """
    @classmethod
    def Allocate(
        cls, size: SupportsIndex, disp_unit: SupportsIndex = 1, info: Info | None = INFO_NULL, comm: Comm = COMM_SELF
    ) -> Self:
        """A window on `size` new bytes in each process; displacements count disp_unit bytes (MPI 5.0, section 12.2.2).
        """
    @classmethod
    def Allocate_shared(
        cls, size: SupportsIndex, disp_unit: SupportsIndex = 1, info: Info | None = INFO_NULL, comm: Comm = COMM_SELF
    ) -> Self:
        """A window on `size` new bytes in each process, which all processes can address (see Shared_query); they must
        share memory (MPI 5.0, section 12.2.3).
        """
    def Shared_query(self, rank: SupportsIndex) -> tuple[buffer, int]:
        """The memory of a process in a window of shared memory, as this process sees it, and its disp_unit; PROC_NULL:
        of the first that has any.
        """
    @classmethod
    def Create_dynamic(cls, info: Info | None = INFO_NULL, comm: Comm = COMM_SELF) -> Self:
        """A window without memory: Attach adds some; displacements are addresses then (MPI 5.0, section 12.2.4)."""
    def Attach(self, memory: Buffer) -> None:
        """Add memory of this process to a dynamic window; it stays until Detach."""
    def Detach(self, memory: Buffer) -> None:
        """Take memory of this process out of a dynamic window."""
    def Free(self) -> None:
        """Free the window, when nothing is under way on it; all its processes must call this. Memory that it allocated
        is gone then: do not touch views of it.
        """
    def Set_info(self, info: Info | None) -> None:
        """Give the window new hints; all processes must call this."""
    def Get_info(self) -> Info:
        """The hints that the window goes by."""
    def Get_group(self) -> Group:
        """The group of the processes that have the window."""
    @classmethod
    def Create_keyval(
        cls,
        copy_fn: Callable[[Self, int, Any], Any] | bool | None = None,
        delete_fn: Callable[[Self, int, Any], object] | None = None,
        nopython: bool = False,
    ) -> int:
        """A key for attributes. copy_fn(object, keyval, value) returns the value for a duplicate, NotImplemented for
        none; True copies it. delete_fn(object, keyval, value) is called at the end. With nopython, values are
        addresses.
        """
    @classmethod
    def Free_keyval(cls, keyval: SupportsIndex) -> int:
        """Free a key; attributes that have it stay. Returns KEYVAL_INVALID."""
    def Get_attr(self, keyval: SupportsIndex) -> Any:
        """The attribute of a key, or None."""
    def Set_attr(self, keyval: SupportsIndex, attrval: Any) -> None:
        """Set the attribute of a key."""
    def Delete_attr(self, keyval: SupportsIndex) -> None:
        """Delete the attribute of a key."""
    def tomemory(self) -> buffer:
        """The memory of the window in this process."""
    def Put(self, origin: BufSpec | None, target_rank: SupportsIndex, target: TargetSpec | None = None) -> None:
        """Write a buffer into the window of a process, at target: a displacement, or (displacement, count, datatype).
        It is done, and its buffers may be reused, when the window was synchronized.
        """
    def Rput(self, origin: BufSpec | None, target_rank: SupportsIndex, target: TargetSpec | None = None) -> Request:
        """Write a buffer into the window of a process, at target: a displacement, or (displacement, count, datatype).
        Its buffers may be reused when the request is done.
        """
    def Get(self, origin: BufSpec | None, target_rank: SupportsIndex, target: TargetSpec | None = None) -> None:
        """Read a buffer from the window of a process, at target: a displacement, or (displacement, count, datatype). It
        is done, and its buffers may be reused, when the window was synchronized.
        """
    def Rget(self, origin: BufSpec | None, target_rank: SupportsIndex, target: TargetSpec | None = None) -> Request:
        """Read a buffer from the window of a process, at target: a displacement, or (displacement, count, datatype).
        Its buffers may be reused when the request is done.
        """
    def Accumulate(
        self, origin: BufSpec | None, target_rank: SupportsIndex, target: TargetSpec | None = None, op: Op = SUM
    ) -> None:
        """Combine a buffer with the window of a process, item by item, each atomically. It is done, and its buffers may
        be reused, when the window was synchronized.
        """
    def Raccumulate(
        self, origin: BufSpec | None, target_rank: SupportsIndex, target: TargetSpec | None = None, op: Op = SUM
    ) -> Request:
        """Combine a buffer with the window of a process, item by item, each atomically. Its buffers may be reused when
        the request is done.
        """
    def Get_accumulate(
        self,
        origin: BufSpec | None,
        result: BufSpec | None,
        target_rank: SupportsIndex,
        target: TargetSpec | None = None,
        op: Op = SUM,
    ) -> None:
        """Combine a buffer with the window of a process, and read what was there before. It is done, and its buffers
        may be reused, when the window was synchronized.
        """
    def Rget_accumulate(
        self,
        origin: BufSpec | None,
        result: BufSpec | None,
        target_rank: SupportsIndex,
        target: TargetSpec | None = None,
        op: Op = SUM,
    ) -> Request:
        """Combine a buffer with the window of a process, and read what was there before. Its buffers may be reused when
        the request is done.
        """
    def Fetch_and_op(
        self,
        origin: BufSpec | None,
        result: BufSpec | None,
        target_rank: SupportsIndex,
        target_disp: SupportsIndex = 0,
        op: Op = SUM,
    ) -> None:
        """Combine one item with the window of a process, atomically, and read what was there before."""
    def Compare_and_swap(
        self,
        origin: BufSpec | None,
        compare: BufSpec | None,
        result: BufSpec | None,
        target_rank: SupportsIndex,
        target_disp: SupportsIndex = 0,
    ) -> None:
        """Write one item into the window of a process if `compare` is there, atomically, and read what was there
        before.
        """
    def Fence(self, assertion: SupportsIndex = 0) -> None:
        """End what is under way on the window, everywhere, and begin anew: all processes must call this (MPI 5.0,
        section 12.5.1).
        """
    def Start(self, group: Group, assertion: SupportsIndex = 0) -> None:
        """Begin to access the windows of a group, which calls Post; Complete ends it (MPI 5.0, section 12.5.2)."""
    def Complete(self) -> None:
        """End the accesses that Start began."""
    def Post(self, group: Group, assertion: SupportsIndex = 0) -> None:
        """Let a group, which calls Start, access the window; Wait or Test ends it."""
    def Wait(self) -> Literal[True]:
        """Wait until the group of Post has called Complete."""
    def Test(self) -> bool:
        """Say whether the group of Post has called Complete."""
    def Lock(
        self, rank: SupportsIndex, lock_type: SupportsIndex = LOCK_EXCLUSIVE, assertion: SupportsIndex = 0
    ) -> None:
        """Begin to access the window of one process, which need not do anything for that; Unlock ends it (MPI 5.0,
        section 12.5.3).
        """
    def Unlock(self, rank: SupportsIndex) -> None:
        """End the accesses that Lock began: they are done, here and there."""
    def Lock_all(self, assertion: SupportsIndex = 0) -> None:
        """Begin to access the windows of all processes, with shared locks; Unlock_all ends it."""
    def Unlock_all(self) -> None:
        """End the accesses that Lock_all began: they are done, here and there."""
    def Flush(self, rank: SupportsIndex) -> None:
        """Wait until what was started with a process is done, here and there."""
    def Flush_all(self) -> None:
        """Wait until what was started is done, here and there."""
    def Flush_local(self, rank: SupportsIndex) -> None:
        """Wait until the buffers of what was started with a process may be reused."""
    def Flush_local_all(self) -> None:
        """Wait until the buffers of what was started may be reused."""
    def Sync(self) -> None:
        """Make what was stored in the window's memory, here or from elsewhere, the same for all."""
    @classmethod
    def Create_errhandler(cls, errhandler_fn: Callable[[Self, int], object]) -> Errhandler:
        """An error handler that calls errhandler_fn(object, errorcode)."""
    def Get_errhandler(self) -> Errhandler:
        """What happens when a call on it fails."""
    def Set_errhandler(self, errhandler: Errhandler) -> None:
        """Say what happens when a call on it fails."""
    def Call_errhandler(self, errorcode: SupportsIndex) -> None:
        """Do what happens when a call fails with this code."""
    def Get_name(self) -> str:
        """The name that debuggers and tools show."""
    def Set_name(self, name: str) -> None:
        """Give it a name, for debuggers and tools."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""
    @property
    def info(self) -> Info:
        """The hints that the window goes by."""
    @info.setter
    def info(self, value: Info) -> None: ...
    @property
    def group(self) -> Group:
        """The group of the processes that have the window."""
    @property
    def group_size(self) -> int:
        """The number of processes that have the window."""
    @property
    def group_rank(self) -> int:
        """The rank of this process among them."""
    @property
    def attrs(self) -> tuple[int, int, int]:
        """Address, bytes and displacement unit of the memory in this process."""
    @property
    def flavor(self) -> int:
        """How it was made: WIN_FLAVOR_CREATE, _ALLOCATE, _DYNAMIC or _SHARED."""
    @property
    def model(self) -> int:
        """WIN_UNIFIED, or WIN_SEPARATE where Sync is needed to see what came."""
    @property
    def name(self) -> str:
        """The name that debuggers and tools show."""
    @name.setter
    def name(self, value: str) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@disjoint_base
class File:
    """A file that several processes have open together."""

    def __new__(cls, other: File | None = None, /) -> Self: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
    @classmethod
    def fromint(cls, arg: SupportsIndex) -> Self:
        """Make an object from the integer that MPI knows it by."""
    def toint(self) -> int:
        """Return the integer that MPI knows it by."""
    @classmethod
    def f2py(cls, arg: SupportsIndex) -> Self:
        """Make an object from a Fortran handle, an INTEGER."""
    def py2f(self) -> int:
        """Return the Fortran handle, an INTEGER."""
    def free(self) -> None:
        """Free it, if it is neither null nor predefined."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    @classmethod
    def Open(
        cls, comm: Comm, filename: PathSpec, amode: SupportsIndex = MODE_RDONLY, info: Info | None = INFO_NULL
    ) -> Self:
        """Open a file in all processes of a communicator; amode adds up MODE_ constants (MPI 5.0, section 14.2.1)."""
    def Close(self) -> None:
        """Close the file, when nothing is under way on it; all its processes must call this."""
    @classmethod
    def Delete(cls, filename: PathSpec, info: Info | None = INFO_NULL) -> None:
        """Delete a file."""
    def Set_size(self, size: SupportsIndex) -> None:
        """Cut the file off, or make it longer, to `size` bytes; all processes call this."""
    def Preallocate(self, size: SupportsIndex) -> None:
        """Make sure that there is room on the disk for `size` bytes; all processes call this."""
    def Get_size(self) -> int:
        """The size of the file in bytes."""
    def Get_amode(self) -> int:
        """How it was opened: a sum of MODE_ constants."""
    def Get_group(self) -> Group:
        """The group of the processes that opened the file."""
    def Set_info(self, info: Info | None) -> None:
        """Give the file new hints; all processes call this."""
    def Get_info(self) -> Info:
        """The hints that the file goes by."""
    def Set_view(
        self,
        disp: SupportsIndex = 0,
        etype: TypeSpec = BYTE,
        filetype: TypeSpec | None = None,
        datarep: str = "native",
        info: Info | None = INFO_NULL,
    ) -> None:
        """What this process sees of the file: from `disp` bytes on, in units of etype, the places that filetype (etype)
        has; all processes call this (MPI 5.0, section 14.3).
        """
    def Get_view(self) -> tuple[int, Datatype, Datatype, str]:
        """What this process sees of the file: disp, etype, filetype, datarep."""
    def Read_at(self, offset: SupportsIndex, buf: BufSpec, status: Status | None = None) -> None:
        """Read a buffer at an offset, in etypes of the view."""
    def Write_at(self, offset: SupportsIndex, buf: BufSpec, status: Status | None = None) -> None:
        """Write a buffer at an offset, in etypes of the view."""
    def Iread_at(self, offset: SupportsIndex, buf: BufSpec) -> Request:
        """Start to: Read a buffer at an offset, in etypes of the view."""
    def Iwrite_at(self, offset: SupportsIndex, buf: BufSpec) -> Request:
        """Start to: Write a buffer at an offset, in etypes of the view."""
    def Read_at_all(self, offset: SupportsIndex, buf: BufSpec, status: Status | None = None) -> None:
        """Read a buffer at an offset, in etypes of the view; all processes call this."""
    def Write_at_all(self, offset: SupportsIndex, buf: BufSpec, status: Status | None = None) -> None:
        """Write a buffer at an offset, in etypes of the view; all processes call this."""
    def Iread_at_all(self, offset: SupportsIndex, buf: BufSpec) -> Request:
        """Start to: Read a buffer at an offset, in etypes of the view; all processes call this."""
    def Iwrite_at_all(self, offset: SupportsIndex, buf: BufSpec) -> Request:
        """Start to: Write a buffer at an offset, in etypes of the view; all processes call this."""
    def Read(self, buf: BufSpec, status: Status | None = None) -> None:
        """Read a buffer at this process's position, which moves on."""
    def Write(self, buf: BufSpec, status: Status | None = None) -> None:
        """Write a buffer at this process's position, which moves on."""
    def Iread(self, buf: BufSpec) -> Request:
        """Start to: Read a buffer at this process's position, which moves on."""
    def Iwrite(self, buf: BufSpec) -> Request:
        """Start to: Write a buffer at this process's position, which moves on."""
    def Read_all(self, buf: BufSpec, status: Status | None = None) -> None:
        """Read a buffer at this process's position, which moves on; all processes call this."""
    def Write_all(self, buf: BufSpec, status: Status | None = None) -> None:
        """Write a buffer at this process's position, which moves on; all processes call this."""
    def Iread_all(self, buf: BufSpec) -> Request:
        """Start to: Read a buffer at this process's position, which moves on; all processes call this."""
    def Iwrite_all(self, buf: BufSpec) -> Request:
        """Start to: Write a buffer at this process's position, which moves on; all processes call this."""
    def Read_shared(self, buf: BufSpec, status: Status | None = None) -> None:
        """Read a buffer at the shared position, which moves on; in no order."""
    def Write_shared(self, buf: BufSpec, status: Status | None = None) -> None:
        """Write a buffer at the shared position, which moves on; in no order."""
    def Iread_shared(self, buf: BufSpec) -> Request:
        """Start to: Read a buffer at the shared position, which moves on; in no order."""
    def Iwrite_shared(self, buf: BufSpec) -> Request:
        """Start to: Write a buffer at the shared position, which moves on; in no order."""
    def Read_ordered(self, buf: BufSpec, status: Status | None = None) -> None:
        """Read a buffer at the shared position, which moves on, in the order of ranks; all processes call this."""
    def Write_ordered(self, buf: BufSpec, status: Status | None = None) -> None:
        """Write a buffer at the shared position, which moves on, in the order of ranks; all processes call this."""
    def Read_at_all_begin(self, offset: SupportsIndex, buf: BufSpec) -> None:
        """Begin to: Read a buffer at an offset, in etypes of the view; all processes call this. The buffer may be used
        again after the end.
        """
    def Write_at_all_begin(self, offset: SupportsIndex, buf: BufSpec) -> None:
        """Begin to: Write a buffer at an offset, in etypes of the view; all processes call this. The buffer may be used
        again after the end.
        """
    def Read_at_all_end(self, buf: BufSpec, status: Status | None = None) -> None:
        """End what Read_at_all_begin began, with the same buffer."""
    def Write_at_all_end(self, buf: BufSpec, status: Status | None = None) -> None:
        """End what Write_at_all_begin began, with the same buffer."""
    def Read_all_begin(self, buf: BufSpec) -> None:
        """Begin to: Read a buffer at this process's position, which moves on; all processes call this. The buffer may
        be used again after the end.
        """
    def Write_all_begin(self, buf: BufSpec) -> None:
        """Begin to: Write a buffer at this process's position, which moves on; all processes call this. The buffer may
        be used again after the end.
        """
    def Read_all_end(self, buf: BufSpec, status: Status | None = None) -> None:
        """End what Read_all_begin began, with the same buffer."""
    def Write_all_end(self, buf: BufSpec, status: Status | None = None) -> None:
        """End what Write_all_begin began, with the same buffer."""
    def Read_ordered_begin(self, buf: BufSpec) -> None:
        """Begin to: Read a buffer at the shared position, which moves on, in the order of ranks; all processes call
        this. The buffer may be used again after the end.
        """
    def Write_ordered_begin(self, buf: BufSpec) -> None:
        """Begin to: Write a buffer at the shared position, which moves on, in the order of ranks; all processes call
        this. The buffer may be used again after the end.
        """
    def Read_ordered_end(self, buf: BufSpec, status: Status | None = None) -> None:
        """End what Read_ordered_begin began, with the same buffer."""
    def Write_ordered_end(self, buf: BufSpec, status: Status | None = None) -> None:
        """End what Write_ordered_begin began, with the same buffer."""
    def Seek(self, offset: SupportsIndex, whence: SupportsIndex = SEEK_SET) -> None:
        """Move this process's position, in etypes of the view, from SEEK_SET, SEEK_CUR or SEEK_END."""
    def Get_position(self) -> int:
        """This process's position, in etypes of the view."""
    def Get_byte_offset(self, offset: SupportsIndex) -> int:
        """The bytes from the file's begin to an offset in etypes of the view."""
    def Seek_shared(self, offset: SupportsIndex, whence: SupportsIndex = SEEK_SET) -> None:
        """Move the shared position, in etypes of the view, from SEEK_SET, SEEK_CUR or SEEK_END; all processes call
        this.
        """
    def Get_position_shared(self) -> int:
        """The shared position, in etypes of the view."""
    def Get_type_extent(self, datatype: TypeSpec) -> int:
        """The extent of a datatype in the file, in bytes."""
    def Set_atomicity(self, flag: bool) -> None:
        """Say whether what processes write at once must never mix; all processes call this."""
    def Get_atomicity(self) -> bool:
        """Whether what processes write at once never mixes."""
    def Sync(self) -> None:
        """Bring what was written to the disk, and see what others have written; all processes call this."""
    @classmethod
    def Create_errhandler(cls, errhandler_fn: Callable[[Self, int], object]) -> Errhandler:
        """An error handler that calls errhandler_fn(object, errorcode)."""
    def Get_errhandler(self) -> Errhandler:
        """What happens when a call on it fails."""
    def Set_errhandler(self, errhandler: Errhandler) -> None:
        """Say what happens when a call on it fails."""
    def Call_errhandler(self, errorcode: SupportsIndex) -> None:
        """Do what happens when a call fails with this code."""
    @property
    def handle(self) -> int:
        """The MPI handle, as an int."""
    @property
    def size(self) -> int:
        """The size of the file in bytes."""
    @property
    def amode(self) -> int:
        """How it was opened: a sum of MODE_ constants."""
    @property
    def group(self) -> Group:
        """The group of the processes that opened the file."""
    @property
    def group_size(self) -> int:
        """The number of processes that opened the file."""
    @property
    def group_rank(self) -> int:
        """The rank of this process among them."""
    @property
    def info(self) -> Info:
        """The hints that the file goes by."""
    @info.setter
    def info(self, value: Info) -> None: ...
    @property
    def atomicity(self) -> bool:
        """Whether what processes write at once never mixes."""
    @atomicity.setter
    def atomicity(self, value: bool) -> None: ...

@final
class buffer:
    """Memory in one piece, byte by byte. buffer(object) shows the memory of an object; Alloc_mem and windows have
    theirs.
    """

    def __new__(cls, obj: Buffer = ..., /) -> Self: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> buffer: ...
    @overload
    def __setitem__(self, key: SupportsIndex, value: SupportsIndex, /) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: Buffer | SupportsIndex, /) -> None: ...
    def __delitem__(self, key: SupportsIndex | slice, /) -> NoReturn: ...
    @classmethod
    def allocate(cls, nbytes: SupportsIndex, clear: bool = False) -> buffer:
        """New memory of so many bytes, which are zero if asked for."""
    @classmethod
    def frombuffer(cls, obj: Buffer, readonly: bool = False) -> buffer:
        """The memory of another object, which must be in one piece, and writable unless readonly."""
    @classmethod
    def fromaddress(cls, address: SupportsIndex, nbytes: SupportsIndex, readonly: bool = False) -> buffer:
        """The memory at an address, whoever answers for it."""
    def cast(self, format: str, shape: Sequence[int] | None = None) -> memoryview:
        """A memoryview of the same memory, of another format or shape."""
    def tobytes(self, order: str | None = None) -> bytes:
        """A copy of the bytes; of the order nothing depends, since there is one dimension."""
    def toreadonly(self) -> buffer:
        """The same memory, read-only."""
    def release(self) -> None:
        """Let go of the memory: the buffer is empty from now on."""
    @property
    def address(self) -> int:
        """Where it begins."""
    @property
    def obj(self) -> Any:
        """The object whose memory it is, or None."""
    @property
    def nbytes(self) -> int:
        """Its bytes."""
    @property
    def readonly(self) -> bool:
        """Whether it cannot be written to."""
    @property
    def format(self) -> str:
        """The format of its items."""
    @property
    def itemsize(self) -> int:
        """The bytes of an item."""
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class BottomType:
    """The type of BOTTOM: the start of memory, for datatypes made of addresses."""

    def __new__(cls) -> Self: ...
    def __bool__(self) -> bool: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class InPlaceType:
    """The type of IN_PLACE: the other buffer is both input and output."""

    def __new__(cls) -> Self: ...
    def __bool__(self) -> bool: ...
    def __int__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class BufferAutomaticType:
    """The type of BUFFER_AUTOMATIC: MPI takes memory for buffered sends as it needs it."""

    def __new__(cls) -> Self: ...
    def __bool__(self) -> bool: ...
    def __int__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

memory = buffer

def get_vendor() -> tuple[str, tuple[int, int, int]]:
    """The name and the version of the MPI library: ("MPICH", (5, 0, 2))."""

def Init() -> None:
    """Initialize MPI, for programs of one thread (MPI 5.0, section 11.2)."""

def Init_thread(required: SupportsIndex = THREAD_MULTIPLE) -> int:
    """Initialize MPI with a thread level; return the one provided (MPI 5.0, section 11.6)."""

def Finalize() -> None:
    """End MPI in this process; all processes must call this."""

def Is_initialized() -> bool:
    """Whether MPI was initialized, by anybody."""

def Is_finalized() -> bool:
    """Whether MPI was finalized."""

def Query_thread() -> int:
    """The thread level that MPI provides."""

def Is_thread_main() -> bool:
    """Whether this thread initialized MPI."""

def Get_version() -> tuple[int, int]:
    """The version of the MPI standard that the library implements: (version, subversion)."""

def Get_library_version() -> str:
    """What the library says of itself."""

def Get_processor_name() -> str:
    """The name of the host."""

def Wtime() -> float:
    """Seconds since some time in the past."""

def Wtick() -> float:
    """Seconds between two ticks of Wtime."""

def Get_error_class(errorcode: SupportsIndex) -> int:
    """The class of an error code."""

def Get_error_string(errorcode: SupportsIndex) -> str:
    """The text of an error code."""

def Alloc_mem(size: SupportsIndex, info: Info | None = INFO_NULL) -> buffer:
    """A buffer of `size` bytes that MPI may reach faster; give it back by Free_mem."""

def Free_mem(mem: buffer) -> None:
    """Give back memory of Alloc_mem; its buffer is empty from then on."""

def Get_address(location: Buffer | int | None) -> int:
    """The address of a buffer, or of a place such as BOTTOM; 0 for None."""

def Aint_add(base: SupportsIndex, disp: SupportsIndex) -> int:
    """The address at a displacement from another."""

def Aint_diff(addr1: SupportsIndex, addr2: SupportsIndex) -> int:
    """The displacement of the first address from the second."""

def Get_abi_version() -> tuple[int, int]:
    """The version of the standard ABI that the library implements; (-1, -1) if it has another."""

def Get_abi_info() -> Info:
    """What the library says of its ABI: the sizes of its integers."""

def Get_abi_fortran_info() -> Info:
    """What the library says of Fortran: sizes, and which types there are."""

def Get_hw_resource_info() -> Info:
    """The hardware resources that the library knows, and whether this process is restricted to them."""

def Pcontrol(level: SupportsIndex) -> None:
    """A message to a profiling tool: 0 off, 1 on, 2 flush; other levels have the meaning that it gives them."""

def Add_error_class() -> int:
    """A new error class."""

def Add_error_code(errorclass: SupportsIndex) -> int:
    """A new error code of a class."""

def Add_error_string(errorcode: SupportsIndex, string: str) -> None:
    """The text of an error code or class of one's own."""

def Remove_error_class(errorclass: SupportsIndex) -> None:
    """Remove an error class of one's own, which has no codes."""

def Remove_error_code(errorcode: SupportsIndex) -> None:
    """Remove an error code of one's own."""

def Remove_error_string(errorcode: SupportsIndex) -> None:
    """Remove the text of an error code or class of one's own."""

def Attach_buffer(buf: Buffer | BufferAutomaticType | None) -> None:
    """Give MPI a buffer for Bsend; it belongs to MPI until Detach_buffer. BUFFER_AUTOMATIC or None: MPI takes memory as
    it needs it.
    """

def Detach_buffer() -> Buffer | BufferAutomaticType | None:
    """Wait until all buffered messages are sent; return the buffer, None if there is none."""

def Flush_buffer() -> None:
    """Wait until all buffered messages are sent."""

def Iflush_buffer() -> Request:
    """The request is done when all buffered messages are sent."""

def Compute_dims(nnodes: SupportsIndex, dims: SupportsIndex | Integers) -> list[int]:
    """Share out nnodes over a grid: dims is its dimension, or a list in which zeros are filled in."""

def Open_port(info: Info | None = INFO_NULL) -> str:
    """A name at which other jobs can connect to this process."""

def Close_port(port_name: str) -> None:
    """Let nobody connect at this name any more."""

def Publish_name(service_name: str, port_name: str, info: Info | None = INFO_NULL) -> None:
    """Publish the name of a port under that of a service."""

def Unpublish_name(service_name: str, port_name: str, info: Info | None = INFO_NULL) -> None:
    """Take back a published name."""

def Lookup_name(service_name: str, info: Info | None = INFO_NULL) -> str:
    """The name of the port that was published for a service."""

def Register_datarep(
    datarep: str,
    read_fn: Callable[[buffer, Datatype, int, buffer, int], object] | None,
    write_fn: Callable[[buffer, Datatype, int, buffer, int], object] | None,
    extent_fn: Callable[[Datatype], int],
) -> None:
    """Define a representation of data in files, by functions: read_fn and write_fn(userbuf, datatype, count, filebuf,
    position) convert, or are None where nothing is to be done, extent_fn(datatype) says how many bytes an item takes
    (MPI 5.0, section 14.5.3).
    """
