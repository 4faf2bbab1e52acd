# SPDX-License-Identifier: BSD-3-Clause
"""Write docs/mpi-functions.md: every function of MPI, its name in Python, the MPI version it needs; with --check only compare.

The functions are those of src/core/abi. A Python name follows from the function's by a few rules, or stands in NAMES; either
way it must exist in the installed mmpi.MPI. A function without a name must have a reason in WITHOUT, and no row may be idle.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import mmpi

mmpi.rc.initialize = False

from mmpi import MPI  # noqa: E402 (after rc)

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs/mpi-functions.md"

# version that brought it: functions without MPI_, the first pattern that matches counts; what matches none is older than MPI 2.0
SINCE = {
    "1.1": "Buffer_attach Buffer_detach Send_init Bsend_init Ssend_init Rsend_init Recv_init Get_processor_name Error_class "
    "Get_count Get_elements Init Comm_split Comm_test_inter Type_size Type_contiguous Type_commit Type_free Type_indexed Type_vector "
    "Comm_create Comm_compare Comm_dup Comm_free Comm_group Comm_r* Comm_size Op_create Op_free Request_free Test_cancelled "
    "Errhandler_free",
    "5.0": "Abi_* *_toint *_fromint",
    "4.1": "Buffer_* *_buffer Get_hw_resource_info Remove_* Request_get_status_* Status_get_* Status_set_error Status_set_source "
    "Status_set_tag Type_get_value_index",
    "4.0": "Session_* Comm_create_from_group Intercomm_create_from_groups Group_from_session_pset Comm_idup_with_info Info_create_env "
    "Info_get_string Isendrecv* P[rs]e*_init Pready* Parrived T_event_* T_source_* T_category_*events",
    "3.1": "Aint_* File_i*_all",
    "3.0": "T_* Comm_create_group Comm_dup_with_info Comm_idup Comm_*_info Comm_split_type Compare_and_swap Fetch_and_op Get_accumulate "
    "*_x Get_library_version Improbe Imrecv Mprobe Mrecv R*get R*put R*accumulate Type_create_hindexed_block Win_allocate* "
    "Win_attach Win_create_dynamic Win_detach Win_flush* Win_*_info Win_*lock_all Win_shared_query Win_sync",
    "2.2": "Dist_graph_* Op_commutative Reduce_local Reduce_scatter_block",
    "1.2": "Get_version",
    "2.0": "Accumulate Put Get Add_error_* Alloc_mem Free_mem Alltoallw Close_port Open_port *_name Comm_* File_* Win_* Info_* Grequest_* "
    "Type_* Exscan Get_address Init_thread Is_thread_main Query_thread Pack_external* Unpack_external Register_datarep "
    "Request_get_status Status_*",
}
COLLECTIVES = (
    "Allgatherv? Allreduce Alltoall[vw]? Barrier Bcast Exscan Gatherv? Reduce Reduce_scatter(_block)? Scan Scatterv?"
)
NEIGHBORS = "Neighbor_allgatherv? Neighbor_alltoall[vw]?"

# first part of a function's name: the classes to look in
CLASSES = {
    "Type": "Datatype", "Graphdims": "Graphcomm", "Cartdim": "Cartcomm", "Cart": "Cartcomm Intracomm", "Graph": "Graphcomm Intracomm",
    "Intercomm": "Intracomm Intercomm", "Dist": "Distgraphcomm Intracomm", "Comm": "Comm Intracomm Intercomm",
}  # fmt: skip
ANYWHERE = "MPI Comm Intracomm Topocomm Win Request Prequest Grequest Message Datatype Op Status"

# Python: functions whose name does not follow from it
NAMES = {
    "Comm.Get_attr": "Attr_get", "Comm.Set_attr": "Attr_put", "Comm.Delete_attr": "Attr_delete", "Comm.Create_keyval": "Keyval_create",
    "Comm.Free_keyval": "Keyval_free", "Comm.Is_inter": "Comm_test_inter", "Comm.Get_topology": "Topo_test", "Cartcomm.Get_dim": "Cartdim_get",
    "Cartcomm.Get_topo": "Cart_get", "Graphcomm.Get_dims": "Graphdims_get", "Graphcomm.Get_topo": "Graph_get",
    "Distgraphcomm.Get_dist_neighbors": "Dist_graph_neighbors", "Distgraphcomm.Get_dist_neighbors_count": "Dist_graph_neighbors_count",
    "Intracomm.Create_intercomm": "Intercomm_create",
    "Intracomm.Create_dist_graph": "Dist_graph_create", "Intracomm.Create_dist_graph_adjacent": "Dist_graph_create_adjacent",
    "Intracomm.Create_cart": "Cart_create", "Intracomm.Create_graph": "Graph_create", "Compute_dims": "Dims_create",
    "Info.Get": "Info_get_string Info_get_valuelen",
    "Message.Recv": "Mrecv", "Message.Irecv": "Imrecv",
    "Datatype.Get_extent": "Type_get_extent_x", "Datatype.Get_true_extent": "Type_get_true_extent_x", "Datatype.Get_size": "Type_size_x",
    "Status.Get_elements": "Get_elements_x", "Status.Set_elements": "Status_set_elements_x", "Status.Is_cancelled": "Test_cancelled",
    "Is_finalized": "Finalized", "Is_initialized": "Initialized",
    "Attach_buffer": "Buffer_attach", "Detach_buffer": "Buffer_detach", "Flush_buffer": "Buffer_flush", "Iflush_buffer": "Buffer_iflush",
    "Get_abi_version": "Abi_get_version", "Get_abi_info": "Abi_get_info", "Get_abi_fortran_info": "Abi_get_fortran_info",
}  # fmt: skip
WITHOUT = {
    "later": "T_*",
    "for a C library that tells MPI of Fortran": "Abi_set_* Abi_get_fortran_booleans",
    "asked before memory of GPUs is given to MPI": "GPU_query_support Query_*_support",
    "older forms of the others": "Comm_failure_*",
}

HEAD = """\
# Every function of MPI

Made by `tools/functions.py` from the functions of MPI 5.0 and the installed package; `make lint` says when it is out of date.
All Python names are those of `mmpi.MPI`. "Since" is the version of the MPI standard that brought the function: with a library that
lacks it, the method raises `NotImplementedError`. A dot stands for functions that have a form with 64-bit counts (`MPI_Send_c`, MPI 4.0), which
is used wherever the library has it. Blocking methods of point-to-point communication go by their nonblocking twin and test it, so that
signals are seen; `docs/design.md` says more.

| MPI function | Python | since | `_c` |
|---|---|---|---|
"""


def functions(kind: str = "MPI", file: str = "functions.h") -> list[str]:
    """The names of all functions without MPI_; those beyond the standard are of the kind MPIX."""
    return re.findall(rf"^{kind}\([^,]+, (\w+),", (ROOT / "src/core/abi" / file).read_text(), re.MULTILINE)


def family(name: str) -> str | None:
    """The version of a form of a collective: nonblocking, persistent, of neighbours."""
    for words, versions in (
        (COLLECTIVES, {"I": "3.0", "_init": "4.0"}),
        (NEIGHBORS, {"": "3.0", "I": "3.0", "_init": "4.0"}),
    ):
        for word in words.split():
            for form, version in versions.items():
                pattern = f"I{word[0].lower()}{word[1:]}" if form == "I" else word + form
                if re.fullmatch(pattern, name):
                    return version
    return None


def since(name: str, used: set[str]) -> str:
    """The version that brought a function."""
    found = family(name)
    if found:
        return found
    for version, patterns in SINCE.items():
        for pattern in patterns.split():
            if fnmatchcase(name, pattern):
                used.add(pattern)
                return version
    return "1.1"


def exists(path: str) -> bool:
    """Is there such a class and method, or function?"""
    owner, _, name = path.rpartition(".")
    return hasattr(getattr(MPI, owner) if owner else MPI, name)


def python_name(function: str) -> str | None:
    """The name in Python that follows from that of the function."""
    first, _, rest = function.partition("_")
    wheres = (
        CLASSES.get(first, first).split()
        if rest and (first in CLASSES or isinstance(getattr(MPI, first, None), type))
        else []
    )
    for where in wheres:
        for name in (
            rest.capitalize(),
            f"Get_{rest}",
            f"Is_{rest}",
            f"Create_{rest}",
            "Init" if rest == "start" else rest,
            rest,
        ):
            if exists(f"{where}.{name}") and isinstance(getattr(MPI, where), type):
                return f"{where}.{name}"
    for where in ANYWHERE.split():
        for name in function, f"Get_{function[0].lower()}{function[1:]}":
            path = name if where == "MPI" else f"{where}.{name}"
            if exists(path):
                return path
    return None


def rows() -> list[str]:
    """A row for each function."""
    names, beyond, lines, nameless, used = functions(), functions("MPIX", "extensions.h"), [], [], set[str]()
    special = {function: name for name, words in NAMES.items() for function in words.split()}
    reasons = {pattern: reason for reason, patterns in WITHOUT.items() for pattern in patterns.split()}
    idle = [name for name in special if name not in names or python_name(name) == special[name]]
    for name in names + beyond:
        if name.endswith("_c") and name.removesuffix("_c") in names:
            continue
        pattern = next((pattern for pattern in reasons if fnmatchcase(name, pattern)), None)
        python = special.get(name) or python_name(name)
        if pattern:
            used.add(pattern)
        if (python is None or not exists(python)) and not pattern:
            nameless.append(name)
        shown = f"({reasons[pattern]})" if pattern else f"`{python}`"
        full, version = (f"MPI_{name}", since(name, used)) if name in names else (f"MPIX_{name}", "beyond")
        lines.append(f"| `{full}` | {shown} | {version} | {'·' if name + '_c' in names else ''} |\n")
    idle += [word for words in (*SINCE.values(), *WITHOUT.values()) for word in words.split() if word not in used]
    if nameless:
        raise SystemExit(f"tools/functions.py: no name in Python for {' '.join(nameless)}")
    if idle:
        raise SystemExit(f"tools/functions.py: rows without use: {' '.join(idle)}")
    return lines


def main() -> int:
    """Write the table, or say how it differs."""
    parser = argparse.ArgumentParser(description="Write docs/mpi-functions.md from the installed mmpi.MPI.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is out of date")
    new, old = HEAD + "".join(rows()), TABLE.read_text() if TABLE.exists() else ""
    if not parser.parse_args().check:
        TABLE.write_text(new)
        return 0
    name = str(TABLE.relative_to(ROOT))
    sys.stdout.writelines(
        difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, name + " as it should be")
    )
    if new != old:
        print(f"{name} is out of date: run tools/functions.py", file=sys.stderr)
    return int(new != old)


if __name__ == "__main__":
    sys.exit(main())
