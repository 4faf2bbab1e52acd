# SPDX-License-Identifier: BSD-3-Clause
"""The flight record: a file in which others read what a rank is doing, while it does it."""

import os
import re
import shlex
import shutil
import struct
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jobs import job, lines, run, serial
from mmpi import MPI
from mmpi import job as job_folder

FUNCTIONS = Path(__file__).parent.parent / "src/core/abi/functions.h"
HEAD = struct.Struct("<8s10iq256s512si")
KNOWN = 256 * 128  # communicators
CALL = struct.Struct("<6Q5q9i4x")
RING_HEAD = struct.Struct("<Q4i13Q")
NONE = -(2**31)  # an integer that a call has not
EMPTY, INSIDE, DONE = range(3)
on_ranks = pytest.mark.mmpi(n=[1, 2, 3])


@dataclass
class Call:
    """One entry of a ring."""

    sequence: int
    comm: int
    collective: int
    datatype: int
    op: int
    request: int
    started: int
    bytes: int
    count: int
    got_bytes: int
    polling: int
    operation: str
    peer: int
    tag: int
    root: int
    got_source: int
    got_tag: int
    requests: int
    rc: int
    state: int


@dataclass
class Record:
    """A page as it was at one moment."""

    head: dict
    rings: dict[int, list[Call]]  # kernel thread id -> its calls, the newest last

    def newest(self, pid):
        return self.rings[pid][-1] if self.rings.get(pid) else None


EXTENSIONS = FUNCTIONS.with_name("extensions.h")
NAMES = ["MPI_" + name for name in re.findall(r"^MPI\([^,]+, (\w+),", FUNCTIONS.read_text(), re.MULTILINE)]
NAMES += ["MPIX_" + name for name in re.findall(r"^MPIX\([^,]+, (\w+),", EXTENSIONS.read_text(), re.MULTILINE)]


def page_of(pid):
    """The file that a process has mapped as its page, found as an outsider would who knows only the process."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    found = set(re.findall(r"(/\S.*\.page)$", maps, re.MULTILINE))
    assert len(found) == 1, maps
    return Path(found.pop())


def read(pid):
    data = page_of(pid).read_bytes()
    magic, version, size, threads, ring, *rest = HEAD.unpack_from(data)
    assert magic == b"mmpi-fly" and version == 2
    names = ("pid", "rank", "size", "initialized", "finalized", "status", "started", "host", "library", "operations")
    head = dict(zip(names, rest, strict=True))
    rings = {}
    for i in range(threads):
        at = size + KNOWN + i * (RING_HEAD.size + ring * CALL.size)
        calls, thread, *_ = RING_HEAD.unpack_from(data, at)
        entries = []
        for number in range(max(0, calls - ring), calls):
            values = list(CALL.unpack_from(data, at + RING_HEAD.size + number % ring * CALL.size))
            values[11] = NAMES[values[11]]
            entries.append(Call(*values))
        rings[thread] = entries
    return Record(head, rings)


def mine():
    """The newest call of this thread."""
    return read(os.getpid()).newest(threading.get_native_id())


def everyones(number):
    """A number of each rank, by rank."""
    into = np.zeros(MPI.COMM_WORLD.size, "Q")
    MPI.COMM_WORLD.Allgather(np.array([number], "Q"), into)
    return into.tolist()


# --- what stands in it ------------------------------------------------------------------------------------


@on_ranks
def test_the_head_says_who_we_are():
    head = read(os.getpid()).head
    comm = MPI.COMM_WORLD
    assert (head["pid"], head["rank"], head["size"]) == (os.getpid(), comm.rank, comm.size)
    assert (head["initialized"], head["finalized"], head["status"]) == (1, 0, -1)
    assert head["host"].rstrip(b"\0").decode() == os.uname().nodename
    assert MPI.Get_library_version().startswith(head["library"].rstrip(b"\0").decode()[:20])
    assert head["operations"] == len(NAMES)
    assert 0 <= time.time() - head["started"] / 1e9 < 3600


@on_ranks
def test_the_file_is_for_its_user_only():
    page = page_of(os.getpid())
    assert page.name == f"{os.getpid()}.page"
    assert page.stat().st_mode & 0o077 == 0 and page.parent.stat().st_mode & 0o077 == 0


@on_ranks
def test_a_send_and_a_receive():
    comm = MPI.COMM_SELF
    request = comm.Irecv(np.zeros(10), 0, 5)
    started = mine()
    comm.Send(np.zeros(4), 0, 5)
    sent = mine()
    request.Wait()
    waited = mine()
    assert (sent.peer, sent.tag, sent.bytes, sent.count, sent.root) == (0, 5, 32, 4, NONE)
    assert sent.operation.startswith("MPI_Send") and sent.state == DONE and sent.rc == 0
    assert started.operation.startswith("MPI_Irecv") and (started.peer, started.tag, started.bytes) == (0, 5, 80)
    assert waited.operation == "MPI_Wait" and waited.request == started.sequence


@on_ranks
def test_the_bytes_of_a_datatype_with_gaps_are_those_that_travel():
    comm, column = MPI.COMM_SELF, MPI.DOUBLE.Create_vector(5, 1, 100).Commit()
    request = comm.Irecv(np.zeros(50), 0, 6)
    comm.Send([np.zeros((5, 100)), 1, column], 0, 6)
    assert (mine().bytes, mine().count) == (40, 1)
    request.Wait()
    comm.Alltoallv([np.zeros((5, 100)), [1], [0], column], [np.zeros(5), [5]])
    assert mine().bytes == 40
    comm.Alltoallw([np.zeros((5, 100)), [column]], [np.zeros((5, 100)), [column]])
    assert mine().bytes == 40
    column.Free()


@on_ranks
def test_what_a_receive_got():
    comm = MPI.COMM_SELF
    request = comm.Isend(np.zeros(3), 0, 11)
    comm.Recv(np.zeros(10), MPI.ANY_SOURCE, MPI.ANY_TAG)
    got = mine()
    assert (got.peer, got.tag, got.bytes) == (MPI.ANY_SOURCE, MPI.ANY_TAG, 80)
    assert (got.got_source, got.got_tag, got.got_bytes, got.state) == (0, 11, 24, DONE)
    request.Wait()


@on_ranks
def test_a_collective_knows_its_root_and_its_number():
    comm = MPI.COMM_WORLD.Dup()
    calls = []
    for _ in range(3):
        comm.Bcast(np.zeros(2), root=comm.size - 1)
        calls.append(mine())
    assert all(call.operation.startswith("MPI_Bcast") and call.root == comm.size - 1 for call in calls)
    first = calls[0].collective
    assert [call.collective - first for call in calls] == [0, 1, 2]
    comm.Allreduce(np.zeros(2), np.zeros(2), op=MPI.MAX)
    reduction = mine()
    assert reduction.collective == first + 3 and reduction.op and reduction.datatype and reduction.root == NONE
    for number in (first, reduction.comm):
        assert len(set(everyones(number))) == 1
    comm.Free()


@on_ranks
def test_a_communicator_has_one_id_on_all_its_ranks_and_others_have_other_ids():
    def id_of(comm):
        comm.Barrier()
        return mine().comm

    world = MPI.COMM_WORLD
    half = world.Split(world.rank % 2)
    copies = [world, world.Dup(), world.Dup(), half, half.Dup()]
    ids = [id_of(comm) for comm in copies]
    assert len(set(ids)) == len(ids) and 0 not in ids
    by_rank = [everyones(number) for number in ids]
    assert all(len(set(numbers)) == 1 for numbers in by_rank[:3])
    for numbers in by_rank[3:]:
        assert len(set(numbers[::2])) == 1 and len(set(numbers)) == min(2, world.size)
    for comm in copies[1:]:
        comm.Free()


@on_ranks
def test_an_error_stands_in_the_record():
    with pytest.raises(MPI.Exception) as caught:
        MPI.COMM_WORLD.Send(b"x", MPI.COMM_WORLD.size + 1, 3)
    call = mine()
    assert call.operation.startswith("MPI_Send") and call.peer == MPI.COMM_WORLD.size + 1 and call.state == DONE
    assert call.rc == caught.value.Get_error_code() != 0


@on_ranks
def test_the_ring_keeps_the_newest_calls_in_order():
    for i in range(200):
        MPI.COMM_SELF.Sendrecv(b"", 0, i, bytearray(0), 0, i)
    calls = read(os.getpid()).rings[threading.get_native_id()]
    assert len(calls) > 30
    assert [call.tag for call in calls[-20:]] == list(range(180, 200))
    assert all(later.sequence == earlier.sequence + 1 for earlier, later in zip(calls, calls[1:], strict=False))
    assert all(later.started >= earlier.started for earlier, later in zip(calls, calls[1:], strict=False))


@on_ranks
def test_each_thread_has_a_ring():
    got, ids = bytearray(1), []

    def wait():
        ids.append(threading.get_native_id())
        MPI.COMM_SELF.Recv(got, 0, 21)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: ids and read(os.getpid()).newest(ids[0]))
    MPI.COMM_SELF.Barrier()
    record = read(os.getpid())
    there, here = record.newest(ids[0]), record.newest(threading.get_native_id())
    assert there.operation.startswith("MPI_Recv") and there.state == INSIDE and there.tag == 21
    assert here.operation == "MPI_Barrier" and here.state == DONE
    MPI.COMM_SELF.Send(b"x", 0, 21)
    thread.join()


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@pytest.mark.mmpi(n=[2, 3])
def test_others_see_a_blocked_rank():
    """Rank 1 waits for rank 0, which first reads in the record of rank 1 that it does."""
    comm = MPI.COMM_WORLD
    pids = everyones(os.getpid())
    if comm.rank == 1:
        comm.Recv(bytearray(100), source=0, tag=42)
    if comm.rank == 0:

        def newest():
            return read(pids[1]).newest(pids[1])

        until(lambda: newest().operation.startswith("MPI_Recv") and newest().state == INSIDE)
        call = newest()
        assert (call.peer, call.tag, call.bytes) == (0, 42, 100) and call.comm
        assert call.got_source == call.got_tag == NONE
        comm.Send(b"go", dest=1, tag=42)
        until(lambda: newest().tag != 42 or newest().state == DONE)
    comm.Barrier()


# --- where it stands --------------------------------------------------------------------------------------

WHERE = """
import os, re, sys
from pathlib import Path
import mmpi
rank, size = mmpi.init()
page, = set(re.findall(r"(/\\S.*[.]page)$", Path("/proc/self/maps").read_text(), re.MULTILINE))
print(page, os.environ["MMPI_JOB_DIR"], flush=True)
mmpi.WORLD.Barrier()
"""


def test_the_job_has_a_folder_which_goes_with_it():
    said = lines(job(3, WHERE))
    pages, folders = zip(*(line.rsplit(" ", 1) for line in said), strict=True)
    assert len(set(pages)) == 3 and len(set(folders)) == 1
    assert {str(Path(page).parent) for page in pages} == set(folders)
    assert not Path(folders[0]).exists()


@pytest.mark.parametrize(
    "last_words", ["sys.exit(3)", "1 / 0", "os.kill(os.getpid(), 9)", "os._exit(0)", "mmpi.abort(2)"]
)
def test_the_folder_goes_also_when_the_job_fails(last_words):
    result = job(2, WHERE + f"if rank == 1: {last_words}\nmmpi.WORLD.Barrier()")
    assert result.returncode != 0
    folders = {line.split(" ")[1] for line in result.stdout.splitlines() if ".page /" in line}
    assert len(folders) == 1 and not Path(folders.pop()).exists()


ALIVE = "import mmpi; print(mmpi.init()); mmpi.SELF.Barrier()"
NO_CHILD = {"MMPI_RANK": ""}  # this process has initialized MPI, and children of ranks forget the folder


@pytest.mark.parametrize("folder", ["/proc/no/such/folder", "/proc", "/dev/null", ""])
def test_a_record_that_cannot_be_a_file_stays_private(folder):
    result = serial(ALIVE, env={"MMPI_JOB_DIR": folder} | NO_CHILD)
    assert lines(result) == ["(0, 1)"] and result.stderr == ""


def test_a_folder_that_others_may_write_in_is_not_trusted(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    folder.chmod(0o777)
    lines(
        serial(ALIVE + f"; import os; assert not os.listdir({str(folder)!r})", env={"MMPI_JOB_DIR": str(folder)} | NO_CHILD)
    )


def test_a_full_file_system_kills_nobody(tmp_path):
    """A page without blocks behind it would be answered by SIGBUS at the first call."""
    mount = f"mount -t tmpfs -o size=4k,mode=700 none {shlex.quote(str(tmp_path))}"
    if run("unshare", "-m", "sh", "-c", mount).returncode:
        pytest.skip("needs the right to mount a small file system")
    program = shlex.join([sys.executable, "-c", ALIVE])
    result = run("unshare", "-m", "sh", "-c", f"{mount} && {program}", env={"MMPI_JOB_DIR": str(tmp_path)} | NO_CHILD)
    assert lines(result) == ["(0, 1)"] and result.stderr == ""


def test_a_dying_rank_lets_go_of_its_record_first():
    """The kernel closes the last descriptor first, and a child must not keep it."""
    code = """
import os, mmpi
def last():
    paths = [f"/proc/self/fd/{fd}" for fd in sorted(os.listdir("/proc/self/fd"), key=int)]
    return os.readlink([path for path in paths if os.path.lexists(path)][-1])
mmpi.init()
assert last().endswith(f"/{os.getpid()}.page"), last()
if not (pid := os.fork()):
    os._exit(last().endswith(".page"))
assert os.waitpid(pid, 0)[1] == 0
print("so")
"""
    assert lines(job(2, code)) == ["so"] * 2


@pytest.mark.parametrize("names", [["2147483646.page"], ["2147483646.stack"], ["2147483646.page", "2147483646.stack"]])
def test_what_killed_ranks_left_is_swept(names):
    folder = Path(f"/dev/shm/mmpi-{os.getuid()}-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o700)
    for name in names:
        (folder / name).touch()
    job_folder.sweep()
    assert not folder.exists()


@pytest.mark.parametrize("names", [[], ["run", "2147483646.page"], [f"{os.getpid()}.stack", "2147483646.page"]])
def test_what_may_be_in_use_stays(names):
    folder = Path(f"/dev/shm/mmpi-{os.getuid()}-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o700)
    for name in names:
        (folder / name).touch()
    try:
        job_folder.sweep()
        assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    finally:
        shutil.rmtree(folder)
