# SPDX-License-Identifier: BSD-3-Clause
"""Write src/mmpi/MPI.pyi, the types of mmpi.MPI for checkers and editors; with --check only compare.

Names, parameters, defaults and docstrings come from the installed module: its methods carry their signature strings,
whatever macro wrote them, and they are the same under every MPI library. Only constants differ; the missing ones come
from src/core/abi. Types come from the tables here. A name that no table knows is an error, and so is a row without use.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mmpi

mmpi.rc.initialize = False

from mmpi import MPI  # noqa: E402 (after rc)

ROOT = Path(__file__).resolve().parent.parent
STUB = ROOT / "src/mmpi/MPI.pyi"
WIDTH = 120

# --- the tables ---------------------------------------------------------------------------------------------

# type: names of parameters
PARAMETERS = {
    "SupportsIndex": "dest source tag sendtag recvtag root color key split_type errorcode rank direction disp count blocklength "
    "stride order lb extent error size nnodes required local_leader remote_leader fd position p r typeclass keyval n "
    "disp_unit target_rank target_disp assertion lock_type offset whence amode partition partition_low partition_high "
    "partitions errorclass arg base addr1 addr2 level nbytes address",
    "int": "handle",
    "bool": "reorder commute flag high nopython clear readonly",
    "str": "name port_name service_name pset_name stringtag key value string **kwds datarep code format",
    "Buffer | int | None": "location",
    "BufSpec": "buf sendbuf recvbuf inbuf inoutbuf outbuf",
    "BufSpec | None": "origin compare result",
    "TargetSpec | None": "target",
    "Buffer": "memory",
    "PathSpec": "filename",
    "Counts | None": "recvcounts",
    "Integers": "gsizes distribs dargs psizes dims coords remain_dims ranks blocklengths displacements sizes subsizes starts edges",
    "Integers | None": "sources destinations degrees sourceweights destweights weights",
    "bool | Integers | None": "periods",
    "Sequence[TypeSpec]": "datatypes",
    "TypeSpec": "datatype value index etype",
    "Comm": "comm peer_comm",
    "Group": "group group1 group2 local_group remote_group",
    "Session": "session",
    "TypeSpec | None": "filetype",
    "Info | None": "info",
    "Errhandler": "errhandler",
    "Op": "op",
    "Status | None": "status",
    "Iterable[Request]": "requests",
    "list[Status] | None": "statuses",
    "Callable[[buffer, buffer, Datatype], object] | int": "function",
    "Callable[..., object] | None": "query_fn free_fn cancel_fn",
    "Sequence[Any] | None": "args",
    "Mapping[str, Any] | None": "kwargs",
    "buffer": "mem",
    "Any": "obj sendobj attrval",
}

# type: method.parameter; I... is as the method without I. What counts only at the root may be None elsewhere.
SPECIAL_PARAMETERS = {
    "Integers": "Create_graph.index Graph_map.index Pready_list.partitions Status.f2py.arg",
    "PathLike[str] | str | bytes | None": "Spawn.command",
    "Sequence[PathLike[str] | str | bytes] | str | bytes | None": "Spawn.args",
    "list[int] | None": "Spawn.errcodes",
    "Sequence[PathLike[str] | str | bytes] | None": "Spawn_multiple.command",
    "Sequence[Sequence[PathLike[str] | str | bytes] | None] | None": "Spawn_multiple.args",
    "Integers | SupportsIndex | None": "Spawn_multiple.maxprocs",
    "Sequence[Info] | Info | None": "Spawn_multiple.info",
    "list[list[int]] | None": "Spawn_multiple.errcodes",
    "str | None": "tobytes.order Accept.port_name Connect.port_name",
    "Errhandler | None": "Init.errhandler Create_from_group.errhandler Create_from_groups.errhandler",
    "BufSpec | None": "Sendrecv.recvbuf Reduce.recvbuf Scatter.sendbuf Scatterv.sendbuf",
    "BufSpec | InPlace": "Allgather.sendbuf Allgatherv.sendbuf Alltoall.sendbuf Allreduce.sendbuf Scan.sendbuf Exscan.sendbuf "
    "Reduce_scatter.sendbuf Reduce_scatter_block.sendbuf",
    "BufSpec | InPlace | None": "Gather.sendbuf Gatherv.sendbuf Reduce.sendbuf Scatter.recvbuf Scatterv.recvbuf",
    "BufSpecB": "Allgather.recvbuf Alltoall.recvbuf Neighbor_allgather.recvbuf Neighbor_alltoall.sendbuf Neighbor_alltoall.recvbuf",
    "BufSpecB | None": "Gather.recvbuf Scatter.sendbuf",
    "BufSpecB | InPlace": "Alltoall.sendbuf",
    "BufSpecV": "Allgatherv.recvbuf Alltoallv.recvbuf Neighbor_allgatherv.recvbuf Neighbor_alltoallv.sendbuf Neighbor_alltoallv.recvbuf",
    "BufSpecV | None": "Gatherv.recvbuf Scatterv.sendbuf",
    "BufSpecV | InPlace": "Alltoallv.sendbuf",
    "BufSpecW": "Alltoallw.recvbuf Neighbor_alltoallw.sendbuf Neighbor_alltoallw.recvbuf",
    "BufSpecW | InPlace": "Alltoallw.sendbuf",
    "Buffer | BufferAutomaticType | None": "Attach_buffer.buf",
    "Buffer": "Iagree.flag frombuffer.obj",
    "Sequence[int] | None": "cast.shape",
    "SupportsIndex | Integers": "Compute_dims.dims",
    "Integers | None": "Translate_ranks.ranks",
    "SupportsIndex | None": "Ack_failed.num_to_ack",
    "Group | None": "Translate_ranks.group",
    "Any": "recv.buf sendrecv.recvbuf get.default pop.default",
    "Sequence[Any] | None": "scatter.sendobj alltoall.sendobj neighbor_alltoall.sendobj",
    "Op | Callable[[Any, Any], Any]": "reduce.op allreduce.op scan.op exscan.op",
    "SupportsIndex": "Spawn.maxprocs Free_keyval.keyval Split.key Split_type.key Agree.flag",
    "Info | Mapping[str, str] | Iterable[tuple[str, str]] | None": "Create.items",
    "Mapping[str, str] | Iterable[tuple[str, str]]": "update.items",
    "str | Sequence[str] | None": "Create_env.args",
    "Callable[[Self, int, Any], Any] | bool | None": "Create_keyval.copy_fn",
    "Callable[[Self, int, Any], object] | None": "Create_keyval.delete_fn",
    "Callable[[Self, int], object]": "Create_errhandler.errhandler_fn",
    "Buffer | BottomType | None": "Create.memory",
    "Callable[[buffer, Datatype, int, buffer, int], object] | None": "Register_datarep.read_fn Register_datarep.write_fn",
    "Callable[[Datatype], int]": "Register_datarep.extent_fn",
    "Sequence[Integers]": "Range_incl.ranks Range_excl.ranks",
}

# type: methods, functions and properties; or Class.name. Not here: None, and Request for an I... with its blocking form.
RESULTS = {
    "int": "Get_num_psets Get_remote_size remote_size Cart_map Graph_map Get_neighbors_count nnodes nedges nneighbors indegree outdegree "
    "Pack Unpack Pack_size Pack_external Unpack_external Pack_external_size combiner "
    "tohandle Get_rank Get_size Get_topology Compare Get_dim Get_cart_rank Get_source Get_tag Get_error Get_count Get_elements "
    "Init_thread Get_error_class Query_thread Waitany Create_keyval Free_keyval Get_nkeys Ack_failed Agree toint py2f Get_address "
    "Aint_add Aint_diff Add_error_class Add_error_code "
    "Get_position Get_position_shared Get_byte_offset Get_type_extent Get_amode amode group_size group_rank flavor model "
    "nbytes itemsize address handle rank size topology dim ndim source tag error count lb extent ub true_lb true_extent "
    "true_ub",
    "bool": "is_named Is_revoked Parrived Get_status_all get_status_all Is_inter Is_intra Is_commutative Is_cancelled Is_initialized "
    "Is_finalized Is_thread_main Iprobe Test Testall "
    "Request.Get_status iprobe Request.get_status is_inter is_intra is_topo is_commutative is_predefined cancelled "
    "Get_atomicity atomicity readonly",
    "None": "Get_accumulate",
    "Literal[True]": "Probe Wait Waitall probe",
    "float": "Wtime Wtick",
    "NoReturn": "Abort",
    "str": "Get_nth_pset Open_port Lookup_name Get_nthkey tocode typechar typestr Get_name Get_error_string "
    "Get_library_version Get_processor_name name format",
    "str | None": "Info.Get",
    "list[str]": "keys values",
    "list[tuple[str, str]]": "items",
    "tuple[str, str]": "popitem",
    "list[int]": "Status.py2f Get_neighbors index edges neighbors inedges outedges Get_coords Translate_ranks Compute_dims dims periods coords",
    "list[int] | None": "Waitsome Testsome Get_status_some get_status_some",
    "tuple[int, int]": "Get_abi_version Graphcomm.Get_dims Graphcomm.dims degrees Get_extent Get_true_extent Get_version Shift",
    "tuple[int, bool]": "Testany Get_status_any get_status_any",
    "tuple[int, int, int, int, int]": "Get_envelope envelope",
    "tuple[list[int], list[int], list[int], list[Datatype]]": "Get_contents contents",
    "tuple[Datatype, str, dict[str, Any]]": "decode",
    "Datatype": "fromcode",
    "tuple[int, int, bool]": "Get_dist_neighbors_count",
    "tuple[list[int], list[int]]": "Graphcomm.Get_topo Graphcomm.topo inoutedges",
    "tuple[int, int, int]": "attrs",
    "tuple[int, Datatype, Datatype, str]": "Get_view",
    "tuple[buffer, int]": "Shared_query",
    "tuple[list[int], list[int], list[int]]": "Get_topo topo",
    "tuple[list[int], list[int], tuple[list[int], list[int]] | None]": "Get_dist_neighbors",
    "Self": "Shrink Grequest.Start Dup_with_info fromhandle fromint f2py Dup Clone Commit Message.Probe Message.probe Union "
    "Intersection Intersect Difference Incl Excl Range_incl Range_excl "
    "Create_contiguous Create_vector Create_hvector Create_indexed Create_hindexed Create_indexed_block Create_hindexed_block "
    "Create_struct Create_subarray Create_resized Create_dup Create_darray Create_f90_integer Create_f90_real Create_f90_complex Match_size "
    "Get_value_index Resized Op.Create Info.Create Create_env copy Session.Init Create_from_session_pset Win.Create Allocate "
    "Allocate_shared Create_dynamic Open",
    "Self | None": "Message.Iprobe Message.iprobe",
    "tuple[Self, Request]": "Idup Idup_with_info Ishrink",
    "Comm": "Create Split Split_type",
    "Cartcomm": "Create_cart Sub",
    "Graphcomm": "Create_graph",
    "Distgraphcomm": "Create_dist_graph Create_dist_graph_adjacent",
    "Group": "Get_group Get_failed group Get_remote_group remote_group Session.Create_group",
    "Intercomm": "Create_from_groups Create_intercomm Spawn Spawn_multiple Accept Connect Join Get_parent",
    "Intracomm": "Merge Create_from_group Intracomm.Create_group",
    "Errhandler": "Get_errhandler Create_errhandler",
    "Message": "Mprobe mprobe",
    "Message | None": "Improbe improbe",
    "buffer": "Alloc_mem tomemory allocate frombuffer fromaddress toreadonly",
    "memoryview": "cast Status.tomemory",
    "bytes": "tobytes",
    "Info": "Get_info Get_pset_info Get_abi_info Get_abi_fortran_info Get_hw_resource_info info",
    "Request": "Rput Rget Raccumulate Rget_accumulate Iflush_buffer",
    "Buffer | BufferAutomaticType | None": "Detach_buffer",
    "Any": "obj Get_attr Info.get pop serializer recv sendrecv bcast scatter reduce allreduce scan exscan wait",
    "list[Any]": "allgather alltoall neighbor_allgather neighbor_alltoall waitall",
    "list[Any] | None": "gather",
    "tuple[bool, Any]": "test",
    "tuple[int, Any]": "waitany",
    "tuple[int, bool, Any]": "testany",
    "tuple[bool, list[Any] | None]": "testall",
    "tuple[list[int] | None, list[Any] | None]": "waitsome testsome",
}
# What has such a name gives something back, so a row is missing in RESULTS if it would be None.
GIVES_BACK = ("Get_", "Is_", "Create", "Query_", "Test", "Dup")

# inherited methods that return more in a class than in its bases
NARROWED = {"Intracomm": {"Create": "Intracomm", "Split": "Intracomm", "Split_type": "Intracomm"}}

CAN_BE_A_BASE = 1 << 10  # Py_TPFLAGS_BASETYPE

# what a class has though its dictionary does not show it before Python 3.12
PLACES = ("BottomType", "InPlaceType", "BufferAutomaticType")
UNSEEN = dict.fromkeys(("Win", "buffer", *PLACES), "def __buffer__(self, flags: int, /) -> memoryview: ...")

SLOTS = {
    "__new__": "def __new__(cls, other: {root} | None = None, /) -> Self: ...",
    "__hash__": "__hash__: ClassVar[None]  # type: ignore[assignment]",
    "__bool__": "def __bool__(self) -> bool: ...",
    "__len__": "def __len__(self) -> int: ...",
    "__getitem__": "def __getitem__(self, key: str, /) -> str: ...",
    "__setitem__": "def __setitem__(self, key: str, value: str, /) -> None: ...",
    "__delitem__": "def __delitem__(self, key: str, /) -> None: ...",
    "__contains__": "def __contains__(self, key: object, /) -> bool: ...",
    "__iter__": "def __iter__(self) -> Iterator[str]: ...",
    "__enter__": "def __enter__(self) -> Self: ...",
    "__exit__": "def __exit__(self, *error: object) -> None: ...",
    "__call__": "def __call__(self, x: Any, y: Any) -> Any: ...",
    "__int__": "def __int__(self) -> int: ...",
    "__index__": "def __index__(self) -> int: ...",
    **dict.fromkeys((f"{name}.__new__" for name in PLACES), "def __new__(cls) -> Self: ..."),
    "buffer.__new__": "def __new__(cls, obj: Buffer = ..., /) -> Self: ...",
    "buffer.__getitem__": """@overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> buffer: ...""",
    "buffer.__setitem__": """@overload
    def __setitem__(self, key: SupportsIndex, value: SupportsIndex, /) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: Buffer | SupportsIndex, /) -> None: ...""",
    "buffer.__delitem__": "def __delitem__(self, key: SupportsIndex | slice, /) -> NoReturn: ...",
}

HEAD = '''\
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
'''


class Table:
    """A table above, turned round: name -> type. Keeps account of the names that were asked for."""

    def __init__(self, name: str, rows: dict[str, str]) -> None:
        self.name = name
        self.types = {word: kind for kind, words in rows.items() for word in words.split()}
        self.unused = set(self.types)

    def find(self, *names: str) -> str | None:
        """The type of the first name that has one."""
        for name in names:
            if name in self.types:
                self.unused.discard(name)
                return self.types[name]
        return None


PARAMETER = Table("PARAMETERS", PARAMETERS)
SPECIAL = Table("SPECIAL_PARAMETERS", SPECIAL_PARAMETERS)
RESULT = Table("RESULTS", RESULTS)


# --- what the module has ------------------------------------------------------------------------------------


class Method(NamedTuple):
    """A method or function as its docstring says: names of parameters with their defaults, if any."""

    name: str
    parameters: list[tuple[str, str | None]]
    doc: str


def read_signature(function: Any) -> Method:
    """Read the first line of a docstring, `Recv(buf, source=ANY_SOURCE)`; the rest says what it does."""
    line, _, doc = function.__doc__.partition("\n")
    found = re.fullmatch(r"(\w+)\((.*)\)", line)
    if not found:
        raise SystemExit(f"tools/stubs.py: no signature in the docstring of {function.__name__}: {line}")
    words = [word.partition("=") for word in found[2].split(", ") if word]
    return Method(function.__name__, [(name, default or None) for name, _, default in words], doc)


def blocking(name: str, owner: type | None) -> str:
    """Send for Isend, Send_init and send for isend, where there is one; else the name itself."""
    if name.endswith("_init") and owner and hasattr(owner, name.removesuffix("_init")):
        return name.removesuffix("_init")
    form = name[1:].capitalize() if name[0] == "I" else name[1:]
    return form if name[0] in "Ii" and owner and hasattr(owner, form) else name


def writable(owner: type, name: str) -> bool:
    """Has this property a setter? Only one with a setter refuses deletion in words of its own."""
    try:
        delattr(owner(), name)
    except AttributeError as error:
        return "not writable" not in str(error)
    return True


def integers() -> list[str]:
    """The names of the integer constants: those that some MPI library has, and addresses that are numbers here."""
    found = re.findall(r"^INT\((\w+),", (ROOT / "src/core/abi/constants.h").read_text(), re.MULTILINE)
    beyond = re.findall(r"EXTENSION\((\w+)\)", (ROOT / "src/core/module.c").read_text().replace("EXTENSION(name)", ""))
    return [*found, *beyond, "UNWEIGHTED", "WEIGHTS_EMPTY"]  # addresses in C


# --- what the stub says -------------------------------------------------------------------------------------


def parameter_type(method: str, parameter: str, owner: type | None) -> str:
    """The type of a parameter; a method's own row comes before that of the name."""
    names = [f"{owner.__name__}.{method}" if owner else method, method, blocking(method, owner)]
    kind = SPECIAL.find(*(f"{name}.{parameter}" for name in names)) or PARAMETER.find(parameter)
    if kind is None:
        raise SystemExit(f"tools/stubs.py: PARAMETERS has no type for {parameter}, which {method} takes")
    return kind


def result_type(method: str, owner: type | None) -> str:
    """What a method or function returns."""
    names = [f"{owner.__name__}.{method}", method] if owner else [method]
    kind = RESULT.find(*names)
    if method.endswith("_init"):
        return "Prequest"
    if kind is None and blocking(method, owner) != method:
        return "Request"
    if kind is None and method.startswith(GIVES_BACK):
        raise SystemExit(f"tools/stubs.py: RESULTS has no type for {method}")
    return kind or "None"


def definition(name: str, parameters: list[str], result: str, doc: str, indent: str = "") -> Iterator[str]:
    """A function with its docstring, in lines of at most WIDTH."""
    line = f"{indent}def {name}({', '.join(parameters)}) -> {result}:"
    inner = indent + "    "
    if len(line) <= WIDTH:
        yield line
    else:
        together = inner + ", ".join(parameters)
        yield f"{indent}def {name}("
        yield from [together] if len(together) <= WIDTH else [f"{inner}{parameter}," for parameter in parameters]
        yield f"{indent}) -> {result}:"
    yield from docstring(doc, inner)


def docstring(doc: str, indent: str) -> Iterator[str]:
    """A docstring, on one line if it fits."""
    if len(indent) + len(doc) + 6 <= WIDTH:
        yield f'{indent}"""{doc}"""'
        return
    first, *rest = textwrap.wrap(f'"""{doc}', WIDTH - len(indent))
    yield from [indent + first, *(indent + line for line in rest), f'{indent}"""']


def method_lines(owner: type, name: str, function: Any, result: str | None = None) -> Iterator[str]:
    """A method of a class."""
    method = read_signature(function)
    kind = "cls" if isinstance(inspect.getattr_static(owner, name), types.ClassMethodDescriptorType) else "self"
    parameters = [kind, *typed(method._replace(name=name), owner)]
    if kind == "cls":
        yield "    @classmethod"
    yield from definition(name, parameters, result or result_type(name, owner), method.doc, "    ")


def typed(method: Method, owner: type | None) -> Iterator[str]:
    """Its parameters with their types and defaults."""
    for name, default in method.parameters:
        kind = parameter_type(method.name, name, owner)
        yield f"{name}: {kind} = {default}" if default else f"{name}: {kind}"


def property_lines(owner: type, name: str, doc: str) -> Iterator[str]:
    """A property of a class, with its setter."""
    kind = RESULT.find(f"{owner.__name__}.{name}", name)
    if kind is None:
        raise SystemExit(f"tools/stubs.py: RESULTS has no type for the property {name} of {owner.__name__}")
    yield "    @property"
    yield from definition(name, ["self"], kind, doc, "    ")
    if writable(owner, name):
        wide = {"int": "SupportsIndex"}.get(kind, kind)
        yield f"    @{name}.setter"
        yield f"    def {name}(self, value: {wide}) -> None: ..."


def class_lines(owner: type) -> Iterator[str]:
    """A class: its slots, properties and methods, in their order in the core."""
    bases = [base.__name__ for base in owner.__bases__ if base is not object]
    roots = [base for base in owner.__mro__ if base.__module__ == owner.__module__]
    if not owner.__flags__ & CAN_BE_A_BASE:
        yield "@final"
    elif not bases:
        yield "@disjoint_base"
    yield f"class {owner.__name__}{'(' + ', '.join(bases) + ')' if bases else ''}:"
    yield from docstring(owner.__doc__ or "", "    ")
    yield ""
    for name, member in vars(owner).items():
        if name in SLOTS and (name != "__hash__" or member is None):
            yield "    " + SLOTS.get(f"{owner.__name__}.{name}", SLOTS[name]).format(root=roots[-1].__name__)
        elif inspect.isgetsetdescriptor(member) and not name.startswith("_"):
            yield from property_lines(owner, name, (member.__doc__ or "").partition("\n")[2])
        elif callable(getattr(owner, name)) and not name.startswith("_"):
            yield from method_lines(owner, name, getattr(owner, name))
    if owner.__name__ in UNSEEN:
        yield "    " + UNSEEN[owner.__name__]
    for name, result in NARROWED.get(owner.__name__, {}).items():
        yield from method_lines(owner, name, getattr(owner, name), result)


def function_lines() -> Iterator[Iterator[str]]:
    """The functions of the core, and the one in Python, each in lines."""
    for name, member in vars(MPI).items():
        if inspect.isbuiltin(member) and not name.startswith("_"):
            method = read_signature(member)
            yield definition(name, list(typed(method, None)), result_type(name, None), method.doc)
        elif inspect.isfunction(member) and not name.startswith("_"):
            yield definition(name, [], inspect.signature(member).return_annotation, member.__doc__ or "")


def constant_lines() -> Iterator[str]:
    """The constants: integers that any library has, then handles."""
    known = integers()
    yield from (f"{name}: Final[int]" for name in known)
    for name, value in vars(MPI).items():
        if name.startswith("_") or name in known or not name.isidentifier():  # "2INT" is TWOINT, too
            continue
        if type(value).__module__ == "mmpi.MPI":
            yield f"{name}: Final[{type(value).__name__}]"
        elif isinstance(value, int) and any(value is vars(MPI)[other] for other in known if other in vars(MPI)):
            yield f"{name}: Final[int]"  # another name of one of them
        elif isinstance(value, int):
            raise SystemExit(f"tools/stubs.py: src/core/abi/constants.h does not have the constant {name}")


def classes() -> Iterable[type]:
    """The classes of the core."""
    owned = [value for value in vars(MPI).values() if isinstance(value, type) and value.__module__ == "mmpi.MPI"]
    return list(dict.fromkeys(owned))


def stub() -> str:
    """The text of MPI.pyi."""
    parts = [HEAD, "\n".join(constant_lines()) + "\n"]  # first, for linters: they are defaults below
    for owner in classes():
        parts.append("\n".join(class_lines(owner)).rstrip() + "\n")
    parts += ["memory = buffer\n", *("\n".join(lines) + "\n" for lines in function_lines())]
    for table in (PARAMETER, SPECIAL, RESULT):
        if table.unused:
            raise SystemExit(f"tools/stubs.py: {table.name} has rows without use: {', '.join(sorted(table.unused))}")
    return "\n".join(parts)


def main() -> int:
    """Write the stub, or say how it differs."""
    parser = argparse.ArgumentParser(description="Write src/mmpi/MPI.pyi from the installed mmpi.MPI.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is out of date")
    options = parser.parse_args()
    new, old = stub(), STUB.read_text() if STUB.exists() else ""
    if not options.check:
        STUB.write_text(new)
        return 0
    name = str(STUB.relative_to(ROOT))
    lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
    sys.stdout.writelines(difflib.unified_diff(*lines, name, name + " as it should be"))
    if new != old:
        print(f"{name} is out of date: run tools/stubs.py", file=sys.stderr)
    return int(new != old)


if __name__ == "__main__":
    sys.exit(main())
