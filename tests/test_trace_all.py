# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi run --trace-all`: calls of programs in C and Fortran are in the trace, each once, among those of ranks in Python."""

import collections
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import run
from mmpi import get_include
from mmpi.trace import container
from mmpi.trace.analysis import analyze
from requirements import DEBIAN_LIB, need

HERE = Path(__file__).parent
POLLS = 64
# name -> what has to be there, its C compiler and its library below that prefix; "" stands for what mmpi itself chooses
OWN = {"own": ("", "bin/mpicc", ""), "abi": ("", "bin/mpicc_abi", "lib/libmpi_abi.so.1")}
DEBIAN = {
    "debian-mpich": ("debian-mpich", "bin/{}.mpich", f"{DEBIAN_LIB}/libmpich.so.12"),
    "debian-openmpi": ("debian-openmpi", "bin/{}.openmpi", f"{DEBIAN_LIB}/libmpi.so.40"),
}
MIXED = """
#include <mpi.h>
int main(int argc, char **argv)
{
    int rank, size, one = 1, counts[8], places[8];
    double a[100] = {0}, b[100];
    MPI_Comm w = MPI_COMM_WORLD, half, cart, dup;
    MPI_Request request;
    MPI_Win win;
    MPI_File file;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(w, &rank);
    MPI_Comm_size(w, &size);
    int next = (rank + 1) % size, before = (rank + size - 1) % size;
    for (int i = 0; i < size; i++) { counts[i] = i + 1; places[i] = i * (i + 1) / 2; }
    MPI_Sendrecv(a, 10, MPI_DOUBLE, next, 3, b, 100, MPI_DOUBLE, before, 3, w, MPI_STATUS_IGNORE);
    MPI_Isend(a, 10, MPI_DOUBLE, next, 4, w, &request);
    MPI_Recv(b, 100, MPI_DOUBLE, MPI_ANY_SOURCE, 4, w, MPI_STATUS_IGNORE);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Bcast(a, 10, MPI_DOUBLE, 0, w);
    MPI_Allreduce(a, b, 3, MPI_DOUBLE, MPI_SUM, w);
    MPI_Reduce(a, b, 3, MPI_DOUBLE, MPI_SUM, 0, w);
    MPI_Gather(a, 2, MPI_DOUBLE, b, 2, MPI_DOUBLE, 0, w);
    MPI_Gatherv(a, rank + 1, MPI_DOUBLE, b, counts, places, MPI_DOUBLE, 0, w);
    MPI_Scatter(a, 2, MPI_DOUBLE, b, 2, MPI_DOUBLE, 0, w);
    MPI_Scatterv(a, counts, places, MPI_DOUBLE, b, rank + 1, MPI_DOUBLE, 0, w);
    MPI_Allgather(MPI_IN_PLACE, 2, MPI_DOUBLE, b, 2, MPI_DOUBLE, w);
    MPI_Allgatherv(a, rank + 1, MPI_DOUBLE, b, counts, places, MPI_DOUBLE, w);
    MPI_Alltoall(a, 2, MPI_DOUBLE, b, 2, MPI_DOUBLE, w);
    MPI_Reduce_scatter_block(a, b, 2, MPI_DOUBLE, MPI_SUM, w);
    MPI_Scan(a, b, 2, MPI_DOUBLE, MPI_SUM, w);
    MPI_Comm_split(w, 0, -rank, &half);
    MPI_Barrier(half);
    MPI_Comm_dup(half, &dup);
    MPI_Barrier(dup);
    MPI_Cart_create(w, 1, &size, &one, 0, &cart);
    MPI_Barrier(cart);
    MPI_Win_create(a, sizeof a, 1, MPI_INFO_NULL, w, &win);
    MPI_Win_fence(0, win);
    MPI_Put(b, 1, MPI_DOUBLE, next, 0, 1, MPI_DOUBLE, win);
    MPI_Win_fence(0, win);
    MPI_Win_free(&win);
    MPI_File_open(w, argv[1], MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &file);
    MPI_File_write_at_all(file, rank * 16, a, 2, MPI_DOUBLE, MPI_STATUS_IGNORE);
    MPI_File_close(&file);
    MPI_Comm_free(&cart);
    MPI_Comm_free(&dup);
    MPI_Comm_free(&half);
    MPI_Barrier(w);
    return MPI_Finalize();
}
"""
MIXED_PYTHON = """
import sys
import numpy as np
from mmpi import MPI
w = MPI.COMM_WORLD
rank, size = w.rank, w.size
a, b = np.zeros(100), np.zeros(100)
next, before = (rank + 1) % size, (rank - 1) % size
counts, places = [i + 1 for i in range(size)], [i * (i + 1) // 2 for i in range(size)]
w.Sendrecv(a[:10], next, 3, b, before, 3)
request = w.Isend(a[:10], next, 4)
w.Recv(b, MPI.ANY_SOURCE, 4)
request.Wait()
w.Bcast(a[:10], 0)
w.Allreduce(a[:3], b[:3])
w.Reduce(a[:3], b[:3], root=0)
w.Gather(a[:2], b[: 2 * size] if rank == 0 else None)
w.Gatherv(a[: rank + 1], [b, counts, places, MPI.DOUBLE] if rank == 0 else None)
w.Scatter(a[: 2 * size] if rank == 0 else None, b[:2])
w.Scatterv([a, counts, places, MPI.DOUBLE] if rank == 0 else None, b[: rank + 1])
w.Allgather(MPI.IN_PLACE, b[: 2 * size])
w.Allgatherv(a[: rank + 1], [b, counts, places, MPI.DOUBLE])
w.Alltoall(a[: 2 * size], b[: 2 * size])
w.Reduce_scatter_block(a[: 2 * size], b[:2])
w.Scan(a[:2], b[:2])
half = w.Split(0, -rank)
half.Barrier()
dup = half.Dup()
dup.Barrier()
cart = w.Create_cart([size], [True])
cart.Barrier()
win = MPI.Win.Create(a, comm=w)
win.Fence()
win.Put(b[:1], next)
win.Fence()
win.Free()
file = MPI.File.Open(w, sys.argv[1], MPI.MODE_CREATE | MPI.MODE_WRONLY)
file.Write_at_all(rank * 16, a[:2])
file.Close()
cart.Free()
dup.Free()
half.Free()
w.Barrier()
"""
MPE = """
#include <mpi.h>
#include <mpe.h>
#include <pthread.h>
static int rank;
static void *work(void *comm)
{
    double x = 1, y;
    MPI_Sendrecv(&x, 1, MPI_DOUBLE, 1 - rank, 0, &y, 1, MPI_DOUBLE, 1 - rank, 0, *(MPI_Comm *)comm, MPI_STATUS_IGNORE);
    return 0;
}
int main(int argc, char **argv)
{
    int provided, size, start, end;
    MPI_Comm comms[3];
    pthread_t threads[3];
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPE_Init_log();
    MPE_Log_get_state_eventIDs(&start, &end);
    MPE_Describe_state(start, end, "assemble", "teal");
    int solve = mmpi_state("solve", "red", "n=%d");
    for (int i = 0; i < 3; i++) MPI_Comm_dup(MPI_COMM_WORLD, &comms[i]);
    MPE_Log_event(start, 7, "");
    MPE_Log_event(end, 0, "");
    mmpi_values(mmpi_begin(solve), "i", 5LL);
    MPI_Barrier(MPI_COMM_WORLD);
    mmpi_end(solve);
    for (int i = 0; i < 2; i++) if (MPE_Log_send((rank + 1) % size, 3, 100 + i)) return 2;
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < 2; i++) if (MPE_Log_receive((rank + size - 1) % size, 3, 100 + i)) return 3;
    if (MPE_Initialized_logging() != (argc > 1) || MPE_Log_send(size, 1, 1) != (argc > 1)) return 4;
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, work, &comms[i]);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    return MPI_Finalize();
}
"""
KILLED = """
#include <mpi.h>
#include <signal.h>
int main(int argc, char **argv)
{
    int rank, x = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int i = 0; i < 1000; i++) {
        if (rank == 0) MPI_Send(&x, 1, MPI_INT, 1, i, MPI_COMM_WORLD);
        else MPI_Recv(&x, 1, MPI_INT, 0, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    if (rank) raise(SIGKILL);
    MPI_Recv(&x, 1, MPI_INT, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}
"""
SPAWNING = """
#include <mpi.h>
int main(int argc, char **argv)
{
    MPI_Comm parent, children[2], all;
    int rank, size, x[2] = {1, 2};
    MPI_Init(&argc, &argv);
    MPI_Comm_get_parent(&parent);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (parent == MPI_COMM_NULL) {
        for (int i = 0; i < 2; i++) MPI_Comm_spawn(argv[1], argv + 2, 2, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children[i], MPI_ERRCODES_IGNORE);
        for (int i = 0; i < 2; i++) {
            MPI_Send(x, 1, MPI_INT, 1, 6, children[i]);
            MPI_Intercomm_merge(children[i], 0, &all);
            MPI_Recv(x, 2, MPI_INT, 2, 7, all, MPI_STATUS_IGNORE);
            MPI_Barrier(all);
            MPI_Comm_free(&all);
            MPI_Comm_disconnect(&children[i]);
        }
    } else {
        MPI_Sendrecv_replace(x, 2, MPI_INT, 1 - rank, 5, 1 - rank, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank) MPI_Recv(x, 1, MPI_INT, 0, 6, parent, MPI_STATUS_IGNORE);
        MPI_Intercomm_merge(parent, 1, &all);
        if (rank) MPI_Send(x, 2, MPI_INT, 0, 7, all);
        MPI_Barrier(all);
        MPI_Comm_free(&all);
        MPI_Comm_disconnect(&parent);
    }
    return MPI_Finalize();
}
"""
SPAWNING_PYTHON = """
import sys
from mmpi import MPI
parent, w = MPI.Comm.Get_parent(), MPI.COMM_WORLD
if parent == MPI.COMM_NULL:
    children = [w.Spawn(sys.argv[1], sys.argv[2:], 2) for _ in range(2)]
    for each in children:
        each.Send(bytes(4), 1, 6)
        both = each.Merge()
        both.Recv(bytearray(8), 2, 7)
        both.Barrier()
        both.Free()
        each.Disconnect()
else:
    w.Sendrecv_replace(bytearray(8), 1 - w.rank, 5, 1 - w.rank, 5)
    if w.rank: parent.Recv(bytearray(4), 0, 6)
    both = parent.Merge(True)
    if w.rank: both.Send(bytes(8), 0, 7)
    both.Barrier()
    both.Free()
    parent.Disconnect()
"""
SESSIONS = """
#include <mpi.h>
int main(void)
{
    MPI_Session session, other;
    MPI_Group group;
    MPI_Comm comm, half, dup;
    int rank, x = 0;
    MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &session);
    MPI_Group_from_session_pset(session, "mpi://WORLD", &group);
    MPI_Group_rank(group, &rank);
    MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &other);
    for (int i = 0; i < 3; i++) {
        MPI_Comm_create_from_group(group, i < 2 ? "one" : "two", MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &comm);
        MPI_Comm_split(comm, rank % 2, 0, &half);
        MPI_Comm_dup(half, &dup);
        MPI_Sendrecv_replace(&x, 1, MPI_INT, rank / 2 ? 0 : 1, 3, rank / 2 ? 0 : 1, 3, dup, MPI_STATUS_IGNORE);
        MPI_Barrier(comm);
        MPI_Comm_free(&dup);
        MPI_Comm_free(&half);
        MPI_Comm_free(&comm);
    }
    MPI_Session_finalize(&other);
    MPI_Group_free(&group);
    return MPI_Session_finalize(&session);
}
"""
SESSIONS_PYTHON = """
import mmpi
mmpi.rc.initialize = False
from mmpi import MPI
session = MPI.Session.Init()
group = session.Create_group("mpi://WORLD")
other = MPI.Session.Init()
rank = group.rank
for tag in "one", "one", "two":
    comm = MPI.Intracomm.Create_from_group(group, tag)
    half = comm.Split(rank % 2, 0)
    dup = half.Dup()
    peer = 0 if rank // 2 else 1
    dup.Sendrecv_replace(bytearray(4), peer, 3, peer, 3)
    comm.Barrier()
    for each in dup, half, comm: each.Free()
other.Finalize()
group.Free()
session.Finalize()
"""


class Mpi:
    """An MPI library, its compilers, and jobs of the programs that they make."""

    def __init__(self, name, folder):
        requirement, self.compiler, library = (OWN | DEBIAN)[name]
        self.prefix, self.folder = Path(need(requirement) if requirement else sys.prefix), folder
        self.environment = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        self.environment |= {"MMPI_LIBMPI": str(self.prefix / library)} if library else {}
        if not requirement and not (self.prefix / self.compiler).exists():
            pytest.skip(f"needs {self.compiler}, which is not in {self.prefix}")

    def build(self, source, compiler="mpicc", options=()):
        """Compile a program, given as a file or as text."""
        path = source
        if not isinstance(source, Path):
            path = self.folder / "program.c"
            path.write_text(source)
        program = self.folder / f"{path.stem}-program"
        words = [str(self.prefix / self.compiler.format(compiler)), *options, f"-I{get_include()}", "-O1", str(path), "-o", str(program)]
        done = subprocess.run([*words, "-lpthread"], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return str(program)

    def run(self, *words, env=None, trace=True):
        """Run a job; by default its trace goes to the folder `run`."""
        options = ["--trace", str(self.folder / "run"), "--trace-all"] if trace else []
        return run(sys.executable, "-m", "mmpi", "run", *options, *map(str, words), env=self.environment | (env or {}))

    def trace(self):
        """What the job has left, merged."""
        return container.load(self.folder / "run")


@pytest.fixture
def mpi(request, tmp_path):
    return Mpi(getattr(request, "param", "own"), tmp_path)


def calls_by_rank(trace):
    """rank -> name of a function -> how often it was called; polls in vain in a row have one record."""
    found = collections.defaultdict(collections.Counter)
    for call in trace.calls:
        number = int(call["bytes"]) if call["flags"] & POLLS else 1
        found[trace.rows[call["row"]]["rank"]][trace.operations[call["operation"]]["name"]] += number
    return found


def ended_well(result):
    """Whatever Open MPI says of itself, we have nothing to say."""
    assert result.returncode == 0 and "mmpi" not in result.stderr, result.stderr
    return True


SENDS = ("Send", "Ssend", "Isend", "Issend", "Sendrecv", "Sendrecv_replace", "Isendrecv")


def messages_of(truth):
    """How many messages the calls send: those of prepared requests come with their start."""
    plain = sum(truth[f"MPI_{name}"] for name in SENDS)
    return plain + 3 * truth["MPI_Send_init"] + truth["MPI_Psend_init"]


@pytest.mark.parametrize("mpi, ranks", [("own", 1), *((name, 3) for name in OWN | DEBIAN)], indirect=["mpi"])
def test_c_programs(mpi, ranks):
    program = mpi.build(HERE / "trace_all_program.c")
    result = mpi.run("-n", ranks, program, mpi.folder / "truth")
    assert ended_well(result)
    trace, messages = mpi.trace(), 0
    found = calls_by_rank(trace)
    for rank in range(ranks):
        lines = (mpi.folder / f"truth.{rank}").read_text().splitlines()
        truth = collections.Counter({name: int(number) for name, number in map(str.split, lines)})
        assert found[rank] == truth
        messages += messages_of(truth)
    assert trace.unmatched.tolist() == []
    assert len(trace.messages) == messages
    assert not trace.messages["assumed"].any()
    assert trace.meta["complete"] and trace.meta["notes"] == [] and trace.meta["violations"] == 0
    assert {comm["name"] for comm in trace.comms} >= {"MPI_COMM_WORLD", "half"}
    assert trace.meta["program"].startswith(program)


EXPECTED = collections.Counter({
    "MPI_Recv": 1, "MPI_Send": 2, "MPI_Sendrecv": 1, "MPI_Irecv": 6, "MPI_Isend": 5, "MPI_Waitall": 4, "MPI_Waitany": 2, "MPI_Send_init": 1,
    "MPI_Recv_init": 1, "MPI_Startall": 3, "MPI_Request_free": 2, "MPI_Barrier": 1, "MPI_Bcast": 1, "MPI_Allreduce": 2, "MPI_Allgather": 1,
    "MPI_Ibarrier": 1, "MPI_Wait": 1, "MPI_Comm_split": 1, "MPI_Comm_set_name": 1, "MPI_Comm_free": 1, "MPI_File_open": 1,
    "MPI_File_write_at_all": 1, "MPI_File_close": 1, "MPI_Finalize": 1,
})  # fmt: skip


@pytest.mark.parametrize("mpi", DEBIAN, indirect=True)
def test_fortran_programs(mpi):
    """Open MPI's Fortran calls PMPI functions, MPICH's the others: both count once."""
    need("gfortran")
    program = mpi.build(HERE / "trace_all_program.f90", "mpif90", ["-w", "-fallow-argument-mismatch"])
    result = mpi.run("-n", 2, program, mpi.folder / "data")
    assert ended_well(result)
    trace = mpi.trace()
    for rank, found in calls_by_rank(trace).items():
        assert found.pop("MPI_Waitsome") >= 1 and found.pop("MPI_Test") >= 1, rank
        assert found == EXPECTED
    assert trace.unmatched.tolist() == []
    assert sorted(trace.messages["bytes"].tolist()) == sorted([80, 160, 40, 40, *[8] * 12, *[48] * 6])
    assert {comm["name"] for comm in trace.comms} >= {"MPI_COMM_WORLD", "half"}
    bytes_of = {(trace.operations[call["operation"]]["name"], int(call["bytes"])) for call in trace.calls}
    assert {("MPI_Allgather", 16), ("MPI_Allreduce", 80), ("MPI_Bcast", 80)} <= bytes_of


@pytest.mark.parametrize("mpi", DEBIAN, indirect=True)
def test_fortran_programs_of_mpi_f08(mpi):
    """Open MPI's functions there call none of C's, MPICH's some."""
    need("gfortran")
    result = mpi.run("-n", 2, mpi.build(HERE / "trace_all_program_f08.f90", "mpif90", ["-w"]))
    assert ended_well(result)
    trace = mpi.trace()
    for found in calls_by_rank(trace).values():
        assert found == {
            "MPI_Isend": 3, "MPI_Recv": 1, "MPI_Irecv": 2, "MPI_Wait": 1, "MPI_Waitall": 2, "MPI_Barrier": 1, "MPI_Allreduce": 1,
            "MPI_Allgather": 1, "MPI_Comm_split": 1, "MPI_Bcast": 1, "MPI_Comm_free": 1, "MPI_Finalize": 1,
        }  # fmt: skip
    assert trace.unmatched.tolist() == []
    assert sorted(trace.messages["bytes"].tolist()) == [8, 8, 8, 8, 80, 80]
    bytes_of = {(trace.operations[call["operation"]]["name"], int(call["bytes"])) for call in trace.calls}
    assert {("MPI_Allgather", 16), ("MPI_Allreduce", 80), ("MPI_Bcast", 16)} <= bytes_of


@pytest.mark.parametrize("mpi", ["own", *DEBIAN], indirect=True)
def test_ranks_of_c_and_python(mpi):
    """What they record of the same calls is the same, also of Python that nobody announced: there the interposer withdraws."""
    program, script = mpi.build(MIXED), mpi.folder / "program.py"
    script.write_text(MIXED_PYTHON)
    data = mpi.folder / "data"
    result = mpi.run("-n", 1, script, data, ":", "-n", 1, program, data, ":", "-n", 1, "env", sys.executable, script, data)
    assert ended_well(result)
    trace = mpi.trace()
    calls = collections.defaultdict(list)
    for call in trace.calls:
        name = trace.operations[call["operation"]]["name"]
        what = (name, call["comm"], call["tag"], call["flags"]) if name != "MPI_Finalize" else None
        calls[trace.rows[call["row"]]["rank"]] += [what] if what else []
    assert calls[0] == calls[1] == calls[2]
    assert len(calls[0]) == 34
    sizes = {}
    for call in trace.calls:
        sizes[trace.rows[call["row"]]["rank"], trace.operations[call["operation"]]["name"]] = int(call["bytes"])
    different = {"MPI_Gatherv": [8, 16, 24], "MPI_Allgatherv": [8, 16, 24], "MPI_Scatter": [16, 0, 0], "MPI_Scatterv": [48, 0, 0]}
    for name in {name for name, *_ in calls[0]}:
        bytes_of = [sizes[rank, name] for rank in range(3)]
        assert bytes_of == different.get(name, [bytes_of[0]] * 3), name
    assert trace.unmatched.tolist() == []
    assert len(trace.messages) == 6 and not trace.messages["assumed"].any()
    assert set(collections.Counter(trace.collectives["instance"].tolist()).values()) == {3}


@pytest.mark.parametrize("mpi", ["own", *DEBIAN], indirect=True)
def test_states_arrows_and_threads_of_c(mpi):
    program = mpi.build(MPE)
    result = mpi.run("-n", 2, program, "traced")
    assert ended_well(result)
    trace = mpi.trace()
    assert [row["rank"] for row in trace.rows] == [0] * 4 + [1] * 4
    assert trace.unmatched.tolist() == []
    arrows = [(int(m["bytes"]), int(m["tag"])) for m in trace.messages if trace.comms[m["comm"]]["name"] == "MPE"]
    assert sorted(arrows) == [(100, 3), (100, 3), (101, 3), (101, 3)]
    assert len(trace.messages) == 4 + 6
    states = {entry["name"]: entry["kind"] for entry in trace.operations if entry["kind"] != "mpi"}
    assert states == {"assemble": "state", "solve": "state"}
    assert sorted(trace.values["value"].tolist()) == [5, 5, 7, 7]
    assert mpi.run("-n", 2, program, trace=False).returncode == 0  # without a recorder all succeeds, and nothing happens


@pytest.mark.parametrize("parent", ["c", "python"])
@pytest.mark.parametrize("child", ["c", "python"])
@pytest.mark.parametrize("mpi", ["own", "debian-openmpi"], indirect=True)  # Debian's MPICH cannot spawn
def test_programs_that_ranks_spawn(mpi, parent, child):
    """Two worlds of two, of either kind: each call counts once; what moves in a world, and between it and its parent, is matched."""
    program, script = mpi.build(SPAWNING), mpi.folder / "spawning.py"
    script.write_text(SPAWNING_PYTHON)
    words = {"c": [program], "python": [sys.executable, script]}
    assert ended_well(mpi.run("-n", 1, *words[parent], *words[child]))
    trace = mpi.trace()
    found = calls_by_rank(trace)
    assert sorted(found) == [0, 1, 2, 3, 4]
    for rank, calls in found.items():
        role = child if rank else parent
        calls = {name: number for name, number in calls.items() if name not in ("MPI_Finalize", "MPI_Comm_get_parent")}
        agreeing = {"MPI_Allreduce": 2} if role == "python" and not rank else {}  # before anything is started
        twice = 1 if rank else 2
        ours = dict.fromkeys(("MPI_Intercomm_merge", "MPI_Barrier", "MPI_Comm_free", "MPI_Comm_disconnect"), twice)
        if rank in (0, 2, 4):
            ours |= {"MPI_Send": twice, "MPI_Recv": twice}
        assert calls == ours | ({"MPI_Sendrecv_replace": 1} if rank else {"MPI_Comm_spawn": 2} | agreeing), rank
    rank = [row["rank"] for row in trace.rows]
    sent = [(rank[trace.calls["row"][m["send"]]], rank[trace.calls["row"][m["receive"]]], int(m["bytes"])) for m in trace.messages]
    inside = [(1, 2, 8), (2, 1, 8), (3, 4, 8), (4, 3, 8)]
    assert sorted(sent) == sorted([*inside, (0, 2, 4), (0, 4, 4), (2, 0, 8), (4, 0, 8)])
    assert trace.unmatched.tolist() == [] and trace.meta["notes"] and not trace.messages["assumed"].any()
    together = collections.Counter(collections.Counter(trace.collectives["instance"].tolist()).values())
    assert together[3] == 2 * 4, "merge, Barrier, free, disconnect"


PAIRS = """
#include <mpi.h>
int main(int argc, char **argv)
{
    int rank, x[8] = {0};
    MPI_Comm half, both, dup, all;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, 0, &half);
    for (int i = 0; i < 2; i++) {
        MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 3, &both);
        MPI_Sendrecv_replace(x, 1 + i, MPI_INT, rank / 2, 5, rank / 2, 5, both, MPI_STATUS_IGNORE);
        MPI_Comm_dup(both, &dup);
        MPI_Sendrecv_replace(x, 3 + i, MPI_INT, rank / 2, 5, rank / 2, 5, dup, MPI_STATUS_IGNORE);
        MPI_Barrier(dup);
        MPI_Intercomm_merge(both, rank % 2, &all);
        MPI_Barrier(all);
        MPI_Comm_free(&all);
        MPI_Comm_free(&dup);
        MPI_Comm_free(&both);
    }
    return MPI_Finalize();
}
"""
PAIRS_PYTHON = """
from mmpi import MPI
w = MPI.COMM_WORLD
half = w.Split(w.rank % 2, 0)
for i in range(2):
    both = half.Create_intercomm(0, w, 1 - w.rank % 2, 3)
    both.Sendrecv_replace(bytearray(4 + 4 * i), w.rank // 2, 5, w.rank // 2, 5)
    dup = both.Dup()
    dup.Sendrecv_replace(bytearray(12 + 4 * i), w.rank // 2, 5, w.rank // 2, 5)
    dup.Barrier()
    whole = both.Merge(w.rank % 2 == 1)
    whole.Barrier()
    for each in whole, dup, both: each.Free()
"""


@pytest.mark.parametrize("kinds", ["cccc", "cppc"])
def test_communicators_of_two_groups(mpi, kinds):
    """Ranks of C and of Python call them alike."""
    program, script = mpi.build(PAIRS), mpi.folder / "pairs.py"
    script.write_text(PAIRS_PYTHON)
    words = {"c": [program], "p": [script]}
    assert ended_well(mpi.run(*[word for i, kind in enumerate(kinds) for word in [*([":"] if i else []), "-n", 1, *words[kind]]]))
    trace = mpi.trace()
    assert trace.unmatched.tolist() == [] and not trace.messages["assumed"].any()
    rank = [row["rank"] for row in trace.rows]
    sent = [(rank[trace.calls["row"][m["send"]]], rank[trace.calls["row"][m["receive"]]], int(m["bytes"])) for m in trace.messages]
    assert sorted(sent) == sorted((r, r ^ 1, size) for r in range(4) for size in (4, 8, 12, 16))
    together = collections.Counter(collections.Counter(trace.collectives["instance"].tolist()).values())
    assert together == {4: 1 + 2 * 7, 2: 2 * 2}, "split; dup, Barrier, merge, Barrier, three times free; a half creates"


ONE_SIDED = """
#include <mpi.h>
int main(int argc, char **argv)
{
    int rank, memory[100] = {0}, a[20] = {0}, b[20], one = 1, none = 0;
    MPI_Win window;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Win_create(memory, sizeof memory, sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &window);
    MPI_Win_fence(0, window);
    MPI_Put(a, 20, MPI_INT, 1 - rank, 0, 20, MPI_INT, window);
    MPI_Win_fence(0, window);
    if (rank == 1) {
        MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
        MPI_Get(b, 5, MPI_INT, 0, 0, 5, MPI_INT, window);
        MPI_Win_flush(0, window);
        MPI_Fetch_and_op(&one, b, MPI_INT, 0, 0, MPI_SUM, window);
        MPI_Compare_and_swap(&one, &none, b + 1, MPI_INT, 0, 0, window);
        MPI_Win_unlock(0, window);
    }
    MPI_Win_free(&window);
    return MPI_Finalize();
}
"""


def test_one_sided_communication(mpi):
    assert ended_well(mpi.run("-n", 2, mpi.build(ONE_SIDED)))
    trace = mpi.trace()
    report = analyze(trace).as_dict()
    accessed = {(a["operation"], a["source"], a["target"]): a["bytes"] for a in report["accesses"]}
    once = {("Put", 0, 1): 80, ("Put", 1, 0): 80, ("Get", 1, 0): 20, ("Fetch_and_op", 1, 0): 4, ("Compare_and_swap", 1, 0): 4}
    assert accessed == once and all(a["count"] == 1 for a in report["accesses"])
    together = {(c["operation"], c["instances"], c["calls"]) for c in report["collectives"]}
    assert together == {("Win_create", 1, 2), ("Win_fence", 2, 4), ("Win_free", 1, 2)} and trace.unmatched.tolist() == []


SOME = """
#include <mpi.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
static void exchange(MPI_Comm comm, int bytes, int to, int from)
{
    char out[64] = {0}, in[64];
    MPI_Sendrecv(out, bytes, MPI_BYTE, to, 5, in, bytes, MPI_BYTE, from, 5, comm, MPI_STATUS_IGNORE);
    MPI_Barrier(comm);
}
int main(int argc, char **argv)
{
    int rank, r, who[] = {3, 0, 1};
    char port[1024] = "";
    MPI_Info room;
    MPI_Group all, few;
    MPI_Comm some, twin, half, both;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_group(MPI_COMM_WORLD, &all);
    MPI_Group_incl(all, 3, who, &few);
    for (int tag = 0; tag < 2 && rank != 2; tag++) {
        MPI_Comm_create_group(MPI_COMM_WORLD, few, tag, &some);
        MPI_Comm_rank(some, &r);
        exchange(some, 10 + tag, (r + 1) % 3, (r + 2) % 3);
        MPI_Comm_dup(some, &twin);
        MPI_Barrier(twin);
        MPI_Comm_free(&twin);
        MPI_Comm_free(&some);
    }
    MPI_Comm_split(MPI_COMM_WORLD, rank / 2, 0, &half);
    if (argc > 1) {
        MPI_Info_create(&room);
        MPI_Info_set(room, "port_name_size", "1024");       /* as MPICH needs */
        if (rank == 0) MPI_Open_port(room, port);
        MPI_Info_free(&room);
        MPI_Bcast(port, sizeof port, MPI_CHAR, 0, MPI_COMM_WORLD);
        if (rank / 2) MPI_Comm_connect(port, MPI_INFO_NULL, 0, half, &both);
        else MPI_Comm_accept(port, MPI_INFO_NULL, 0, half, &both);
        exchange(both, 30, rank % 2, rank % 2);
        MPI_Comm_disconnect(&both);
    }
    if (argc > 1 && (rank == 1 || rank == 2)) {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof name;
        int end = socket(AF_INET, SOCK_STREAM, 0), server = end;
        if (rank == 1) {
            bind(server, (struct sockaddr *)&name, size);
            listen(server, 1);
            getsockname(server, (struct sockaddr *)&name, &size);
            MPI_Send(&name, sizeof name, MPI_BYTE, 2, 6, MPI_COMM_WORLD);
            end = accept(server, NULL, NULL);
        } else {
            MPI_Recv(&name, sizeof name, MPI_BYTE, 1, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            connect(end, (struct sockaddr *)&name, sizeof name);
        }
        MPI_Comm_join(end, &both);
        exchange(both, 40, 0, 0);
        MPI_Comm_disconnect(&both);
    }
    return MPI_Finalize();
}
"""
SOME_PYTHON = """
from mmpi import MPI
w = MPI.COMM_WORLD
for tag in range(2 if w.rank != 2 else 0):
    some = w.Create_group(w.Get_group().Incl([3, 0, 1]), tag)
    some.Sendrecv(bytes(10 + tag), (some.rank + 1) % 3, 5, bytearray(64), (some.rank + 2) % 3, 5)
    some.Barrier()
    twin = some.Dup()
    twin.Barrier()
    twin.Free()
    some.Free()
w.Split(w.rank // 2)
"""


def arrows(trace, tag):
    """Who sent how many bytes to whom with this tag."""
    rank = [trace.rows[row]["rank"] for row in trace.calls["row"]]
    return sorted((rank[m["send"]], rank[m["receive"]], int(m["bytes"])) for m in trace.messages if m["tag"] == tag)


@pytest.mark.parametrize("kinds", ["cccc", "cppp"])
def test_communicators_that_some_make(mpi, kinds):
    """Those of Comm_create_group have no number that all of their parent know."""
    program, script = mpi.build(SOME), mpi.folder / "some.py"
    script.write_text(SOME_PYTHON)
    words = {"c": [program], "p": [script]}
    assert ended_well(mpi.run(*[word for i, kind in enumerate(kinds) for word in [*([":"] if i else []), "-n", 1, *words[kind]]]))
    trace = mpi.trace()
    assert arrows(trace, 5) == sorted((a, b, size) for a, b in ((3, 0), (0, 1), (1, 3)) for size in (10, 11))
    assert trace.unmatched.tolist() == [] and not trace.messages["assumed"].any()
    sizes = collections.Counter(collections.Counter(trace.collectives["instance"].tolist()).values())
    assert sizes == {4: 1, 3: 2 * 5}, "split; Barrier, dup, Barrier, twice free"


@pytest.mark.parametrize("mpi", ["own", "debian-openmpi"], indirect=True)
def test_processes_that_meet(mpi):
    """By a port, and at the ends of a socket."""
    assert ended_well(mpi.run("-n", 4, mpi.build(SOME), "meet"))
    trace = mpi.trace()
    met = sorted([*((r, (r + 2) % 4, 30) for r in range(4)), (1, 2, 40), (2, 1, 40)])
    assert [arrow for arrow in arrows(trace, 5) if arrow[2] >= 30] == met
    assert trace.unmatched.tolist() == [] and not trace.messages["assumed"].any()


@pytest.mark.parametrize("kinds", ["cccc", "cpcp"])
@pytest.mark.parametrize("mpi", ["own", "abi", "debian-mpich"], indirect=True)
def test_programs_that_use_sessions_only(mpi, kinds):
    """Those of C record what those of Python do, and meet them on the same communicators."""
    program, script = mpi.build(SESSIONS), mpi.folder / "sessions.py"
    script.write_text(SESSIONS_PYTHON)
    words = {"c": [program], "p": [script]}
    result = mpi.run(*[word for i, kind in enumerate(kinds) for word in [*([":"] if i else []), "-n", 1, *words[kind]]])
    assert ended_well(result)
    trace = mpi.trace()
    assert trace.meta["size"] == 4 and trace.meta["complete"] and trace.meta["notes"] == []
    for rank, calls in calls_by_rank(trace).items():
        assert calls.pop("MPI_Session_init") == 1, "the first has begun the recording"
        for name in ("MPI_Group_free", "MPI_Group_from_session_pset"):  # of Python alone
            calls.pop(name, None)
        made = dict.fromkeys(("MPI_Comm_create_from_group", "MPI_Comm_split", "MPI_Comm_dup", "MPI_Sendrecv_replace", "MPI_Barrier"), 3)
        assert calls == made | {"MPI_Comm_free": 9, "MPI_Session_finalize": 2}, rank
    assert trace.unmatched.tolist() == []
    assert len(trace.messages) == 12 and not trace.messages["assumed"].any()
    sizes = collections.Counter(collections.Counter(trace.collectives["instance"].tolist()).values())
    assert sizes == {4: 3 * 3, 2: 3 * 2 * 3}, "split, Barrier, free of all; dup, free, free of each half"


def test_what_a_killed_program_has_done_is_there(mpi):
    result = mpi.run("-n", 2, mpi.build(KILLED))
    assert result.returncode == 128 + signal.SIGKILL
    trace = mpi.trace()
    found = calls_by_rank(trace)
    assert found[0]["MPI_Send"] == 1000 and found[1]["MPI_Recv"] == 1000
    assert len(trace.messages) == 1000


def test_programs_without_mpi_are_not_disturbed(mpi, tmp_path):
    """Nor what ranks start; other libraries that are loaded first stay."""
    (tmp_path / "other.c").write_text("int other_library;")
    subprocess.run([shutil.which("gcc") or "cc", "-shared", "-fPIC", "other.c", "-o", "other.so"], cwd=tmp_path, check=True)
    code = "import sys; print(open('/proc/self/maps').read().count('other.so') > 0, 'mmpi' in sys.modules)"
    result = mpi.run("-n", 1, "sh", "-c", f'{sys.executable} -c "{code}"; echo done', env={"LD_PRELOAD": str(tmp_path / "other.so")})
    assert (result.returncode, result.stdout, result.stderr) == (0, "True False\ndone\n", "")
    assert list((tmp_path / "run").iterdir()) == []


def test_the_interposer_of_another_version(mpi, tmp_path):
    """Its recorder would be the only one of the process."""
    (tmp_path / "other.c").write_text('const char *mmpi_trace_version(void) { return "0.0"; }')
    subprocess.run([shutil.which("gcc") or "cc", "-shared", "-fPIC", "other.c", "-o", "other.so"], cwd=tmp_path, check=True)
    result = run(sys.executable, "-c", "import mmpi.trace", env={"LD_PRELOAD": str(tmp_path / "other.so")})
    assert result.returncode == 1 and "ImportError: this is MaroonMPI" in result.stderr and "MaroonMPI 0.0" in result.stderr


SHORT = """
#include <mpi.h>
int main(int argc, char **argv) { return MPI_Init(&argc, &argv) || MPI_Barrier(MPI_COMM_WORLD) || MPI_Finalize(); }
"""


def test_limits(mpi):
    program = mpi.build(SHORT)
    for limit, good in ("3m,ring", True), (",ring", True), ("1", False), ("4M,often", False), ("many", False):
        result = mpi.run("--trace-overwrite", "-n", 1, program, env={"MMPI_TRACE_LIMIT": limit})
        assert result.returncode == 0
        assert ("MMPI_TRACE_LIMIT: expected bytes" in result.stderr) == (not good), limit
        assert len(list((mpi.folder / "run").glob("*.mmpis"))) == good, limit


def test_it_needs_a_trace(mpi):
    result = mpi.run("--trace-all", "-n", 1, "true", trace=False, env={"MMPI_TRACE": ""})
    assert result.returncode == 2
    assert "--trace-all needs --trace with a folder" in result.stderr
    help_text = mpi.run("--help", trace=False).stdout
    assert "--trace-all" in help_text
