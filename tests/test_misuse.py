# SPDX-License-Identifier: BSD-3-Clause
"""Bad arguments: an exception of the right type whose text names the argument or the value; never a crash or a hang."""

import array
import ctypes
import gc

import numpy as np
import pytest

import mmpi
from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[2])

SELF, WORLD = MPI.COMM_SELF, MPI.COMM_WORLD
GOOD = np.zeros(4)


def told(error):
    """All that a traceback would show of an exception."""
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def refused(exception, *words, call):
    """The call raises this type of exception, its text has all the words, and nothing has been sent."""
    catcher, lure = SELF.Irecv(bytearray(2**16), 0, 2), SELF.Isend(b"", 0, 1)  # who is not refused shall not wait for ever
    try:
        with pytest.raises(exception) as caught:
            call()
    finally:
        if SELF.Iprobe(0, 1):
            SELF.Recv(bytearray(0), 0, 1)
        lure.Wait()
        catcher.Cancel()
        catcher.Wait(status := MPI.Status())
    assert status.Is_cancelled()
    assert SELF.Iprobe() is False
    for word in words:
        assert word in told(caught.value), f"{word!r} is not in {told(caught.value)!r}"
    return caught.value


# Each entry hands one buffer to one call: (the argument's name, does MPI write into it, the call).
READS = {
    name: ("buf", False, lambda buf, name=name: getattr(SELF, name)(buf, 0, 2))
    for name in ("Send", "Ssend", "Bsend", "Rsend", "Isend", "Issend", "Ibsend", "Irsend")
}
READS["Sendrecv"] = ("sendbuf", False, lambda buf: SELF.Sendrecv(buf, 0, 2, bytearray(8), MPI.PROC_NULL))
WRITES = {
    "Recv": ("buf", True, lambda buf: SELF.Recv(buf, 0, 1)),
    "Irecv": ("buf", True, lambda buf: SELF.Irecv(buf, 0, 3)),
    "Sendrecv": ("recvbuf", True, lambda buf: SELF.Sendrecv(bytearray(8), MPI.PROC_NULL, 1, buf, 0, 1)),
    "Sendrecv_replace": ("buf", True, lambda buf: SELF.Sendrecv_replace(buf, 0, 2, 0, 1)),
}
ALL = [pytest.param(*entry, id=f"{name}-{entry[0]}") for calls in (READS, WRITES) for name, entry in calls.items()]
RECEIVERS = [pytest.param(entry[0], entry[2], id=name) for name, entry in WRITES.items()]


def frozen(code="d"):
    items = np.zeros(4, code)
    items.flags.writeable = False
    return items


# --- buffers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: bytes(8), lambda: memoryview(bytes(8)), frozen], ids=["bytes", "view", "numpy"])
@pytest.mark.parametrize(("argument", "call"), RECEIVERS)
def test_read_only(argument, call, make):
    refused(BufferError, argument, "read-only", call=lambda: call(make()))
    refused(BufferError, argument, "read-only", call=lambda: call([make(), 1, MPI.BYTE]))


STRIDED = {
    "step": lambda: np.zeros(8)[::2],
    "column": lambda: np.zeros((4, 4))[:, 1],
    "backwards": lambda: np.zeros(4)[::-1],
    "block": lambda: np.zeros((4, 4))[:2, :2],
    "view": lambda: memoryview(bytearray(8))[::2],
    "broadcast": lambda: np.broadcast_to(np.zeros(1), (4,)),
}


@pytest.mark.parametrize("make", STRIDED.values(), ids=STRIDED)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_strided(argument, writes, call, make):
    """Arrays with gaps are taken as they are, but not for items of another type, and nothing else is."""
    if isinstance(make(), memoryview):
        error = refused(BufferError, argument, call=lambda: call(make()))
        assert writes or "contiguous" in told(error)
    refused(BufferError, argument, call=lambda: call([make(), 1, MPI.INT]))


@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_counts_of_an_array_with_gaps(argument, writes, call):
    """What would a count of a block count, items or rows? One of a column is clear, but must not be too large."""
    block, column = np.zeros((4, 4))[:2, :2], np.zeros((4, 4))[:, 1]
    refused(ValueError, argument, "one piece", call=lambda: call([block, 1]))
    refused(ValueError, argument, "one piece", call=lambda: call([block, (1, 1), MPI.DOUBLE]))
    refused(ValueError, argument, "too few", call=lambda: call([column, 5]))
    refused(ValueError, argument, "too few", call=lambda: call([column[::-1], (3, 2), MPI.DOUBLE]))


@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_python_objects(argument, writes, call):
    refused(TypeError, argument, "lower-case", call=lambda: call(np.array([None, {}])))
    refused(TypeError, argument, "lower-case", call=lambda: call(np.zeros(3, [("a", "i4"), ("b", "O")])))


@pytest.mark.parametrize(("argument", "call"), RECEIVERS)
def test_items_in_one_place(argument, call):
    stuck = np.lib.stride_tricks.as_strided(np.zeros(1), (3,), (0,))
    refused(BufferError, argument, "one place", call=lambda: call(stuck))


@pytest.mark.parametrize("spec", [[None, [0]], [[0], None], [None, None]])
def test_all_of_memory_without_counts_or_displacements(spec):
    refused(ValueError, "sendbuf", "BOTTOM", call=lambda: SELF.Alltoallw([MPI.BOTTOM, *spec, [MPI.BYTE]], [bytearray(4), [0], [0], [MPI.BYTE]]))


NO_BUFFERS = {
    "object": object(),
    "int": 3,
    "float": 2.5,
    "str": "text",
    "dict": {},
    "set": {1},
    "generator": (x for x in ()),
    "type": np.ndarray,
    "Ellipsis": ...,
    "comm": MPI.COMM_SELF,
    "datatype": MPI.INT,
    "IN_PLACE": MPI.IN_PLACE,
}


@pytest.mark.parametrize("thing", NO_BUFFERS.values(), ids=NO_BUFFERS)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_no_buffer(argument, writes, call, thing):
    refused(TypeError, argument, call=lambda: call(thing))
    refused(TypeError, argument, call=lambda: call([thing, 1, MPI.INT]))


@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_none_without_proc_null(argument, writes, call):
    refused(TypeError, argument, call=lambda: call(None))
    refused(ValueError, argument, call=lambda: call([None, 1, MPI.INT]))


TOO_SMALL = {
    "count": [GOOD, 5],
    "count-type": [GOOD, 5, MPI.DOUBLE],
    "text": [GOOD, 5, "d"],
    "other-type": [GOOD, 9, MPI.INT],
    "pair": [GOOD, (4, 1), MPI.DOUBLE],
    "displ": [GOOD, (1, 4), MPI.DOUBLE],
    "four": [GOOD, 2, 3, MPI.DOUBLE],
    "displ-beyond": [GOOD, None, 5, MPI.DOUBLE],
    "displ-beyond-zero": [GOOD, (0, 5), MPI.DOUBLE],
    "bytearray": [bytearray(7), 1, MPI.DOUBLE],
    "empty": [bytearray(0), 1, MPI.BYTE],
    "overflow": [GOOD, 2**61, MPI.DOUBLE],
    "overflow-displ": [GOOD, (1, 2**61), MPI.DOUBLE],
    "overflow-both": [GOOD, (2**62, 2**62), MPI.DOUBLE],
}


@pytest.mark.parametrize("spec", TOO_SMALL.values(), ids=TOO_SMALL)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_too_small(argument, writes, call, spec):
    refused(ValueError, argument, call=lambda: call(spec))


@pytest.mark.parametrize("spec", [[GOOD, -1], [GOOD, -1, MPI.INT], [GOOD, (-1, 0), "d"], [GOOD, -1, 0, "d"]], ids=str)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_negative_count(argument, writes, call, spec):
    refused(ValueError, argument, "count", "-1", call=lambda: call(spec))


@pytest.mark.parametrize("spec", [[GOOD, (1, -2)], [GOOD, (1, -2), MPI.INT], [GOOD, 1, -2, "d"], [GOOD, None, -2, "d"]], ids=str)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_negative_displacement(argument, writes, call, spec):
    refused(ValueError, argument, "displacement", "-2", call=lambda: call(spec))


@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_count_cannot_be_inferred(argument, writes, call):
    refused(ValueError, argument, "7", "8", call=lambda: call([bytearray(7), MPI.DOUBLE]))


@pytest.mark.parametrize("bad", [3, 2.5, object(), MPI.COMM_SELF, int, b"d", MPI.SUM], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_no_datatype(argument, writes, call, bad):
    refused(TypeError, argument, call=lambda: call([GOOD, 1, bad]))


@pytest.mark.parametrize("bad", ["", "zz", "f3", "MPI_DOUBLE", ">f8", "double", "d d", "i4\0", "\N{SNOWMAN}", "?" * 1000])
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_unknown_type_string(argument, writes, call, bad):
    error = refused((KeyError, ValueError, TypeError), argument, call=lambda: call([GOOD, 1, bad]))
    if bad in ("zz", "f3", "MPI_DOUBLE", ">f8"):
        assert bad in told(error)


@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_null_and_uncommitted_types(argument, writes, call):
    refused((MPI.Exception, ValueError), call=lambda: call([GOOD, 1, MPI.DATATYPE_NULL]))
    pair = MPI.INT.Create_contiguous(2)
    with pytest.raises((MPI.Exception, ValueError)):
        call([GOOD, 1, pair])
    pair.Free()
    refused((MPI.Exception, ValueError), call=lambda: call([GOOD, 1, pair]))


@pytest.mark.parametrize("bad", [1.5, "2", object(), 1j], ids=["float", "str", "object", "complex"])
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_count_is_no_int(argument, writes, call, bad):
    refused(TypeError, argument, call=lambda: call([GOOD, bad, MPI.DOUBLE]))
    refused(TypeError, argument, call=lambda: call([GOOD, (1, bad), MPI.DOUBLE]))
    refused(TypeError, argument, call=lambda: call([GOOD, 1, bad, MPI.DOUBLE]))


@pytest.mark.parametrize("big", [2**63, -(2**63) - 1, 10**30])
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_count_beyond_64_bits(argument, writes, call, big):
    refused(OverflowError, argument, call=lambda: call([GOOD, big, MPI.DOUBLE]))
    refused(OverflowError, argument, call=lambda: call([GOOD, (1, big), MPI.DOUBLE]))


@pytest.mark.parametrize("spec", [[], [GOOD], [GOOD, 1, 0, MPI.INT, 5], (), (GOOD, 1, 0, "d", None, None)], ids=len)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_wrong_number_of_items(argument, writes, call, spec):
    refused(ValueError, argument, call=lambda: call(spec))


@pytest.mark.parametrize("pair", [(), (1,), (1, 2, 3), [1, 2, 3, 4]], ids=len)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_wrong_pair(argument, writes, call, pair):
    refused((TypeError, ValueError), argument, call=lambda: call([GOOD, pair, MPI.DOUBLE]))


@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_bottom_needs_count_and_type(argument, writes, call):
    for spec in (MPI.BOTTOM, [MPI.BOTTOM, 1], [MPI.BOTTOM, 0]):
        refused((TypeError, ValueError), argument, call=lambda spec=spec: call(spec))


# What is no array of NumPy, whose items have no MPI type: the error says what they are.
ODD_ITEMS = {
    "ctypes-structure": lambda: type("S", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_int), ("b", ctypes.c_double)]})(),
    "ctypes-big-endian": lambda: (ctypes.c_int32.__ctype_be__ * 2)(),
    "ctypes-pointers": lambda: (ctypes.c_char_p * 2)(),
}


@pytest.mark.parametrize("make", ODD_ITEMS.values(), ids=ODD_ITEMS)
@pytest.mark.parametrize(("argument", "writes", "call"), ALL)
def test_items_without_an_mpi_type(argument, writes, call, make):
    error = refused((TypeError, BufferError), argument, call=lambda: call(make()))
    if isinstance(error, BufferError):  # an exporter that does not even describe its items
        assert "'>" in told(error)
    else:
        assert "datatype" in told(error)


def test_odd_items_with_a_type_of_their_own():
    """Who says the type gets what he says, whatever the items are."""
    back = np.zeros(2, ">f8")
    SELF.Sendrecv([np.ones(2, ">f8"), MPI.BYTE], 0, 1, [back, MPI.BYTE], 0, 1)
    assert (back == 1).all()
    SELF.Sendrecv([np.full(3, b"abcd", "S4"), 12, MPI.CHAR], 0, 1, [target := np.zeros(3, "S4"), MPI.CHAR], 0, 1)
    assert list(target) == [b"abcd"] * 3


def test_released_memoryview():
    view = memoryview(bytearray(8))
    view.release()
    refused((ValueError, BufferError), "released", call=lambda: SELF.Isend(view, 0))


def test_error_in_the_second_buffer_names_the_second():
    refused(BufferError, "recvbuf", call=lambda: SELF.Sendrecv(b"x", 0, 1, b"x", 0, 1))
    refused(TypeError, "sendbuf", call=lambda: SELF.Sendrecv(3, 0, 1, b"x", 0, 1))


# --- ranks and tags ------------------------------------------------------------------------------------------------

TO_RANK = [entry[2] for entry in READS.values()]


def rank_error(name, *args, **options):
    error = refused(MPI.Exception, call=lambda: getattr(SELF, name)(*args, **options))
    assert error.Get_error_class() == MPI.ERR_RANK
    return told(error)


@pytest.mark.parametrize("rank", [1, 99, -77, 2**31 - 1, 1 - 2**31])
@pytest.mark.parametrize("name", ["Send", "Ssend", "Bsend", "Rsend", "Isend", "Issend", "Ibsend", "Irsend"])
def test_wrong_destination(name, rank):
    assert str(rank) in rank_error(name, GOOD, rank)


@pytest.mark.parametrize("rank", [1, 99, -77, 2**31 - 1])
def test_wrong_source(rank):
    for name in ("Recv", "Irecv"):
        assert str(rank) in rank_error(name, np.zeros(4), rank)
    for name in ("Probe", "Iprobe", "Mprobe", "Improbe"):
        assert str(rank) in rank_error(name, rank)
    rank_error("Sendrecv", GOOD, 0, 1, np.zeros(4), rank, 1)
    rank_error("Sendrecv", GOOD, rank, 1, np.zeros(4), 0, 1)
    rank_error("Sendrecv_replace", np.zeros(4), 0, 1, rank, 1)
    rank_error("Sendrecv_replace", np.zeros(4), rank, 1, 0, 1)


def test_any_source_is_no_destination():
    rank_error("Send", GOOD, MPI.ANY_SOURCE)


@pytest.mark.parametrize("tag", [-7, 1 - 2**31])
def test_wrong_tag(tag):
    one_way = [lambda name=name: getattr(SELF, name)(GOOD, 0, tag) for name in READS if name != "Sendrecv"]
    one_way += [
        lambda: SELF.Recv(np.zeros(4), 0, tag),
        lambda: SELF.Irecv(np.zeros(4), 0, tag),
        lambda: SELF.Probe(0, tag),
        lambda: SELF.Iprobe(0, tag),
        lambda: SELF.Mprobe(0, tag),
        lambda: SELF.Improbe(0, tag),
    ]
    both_ways = [
        lambda: SELF.Sendrecv(GOOD, 0, tag, np.zeros(4), 0, 1),
        lambda: SELF.Sendrecv(GOOD, 0, 1, np.zeros(4), 0, tag),
        lambda: SELF.Sendrecv_replace(np.zeros(4), 0, tag, 0, 1),
        lambda: SELF.Sendrecv_replace(np.zeros(4), 0, 1, 0, tag),
    ]
    for call in one_way:
        assert refused(MPI.Exception, str(tag), call=call).Get_error_class() == MPI.ERR_TAG
    for call in both_ways:
        assert refused(MPI.Exception, call=call).Get_error_class() == MPI.ERR_TAG


def test_errors_say_where():
    """The name of the call, the communicator, our rank and host stand in the notes."""
    error = refused(MPI.Exception, call=lambda: WORLD.Send(GOOD, 99, 5))
    text = told(error)
    assert "Send" in text
    assert "99" in text
    assert f"rank {WORLD.Get_rank()}" in text
    assert MPI.Get_processor_name().split(".")[0] in text


def test_exception():
    error = refused(MPI.Exception, call=lambda: SELF.Send(GOOD, 99))
    assert MPI.Exception is mmpi.MPIError
    assert isinstance(error, RuntimeError)
    assert error.Get_error_class() == error.error_class == MPI.ERR_RANK
    assert error.Get_error_code() == error.error_code == int(error)
    assert error.Get_error_string() == error.error_string == MPI.Get_error_string(error.Get_error_code())
    assert error.error_string in str(error)


def test_null_communicator():
    for call in (
        lambda: MPI.COMM_NULL.Send(GOOD, 0),
        lambda: MPI.COMM_NULL.Irecv(np.zeros(4), 0),
        lambda: MPI.COMM_NULL.Sendrecv(GOOD, 0, 1, np.zeros(4), 0, 1),
        lambda: MPI.COMM_NULL.Iprobe(),
        lambda: MPI.COMM_NULL.Mprobe(),
    ):
        error = refused(MPI.Exception, call=call)
        assert error.Get_error_class() == MPI.ERR_COMM


# --- arguments -----------------------------------------------------------------------------------------------------

# name: (required arguments, all arguments)
SEND = (["buf", "dest"], ["buf", "dest", "tag"])
CALLS = {
    **dict.fromkeys(["Send", "Ssend", "Bsend", "Rsend", "Isend", "Issend", "Ibsend", "Irsend"], SEND),
    "Recv": (["buf"], ["buf", "source", "tag", "status"]),
    "Irecv": (["buf"], ["buf", "source", "tag"]),
    "Sendrecv": (["sendbuf", "dest"], ["sendbuf", "dest", "sendtag", "recvbuf", "source", "recvtag", "status"]),
    "Sendrecv_replace": (["buf", "dest"], ["buf", "dest", "sendtag", "source", "recvtag", "status"]),
    **dict.fromkeys(["Probe", "Iprobe", "Mprobe", "Improbe"], ([], ["source", "tag", "status"])),
}
VALUES = {"buf": bytearray(8), "sendbuf": bytearray(8), "recvbuf": bytearray(8), "status": None}


def value(name):
    return VALUES.get(name, 0)


@pytest.mark.parametrize("name", CALLS)
def test_unknown_keyword(name):
    required, _ = CALLS[name]
    args = [value(argument) for argument in required]
    refused(TypeError, name, "tga", call=lambda: getattr(SELF, name)(*args, tga=1))
    refused(TypeError, name, call=lambda: getattr(SELF, name)(*args, **{"": 1}))
    refused(TypeError, name, call=lambda: getattr(SELF, name)(*args, **{"d\N{SNOWMAN}st": 1}))


@pytest.mark.parametrize("name", CALLS)
def test_missing_argument(name):
    required, _ = CALLS[name]
    for left_out in required:
        given = {argument: value(argument) for argument in required if argument != left_out}
        refused(TypeError, name, left_out, call=lambda given=given: getattr(SELF, name)(**given))


@pytest.mark.parametrize("name", CALLS)
def test_too_many_arguments(name):
    _, every = CALLS[name]
    args = [value(argument) for argument in every]
    refused(TypeError, name, call=lambda: getattr(SELF, name)(*args, 0))
    refused(TypeError, name, call=lambda: getattr(SELF, name)(*args, *range(1000)))


@pytest.mark.parametrize("name", CALLS)
def test_argument_given_twice(name):
    _, every = CALLS[name]
    first = every[0]
    refused(TypeError, name, first, call=lambda: getattr(SELF, name)(value(first), **{a: value(a) for a in every}))


INTS = [(name, argument) for name, (_, every) in CALLS.items() for argument in every if value(argument) == 0]


@pytest.mark.parametrize("big", [2**31, -(2**31) - 1, 2**63, -(10**40)])
@pytest.mark.parametrize(("name", "argument"), INTS)
def test_beyond_a_c_int(name, argument, big):
    given = {a: value(a) for a in CALLS[name][1]}
    given[argument] = big
    refused(OverflowError, name, argument, str(big), call=lambda: getattr(SELF, name)(**given))


@pytest.mark.parametrize("bad", ["0", None, 1j, object(), [0], b"0", 0.5], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize(("name", "argument"), INTS)
def test_no_int(name, argument, bad):
    given = {a: value(a) for a in CALLS[name][1]}
    given[argument] = bad
    refused(TypeError, name, argument, call=lambda: getattr(SELF, name)(**given))


@pytest.mark.parametrize("number", [np.int32(0), np.int64(0), np.uint8(0), True, np.array(0)], ids=lambda x: type(x).__name__)
def test_ints_of_other_kinds(number):
    back = bytearray(1)
    SELF.Sendrecv(b"x", 0 if number is True else number, number, back, 0, number)
    assert back == b"x"


def test_index_that_raises():
    class Broken:
        def __index__(self):
            raise ZeroDivisionError("no number today")

    refused(ZeroDivisionError, "no number today", call=lambda: SELF.Isend(b"x", Broken()))
    refused(ZeroDivisionError, "no number today", call=lambda: SELF.Isend([b"x", Broken(), "B"], 0))


@pytest.mark.parametrize("name", ["Recv", "Sendrecv", "Sendrecv_replace", "Probe", "Iprobe", "Mprobe", "Improbe"])
def test_no_status(name):
    required, _ = CALLS[name]
    for bad in (3, "x", [MPI.Status()], MPI.Status):
        given = {argument: value(argument) for argument in required}
        if name == "Sendrecv":
            given["recvbuf"] = bytearray(8)
        refused(TypeError, "status", call=lambda g=given, b=bad: getattr(SELF, name)(**g, status=b))


def test_unbound_methods_want_their_object():
    for function in (MPI.Comm.Send, MPI.Comm.Irecv, MPI.Request.Wait, MPI.Status.Get_count, MPI.Message.Recv):
        for args in ((), (3,), (MPI.INT, GOOD, 0), (None,)):
            with pytest.raises(TypeError):
                function(*args)


def test_exporter_that_raises():
    """What goes wrong in the object's own code comes through."""

    class Broken:
        @property
        def __cuda_array_interface__(self):
            raise ZeroDivisionError("not today")

    refused(ZeroDivisionError, "not today", call=lambda: SELF.Isend(Broken(), 0))


def test_exporter_that_changes_the_list():
    """A spec may be changed by code that runs while it is read: the call has its own hold on the items."""
    spec = [bytearray(8), None, MPI.BYTE]

    class Sly:
        def __index__(self):
            spec.clear()
            return 8

    spec[1] = Sly()
    back = bytearray(8)
    SELF.Sendrecv(spec, 0, 1, back, 0, 1)
    assert spec == []
    pair = [None, 0]

    class Slyer:
        def __index__(self):
            pair.clear()
            return 8

    pair[0] = Slyer()
    SELF.Sendrecv([bytearray(8), pair, MPI.BYTE], 0, 1, back, 0, 1)


def test_resize_while_it_is_read():
    """An array that its own count frees: the memory is held from the moment it is looked at, or the count comes first."""
    numbers = array.array("B", bytes(4096))

    class Sly:
        def __index__(self):
            while numbers:
                numbers.pop()
            return 4096

    back = bytearray(4096)
    try:
        SELF.Sendrecv([numbers, Sly(), MPI.BYTE], 0, 1, back, 0, 1)
    except (BufferError, ValueError):
        assert SELF.Iprobe() is False


# --- memory --------------------------------------------------------------------------------------------------------


def test_attach_buffer():
    refused(BufferError, "buf", call=lambda: MPI.Attach_buffer(bytes(1000)))
    refused(TypeError, "buf", call=lambda: MPI.Attach_buffer(3))
    refused((BufferError, ValueError), "buf", call=lambda: MPI.Attach_buffer(np.zeros(1000)[::2]))


def test_attach_twice():
    buffer = bytearray(10000)
    MPI.Attach_buffer(buffer)
    with pytest.raises((MPI.Exception, ValueError, RuntimeError)):
        MPI.Attach_buffer(bytearray(10000))
    assert MPI.Detach_buffer() is buffer


def test_buffered_send_without_room():
    """More than the buffer holds is an error, unless the library needs no buffer for it."""
    MPI.Attach_buffer(bytearray(1000 + MPI.BSEND_OVERHEAD))
    try:
        for _ in range(100):
            SELF.Bsend(bytearray(500), 0, 77)
    except MPI.Exception as error:
        assert "Bsend" in told(error)
    finally:
        while SELF.Iprobe(0, 77):
            SELF.Recv(bytearray(500), 0, 77)
        MPI.Detach_buffer()


def test_alloc_mem():
    refused(OverflowError, "size", call=lambda: MPI.Alloc_mem(2**63))
    refused(TypeError, "size", call=lambda: MPI.Alloc_mem("many"))
    refused((MPI.Exception, ValueError), call=lambda: MPI.Alloc_mem(-1))
    refused((MPI.Exception, MemoryError), call=lambda: MPI.Alloc_mem(2**62))
    refused(TypeError, "info", call=lambda: MPI.Alloc_mem(8, 3))
    assert memoryview(MPI.Alloc_mem(0)).nbytes == 0


@pytest.mark.parametrize("foreign", [bytearray(8), np.zeros(3), memoryview(bytearray(8)), None, 3], ids=lambda x: type(x).__name__)
def test_free_mem_of_what_is_not_allocated(foreign):
    """Only memory from Alloc_mem can be freed, and once only."""
    with pytest.raises((TypeError, ValueError)) as caught:
        MPI.Free_mem(foreign)
    assert "mem" in told(caught.value)


def test_free_mem_twice():
    memory = MPI.Alloc_mem(64)
    MPI.Free_mem(memory)
    with pytest.raises((ValueError, TypeError, MPI.Exception)):
        MPI.Free_mem(memory)


def test_detach_without_attach():
    """Nothing to detach: an error or None, and the job goes on."""
    try:
        assert MPI.Detach_buffer() is None
    except (MPI.Exception, ValueError, RuntimeError):
        pass


@pytest.fixture(scope="module", autouse=True)
def alive_before():
    """Frames and views that were alive before the first test here."""
    gc.collect()
    return MPI._counters()


def test_nothing_is_left_behind(alive_before):
    """After all the refused calls above: no frame and no view of a buffer more than before. The last test of this module."""
    gc.collect()
    assert all(now <= then for now, then in zip(MPI._counters(), alive_before, strict=True))
