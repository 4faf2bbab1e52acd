# SPDX-License-Identifier: BSD-3-Clause
"""How many messages and collectives of MPI objects take, and how much memory.

A preloaded tool counts the calls, on every library; messages where they are sent. A job on two ranks runs all phases, the
tests look at what it wrote.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import lines, run
from requirements import need
from test_interposer import LIBRARIES

SENDS = {"Send": 6, "Ssend": 6, "Bsend": 6, "Rsend": 6, "Isend": 7, "Issend": 7, "Ibsend": 7, "Irsend": 7}  # and arguments
SENDS |= {"Sendrecv": 12, "Sendrecv_replace": 9, "Isendrecv": 13, "Isendrecv_replace": 10}
BLOCKING = {"Barrier": 1, "Bcast": 5, "Gather": 8, "Gatherv": 9, "Scatter": 8, "Scatterv": 9, "Allgather": 7, "Allgatherv": 8}
BLOCKING |= {"Alltoall": 7, "Alltoallv": 9, "Alltoallw": 9, "Reduce": 7, "Allreduce": 6, "Scan": 6, "Exscan": 6}
BLOCKING |= {"Reduce_scatter": 6, "Reduce_scatter_block": 6}
COLLECTIVES = BLOCKING | {"I" + name.lower(): number + 1 for name, number in BLOCKING.items()}
COPIES = {"Comm_dup": 2, "Comm_idup": 3, "Comm_dup_with_info": 3, "Comm_idup_with_info": 4, "Comm_create": 3, "Comm_split": 4}
COPIES |= {"Comm_create_group": 4, "Comm_split_type": 5}
FUNCTIONS = SENDS | COLLECTIVES | COPIES
LATER = ("reduce of", "allreduce of", "scan of", "exscan of", "allreduce by", "iallreduce by")  # phases with other counts than those of numbers

# Knows no mpi.h: whatever an argument is, it travels in one register or one place on the stack.
HEAD = """
#include <stdio.h>
#include <string.h>
static struct { const char *name; long calls; } table[];
const char *tool_take(void)     /* what was called since the last time, a line each: the name and how often */
{
    static char text[16384];
    char *at = text;
    *at = 0;
    for (int i = 0; table[i].name; i++) {
        long calls = __atomic_exchange_n(&table[i].calls, 0, __ATOMIC_RELAXED);
        if (calls) at += sprintf(at, "%s %ld\\n", table[i].name, calls);
    }
    return text;
}
"""
WRAPPER = """
int PMPI_{name}({types});
int MPI_{name}({parameters})
{{
    __atomic_add_fetch(&table[{i}].calls, 1, __ATOMIC_RELAXED);
    return PMPI_{name}({arguments});
}}
"""


def tool_source(library):
    """All functions that the library has: what the tool alone had would seem to be there."""
    symbols = library.read_bytes()
    names = [name + suffix for name in FUNCTIONS for suffix in ("", "_c") if f"\0PMPI_{name}{suffix}\0".encode() in symbols]
    assert "Isend" in names and "Iallreduce" in names and "Comm_idup" in names
    text = HEAD
    for i, name in enumerate(names):
        arguments = [f"a{k}" for k in range(FUNCTIONS[name.removesuffix("_c")])]
        text += WRAPPER.format(
            i=i,
            name=name,
            types=", ".join("long" for _ in arguments),
            parameters=", ".join(f"long {argument}" for argument in arguments),
            arguments=", ".join(arguments),
        )
    rows = "".join(f'    {{"{name}", 0}},\n' for name in names)
    return text.replace("table[];", f"table[{len(names) + 1}];") + f"static __typeof__(table) table = {{\n{rows}    {{NULL, 0}}}};\n"


PROGRAM = """
import array, ctypes, json, sys
import numpy as np
from mmpi import MPI

tool = ctypes.CDLL(None).tool_take
tool.restype = ctypes.c_char_p
world = MPI.COMM_WORLD
rank, size, other = world.Get_rank(), world.Get_size(), 1 - world.Get_rank()
counts = {}


def phase(name, run):
    tool()
    run()
    counts[name] = {line.split()[0]: int(line.split()[1]) for line in tool().decode().splitlines()}


def message(name, item, send="send"):
    def run():
        if rank == 0:
            request = getattr(world, send)(item, 1, 5)
            if request is not None:
                request.wait()
        else:
            assert type(world.recv(None, 0, 5)) is type(item)
    phase(name, run)


mebi = 1 << 20
small = {"None": None, "int": 7, "text": "abc", "tuple": (1, 2.5, "x"), "dict": {str(i): i for i in range(10)},
         "set": {1, 2}, "array": np.arange(10), "bytes of 10 KiB": bytes(10 << 10), "array of 15 KiB": np.zeros(15 << 7),
         "list of arrays of 4 KiB": [np.zeros(4 << 7)] * 3, "strided array": np.zeros(3 << 8)[::2], "nested": {"a": [{"b": (1, [2])}]}}
for name, item in small.items():
    message("small " + name, item)
message("array of 17 KiB", np.zeros(17 << 7))
message("set of 20 KiB", set(range(10_000)))
message("list of arrays of 20 KiB", [np.zeros(20 << 7), np.ones(20 << 7)])
message("array of 1 MiB", np.zeros(mebi // 8))
message("strided array of 1 MiB", np.zeros(mebi // 4)[::2])
message("bytes of 1 MiB", bytes(mebi))
message("bytearray of 1 MiB", bytearray(mebi))
message("memoryview of 1 MiB", memoryview(bytearray(mebi)))
message("array.array of 1 MiB", array.array("d", bytes(mebi)))
message("structured array of 1 MiB", np.zeros(mebi // 16, [("a", "d"), ("b", "d")]))
message("array of 16 MiB", np.zeros(2 * mebi))
message("5 arrays", [np.full(mebi // 8, i) for i in range(5)])
message("1 and 4 arrays", [np.full(mebi // 8, 1)] + [np.zeros(10)] * 4)
message("text of 8 MiB", "x" * (8 * mebi))
message("nested of 8 MiB", [[str(i), i] for i in range(600_000)])
for send in ("send", "ssend", "isend", "issend"):
    message(send + " small", "abc", send)
    message(send + " array of 1 MiB", np.zeros(mebi // 8), send)
MPI.Attach_buffer(bytearray(4 * mebi))
for send in ("bsend", "ibsend"):
    message(send + " small", "abc", send)
    message(send + " array of 1 MiB", np.zeros(mebi // 8), send)
MPI.Detach_buffer()
phase("sendrecv", lambda: world.sendrecv((rank, "x"), other, 1, None, other, 1))
phase("sendrecv of 1 MiB", lambda: world.sendrecv(np.zeros(mebi // 8), other, 1, None, other, 1))


def later():
    request = world.irecv(None, other, 2)
    world.isend("abc", other, 2).wait()
    assert request.wait() == "abc"
phase("irecv", later)


def matched():
    request = world.isend("abc", other, 3)
    assert world.mprobe(other, 3).recv() == "abc"
    request.wait()
phase("mprobe", matched)

phase("first alltoall", lambda: world.alltoall([1] * size))
for item, kind in ((7, "int"), ((1, 2.5, "x"), "tuple"), ({1, 2}, "set"), (np.arange(4.0), "array"), (None, "None")):
    for prefix in ("", "i"):
        new = world if prefix else world.Dup()
        def call(comm, name, *args):
            result = getattr(comm, prefix + name)(*args)
            return result.wait() if prefix else result
        phase(f"{prefix}bcast {kind}", lambda: call(new, "bcast", item))
        phase(f"{prefix}gather {kind}", lambda: call(new, "gather", item, 1))
        phase(f"{prefix}scatter {kind}", lambda: call(new, "scatter", [item] * size, 1))
        phase(f"{prefix}allgather {kind}", lambda: call(new, "allgather", item))
        phase(f"{prefix}alltoall {kind}", lambda: call(world, "alltoall", [item] * size))
for item in (7, 1.5, -(2**20), True):
    new = world.Dup()
    phase(f"allreduce {item}", lambda: new.allreduce(item))
    phase(f"reduce {item}", lambda: new.reduce(item, MPI.PROD))
    phase(f"scan {item}", lambda: new.scan(item))
    phase(f"exscan {item}", lambda: new.exscan(item))
    phase(f"iallreduce {item}", lambda: world.iallreduce(item, MPI.MAX).wait())
new = world.Dup()
for name in ("reduce", "allreduce", "scan", "exscan"):
    phase(f"{name} of arrays", lambda: getattr(new, name)(np.zeros(2 * mebi)))
phase("first ibcast", lambda: new.ibcast(1).wait())
phase("allreduce of texts", lambda: new.allreduce("x" * 1000))
phase("allreduce by a callable", lambda: new.allreduce(1, lambda a, b: a + b))
phase("iallreduce by a callable", lambda: world.iallreduce(1, lambda a, b: a + b).wait())
phase("barrier", lambda: world.barrier())
phase("ibarrier", lambda: world.ibarrier().wait())
new = world.Dup()
for i in range(1, 7):
    phase(f"{i}th in a row", lambda: new.barrier())

copy = world.Dup()
large = np.zeros(2 * mebi)
phase("first large bcast", lambda: copy.bcast(large if rank == 0 else None))
phase("large bcast", lambda: copy.bcast(large if rank == 0 else None))
phase("large ibcast", lambda: copy.ibcast(large if rank == 1 else None, 1).wait())
phase("large bcast of 3 arrays", lambda: copy.bcast([large, large + 1, large + 2]))
phase("large, then small bcast", lambda: copy.bcast(7))
phase("large gather", lambda: copy.gather(large[:mebi], 0))
phase("large scatter", lambda: copy.scatter([large[:mebi]] * size, 0))
phase("large allgather", lambda: copy.allgather(large[:mebi]))
phase("large alltoall", lambda: copy.alltoall([large[:mebi]] * size))
phase("large allgather beside small", lambda: copy.allgather(large[:mebi] if rank == 0 else 7))
json.dump(counts, open(f"{sys.argv[1]}/{rank}", "w"))
"""


def run_job(name, policy, folder):
    """Build the tool, run the program under it: for each phase what rank 0 and rank 1 called."""
    requirement, mpirun, pattern = LIBRARIES[name]
    prefix = Path(need(requirement))
    [library] = prefix.glob(pattern)
    (folder / "tool.c").write_text(tool_source(library))
    (folder / "program.py").write_text(PROGRAM)
    compiler = [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", "-Wl,-z,lazy", "tool.c", "-o", "tool.so"]
    subprocess.run(compiler, cwd=folder, check=True, timeout=60)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MMPI_", "OMPI_", "PMI"))}
    environment |= {"MMPI_LIBMPI": str(library), "MMPI_WAIT": policy,
                    "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}",
                    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    preload = os.pathsep.join(filter(None, [os.environ.get("LD_PRELOAD"), str(folder / "tool.so")]))
    program = ["env", f"LD_PRELOAD={preload}", sys.executable, folder / "program.py", folder]
    command = [prefix / mpirun, "-n", "2", *program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ranks = [json.loads((folder / str(rank)).read_text()) for rank in range(2)]
    assert list(ranks[0]) == list(ranks[1])
    return {phase: (ranks[0][phase], ranks[1][phase]) for phase in ranks[0]}


# By which function a rank waits is no matter of the library's build: of those that are kin, one is enough for every day.
JOBS = [(name, "block") for name in LIBRARIES]
JOBS += [pytest.param((name, "yield"), marks=[] if name in ("mpich", "openmpi") else pytest.mark.slow) for name in LIBRARIES]


@pytest.fixture(scope="module", params=JOBS, ids="-".join)
def job(request, tmp_path_factory):
    """The counts of one job on one library, as (rank 0, rank 1) by phase."""
    return run_job(*request.param, tmp_path_factory.mktemp("counts"))


def number(calls, functions):
    """How many of these functions were called."""
    return sum(n for name, n in calls.items() if name.removesuffix("_c") in functions)


def names(calls):
    return {name.removesuffix("_c") for name in calls}


def phases(job, *beginnings):
    found = {phase: both for phase, both in job.items() if phase.startswith(beginnings)}
    assert len(found) >= len(beginnings)
    return found


def check_messages(job, phase, expected, modes=("Send", "Isend", "Issend")):
    """Rank 0 sends so many and rank 1 none, with no collective and no new communicator."""
    sender, receiver = job[phase]
    assert number(sender, SENDS) == expected, (phase, sender)
    assert names(sender) <= set(modes), (phase, sender)
    assert receiver == {}, (phase, receiver)


def test_the_tool_sees_every_call(job):
    """All phases but those that only receive have left a trace."""
    assert all(any(both) for both in job.values())


def test_an_object_up_to_16_kib_is_one_message(job):
    for phase in phases(job, "small "):
        check_messages(job, phase, 1)


@pytest.mark.parametrize(
    "phase,expected",
    [
        ("array of 17 KiB", 2),
        ("set of 20 KiB", 2),
        ("list of arrays of 20 KiB", 3),
        ("array of 1 MiB", 2),
        ("strided array of 1 MiB", 2),
        ("bytes of 1 MiB", 2),
        ("bytearray of 1 MiB", 2),
        ("memoryview of 1 MiB", 2),
        ("array.array of 1 MiB", 2),
        ("structured array of 1 MiB", 2),
        ("array of 16 MiB", 2),
        ("5 arrays", 6),
        ("1 and 4 arrays", 2),
        ("text of 8 MiB", 2),
        ("nested of 8 MiB", 2),
    ],
)
def test_a_larger_object_is_one_message_more_than_large_buffers(job, phase, expected):
    check_messages(job, phase, expected)


MODES = {"send": "Isend", "ssend": "Issend", "bsend": "Ibsend"}


@pytest.mark.parametrize("send", [prefix + name for name in MODES for prefix in ("", "i")])
def test_objects_go_in_the_mode_of_the_send(job, send):
    """A header is always synchronous: its end says that its tag is free again. What is buffered is one message, however large."""
    mode = MODES[send.removeprefix("i")]
    check_messages(job, f"{send} small", 1, [mode, mode.replace("I", "").capitalize()])
    if mode == "Ibsend":
        check_messages(job, f"{send} array of 1 MiB", 1, ["Bsend", "Ibsend"])
    else:
        check_messages(job, f"{send} array of 1 MiB", 2, ["Issend", "Isend"])


def test_exchanges(job):
    for phase, expected in (("sendrecv", 1), ("sendrecv of 1 MiB", 2), ("irecv", 1), ("mprobe", 1)):
        for calls in job[phase]:
            assert number(calls, SENDS) == expected and names(calls) <= {"Send", "Isend", "Issend"}, (phase, calls)


NEW = {"bcast": "Ibcast", "gather": "Iallgather", "scatter": "Iscatter", "allgather": "Iallgather"}
NEW |= {"allreduce": "Iallreduce", "reduce": "Iallreduce"}


def of_small_objects(job, name):
    """The phases of this collective; reductions of numbers only."""
    chosen = [phase for phase in job if (phase + " ").startswith(name + " ") and not phase.startswith(LATER)]
    assert chosen
    return chosen


@pytest.mark.parametrize("name", NEW)
def test_a_collective_of_small_objects_is_one_collective(job, name):
    """On every rank of a new communicator, and nothing else at all."""
    for phase in of_small_objects(job, name):
        for calls in job[phase]:
            assert sum(calls.values()) == 1 and names(calls) == {NEW[name]}, (phase, calls)


# How many messages rank 0 and rank 1 send. The root is 0 in a broadcast, else 1; all hear of errors in a gather.
OLD = dict.fromkeys(("barrier", "ibarrier", "alltoall", "igather", "iallgather", "ialltoall", "iallreduce"), (1, 1))
OLD |= {"ibcast": (1, 0), "iscatter": (0, 1)}


@pytest.mark.parametrize("name", OLD)
def test_or_one_message_between_two_that_go_on(job, name):
    for phase in of_small_objects(job, name):
        for calls, sends in zip(job[phase], OLD[name], strict=True):
            assert calls == ({"Isend": 1} if sends else {}), (phase, calls)


def test_collectives_in_a_row(job):
    """The fifth makes what it and those after it use."""
    for i in range(1, 7):
        for calls in job[f"{i}th in a row"]:
            assert number(calls, {"Ibarrier"}) == (i < 5) and number(calls, {"Isend"}) == (i >= 5)
            assert number(calls, COPIES) == (i == 5) == sum(calls.values()) - 1


def test_a_scan_of_numbers_is_two_collectives(job):
    for phase, both in phases(job, "scan ").items():
        for calls in both:
            assert phase.startswith(LATER) or calls == {"Iallreduce": 1, "Iallgather": 1}, (phase, calls)


@pytest.mark.parametrize("name,function", [("reduce", "Ireduce"), ("allreduce", "Iallreduce"), ("scan", "Iscan"), ("exscan", "Iexscan")])
def test_equal_arrays_are_reduced_by_mpi(job, name, function):
    """After all ranks have told each other that they are equal."""
    for calls in job[f"{name} of arrays"]:
        assert number(calls, {function}) == (2 if name == "allreduce" else 1), calls
        assert number(calls, COLLECTIVES) == sum(calls.values()) == 2 and names(calls) == {"Iallreduce", function}, calls


def test_objects_are_combined_by_messages_along_a_tree(job):
    """One to the lower rank, and the result by a bcast. That nobody has a number is known where the operation is Python's."""
    for phase, agreement, result in (("allreduce of texts", 1, 2), ("allreduce by a callable", 0, 1)):
        lower, higher = job[phase]
        assert number(higher, SENDS) == sum(higher.values()) == agreement + 1, (phase, higher)
        assert number(lower, SENDS) == sum(lower.values()) == agreement + result, (phase, lower)


def test_what_may_fail_on_some_ranks_takes_a_message_more(job):
    for calls in job["iallreduce by a callable"]:
        assert calls == {"Isend": 2}, calls


def test_the_hidden_communicator_is_made_once_and_when_needed(job):
    """By the first collective of a large object, or of a kind that cannot know, or the fifth; and by none after it."""
    made = {phase: [number(calls, COPIES) for calls in both] for phase, both in job.items()}
    fifth = ["5th in a row", "exscan 7", "exscan 1.5", "exscan -1048576", "exscan True"]
    for first in ("first large bcast", "first alltoall", "first ibcast", *fifth):
        assert made.pop(first) == [1, 1]
    assert {phase: both for phase, both in made.items() if both != [0, 0]} == {}


@pytest.mark.parametrize(
    "phase,sends",
    [
        ("large bcast", (2, 0)),
        ("large ibcast", (0, 2)),
        ("large bcast of 3 arrays", (4, 0)),
        ("large, then small bcast", (1, 0)),
        ("large gather", (1, 2)),
        ("large scatter", (2, 0)),
        ("large allgather", (2, 2)),
        ("large alltoall", (2, 2)),
        ("large allgather beside small", (2, 1)),
    ],
)
def test_a_large_collective_is_a_message_each_buffer_more(job, phase, sends):
    """On two ranks each large object travels once."""
    for calls, expected in zip(job[phase], sends, strict=True):
        assert calls == ({"Isend": expected} if expected else {}), (phase, calls)


def test_the_first_large_bcast(job):
    """Is one collective; then the communicator is made on which pieces travel."""
    for calls, expected in zip(job["first large bcast"], (1, 0), strict=True):
        assert number(calls, {"Ibcast"}) == number(calls, COLLECTIVES) == 1 and number(calls, SENDS) == expected, calls


# --- memory --------------------------------------------------------------------------------------------------------

PEAK = """
import sys
import numpy as np
from mmpi import MPI

world = MPI.COMM_WORLD
rank, other, count = world.rank, 1 - world.rank, 1 << 27


def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


def by_recv(item):
    return world.send(item, 1, 1) if rank == 0 else world.recv(None, 0, 1)


def by_irecv(item):
    return (world.isend(item, 1, 1) if rank == 0 else world.irecv(None, 0, 1)).wait()


def by_bcast(item):
    return world.bcast(item)


way = globals()[sys.argv[1]]
way(np.ones(1 << 20))
world.Barrier()
base = peak()
got = way(np.ones(count) if rank == 0 else None)
used = peak() - base
assert rank == 0 or (got.shape == (count,) and got[0] == got[-1] == 1)
print(rank, used / 8 / count)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["by_recv", "by_irecv", "by_bcast"])
def test_a_large_array_takes_no_more_memory_than_it_has(way):
    """1 GiB, over what a smaller one took before: the sender has nothing but its array, the receiver hardly more."""
    with open("/proc/meminfo") as file:
        free = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))
    if free < 6 << 30:
        pytest.skip(f"needs 6 GiB of memory, there are {free / 2**30:.1f}")
    done = run(sys.executable, "-m", "mmpi", "run", "-n", "2", "-c", PEAK, way, limit=180)
    sender, receiver = [float(line.split()[1]) for line in lines(done)]
    assert 0.99 < sender <= 1.01
    assert 0.99 < receiver <= 1.05
