# SPDX-License-Identifier: BSD-3-Clause
"""The recorder: what stands in the streams, whatever the end of the program, and that it does no harm."""

import concurrent.futures
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import mmpi.trace
import trace_reader
from jobs import lines, run
from mmpi import world
from mmpi.trace.analysis import analyze
from trace_reader import ANY_SOURCE, ANY_TAG, COMPLETED, DERIVED, NESTED, OPEN, POLLS, SECOND, STARTED

PRELUDE = """
import os, sys
import mmpi, mmpi.trace as trace
rank, size = mmpi.init()
from mmpi import MPI
W = mmpi.WORLD
"""


def program(folder, code):
    """A file of this program, so that its lines have a name."""
    path = Path(folder) / "program.py"
    path.write_text(PRELUDE + textwrap.dedent(code))
    return str(path)


def traced(folder, n, code, env=None, options=()):
    """Run a program on ranks and read its trace."""
    result = run(sys.executable, "-m", "mmpi", "run", "-n", str(n), "--trace", f"{folder}/trace", *options, program(folder, code), env=env)
    assert result.returncode == 0, result.stdout + result.stderr
    return trace_reader.read(folder / "trace")


@pytest.fixture(autouse=True)
def no_rank(monkeypatch):
    """Other tests may have made pytest's own process a rank, and what a rank starts is not recorded."""
    monkeypatch.delenv(world.RANK, raising=False)


def alone(folder, code, env=None, prelude=PRELUDE):
    """Run a program as one process, without a launcher."""
    path = Path(folder) / "program.py"
    path.write_text(prelude + textwrap.dedent(code))
    return run(sys.executable, str(path), env={"MMPI_TRACE": f"{folder}/trace"} | (env or {}))


def line_of(folder, text):
    """The line of a program in which this stands."""
    found = [i for i, line in enumerate((Path(folder) / "program.py").read_text().splitlines(), 1) if text in line]
    return found[0]


# --- calls ----------------------------------------------------------------------------------------------------------------


def test_messages(tmp_path):
    zero, one = traced(tmp_path, 2, """
    b = bytearray(100)
    if rank == 0:
        W.Send(memoryview(b)[:40], 1, 7)  # here
        W.Sendrecv(memoryview(b)[:8], 1, 1, memoryview(b)[50:], MPI.ANY_SOURCE, 2)
        W.Send(b, MPI.PROC_NULL, 3)
    else:
        W.Recv(b, MPI.ANY_SOURCE, MPI.ANY_TAG)
        W.Sendrecv(memoryview(b)[:16], 0, 2, memoryview(b)[50:], 0, 1)
    """)
    send, nowhere = zero.calls("Send")
    assert (send.peer, send.tag, send.bytes, send.flags) == (1, 7, 40, 0)
    assert zero.line(send) == ("program.py", line_of(tmp_path, "# here"))
    assert nowhere.peer == -1
    receive, = one.calls("Recv")
    assert (receive.peer, receive.tag, receive.bytes) == (0, 7, 40)
    assert receive.flags == ANY_SOURCE | ANY_TAG
    for process, sent, got, flags in (zero, (1, 1, 8), (1, 2, 16), ANY_SOURCE), (one, (0, 2, 16), (0, 1, 8), 0):
        both, = process.calls("Sendrecv")
        second, = both.of(SECOND)
        assert (both.peer, both.tag, both.bytes) == sent
        assert (second.peer, second.tag, second.bytes, second.flags & 12) == (*got, flags)
        assert process.definitions.comms[both.comm][:6] == (1, 0, process.rank, 2, -1, 0)
        assert process.streams[0].finished == 1


def test_requests(tmp_path):
    """Each request is completed once, by the wait or test that found it done, and names the call that began it."""
    zero, _ = traced(tmp_path, 2, """
    n, b = 6, [bytearray(8) for _ in range(6)]
    if rank == 1:
        for i in range(n): W.Send(memoryview(b[i])[: i + 1], 0, i)
        W.send({"one": 1}, 0, 90)
        W.Recv(b[0], 0, 91)
    else:
        r = [W.Irecv(b[i], 1, i) for i in range(n)]
        r[0].Wait()
        while not r[1].Test(): pass
        MPI.Request.Waitany([r[2]])
        MPI.Request.Waitsome([r[3]])
        while not MPI.Request.Testall([r[4], r[5]]): pass
        assert W.irecv(source=MPI.ANY_SOURCE, tag=90).wait() == {"one": 1}
        W.isend("x" * 3, 1, 91).wait() if False else W.Isend(b[0], 1, 91).Wait()
    """)
    started = zero.calls("Irecv")
    ends = [(call, more) for call in zero.calls() for more in call.of(COMPLETED)]
    receives = [(call, more) for call, more in ends if zero.name(zero.started(more)) == "MPI_Irecv"]
    assert [zero.started(more).index for _, more in receives] == [call.index for call in started]
    names = [zero.name(call).removeprefix("MPI_") for call, _ in ends]
    assert names == ["Wait", "Test", "Waitany", "Waitsome", "Testall", "Testall", "Wait", "Wait"]
    assert [(more.bytes, (more.moves >> 40) - 2, more.tag) for _, more in receives][:6] == [(i + 1, 1, i) for i in range(6)]
    assert receives[6][1].tag == 90 and started[6].flags & ANY_SOURCE


def test_prepared_requests(tmp_path):
    zero, one = traced(tmp_path, 2, """
    b = [bytearray(8), bytearray(8)]
    make = W.Send_init if rank == 0 else W.Recv_init
    r = [make(b[i], 1 - rank, i) for i in range(2)]
    for _ in range(3):
        r[0].Start(); r[0].Wait()
        MPI.Prequest.Startall(r); MPI.Request.Waitall(r)
    """)
    for process, name in (zero, "Send_init"), (one, "Recv_init"):
        made = process.calls(name)
        begun = [more for call in process.calls("Start", "Startall") for more in call.of(STARTED)]
        assert [more.lasts & (1 << 48) - 1 for more in begun] == [made[i].index for i in (0, 0, 1) * 3]
        done = [more.lasts & (1 << 48) - 1 for call in process.calls("Wait", "Waitall") for more in call.of(COMPLETED)]
        assert done == [more.index for more in begun]


def test_messages_that_a_probe_took(tmp_path):
    zero, _ = traced(tmp_path, 2, """
    b = bytearray(8)
    if rank == 1:
        for tag in 1, 2, 3, 4: W.Send(b, 0, tag) if tag < 3 else W.send("text", 0, tag)
    else:
        W.Mprobe(1, 1).Recv(b)
        W.Mprobe(1, 2).Irecv(b).Wait()
        assert W.mprobe(1, 3).recv() == W.mprobe(1, 4).irecv().wait() == "text"
    """)
    taken = [more for call in zero.calls("Mrecv", "Imrecv") for more in call.of(STARTED)]
    assert [more.lasts for more in taken] == [call.index for call in zero.calls("Mprobe")]
    done = [more.lasts for call in zero.calls("Wait") for more in call.of(COMPLETED)]
    assert done == [call.index for call in zero.calls("Imrecv")]


def test_cancelled_receives(tmp_path):
    process, = traced(tmp_path, 1, """
    r = W.Irecv(bytearray(8), 0, 5)
    r.Cancel()
    r.Wait()
    """)
    wait, = process.calls("Wait")
    assert [more.site for more in wait.of(COMPLETED)] == [1]


def test_collectives_and_communicators(tmp_path):
    processes = traced(tmp_path, 3, """
    half = W.Split(rank % 2, rank)
    half.Set_name("half")
    half.Barrier()
    W.Bcast(bytearray(10), root=2)
    W.barrier()
    window = MPI.Win.Create(bytearray(8), comm=W)
    window.Fence()
    window.Free()
    """)
    gids = set()
    for process in processes:
        split, = process.calls("Comm_split")
        assert process.definitions.comms[split.comm][0] == 1 and split.tag == 1
        barrier = process.calls("Barrier")[0]
        comm = process.definitions.comms[barrier.comm]
        assert comm[1] == 1 and comm[-1] == "half" and comm[5] == process.rank % 2
        gids.add((comm[0], process.rank % 2))
        bcast, = process.calls("Bcast")
        assert (bcast.peer, bcast.tag, bcast.bytes) == (2, 2, 10)
        fence, = process.calls("Win_fence")
        assert process.definitions.comms[fence.comm][1] == 1
    assert len(gids) == 2 and len({gid for gid, _ in gids}) == 2


def test_polls_in_vain_take_one_record(tmp_path):
    zero, _ = traced(tmp_path, 2, """
    import time
    if rank == 0:
        for _ in range(500): W.Iprobe(1, 77)
        W.Barrier()
        while not W.Iprobe(1, 5): pass
        W.Recv(bytearray(1), 1, 5)
    else:
        W.Barrier()
        W.Send(b"x", 0, 5)
    """)
    first, *_, last = zero.calls("Iprobe")
    assert first.flags & POLLS and first.bytes == 500
    assert not last.flags & POLLS and (last.peer, last.tag, last.bytes) == (1, 5, 1)
    assert len(zero.calls("Iprobe")) <= 3


def test_pickling_and_layouts(tmp_path):
    pytest.importorskip("numpy")
    zero, one = traced(tmp_path, 2, """
    import numpy as np
    a = np.zeros((6, 6))
    if rank == 0:
        W.send({"a": list(range(1000))}, 1)
        W.send(3, 1)
        W.Send(a[:, 2], 1)
    else:
        W.recv()
        W.recv()
        W.Recv(a[0], 0)
    """)
    large, small, column = zero.calls("Send")
    nested, = large.of(NESTED)
    assert nested.lasts >> 40 == 1 and nested.moves > 1000
    assert 0 < nested.duration <= large.duration and nested.tag == 0
    assert not small.of(NESTED) and not small.flags & DERIVED and column.flags & DERIVED
    got = one.calls("Recv")[0]
    back, = got.of(NESTED)
    assert back.lasts >> 40 == 2 and back.moves == nested.moves
    assert back.tag + back.duration <= got.duration


def test_pickling_without_a_call_belongs_to_none(tmp_path):
    process, = traced(tmp_path, 1, """
    W.Barrier()
    sys.modules["mmpi._core"]._pack({1, 2})
    W.Barrier()
    """)
    first, second = process.calls("Barrier")
    assert second.start >= first.start + first.duration and not second.more


def test_calls_inside_of_mmpi_count_for_their_caller(tmp_path):
    process, = traced(tmp_path, 1, """
    def inner():
        return mmpi.allreduce([1], op=lambda a, b: a + b)  # here
    inner()
    """)
    calls = process.calls()
    assert calls and {process.line(call)[1] for call in calls} == {line_of(tmp_path, "# here")}


def test_threads_have_streams_of_their_own(tmp_path):
    process, = traced(tmp_path, 1, """
    from threading import Thread
    def work(k):
        for i in range(100): W.Send(b"", MPI.PROC_NULL, k)
    threads = [Thread(target=work, args=(k,)) for k in range(1, 4)]
    for t in threads: t.start()
    for t in threads: t.join()
    work(0)
    """)
    assert len(process.streams) == 4 and all(stream.finished for stream in process.streams)
    tags = [{call.tag for call in process.calls("Send", stream=i)} for i in range(4)]
    assert tags[0] == {0} and sorted(map(tuple, tags)) == [(0,), (1,), (2,), (3,)]
    assert all(len(process.calls("Send", stream=i)) == 100 for i in range(4))
    assert len({stream.tid for stream in process.streams}) == 4


# --- states ---------------------------------------------------------------------------------------------------------------


def test_states_without_mpi(tmp_path):
    result = run(sys.executable, "-c", textwrap.dedent(f"""
    import sys
    import mmpi.trace as trace
    S, E, C = trace.state("work", color="teal", format="cells=%d"), trace.event("check"), trace.counter("residual")
    with S: E()                       # off: nothing
    trace.start({str(tmp_path / "trace")!r})
    with S(cells=3):
        S.begin(7, name="x"); S.end()
        E(step=12, eps=0.5, ok=True, what=None, huge=2**70)
    @S
    def f(a): return a + 1
    assert f(1) == 2 and f.__name__ == "f"
    C(1e-3)
    trace.pause(); E(); trace.resume()
    with trace.window(False): E()
    try: trace.start("elsewhere")
    except RuntimeError as e: print(e)
    trace.stop()
    E()
    with trace.window(): E()
    assert "mmpi._core" not in sys.modules and "numpy" not in sys.modules
    """))
    assert "a recording is under way" in result.stdout, result.stderr
    process, = trace_reader.read(tmp_path / "trace")
    calls = process.calls()
    assert [process.name(call) for call in calls] == ["work", "work", "check", "work", "residual"]
    assert [process.values(call) for call in calls] == [[3], [7, "x"], [12, 0.5, 1, "None", float(2**70)], [], [1e-3]]
    assert process.definitions.states[calls[0].operation][0] == 0
    assert process.definitions.states[calls[0].operation][-3:] == ("work", "teal", "cells=%d")
    assert process.definitions.states[calls[2].operation][-1] == "step=%d eps=%g ok=%d what=%s huge=%g"
    outer, inner = process.streams[0].ns(calls[0]), process.streams[0].ns(calls[1])
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]
    assert process.rank == -1 and not any(call.flags & OPEN for call in calls)


def test_misuse_of_states(tmp_path):
    result = alone(tmp_path, """
    import mmpi.trace as trace
    A, B = trace.state("a"), trace.state("b")
    def wrong(function, *args, **kwargs):
        try: function(*args, **kwargs)
        except Exception as e: print(type(e).__name__, e)
    trace.start()
    A.begin(); B.begin(); wrong(A.end); B.end()
    wrong(A, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    wrong(trace.state, "")
    wrong(trace.event, "e", color=3)
    async def co(): pass
    wrong(A, co)
    trace.stop()
    wrong(trace.start, "t2", limit="much")
    wrong(trace.start, "t2", limit=1000)
    for text in "64X", "-5M", "5 M", "4M,often", "99999999999999999999g", "1,ring":
        wrong(trace.start, "t2", limit=text)
    """, prelude="")
    assert result.returncode == 0, result.stderr
    kinds = ["RuntimeError", *["TypeError"] * 4, *["ValueError"] * 8]
    assert [line.split()[0] for line in result.stdout.splitlines()] == kinds
    assert "state 'a' ends inside another" in result.stdout and "64M" in result.stdout


def test_import_needs_nothing(tmp_path):
    code = "import mmpi.trace, sys; print('numpy' in sys.modules, 'mmpi._core' in sys.modules, mmpi.trace.is_recording())"
    result = run(sys.executable, "-c", code)
    assert lines(result) == ["False False False"]


C_PROGRAM = r"""
#include <mmpi_trace.h>
#include <mpe.h>
int work(int n)
{
    int state = mmpi_state("in C", "red", "n=%d"), counter = mmpi_counter("level", NULL, NULL), start, end, event = MPE_Log_get_event_number();
    uint64_t at = mmpi_begin(state);
    mmpi_values(at, "ifs", (long long)n, 2.5, "text");
    mmpi_count(counter, 0.25);
    MPE_Log_get_state_eventIDs(&start, &end);
    int bad = MPE_Describe_state(start, end, "old", "blue") | MPE_Describe_event(event, "tick", "green");
    bad |= MPE_Log_event(start, 5, "five") | MPE_Log_bare_event(event) | MPE_Log_event(end, 0, "");
    mmpi_end(state);
    return bad;
}
int main(void) { return work(1); }
"""


def test_states_of_c(tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    import mmpi

    source = tmp_path / "work.c"
    source.write_text(C_PROGRAM)
    common = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{mmpi.get_include()}", str(source)]
    subprocess.run([*common, "-shared", "-fPIC", "-o", tmp_path / "libwork.so"], check=True)
    subprocess.run([*common, "-o", tmp_path / "work"], check=True)
    assert subprocess.run([tmp_path / "work"]).returncode == 0, "without a recorder nothing happens"
    result = alone(tmp_path, f"""
    import ctypes
    import mmpi.trace as trace
    trace.start()
    assert ctypes.CDLL("{tmp_path}/libwork.so").work(42) == 0
    """, prelude="")
    assert result.returncode == 0, result.stderr
    process, = trace_reader.read(tmp_path / "trace")
    found = [(process.name(call), process.values(call)) for call in process.calls()]
    assert found == [("in C", [42, 2.5, "text"]), ("level", [0.25]), ("old", [5, "five"]), ("tick", [])]
    assert not any(call.flags & OPEN for call in process.calls())


def test_mpe(tmp_path):
    code = """
    import os
    os.chdir(sys.argv[1])
    from mmpi import mpe
    def wrong(function, *args):
        try: function(*args)
        except mpe.mpeException as e: print(e)
    wrong(mpe.log_event, 1, 0, "")
    mpe.init_log()
    wrong(mpe.init_log)
    a, b, c = (mpe.log_get_event_number() for _ in range(3))
    wrong(mpe.log_event, c, 0, "")
    mpe.describe_state(a, b, "send", "red"); mpe.describe_event(c, "tick", "blue")
    wrong(mpe.describe_state, a, a, "x", "red")
    wrong(mpe.log_event, b, 0, "")
    for i in range(10):
        mpe.log_event(a, i, "begin"); mpe.log_event(b, i, "end")
    mpe.stop_log(); mpe.log_event(c, 1, ""); mpe.start_log()
    mpe.log_event(c, 2, "")
    mpe.finish_log("run")
    wrong(mpe.stop_log)
    log = mpe.Log("second")
    s, e = log.describe_state("more", "green")
    log.log_event(s, 1, "x"); log.log_event(e)
    log.displayStates(); log.displayEvents()
    log.finish()
    """
    result = run(sys.executable, "-m", "mmpi", "run", "-n", "2", program(tmp_path, code), str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("init_log() comes first") == 2 and result.stdout.count("was called before") == 2
    assert result.stdout.count("not described") == 4 and result.stdout.count("both are") == 2 and result.stdout.count("has ended the log") == 2
    for process in trace_reader.read(tmp_path / "run"):
        names = [process.name(call) for call in process.calls() if call.operation >= 0x800]
        assert names == ["send"] * 10 + ["tick"]
        assert process.values(process.calls("send")[3]) == [3, "begin"]
    assert [process.rank for process in trace_reader.read(tmp_path / "second")] == [0, 1]


# --- the end --------------------------------------------------------------------------------------------------------------

LOOP = """
    import ctypes, mmap
    log = ctypes.c_uint64.from_buffer(mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 8))  # written at once, not byte by byte
    b, i = bytearray(8), 0
    print("go", flush=True)
    while True:
        W.Send(b, MPI.PROC_NULL, i % 32768)
        log.value = 3 * i + 1
        request = W.Isend(b, MPI.PROC_NULL, i % 32768)
        log.value = 3 * i + 2
        request.Wait()
        log.value = 3 * i + 3
        i += 1
"""


def kill_at_random(folder, seed):
    """One process that counts its calls in memory of its own, killed at some time; all it counted are in the trace. Returns how many."""
    folder.mkdir()
    counter = folder / "counter"
    counter.write_bytes(bytes(8))
    environment = os.environ | {"MMPI_TRACE": str(folder / "trace")}
    command = [sys.executable, program(folder, LOOP), counter]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout.readline() == b"go\n"
        time.sleep(random.Random(seed).uniform(0, 0.15))
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    with open(counter, "r+b") as file, mmap.mmap(file.fileno(), 8) as memory:
        logged, = struct.unpack("<Q", memory[:])
    check_killed(folder / "trace", logged)
    shutil.rmtree(folder)
    return logged


def check_killed(folder, logged):
    """The calls of the loop are in the trace up to the last one that was logged, or one more, and in their order."""
    (definitions,), (stream,) = folder.glob("*.mmpid"), folder.glob("*.mmpis")
    names = {number: words[-1] for number, words in trace_reader.Definitions(definitions).operations.items()}
    operations, flags, tags = trace_reader.many_calls(stream)
    ours = np.isin(operations, [number for number, name in names.items() if name in ("MPI_Send", "MPI_Isend", "MPI_Wait")])
    done = ours & (flags & OPEN == 0)
    assert logged <= done.sum() <= logged + 1
    assert done.sum() + 1 >= ours.sum(), "at most one was under way"
    every = np.arange(done.sum())
    wanted = np.array(["MPI_Send", "MPI_Isend", "MPI_Wait"])[every % 3]
    assert [names[number] for number in operations[done].tolist()] == wanted.tolist()
    numbered = every % 3 < 2
    assert (tags[done][numbered] == (every // 3 % 32768)[numbered]).all()
    assert trace_reader.HEAD.unpack(stream.open("rb").read(trace_reader.HEAD.size))[-1] == 0, "not finished"


def kill_many(folder, seeds):
    """So many kills, a process at a time on each core; returns after how many calls each came."""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda seed: kill_at_random(folder / str(seed), seed), seeds))


def test_killed_at_random_points(tmp_path):
    assert len(set(kill_many(tmp_path, range(10)))) > 5


@pytest.mark.slow
def test_killed_at_two_hundred_points(tmp_path):
    """A minute or two: a process has to start for each."""
    points = kill_many(tmp_path, range(1000, 1200))
    assert len(points) == 200 and len(set(points)) > 150
    assert max(points) > 32768, "some came after the first segment"


@pytest.mark.parametrize("end", ["os.abort()", "os.kill(os.getpid(), 11)", "os._exit(0)", "mmpi.abort(3)", "raise ValueError", "sys.exit(4)"])
def test_whatever_the_end(tmp_path, end):
    alone(tmp_path, f"""
    for i in range(1000): W.Send(b"", MPI.PROC_NULL, i)
    {end}
    """)
    process, = trace_reader.read(tmp_path / "trace")
    assert [call.tag for call in process.calls("Send")] == list(range(1000))
    assert not any(call.flags & OPEN for call in process.calls("Send"))


def test_what_a_killed_rank_was_doing(tmp_path):
    run(sys.executable, "-m", "mmpi", "run", "-n", "2", "--trace", f"{tmp_path}/trace", program(tmp_path, """
    import signal, time
    if rank == 0: W.Recv(bytearray(8), 1, 9)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
    """))
    zero, _ = trace_reader.read(tmp_path / "trace")
    last = zero.calls()[-1]
    assert zero.name(last) == "MPI_Recv" and last.flags & OPEN and (last.peer, last.tag) == (1, 9)


def test_a_child_records_nothing_of_its_parent(tmp_path):
    process, = traced(tmp_path, 1, """
    S = trace.state("s")
    with S:
        pid = os.fork()
        if not pid:
            with S: pass
            assert not trace.is_recording()
            trace.start(sys.argv[0] + ".child")
            with S: pass
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    W.Send(b"", MPI.PROC_NULL)
    """)
    assert [process.name(call) for call in process.calls()] == ["s", "MPI_Send"]
    assert len(process.streams) == 1 and not any(call.flags & OPEN for call in process.calls())
    child, = trace_reader.read(tmp_path / "program.py.child")
    assert [child.name(call) for call in child.calls()] == ["s"]


# --- limits ---------------------------------------------------------------------------------------------------------------

MANY = """
    for i in range(100_000): W.Send(b"", MPI.PROC_NULL, i % 30011)
"""


def test_a_limit_stops(tmp_path):
    assert alone(tmp_path, MANY, env={"MMPI_TRACE_LIMIT": "2M"}).returncode == 0
    process, = trace_reader.read(tmp_path / "trace")
    sends = process.calls("Send")
    assert len(sends) == len(process.calls()) == 2 * 32767
    assert [call.tag for call in sends[:5]] == [0, 1, 2, 3, 4]
    assert process.streams[0].dropped >= 100_000 - len(sends)
    assert any("limit of 2 MiB" in text for kind, text in process.definitions.notes if kind == 2)


@pytest.mark.parametrize(("limit", "most"), [("4M", 3), ("2M", 2)])
def test_a_ring_keeps_the_latest(tmp_path, limit, most):
    assert alone(tmp_path, MANY, env={"MMPI_TRACE_LIMIT": f"{limit},ring"}).returncode == 0
    process, = trace_reader.read(tmp_path / "trace")
    sends = process.calls("Send")
    assert process.streams[0].ring == 1 and process.streams[0].segments == 4 and process.streams[0].dropped == 0
    assert 32767 < len(sends) <= most * 32767
    assert [call.tag for call in sends] == [i % 30011 for i in range(100_000)][-len(sends) :]


def test_a_full_disk_ends_recording_not_the_program(tmp_path):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no file system of one's own may be mounted here")
    code = f"{PRELUDE}{textwrap.dedent(MANY)}\nimport shutil; shutil.copytree('{tmp_path}/trace', '{tmp_path}.copy')\nprint('done')"
    script = f"mount -t tmpfs -o size=3M none {tmp_path} && exec {sys.executable} - <<'END'\n{code}\nEND\n"
    result = run("unshare", "-m", "sh", "-c", script, env={"MMPI_TRACE": f"{tmp_path}/trace"})
    assert result.stdout == "done\n" and result.returncode == 0, result.stderr
    assert "No space left" in result.stderr
    process, = trace_reader.read(f"{tmp_path}.copy")
    assert [call.tag for call in process.calls("Send")] == [i % 30011 for i in range(2 * 32767)]
    assert process.streams[0].dropped == 100_000 - 2 * 32767
    assert any("No space left" in text for kind, text in process.definitions.notes if kind == 2)


# --- folders --------------------------------------------------------------------------------------------------------------


def test_the_trace_of_another_job_is_not_touched(tmp_path, monkeypatch):
    command = [sys.executable, "-m", "mmpi", "run", "-n", "1", "--trace", "t", program(tmp_path, "print('ran', os.environ['MMPI_TRACE'])")]
    monkeypatch.chdir(tmp_path)
    assert run(*command).stdout == f"ran {tmp_path}/t\n"
    before = sorted(os.listdir("t"))
    again = run(*command)
    assert again.returncode == 2 and "another job" in again.stderr and "--trace-overwrite" in again.stderr and "ran" not in again.stdout
    assert sorted(os.listdir("t")) == before
    Path("t/other.txt").write_text("mine")
    command.insert(6, "--trace-overwrite")
    assert run(*command).returncode == 0
    assert "other.txt" in os.listdir("t") and not set(before) & set(os.listdir("t")) and len(os.listdir("t")) == 3
    result = alone(tmp_path, "print('ran')", env={"MMPI_TRACE": f"{tmp_path}/t"})
    assert result.returncode and "FileExistsError" in result.stderr and "another job" in result.stderr and "ran" not in result.stdout
    assert run(sys.executable, "-m", "mmpi", "run", "-n", "1", "--trace", "/proc/nowhere", "-c", "pass").returncode == 2


def test_programs_that_ranks_start_have_no_part_in_the_trace(tmp_path):
    process, = traced(tmp_path, 1, """
    import subprocess
    subprocess.run([sys.executable, "-c", "import mmpi; mmpi.init()"], check=True)
    """)
    assert process.rank == 0 and len(list((tmp_path / "trace").glob("*.mmpid"))) == 1


SPAWNING = """
if MPI.Comm.Get_parent() == MPI.COMM_NULL:
    all_children = [MPI.COMM_SELF.Spawn(sys.executable, [sys.argv[0]], 2) for _ in range(2)]
    for i, children in enumerate(all_children):
        children.Barrier()
        for child in range(2): children.Send(bytes(10 + i), child)
    for children in all_children:
        whole = children.Merge()
        twin = whole.Dup()
        assert twin.allgather(whole.rank) == [0, 1, 2]
        whole.Send(bytes(20), 1)
        twin.Recv(bytearray(100), 2)
        for each in twin, whole: each.Free()
        assert children.bcast("news", MPI.ROOT) is None
        children.Disconnect()
else:
    W.Barrier()
    W.Send(bytes(rank + 3), 1 - rank) if rank == 0 else W.Recv(bytearray(3), 0)
    parent = MPI.Comm.Get_parent()
    parent.Barrier()
    parent.Recv(bytearray(100), 0)
    whole = parent.Merge(high=True)
    twin = whole.Dup()
    assert twin.allgather(whole.rank) == [0, 1, 2]
    if whole.rank == 1: whole.Recv(bytearray(100), 0)
    else: twin.Send(bytes(30), 0)
    for each in twin, whole: each.Free()
    assert parent.bcast(None) == "news"
    parent.Disconnect()
"""


def check_spawned(processes, folder):
    """Two worlds of two beside that of the launcher, each matched in itself, and with its parent."""
    assert sorted(process.rank for process in processes) == [0, 0, 0, 1, 1]
    assert sum(process.definitions.world == 0 for process in processes) == 1
    found = mmpi.trace.load(folder)
    assert [row["rank"] for row in found.rows if not row["thread"]] == list(range(5))
    rank = [row["rank"] for row in found.rows]
    sent = [(rank[found.calls["row"][m["send"]]], rank[found.calls["row"][m["receive"]]], m["bytes"]) for m in found.messages]
    alone = [(1, 2, 3), (3, 4, 3)]
    together = [(0, 1 + 2 * i, 10 + i) for i in range(2)] + [(0, 2 + 2 * i, 10 + i) for i in range(2)]
    merged = [(0, 1, 20), (2, 0, 30), (0, 3, 20), (4, 0, 30)]
    assert {*sent} >= {*alone, *together, *merged}  # the others are those of objects
    assert found.unmatched.tolist() == [] and not found.messages["assumed"].any()
    assert sorted(comm["members"] for comm in found.comms if comm["name"] == "MPI_COMM_WORLD") == [[1, 2], [3, 4]]


def test_spawned_worlds_are_recorded(tmp_path):
    processes = traced(tmp_path, 1, SPAWNING)
    assert len(next(process for process in processes if not process.definitions.world).calls("Comm_spawn")) == 2
    check_spawned(processes, tmp_path / "trace")


def by_mpiexec(folder, *words):
    """Run one process by the launcher of this environment; its trace, and that of what it spawns, goes to a folder."""
    mpiexec = shutil.which("mpiexec", path=os.path.dirname(sys.executable))
    if not mpiexec:
        pytest.skip("this environment has no launcher of its own")
    options = ["--oversubscribe"] if "open-mpi" in run(mpiexec, "--version").stdout.lower().replace(" ", "-") else []
    return run(mpiexec, *options, "-n", "1", *words, env={"MMPI_TRACE": str(folder)})


def test_spawned_worlds_without_mmpi_run(tmp_path):
    """The job has no name then but that of who records there."""
    result = by_mpiexec(tmp_path / "trace", sys.executable, program(tmp_path, SPAWNING))
    assert result.returncode == 0, result.stdout + result.stderr
    check_spawned(trace_reader.read(tmp_path / "trace"), tmp_path / "trace")


def test_what_goes_on_by_a_communicator_made_elsewhere_is_listed(tmp_path):
    """Nobody knows which communicators of other ranks it is: calls on it are not matched, and not forgotten either."""
    traced(tmp_path, 2, """
    import ctypes
    Handle = ctypes.c_uint if MPI._sizeof(MPI.Comm) == 4 else ctypes.c_void_p
    made = Handle()
    assert not ctypes.CDLL(None).MPI_Comm_dup(Handle(W.handle), ctypes.byref(made))
    twin = MPI.Comm.fromhandle(made.value)
    W.Barrier()
    twin.Barrier()
    twin.Ibarrier().Wait()
    lasting = twin.Barrier_init()
    lasting.Start()
    lasting.Wait()
    lasting.Free()
    twin.Sendrecv(bytes(3), 1 - rank, 0, bytearray(3), 1 - rank, 0)
    """)
    found = mmpi.trace.load(tmp_path / "trace")
    names = np.array([operation["name"] for operation in found.operations])[found.calls["operation"][found.unmatched["call"]]]
    assert set(found.unmatched["why"].tolist()) == {6}
    assert sorted(names) == sorted(["MPI_Barrier", "MPI_Barrier_init", "MPI_Ibarrier", "MPI_Sendrecv", "MPI_Start"] * 2)
    assert not np.isin(found.unmatched["call"], found.collectives["call"]).any()


SPAWNING_IN_C = """
#include <mpi.h>
int main(int argc, char **argv)
{
    MPI_Comm children;
    MPI_Init(&argc, &argv);
    for (int i = 0; i < 2; i++) {
        MPI_Comm_spawn(argv[1], argv + 2, 2, MPI_INFO_NULL, 0, MPI_COMM_SELF, &children, MPI_ERRCODES_IGNORE);
        MPI_Barrier(children);
        MPI_Send(&i, 1, MPI_INT, 0, 7, children);
        MPI_Comm_disconnect(&children);
    }
    return MPI_Finalize();
}
"""


def test_spawned_worlds_of_a_parent_that_is_not_recorded(tmp_path):
    """They have one trace; that of a job before is not taken for it."""
    compiler = Path(sys.prefix) / "bin/mpicc"
    if not compiler.exists():
        pytest.skip(f"needs {compiler}")
    (tmp_path / "parent.c").write_text(SPAWNING_IN_C)
    subprocess.run([compiler, tmp_path / "parent.c", "-o", tmp_path / "parent"], check=True)
    script = program(tmp_path, """
    parent = MPI.Comm.Get_parent()
    parent.Barrier()
    W.Send(bytes(rank + 3), 1) if rank == 0 else W.Recv(bytearray(3), 0)
    if rank == 0: parent.Recv(bytearray(4), 0, 7)
    parent.Disconnect()
    """)
    words = [tmp_path / "parent", sys.executable, script]
    result = by_mpiexec(tmp_path / "trace", *words)
    assert result.returncode == 0, result.stdout + result.stderr
    found = mmpi.trace.load(tmp_path / "trace")
    assert [row["rank"] for row in found.rows if not row["thread"]] == [0, 1, 2, 3]
    assert len({name.partition("-")[0] for name in os.listdir(tmp_path / "trace") if name != "trace.mmpit"}) == 1
    assert len(found.messages) == 2 and set(found.unmatched["why"].tolist()) == {7}
    before = sorted(os.listdir(tmp_path / "trace"))
    again = by_mpiexec(tmp_path / "trace", *words)
    assert again.returncode == 0, again.stderr  # who spawned them waits: they must not fail before they meet
    assert again.stderr.count("mmpi: this process is not recorded: ") == again.stderr.count("holds the trace of another job") == 4
    assert sorted(os.listdir(tmp_path / "trace")) == before


def test_one_sided_communication(tmp_path):
    """Who accesses whose memory, with how many bytes; what all call together belongs together, and may wait."""
    traced(tmp_path, 3, """
    import time
    back = W.Split(0, -rank)
    memory, buffer = bytearray(800), bytearray(80)
    window = MPI.Win.Create(memory, comm=back)
    window.Fence()
    window.Put(buffer, (back.rank + 1) % 3)
    window.Get(bytearray(0), MPI.PROC_NULL)
    window.Fence()
    if rank == 1: time.sleep(0.2)
    window.Fence()
    if rank == 1:
        window.Lock(0)
        for _ in range(4): window.Accumulate([buffer, 8, MPI.BYTE], 0, op=MPI.BXOR)
        window.Rput(buffer, 0).Wait()
        window.Compare_and_swap([bytes(8), 1, MPI.INT64_T], [bytes(8), 1, MPI.INT64_T], [bytearray(8), 1, MPI.INT64_T], 0)
        window.Unlock(0)
        time.sleep(0.2)
    window.Free()
    """)
    found = mmpi.trace.load(tmp_path / "trace")
    report = analyze(found).as_dict()
    accessed = {(a["operation"], a["source"], a["target"]): (a["count"], a["bytes"]) for a in report["accesses"]}
    assert accessed == {("Put", 0, 2): (1, 80), ("Put", 1, 0): (1, 80), ("Put", 2, 1): (1, 80), ("Accumulate", 1, 2): (4, 32),
                        ("Rput", 1, 2): (1, 80), ("Compare_and_swap", 1, 2): (1, 8)}  # fmt: skip
    assert "One-sided: who accesses whose memory" in analyze(found).text()
    together = {(c["operation"], c["instances"], c["calls"]) for c in report["collectives"]}
    assert together >= {("Win_create", 1, 3), ("Win_fence", 3, 9), ("Win_free", 1, 3)} and found.unmatched.tolist() == []
    waits = {(v["operation"], tuple(v["ranks"])) for c in report["causes"] if c["rank"] == 1 and c["wait"] > 0.3e9 for v in c["victims"]}
    assert waits == {("Win_fence", (0, 2)), ("Win_free", (0, 2))}
    wait, = (call for call in found.calls if found.operations[call["operation"]]["name"] == "MPI_Wait")
    assert (wait["peer"], wait["bytes"]) == (-1, -1), "MPI promises nothing of that status"


MEETING = """
import socket
if rank != 2:
    for tag in range(2):
        some = W.Create_group(W.Get_group().Incl([3, 0, 1]), tag)
        some.Sendrecv(bytes(10 + tag), (some.rank + 1) % 3, 5, bytearray(20), (some.rank - 1) % 3, 5)
        some.Barrier()
        twin = some.Dup()
        twin.Barrier()
        twin.Free()
        some.Free()
half = W.Split(rank // 2)
port = W.bcast(MPI.Open_port() if rank == 0 else None)
both = half.Connect(port) if rank // 2 else half.Accept(port)
both.Sendrecv(bytes(30), half.rank, 5, bytearray(30), half.rank, 5)
both.Barrier()
both.Disconnect()
if rank in (1, 2):
    if rank == 1:
        server = socket.create_server(("127.0.0.1", 0))
        W.send(server.getsockname(), 2)
        end = server.accept()[0]
    else:
        end = socket.create_connection(W.recv(source=1))
    pair = MPI.Comm.Join(end.fileno())
    pair.Sendrecv(bytes(40), 0, 5, bytearray(40), 0, 5)
    pair.Barrier()
    pair.Disconnect()
"""


def test_communicators_of_some_and_of_those_who_meet(tmp_path):
    """What moves on communicators of Create_group, Accept, Connect and Join is matched like all."""
    traced(tmp_path, 4, MEETING)
    found = mmpi.trace.load(tmp_path / "trace")
    rank = [found.rows[row]["rank"] for row in found.calls["row"]]
    sent = {(rank[m["send"]], rank[m["receive"]], int(m["bytes"])) for m in found.messages if m["tag"] == 5}
    ring = {(3, 0), (0, 1), (1, 3)}
    assert sent == {(a, b, size) for a, b in ring for size in (10, 11)} | {(r, (r + 2) % 4, 30) for r in range(4)} | {(1, 2, 40), (2, 1, 40)}
    assert found.unmatched.tolist() == [] and not found.messages["assumed"].any()
    name = [found.operations[operation]["name"] for operation in found.calls["operation"]]
    together = {}
    for instance, call, _ in found.collectives.tolist():
        together.setdefault((instance, name[call]), []).append(rank[call])
    barriers = sorted(ranks for (_, operation), ranks in together.items() if operation == "MPI_Barrier")
    assert barriers == sorted([[0, 1, 3]] * 4 + [[0, 1, 2, 3], [1, 2]])


SESSIONS = """
import mmpi
mmpi.rc.initialize = False
from mmpi import MPI
session = MPI.Session.Init()
group = session.Create_group("mpi://WORLD")
rank = group.rank
for _ in range(2):
    comm = MPI.Intracomm.Create_from_group(group)
    comm.Barrier()
    if comm.rank == 0: comm.Send(bytes(5), 1)
    if comm.rank == 1: comm.Recv(bytearray(5), 0)
    comm.Free()
group.Free()
session.Finalize()
"""


def test_programs_that_use_sessions_only(tmp_path):
    (tmp_path / "program.py").write_text(SESSIONS)
    result = run(sys.executable, "-m", "mmpi", "run", "-n", "2", "--trace", tmp_path / "trace", tmp_path / "program.py")
    if "NotImplementedError" in result.stderr:
        pytest.skip("this MPI library has no sessions")
    assert result.returncode == 0, result.stdout + result.stderr
    found = mmpi.trace.load(tmp_path / "trace")
    assert [row["rank"] for row in found.rows] == [0, 1] and found.meta["size"] == 2
    assert len(found.messages) == 2
    name = [found.operations[operation]["name"] for operation in found.calls["operation"]]
    together = sorted((instance, name[call]) for instance, call, _ in found.collectives.tolist())
    assert together == [(instance, name) for instance in range(4) for name in ["MPI_Comm_free" if instance % 2 else "MPI_Barrier"] * 2]
    assert not len(found.unmatched)


# --- clocks ---------------------------------------------------------------------------------------------------------------


def test_clocks_of_several_hosts_are_compared(tmp_path):
    fakes = [(0, 0), (5_000_000_000, 40), (-7_000_000, -25)]
    processes = traced(tmp_path, 3, """
    import time
    time.sleep(0.2)
    """, env={"MMPI_TRACE_FAKE_CLOCK": ",".join(f"{offset}:{drift}" for offset, drift in fakes)})
    assert not processes[0].definitions.clocks
    assert len({stream.boot for process in processes for stream in process.streams}) == 3
    for process, (offset, drift) in zip(processes[1:], fakes[1:], strict=True):
        (peer, at, first, bound), (_, later, second, bound2) = process.definitions.clocks
        assert peer == 0 and abs(first + offset) <= bound + 10_000_000 * abs(drift) / 1e6 + 1000
        assert bound > 0 and abs((second - first) + (later - at) * drift / 1e6) <= bound + bound2 + 1000
