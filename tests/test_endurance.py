# SPDX-License-Identifier: BSD-3-Clause
"""What is made and freed again and again: nothing runs out, and the process keeps its size."""

import gc
from pathlib import Path

import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])

COMM = MPI.COMM_WORLD
MEMORY = bytearray(64)


def request():
    right, left = (COMM.rank + 1) % COMM.size, (COMM.rank - 1) % COMM.size
    receive = COMM.Irecv(MEMORY, left, 3)
    COMM.Isend(b"abc", right, 3).Wait()
    receive.Wait()
    COMM.Send_init(b"abc", right).Free()


def objects():
    right, left = (COMM.rank + 1) % COMM.size, (COMM.rank - 1) % COMM.size
    receive = COMM.irecv(source=left, tag=4)
    COMM.isend([1, "a"], right, 4).wait()
    assert receive.wait() == [1, "a"]


def window():
    with MPI.Win.Create(MEMORY, comm=COMM) as win:
        win.Fence()
        win.Put(b"abc", COMM.rank)
        win.Fence()


def attributes():
    key = MPI.Comm.Create_keyval(copy_fn=True)
    MPI.COMM_SELF.Set_attr(key, [1])
    MPI.COMM_SELF.Delete_attr(key)
    MPI.Comm.Free_keyval(key)


MAKERS = {
    "dup": lambda: COMM.Dup().Free(),
    "split": lambda: COMM.Split(COMM.rank % 2, 1).Free(),
    "objects": objects,
    "type": lambda: MPI.INT.Create_vector(3, 1, 2).Commit().Free(),
    "type that frees itself": lambda: MPI.INT.Create_indexed([1, 2], [0, 4]).Commit(),
    "group": lambda: COMM.Get_group().Incl([0]),
    "request": request,
    "window": window,
    "info": lambda: MPI.Info.Create({"a": "b"}),
    "op": lambda: MPI.Op.Create(lambda a, b, kind: None).Free(),
    "attributes": attributes,
    "memory": lambda: MPI.Free_mem(MPI.Alloc_mem(1000)),
    "buffer": lambda: MPI.buffer.allocate(100)[3:50].toreadonly().cast("B"),
}


def size():
    """Bytes of this process in memory, by what it may use: without what the allocator keeps for later."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("kind", MAKERS)
def test_many(kind):
    for _ in range(100 if kind == "window" else 2500):  # MPICH has 2048 communicators
        MAKERS[kind]()


def test_many_files(tmp_path):
    for _ in range(20):
        MPI.File.Open(MPI.COMM_SELF, tmp_path / "file", MPI.MODE_CREATE | MPI.MODE_RDWR).Close()


@pytest.mark.slow
@pytest.mark.mmpi(n=[1, 2], timeout=600)
@pytest.mark.parametrize("kind", [*MAKERS, "file"])
def test_memory_is_flat(kind, tmp_path):
    def file():
        MPI.File.Open(MPI.COMM_SELF, tmp_path / "file", MPI.MODE_CREATE | MPI.MODE_RDWR).Close()

    slow = kind == "window" and COMM.size > 1 and MPI.get_vendor()[0] == "Open MPI"  # which takes 10 to 50 ms for each
    make, turns = MAKERS.get(kind, file), 1_000 if slow else 100_000
    for _ in range(turns // 10):
        make()
    before = size()
    for _ in range(turns):
        make()
    COMM.Barrier()
    growth = size() - before
    assert growth < 24 * turns + (1 << 16), f"{growth / turns:.0f} bytes a turn"
