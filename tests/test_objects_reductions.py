# SPDX-License-Identifier: BSD-3-Clause
"""Reductions of Python objects against functools.reduce: numbers, arrays, anything with an operator, any callable."""

import collections
import datetime
import functools
import inspect
import math
import operator
import random
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import mmpi
from alike import CannotTravel, agree, check_remote, check_usable, same, until
from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

MOST = 5  # ranks that have operands of their own in a list; more begin again
SAME_ON_ALL_RANKS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def minloc(x, y):
    (a, i), (b, j) = x, y
    return (a, i) if a < b else (b, j) if b < a else (a, min(i, j))


def maxloc(x, y):
    (a, i), (b, j) = x, y
    return (a, i) if b < a else (b, j) if a < b else (a, min(i, j))


FUNCTIONS = {  # what the operations do to two objects
    "SUM": operator.add,
    "PROD": operator.mul,
    "MAX": lambda x, y: y if x < y else x,
    "MIN": lambda x, y: y if y < x else x,
    "LAND": lambda x, y: bool(x) and bool(y),
    "LOR": lambda x, y: bool(x) or bool(y),
    "LXOR": lambda x, y: bool(x) != bool(y),
    "BAND": operator.and_,
    "BOR": operator.or_,
    "BXOR": operator.xor,
    "MINLOC": minloc,
    "MAXLOC": maxloc,
    "REPLACE": lambda x, y: y,  # as in mpi4py: in a reduction the later rank replaces the earlier
    "NO_OP": lambda x, y: x,
}
ON_NUMBERS = ["SUM", "PROD", "MAX", "MIN", "LAND", "LOR", "LXOR", "REPLACE", "NO_OP"]
ON_INTS = [*ON_NUMBERS, "BAND", "BOR", "BXOR"]


@pytest.fixture
def comm(mmpi_comm):
    return mmpi_comm


# --- the five kinds of reductions ----------------------------------------------------------------------------------


def allreduce(comm, item, op):
    return comm.allreduce(item, op)


def iallreduce(comm, item, op):
    request = comm.iallreduce(item, op)
    assert type(request) is MPI.Request
    return request.wait()


def reduce_to(root):
    def reduce(comm, item, op):
        return comm.reduce(item, op, root % comm.size)

    return reduce


def scan(comm, item, op):
    return comm.scan(item, op)


def exscan(comm, item, op):
    return comm.exscan(item, op)


WAYS = {"allreduce": allreduce, "iallreduce": iallreduce, "reduce": reduce_to(0), "reduce to the last": reduce_to(-1)}
WAYS |= {"scan": scan, "exscan": exscan}


def part(name, comm):
    """Of how many of the first ranks this rank gets the result; 0: none."""
    if name == "reduce":
        return comm.size if comm.rank == 0 else 0
    if name == "reduce to the last":
        return comm.size if comm.rank == comm.size - 1 else 0
    return {"scan": comm.rank + 1, "exscan": comm.rank}.get(name, comm.size)


def in_every_way(test):
    """One test of all kinds of reductions, one after the other: a test of its own for each is a minute more in all."""

    @functools.wraps(test)
    def run(comm, **options):
        for way in WAYS:
            try:
                test(comm, way, **options)
            except Exception as error:
                error.add_note(f"way: {way}")
                raise

    signature = inspect.signature(test)
    run.__signature__ = signature.replace(parameters=[p for name, p in signature.parameters.items() if name != "way"])
    return run


def operands(comm, values):
    return [values[rank % len(values)] for rank in range(comm.size)]


def fold(function, items):
    return functools.reduce(function, items) if items else None


def check(comm, way, values, op, function=None, equal=same):
    """The result of this rank is the fold of the operands it is made of, in the order of ranks; None where there is none."""
    items = operands(comm, values)
    expected = fold(function or FUNCTIONS[op], items[: part(way, comm)])
    got = WAYS[way](comm, items[comm.rank], getattr(MPI, op) if isinstance(op, str) else op)
    assert equal(got, expected), f"{got!r} is not {expected!r}"


def needs_error(comm, way, values, function, kind):
    """Does any rank combine what cannot be combined? In the result of exscan the last operand is missing."""
    items = operands(comm, values)[: comm.size - (way == "exscan")]
    try:
        fold(function, items)
    except kind:
        return True
    return False


def check_error(comm, way, values, op, kind, equal=same):
    """Everybody raises: who met the error itself, and those who heard of it. None do where nothing is combined."""
    if not needs_error(comm, way, values, FUNCTIONS[op], kind):
        check(comm, way, values, op, equal=equal)
        return
    with pytest.raises((kind, mmpi.RemoteError)) as caught:
        WAYS[way](comm, operands(comm, values)[comm.rank], getattr(MPI, op))
    original = not isinstance(caught.value, mmpi.RemoteError)
    if not original:
        assert kind.__name__ in str(caught.value) and 0 <= caught.value.rank < comm.size
    assert not agree(comm, not original), "nobody has the original error"


# --- numbers -------------------------------------------------------------------------------------------------------

BIG = 2**63
NUMBERS = {
    "ints": [3, -1, 7, 0, 12],
    "positive ints": [3, 1, 7, 2, 12],
    "equal ints": [5] * 5,
    "bools": [True, False, True, True, False],
    "all true": [True] * 5,
    "floats": [0.5, -2.0, 4.0, 0.25, 8.0],
    "floats with zeros": [0.0, 1.5, 0.0, 2.0, 0.5],
    "infinities": [1.0, math.inf, 2.0, 3.0, math.inf],
    "ints and floats": [1, 2.5, 3, 4, 0.5],
    "one float last": [1, 2, 3, 4, 5.0],
    "bools and ints": [True, 2, False, 3, True],
    "bools and floats": [True, 2.5, False, True, 3.0],
    "equal of two types": [2.0, 2, True, 2, 2.0],
    "at the edge": [BIG - 1, -BIG, BIG - 1, 0, 1],
    "beyond the edge": [BIG - 1, 1, BIG - 1, 2, 3],
    "below the edge": [-BIG, -1, -BIG, -2, -3],
    "one is too large": [1, 2**64, 3, -4, 5],
    "one is far too large": [1, 2, -(3**500), 4, 5],
    "all are too large": [2**70, 2**71, -(2**72), 2**73, 1 - 2**70],
    "large factors": [2**40, -(2**30), 2**20, 3, 5],
    "factors at the edge": [2**31, -(2**32), 1, 1, 1],
    "large and float": [2**62, 2.0**62, 1, 2**63 - 1, 0.5],
}
COMPLEX = {
    "complex": [1 + 2j, -1j, 2.5 + 0j, 3j, 1 + 1j],
    "complex and others": [1, 2.5 + 1j, True, 2j, 0.5],
}


@pytest.mark.parametrize("kind", NUMBERS)
@in_every_way
def test_numbers(comm, way, kind):
    values = NUMBERS[kind]
    integers = all(isinstance(value, int) for value in values)
    for op in ON_INTS if integers else ON_NUMBERS:
        check(comm, way, values, op)


@pytest.mark.parametrize("kind", COMPLEX)
@in_every_way
def test_complex_numbers(comm, way, kind):
    for op in ("SUM", "PROD", "LAND", "LOR", "LXOR", "REPLACE", "NO_OP"):
        check(comm, way, COMPLEX[kind], op)


def test_every_root(comm):
    for root in range(comm.size):
        for values in (NUMBERS["ints"], NUMBERS["one is too large"], ["a", "b", "c", "d", "e"], [np.arange(3.0)] * 5):
            items = operands(comm, values)
            got = comm.reduce(items[comm.rank], root=root)
            assert same(got, fold(operator.add, items) if comm.rank == root else None)


def test_arguments_by_name(comm):
    size, rank = comm.size, comm.rank
    product, most = math.factorial(size), size
    assert comm.allreduce(op=MPI.PROD, sendobj=rank + 1) == product
    assert comm.reduce(root=size - 1, op=MPI.PROD, sendobj=rank + 1) == (product if rank == size - 1 else None)
    assert comm.scan(op=MPI.MAX, sendobj=rank + 1) == rank + 1
    assert comm.exscan(op=MPI.MAX, sendobj=rank + 1) == (rank or None)
    assert comm.iallreduce(op=MPI.MAX, sendobj=rank + 1).wait() == most
    assert comm.allreduce(1) == size  # a sum unless told
    assert comm.reduce(1) == (size if rank == 0 else None)
    assert comm.scan(1) == rank + 1 and comm.exscan(1) == (rank or None)


@pytest.mark.parametrize("start", [BIG - 1, -BIG])
@in_every_way
def test_a_prefix_overflows_and_the_total_does_not(comm, way, start):
    step = 1 if start > 0 else -1
    check(comm, way, [start, step, step, -5 * step, -step], "SUM")
    check(comm, way, [2**40, 2**40, 0, 1, 1], "PROD")
    check(comm, way, [2**62, 4, 2**10, 0, -1], "PROD")


@in_every_way
def test_sums_of_floats_are_exact_enough(comm, way):
    """Rounding may go by another order than that of ranks."""

    def close(a, b):
        return a is b is None or (type(a) is type(b) and math.isclose(a, b, rel_tol=1e-14, abs_tol=1e-300))

    own = random.Random(7)
    for op in ("SUM", "PROD"):
        check(comm, way, [own.uniform(0.5, 2) for _ in range(5)], op, equal=close)
    check(comm, way, [1e308, 1e308, 1.0, 1.0, 1.0], "SUM", equal=close)


def test_all_ranks_have_the_same_result_with_nan(comm):
    """Whatever it is: a comparison with NaN is false, so that MAX and MIN depend on the order of operands."""
    for place in range(comm.size):
        for values in ([1.0, 2.0, -1.0, 5.0, 0.0], [1, 2, -1, 5, 0], [math.nan] * 5):
            items = operands(comm, values)
            items[place] = math.nan
            for op in (MPI.MAX, MPI.MIN, MPI.SUM, MPI.PROD):
                for got in (comm.allreduce(items[comm.rank], op), comm.iallreduce(items[comm.rank], op).wait()):
                    everyone = comm.allgather(repr(got))
                    assert everyone == [everyone[0]] * comm.size
                    assert got in items or math.isnan(got)
                    assert op in (MPI.MAX, MPI.MIN) or math.isnan(got)


def test_signed_zeros_and_infinities(comm):
    assert comm.allreduce(-math.inf if comm.rank else math.inf, MPI.MAX) == math.inf
    total = comm.allreduce(-math.inf if comm.rank else math.inf)
    assert math.isnan(total) or comm.size == 1
    assert repr(comm.allreduce(-0.0)) == "-0.0"
    assert comm.allreduce(0.0 if comm.rank else -0.0, MPI.MAX) == 0


class Metres(float):
    """A number of a class of its own."""

    def __add__(self, other):
        return Metres(float(self) + float(other))


class Count(int):
    """Another."""

    def __add__(self, other):
        return Count(int(self) + int(other))


@in_every_way
def test_numbers_that_only_look_like_builtins(comm, way):
    """Subclasses and NumPy's scalars keep their own addition."""
    check(comm, way, [Metres(rank) for rank in range(MOST)], "SUM")
    check(comm, way, [Count(rank) for rank in range(MOST)], "SUM")
    check(comm, way, [Metres(0.5), 1.5, 2], "SUM")
    check(comm, way, [np.float64(1.5), np.float64(2)], "SUM")
    check(comm, way, [np.int8(100), np.int8(20), np.int8(1), np.int8(2), np.int8(3)], "SUM")
    check(comm, way, [np.float32(1.5), 2.5, 3], "SUM")
    check(comm, way, [np.bool_(True), np.bool_(False)], "BOR")


@pytest.mark.parametrize("op", ["BAND", "BOR", "BXOR"])
@in_every_way
def test_bits_of_floats(comm, way, op):
    check_error(comm, way, [1.5, 2.5, 3, 4, 5], op, TypeError)
    check_error(comm, way, [1, 2, 3, 4, 0.5], op, TypeError)
    check_error(comm, way, [1, 2.5, 3, 4, 5], op, TypeError)
    check_usable(comm)


@pytest.mark.parametrize("op", ["MAX", "MIN"])
@in_every_way
def test_complex_numbers_have_no_order(comm, way, op):
    check_error(comm, way, [1j, 2, 3, 4, 5], op, TypeError)
    check_error(comm, way, [1j, 2j, 3j, 4j, 5j], op, TypeError)
    check_usable(comm)


PAIRS = {
    "ints": [(3, 0), (1, 1), (3, 2), (1, 3), (2, 4)],
    "ties": [(5, 4), (5, 2), (5, 3), (5, 1), (5, 2)],
    "floats": [(0.5, 1), (2.5, 7), (-1.5, 0), (2.5, 3), (0.0, 9)],
    "numbers of two types": [(1, 0), (1.0, 1), (2, 2), (2.0, 3), (0.5, 4)],
    "large": [(2**70, 0), (-(2**70), 1), (2**70, 2), (0, 3), (1, 4)],
    "words": [("b", "x"), ("a", "y"), ("c", "z"), ("a", "a"), ("c", "a")],
    "lists": [[1, 2], [3, 4], [3, 1], [0, 5], [0, 1]],
}


@pytest.mark.parametrize("op", ["MINLOC", "MAXLOC"])
@pytest.mark.parametrize("kind", PAIRS)
@in_every_way
def test_pairs(comm, way, op, kind):
    check(comm, way, PAIRS[kind], op)


@pytest.mark.parametrize("op", ["MINLOC", "MAXLOC"])
@in_every_way
def test_what_is_no_pair(comm, way, op):
    check_error(comm, way, [1, 2, 3, 4, 5], op, TypeError)
    check_error(comm, way, [(1, 2, 3)] * 5, op, ValueError)
    check_usable(comm)


# --- anything with an operator -------------------------------------------------------------------------------------


class Word:
    """An object with an addition of its own."""

    def __init__(self, text):
        self.text = text

    def __add__(self, other):
        return Word(self.text + other.text)

    def __eq__(self, other):
        return type(other) is Word and self.text == other.text

    __hash__ = None


Point = collections.namedtuple("Point", "x y")
OBJECTS = {
    "text": (["ab", "c", "", "déf", "g"], ["SUM", "MAX", "MIN", "LAND", "LOR"]),
    "long text": (["a" * 100_000, "b", "c" * 3000, "d" * 300_000, ""], ["SUM", "MAX"]),
    "bytes": ([b"ab", b"c", b"", b"d", b"e"], ["SUM", "MIN"]),
    "lists": ([[1], [], [2, "x"], [None], [[3]]], ["SUM", "LOR"]),
    "tuples": ([(1, 2), (), (0,), (3, "x"), (1,)], ["SUM"]),
    "comparable tuples": ([(1, 2), (), (0,), (3, 1), (1,)], ["SUM", "MAX", "MIN"]),
    "named tuples": ([Point(1, 2), Point(0, 5), Point(3, 0), Point(1, 1), Point(2, 2)], ["MAX", "MIN"]),
    "sets": ([{1, 2}, {2, 3}, {2, 4}, {2}, {2, 5}], ["BAND", "BOR", "BXOR", "LAND"]),
    "frozen sets": ([frozenset("ab"), frozenset("b"), frozenset("bc"), frozenset("b"), frozenset("xb")], ["BAND", "BOR", "BXOR"]),
    "dicts": ([{"a": 1}, {"a": 2, "b": 3}, {}, {"c": 4}, {"b": 5}], ["BOR"]),
    "fractions": ([Fraction(1, 3), Fraction(2, 7), 5, Fraction(-1, 9), True], ["SUM", "PROD", "MAX", "MIN"]),
    "decimals": ([Decimal("1.10"), Decimal("2.5"), 3, Decimal("-0.7"), Decimal(4)], ["SUM", "PROD", "MAX", "MIN"]),
    "counters": ([collections.Counter(text) for text in ("abc", "aab", "", "xy", "a")], ["SUM", "BOR", "BAND"]),
    "time": ([datetime.timedelta(hours=hours) for hours in (1, 5, -2, 0, 3)], ["SUM", "MAX", "MIN"]),
    "time and date": ([datetime.date(2026, 1, 1)] + [datetime.timedelta(days) for days in (1, 2, 3, 4)], ["SUM"]),
    "words": ([Word("a"), Word("b"), Word(""), Word("c" * 500), Word("d")], ["SUM"]),
    "text and number": (["ab", 1, 2, 1, 1], ["PROD"]),
    "nothing": ([None] * 5, ["LAND", "LOR", "LXOR", "REPLACE", "NO_OP"]),
    "mixed": ([1, "x", None, [2], 0.5], ["LAND", "LOR", "REPLACE", "NO_OP"]),
}


@pytest.mark.parametrize("kind", OBJECTS)
@in_every_way
def test_objects(comm, way, kind):
    values, ops = OBJECTS[kind]
    for op in ops:
        check(comm, way, values, op)


@pytest.mark.parametrize(
    "values,op,kind",
    [
        ([{1}, {2}, {3}, {4}, {5}], "SUM", TypeError),
        (["a", 1, 2, 3, 4], "SUM", TypeError),
        ([None] * 5, "SUM", TypeError),
        (["a", "b", "c", "d", "e"], "PROD", TypeError),
        ([{}, {}, {}, {}, {}], "MAX", TypeError),
        (["a", "b", "c", "d", "e"], "BAND", TypeError),
        ([object, object, object, object, object], "MIN", TypeError),
    ],
)
@in_every_way
def test_objects_that_cannot_be_combined(comm, way, values, op, kind):
    check_error(comm, way, values, op, kind)
    check_usable(comm)


@pytest.mark.parametrize("op", sorted(FUNCTIONS))
def test_one_rank_gets_its_object_back(op):
    """Or an equal one: nothing is combined with it."""
    for item in (7, 1.5, "x", [1], (1, 2), {1}, None):
        assert same(MPI.COMM_SELF.allreduce(item, getattr(MPI, op)), item)
        assert same(MPI.COMM_SELF.reduce(item, getattr(MPI, op)), item)
        assert same(MPI.COMM_SELF.scan(item, getattr(MPI, op)), item)
        assert MPI.COMM_SELF.exscan(item, getattr(MPI, op)) is None


# --- arrays --------------------------------------------------------------------------------------------------------

SHAPES = {"flat": (7,), "empty": (0,), "0-d": (), "one": (1, 1), "3-d": (2, 3, 4), "empty 2-d": (3, 0), "larger": (90, 100)}
INTEGERS = "bBhHiIlLqQ"
NATIVE = [(code, op) for code in "fdg" for op in ("SUM", "PROD", "MAX", "MIN")]
NATIVE += [(code, op) for code in "FDG" for op in ("SUM", "PROD")]
NATIVE += [(code, op) for code in INTEGERS for op in ("SUM", "PROD", "MAX", "MIN", "BAND", "BOR", "BXOR", "LAND", "LOR", "LXOR")]
NATIVE += [("?", op) for op in ("SUM", "PROD", "BAND", "BOR", "BXOR", "LAND", "LOR", "LXOR")]
ON_ARRAYS = {
    "MAX": np.maximum,
    "MIN": np.minimum,
    "LAND": lambda a, b: np.logical_and(a, b).astype(a.dtype),
    "LOR": lambda a, b: np.logical_or(a, b).astype(a.dtype),
    "LXOR": lambda a, b: np.logical_xor(a, b).astype(a.dtype),
}


def numbers(shape, code, rank):
    """Exact in every type whatever is done with them; different on every rank, with some zeros."""
    count = int(np.prod(shape, dtype=int))
    return ((np.arange(count) * 5 + 3 * rank) % 4).astype(code).reshape(shape)


def alike_arrays(a, b):
    """Natively a 0-d array stays one, Python's operator makes it a scalar: both are right."""
    return a is b is None or (a is not None and b is not None and same(np.asarray(a), np.asarray(b)))


def alike(a, b):
    return alike_arrays(a, b) if isinstance(b, (np.ndarray, np.generic)) else same(a, b)


def check_arrays(comm, way, values, op, function=None):
    """The right result, the operand untouched, and a result that is ours to change."""
    mine = operands(comm, values)[comm.rank]
    before = mine.copy()
    check(comm, way, values, op, function or ON_ARRAYS.get(op) or FUNCTIONS[op], alike_arrays)
    assert same(mine, before)


@pytest.mark.parametrize("code,op", NATIVE)
@pytest.mark.mmpi(n=[1, 3])
def test_arrays_of_every_type(comm, code, op):
    for way in ("allreduce", "reduce", "scan", "exscan"):
        for shape in ((7,), ()):
            check_arrays(comm, way, [numbers(shape, code, rank) for rank in range(MOST)], op)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", "dqi")
@in_every_way
def test_arrays_of_every_shape(comm, way, shape, code):
    for op in ("SUM", "MAX"):
        check_arrays(comm, way, [numbers(SHAPES[shape], code, rank) for rank in range(MOST)], op)


LAYOUTS = {
    "C": lambda a: a,
    "F": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "turned": lambda a: np.ascontiguousarray(a.T).T,
    "columns": lambda a: np.hstack([a, a + 1])[:, : a.shape[1]],
}


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("name", LAYOUTS)
@in_every_way
def test_arrays_of_every_layout(comm, way, name):
    for size in ((6, 4), (60, 400)):
        values = [LAYOUTS[name](numbers(size, "d", rank)) for rank in range(MOST)]
        check_arrays(comm, way, values, "SUM")
        check_arrays(comm, way, [frozen(value) for value in values], "MAX")


@in_every_way
def test_arrays_of_another_layout_on_each_rank(comm, way):
    """Equal shapes and types, but not the same order in memory: bytes must not be summed as they lie."""
    names = sorted(LAYOUTS)
    for turn in range(len(names)):
        values = [LAYOUTS[names[(turn + rank) % len(names)]](numbers((6, 4), "d", rank)) for rank in range(MOST)]
        check_arrays(comm, way, values, "SUM")


@pytest.mark.parametrize("op", ["SUM", "MAX"])
@in_every_way
def test_large_arrays(comm, way, op):
    values = [numbers((5 << 17,), "d", rank) for rank in range(MOST)]
    check_arrays(comm, way, values, op)


def test_results_are_arrays_of_our_own(comm):
    """Where anything was combined."""
    for length in (3, 100, 40_000):
        mine = np.ones(length)
        for got in (comm.allreduce(mine), comm.scan(mine), comm.iallreduce(mine).wait()):
            assert type(got) is np.ndarray
            if comm.size > 1:
                got[:] = -1
            assert (mine == 1).all()
        assert (comm.allreduce(mine) == comm.size).all()


@in_every_way
def test_integers_of_arrays_wrap_as_ever(comm, way):
    for code in INTEGERS:
        top = np.iinfo(code).max
        with np.errstate(over="ignore"):
            check_arrays(comm, way, [np.full(3, top, code)] * MOST, "SUM")
            check_arrays(comm, way, [np.full(3, top // 2 + 3, code)] * MOST, "PROD")


FALLBACKS = {
    "float16": lambda rank: np.arange(5, dtype="e") + rank,
    "objects": lambda rank: np.array([rank, Fraction(rank, 3), "ab"], dtype=object),
    "big end first": lambda rank: (np.arange(5) + rank).astype(">f8"),
    "big end first ints": lambda rank: (np.arange(5) + rank).astype(">i4"),
    "time": lambda rank: np.array([rank, 2, 3], dtype="m8[s]"),
    "text": lambda rank: np.array([f"a{rank}", "b"], dtype=object),
    "masked": lambda rank: np.ma.masked_array([1.0 + rank, 2.0, 3.0], [False, True, False]),
    "a matrix": lambda rank: np.asmatrix([[1, rank], [0, 1]]),
}


@pytest.mark.parametrize("kind", FALLBACKS)
@in_every_way
def test_arrays_that_mpi_knows_nothing_of(comm, way, kind):
    """Python's operator takes over."""
    values = [FALLBACKS[kind](rank) for rank in range(MOST)]
    items = operands(comm, values)
    expected = fold(operator.add, items[: part(way, comm)])
    got = WAYS[way](comm, items[comm.rank], MPI.SUM)
    assert type(got) is type(expected)
    assert got is None or (got.dtype == expected.dtype and (got == expected).all())


@in_every_way
def test_matrices_multiply_as_python_has_it(comm, way):
    """The product of matrices does not commute."""
    check(comm, way, [np.asmatrix([[1, rank], [rank, 1]]) for rank in range(MOST)], "PROD", operator.mul)


@pytest.mark.parametrize(
    "make,op",
    [
        (lambda rank: np.array([(rank, 1.5)], dtype=[("a", "i4"), ("b", "f8")]), "SUM"),
        (lambda rank: np.array(["2026-01-01", "2026-01-02"], dtype="M8[D]"), "SUM"),
        (lambda rank: np.zeros(3), "BAND"),
        (lambda rank: np.zeros(3, complex), "BXOR"),
        (lambda rank: np.zeros(3, "e"), "BOR"),
        (lambda rank: np.zeros(3), "MINLOC"),
    ],
)
@in_every_way
def test_arrays_that_nobody_can_combine(comm, way, make, op):
    """An error on every rank, and no crash in MPI."""
    if comm.size > (2 if way == "exscan" else 1):
        with pytest.raises((TypeError, ValueError, mmpi.RemoteError)):
            WAYS[way](comm, make(comm.rank), getattr(MPI, op))
    check_usable(comm)


@pytest.mark.parametrize(
    "array,op",
    [
        (np.array([0.0, 1.0]), "LAND"),
        (np.array([True, False]), "MAX"),
        (np.zeros(2, complex), "MAX"),
        (np.zeros(2, "e"), "MIN"),
    ],
)
@in_every_way
def test_operations_that_mpi_has_not_for_this_type(comm, way, array, op):
    """An error on all ranks or the right result on all of them; truths of what is no integer may be bools."""
    got = None
    try:
        got = WAYS[way](comm, array, getattr(MPI, op))
        good = True
    except (TypeError, ValueError, MPI.Exception, mmpi.RemoteError):
        good = False
    assert agree(comm, good) or agree(comm, not good)
    assert got is None or np.array_equal(got, array)
    check_usable(comm)


BROADCAST = {
    "row and matrix": [np.arange(4.0), np.ones((3, 4)), np.arange(4.0), np.ones((3, 1)), np.array(5.0)],
    "one and many": [np.ones(1), np.arange(6.0), np.ones(1), np.ones(1), np.ones(1)],
    "0-d and 1-d": [np.array(1.0), np.ones(1), np.array(1.0), np.ones(1), np.ones((1, 1))],
    "row and column": [np.arange(3.0).reshape(3, 1), np.arange(3.0).reshape(1, 3), np.ones((3, 3)), np.ones(3), np.ones(1)],
    "types": [np.arange(3), np.arange(3.0), np.arange(3, dtype="f"), np.arange(3, dtype="i2"), np.arange(3) * 1j],
    "types of one size": [np.arange(3, dtype="q"), np.arange(3, dtype="d"), np.arange(3, dtype="Q"), np.arange(3.0), np.arange(3.0)],
    "signs": [np.arange(3, dtype="i"), np.arange(3, dtype="I"), np.arange(3, dtype="i"), np.arange(3, dtype="I"), np.arange(3)],
    "long and long long": [np.arange(3, dtype="l"), np.arange(3, dtype="q")] * 2 + [np.arange(3)],
    "orders of bytes": [np.arange(3).astype("<i4"), np.arange(3).astype(">i4"), np.arange(3).astype("<i4")] + [np.arange(3)] * 2,
    "with scalars": [np.arange(3.0), 2, 3.5, np.arange(3.0), True],
    "scalar first": [2, np.arange(3.0), 3.5, np.arange(3), 1j],
    "with lists": [np.arange(3.0), [1, 2, 3], np.arange(3), [0, 0, 1], np.arange(3.0)],
    "with NumPy's scalars": [np.arange(3, dtype="f"), np.float64(2), np.float32(1), np.int8(1), np.arange(3)],
    "large and small": [np.arange(50_000.0), 1, np.ones(1), np.arange(50_000), 2.5],
    "empty and one": [np.zeros((0, 3)), np.ones(3), np.ones(1), np.zeros((0, 1)), 1],
}


@pytest.mark.parametrize("kind", BROADCAST)
@in_every_way
def test_arrays_that_differ_over_ranks(comm, way, kind):
    check(comm, way, BROADCAST[kind], "SUM", equal=alike_arrays)


@pytest.mark.parametrize(
    "values",
    [
        [np.ones(3), np.ones(4)],
        [np.ones((2, 3)), np.ones((3, 2))],
        [np.ones(6), np.ones((2, 3))],
        [np.ones(40_000), np.ones(40_001)],
        [np.ones((2, 3), "i"), np.ones((3, 2), "f")],
    ],
)
@in_every_way
def test_shapes_that_do_not_fit(comm, way, values):
    """Of the same size in bytes or not: NumPy's error, of which all ranks hear."""
    check_error(comm, way, values, "SUM", ValueError, alike_arrays)
    check_usable(comm)


# --- callables -----------------------------------------------------------------------------------------------------


def concatenate(a, b):
    return a + b


class Joined:
    """Something that can be called."""

    def __init__(self, separator):
        self.separator = separator

    def __call__(self, a, b):
        return a + self.separator + b

    def join(self, a, b):
        return a + self.separator + b


def between(separator, a, b):
    return a + separator + b


CALLABLES = {
    "a function": concatenate,
    "lambda": lambda a, b: a + "-" + b,
    "an object": Joined("/"),
    "a method": Joined("+").join,
    "partial": functools.partial(between, ";"),
    "operator": operator.add,
    "builtin max": max,
    "builtin min": min,
    "first": lambda a, b: a,
    "last": lambda a, b: b,
}


@pytest.mark.parametrize("name", CALLABLES)
@in_every_way
def test_callables(comm, way, name):
    """In the order of ranks; operands small and large, and so different results."""
    for length in (1, 100, 30_000):
        texts = [chr(ord("a") + rank) * (length + rank) for rank in range(MOST)]
        check(comm, way, texts, CALLABLES[name], CALLABLES[name])


@in_every_way
def test_numbers_and_arrays_in_callables(comm, way):
    check(comm, way, [3, 1, 4, 1, 5], math.gcd, math.gcd)
    check(comm, way, [2**70, 1.5, 3, True, 7], max, max)
    check(comm, way, [{"a": 1}, {"b": 2}, {"a": 3}, {}, {"c": 4}], operator.or_, operator.or_)
    arrays = [numbers((7,), "d", rank) for rank in range(MOST)]
    check(comm, way, arrays, np.maximum, np.maximum)
    check(comm, way, arrays, np.add, np.add)
    check(comm, way, [numbers((40_000,), "q", rank) for rank in range(MOST)], np.bitwise_xor, np.bitwise_xor)


@in_every_way
def test_a_product_of_matrices(comm, way):
    """Associative, not commutative."""
    matrices = [np.array([[1, rank + 1], [rank % 2, 1]]) for rank in range(MOST)]
    check(comm, way, matrices, operator.matmul, operator.matmul)
    check(comm, way, matrices, lambda a, b: a @ b, operator.matmul)
    check(comm, way, [np.full((n, n + 1), n) for n in range(1, MOST + 1)], np.dot, np.dot)


@in_every_way
def test_composed_functions(comm, way):
    """Objects whose combination grows."""
    check(comm, way, [(rank, [rank] * rank) for rank in range(MOST)], lambda a, b: (a, b)[-1], lambda a, b: b)
    check(comm, way, [[rank] * 5000 for rank in range(MOST)], lambda a, b: a + b, operator.add)


def test_every_rank_combines_in_the_same_way(comm):
    """The result says in which order pairs were made: all ranks have the same, and the ranks stand in order."""

    def pair(a, b):
        return f"({a}{b})"

    got = comm.allreduce(chr(ord("a") + comm.rank), pair)
    assert comm.allgather(got) == [got] * comm.size
    assert [letter for letter in got if letter.isalpha()] == [chr(ord("a") + rank) for rank in range(comm.size)]
    assert got.count("(") == comm.size - 1


@pytest.mark.parametrize("commute", [False, True])
def test_callables_may_commute(comm, commute):
    total, function = sum(range(comm.size)), lambda a, b: a + b
    assert comm.allreduce(comm.rank, op=function, commute=commute) == total
    assert comm.reduce(comm.rank, op=function, root=comm.size - 1, commute=commute) == (
        total if comm.rank == comm.size - 1 else None
    )
    assert comm.iallreduce(comm.rank, op=function, commute=commute).wait() == total
    got = comm.allreduce({comm.rank: "x" * 1000}, operator.or_, commute=commute)
    assert got == dict.fromkeys(range(comm.size), "x" * 1000)


@pytest.mark.parametrize("commute", [False, True])
@in_every_way
def test_operations_of_callables(comm, way, commute):
    """The function of an Op is called with the objects; a datatype it has no use for."""
    op = MPI.Op.Create(lambda a, b, datatype=None: a + b, commute)
    check(comm, way, [1, 2, 3, 4, 5], op, operator.add)
    check(comm, way, [0.5, 2, 3, 4, 5], op, operator.add)
    if not commute:
        check(comm, way, ["a", "b" * 1000, "c", "d", "e"], op, operator.add)
    check(comm, way, [np.arange(3.0)] * MOST, op, operator.add)
    op.Free()


@in_every_way
def test_a_predefined_operation_as_a_callable(comm, way):
    """Op objects can be called: wrapped, they are callables as any other."""
    check(comm, way, [1, 5, 3, 2, 4], lambda a, b: MPI.MAX(a, b), max)


def test_callables_are_let_go(comm):
    def combine(a, b):
        return a

    before = sys.getrefcount(combine)
    for _ in range(20):
        comm.allreduce("x", combine)
        comm.scan("x", combine)
        comm.iallreduce("x", combine).wait()
        comm.iallreduce("x", combine)
    comm.barrier()
    until(lambda: not MPI.REQUEST_NULL.Test() or sys.getrefcount(combine) == before)  # the last, for which nobody waited
    assert sys.getrefcount(combine) == before


@pytest.mark.parametrize("op", [None, 3, "SUM", [max]])
@in_every_way
def test_what_is_no_operation(comm, way, op):
    with pytest.raises(TypeError, match="op"):
        WAYS[way](comm, 1, op)
    check_usable(comm)


@in_every_way
def test_no_operation_at_all(comm, way):
    for item in (1, "x"):
        with pytest.raises((MPI.Exception, ValueError, TypeError)):
            WAYS[way](comm, item, MPI.OP_NULL)
    check_usable(comm)


def test_a_root_that_is_no_rank(comm):
    for root in (comm.size, -1):
        for item, op in ((1, MPI.SUM), ("x" * 1000, MPI.SUM), (np.ones(3), MPI.SUM), ("x", max)):
            with pytest.raises(MPI.Exception) as caught:
                comm.reduce(item, op, root)
            assert caught.value.Get_error_class() == MPI.ERR_ROOT
    check_usable(comm)


# --- errors --------------------------------------------------------------------------------------------------------


def outcome(run):
    """What came of it: None, or the error."""
    try:
        run()
    except (ZeroDivisionError, mmpi.RemoteError) as error:
        return error
    return None


def check_together(comm, error, bad, text):
    """All ranks raise or none; the original stands on the rank at fault. True if they raise."""
    raised = error is not None
    together = agree(comm, raised) or agree(comm, not raised)
    assert together, f"only some ranks raise: here {error!r}"
    if not raised:
        return False
    if comm.rank == bad:
        assert type(error) is ZeroDivisionError and text in str(error)
    else:
        assert type(error) is mmpi.RemoteError, repr(error)
        check_remote(error, bad, text)
    return True


OPERANDS = {"small": 7, "text": "x" * 1000, "large": list(range(50_000)), "array": np.ones(100_000)}


@pytest.mark.parametrize("operand", OPERANDS)
@in_every_way
def test_a_callable_that_fails_on_one_rank(comm, way, operand):
    """If that rank has something to combine, everybody hears of it."""
    raised = 0
    for bad in range(comm.size):

        def combine(a, b, bad=bad):
            if comm.rank == bad:
                raise ZeroDivisionError("this rank cannot combine")
            return b

        error = outcome(lambda combine=combine: WAYS[way](comm, OPERANDS[operand], combine))
        raised += check_together(comm, error, bad, "this rank cannot combine")
        check_usable(comm)
    assert raised or comm.size == 1 or (way == "exscan" and comm.size == 2)


@in_every_way
def test_a_callable_that_fails_everywhere(comm, way):
    def combine(a, b):
        raise ZeroDivisionError("nobody can combine")

    combined = comm.size > (2 if way == "exscan" else 1)
    error = outcome(lambda: WAYS[way](comm, "x", combine))
    assert (error is not None) == combined
    if combined:
        assert "nobody can combine" in str(error)
        assert not agree(comm, type(error) is mmpi.RemoteError), "nobody has the original error"
    check_usable(comm)


@in_every_way
def test_a_callable_that_fails_in_the_middle(comm, way):
    """Not at once: some have combined theirs by then."""
    if comm.size < 3:
        pytest.skip("needs something to combine before")

    def combine(a, b):
        if "b" in a + b and len(a + b) > 2:
            raise ZeroDivisionError("this is too much")
        return a + b

    error = outcome(lambda: WAYS[way](comm, "abcde"[comm.rank], combine))
    if way != "exscan" or comm.size > 3:
        assert error is not None and "this is too much" in str(error)
    check_usable(comm)


class Unfriendly:
    """An operand whose addition fails."""

    def __add__(self, other):
        raise ZeroDivisionError("I do not add")

    __radd__ = __add__


@in_every_way
def test_an_operand_whose_addition_fails(comm, way):
    for bad in range(comm.size):
        error = outcome(lambda bad=bad: WAYS[way](comm, Unfriendly() if comm.rank == bad else 1, MPI.SUM))
        if comm.size > 1 and way in ("allreduce", "iallreduce", "reduce", "reduce to the last"):
            assert error is not None and "I do not add" in str(error)
        assert agree(comm, error is None) or agree(comm, error is not None)
        check_usable(comm)


class Lonely(CannotTravel):
    """It can be added, but not pickled."""

    def __add__(self, other):
        return 1

    __radd__ = __add__


@pytest.mark.parametrize("others", OPERANDS)
@in_every_way
def test_an_operand_that_cannot_be_pickled(comm, way, others):
    """If it would have to travel, everybody hears of it."""
    raised = 0
    for bad in range(comm.size):
        mine = Lonely() if comm.rank == bad else OPERANDS[others]
        error = outcome(lambda mine=mine: WAYS[way](comm, mine, lambda a, b: 1))
        raised += check_together(comm, error, bad, "it cannot travel")
        check_usable(comm)
    assert raised or comm.size == 1


@in_every_way
def test_an_operand_that_cannot_be_pickled_beside_numbers(comm, way):
    """The others are ready for the fast way, and must not take it."""
    raised = 0
    for bad in range(comm.size):
        error = outcome(lambda bad=bad: WAYS[way](comm, Lonely() if comm.rank == bad else 1, MPI.SUM))
        raised += check_together(comm, error, bad, "it cannot travel")
        check_usable(comm)
    assert raised or comm.size == 1


class Ash:
    """A result that cannot be pickled."""

    def __reduce__(self):
        raise ZeroDivisionError("ash does not travel")


def test_a_result_that_cannot_be_pickled(comm):
    """Who has to send it on raises, and the others hear of it, unless it has nowhere to go."""
    for way in ("allreduce", "reduce", "scan"):
        error = outcome(lambda way=way: WAYS[way](comm, 1, lambda a, b: Ash()))
        assert agree(comm, error is None) or agree(comm, error is not None)
        assert error is None or "ash does not travel" in str(error)
        check_usable(comm)


# --- nonblocking ---------------------------------------------------------------------------------------------------


def test_several_under_way(comm):
    """Numbers, arrays, objects and callables at once, completed in another order on each rank."""
    size, rank = comm.size, comm.rank
    cases = [
        ([1, 2, 3, 4, 5], MPI.SUM, operator.add),
        ([2**62] * MOST, MPI.SUM, operator.add),
        ([0.5, 1.5, 2, 3, 4], MPI.PROD, operator.mul),
        ([numbers((7,), "d", r) for r in range(MOST)], MPI.MAX, np.maximum),
        ([numbers((90_000,), "q", r) for r in range(MOST)], MPI.SUM, operator.add),
        (["a", "b" * 1000, "c", "d" * 300_000, "e"], MPI.SUM, operator.add),
        (["a", "b", "c", "d", "e"], concatenate, operator.add),
        ([{1}, {2}, {3}, {4}, {5}], MPI.BOR, operator.or_),
        ([np.arange(3), np.arange(3.0), 2, 3, 4], MPI.SUM, operator.add),
        ([(1, 0), (5, 1), (5, 2), (0, 3), (2, 4)], MPI.MAXLOC, maxloc),
    ]
    for turn in range(3):
        started = [(comm.iallreduce(operands(comm, v)[rank], op), fold(f, operands(comm, v))) for v, op, f in cases * 2]
        comm.Barrier()
        assert comm.allreduce(1.5) == 1.5 * size
        started += [(comm.iallreduce(rank), sum(range(size)))]
        random.Random(10 * turn + rank).shuffle(started)
        for request, expected in started:
            assert alike(request.wait(), expected)


def test_waitall_of_reductions(comm):
    items = [1, 2.5, "x", [1], np.ones(3)]
    got = MPI.Request.waitall([comm.iallreduce(item) for item in items])
    for item, result in zip(items, got, strict=True):
        assert alike(result, fold(operator.add, [item] * comm.size))


def test_operands_may_be_dropped_before_the_end(comm):
    requests = [comm.iallreduce(np.full(100_000, float(comm.rank))) for _ in range(5)]
    junk = [np.full(100_000, -7.0) for _ in range(10)]
    for request in requests:
        assert (request.wait() == sum(range(comm.size))).all()
    assert len(junk) == 10


def test_dropped_reductions(comm):
    for item in (1, np.ones(100_000), "x" * 1000, 2**100):
        comm.iallreduce(item)
        comm.iallreduce(item, lambda a, b: a)
    check_usable(comm)


def test_errors_come_with_the_end(comm):
    def combine(a, b):
        raise ZeroDivisionError("nobody can combine")

    requests = [comm.iallreduce("x", combine), comm.iallreduce(comm.rank), comm.iallreduce([1], combine)]
    assert requests[1].wait() == sum(range(comm.size))
    for request in (requests[2], requests[0]):
        if comm.size == 1:
            assert request.wait() in ("x", [1])
        else:
            with pytest.raises((ZeroDivisionError, mmpi.RemoteError), match="nobody can combine"):
                request.wait()
        assert request == MPI.REQUEST_NULL
    check_usable(comm)


def failing_on(bad, rank):
    """An operation that fails on one rank only."""

    def combine(a, b):
        if rank == bad:
            raise ZeroDivisionError("this rank cannot combine")
        return a + b

    return combine


def check_end(comm, bad, wait):
    """What wait() gives is the letters of all ranks, or the error that all get if one rank is bad."""
    error = outcome(lambda: wait() == "abcde"[: comm.size] or pytest.fail("a wrong result"))
    if bad is None or comm.size == 1:
        assert error is None
    elif comm.rank == bad:
        assert type(error) is ZeroDivisionError
    else:
        assert type(error) is mmpi.RemoteError
        check_remote(error, bad, "this rank cannot combine")


def test_ranks_wait_for_failures_in_any_order(comm):
    """Each combines for all that are under way, whichever it waits for."""
    for turn in range(3):
        started = []
        for bad in [None, *range(comm.size)] * 2:
            started.append((bad, comm.iallreduce("abcde"[comm.rank], failing_on(bad, comm.rank))))
        random.Random(10 * turn + comm.rank).shuffle(started)
        for bad, request in started:
            check_end(comm, bad, request.wait)
    check_usable(comm)


def ask_status(request):
    until(request.Get_status)
    return request.wait()


def ask_any(request):
    idle = MPI.COMM_SELF.irecv(None, 0, 5)
    index, result = MPI.Request.waitany([idle, request])
    idle.Cancel()
    idle.wait()
    assert index == 1
    return result


ASKING = {
    "test": lambda request: until(lambda: (answer := request.test())[0] and answer)[1],
    "Get_status": ask_status,
    "waitall": lambda request: MPI.Request.waitall([request])[0],
    "waitany": ask_any,
    "testall": lambda request: until(lambda: (answer := MPI.Request.testall([request]))[0] and answer)[1][0],
    "testany": lambda request: until(lambda: (answer := MPI.Request.testany([request]))[1] and answer)[2],
    "after Cancel": lambda request: request.Cancel() or request.wait(),
}


@pytest.mark.parametrize("asking", ASKING)
def test_failures_come_to_all_however_one_asks(comm, asking):
    for bad in (None, 0, comm.size - 1):
        request = comm.iallreduce("abcde"[comm.rank], failing_on(bad, comm.rank))
        check_end(comm, bad, lambda request=request: ASKING[asking](request))
    check_usable(comm)


def test_failures_while_a_rank_is_elsewhere_in_mpi(comm):
    """It combines while it waits for a message, or blocks in a typed collective that the others have not come to."""
    for bad in (None, 0, comm.size - 1):
        request = comm.iallreduce("abcde"[comm.rank], failing_on(bad, comm.rank))
        if comm.rank:
            check_end(comm, bad, request.wait)
        comm.Barrier()
        if comm.rank == 0:
            check_end(comm, bad, request.wait)
        request = comm.iallreduce("abcde"[comm.rank], failing_on(bad, comm.rank))
        if comm.rank == 0:
            for source in range(1, comm.size):
                assert comm.recv(source=source) == "done"
        check_end(comm, bad, request.wait)
        if comm.rank:
            comm.send("done", 0)
    check_usable(comm)


@pytest.mark.parametrize("bad", [0, -1])
def test_who_dropped_a_reduction_does_not_hold_up_the_others(comm, bad):
    bad %= comm.size
    for dropping in range(comm.size):
        request = comm.iallreduce("abcde"[comm.rank], failing_on(bad, comm.rank))
        if comm.rank != dropping:
            check_end(comm, None if dropping == bad else bad, request.wait)
        del request
    check_usable(comm)


class Broken:
    """An operand that cannot be made again, except where this is not the bad rank."""

    def __init__(self, bad):
        self.bad = bad

    def __reduce__(self):
        return make_broken, (self.bad,)

    def __add__(self, other):
        return self


def make_broken(bad):
    if MPI.COMM_WORLD.rank == bad:
        raise ZeroDivisionError("it cannot be made here")
    return Broken(bad)


def test_an_operand_that_cannot_be_made_again_on_one_rank(comm):
    for bad in range(comm.size):
        error = outcome(lambda bad=bad: comm.iallreduce(Broken(bad)).wait())
        assert check_together(comm, error, bad, "it cannot be made here") or comm.size == 1
        check_usable(comm)


def test_arrays_that_one_rank_does_not_combine(comm):
    """Rank 0 has NumPy raise what the others do not mind."""
    with np.errstate(over="raise" if comm.rank == 0 else "ignore"):
        error = None
        try:
            comm.iallreduce(np.full(3, 1e300), MPI.PROD).wait()
        except (FloatingPointError, mmpi.RemoteError) as raised:
            error = raised
    assert type(error) is (type(None) if comm.size == 1 else FloatingPointError if comm.rank == 0 else mmpi.RemoteError)
    check_usable(comm)


def test_exceptions_that_end_programs_come_to_all_too(comm):
    def combine(a, b):
        raise KeyboardInterrupt if comm.rank == 0 else ZeroDivisionError

    if comm.size > 1:
        with pytest.raises(KeyboardInterrupt if comm.rank == 0 else ZeroDivisionError):
            comm.iallreduce("x", combine).wait()
    check_usable(comm)


def test_parts_of_a_communicator(comm):
    part = comm.Split(comm.rank % 2, -comm.rank)
    others = [rank for rank in reversed(range(comm.size)) if rank % 2 == comm.rank % 2]
    assert part.allreduce(comm.rank) == sum(others)
    assert part.allreduce(str(comm.rank)) == "".join(map(str, others))
    assert part.allreduce(str(comm.rank), concatenate) == "".join(map(str, others))
    assert part.allreduce(2**63 + comm.rank) == sum(2**63 + rank for rank in others)
    assert part.scan([comm.rank]) == others[: part.rank + 1]
    check_usable(part)
    part.Free()


def test_functions_of_the_module():
    """On COMM_WORLD."""
    world = MPI.COMM_WORLD
    rank, size = world.rank, world.size
    assert mmpi.allreduce(rank) == sum(range(size))
    assert mmpi.allreduce("x", op=MPI.MAX) == "x"
    assert mmpi.reduce([rank], root=size - 1) == (list(range(size)) if rank == size - 1 else None)
    assert mmpi.scan(1) == rank + 1
    assert mmpi.exscan(1) == (rank or None)
    assert mmpi.iallreduce(rank, op=max).wait() == size - 1


# --- random operands -----------------------------------------------------------------------------------------------

near = st.integers(-3, 3)
ints = st.one_of(near, *[near.map(lambda d, edge=edge: edge + d) for edge in (BIG, -BIG, 2**31, 2**53, 2**64)], st.integers())
dyadic = st.integers(-(2**10), 2**10).map(lambda n: n / 8)  # so that sums are exact in any order
small = st.one_of(st.booleans(), st.integers(-(2**20), 2**20), dyadic)
texts = st.one_of(st.text(max_size=5), st.text(max_size=3).map(lambda text: text * 500))


def five(strategy):
    return st.lists(strategy, min_size=MOST, max_size=MOST)


def check_agreed(comm, values, op, function, ways=tuple(WAYS)):
    """On every rank, and a failure is every rank's: else they would go on with different examples."""
    items, wrong = operands(comm, values), []
    for way in ways:
        expected = fold(function, items[: part(way, comm)])
        got = WAYS[way](comm, items[comm.rank], op)
        if not same(got, expected):
            wrong.append((way, got, expected))
    assert agree(comm, not wrong), f"{items}: {wrong or 'wrong on another rank'}"


@SAME_ON_ALL_RANKS
@given(values=five(ints), op=st.sampled_from(ON_INTS))
@example(values=[BIG - 1, 1, -1, 0, 0], op="SUM")
@example(values=[-BIG, -1, 1, 0, 0], op="SUM")
@example(values=[2**32, 2**31, -1, 1, 1], op="PROD")
def test_random_ints(comm, values, op):
    check_agreed(comm, values, getattr(MPI, op), FUNCTIONS[op])


@SAME_ON_ALL_RANKS
@given(values=five(small), op=st.sampled_from(["SUM", "MAX", "MIN", "LAND", "LOR", "LXOR", "REPLACE", "NO_OP"]))
def test_random_numbers_of_several_types(comm, values, op):
    check_agreed(comm, values, getattr(MPI, op), FUNCTIONS[op])


@SAME_ON_ALL_RANKS
@given(values=five(st.tuples(st.one_of(near, dyadic), near)), op=st.sampled_from(["MINLOC", "MAXLOC"]))
def test_random_pairs(comm, values, op):
    check_agreed(comm, values, getattr(MPI, op), FUNCTIONS[op])


@SAME_ON_ALL_RANKS
@given(values=five(texts), op=st.sampled_from(["SUM", "MAX", "MIN"]), wrap=st.booleans())
def test_random_texts(comm, values, op, wrap):
    function = FUNCTIONS[op]
    check_agreed(comm, values, (lambda a, b: function(a, b)) if wrap else getattr(MPI, op), function)


@SAME_ON_ALL_RANKS
@given(values=five(st.lists(st.one_of(near, st.text(max_size=2), st.none()), max_size=40)))
def test_random_lists(comm, values):
    check_agreed(comm, values, MPI.SUM, operator.add)


@SAME_ON_ALL_RANKS
@given(values=five(st.frozensets(near)), op=st.sampled_from(["BAND", "BOR", "BXOR"]))
def test_random_sets(comm, values, op):
    check_agreed(comm, values, getattr(MPI, op), FUNCTIONS[op])


@SAME_ON_ALL_RANKS
@given(
    shapes=five(st.sampled_from([(3,), (1,), (), (2, 3), (1, 3), (2, 1)])),
    codes=five(st.sampled_from("dqif")),
    equal=st.booleans(),
)
def test_random_arrays(comm, shapes, codes, equal):
    """Of equal shape and type on all ranks, or not: shapes that broadcast, types that promote."""
    if equal:
        shapes, codes = shapes[:1] * MOST, codes[:1] * MOST
    values = [numbers(shape, code, rank) for rank, (shape, code) in enumerate(zip(shapes, codes, strict=True))]
    items, wrong = operands(comm, values), []
    for way in WAYS:
        expected = fold(operator.add, items[: part(way, comm)])
        got = WAYS[way](comm, items[comm.rank], MPI.SUM)
        if not alike_arrays(got, expected):
            wrong.append((way, got, expected))
    assert agree(comm, not wrong), f"{shapes} {codes}: {wrong or 'wrong on another rank'}"
