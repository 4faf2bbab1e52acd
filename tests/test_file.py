# SPDX-License-Identifier: BSD-3-Clause
"""Files that several ranks have open together: views, positions, collectives; what is in them afterwards, byte by byte."""

import gc
import os
import pickle
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3])

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
FRESH = MPI.MODE_CREATE | MPI.MODE_RDWR
RANK = SIZE = 0  # set on the ranks, see ring()
RANDOM = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module", autouse=True)
def ring():
    """Our place among the ranks: not known where tests are only collected."""
    global RANK, SIZE
    RANK, SIZE = WORLD.Get_rank(), WORLD.Get_size()


@pytest.fixture
def name(tmp_path):
    """The same name of a file that does not exist, on all ranks."""
    return WORLD.bcast(str(tmp_path / "data"))


@pytest.fixture
def file(name):
    """A new file, open on all ranks."""
    with MPI.File.Open(WORLD, name, FRESH) as made:
        yield made


def contents(file, name, dtype="i4"):
    """What is in the file, when all have written."""
    file.Sync()
    WORLD.Barrier()
    found = np.fromfile(name, dtype).tolist()
    WORLD.Barrier()
    return found


def mine(count=4, start=0):
    """Numbers that tell who wrote them: hundreds are the rank."""
    return np.arange(count, dtype="i4") + 100 * RANK + start


def everybody(count=4, start=0):
    """Those of all ranks, in order."""
    return [100 * rank + start + i for rank in range(SIZE) for i in range(count)]


def view_by_rank(file, count=4):
    """Each rank sees `count` integers of each round, in the order of ranks."""
    block = MPI.INT.Create_contiguous(count)
    whole = block.Create_resized(0, 4 * count * SIZE).Commit()
    file.Set_view(4 * count * RANK, MPI.INT, whole)


# --- reading and writing --------------------------------------------------------------------------------------------

AT = {
    "plain": (lambda f, n, b: f.Write_at(n, b), lambda f, n, b: f.Read_at(n, b)),
    "all": (lambda f, n, b: f.Write_at_all(n, b), lambda f, n, b: f.Read_at_all(n, b)),
    "request": (lambda f, n, b: f.Iwrite_at(n, b).Wait(), lambda f, n, b: f.Iread_at(n, b).Wait()),
    "request all": (lambda f, n, b: f.Iwrite_at_all(n, b).Wait(), lambda f, n, b: f.Iread_at_all(n, b).Wait()),
    "split": (
        lambda f, n, b: (f.Write_at_all_begin(n, b), f.Write_at_all_end(b)),
        lambda f, n, b: (f.Read_at_all_begin(n, b), f.Read_at_all_end(b)),
    ),
}
HERE = {
    "plain": (lambda f, b: f.Write(b), lambda f, b: f.Read(b)),
    "all": (lambda f, b: f.Write_all(b), lambda f, b: f.Read_all(b)),
    "request": (lambda f, b: f.Iwrite(b).Wait(), lambda f, b: f.Iread(b).Wait()),
    "request all": (lambda f, b: f.Iwrite_all(b).Wait(), lambda f, b: f.Iread_all(b).Wait()),
    "split": (
        lambda f, b: (f.Write_all_begin(b), f.Write_all_end(b)),
        lambda f, b: (f.Read_all_begin(b), f.Read_all_end(b)),
    ),
}
SHARED = {
    "plain": (lambda f, b: f.Write_shared(b), lambda f, b: f.Read_shared(b)),
    "request": (lambda f, b: f.Iwrite_shared(b).Wait(), lambda f, b: f.Iread_shared(b).Wait()),
}
ORDERED = {
    "plain": (lambda f, b: f.Write_ordered(b), lambda f, b: f.Read_ordered(b)),
    "split": (
        lambda f, b: (f.Write_ordered_begin(b), f.Write_ordered_end(b)),
        lambda f, b: (f.Read_ordered_begin(b), f.Read_ordered_end(b)),
    ),
}


@pytest.mark.parametrize("how", AT)
def test_at_an_offset(file, name, how):
    write, read = AT[how]
    file.Set_view(0, MPI.INT)
    write(file, 4 * RANK, mine())
    assert contents(file, name) == everybody()
    got = np.full(5, -1, "i4")
    read(file, 4 * ((RANK + 1) % SIZE), [got, 4])
    assert got.tolist() == [*(mine() + 100 * ((RANK + 1) % SIZE - RANK)), -1]
    assert file.Get_position() == 0


@pytest.mark.parametrize("how", HERE)
def test_at_the_own_position(file, name, how):
    write, read = HERE[how]
    view_by_rank(file)
    write(file, mine())
    write(file, mine(start=50))
    assert contents(file, name) == everybody() + everybody(start=50)
    assert file.Get_position() == 8
    file.Seek(2)
    got = np.empty(4, "i4")
    read(file, got)
    assert got.tolist() == [*mine()[2:], *mine(start=50)[:2]]
    assert file.Get_position() == 6


@pytest.mark.parametrize("how", SHARED)
def test_at_the_shared_position(file, name, how):
    write, read = SHARED[how]
    file.Set_view(0, MPI.INT)
    write(file, mine())
    found = contents(file, name)
    assert sorted(found) == everybody() and all(
        found[i : i + 4] == sorted(found[i : i + 4]) for i in range(0, len(found), 4)
    )
    assert file.Get_position_shared() == 4 * SIZE
    WORLD.Barrier()
    file.Seek_shared(0)
    got = np.empty(4, "i4")
    read(file, got)
    assert sorted(WORLD.allreduce(got.tolist())) == everybody()


@pytest.mark.parametrize("how", ORDERED)
def test_in_the_order_of_ranks(file, name, how):
    write, read = ORDERED[how]
    file.Set_view(0, MPI.INT)
    write(file, mine(RANK + 1))
    write(file, mine(1, 50))
    expected = [100 * rank + i for rank in range(SIZE) for i in range(rank + 1)] + everybody(1, 50)
    assert contents(file, name) == expected
    file.Seek_shared(0)
    got = np.empty(RANK + 1, "i4")
    read(file, got)
    assert got.tolist() == mine(RANK + 1).tolist()


@pytest.mark.parametrize("dtype", ["b", "B", "h", "i", "q", "f", "d", "D"])
def test_types(file, name, dtype):
    data = (np.arange(20) + RANK).astype(dtype)
    file.Set_view(data.nbytes * RANK)
    file.Write_all(data)
    got = np.zeros_like(data)
    file.Read_at_all(0, got)
    assert (got == data).all()
    assert contents(file, name, dtype) == [
        value for rank in range(SIZE) for value in (np.arange(20) + rank).astype(dtype).tolist()
    ]


def test_derived_datatypes_in_memory(file, name):
    column = MPI.INT.Create_vector(3, 1, 4).Commit()
    data = np.arange(12, dtype="i4").reshape(3, 4) + 100 * RANK
    file.Write_at_all(12 * RANK, [data[:, 1:].base, 1, column])
    assert contents(file, name) == [100 * rank + i for rank in range(SIZE) for i in (0, 4, 8)]


def test_statuses(file):
    file.Write_at(40 * RANK, np.arange(5.0))
    file.Sync()
    WORLD.Barrier()
    status = MPI.Status()
    file.Read_at(40 * RANK, np.empty(5), status)
    assert status.Get_count(MPI.DOUBLE) == 5 and status.Get_count(MPI.BYTE) == 40
    file.Read_at(40 * (SIZE - 1) + 16, np.empty(5), status)  # not as many as asked for
    assert status.Get_count(MPI.BYTE) == 24
    file.Read_at(40 * SIZE, bytearray(8), status)  # beyond the end
    assert status.Get_count(MPI.BYTE) == 0
    file.Write_at_all_begin(40 * RANK, buf := np.ones(5))
    file.Write_at_all_end(buf, status)
    assert status.Get_count(MPI.DOUBLE) == 5


def test_nothing(file):
    for call in (
        file.Write,
        file.Read,
        file.Write_all,
        file.Read_all,
        file.Write_ordered,
        file.Read_ordered,
        file.Write_shared,
    ):
        call(bytearray())
    file.Iwrite([None, 0, MPI.INT]).Wait()
    assert file.size == 0


# --- views ----------------------------------------------------------------------------------------------------------


def test_views(file):
    assert file.Get_view() == (0, MPI.BYTE, MPI.BYTE, "native")
    block = MPI.INT.Create_vector(2, 1, 3).Commit()
    file.Set_view(8, MPI.INT, block, "native")
    disp, etype, filetype, datarep = file.Get_view()
    assert (disp, datarep, etype.size, filetype.size, filetype.extent) == (8, "native", 4, 8, 16)
    assert [file.Get_byte_offset(i) for i in range(4)] == [8, 20, 24, 36]
    file.Set_view()
    assert file.Get_view() == (0, MPI.BYTE, MPI.BYTE, "native") and file.Get_byte_offset(5) == 5
    assert file.Get_type_extent(MPI.DOUBLE) == 8
    file.Set_view(etype="d")
    file.Seek(1, MPI.SEEK_SET)
    file.Seek(2, MPI.SEEK_CUR)
    assert file.Get_position() == 3


@RANDOM
@given(data=st.data(), order=st.sampled_from([MPI.ORDER_C, MPI.ORDER_F]))
def test_subarrays_against_numpy(file, name, data, order):
    """Each rank writes its slab of a global array, and reads any box of it."""
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    shape[0] *= SIZE
    letter = "C" if order == MPI.ORDER_C else "F"
    whole = np.arange(np.prod(shape), dtype="i4").reshape(shape, order=letter) + 1
    rows = shape[0] // SIZE
    slab = MPI.INT.Create_subarray(shape, [rows, *shape[1:]], [rows * RANK, *[0] * (len(shape) - 1)], order).Commit()
    file.Set_view(0, MPI.INT, slab)
    file.Write_all(np.array(whole[rows * RANK : rows * (RANK + 1)], order=letter).ravel(letter))
    file.Set_view()
    assert contents(file, name)[: whole.size] == whole.ravel(letter).tolist()
    starts = [data.draw(st.integers(0, n - 1)) for n in shape]
    sizes = [data.draw(st.integers(1, n - start)) for n, start in zip(shape, starts, strict=True)]
    box = MPI.INT.Create_subarray(shape, sizes, starts, order).Commit()
    file.Set_view(0, MPI.INT, box)
    got = np.empty(np.prod(sizes), "i4")
    file.Read_all(got)
    expected = whole[tuple(slice(start, start + n) for start, n in zip(starts, sizes, strict=True))]
    assert got.tolist() == expected.ravel(letter).tolist()
    WORLD.Barrier()


@RANDOM
@given(
    blocks=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=5),
    disp=st.integers(0, 9),
    rounds=st.integers(1, 3),
)
def test_holes_against_numpy(file, name, blocks, disp, rounds):
    """A view with gaps of any length, repeated: what is written goes around them."""
    if not sum(length for _, length in blocks):
        return
    places, end = [], 0
    for gap, length in blocks:
        places.append((end + gap, length))
        end += gap + length
    filetype = MPI.BYTE.Create_indexed([n for _, n in places], [at for at, _ in places]).Create_resized(0, end).Commit()
    expected = bytearray(disp + rounds * end)
    count = 0
    for turn in range(rounds):
        for at, length in places:
            for i in range(length):
                count += 1
                expected[disp + turn * end + at + i] = count
    if RANK == 0:
        Path(name).write_bytes(bytes(len(expected)))
    WORLD.Barrier()
    file.Set_view(disp, MPI.BYTE, filetype)
    file.Write_at_all(0, np.arange(1, count + 1, dtype="u1") if RANK == 0 else bytearray())
    file.Sync()
    WORLD.Barrier()
    got = np.zeros(count, "u1")
    file.Read_at_all(0, got)
    assert got.tolist() == list(range(1, count + 1))
    assert Path(name).read_bytes()[: len(expected)] == bytes(expected)
    WORLD.Barrier()
    file.Set_view()


# --- the file itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, os.fsencode, Path], ids=["str", "bytes", "Path"])
def test_names(tmp_path, kind):
    path = WORLD.bcast(str(tmp_path / "näme with blanks"))
    with MPI.File.Open(WORLD, kind(path), FRESH) as file:
        assert repr(file) == f"<File {path!r} rank {RANK} of {SIZE}>"
    assert repr(file) == "<File null>" and file == MPI.FILE_NULL and not file
    assert Path(path).exists()
    WORLD.Barrier()
    if RANK == 0:
        MPI.File.Delete(kind(path))
        assert not Path(path).exists()


@pytest.fixture
def files_shrink():
    """Skip where they do not always: of several ranks in Open MPI, one fails now and then, and the others wait for it."""
    if MPI.get_vendor()[0] == "Open MPI" and SIZE > 1:
        pytest.skip(
            "MPI_File_set_size of Open MPI, called by several ranks to shrink a file, fails on one of them now and then"
        )


def test_sizes(files_shrink, file, name):
    assert file.Get_size() == file.size == 0
    WORLD.Barrier()
    for change, size in [(file.Set_size, 100), (file.Preallocate, 50), (file.Preallocate, 200), (file.Set_size, 10)]:
        change(size)
        WORLD.Barrier()
        assert file.size == Path(name).stat().st_size == (100 if size == 50 else size)
        WORLD.Barrier()
    file.Seek(0, MPI.SEEK_END)
    assert file.Get_position() == 10
    file.Seek_shared(0, MPI.SEEK_END)
    assert file.Get_position_shared() == 10


def test_what_a_file_is(file):
    assert file.Get_amode() == file.amode == FRESH
    assert (file.group_rank, file.group_size) == (RANK, SIZE) and MPI.Group.Compare(
        file.group, WORLD.group
    ) == MPI.IDENT
    assert file.Get_atomicity() is file.atomicity is False
    file.Set_atomicity(True)
    assert file.atomicity is True
    file.atomicity = False
    assert file.atomicity is False
    info = file.Get_info()
    assert isinstance(info, MPI.Info)
    file.Set_info(info)
    file.info = info
    assert file.Get_errhandler() == MPI.ERRORS_RETURN
    with pytest.raises(ValueError, match="this process only"):
        pickle.dumps(file)
    assert pickle.loads(pickle.dumps(MPI.FILE_NULL)) is MPI.FILE_NULL and not MPI.FILE_NULL
    assert MPI.File.fromhandle(file.handle) == file and MPI.File.fromhandle(MPI.FILE_NULL.tohandle()) == MPI.FILE_NULL


def test_deleted_on_close(name):
    with MPI.File.Open(WORLD, name, FRESH | MPI.MODE_DELETE_ON_CLOSE) as file:
        file.Write_ordered(b"1")
    WORLD.Barrier()
    assert not Path(name).exists()


def test_appending(name):
    if RANK == 0:
        Path(name).write_bytes(b"12345")
    WORLD.Barrier()
    with MPI.File.Open(WORLD, name, MPI.MODE_WRONLY | MPI.MODE_APPEND) as file:
        assert file.Get_position() == 5
        file.Write_ordered(b"x")
    WORLD.Barrier()
    assert Path(name).read_bytes() == b"12345" + b"x" * SIZE


def test_a_second_object(file):
    second = MPI.File(file)
    assert second == file and second is not file and repr(second) == repr(file)
    second.Write_at_all(0, b"12")
    WORLD.Barrier()
    assert file.size == 2


# --- lifetimes ------------------------------------------------------------------------------------------------------


def test_buffers_stay_until_the_end(file):
    view_by_rank(file, 4)
    out = bytearray(range(16))
    file.Write_all_begin(out)
    with pytest.raises(BufferError):
        out.append(1)
    with pytest.raises(MPI.Exception, match="another split collective"):
        file.Write_all_begin(bytearray(16))
    file.Write_all_end(out)
    out.append(1)
    request = file.Iread_at(0, got := bytearray(16))
    request.Wait()
    got.append(1)
    assert got[:16] == out[:16]
    file.Iread_at(0, np.empty(4, "i4"))  # dropped
    gc.collect()


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def open_many(name, times):
    for _ in range(times):
        file = MPI.File.Open(SELF, name, FRESH)
        file.Write_at(0, b"12345678")
        file.Write_all_begin(out := bytearray(8))
        file.Write_all_end(out)
        file.Close()


@pytest.mark.mmpi(n=[1], timeout=900)
@pytest.mark.parametrize("times", [1000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_files_take_no_memory(name, times):
    open_many(name, times // 2)
    before = resident()
    open_many(name, times // 2)
    assert resident() - before < 4096, "KiB"


@pytest.mark.slow
@pytest.mark.mmpi(n=[1], timeout=600)
def test_three_gibibytes(name):
    count = 3 << 30
    disk, memory = shutil.disk_usage(Path(name).parent).free, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if disk < count + (1 << 30) or memory < 2 * count + (1 << 30):  # the file may lie in memory, too
        pytest.skip(f"needs 4 GiB on disk and 7 in memory, there are {disk / 2**30:.1f} and {memory / 2**30:.1f}")
    data = np.arange(count, dtype="i1")
    status = MPI.Status()
    with MPI.File.Open(SELF, name, FRESH | MPI.MODE_DELETE_ON_CLOSE) as file:
        file.Write_at(5, data, status)
        assert status.Get_count(MPI.BYTE) == count and file.size == count + 5
        same = np.memmap(name, "i1", "r", 5)
        for at in range(0, count, 1 << 28):
            assert (same[at : at + (1 << 28)] == data[at : at + (1 << 28)]).all()
        data[:] = 0
        file.Read_at(5, data)
        for at in range(0, count, 1 << 28):
            assert (same[at : at + (1 << 28)] == data[at : at + (1 << 28)]).all()
        del same


# --- misuse ---------------------------------------------------------------------------------------------------------


def test_a_closed_file_says_so(name):
    file = MPI.File.Open(SELF, name + str(RANK), FRESH)
    file.Close()
    out = bytearray(1)
    calls = [
        *(
            file.Close,
            file.Get_size,
            file.Sync,
            file.Get_view,
            file.Get_info,
            file.Get_group,
            file.Set_view,
            lambda: file.amode,
        ),
        *(
            lambda: file.Write(out),
            lambda: file.Read_at(0, out),
            lambda: file.Iwrite(out),
            lambda: file.Write_all_begin(out),
        ),
        lambda: file.Read_ordered_end(out),
    ]
    for call in calls:
        with pytest.raises(MPI.Exception) as error:
            call()
        assert error.value.Get_error_class() in (MPI.ERR_FILE, MPI.ERR_ARG)


def test_errors(name, file):
    with pytest.raises(MPI.Exception) as error:
        MPI.File.Open(SELF, name + "/none/at/all")
    assert error.value.Get_error_class() in (
        MPI.ERR_NO_SUCH_FILE,
        MPI.ERR_BAD_FILE,
        MPI.ERR_NOT_SAME,
        MPI.ERR_FILE,
        MPI.ERR_IO,
        MPI.ERR_OTHER,
    )
    assert "MPI_File_open()" in error.value.__notes__[0]
    with pytest.raises(MPI.Exception):
        MPI.File.Delete(name + ".not")
    with pytest.raises(MPI.Exception):
        MPI.File.Open(WORLD, name, MPI.MODE_RDONLY | MPI.MODE_RDWR)
    with pytest.raises(BufferError, match=r"Read\(.*buf: .*read-only"):
        file.Read(b"1")
    with pytest.raises(TypeError, match="filename"):
        MPI.File.Open(WORLD, 3)
    with pytest.raises(ValueError, match="null"):
        MPI.File.Open(WORLD, "a\0b")
    with pytest.raises(TypeError, match="offset"):
        file.Write_at("0", b"1")


def test_a_file_for_reading_is_not_written(name, file):
    with MPI.File.Open(WORLD, name) as reading, pytest.raises(MPI.Exception) as error:
        reading.Write(b"1")
    assert error.value.Get_error_class() in (MPI.ERR_READ_ONLY, MPI.ERR_ACCESS)


def test_error_handlers(file):
    seen = []
    handler = MPI.File.Create_errhandler(lambda which, code: seen.append((which == file, MPI.Get_error_class(code))))
    file.Set_errhandler(handler)
    file.Call_errhandler(MPI.ERR_IO)
    file.Set_errhandler(MPI.ERRORS_RETURN)
    handler.Free()
    assert seen == [(True, MPI.ERR_IO)]
