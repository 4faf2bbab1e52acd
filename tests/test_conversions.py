# SPDX-License-Identifier: BSD-3-Clause
"""Handles as integers and addresses, errors of one's own, buffers of buffered sends, addresses, what the library tells of itself."""

import ctypes
import pickle

import cffi
import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])

OBJECTS = "COMM_WORLD INT SUM GROUP_EMPTY INFO_ENV ERRORS_RETURN MESSAGE_NO_PROC REQUEST_NULL COMM_NULL DATATYPE_NULL".split()


@pytest.mark.parametrize("name", OBJECTS)
def test_there_and_back(name):
    obj = getattr(MPI, name)
    cls = type(obj)
    assert cls.fromhandle(obj.handle) == cls.fromint(obj.toint()) == cls.f2py(obj.py2f()) == obj
    assert type(cls.f2py(obj.py2f())) is cls


def test_a_made_type_there_and_back():
    with MPI.INT.Create_contiguous(3) as made:
        assert MPI.Datatype.f2py(made.py2f()).size == made.size
    with pytest.raises(TypeError):
        MPI.Comm.fromint("text")
    with pytest.raises(OverflowError):
        MPI.Comm.fromint(2**40)


def test_status_there_and_back():
    status = MPI.Status()
    status.source, status.tag, status.error = 3, 5, MPI.ERR_OTHER
    fortran = status.py2f()
    assert (fortran[MPI.F_SOURCE], fortran[MPI.F_TAG], fortran[MPI.F_ERROR]) == (3, 5, MPI.ERR_OTHER)
    assert len(fortran) == MPI.F_STATUS_SIZE and MPI.Status.f2py(fortran) == status
    memory = status.tomemory()
    memory[list(memory).index(5)] = 6
    assert memory.nbytes == MPI._sizeof(MPI.Status) and status.tag == 6
    with pytest.raises(ValueError, match="length"):
        MPI.Status.f2py([1, 2])


def test_where_the_handle_lies():
    comm = MPI.COMM_WORLD
    size = MPI._sizeof(comm)
    assert size == MPI._sizeof(MPI.Comm) and size in (4, 8)
    kind = ctypes.c_uint32 if size == 4 else ctypes.c_uint64
    assert kind.from_address(MPI._addressof(comm)).value == comm.handle == MPI._handleof(comm)
    status = MPI.Status()
    assert MPI._addressof(status) == MPI._handleof(status)
    for function in (MPI._sizeof, MPI._addressof, MPI._handleof):
        with pytest.raises(TypeError):
            function(None)
    with pytest.raises(TypeError, match="class"):
        MPI._addressof(MPI.Comm)


# --- errors -------------------------------------------------------------------------------------------------


def test_errors_of_ones_own():
    cls = MPI.Add_error_class()
    code = MPI.Add_error_code(cls)
    assert cls > MPI.ERR_LASTCODE and MPI.Get_error_class(code) == cls
    MPI.Add_error_string(code, "out of luck")
    assert MPI.Get_error_string(code) == str(MPI.Exception(code)) == "out of luck"
    assert repr(MPI.Exception(code)) == f"MPI.Exception({code})"
    try:
        MPI.Remove_error_string(code)
        MPI.Remove_error_code(code)
        MPI.Remove_error_class(cls)
    except NotImplementedError as error:
        assert MPI.Get_version() < (4, 1) and "MPI 4.1" in str(error)


# --- buffers of buffered sends ------------------------------------------------------------------------------


@pytest.fixture(params=["process", "communicator"])
def place(request, mmpi_comm):
    """Where a buffer is attached: all of MPI, or a communicator."""
    return MPI if request.param == "process" else mmpi_comm


def test_attach_and_detach(place, mmpi_comm):
    memory = bytearray(MPI.BSEND_OVERHEAD + 4096)
    try:
        place.Attach_buffer(memory)
    except NotImplementedError as error:
        assert MPI.Get_version() < (4, 1) and "MPI 4.1" in str(error)
        return
    mmpi_comm.Bsend(b"abc", mmpi_comm.rank)
    got = bytearray(3)
    mmpi_comm.Recv(got, mmpi_comm.rank)
    try:
        place.Flush_buffer()
        place.Iflush_buffer().Wait()
    except NotImplementedError:
        assert MPI.Get_version() < (4, 1)
    with pytest.raises(MPI.Exception, match="attached already"):
        place.Attach_buffer(bytearray(10))
    assert place.Detach_buffer() is memory and got == b"abc"
    assert place.Detach_buffer() is None
    with pytest.raises((ValueError, BufferError, TypeError)):
        place.Attach_buffer(b"constant")
    assert place.Detach_buffer() is None


def test_memory_of_mpi_itself(place, mmpi_comm):
    try:
        place.Attach_buffer(None)
    except NotImplementedError:
        assert MPI.Get_version() < (4, 1)
        return
    mmpi_comm.Bsend(bytes(1000), mmpi_comm.rank)
    mmpi_comm.Recv(bytearray(1000), mmpi_comm.rank)
    assert place.Detach_buffer() is None


# --- addresses and information ------------------------------------------------------------------------------


def test_addresses():
    array = np.arange(10.0)
    base = MPI.Get_address(array)
    assert base == array.ctypes.data and MPI.Get_address(array[3:]) == MPI.Aint_add(base, 24)
    assert MPI.Aint_diff(MPI.Get_address(array[::-1]), base) == 72
    assert MPI.Get_address(MPI.BOTTOM) == MPI.BOTTOM
    assert MPI.Get_address(None) == 0
    with pytest.raises(TypeError, match="location"):
        MPI.Get_address("text")


def test_what_the_library_tells():
    version = MPI.Get_abi_version()
    assert version == (-1, -1) or version >= (1, 0)
    with MPI.Get_abi_info() as info:
        assert {info.get(f"mpi_{name}_size") for name in ("aint", "count", "offset")} == {"8"}
    info = MPI.Get_abi_fortran_info()
    for name in () if info == MPI.INFO_NULL else ("INTEGER", "REAL", "DOUBLE_PRECISION"):
        assert info[f"mpi_{name.lower()}_size"] == str(getattr(MPI, name).size)
    for name in () if info == MPI.INFO_NULL else ("INTEGER4", "REAL2", "COMPLEX32", "LOGICAL16", "DOUBLE_COMPLEX"):
        found = getattr(MPI, name)
        assert info[f"mpi_{name.lower()}_supported"] == str(bool(found and found.size)).lower()
    try:
        assert isinstance(MPI.Get_hw_resource_info(), MPI.Info)
    except NotImplementedError as error:
        assert MPI.Get_version() < (4, 1) and "MPI" in str(error)
    MPI.Pcontrol(1)


# --- operations of C ----------------------------------------------------------------------------------------

FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p)


@FUNCTION
def multiply(a, b, count, datatype):
    left, right = ((ctypes.c_double * count[0]).from_address(address) for address in (a, b))
    for i in range(count[0]):
        right[i] *= left[i]


@pytest.mark.parametrize("form", ["ctypes", "address", "cffi", "numba"])
def test_c_functions_as_operations(mmpi_comm, form):
    function = multiply
    if form != "ctypes":
        function = ctypes.cast(multiply, ctypes.c_void_p).value
    if form == "cffi":
        function = cffi.FFI().cast("void (*)(void *, void *, int *, void *)", function)
    if form == "numba":  # what its cfunc has; Numba itself would bring LLVM along
        function = type("CFunc", (), {"__module__": "numba.core.ccallback", "address": function})()
    with MPI.Op.Create(function, True) as op:
        result = np.zeros(3)
        mmpi_comm.Allreduce(np.array([2.0, 3.0, 4.0]), result, op)
        assert (result == np.array([2.0, 3.0, 4.0]) ** mmpi_comm.size).all() and not op.is_predefined


def test_more_operations_than_ever_at_a_time():
    def add(a, b, datatype):
        np.frombuffer(b, "d")[:] += np.frombuffer(a, "d")

    for _ in range(3):
        ops = [MPI.Op.Create(add, True) for _ in range(256)]
        into = np.ones(2)
        for op in (ops[0], ops[63], ops[64], ops[255]):
            op.Reduce_local(np.ones(2), into)
        assert (into == 5).all()


def test_pickle_of_an_operation():
    with MPI.Op.Create(multiply_in_python, True) as op:
        other = pickle.loads(pickle.dumps(op))
        assert other != op and other.Is_commutative() and other(2, 3) == 6


def multiply_in_python(a, b, datatype):
    return a * b
