# SPDX-License-Identifier: BSD-3-Clause
"""What all handle objects have in common: free(), `with`, copies, comparison, pickling, and who frees what."""

import copy
import gc
import pickle

import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])

MAKERS = {
    "comm": lambda: MPI.COMM_WORLD.Dup(),
    "group": lambda: MPI.COMM_WORLD.Get_group(),
    "type": lambda: MPI.INT.Create_vector(2, 1, 3),
    "op": lambda: MPI.Op.Create(lambda a, b, t: None),
    "info": lambda: MPI.Info.Create(),
    "errhandler": lambda: MPI.Comm.Create_errhandler(lambda c, e: None),
    "request": lambda: MPI.COMM_WORLD.Isend(b"", MPI.PROC_NULL),
}
LOCAL = ["group", "type", "op", "info", "errhandler"]
NAMES = ["INT", "SUM", "GROUP_EMPTY", "INFO_ENV", "ERRORS_RETURN", "COMM_WORLD", "MESSAGE_NO_PROC"]
NULLS = ["DATATYPE_NULL", "OP_NULL", "GROUP_NULL", "INFO_NULL", "ERRHANDLER_NULL", "COMM_NULL", "MESSAGE_NULL", "REQUEST_NULL"]


@pytest.mark.parametrize("kind", MAKERS)
def test_free_and_with(kind):
    made = MAKERS[kind]()
    assert made
    with made as same:
        assert same is made
    assert not made and made == type(made)()
    for _ in range(2):
        made.free()


@pytest.mark.parametrize("kind", MAKERS)
def test_with_lets_exceptions_through_and_frees(kind):
    made = MAKERS[kind]()
    with pytest.raises(LookupError), made:
        raise LookupError
    assert not made


@pytest.mark.parametrize("name", NAMES)
def test_constants_stay(name):
    constant = getattr(MPI, name)
    with constant:
        pass
    constant.free()
    assert constant
    second = type(constant)(constant)
    assert second == constant and second is not constant
    second.free()
    assert not second and constant


@pytest.mark.parametrize("name", NAMES + NULLS)
def test_pickle_and_copy_of_constants(name):
    obj = getattr(MPI, name)
    assert pickle.loads(pickle.dumps(obj)) is obj and copy.deepcopy(obj) is obj
    second = pickle.loads(pickle.dumps(type(obj)(obj)))
    assert second == obj and type(second) is type(obj) and second is not obj


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in ("info", "request", "type", "op")])
def test_others_are_not_pickled(kind):
    with MAKERS[kind]() as made, pytest.raises(ValueError, match="this process only"):
        pickle.dumps(made)


@pytest.mark.parametrize("kind", LOCAL)
def test_the_second_object_keeps_the_first_alive(kind):
    first = MAKERS[kind]()
    second = type(first)(first)
    del first
    gc.collect()
    assert second
    second.free()  # once, not twice


@pytest.mark.parametrize("kind", LOCAL)
def test_who_was_given_the_handle_answers_for_it(kind):
    made = MAKERS[kind]()
    number, cls = made.handle, type(made)
    del made
    gc.collect()
    again = cls.fromhandle(number)
    again.free()


@pytest.mark.parametrize("kind", LOCAL)
def test_many_that_nobody_freed(kind):
    for _ in range(200 if kind == "op" else 3000):
        MAKERS[kind]() if kind != "errhandler" else MPI.COMM_SELF.Get_errhandler()


def test_a_type_may_go_away_while_it_is_in_use():
    comm = MPI.COMM_WORLD
    data, got = bytearray(range(12)), bytearray(12)
    other = (comm.rank + 1) % comm.size
    receive = comm.Irecv([got, 1, MPI.BYTE.Create_vector(6, 1, 2).Commit()], comm.rank - 1 if comm.rank else comm.size - 1)
    send = comm.Isend([data, 1, MPI.BYTE.Create_vector(6, 1, 2).Commit()], other)
    gc.collect()
    MPI.Request.Waitall([receive, send])
    assert got == bytearray(value if value % 2 == 0 else 0 for value in range(12))[:11] + b"\0"


def test_subclasses_keep_their_type():
    class Mine(MPI.Datatype):
        """A datatype of one's own."""

    made = Mine(MPI.INT.Create_contiguous(2))
    gc.collect()
    assert made.size == 2 * MPI.INT.size and type(made.Dup()) is Mine
    made.Free()
    with pytest.raises(TypeError):
        Mine(MPI.SUM)
