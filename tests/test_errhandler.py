# SPDX-License-Identifier: BSD-3-Clause
"""Error handlers: the predefined ones, and Python functions."""

import contextlib
import gc

import pytest

from jobs import job
from mmpi import MPI

ranks = pytest.mark.mmpi(n=[1, 2])


@pytest.fixture
def comm():
    with MPI.COMM_SELF.Dup() as made:
        yield made


@ranks
def test_predefined_ones(comm):
    assert MPI.ERRORS_RETURN and MPI.ERRORS_ARE_FATAL and not MPI.ERRHANDLER_NULL
    with comm.Get_errhandler() as handler:
        assert handler == MPI.ERRORS_RETURN
        assert repr(handler) == "<Errhandler ERRORS_RETURN>"
    comm.Set_errhandler(MPI.ERRORS_ARE_FATAL)
    assert comm.Get_errhandler() == MPI.ERRORS_ARE_FATAL
    comm.Set_errhandler(MPI.ERRORS_RETURN)
    comm.Call_errhandler(MPI.ERR_OTHER)
    with pytest.raises(TypeError, match="errhandler"):
        comm.Set_errhandler(None)


@ranks
def test_a_function_sees_the_object_and_the_code(comm):
    seen = []
    comm.Set_errhandler(MPI.Comm.Create_errhandler(lambda *args: seen.append(args)))
    gc.collect()  # the handler lives with the communicator
    with contextlib.suppress(MPI.Exception):  # whether the call fails after that is up to the library
        comm.Send(b"x", 5)
    ((obj, code),) = seen
    assert obj == comm and type(obj) is MPI.Intracomm and obj.size == 1
    assert MPI.Get_error_class(code) == MPI.ERR_RANK
    comm.Call_errhandler(MPI.ERR_OTHER)
    assert seen[1][1] == MPI.ERR_OTHER


@ranks
def test_a_duplicate_has_the_handler_of_new_communicators(comm):
    seen = []
    with MPI.Comm.Create_errhandler(lambda *args: seen.append(args)) as handler:
        comm.Set_errhandler(handler)
    with comm.Dup() as other, pytest.raises(MPI.Exception):
        other.Send(b"x", 5)
    assert seen == []


@ranks
def test_a_freed_handler_goes_on_where_it_is_set(comm):
    seen = []
    handler = MPI.Comm.Create_errhandler(lambda *args: seen.append(args))
    comm.Set_errhandler(handler)
    handler.Free()
    assert handler == MPI.ERRHANDLER_NULL
    comm.Call_errhandler(MPI.ERR_OTHER)
    assert len(seen) == 1


@ranks
def test_as_many_as_are_freed_in_turn(comm):
    for i in range(100):
        seen = []
        with MPI.Comm.Create_errhandler(lambda obj, code, to=seen: to.append(code)) as handler:
            comm.Set_errhandler(handler)
            comm.Call_errhandler(MPI.ERR_OTHER)
        assert seen == [MPI.ERR_OTHER], i
    comm.Set_errhandler(MPI.ERRORS_RETURN)


@ranks
def test_more_than_there_are_at_a_time():
    handlers = []
    with pytest.raises(RuntimeError, match="free one"):
        for _ in range(33):
            handlers.append(MPI.Comm.Create_errhandler(print))
    for handler in handlers:
        handler.Free()


@ranks
def test_what_is_no_function():
    with pytest.raises(TypeError, match="cannot be called"):
        MPI.Comm.Create_errhandler(3)
    with pytest.raises(TypeError):
        MPI.Comm.Create_errhandler()


def test_an_exception_in_a_handler_ends_the_job_and_is_shown():
    result = job(2, """
        from mmpi import MPI
        def fail(comm, code):
            raise LookupError("in the handler")
        MPI.COMM_WORLD.Set_errhandler(MPI.Comm.Create_errhandler(fail))
        if MPI.COMM_WORLD.rank == 1:
            MPI.COMM_WORLD.Send(b"x", 7)
        MPI.COMM_WORLD.Barrier()
    """)
    assert result.returncode == 1
    assert "LookupError: in the handler" in result.stderr and "error handler" in result.stderr
