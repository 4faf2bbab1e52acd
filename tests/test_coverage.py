# SPDX-License-Identifier: BSD-3-Clause
"""Every function of MPI is called by the core, or stands here with the reason why not."""

import importlib.util
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from requirements import need

FUNCTIONS = Path(__file__).parent.parent / "src/core/abi/functions.h"

# Names without MPI_; a pattern holds for the form with large counts (..._c) too. One that matches nothing fails.
LATER = {
    "one-sided communication": """
        Win_* Put Rput Get Rget Accumulate Raccumulate Get_accumulate Rget_accumulate Fetch_and_op Compare_and_swap""",
    "files": "File_* Register_datarep",
    "graphs and neighborhoods": "Graph_* Graphdims_get Dist_graph_* Cart_map Neighbor_* Ineighbor_*",
    "persistent and partitioned requests": "*_init Start Startall Pready* Parrived",
    "exchanges that do not block": "Isendrecv Isendrecv_replace",
    "several requests at once, without freeing": "Request_get_status_*",
    "generalized requests": "Status_set_elements",
    "processes": """
        Comm_spawn* Comm_accept Comm_connect Comm_disconnect Comm_join Comm_get_parent Comm_remote_group Intercomm_*
        Open_port Close_port *ublish_name Lookup_name""",
    "sessions": "Session_* Group_from_session_pset Comm_create_from_group",
    "communicators": "Comm_create_group Comm_idup_with_info Comm_get_info Comm_set_info",
    "info": "Info_*",
    "attributes": "*_create_keyval *_free_keyval *_set_attr *_get_attr *_delete_attr",
    "error handlers and codes": "*_create_errhandler *_call_errhandler Errhandler_* Add_error_* Remove_error_*",
    "packing and addresses": "Pack* Unpack* Get_address Aint_*",
    "datatypes": """
        Type_create_darray Type_create_f90_* Type_match_size Type_get_contents Type_get_value_index""",
    "buffers of Bsend": "Buffer_flush Buffer_iflush *_attach_buffer *_detach_buffer *_flush_buffer *_iflush_buffer",
    "handles as integers, the ABI": "*_toint *_fromint Abi_*",
    "the tool interface": "T_* Pcontrol",
    "hardware": "Get_hw_resource_info",
}
NEVER = {
    "removed or deprecated": "Attr_* Keyval_* Type_*_x",
    "init asks for a thread level": "Init",
    "a wait is the nonblocking twin and tests": "Ssend Recv Sendrecv Probe Mprobe Mrecv Waitall Waitany Waitsome",
    "other functions tell the same": "Get_elements Status_get_* Status_set_*",
    "counts of types fit an int, or go by other types": "Type_*_c Op_create_c",
}
ROWS = [(reason, pattern) for table in (LATER, NEVER) for reason, text in table.items() for pattern in text.split()]


@pytest.fixture(scope="module")
def unused():
    """What the compiled core does not leave to the MPI library to define: it cannot call that."""
    need("nm")
    declared = re.findall(r"^MPI\([^,]+, (\w+),", FUNCTIONS.read_text(), re.MULTILINE)
    module = importlib.util.find_spec("mmpi._core_std").origin
    symbols = subprocess.run(["nm", "-D", module], check=True, capture_output=True, text=True, timeout=60).stdout
    called = set(re.findall(r"\bMPI_(\w+)$", symbols, re.MULTILINE))
    assert len(declared) > 600 and "Send" in called
    return [name for name in declared if name not in called]


def matches(name, pattern):
    return fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix("_c"), pattern)


def test_every_function_is_called_or_has_a_reason(unused):
    assert [name for name in unused if not any(matches(name, pattern) for _, pattern in ROWS)] == []


def test_every_reason_is_needed(unused):
    assert [row for row in ROWS if not any(matches(name, row[1]) for name in unused)] == []
