# SPDX-License-Identifier: BSD-3-Clause
"""MMPI_DEBUG=1: what nobody freed, and where it was made; and programs that make and free much keep their size."""

import pytest

from jobs import job, serial

LEAKS = """from mmpi import MPI
comm = MPI.COMM_WORLD
kept = comm.Dup()                                           # 3
for _ in range(3): comm.Dup()                               # 4
kept.Set_name("kept")
win = MPI.Win.Allocate(8, comm=comm)                        # 6
file = MPI.File.Open(comm, {path!r}, MPI.MODE_CREATE | MPI.MODE_RDWR | MPI.MODE_DELETE_ON_CLOSE)
request = comm.Irecv(bytearray(8), MPI.ANY_SOURCE, 9)       # 8
comm.Irecv(bytearray(8), MPI.ANY_SOURCE, 9)
prepared = comm.Send_init(b"abc", 0)                        # 10
memory = MPI.Alloc_mem(8)
# What frees itself, was freed, or has ended: nothing of it is told.
group, kind, info = comm.Get_group(), MPI.INT.Create_vector(2, 1, 3).Commit(), MPI.Info.Create()
with comm.Dup() as freed, comm.Split() as other, MPI.Win.Create(bytearray(8), comm=comm) as too:
    freed.allreduce(1)
done = comm.Isend(b"abc", MPI.PROC_NULL)
done.Wait()
moved = comm.isend("x", comm.rank)
comm.recv(source=comm.rank)
moved.wait()
{end}
for each in win, file, kept:
    each.free() if MPI.Is_initialized() and not MPI.Is_finalized() else None
"""


@pytest.mark.parametrize("end", ["MPI.Finalize()", "import sys; sys.exit()"])
def test_report(end, tmp_path):
    result = serial(LEAKS.format(path=str(tmp_path / "file"), end=end), env={"MMPI_DEBUG": "1"})
    assert result.returncode == 0, result.stderr
    head = "mmpi: rank 0: not freed: "  # MPICH has complaints of its own
    told = sorted(line.removeprefix(head) for line in result.stderr.splitlines() if line.startswith(head))
    expected = [
        ("<File", "<string>:7"),
        ("<Intracomm 'kept' rank 0 of 1>", "<string>:3"),
        ("<Prequest", "<string>:10"),
        ("<Request", "<string>:8"),
        ("<Win", "<string>:6"),
        ("Intracomm (its object is gone)", "<string>:4, 3 times"),
        ("memory of Alloc_mem", ""),
        ("operations whose requests were dropped", ""),
    ]
    assert len(told) == len(expected), told
    for line, (begin, finish) in zip(told, expected, strict=True):
        assert line.startswith(begin) and line.endswith(finish)


def test_nothing_is_told_unasked(tmp_path):
    result = serial(LEAKS.format(path=str(tmp_path / "file"), end="MPI.Finalize()"), env={"MMPI_DEBUG": "0"})
    assert result.returncode == 0 and "not freed" not in result.stderr


def test_each_rank_tells_its_own():
    code = "from mmpi import MPI\nx = MPI.COMM_WORLD.Dup()\ny = MPI.COMM_SELF.Dup() if MPI.COMM_WORLD.rank else None"
    result = job(2, code, env={"MMPI_DEBUG": "1"})
    assert result.returncode == 0
    assert sorted(line[:23] for line in result.stderr.splitlines() if "not freed" in line) == [
        "mmpi: rank 0: not freed",
        "mmpi: rank 1: not freed",
        "mmpi: rank 1: not freed",
    ]


def test_many_kinds_are_cut_off():
    code = "from mmpi import MPI\nkept = [MPI.COMM_SELF.Dup() for _ in range(30)]\nfor n, c in enumerate(kept): c.Set_name(f'n{n}')"
    result = serial(code, env={"MMPI_DEBUG": "1"})
    assert len(result.stderr.splitlines()) == 21 and "10 more kinds" in result.stderr
