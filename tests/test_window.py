# SPDX-License-Identifier: BSD-3-Clause
"""Windows: memory that other ranks read, write and combine, and the ways to synchronize that."""

import gc
import pickle
import resource

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3])

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
ITEMS = 12
FLAVORS = ["Create", "Allocate", "Allocate_shared"]
MOVES = ["Put", "Get", "Accumulate", "Get_accumulate"]
FLAVOR_OF = {
    "Create": MPI.WIN_FLAVOR_CREATE,
    "Allocate": MPI.WIN_FLAVOR_ALLOCATE,
    "Allocate_shared": MPI.WIN_FLAVOR_SHARED,
}
RANK = SIZE = RIGHT = LEFT = 0  # set on the ranks, see ring()


@pytest.fixture(scope="module", autouse=True)
def ring():
    """Our place among the ranks: not known where tests are only collected."""
    global RANK, SIZE, LEFT, RIGHT
    RANK, SIZE = WORLD.Get_rank(), WORLD.Get_size()
    LEFT, RIGHT = (RANK - 1) % SIZE, (RANK + 1) % SIZE


def make(flavor, dtype=np.float64, items=ITEMS, comm=WORLD):
    """A window of zeros, and its memory as an array."""
    if flavor == "Create":
        memory = np.zeros(items, dtype)
        return MPI.Win.Create(memory, memory.itemsize, comm=comm), memory
    window = getattr(MPI.Win, flavor)(items * np.dtype(dtype).itemsize, np.dtype(dtype).itemsize, comm=comm)
    memory = np.frombuffer(window, dtype)
    memory[:] = 0
    comm.Barrier()
    return window, memory


@pytest.fixture(params=FLAVORS)
def window(request):
    """A window with an array on its memory; displacements count its items."""
    made, memory = make(request.param)
    WORLD.Barrier()
    yield made, memory
    WORLD.Barrier()
    made.Free()


class Epoch:
    """The ways to synchronize, each as a context in which every rank may access the one at its right."""

    def __init__(self, window, how):
        self.window, self.how = window, how

    def __enter__(self):
        window, world = self.window, self.window.Get_group()
        WORLD.Barrier()  # all have looked at what was there before
        if self.how == "fence":
            window.Fence(MPI.MODE_NOPRECEDE)
        elif self.how == "lock":
            window.Lock(RIGHT)
        elif self.how == "shared lock":
            window.Lock(RIGHT, MPI.LOCK_SHARED)
        elif self.how == "lock all":
            window.Lock_all()
        else:
            window.Post(world.Incl([LEFT]))
            window.Start(world.Incl([RIGHT]))

    def __exit__(self, *error):
        window = self.window
        if self.how == "fence":
            window.Fence(MPI.MODE_NOSUCCEED)
        elif self.how in ("lock", "shared lock"):
            window.Unlock(RIGHT)
        elif self.how == "lock all":
            window.Unlock_all()
        else:
            window.Complete()
            if self.how == "wait":
                assert window.Wait() is True
            else:
                while not window.Test():
                    pass
        WORLD.Barrier()
        if "lock" in self.how:  # see what others wrote
            window.Lock(RANK)
            window.Unlock(RANK)


EPOCHS = ["fence", "lock", "shared lock", "lock all", "wait", "test"]

# --- moving data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", EPOCHS)
def test_put_and_get(window, how):
    win, memory = window
    with Epoch(win, how):
        win.Put(np.arange(1.0, 4.0) + RANK * 10, RIGHT, 2)
    assert memory.tolist() == [0, 0, *(np.arange(1.0, 4.0) + LEFT * 10), *[0] * (ITEMS - 5)]
    got = np.full(5, -1.0)
    with Epoch(win, how):
        win.Get([got, 3], RIGHT, (2, 3))
    assert got.tolist() == [*(np.arange(1.0, 4.0) + RANK * 10), -1, -1]


@pytest.mark.parametrize("how", ["fence", "lock all"])
def test_accumulate_and_what_was_there_before(window, how):
    win, memory = window
    memory[:] = np.arange(ITEMS)
    WORLD.Barrier()
    before = np.empty(ITEMS)
    with Epoch(win, how):
        win.Accumulate(np.full(ITEMS, 2.0), RIGHT)
    assert memory.tolist() == list(np.arange(ITEMS) + 2)
    with Epoch(win, how):
        win.Get_accumulate(np.full(ITEMS, 3.0), before, RIGHT, op=MPI.PROD)
    assert before.tolist() == list(np.arange(ITEMS) + 2)
    assert memory.tolist() == list((np.arange(ITEMS) + 2) * 3)
    with Epoch(win, how):
        win.Get_accumulate(np.zeros(ITEMS), before, RIGHT, op=MPI.NO_OP)
    with Epoch(win, how):
        win.Accumulate(np.full(2, 7.0), RIGHT, ITEMS - 2, MPI.REPLACE)
    assert before.tolist() == list((np.arange(ITEMS) + 2) * 3)
    assert memory[-3:].tolist() == [(ITEMS - 1) * 3, 7, 7]


def test_operations_with_requests(window):
    win, memory = window
    got, before = np.empty(3), np.empty(3)
    win.Lock_all()
    win.Rput(np.array([1.0, 2, 3]), RIGHT).Wait()
    win.Flush(RIGHT)
    win.Raccumulate(np.ones(3), RIGHT, op=MPI.SUM).Wait()
    win.Flush_all()
    requests = [win.Rget(got, RIGHT)]
    MPI.Request.Waitall(requests)
    win.Rget_accumulate(np.full(3, 2.0), before, RIGHT, [0], MPI.PROD).Wait()
    win.Unlock_all()
    WORLD.Barrier()
    assert got.tolist() == before.tolist() == [2, 3, 4]
    win.Lock(RANK)
    assert memory[:4].tolist() == [4, 6, 8, 0]
    win.Unlock(RANK)


@pytest.mark.parametrize("dtype", ["b", "i", "l", "q", "I", "Q"])
def test_atomic_operations_count_right(dtype):
    win, memory = make("Allocate", dtype, 2)
    WORLD.Barrier()
    one, before = np.ones(1, dtype), np.zeros(1, dtype)
    tickets = []
    win.Lock_all()
    for _ in range(20):
        win.Fetch_and_op(one, before, 0, 0)
        win.Flush(0)
        tickets.append(int(before[0]))
    win.Unlock_all()
    if dtype != "b":
        assert sorted(WORLD.allreduce(tickets)) == list(range(20 * SIZE))
    win.Lock(0, MPI.LOCK_SHARED)
    mine = np.array(RANK + 1, dtype)
    win.Compare_and_swap(mine, np.zeros(1, dtype), before, 0, 1)
    win.Unlock(0)
    winners = WORLD.allgather(int(before[0]) == 0)
    assert sum(winners) == 1
    win.Fence()
    if RANK == 0:
        assert memory.tolist() == [20 * SIZE, winners.index(True) + 1]
    win.Fence()
    win.Free()


def test_derived_datatypes_on_both_sides():
    win, memory = make("Allocate", "i")
    every_second = MPI.INT.Create_vector(4, 1, 2).Commit()
    WORLD.Barrier()
    with Epoch(win, "fence"):
        win.Put(np.arange(4, dtype="i") + 1, RIGHT, (1, 1, every_second))
    assert memory.tolist() == [0, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 0]
    got = np.zeros(8, "i")
    with Epoch(win, "fence"):
        win.Get([got, 1, every_second], RIGHT, (1, 4, "i"))
    assert got.tolist() == [1, 0, 0, 0, 2, 0, 0, 0]
    win.Free()


def test_nobody(window):
    win, memory = window
    win.Lock_all()
    for name in MOVES:
        buffers = [None, None] if name == "Get_accumulate" else [None]
        getattr(win, name)(*buffers, MPI.PROC_NULL)
        getattr(win, "R" + name.lower())(*buffers, MPI.PROC_NULL).Wait()
    win.Fetch_and_op(None, None, MPI.PROC_NULL)
    win.Compare_and_swap(None, None, None, MPI.PROC_NULL)
    win.Unlock_all()
    WORLD.Barrier()
    assert not memory.any()


def test_no_items(window):
    win, memory = window
    with Epoch(win, "fence"):
        win.Put(bytearray(), RIGHT)
        win.Get(np.empty(0), RIGHT, ITEMS)
        win.Put([np.ones(3), 0], RIGHT)
        win.Accumulate([None, 0, MPI.INT], RIGHT)
    assert not memory.any()


def test_a_counter_that_all_ranks_advance():
    """What util.sync and load balancers do."""
    win, _ = make("Create", "q", 1 if RANK == 0 else 0)
    before, one, drawn = np.empty(1, "q"), np.ones(1, "q"), []
    while True:
        win.Lock(0)
        win.Fetch_and_op(one, before, 0)
        win.Unlock(0)
        if before[0] >= 30:
            break
        drawn.append(int(before[0]))
    assert sorted(WORLD.allreduce(drawn)) == list(range(30))
    win.Free()


# --- memory ---------------------------------------------------------------------------------------------------------


def test_shared_memory_is_addressed_directly():
    win, memory = make("Allocate_shared", "i", RANK + 1)
    win.Lock_all()
    memory[:] = RANK + 1
    win.Sync()
    win.Unlock_all()
    WORLD.Barrier()
    for rank in range(SIZE):
        view, unit = win.Shared_query(rank)
        assert unit == 4 and np.frombuffer(view, "i").tolist() == [rank + 1] * (rank + 1)
    first, _ = win.Shared_query(MPI.PROC_NULL)
    assert len(first) == 4
    whole = np.frombuffer(win.Shared_query(0)[0], "i")
    win.Fence()
    np.frombuffer(win.Shared_query(RIGHT)[0], "i")[0] = 50 + RANK
    win.Fence()
    assert memory[0] == 50 + LEFT and whole[0] == 50 + (SIZE - 1)
    win.Free()


def test_dynamic_windows():
    win = MPI.Win.Create_dynamic(comm=WORLD)
    assert win.flavor == MPI.WIN_FLAVOR_DYNAMIC and len(win.tomemory()) == 0
    assert MPI.Get_address(win.tomemory()) == win.attrs[0] == 0
    memory = bytearray(64)
    win.Attach(memory)
    with pytest.raises(BufferError):
        memory.append(1)  # it may not move
    with pytest.raises(ValueError, match=r"Attach.*attached already"):
        win.Attach(memory)
    address = np.frombuffer(memory, "B").__array_interface__["data"][0]
    where = WORLD.allgather(address)
    with Epoch(win, "fence"):
        win.Put(bytes([RANK + 1] * 4), RIGHT, where[RIGHT] + 8)
    assert memory[:16] == bytes(8) + bytes([LEFT + 1] * 4) + bytes(4)
    win.Detach(memory)
    memory.append(1)
    with pytest.raises(ValueError, match=r"Detach.*not attached"):
        win.Detach(bytearray(8))
    win.Free()


def test_what_a_window_is(window):
    win, memory = window
    flavor = next(name for name, value in FLAVOR_OF.items() if value == win.flavor)
    base, size, unit = win.attrs
    assert (size, unit) == (memory.nbytes, memory.itemsize)
    assert base == memory.__array_interface__["data"][0] == win.Get_attr(MPI.WIN_BASE)
    assert size == win.Get_attr(MPI.WIN_SIZE) and unit == win.Get_attr(MPI.WIN_DISP_UNIT)
    assert win.model == win.Get_attr(MPI.WIN_MODEL) and win.model in (MPI.WIN_UNIFIED, MPI.WIN_SEPARATE)
    assert win.flavor == win.Get_attr(MPI.WIN_CREATE_FLAVOR) == FLAVOR_OF[flavor]
    assert (win.group_rank, win.group_size) == (RANK, SIZE) and MPI.Group.Compare(win.group, WORLD.group) == MPI.IDENT
    memory[:] = RANK
    assert bytes(win.tomemory()) == memory.tobytes() == bytes(memoryview(win))
    win.Set_name("shelf")
    assert win.name == "shelf" and repr(win) == f"<Win 'shelf' rank {RANK} of {SIZE}>"
    win.name = "other"
    assert win.Get_name() == "other"
    with pytest.raises(AttributeError):
        del win.name
    with pytest.raises(ValueError, match="this process only"):
        pickle.dumps(win)
    assert pickle.loads(pickle.dumps(MPI.WIN_NULL)) is MPI.WIN_NULL and not MPI.WIN_NULL
    assert MPI.WIN_NULL.name == "MPI_WIN_NULL"


def test_infos():
    with MPI.Info.Create() as hints:
        hints["no_locks"] = "true"
        win = MPI.Win.Allocate(8, info=hints, comm=WORLD)
        assert isinstance(win.Get_info(), MPI.Info)
        win.Set_info(hints)
        win.info = hints
        assert isinstance(win.info, MPI.Info)
    win.Free()


def test_the_window_keeps_its_memory():
    win = MPI.Win.Create(np.full(1000, RANK + 1.0), 8, comm=WORLD)
    gc.collect()
    [np.zeros(1000) for _ in range(50)]  # would take its place
    got = np.empty(1000)
    with Epoch(win, "fence"):
        win.Get(got, RIGHT)
    assert (got == RIGHT + 1).all()
    win.Free()
    memory = bytearray(100)
    win = MPI.Win.Create(memory, comm=WORLD)
    second = MPI.Win(win)
    assert second == win and second is not win
    del win
    gc.collect()
    with pytest.raises(BufferError):
        memory.append(1)
    second.Free()
    memory.append(1)


def test_buffers_stay_until_the_window_is_synchronized():
    win, memory = make("Allocate", "B", 100)
    ends = [lambda: win.Flush(RIGHT), win.Flush_all, lambda: win.Flush_local(RIGHT), win.Flush_local_all]
    win.Lock_all()
    for end in ends:
        out = bytearray(range(100))
        win.Put(out, RIGHT)
        with pytest.raises(BufferError):
            out.append(1)
        if SIZE > 2:
            win.Flush(LEFT)  # somebody else
            with pytest.raises(BufferError):
                out.append(1)
        end()
        out.append(1)
    for value in range(50):
        win.Put(np.full(2, value, "B"), RIGHT, 2 * value)  # each dropped at once
    win.Unlock_all()
    WORLD.Barrier()
    win.Lock(RANK)
    assert memory.tolist() == [value // 2 for value in range(100)]
    win.Unlock(RANK)
    out = bytearray(100)
    win.Fence()
    win.Get(out, RIGHT)
    with pytest.raises(BufferError):
        out.append(1)
    win.Fence()
    out.append(1)
    assert list(out[:100]) == [value // 2 for value in range(100)]
    win.Free()


def test_a_request_keeps_the_buffer():
    win, memory = make("Allocate", "B", 100)
    win.Lock_all()
    out = bytearray(range(100))
    request = win.Rput([out, 50], RIGHT)
    request.Wait()
    out.append(1)
    win.Rput(np.arange(50, 100, dtype="B"), RIGHT, 50)  # dropped
    gc.collect()
    win.Unlock_all()
    WORLD.Barrier()
    win.Lock(RANK)
    assert memory.tolist() == list(range(100))
    win.Unlock(RANK)
    win.Free()


def test_windows_close_with_their_block():
    with MPI.Win.Allocate(8, comm=WORLD) as win:
        win.Fence()
    assert win == MPI.WIN_NULL and not win and repr(win) == "<Win null>"
    win.free()


# --- attributes and error handlers ----------------------------------------------------------------------------------


def test_attributes():
    gone = []
    key = MPI.Win.Create_keyval(delete_fn=lambda win, keyval, value: gone.append(value))
    win = MPI.Win.Allocate(8, comm=WORLD)
    assert win.Get_attr(key) is None
    win.Set_attr(key, "first")
    assert win.Get_attr(key) == "first"
    win.Delete_attr(key)
    win.Set_attr(key, "second")
    win.Free()
    assert gone == ["first", "second"] and MPI.Win.Free_keyval(key) == MPI.KEYVAL_INVALID


def test_error_handlers():
    win, seen = MPI.Win.Allocate(8, comm=WORLD), []
    assert win.Get_errhandler() == MPI.ERRORS_RETURN
    handler = MPI.Win.Create_errhandler(lambda window, code: seen.append((window == win, MPI.Get_error_class(code))))
    win.Set_errhandler(handler)
    win.Call_errhandler(MPI.ERR_OTHER)
    assert seen == [(True, MPI.ERR_OTHER)]
    win.Set_errhandler(MPI.ERRORS_RETURN)
    handler.Free()
    win.Free()


# --- misuse ---------------------------------------------------------------------------------------------------------


def test_a_freed_window_says_so():
    win = MPI.Win.Allocate(8, comm=SELF)
    win.Free()
    calls = [win.Free, win.Fence, win.Complete, win.Wait, win.Test, win.Unlock_all, win.Flush_all, win.Sync, win.tomemory, win.Get_group,
             lambda: win.Put(b"1", 0), lambda: win.Rget(bytearray(1), 0), lambda: win.Lock(0), lambda: win.attrs, lambda: memoryview(win),
             lambda: win.Fetch_and_op(np.ones(1), np.ones(1), 0), lambda: win.Attach(bytearray(1)), lambda: win.Shared_query(0)]  # fmt: skip
    for call in calls:
        with pytest.raises(MPI.Exception) as error:
            call()
        assert error.value.Get_error_class() in (MPI.ERR_WIN, MPI.ERR_ARG)


def test_wrong_targets(window):
    win, _ = window
    win.Fence()
    with pytest.raises(MPI.Exception) as error:
        win.Put(np.ones(1), SIZE)
    assert error.value.Get_error_class() == MPI.ERR_RANK and "MPI_Put(peer" in error.value.__notes__[0]
    for target, what in [
        ((0, 1, "d", 1), ValueError),
        ("0", TypeError),
        ((0, "1"), TypeError),
        ([0, 1, 2], TypeError),
        (2**70, OverflowError),
    ]:
        with pytest.raises(what, match=r"Put\(origin, target_rank, target=None\): target: "):
            win.Put(np.ones(1), RIGHT, target)
    win.Fence()


def test_arrays_in_several_pieces(window):
    win, memory = window
    grid = np.arange(12.0).reshape(3, 4)
    with Epoch(win, "fence"):
        win.Put(grid[:, 1], RIGHT, (1, 3, MPI.DOUBLE))
        with pytest.raises(ValueError, match=r"target: .*several pieces"):
            win.Put(grid[:, 1], RIGHT)
    assert memory.tolist() == [0, 1, 5, 9, *[0] * 8]


def test_wrong_buffers(window):
    win, _ = window
    one, two, other = np.ones(1), np.ones(2), np.ones(1, "i")
    win.Fence()
    with pytest.raises(BufferError, match=r"Get\(.*origin: .*read-only"):
        win.Get(b"12345678", RIGHT)
    with pytest.raises(TypeError, match="origin"):
        win.Put(None, RIGHT)
    for buffers in [(two, one), (one, two), (one, other)]:
        with pytest.raises(ValueError, match="one item"):
            win.Fetch_and_op(*buffers, RIGHT)
        with pytest.raises(ValueError, match="one item"):
            win.Compare_and_swap(buffers[0], buffers[1], one, RIGHT)
    win.Fence()


def test_wrong_memory():
    for memory, what in [(b"read-only", BufferError), (np.zeros((4, 4))[:, 1], BufferError), (3, TypeError)]:
        with pytest.raises(what, match=r"Create\(memory.*memory: "):
            MPI.Win.Create(memory, comm=SELF)
    with pytest.raises(ValueError, match="negative number of bytes"):
        MPI.Win.Allocate(-1)
    with pytest.raises(TypeError, match=r"comm: expected a Comm"):
        MPI.Win.Allocate(8, comm=3)


def test_windows_without_memory():
    for nothing in (MPI.BOTTOM, None, bytearray()):
        with MPI.Win.Create(nothing, comm=SELF) as win:
            assert len(win.tomemory()) == 0 and win.attrs[1] == 0
    with MPI.Win.Allocate(0, comm=WORLD) as win:
        assert len(win.tomemory()) == 0
    with MPI.Win.Create(np.zeros(2, "i,d"), comm=SELF) as win:  # of any kind
        assert len(win.tomemory()) == 24


# --- many -----------------------------------------------------------------------------------------------------------


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def make_many(times):
    for _ in range(times):
        win = MPI.Win.Create(bytearray(8), comm=SELF)
        win.Lock(0)
        win.Put(b"1", 0)
        win.Unlock(0)
        win.Free()


@pytest.mark.mmpi(n=[1], timeout=900)
@pytest.mark.parametrize("times", [1000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_windows_take_no_memory(times):
    make_many(times // 2)
    before = resident()
    make_many(times // 2)
    assert resident() - before < 4096, "KiB"


@pytest.mark.mmpi(n=[1])
def test_a_window_that_nobody_frees_keeps_its_memory():
    memory = bytearray(8)
    win = MPI.Win.Create(memory, comm=SELF)
    del win
    gc.collect()
    with pytest.raises(BufferError):
        memory.append(1)
