# SPDX-License-Identifier: BSD-3-Clause
"""The names of mmpi.MPI, and what it says about the library, the machine and errors."""

import copy
import ctypes
import inspect
import pickle
import socket
import time
import weakref

import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])

INTEGERS = """
    ANY_SOURCE ANY_TAG PROC_NULL UNDEFINED BSEND_OVERHEAD IDENT CONGRUENT SIMILAR UNEQUAL
    CART ORDER_C ORDER_FORTRAN COMM_TYPE_SHARED TAG_UB WTIME_IS_GLOBAL
    THREAD_SINGLE THREAD_FUNNELED THREAD_SERIALIZED THREAD_MULTIPLE
    MAX_PROCESSOR_NAME MAX_ERROR_STRING MAX_LIBRARY_VERSION_STRING MAX_OBJECT_NAME
    SUCCESS ERR_BUFFER ERR_COUNT ERR_TYPE ERR_TAG ERR_COMM ERR_RANK ERR_REQUEST ERR_ROOT ERR_GROUP ERR_OP ERR_TOPOLOGY
    ERR_DIMS ERR_ARG ERR_UNKNOWN ERR_TRUNCATE ERR_OTHER ERR_INTERN ERR_IN_STATUS ERR_PENDING ERR_LASTCODE
    VERSION SUBVERSION
""".split()
DATATYPES = """
    DATATYPE_NULL PACKED BYTE AINT OFFSET COUNT CHAR WCHAR SIGNED_CHAR SHORT INT LONG LONG_LONG
    UNSIGNED_CHAR UNSIGNED_SHORT UNSIGNED UNSIGNED_LONG UNSIGNED_LONG_LONG FLOAT DOUBLE LONG_DOUBLE C_BOOL
    INT8_T INT16_T INT32_T INT64_T UINT8_T UINT16_T UINT32_T UINT64_T
    C_COMPLEX C_FLOAT_COMPLEX C_DOUBLE_COMPLEX C_LONG_DOUBLE_COMPLEX
    SHORT_INT TWOINT LONG_INT FLOAT_INT DOUBLE_INT LONG_DOUBLE_INT
    UNSIGNED_INT SIGNED_SHORT SIGNED_INT SIGNED_LONG SIGNED_LONG_LONG BOOL INT_INT
    SINT8_T SINT16_T SINT32_T SINT64_T
""".split()
OPS = "OP_NULL MAX MIN SUM PROD LAND BAND LOR BOR LXOR BXOR MAXLOC MINLOC REPLACE NO_OP".split()
FUNCTIONS = """
    Init Init_thread Finalize Is_initialized Is_finalized Query_thread Is_thread_main
    Get_version Get_library_version Get_processor_name Get_error_class Get_error_string get_vendor
    Wtime Wtick Compute_dims Alloc_mem Free_mem Attach_buffer Detach_buffer
""".split()
METHODS = {
    "Comm": """
        Get_group Get_size Get_rank Compare Clone Dup Create Split Split_type Free Is_inter Is_intra Get_name Set_name
        Send Ssend Bsend Rsend Recv Sendrecv Sendrecv_replace Isend Issend Ibsend Irsend Irecv
        Probe Iprobe Mprobe Improbe Abort
        Barrier Bcast Gather Gatherv Scatter Scatterv Allgather Allgatherv Alltoall Alltoallv Alltoallw
        Reduce Allreduce Reduce_scatter Reduce_scatter_block
        Ibarrier Ibcast Igather Igatherv Iscatter Iscatterv Iallgather Iallgatherv Ialltoall Ialltoallv Ialltoallw
        Ireduce Iallreduce Ireduce_scatter Ireduce_scatter_block
        group size rank is_inter is_intra name
    """.split(),
    "Intracomm": "Scan Exscan Iscan Iexscan Create_cart".split(),
    "Cartcomm": "Get_dim Get_topo Get_cart_rank Get_coords Shift Sub dim ndim topo dims periods coords".split(),
    "Group": """
        Get_size Get_rank Translate_ranks Compare Union Intersection Intersect Difference Incl Excl
        Range_incl Range_excl Free size rank
    """.split(),
    "Datatype": """
        Create_contiguous Create_vector Create_hvector Create_indexed Create_hindexed Create_indexed_block
        Create_hindexed_block Create_struct Create_subarray Create_resized Commit Free Dup
        Get_size Get_extent Get_true_extent Get_name Set_name size extent lb ub name
    """.split(),
    "Op": "Create Free Is_commutative is_commutative is_predefined".split(),
    "Request": """
        Wait Test Waitall Waitany Waitsome Testall Testany Testsome Cancel Free Get_status
    """.split(),
    "Message": "Probe Iprobe Recv Irecv".split(),
    "Status": """
        Get_source Set_source Get_tag Set_tag Get_error Set_error Get_count Get_elements Is_cancelled source tag error count
    """.split(),
    "Exception": "Get_error_code Get_error_class Get_error_string error_code error_class error_string".split(),
}


# --- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_constants(name):
    assert type(getattr(MPI, name)) is int


@pytest.mark.parametrize("name", DATATYPES)
def test_datatypes(name):
    assert type(getattr(MPI, name)) is MPI.Datatype


@pytest.mark.parametrize("name", OPS)
def test_operations(name):
    assert type(getattr(MPI, name)) is MPI.Op


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    assert callable(getattr(MPI, name))


@pytest.mark.parametrize("owner,name", [(owner, name) for owner, names in METHODS.items() for name in names])
def test_methods_and_properties(owner, name):
    assert hasattr(getattr(MPI, owner), name)


def test_the_other_predefined_objects():
    for name in ("GROUP_NULL", "GROUP_EMPTY"):
        assert type(getattr(MPI, name)) is MPI.Group
    assert type(MPI.REQUEST_NULL) is MPI.Request
    for name in ("MESSAGE_NULL", "MESSAGE_NO_PROC"):
        assert type(getattr(MPI, name)) is MPI.Message


def test_wildcards_differ_from_ranks_and_from_each_other():
    special = {MPI.ANY_SOURCE, MPI.PROC_NULL, MPI.UNDEFINED}
    assert len(special) == 3 and all(value < 0 for value in special)


def test_error_classes_are_different():
    classes = [name for name in INTEGERS if name.startswith("ERR_") and name != "ERR_LASTCODE"]
    assert len({getattr(MPI, name) for name in classes}) == len(classes)
    assert MPI.SUCCESS == 0


def test_thread_levels_are_ordered():
    levels = [MPI.THREAD_SINGLE, MPI.THREAD_FUNNELED, MPI.THREAD_SERIALIZED, MPI.THREAD_MULTIPLE]
    assert levels == sorted(set(levels))


def test_bottom_and_in_place():
    assert repr(MPI.BOTTOM) == "BOTTOM" and repr(MPI.IN_PLACE) == "IN_PLACE"
    assert int(MPI.BOTTOM) == 0 == MPI.BOTTOM and hash(MPI.BOTTOM) == hash(0)
    assert int(MPI.IN_PLACE) == MPI.IN_PLACE != MPI.BOTTOM


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_has_a_signature_and_a_docstring(name):
    owner = getattr(MPI, name)
    for attribute in METHODS[name]:
        thing = inspect.getattr_static(owner, attribute)
        text = inspect.getdoc(getattr(owner, attribute))
        assert text, f"{name}.{attribute} has no docstring"
        if attribute[0].isupper() and not isinstance(thing, property):
            assert "(" in str(inspect.signature(getattr(owner, attribute)))


def test_parameter_names_are_those_that_programs_use():
    def names(method):
        return [name for name in inspect.signature(method).parameters if name != "self"]

    assert names(MPI.Comm.Send) == ["buf", "dest", "tag"]
    assert names(MPI.Comm.Recv) == ["buf", "source", "tag", "status"]
    assert names(MPI.Comm.Bcast) == ["buf", "root"]
    assert names(MPI.Comm.Gatherv) == ["sendbuf", "recvbuf", "root"]
    assert names(MPI.Comm.Allreduce) == ["sendbuf", "recvbuf", "op"]
    assert names(MPI.Comm.Reduce) == ["sendbuf", "recvbuf", "op", "root"]
    assert names(MPI.Comm.Reduce_scatter) == ["sendbuf", "recvbuf", "recvcounts", "op"]
    assert names(MPI.Comm.Split) == ["color", "key"]
    assert names(MPI.Comm.Split_type) == ["split_type", "key", "info"]
    assert names(MPI.Intracomm.Create_cart) == ["dims", "periods", "reorder"]
    assert names(MPI.Cartcomm.Shift) == ["direction", "disp"]
    assert names(MPI.Cartcomm.Sub) == ["remain_dims"]
    assert names(MPI.Op.Create) == ["function", "commute"]
    assert names(MPI.Datatype.Create_vector) == ["count", "blocklength", "stride"]
    assert names(MPI.Datatype.Create_subarray) == ["sizes", "subsizes", "starts", "order"]


# --- objects as Python objects ---------------------------------------------------------------------------


HANDLES = ["COMM_WORLD", "COMM_SELF", "COMM_NULL", "GROUP_EMPTY", "GROUP_NULL", "INT", "DATATYPE_NULL", "SUM", "OP_NULL",
           "REQUEST_NULL", "MESSAGE_NULL"]  # fmt: skip


@pytest.mark.parametrize("name", HANDLES)
def test_predefined_handles_come_back_from_pickle_as_themselves(name):
    handle = getattr(MPI, name)
    assert pickle.loads(pickle.dumps(handle)) is handle
    assert copy.deepcopy(handle) is handle and copy.copy(handle) is handle


@pytest.mark.parametrize("name", HANDLES)
def test_handles_are_weakly_referenced_compared_and_nothing_else(name):
    handle = getattr(MPI, name)
    assert weakref.ref(handle)() is handle
    assert type(handle)(handle) == handle
    assert bool(handle) == (not name.endswith("_NULL"))
    with pytest.raises(TypeError):
        hash(handle)
    with pytest.raises(TypeError):
        _ = handle < handle


def test_modules_and_names_of_the_types():
    for name in METHODS:
        kind = getattr(MPI, name)
        if name != "Exception":  # it exists without a library
            assert kind.__module__ == MPI.__name__ and kind.__qualname__ == name
        assert "_core" not in repr(kind)


# --- the library and the machine --------------------------------------------------------------------------


def test_version():
    version, subversion = MPI.Get_version()
    assert (version, subversion) >= (3, 0) and (version, subversion) <= (9, 9)
    assert MPI.VERSION >= 3 and MPI.SUBVERSION >= 0


def test_library_version():
    text = MPI.Get_library_version()
    assert isinstance(text, str) and len(text) > 5 and "\0" not in text


def test_vendor():
    name, version = MPI.get_vendor()
    assert name in ("MPICH", "Open MPI", "Intel MPI", "MVAPICH", "Cray MPICH")
    assert len(version) == 3 and all(type(number) is int for number in version)
    text = MPI.Get_library_version()
    assert {"MPICH": "MPICH", "Open MPI": "Open MPI", "Intel MPI": "Intel"}.get(name, "") in text
    assert ".".join(map(str, version[:2])) in text


def test_processor_name():
    name = MPI.Get_processor_name()
    assert 0 < len(name) < MPI.MAX_PROCESSOR_NAME
    assert name.split(".")[0] == socket.gethostname().split(".")[0]


def test_wtime_is_a_clock_in_seconds():
    before, clock = MPI.Wtime(), time.monotonic()
    time.sleep(0.05)
    passed, expected = MPI.Wtime() - before, time.monotonic() - clock
    assert isinstance(before, float) and 0 < MPI.Wtick() < 1
    assert 0.5 * 0.05 <= passed <= expected + 1


def test_thread_level():
    assert MPI.Query_thread() == MPI.THREAD_MULTIPLE
    assert MPI.Is_thread_main() is True


def test_initialized_and_not_finalized():
    assert MPI.Is_initialized() is True and MPI.Is_finalized() is False


def test_memory():
    memory = MPI.Alloc_mem(100)
    view = memoryview(memory)
    assert view.nbytes == 100 and not view.readonly
    view[:] = bytes(range(100))
    MPI.COMM_SELF.Sendrecv([memory, 50, MPI.BYTE], 0, recvbuf=[view[50:], 50, MPI.BYTE], source=0)
    assert bytes(view[50:]) == bytes(range(50))
    del view
    MPI.Free_mem(memory)


# --- errors -----------------------------------------------------------------------------------------------


def test_error_strings_and_classes():
    assert MPI.Get_error_class(MPI.ERR_RANK) == MPI.ERR_RANK
    assert "rank" in MPI.Get_error_string(MPI.ERR_RANK).lower()
    assert isinstance(MPI.Get_error_string(MPI.SUCCESS), str)


def test_an_exception_made_by_hand():
    error = MPI.Exception(MPI.ERR_TAG)
    assert isinstance(error, RuntimeError)
    assert error.Get_error_code() == error.error_code == MPI.ERR_TAG
    assert error.Get_error_class() == error.error_class == MPI.ERR_TAG
    assert error.Get_error_string() == error.error_string == MPI.Get_error_string(MPI.ERR_TAG)
    assert error.error_string in str(error)
    assert error == MPI.Exception(MPI.ERR_TAG) and error == MPI.ERR_TAG and error != MPI.ERR_RANK
    assert int(error) == MPI.ERR_TAG and bool(error) and not MPI.Exception(MPI.SUCCESS)
    assert hash(error) == hash(MPI.Exception(MPI.ERR_TAG))
    assert MPI.Exception(1) < MPI.Exception(2) <= 2
    assert MPI.Exception().error_code == MPI.SUCCESS


def test_an_exception_survives_pickle():
    error = pickle.loads(pickle.dumps(MPI.Exception(MPI.ERR_TAG)))
    assert type(error) is MPI.Exception and error.error_code == MPI.ERR_TAG


def test_an_error_of_mpi_says_where_it_happened():
    comm = MPI.COMM_WORLD
    with pytest.raises(MPI.Exception) as caught:
        comm.Send(b"x", dest=comm.size + 3, tag=5)
    error = caught.value
    assert error.Get_error_class() == MPI.ERR_RANK
    note = "\n".join(getattr(error, "__notes__", []))
    assert "MPI_Send" in note or "Send" in note
    assert str(comm.size + 3) in note and f"rank {comm.rank}" in note and "COMM_WORLD" in note


def test_the_library_in_this_process_is_the_one_we_use():
    """MPI.Get_version by way of C gives the same: the library in this process is the one we use."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "MPI_Get_version"):
        pytest.skip("the library was opened for this module only")
    version, subversion = ctypes.c_int(), ctypes.c_int()
    assert library.MPI_Get_version(ctypes.byref(version), ctypes.byref(subversion)) == 0
    assert (version.value, subversion.value) == MPI.Get_version()


# --- wrong arguments --------------------------------------------------------------------------------------


def test_functions_check_their_arguments():
    with pytest.raises(TypeError):
        MPI.Wtime(1)
    with pytest.raises(TypeError):
        MPI.Get_error_string("rank")
    with pytest.raises((TypeError, ValueError, OverflowError, MPI.Exception, MemoryError)):
        MPI.Alloc_mem(-1)
    with pytest.raises((AttributeError, ImportError)):
        _ = MPI.COMM_WORD


def test_a_second_init():
    for again in (MPI.Init, MPI.Init_thread):
        with pytest.raises(MPI.Exception):
            again()
