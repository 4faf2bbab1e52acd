# SPDX-License-Identifier: BSD-3-Clause
"""Who keeps what alive: buffers in flight, dropped requests, calls that fail; and what the methods say of themselves."""

import array
import contextlib
import gc
import inspect
import sys
import time
import weakref

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3])

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
RANK = SIZE = LEFT = RIGHT = 0  # set on the ranks, see ring()


@pytest.fixture(scope="module", autouse=True)
def ring():
    """Our place among the ranks: not known where tests are only collected."""
    global RANK, SIZE, LEFT, RIGHT
    RANK, SIZE = WORLD.Get_rank(), WORLD.Get_size()
    LEFT, RIGHT = (RANK - 1) % SIZE, (RANK + 1) % SIZE


def is_free(buffer):
    """A bytearray or array that nobody looks into can change its size."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True


def poke():
    """Requests that nobody holds are looked after when the next operation starts."""
    SELF.Irecv(bytearray(1), MPI.PROC_NULL).Wait()


def eventually(test):
    end = time.monotonic() + 60
    while not test():
        assert time.monotonic() < end
        poke()
        time.sleep(0)


def churn():
    """Reuse freed memory, so that a buffer freed too early is overwritten."""
    return [np.full(64, 0xAB, "B") for _ in range(20)], bytearray(b"\xcd" * 4096)


# --- after a call --------------------------------------------------------------------------------------------------

CALLS = {
    "Sendrecv": lambda a, b: SELF.Sendrecv(a, 0, 1, b, 0, 1),
    "Sendrecv-spec": lambda a, b: SELF.Sendrecv([a, 8, MPI.BYTE], 0, 1, [b, (8, 0), "B"], 0, 1),
    "Sendrecv_replace": lambda a, b: SELF.Sendrecv_replace(a, 0, 1, 0, 1),
    "nobody": lambda a, b: SELF.Sendrecv(a, MPI.PROC_NULL, 1, b, MPI.PROC_NULL, 1),
    "Isend-Recv": lambda a, b: (r := SELF.Isend(a, 0, 1), SELF.Recv(b, 0, 1), r.Wait()),
    "Irecv-Send": lambda a, b: (r := SELF.Irecv(b, 0, 1), SELF.Send(a, 0, 1), r.Wait()),
    "Issend-Mprobe": lambda a, b: (r := SELF.Issend(a, 0, 1), SELF.Mprobe(0, 1).Recv(b), r.Wait()),
    "Isend-Improbe-Irecv": lambda a, b: (r := SELF.Isend(a, 0, 1), SELF.Mprobe(0, 1).Irecv(b).Wait(), r.Wait()),
    "Waitall": lambda a, b: MPI.Request.Waitall([SELF.Irecv(b, 0, 1), SELF.Isend(a, 0, 1)]),
    "cancelled": lambda a, b: ((r := SELF.Irecv(b, 0, 1)).Cancel(), r.Wait()),
}


@pytest.mark.parametrize("make", [bytearray, lambda data: array.array("B", data)], ids=["bytearray", "array"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_buffers_are_let_go(call, make):
    a, b = make(b"12345678"), make(bytes(8))
    call(a, b)
    assert is_free(a)
    assert is_free(b)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_reference_counts_return(call):
    a, b = np.zeros(8, "B"), np.zeros(8, "B")
    call(a, b)  # once, for what is kept for ever
    before = sys.getrefcount(a), sys.getrefcount(b), sys.getrefcount(None), sys.getrefcount(MPI.BYTE)
    for _ in range(50):
        call(a, b)
    after = sys.getrefcount(a), sys.getrefcount(b), sys.getrefcount(None), sys.getrefcount(MPI.BYTE)
    assert after[:2] == before[:2]
    assert abs(after[2] - before[2]) < 25
    assert abs(after[3] - before[3]) < 25


WAITS = {
    "Wait": lambda r: r.Wait(),
    "Test": lambda r: eventually(r.Test),
    "Waitall": lambda r: MPI.Request.Waitall([r]),
    "Testall": lambda r: eventually(lambda: MPI.Request.Testall([r])),
    "Waitany": lambda r: MPI.Request.Waitany([MPI.REQUEST_NULL, r]),
    "Testany": lambda r: eventually(lambda: MPI.Request.Testany([r])[1]),
    "Waitsome": lambda r: MPI.Request.Waitsome([r]),
    "Testsome": lambda r: eventually(lambda: MPI.Request.Testsome([r])),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_every_way_to_wait_lets_go(wait, tag):
    buffer, items = bytearray(8), np.zeros(1)
    before = sys.getrefcount(items)
    requests = [WORLD.Irecv(buffer, LEFT, tag), WORLD.Irecv(items, LEFT, tag + 1)]
    assert not is_free(buffer)
    assert sys.getrefcount(items) > before
    WORLD.Send(bytes(8), RIGHT, tag)
    WORLD.Send(bytes(8), RIGHT, tag + 1)
    for request in requests:
        wait(request)
    assert is_free(buffer)  # though the requests still exist
    assert sys.getrefcount(items) == before
    del requests


def test_get_status_keeps_the_buffer(tag):
    buffer = bytearray(8)
    request = SELF.Irecv(buffer, 0, tag)
    SELF.Send(bytes(8), 0, tag)
    eventually(request.Get_status)
    assert not is_free(buffer)
    request.Wait()
    assert is_free(buffer)


def test_failed_wait_lets_go(tag, truncation_is_told):
    buffer = bytearray(2)
    receive = WORLD.Irecv(buffer, LEFT, tag)
    out = bytearray(50)
    send = WORLD.Isend(out, RIGHT, tag)
    with pytest.raises(MPI.Exception):
        receive.Wait()
    with contextlib.suppress(MPI.Exception):
        send.Wait()
    assert is_free(buffer)
    assert is_free(out)


FAILURES = {
    "recvbuf": (BufferError, lambda a, b: SELF.Sendrecv(a, 0, 1, b"read-only", 0, 1)),
    "recvbuf-none": (TypeError, lambda a, b: SELF.Sendrecv(a, 0, 1, None, 0, 1)),
    "recvbuf-object": (TypeError, lambda a, b: SELF.Sendrecv(a, 0, 1, object(), 0, 1)),
    "too-small": (ValueError, lambda a, b: SELF.Sendrecv(a, 0, 1, [b, 99, MPI.BYTE], 0, 1)),
    "type": (Exception, lambda a, b: SELF.Sendrecv(a, 0, 1, [b, 1, "no type"], 0, 1)),
    "count": (TypeError, lambda a, b: SELF.Sendrecv([a, "x", MPI.BYTE], 0, 1, b, 0, 1)),
    "uneven": (ValueError, lambda a, b: SELF.Sendrecv(a, 0, 1, [b, MPI.LONG_DOUBLE], 0, 1)),
    "dest": (TypeError, lambda a, b: SELF.Send(a, "nobody")),
    "dest-rank": (MPI.Exception, lambda a, b: SELF.Send(a, 99)),
    "dest-big": (OverflowError, lambda a, b: SELF.Send(a, 2**31)),
    "sendtag": (TypeError, lambda a, b: SELF.Sendrecv(a, 0, None, b, 0, 1)),
    "recvtag": (TypeError, lambda a, b: SELF.Sendrecv(a, 0, 1, b, 0, None)),
    "status": (TypeError, lambda a, b: SELF.Sendrecv(a, 0, 1, b, 0, 1, 3)),
    "Isend-rank": (MPI.Exception, lambda a, b: SELF.Isend(a, 99)),
    "Isend-tag": (TypeError, lambda a, b: SELF.Isend(a, 0, "x")),
    "Irecv-rank": (MPI.Exception, lambda a, b: SELF.Irecv(b, 99)),
    "Irecv-tag": (MPI.Exception, lambda a, b: SELF.Irecv(b, 0, -9)),
    "Recv-rank": (MPI.Exception, lambda a, b: SELF.Recv(b, 99)),
    "replace-rank": (MPI.Exception, lambda a, b: SELF.Sendrecv_replace(a, 99, 1, 0, 1)),
    "missing": (TypeError, lambda a, b: SELF.Send(a)),
    "unknown": (TypeError, lambda a, b: SELF.Send(a, 0, tga=1)),
}


@pytest.mark.parametrize(("error", "call"), FAILURES.values(), ids=FAILURES)
def test_failed_call_lets_go(error, call):
    a, b, items = bytearray(24), bytearray(24), np.zeros(24, "B")
    with pytest.raises(error):
        call(a, b)
    assert is_free(a)
    assert is_free(b)
    before = sys.getrefcount(items)
    for _ in range(10):
        with contextlib.suppress(Exception):
            call(items, items)
    assert sys.getrefcount(items) == before


# --- in flight -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Isend", "Issend"])
def test_dropped_send_keeps_its_buffer(name, tag):
    buffer = bytearray(range(256)) * 400
    getattr(WORLD, name)(buffer, RIGHT, tag)
    gc.collect()
    if name == "Issend":
        assert not is_free(buffer)
    WORLD.Barrier()
    back = bytearray(len(buffer))
    WORLD.Recv(back, LEFT, tag)
    assert back == buffer
    eventually(lambda: is_free(buffer))


def test_dropped_send_of_a_temporary(tag):
    """Nobody but MPI knows the array any more."""
    for i in range(10):
        WORLD.Issend(np.full(20000, i, "i"), RIGHT, tag)
        gc.collect()
        churn()
    back = np.zeros(20000, "i")
    for i in range(10):
        WORLD.Recv(back, LEFT, tag)
        assert (back == i).all()


def test_dropped_receive_keeps_its_buffer(tag):
    buffer, items = bytearray(8), np.zeros(1)
    alive = weakref.ref(items)
    WORLD.Irecv(buffer, LEFT, tag)
    WORLD.Irecv(items, LEFT, tag + 1)
    del items
    gc.collect()
    assert not is_free(buffer)
    assert alive() is not None
    WORLD.Barrier()
    WORLD.Send(b"complete", RIGHT, tag)
    WORLD.Send(b"complete", RIGHT, tag + 1)
    eventually(lambda: is_free(buffer) and alive() is None)
    assert buffer == b"complete"


def test_dropped_cancelled_receive(tag):
    buffer = bytearray(8)
    request = SELF.Irecv(buffer, 0, tag)
    request.Cancel()
    del request
    eventually(lambda: is_free(buffer))


@pytest.mark.mmpi(timeout=300)
def test_ten_thousand_messages_nobody_waits_for(tag):
    """Fire and forget, with the garbage collector at work and memory reused at once."""
    back = np.zeros(8, int)
    old = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for i in range(10000):
            WORLD.Isend(np.arange(i, i + 8), RIGHT, tag)
            if i % 50 == 0:
                churn()
            if i % 100 == 99:
                for k in range(i - 99, i + 1):
                    WORLD.Recv(back, LEFT, tag)
                    assert back[0] == k
                    assert back[7] == k + 7
    finally:
        gc.set_threshold(*old)


def test_thousand_dropped_receives(tag):
    """They are received in order, by buffers that nobody else holds: the last one tells that all have come."""
    alive = []
    for _ in range(1000):
        items = np.zeros(4)
        alive.append(weakref.ref(items))
        WORLD.Irecv(items, LEFT, tag)
    del items
    gc.collect()
    assert all(ref() is not None for ref in alive)
    WORLD.Barrier()
    for i in range(1001):
        WORLD.Isend(np.full(4, i, "d"), RIGHT, tag)
    last = np.zeros(4)
    WORLD.Recv(last, LEFT, tag)
    assert last[0] == 1000
    eventually(lambda: not any(ref() is not None for ref in alive))


def test_freed_request_keeps_its_buffer(tag):
    """Free gives the request away, not the memory: MPI may still read it."""
    request = WORLD.Issend(np.arange(30000), RIGHT, tag)
    request.Free()
    del request
    gc.collect()
    churn()
    back = np.zeros(30000, int)
    WORLD.Recv(back, LEFT, tag)
    assert (back == np.arange(30000)).all()


def test_specs_are_held_too(tag):
    """What a list or a DLPack-like object stands for lives as long as the message."""

    class Holder:
        def __init__(self, items):
            self.items = items

        @property
        def __cuda_array_interface__(self):
            return {
                "shape": self.items.shape,
                "typestr": self.items.dtype.str,
                "data": (self.items.ctypes.data, False),
                "version": 3,
                "strides": None,
            }

    holder = Holder(np.arange(20000))
    alive = weakref.ref(holder.items)
    request = WORLD.Issend([holder, 20000, MPI.LONG], RIGHT, tag)
    del holder
    gc.collect()
    assert alive() is not None
    back = np.zeros(20000, int)
    WORLD.Recv(back, LEFT, tag)
    assert (back == np.arange(20000)).all()
    request.Wait()
    gc.collect()
    assert alive() is None


def test_types_may_be_freed_in_flight(tag):
    """MPI keeps a datatype until the message is done."""
    pair = MPI.INT.Create_contiguous(2).Commit()
    back = np.zeros(4, "i")
    request = WORLD.Irecv([back, 2, pair], LEFT, tag)
    pair.Free()
    WORLD.Send(np.arange(4, dtype="i"), RIGHT, tag)
    request.Wait()
    assert list(back) == [0, 1, 2, 3]


# --- cycles --------------------------------------------------------------------------------------------------------


class Box(bytearray):
    """A buffer that can hold its own request."""


def test_cycle_of_a_finished_request(tag):
    box = Box(8)
    box.request = SELF.Irecv(box, 0, tag)
    SELF.Send(bytes(8), 0, tag)
    box.request.Wait()
    alive = weakref.ref(box)
    del box
    gc.collect()
    assert alive() is None


def test_cycle_of_a_pending_request(tag):
    """A buffer that holds its own request and is forgotten: the message is received all the same, into living memory."""
    box = Box(100000)
    box.request = WORLD.Irecv(box, LEFT, tag)
    box.me = box
    del box
    gc.collect()
    churn()
    WORLD.Barrier()
    WORLD.Send(bytes(100000), RIGHT, tag)
    for _ in range(3):
        poke()
        gc.collect()
    request = WORLD.Isend(b"x", RIGHT, tag)
    back = bytearray(1)
    WORLD.Recv(back, LEFT, tag)  # had the receive been lost, the long message would come here
    request.Wait()
    assert back == b"x"


# --- subclasses and weak references --------------------------------------------------------------------------------


class MyRequest(MPI.Request):
    def __new__(cls, request=None):
        return super().__new__(cls, request)


def test_request_of_a_subclass_takes_over(tag):
    items = np.zeros(1)
    alive = weakref.ref(items)
    mine = MyRequest(WORLD.Irecv(items, LEFT, tag))
    del items
    gc.collect()
    assert isinstance(mine, MPI.Request)
    assert mine != MPI.REQUEST_NULL
    assert alive() is not None
    WORLD.Send(np.ones(1), RIGHT, tag)
    mine.Wait()
    assert mine == MPI.REQUEST_NULL
    gc.collect()
    assert alive() is None
    assert MyRequest() == MPI.REQUEST_NULL


def test_subclasses_with_attributes():
    class MyComm(MPI.Intracomm):
        def double(self):
            return 2 * self.Get_size()

    class MyStatus(MPI.Status):
        pass

    comm = MyComm(WORLD)
    comm.name_of_mine = "x"
    assert comm == WORLD
    assert comm.double() == 2 * SIZE
    status = MyStatus()
    status.note = "y"
    SELF.Sendrecv(b"abc", 0, 1, bytearray(3), 0, 1, status)
    assert (status.count, status.note) == (3, "y")


@pytest.mark.parametrize(
    "make",
    [MPI.Request, MPI.Message, MPI.Status, MPI.Datatype, MPI.Op, MPI.Group, MPI.Comm, MPI.Intracomm],
    ids=lambda cls: cls.__name__,
)
def test_weak_references(make):
    thing = make()
    alive = weakref.ref(thing)
    assert alive() is thing
    del thing
    gc.collect()
    assert alive() is None


def test_weak_references_to_constants():
    for thing in (MPI.COMM_WORLD, MPI.COMM_SELF, MPI.INT, MPI.SUM, MPI.REQUEST_NULL, MPI.GROUP_EMPTY):
        assert weakref.ref(thing)() is thing


def test_wrappers_do_not_own():
    """A second object for the same communicator, dropped, leaves it as it is."""
    for _ in range(10):
        MPI.Intracomm(WORLD)
        MPI.Request(MPI.REQUEST_NULL)
        MPI.Datatype(MPI.INT)
    gc.collect()
    WORLD.Barrier()
    assert MPI.INT.Get_size() == 4


def test_half_made_objects():
    """Arguments that are no handle: an error, and nothing else happens."""
    for cls in (MPI.Request, MPI.Message, MPI.Status, MPI.Datatype, MPI.Op, MPI.Group, MPI.Comm):
        for bad in (3, "x", object(), [1]):
            with pytest.raises(TypeError):
                cls(bad)
    with pytest.raises(TypeError):
        MPI.Request(MPI.COMM_SELF)


# --- signatures ----------------------------------------------------------------------------------------------------

# arguments: the methods that have them ("*": a default)
NAMES = {
    "buf dest tag*": "Comm: Send Ssend Bsend Rsend Isend Issend Ibsend Irsend",
    "buf source* tag* status*": "Comm: Recv",
    "buf source* tag*": "Comm: Irecv",
    "sendbuf dest sendtag* recvbuf* source* recvtag* status*": "Comm: Sendrecv",
    "buf dest sendtag* source* recvtag* status*": "Comm: Sendrecv_replace",
    "source* tag* status*": "Comm: Probe Iprobe Mprobe Improbe",
    "": "Comm: Barrier Ibarrier Get_size Get_rank Get_group Free Get_name Is_inter Is_intra; "
    "Request: Cancel Free; Status: Get_source Get_tag Get_error Is_cancelled; "
    "Datatype: Dup Commit Free Get_size Get_extent Get_true_extent; Op: Is_commutative Free; "
    "Group: Get_size Get_rank Dup Free; Cartcomm: Get_dim Get_topo",
    "buf root*": "Comm: Bcast Ibcast",
    "sendbuf recvbuf root*": "Comm: Gather Gatherv Scatter Scatterv Igather Igatherv Iscatter Iscatterv",
    "sendbuf recvbuf": "Comm: Allgather Allgatherv Alltoall Alltoallv Alltoallw "
    "Iallgather Iallgatherv Ialltoall Ialltoallv Ialltoallw",
    "sendbuf recvbuf op* root*": "Comm: Reduce Ireduce",
    "sendbuf recvbuf op*": "Comm: Allreduce Iallreduce Reduce_scatter_block Ireduce_scatter_block; "
    "Intracomm: Scan Exscan Iscan Iexscan",
    "sendbuf recvbuf recvcounts* op*": "Comm: Reduce_scatter Ireduce_scatter",
    "comm": "Comm: Compare",
    "info*": "Comm: Dup",
    "group": "Comm: Create",
    "color* key*": "Comm: Split",
    "split_type key* info*": "Comm: Split_type",
    "name": "Comm: Set_name",
    "dims periods* reorder*": "Intracomm: Create_cart",
    "coords": "Cartcomm: Get_cart_rank",
    "rank": "Cartcomm: Get_coords",
    "direction disp": "Cartcomm: Shift",
    "remain_dims": "Cartcomm: Sub",
    "status*": "Request: Wait Test Get_status",
    "requests statuses*": "Request: Waitall Testall Waitsome Testsome",
    "requests status*": "Request: Waitany Testany",
    "buf status*": "Message: Recv",
    "buf": "Message: Irecv",
    "comm source* tag* status*": "Message: Probe Iprobe",
    "datatype*": "Status: Get_count",
    "datatype": "Status: Get_elements",
    "datatype count": "Status: Set_elements",
    "flag": "Status: Set_cancelled",
    "source": "Status: Set_source",
    "tag": "Status: Set_tag",
    "error": "Status: Set_error",
    "count": "Datatype: Create_contiguous",
    "count blocklength stride": "Datatype: Create_vector Create_hvector",
    "sizes subsizes starts order*": "Datatype: Create_subarray",
    "blocklengths displacements datatypes": "Datatype: Create_struct",
    "lb extent": "Datatype: Create_resized",
    "function commute*": "Op: Create",
}
EXPECTED = [
    (cls.strip(), name, arguments.split())
    for arguments, classes in NAMES.items()
    for part in classes.split(";")
    for cls, _, names in [part.partition(":")]
    for name in names.split()
]


@pytest.mark.parametrize(("cls", "name", "arguments"), EXPECTED, ids=[f"{cls}.{name}" for cls, name, _ in EXPECTED])
def test_names_of_arguments(cls, name, arguments):
    """A port must not have to change its keywords."""
    method = getattr(getattr(MPI, cls), name)
    parameters = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
    assert [p.name for p in parameters] == [argument.rstrip("*") for argument in arguments]
    for parameter, argument in zip(parameters, arguments, strict=True):
        assert (parameter.default is not inspect.Parameter.empty) == argument.endswith("*"), argument


def public_callables():
    """Every public method of a class of the module, and every public function."""
    for name, thing in vars(MPI).items():
        if name.startswith("_"):
            continue
        if isinstance(thing, type) and thing.__module__.startswith(("mmpi", MPI.__name__)):
            for key, member in vars(thing).items():
                if not key.startswith("_") and not isinstance(member, property) and callable(getattr(thing, key)):
                    yield f"{name}.{key}", getattr(thing, key)
        elif inspect.isbuiltin(thing):
            yield name, thing


def test_every_method_has_a_signature():
    seen = dict(public_callables())
    assert len(seen) > 150
    without = []
    for name, thing in seen.items():
        try:
            inspect.signature(thing)
        except (ValueError, TypeError):
            without.append(name)
    assert without == []


def test_every_method_has_a_docstring():
    """A sentence on what it does."""
    docs = {name: (thing.__doc__ or "").strip() for name, thing in public_callables()}
    assert [name for name, doc in docs.items() if not doc.endswith((".", ")")) or " " not in doc] == []


def test_bound_methods_have_no_self():
    assert list(inspect.signature(WORLD.Send).parameters) == ["buf", "dest", "tag"]
    assert list(inspect.signature(MPI.Request.Waitall).parameters) == ["requests", "statuses"]


def test_types_belong_to_the_public_module():
    for name in ("Comm", "Intracomm", "Request", "Message", "Status", "Datatype", "Op", "Group", "Exception"):
        cls = getattr(MPI, name)
        assert "_core" not in repr(cls)
        assert "_core" not in cls.__module__
