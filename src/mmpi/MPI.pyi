# SPDX-License-Identifier: BSD-3-Clause
# Made by tools/stubs.py. Change the signatures in src/core, or the tables there, and run it.
"""MPI under the names that mpi4py made known. Importing this module initializes MPI, unless `mmpi.rc.initialize` is False."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final, Literal, NoReturn, Self, SupportsIndex

from typing_extensions import disjoint_base

from .errors import MPIError
from .pickling import Pickle as Pickle
from .pickling import pickle as pickle
from .places import BottomType as BottomType
from .places import InPlaceType as InPlaceType
from .typing import Buffer, BufSpec, BufSpecB, BufSpecV, BufSpecW, Counts, InPlace, Integers, TypeSpec

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
    def Create_resized(self, lb: SupportsIndex, extent: SupportsIndex) -> Self:
        """The same data with another lower bound and extent."""
    def Commit(self) -> Self:
        """Make it ready for communication; returns itself."""
    def Free(self) -> None:
        """Free the datatype; what is under way with it goes on."""
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
    def is_predefined(self) -> bool:
        """Whether MPI or Fortran 90 parameters define it."""

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
    def Create(cls, function: Callable[[memoryview, memoryview, Datatype], object], commute: bool = False) -> Self:
        """An operation from function(inbuf, inoutbuf, datatype), which changes inoutbuf in place."""
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
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
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
    def __bool__(self) -> bool: ...
    @classmethod
    def fromhandle(cls, handle: int) -> Self:
        """Make an object from the MPI handle, an int."""
    def tohandle(self) -> int:
        """Return the MPI handle as an int."""
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
    def Get_errhandler(self) -> Errhandler:
        """What happens when a call on it fails."""
    def Set_errhandler(self, errhandler: Errhandler) -> None:
        """Say what happens when a call on it fails."""
    def Abort(self, errorcode: SupportsIndex = 0) -> NoReturn:
        """End all processes of the communicator's job."""
    def Dup(self, info: Info | None = None) -> Self:
        """Duplicate the communicator, with its topology and attributes."""
    def Clone(self) -> Self:
        """Duplicate the communicator."""
    def Create(self, group: Group) -> Comm:
        """A communicator of the processes in the group; COMM_NULL elsewhere."""
    def Split(self, color: SupportsIndex = 0, key: SupportsIndex = 0) -> Comm:
        """A communicator for each color, ranks ordered by key; COMM_NULL for color UNDEFINED."""
    def Split_type(self, split_type: SupportsIndex, key: SupportsIndex = 0, info: Info | None = INFO_NULL) -> Comm:
        """A communicator for each set of processes that share something, such as memory (COMM_TYPE_SHARED)."""
    def Free(self) -> None:
        """Free the communicator; all its processes must call this."""
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
    def Bcast(self, buf: BufSpec, root: SupportsIndex = 0) -> None:
        """Broadcast a buffer from one rank to all."""
    def Ibcast(self, buf: BufSpec, root: SupportsIndex = 0) -> Request:
        """Start to: Broadcast a buffer from one rank to all."""
    def Gather(self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpecB | None, root: SupportsIndex = 0) -> None:
        """Gather equal parts from all ranks at one."""
    def Igather(self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpecB | None, root: SupportsIndex = 0) -> Request:
        """Start to: Gather equal parts from all ranks at one."""
    def Gatherv(self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpecV | None, root: SupportsIndex = 0) -> None:
        """Gather parts of any length from all ranks at one."""
    def Igatherv(self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpecV | None, root: SupportsIndex = 0) -> Request:
        """Start to: Gather parts of any length from all ranks at one."""
    def Scatter(self, sendbuf: BufSpecB | None, recvbuf: BufSpec | InPlace | None, root: SupportsIndex = 0) -> None:
        """Scatter equal parts from one rank to all."""
    def Iscatter(self, sendbuf: BufSpecB | None, recvbuf: BufSpec | InPlace | None, root: SupportsIndex = 0) -> Request:
        """Start to: Scatter equal parts from one rank to all."""
    def Scatterv(self, sendbuf: BufSpecV | None, recvbuf: BufSpec | InPlace | None, root: SupportsIndex = 0) -> None:
        """Scatter parts of any length from one rank to all."""
    def Iscatterv(
        self, sendbuf: BufSpecV | None, recvbuf: BufSpec | InPlace | None, root: SupportsIndex = 0
    ) -> Request:
        """Start to: Scatter parts of any length from one rank to all."""
    def Allgather(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecB) -> None:
        """Gather equal parts from all ranks at all."""
    def Iallgather(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecB) -> Request:
        """Start to: Gather equal parts from all ranks at all."""
    def Allgatherv(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecV) -> None:
        """Gather parts of any length from all ranks at all."""
    def Iallgatherv(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpecV) -> Request:
        """Start to: Gather parts of any length from all ranks at all."""
    def Alltoall(self, sendbuf: BufSpecB | InPlace, recvbuf: BufSpecB) -> None:
        """Send an equal part to each rank, and receive one from each."""
    def Ialltoall(self, sendbuf: BufSpecB | InPlace, recvbuf: BufSpecB) -> Request:
        """Start to: Send an equal part to each rank, and receive one from each."""
    def Alltoallv(self, sendbuf: BufSpecV | InPlace, recvbuf: BufSpecV) -> None:
        """Send a part of any length to each rank, and receive one from each."""
    def Ialltoallv(self, sendbuf: BufSpecV | InPlace, recvbuf: BufSpecV) -> Request:
        """Start to: Send a part of any length to each rank, and receive one from each."""
    def Alltoallw(self, sendbuf: BufSpecW | InPlace, recvbuf: BufSpecW) -> None:
        """Send a part of any length and datatype to each rank, and receive one from each."""
    def Ialltoallw(self, sendbuf: BufSpecW | InPlace, recvbuf: BufSpecW) -> Request:
        """Start to: Send a part of any length and datatype to each rank, and receive one from each."""
    def Reduce(
        self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpec | None, op: Op = SUM, root: SupportsIndex = 0
    ) -> None:
        """Reduce buffers over all ranks; one gets the result."""
    def Ireduce(
        self, sendbuf: BufSpec | InPlace | None, recvbuf: BufSpec | None, op: Op = SUM, root: SupportsIndex = 0
    ) -> Request:
        """Start to: Reduce buffers over all ranks; one gets the result."""
    def Allreduce(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> None:
        """Reduce buffers over all ranks; all get the result."""
    def Iallreduce(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> Request:
        """Start to: Reduce buffers over all ranks; all get the result."""
    def Reduce_scatter_block(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> None:
        """Reduce buffers over all ranks; each gets an equal part."""
    def Ireduce_scatter_block(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> Request:
        """Start to: Reduce buffers over all ranks; each gets an equal part."""
    def Reduce_scatter(
        self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, recvcounts: Counts | None = None, op: Op = SUM
    ) -> None:
        """Reduce buffers over all ranks; each gets a part of any length."""
    def Ireduce_scatter(
        self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, recvcounts: Counts | None = None, op: Op = SUM
    ) -> Request:
        """Start to: Reduce buffers over all ranks; each gets a part of any length."""
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
        """Start to: Combine an object of each rank, in rank order; request.wait() returns the result."""
    def reduce(
        self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, root: SupportsIndex = 0, commute: bool = False
    ) -> Any:
        """Combine an object of each rank, in rank order unless op commutes; the root gets the result, the others None.
        """
    def allreduce(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, commute: bool = False) -> Any:
        """Combine an object of each rank, in rank order unless op commutes; all get the result."""
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

    def Scan(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> None:
        """Reduce buffers over the ranks up to this one."""
    def Iscan(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> Request:
        """Start to: Reduce buffers over the ranks up to this one."""
    def Exscan(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> None:
        """Reduce buffers over the ranks before this one."""
    def Iexscan(self, sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM) -> Request:
        """Start to: Reduce buffers over the ranks before this one."""
    def Create_cart(self, dims: Integers, periods: bool | Integers | None = None, reorder: bool = False) -> Cartcomm:
        """A communicator whose processes form a grid."""
    def scan(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, commute: bool = False) -> Any:
        """Combine the objects of the ranks up to this one, in rank order."""
    def exscan(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, commute: bool = False) -> Any:
        """Combine the objects of the ranks before this one, in rank order; None on rank 0."""
    def Create(self, group: Group) -> Intracomm:
        """A communicator of the processes in the group; COMM_NULL elsewhere."""
    def Split(self, color: SupportsIndex = 0, key: SupportsIndex = 0) -> Intracomm:
        """A communicator for each color, ranks ordered by key; COMM_NULL for color UNDEFINED."""
    def Split_type(self, split_type: SupportsIndex, key: SupportsIndex = 0, info: Info | None = INFO_NULL) -> Intracomm:
        """A communicator for each set of processes that share something, such as memory (COMM_TYPE_SHARED)."""

class Intercomm(Comm):
    """A communicator that joins two groups."""

class Topocomm(Intracomm):
    """A communicator with a topology."""

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

def Alloc_mem(size: SupportsIndex, info: Info | None = INFO_NULL) -> memoryview:
    """A memoryview of `size` bytes that MPI may reach faster; give it back by Free_mem."""

def Free_mem(mem: memoryview) -> None:
    """Give back memory of Alloc_mem; its memoryview is released."""

def Attach_buffer(buf: Buffer) -> None:
    """Give MPI a buffer for Bsend; it belongs to MPI until Detach_buffer."""

def Detach_buffer() -> Buffer | None:
    """Wait until all buffered messages are sent; return the buffer, None if there is none."""

def Compute_dims(nnodes: SupportsIndex, dims: SupportsIndex | Integers) -> list[int]:
    """Share out nnodes over a grid: dims is its dimension, or a list in which zeros are filled in."""

def get_vendor() -> tuple[str, tuple[int, int, int]]:
    """The name and the version of the MPI library: ("MPICH", (5, 0, 2))."""

def Init() -> None:
    """Initialize MPI with the thread level that `mmpi.rc` says. (MPI 5.0, section 11.2)"""

def Init_thread(required: SupportsIndex = THREAD_MULTIPLE) -> int:
    """Initialize MPI with a thread level; return the one provided. (MPI 5.0, section 11.6)"""
