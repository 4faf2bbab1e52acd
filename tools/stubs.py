# SPDX-License-Identifier: BSD-3-Clause
"""Write src/mmpi/MPI.pyi, the types of mmpi.MPI for checkers and editors; with --check only compare.

Names, parameters, defaults and docstrings come from the installed module: its methods carry their signature strings,
whatever macro wrote them, and they are the same under every MPI library. Only constants differ; the missing ones come
from src/core/abi. Types come from the tables here. A name that no table knows is an error, and so is a row without use.
"""

from __future__ import annotations

import argparse
import ast
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
    "stride order lb extent error size nnodes required",
    "int": "handle",
    "bool": "reorder commute flag",
    "str": "name",
    "BufSpec": "buf sendbuf recvbuf inbuf inoutbuf",
    "Counts | None": "recvcounts",
    "Integers": "dims coords remain_dims ranks blocklengths displacements sizes subsizes starts",
    "bool | Integers | None": "periods",
    "Sequence[TypeSpec]": "datatypes",
    "TypeSpec": "datatype",
    "Comm": "comm",
    "Group": "group group1 group2",
    "Info | None": "info",
    "Errhandler": "errhandler",
    "Op": "op",
    "Status | None": "status",
    "Iterable[Request]": "requests",
    "list[Status] | None": "statuses",
    "Callable[[memoryview, memoryview, Datatype], object]": "function",
    "memoryview": "mem",
    "Any": "obj sendobj",
}

# type: method.parameter; I... is as the method without I. What counts only at the root may be None elsewhere.
SPECIAL_PARAMETERS = {
    "BufSpec | None": "Sendrecv.recvbuf Reduce.recvbuf Scatter.sendbuf Scatterv.sendbuf",
    "BufSpec | InPlace": "Allgather.sendbuf Allgatherv.sendbuf Alltoall.sendbuf Allreduce.sendbuf Scan.sendbuf Exscan.sendbuf "
    "Reduce_scatter.sendbuf Reduce_scatter_block.sendbuf",
    "BufSpec | InPlace | None": "Gather.sendbuf Gatherv.sendbuf Reduce.sendbuf Scatter.recvbuf Scatterv.recvbuf",
    "BufSpecB": "Allgather.recvbuf Alltoall.recvbuf",
    "BufSpecB | None": "Gather.recvbuf Scatter.sendbuf",
    "BufSpecB | InPlace": "Alltoall.sendbuf",
    "BufSpecV": "Allgatherv.recvbuf Alltoallv.recvbuf",
    "BufSpecV | None": "Gatherv.recvbuf Scatterv.sendbuf",
    "BufSpecV | InPlace": "Alltoallv.sendbuf",
    "BufSpecW": "Alltoallw.recvbuf",
    "BufSpecW | InPlace": "Alltoallw.sendbuf",
    "Buffer": "Attach_buffer.buf",
    "SupportsIndex | Integers": "Compute_dims.dims",
    "Integers | None": "Translate_ranks.ranks",
    "Group | None": "Translate_ranks.group",
    "Any": "recv.buf sendrecv.recvbuf",
    "Sequence[Any] | None": "scatter.sendobj alltoall.sendobj",
    "Op | Callable[[Any, Any], Any]": "reduce.op allreduce.op scan.op exscan.op",
    "Sequence[Integers]": "Range_incl.ranks Range_excl.ranks",
}

# type: methods, functions and properties; or Class.name. Not here: None, and Request for an I... with its blocking form.
RESULTS = {
    "int": "tohandle Get_rank Get_size Get_topology Compare Get_dim Get_cart_rank Get_source Get_tag Get_error Get_count Get_elements "
    "Get_error_class Query_thread Waitany handle rank size topology dim ndim source tag error count lb extent ub true_lb true_extent "
    "true_ub",
    "bool": "Is_inter Is_intra Is_commutative Is_cancelled Is_initialized Is_finalized Is_thread_main Iprobe Test Testall "
    "Request.Get_status iprobe Request.get_status is_inter is_intra is_topo is_commutative is_predefined cancelled",
    "Literal[True]": "Probe Wait Waitall probe",
    "float": "Wtime Wtick",
    "NoReturn": "Abort",
    "str": "Get_name Get_error_string Get_library_version Get_processor_name name",
    "list[int]": "Get_coords Translate_ranks Compute_dims dims periods coords",
    "list[int] | None": "Waitsome Testsome",
    "tuple[int, int]": "Get_extent Get_true_extent Get_version Shift",
    "tuple[int, bool]": "Testany",
    "tuple[list[int], list[int], list[int]]": "Get_topo topo",
    "Self": "fromhandle Dup Clone Commit Message.Probe Message.probe Union Intersection Intersect Difference Incl Excl Range_incl Range_excl "
    "Create_contiguous Create_vector Create_hvector Create_indexed Create_hindexed Create_indexed_block Create_hindexed_block "
    "Create_struct Create_subarray Create_resized Op.Create",
    "Self | None": "Message.Iprobe Message.iprobe",
    "Comm": "Create Split Split_type",
    "Cartcomm": "Create_cart Sub",
    "Group": "Get_group group",
    "Errhandler": "Get_errhandler",
    "Message": "Mprobe mprobe",
    "Message | None": "Improbe improbe",
    "memoryview": "Alloc_mem",
    "Buffer | None": "Detach_buffer",
    "Any": "serializer recv sendrecv bcast scatter reduce allreduce scan exscan wait",
    "list[Any]": "allgather alltoall waitall",
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

SLOTS = {
    "__new__": "def __new__(cls, other: {root} | None = None, /) -> Self: ...",
    "__hash__": "__hash__: ClassVar[None]  # type: ignore[assignment]",
    "__bool__": "def __bool__(self) -> bool: ...",
    "__call__": "def __call__(self, x: Any, y: Any) -> Any: ...",
}

HEAD = '''\
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


def python_functions() -> Iterator[ast.FunctionDef]:
    """The public functions of MPI.py, from its source: there, a default still has its name."""
    for node in ast.parse(inspect.getsource(MPI)).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def blocking(name: str, owner: type | None) -> str:
    """Send for Isend and send for isend, where there is one; else the name itself."""
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
    """The names of the integer constants that some MPI library has."""
    return re.findall(r"^INT\((\w+),", (ROOT / "src/core/abi/constants.h").read_text(), re.MULTILINE)


# --- what the stub says -------------------------------------------------------------------------------------


def parameter_type(method: str, parameter: str, owner: type | None) -> str:
    """The type of a parameter; a method's own row comes before that of the name."""
    kind = SPECIAL.find(f"{blocking(method, owner)}.{parameter}") or PARAMETER.find(parameter)
    if kind is None:
        raise SystemExit(f"tools/stubs.py: PARAMETERS has no type for {parameter}, which {method} takes")
    return kind


def result_type(method: str, owner: type | None) -> str:
    """What a method or function returns."""
    names = [f"{owner.__name__}.{method}", method] if owner else [method]
    kind = RESULT.find(*names)
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
    if not bases:
        yield "@disjoint_base"
    yield f"class {owner.__name__}{'(' + ', '.join(bases) + ')' if bases else ''}:"
    yield from docstring(owner.__doc__ or "", "    ")
    yield ""
    for name, member in vars(owner).items():
        if name in SLOTS and (name != "__hash__" or member is None):
            yield "    " + SLOTS[name].format(root=roots[-1].__name__)
        elif inspect.isgetsetdescriptor(member) and not name.startswith("_"):
            yield from property_lines(owner, name, member.__doc__ or "")
        elif callable(getattr(owner, name)) and not name.startswith("_"):
            yield from method_lines(owner, name, getattr(owner, name))
    for name, result in NARROWED.get(owner.__name__, {}).items():
        yield from method_lines(owner, name, getattr(owner, name), result)


def function_lines() -> Iterator[Iterator[str]]:
    """The functions of the core, then those of MPI.py, each in lines."""
    for name, member in vars(MPI).items():
        if inspect.isbuiltin(member) and not name.startswith("_"):
            method = read_signature(member)
            yield definition(name, list(typed(method, None)), result_type(name, None), method.doc)
    for node in python_functions():
        names = [argument.arg for argument in node.args.args]
        values = [ast.unparse(value).replace("_core.", "") for value in node.args.defaults]
        defaults = dict(zip(reversed(names), reversed(values), strict=False))
        method = Method(node.name, [(name, defaults.get(name)) for name in names], ast.get_docstring(node) or "")
        result = ast.unparse(node.returns or ast.Constant(None))
        yield definition(node.name, list(typed(method, None)), result, method.doc)


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
    """The classes of the core; those of BOTTOM and IN_PLACE are plain Python, and imported."""
    owned = [value for value in vars(MPI).values() if isinstance(value, type) and value.__module__ == "mmpi.MPI"]
    return [value for value in owned if not issubclass(value, int)]


def stub() -> str:
    """The text of MPI.pyi."""
    parts = [HEAD, "\n".join(constant_lines()) + "\n"]  # first, for linters: they are defaults below
    for owner in classes():
        parts.append("\n".join(class_lines(owner)).rstrip() + "\n")
    parts += ["\n".join(lines) + "\n" for lines in function_lines()]
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
