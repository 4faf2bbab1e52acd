# SPDX-License-Identifier: BSD-3-Clause
"""Operations: the predefined ones as Python callables, and those made of Python functions."""

import gc
import weakref

import numpy as np
import pytest

from arrays import CudaArray
from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

PREDEFINED = ["MAX", "MIN", "SUM", "PROD", "LAND", "BAND", "LOR", "BOR", "LXOR", "BXOR", "MAXLOC", "MINLOC"]


@pytest.fixture
def comm():
    return MPI.COMM_WORLD


def add(invec, inoutvec, datatype):
    """Element-wise sum of doubles."""
    assert datatype == MPI.DOUBLE
    target = np.frombuffer(inoutvec, "d")
    target += np.frombuffer(invec, "d")


def compose(invec, inoutvec, datatype):
    """Matrix product of 2 x 2 integer matrices: associative, not commutative; the left operand is `invec`."""
    left = np.frombuffer(invec, "q").reshape(-1, 2, 2)
    right = np.frombuffer(inoutvec, "q").reshape(-1, 2, 2)
    right[:] = left @ right


def matrices(rank):
    return np.array([[[1, rank + 1], [0, 1]], [[rank + 1, 1], [1, 0]]], "q")


def product(upto):
    result = matrices(0)
    for rank in range(1, upto):
        result = result @ matrices(rank)
    return result


# --- predefined -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PREDEFINED)
def test_predefined_operations(name):
    op = getattr(MPI, name)
    assert isinstance(op, MPI.Op) and op and op != MPI.OP_NULL
    assert op.Is_commutative() and op.is_commutative and op.is_predefined


def test_null_and_the_one_sided_operations():
    assert not MPI.OP_NULL and MPI.Op() == MPI.OP_NULL
    assert MPI.REPLACE and MPI.NO_OP and MPI.REPLACE != MPI.NO_OP
    assert MPI.SUM == MPI.Op(MPI.SUM) and MPI.SUM != MPI.PROD


@pytest.mark.parametrize(
    "name,a,b,expected",
    [
        ("SUM", 2, 5, 7),
        ("SUM", "ab", "c", "abc"),
        ("SUM", [1], [2], [1, 2]),
        ("PROD", 2, 5, 10),
        ("PROD", 1.5, 2, 3.0),
        ("MAX", 2, 5, 5),
        ("MAX", "b", "a", "b"),
        ("MIN", 2, 5, 2),
        ("LAND", 1, 0, False),
        ("LAND", 3, 4, True),
        ("LOR", 0, 4, True),
        ("LOR", 0, 0, False),
        ("LXOR", 1, 1, False),
        ("LXOR", 0, 7, True),
        ("BAND", 6, 3, 2),
        ("BOR", 6, 3, 7),
        ("BXOR", 6, 3, 5),
        ("BAND", {1, 2}, {2, 3}, {2}),
        ("MAXLOC", (1, 0), (3, 1), (3, 1)),
        ("MAXLOC", (3, 2), (3, 1), (3, 1)),
        ("MINLOC", (1, 0), (3, 1), (1, 0)),
        ("MINLOC", (1, 2), (1, 1), (1, 1)),
    ],
)
def test_calling_an_operation_combines_two_objects(name, a, b, expected):
    result = getattr(MPI, name)(a, b)
    assert result == expected and type(result) is type(expected)


def test_calling_on_arrays():
    a, b = np.array([1, 5]), np.array([2, 3])
    assert MPI.SUM(a, b).tolist() == [3, 8]
    assert MPI.PROD(a, b).tolist() == [2, 15]


def test_predefined_operations_are_not_to_be_freed():
    with pytest.raises((MPI.Exception, ValueError)):
        MPI.SUM.Free()
    assert MPI.SUM(1, 2) == 3


# --- made of Python functions -----------------------------------------------------------------------------


def test_create_and_use(comm):
    op = MPI.Op.Create(add, commute=True)
    assert op.Is_commutative() and not op.is_predefined
    into = np.zeros(7)
    comm.Allreduce(np.arange(7.0) + comm.rank, into, op=op)
    assert (into == comm.size * np.arange(7) + comm.size * (comm.size - 1) / 2).all()
    comm.Iallreduce(MPI.IN_PLACE, into, op=op).Wait()
    op.Free()
    assert op == MPI.OP_NULL and not op


def test_operands_come_in_rank_order_if_not_commutative(comm):
    op = MPI.Op.Create(compose)
    assert not op.Is_commutative() and not op.is_commutative
    into = np.zeros((2, 2, 2), "q")
    comm.Allreduce(matrices(comm.rank), into, op=op)
    assert (into == product(comm.size)).all()
    comm.Scan(matrices(comm.rank), into, op=op)
    assert (into == product(comm.rank + 1)).all()
    comm.Reduce(matrices(comm.rank), into, op=op, root=comm.size - 1)
    if comm.rank == comm.size - 1:
        assert (into == product(comm.size)).all()
    op.Free()


@pytest.mark.parametrize("name", ["Reduce", "Allreduce", "Scan", "Exscan", "Reduce_scatter_block"])
def test_every_reduction_takes_it(comm, name):
    op = MPI.Op.Create(add, True)
    results = []
    for chosen in (op, MPI.SUM):
        for prefix in ("", "I"):
            into = np.zeros(2 if "block" in name else 2 * comm.size)
            method = getattr(comm, "I" + name.lower() if prefix else name)
            request = method(np.arange(2.0 * comm.size) + comm.rank, into, op=chosen)
            if prefix:
                request.Wait()
            if not (name == "Exscan" and comm.rank == 0):
                results.append(into.tolist())
    assert all(result == results[0] for result in results)
    op.Free()


def test_there_is_no_limit_to_their_number(comm):
    def maker(factor):
        def scaled(invec, inoutvec, datatype):
            target = np.frombuffer(inoutvec, "d")
            target[:] = np.maximum(target, np.frombuffer(invec, "d")) + 0 * factor
            seen.append(factor)

        return scaled

    seen = []
    ops = [MPI.Op.Create(maker(i), True) for i in range(200)]
    if comm.size > 1:
        for i in (0, 1, 63, 64, 65, 150, 199):
            seen.clear()
            into = np.zeros(1)
            comm.Allreduce(np.array([float(comm.rank)]), into, op=ops[i])
            assert into[0] == comm.size - 1 and set(seen) <= {i}
    for op in ops:
        op.Free()


def test_made_and_freed_many_times(comm):
    for _ in range(300):
        op = MPI.Op.Create(add, True)
        into = np.zeros(1)
        comm.Allreduce(np.ones(1), into, op=op)
        assert into[0] == comm.size
        op.Free()


def test_freed_while_a_reduction_is_under_way(comm):
    op = MPI.Op.Create(lambda a, b, t: add(a, b, t), True)
    into = np.zeros(1000)
    request = comm.Iallreduce(np.ones(1000), into, op=op)
    op.Free()
    del op
    gc.collect()
    request.Wait()
    assert (into == comm.size).all()


def test_a_dropped_operation_that_was_not_freed_still_works(comm):
    into = np.zeros(10)
    request = comm.Iallreduce(np.ones(10), into, op=MPI.Op.Create(lambda a, b, t: add(a, b, t), True))
    gc.collect()
    request.Wait()
    assert (into == comm.size).all()


def test_calling_a_made_operation_calls_its_function():
    op = MPI.Op.Create(lambda a, b, t=None: a * 10 + b)
    assert op(1, 2) == 12
    op.Free()


def test_the_callback_gets_memory_that_ends_with_it(comm):
    """What a callback keeps must not be read later; at least keeping it must not crash."""
    kept = []

    def greedy(invec, inoutvec, datatype):
        kept.append(invec)
        add(invec, inoutvec, datatype)

    op = MPI.Op.Create(greedy, True)
    into = np.zeros(4)
    comm.Allreduce(np.ones(4), into, op=op)
    op.Free()
    assert (into == comm.size).all()
    kept.clear()


def test_the_callback_may_be_called_in_pieces_of_any_length(comm):
    lengths = []

    def measuring(invec, inoutvec, datatype):
        assert len(memoryview(invec)) == len(memoryview(inoutvec))
        lengths.append(memoryview(invec).nbytes)
        add(invec, inoutvec, datatype)

    op = MPI.Op.Create(measuring, True)
    into = np.zeros(100_000)
    comm.Allreduce(np.ones(100_000), into, op=op)
    assert (into == comm.size).all() and all(length % 8 == 0 for length in lengths)
    op.Free()


def test_operations_can_be_weakly_referenced():
    op = MPI.Op.Create(add)
    watch = weakref.ref(op)
    op.Free()
    del op
    gc.collect()
    assert watch() is None


# --- wrong arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [None, 3, "sum"])
def test_what_cannot_be_called(bad):
    with pytest.raises(TypeError, match="function|callable"):
        MPI.Op.Create(bad)


def test_a_freed_operation(comm):
    op = MPI.Op.Create(add, True)
    op.Free()
    with pytest.raises((MPI.Exception, ValueError), match="(?i)op"):
        comm.Allreduce(np.zeros(1), np.zeros(1), op=op)
    with pytest.raises((MPI.Exception, ValueError)):
        op.Free()


def test_an_operation_on_a_type_it_does_not_know(comm):
    with pytest.raises(MPI.Exception) as caught:
        comm.Allreduce(np.zeros(1), np.zeros(1), op=MPI.BXOR)
    assert caught.value.Get_error_class() in (MPI.ERR_OP, MPI.ERR_TYPE)


def test_calling_with_the_wrong_number_of_objects():
    with pytest.raises(TypeError):
        MPI.SUM(1)
    with pytest.raises((TypeError, ValueError)):
        MPI.OP_NULL(1, 2)


def test_the_call_that_holds_most():
    """Two specs in lists of arrays that cannot be read in place, and an operation of Python: all is held until the end."""
    data, into = np.arange(4.0), np.zeros(4)

    def add(a, b, datatype):
        np.frombuffer(b)[:] += np.frombuffer(a)

    op = MPI.Op.Create(add, commute=True)
    request = MPI.COMM_SELF.Iallreduce([CudaArray(data), (4, 0), MPI.DOUBLE], [CudaArray(into), (4, 0), MPI.DOUBLE], op)
    request.Wait()
    op.Free()
    assert (into == data).all()
