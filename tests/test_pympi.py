# SPDX-License-Identifier: BSD-3-Clause
"""pyMPI's interface: every name of version 2.0, on real messages; the interpreter; the pipeline of commands."""

import io
import operator
import os
import sys
import textwrap
import time

import numpy as np
import pytest

import mmpi
from jobs import job, lines, run, serial
from mmpi import pympi as mpi
from mmpi import workit

ranks = pytest.mark.mmpi(n=[1, 2, 3, 5])

MODULE = """
initialized finalized finalize wtime wtick trace traceln test test_cancelled testall testany testsome wait waitall waitany waitsome cancel
bcast_input_to_slaves communicator cartesian_communicator RemoteObject MPIError ANY_SOURCE ANY_TAG UNDEFINED COLOR name configuration rank
size procs WORLD COMM_WORLD COMM_NULL MAX MIN SUM PROD LAND BAND LOR BOR LXOR BXOR MINLOC MAXLOC
""".split()
METHODS = """
send recv sendrecv isend irecv barrier bcast scatter gather allgather reduce allreduce scan synchronizedWrite synchronizedWriteln
synchronizeQueuedOutput comm_create comm_dup cart_create comm_rank comm_size comm_free abort time tick stopwatch map mapserver mapstats
""".split()


def test_every_name_is_there():
    assert set(MODULE) | set(METHODS) <= set(mpi.__all__) <= set(dir(mpi))
    for name in METHODS:
        assert getattr(mpi, name) is getattr(mpi.WORLD, name) and getattr(mpi, name).__doc__
    for name in ("rank", "size", "procs", "persistent"):
        assert hasattr(mpi.WORLD, name)
    assert {"dims", "ndims", "periods", "coords", "shift"} <= set(dir(mpi.Cartesian))
    assert {"ready", "message", "status", "test", "test_cancelled", "wait", "cancel"} <= set(dir(mpi.Request))
    with pytest.raises(AttributeError, match="nothing"):
        mpi.nothing  # noqa: B018


@ranks
def test_the_world_is_a_communicator_of_its_own():
    from mmpi import MPI

    assert (mpi.rank, mpi.size, mpi.procs) == (MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size, MPI.COMM_WORLD.size)
    assert mpi.WORLD.comm.Compare(MPI.COMM_WORLD) == (MPI.CONGRUENT) and int(mpi.COMM_WORLD) == MPI.COMM_WORLD.handle
    assert mpi.MPIError is mmpi.MPIError and mpi.initialized() and not mpi.finalized() and mpi.COLOR == 0
    assert mpi.configuration["version"] == MPI.Get_version() and mpi.wtime() > 0 < mpi.wtick()


@ranks
def test_messages(tag):
    left, right = (mpi.rank - 1) % mpi.size, (mpi.rank + 1) % mpi.size
    request = mpi.isend({"from": mpi.rank}, right, tag)
    message, status = mpi.recv(left, tag)
    assert message == {"from": left} and status == (left, tag, 0) == tuple(status)
    assert (status.source, status.tag, status.error) == (status[0], status[1], status[2])
    assert request.wait() and request.ready and request
    message, status = mpi.sendrecv("x" * 100000, right, left, tag, tag)
    assert len(message) == 100000 and status.source == left
    if mpi.size > 1 and mpi.rank == 0:
        mpi.send(np.arange(3), 1, tag)
    if mpi.rank == 1:
        message, status = mpi.recv()
        assert message.tolist() == [0, 1, 2] and status.source == 0


@ranks
def test_requests(tag):
    receive = mpi.irecv(mpi.rank, tag)
    assert not receive and not receive.ready and not receive.test and not mpi.test(receive)
    assert mpi.testall(receive) == [] and mpi.testany([receive]) == (None, None) and mpi.testsome(receive) == ([], [])
    mpi.send("hello", mpi.rank, tag)
    assert receive.message == "hello" and receive.status == (mpi.rank, tag, 0) and receive.message == "hello"
    assert receive and mpi.test(receive) and not receive.test_cancelled and not mpi.test_cancelled(receive)
    assert mpi.testany(receive) == mpi.waitany(receive) == (0, receive.status) and mpi.wait(receive) == receive.status
    assert mpi.testsome([receive]) == mpi.waitsome(receive) == ([0], [receive.status]) and mpi.testall([receive]) == [receive.status]
    pair = [mpi.irecv(mpi.rank, tag), mpi.irecv(mpi.rank, tag + 1)]
    mpi.send("second", mpi.rank, tag + 1)
    assert mpi.waitany(pair)[0] == 1 and pair[1].message == "second"
    mpi.send("first", mpi.rank, tag)
    assert mpi.waitall(*pair) == [pair[0].status, pair[1].status] and pair[0].message == "first"
    assert mpi.waitall() == mpi.testall() == [] and mpi.waitsome() == ([], [])
    with pytest.raises(ValueError, match="needs a request"):
        mpi.waitany()
    dropped = mpi.irecv(mpi.rank, tag)
    dropped.cancel()
    dropped.wait()
    assert dropped.test_cancelled
    again = mpi.irecv(mpi.rank, tag)
    mpi.cancel(again)
    mpi.wait(again)
    assert mpi.test_cancelled(again)


@ranks
@pytest.mark.parametrize("make", [list, tuple, lambda seq: "".join(map(str, seq)), np.array], ids=["list", "tuple", "str", "array"])
def test_scatter_slices_and_gather_concatenates(make):
    whole = make([i % 10 for i in range(2 * mpi.size + 1)])
    for root in range(mpi.size):
        part = mpi.scatter(whole if mpi.rank == root else None, root)
        assert type(part) is type(whole) and len(part) in (2, 3)
        back = mpi.gather(part, root=root)
        assert (back is None) if mpi.rank != root else (type(back) is type(whole) and list(back) == list(whole))
    assert list(mpi.allgather(part)) == list(whole)
    firsts = mpi.allgather(part, 1)
    assert len(firsts) == mpi.size and firsts[mpi.rank] == part[0]
    assert mpi.gather([], 5) == ([] if mpi.rank == 0 else None)


@ranks
def test_bcast_and_barrier():
    assert mpi.bcast(("from", mpi.rank)) == ("from", 0)
    assert mpi.bcast(("from", mpi.rank), root=mpi.size - 1) == ("from", mpi.size - 1)
    assert mpi.bcast_input_to_slaves(f"line {mpi.rank}") == "line 0"
    mpi.barrier()


@ranks
def test_reductions():
    everyone = list(range(mpi.size))
    for root in everyone:
        assert mpi.reduce(mpi.rank, mpi.SUM, root) == (sum(everyone) if mpi.rank == root else None)
    assert mpi.reduce(str(mpi.rank), os.path.join) == ("/".join(map(str, everyone)) if mpi.rank == 0 else None)
    assert mpi.allreduce(str(mpi.rank), operator.add) == "".join(map(str, everyone))
    assert mpi.allreduce([mpi.rank], operator.add, ground=["ground"]) == ["ground", *everyone]
    assert mpi.reduce(mpi.rank, mpi.SUM, ground=100) == (100 + sum(everyone) if mpi.rank == 0 else None)
    assert mpi.scan(str(mpi.rank), operator.add) == "".join(map(str, everyone[: mpi.rank + 1]))
    assert mpi.scan(mpi.rank, mpi.MAX, ground=1) == max(1, mpi.rank)
    assert mpi.allreduce((mpi.rank, mpi.rank), mpi.MAXLOC) == (mpi.size - 1, mpi.size - 1)
    assert mpi.allreduce({mpi.rank}, lambda a, b: a | b) == set(everyone)


@ranks
def test_reductions_of_a_promised_type():
    result = mpi.allreduce(mpi.rank, mpi.SUM, type=float)
    assert type(result) is float and result == sum(range(mpi.size))
    result = mpi.reduce(mpi.rank + 1, mpi.PROD, root=mpi.size - 1, type=int)
    assert result is None if mpi.rank != mpi.size - 1 else type(result) is int and result >= 1
    with pytest.raises(TypeError, match="type=<class 'str'>: MPI reduces int or float"):
        mpi.allreduce("a", mpi.SUM, type=str)
    with pytest.raises(TypeError, match="needs an operation of MPI"):
        mpi.allreduce(1, max, type=int)


@ranks
def test_communicators_are_lists_of_ranks():
    world = mpi.WORLD
    assert world and not mpi.COMM_NULL and len(mpi.COMM_NULL) == 0
    assert list(world) == world[:] == list(range(mpi.size)) and len(world) == mpi.size and world[-1] == mpi.size - 1
    evens = mpi.comm_create(world[::2])
    assert (evens is None) == (mpi.rank % 2 == 1)
    assert evens is None or (evens.size, evens.rank, evens.comm_size(), evens.comm_rank()) == (len(world[::2]), mpi.rank // 2) * 2
    first = mpi.comm_create(0)
    assert (first is None) == (mpi.rank != 0)
    clone = mpi.comm_create(world)
    assert list(clone) == list(world)
    half = mpi.comm_split(mpi.rank % 2)
    assert half.allgather([mpi.rank]) == world[mpi.rank % 2 :: 2]
    assert mpi.comm_split(None) is None
    twin = mpi.communicator(int(mpi.comm_dup()), persist=0)
    assert twin.persistent is False and twin.size == mpi.size and mpi.communicator().comm == mpi.COMM_NULL.comm
    del twin
    for one in (evens, first, clone, half):
        if one is not None:
            one.comm_free()
            assert not one


@ranks
def test_grids():
    ring = mpi.cart_create()
    assert isinstance(ring, mpi.Cartesian) and (ring.dims, ring.ndims, ring.periods) == ((mpi.size,), 1, (1,))
    assert ring.coords() == (ring.rank,) and ring.coords(-1) == (mpi.size - 1,)
    assert ring.shift() == ((ring.rank - 1) % mpi.size, (ring.rank + 1) % mpi.size) and ring.shift(0, 0) == (ring.rank, ring.rank)
    grid = mpi.cartesian_communicator(mpi.WORLD, [1, mpi.size], [0, 1], 0)
    assert grid.dims == (1, mpi.size) and grid.periods == (0, 1) and grid.coords(0) == (0, 0)
    message, _ = ring.sendrecv(ring.rank, *reversed(ring.shift()))
    assert message == (ring.rank - 1) % mpi.size
    ring.comm_free()
    grid.comm_free()


@ranks
def test_output_in_the_order_of_ranks(capsys):
    file = io.StringIO()
    for _ in range(50):
        mpi.synchronizedWrite("rank", mpi.rank, "is alive\n", file=file)
    assert file.getvalue() == ("".join(f"rank {i} is alive\n" for i in range(mpi.size)) * 50 if mpi.rank == 0 else "")
    mpi.synchronizedWriteln("rank", mpi.rank)
    assert capsys.readouterr().out == ("".join(f"rank {i}\n" for i in range(mpi.size)) if mpi.rank == 0 else "")
    mpi.trace("a", 1)
    mpi.traceln("b")
    assert capsys.readouterr().err == ("a 1b\n" if mpi.rank == 0 else "")


QUEUED = """
import os, sys
from mmpi import pympi as mpi
base = sys.argv[1]
mpi.synchronizeQueuedOutput(os.path.join(base, "foo"))
print("one", mpi.rank)
assert not mpi.rank or os.path.exists(os.path.join(base, f"foo.out.{mpi.rank}"))
mpi.synchronizeQueuedOutput()
print("two", mpi.rank)
mpi.synchronizeQueuedOutput("/dev/null")
print("never", mpi.rank)
mpi.synchronizeQueuedOutput(stdout=None, stderr=os.path.join(base, "bar"))
print("error", mpi.rank, file=sys.stderr)
mpi.synchronizeQueuedOutput()
mpi.synchronizeQueuedOutput(stderr=None)
assert sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__
"""


def test_queued_output(tmp_path):
    script = tmp_path / "queued.py"
    script.write_text(QUEUED)
    result = run(sys.executable, "-m", "mmpi", "run", "-n", "3", str(script), str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["one 0", "one 1", "one 2", "two 0", "two 1", "two 2", "never 0"]
    assert result.stderr.splitlines() == ["error 0", "error 1", "error 2"]


def square(x, y=1):
    return x * x * y


def inverse(x):
    return 1 / x


def opened(x):
    return open(os.devnull)


@ranks
def test_map():
    if mpi.rank == 0:
        assert mpi.map(square, range(20)) == [x * x for x in range(20)]
        assert sum(load.items for load in mpi.mapstats()) == 20 and len(mpi.mapstats()) == mpi.size
        assert mpi.size == 1 or mpi.mapstats()[0].items == 0
        assert mpi.map(square, [1, 2], [3, 4]) == [3, 16] and mpi.map(square, []) == []
        with pytest.raises(ZeroDivisionError):
            mpi.map(inverse, [1, 0, 2])
    else:
        for n in (20, 2, 0):
            mpi.mapserver()
            assert sum(load.items for load in mpi.mapstats()) == n
        mpi.mapserver()
        with pytest.raises(ValueError, match="map\\(\\) is for rank 0"):
            mpi.map(square, [1])
    assert mpi.rank or mpi.mapserver() is None


@ranks
def test_map_returns_what_cannot_be_sent_as_an_error():
    if mpi.rank == 0 and mpi.size > 1:
        with pytest.raises(RuntimeError, match="cannot send the result of item 0"):
            mpi.map(opened, [1])
    elif mpi.rank:
        mpi.mapserver()


@ranks
def test_map_of_what_cannot_be_pickled_releases_the_others():
    if mpi.rank:
        mpi.mapserver()
    elif mpi.size > 1:
        with pytest.raises(Exception, match="[Pp]ickle"):
            mpi.map(lambda x: x, [1, 2, 3])


class Counter(mpi.RemoteObject):
    def __init__(self, **options):
        self.calls = []
        mpi.RemoteObject.__init__(self, **options)

    def add(self, who, times=1):
        self.calls += [who] * times


def reached(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@ranks
def test_remote_objects():
    obj = Counter()
    obj.__remote__[0].add(mpi.rank)
    obj.__remote__[:].add(mpi.rank, times=2)
    obj.__remote__[[0, -1]].add(mpi.rank)
    expected = mpi.size * 2 + (mpi.size * 2 if mpi.rank == 0 else 0) + (mpi.size if mpi.rank == mpi.size - 1 else 0)
    assert reached(lambda: len(obj.calls) == expected), (obj.calls, expected)
    with pytest.raises(IndexError):
        obj.__remote__[mpi.size]
    mpi.barrier()


def test_a_remote_object_that_only_calls():
    code = """
    from mmpi import pympi as mpi
    import time
    class Log(mpi.RemoteObject):
        lines = []
        def write(self, line): self.lines.append(line)
    log = Log()
    if mpi.rank:
        log.__remote__[0].write(mpi.rank)
    while mpi.rank == 0 and len(log.lines) < mpi.size - 1:
        time.sleep(0.01)
    mpi.barrier()
    print(sorted(log.lines))
    """
    assert lines(job(3, code)) == ["[1, 2]", "[]", "[]"]


@ranks
def test_time():
    before = mpi.time()
    mpi.stopwatch()
    assert 0 <= mpi.stopwatch() < 60 and mpi.time() >= before and 0 < mpi.tick() < 1
    other = mpi.comm_dup()
    assert 0 <= other.stopwatch() < 60
    other.comm_free()


def test_init_joins_what_importing_has_started():
    code = """
    from mmpi import core, pympi
    import mmpi
    print(mmpi.init(), pympi.rank, core.comm_size(core.MPI_COMM_WORLD))
    """
    assert lines(serial(code)) == ["(0, 1) 0 1"]


def test_importing_starts_mpi_whatever_rc_says():
    assert lines(serial("import mmpi\nmmpi.rc.initialize = False\nfrom mmpi import pympi\nprint(pympi.size)")) == ["1"]


def test_abort():
    assert job(2, "from mmpi import pympi as mpi\nif mpi.rank: mpi.abort(5)\nmpi.recv()").returncode == 5


# --- the interpreter -----------------------------------------------------------------------------------------


def mmpi_command():
    return os.path.join(os.path.dirname(sys.executable), "mmpi")


def script(tmp_path, text, name="script.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def pympi_job(*parts):
    return run(sys.executable, "-m", "mmpi", "run", *parts)


def test_scripts_have_mpi_as_a_builtin(tmp_path):
    path = script(tmp_path, "import sys\nmpi.synchronizedWriteln(mpi.rank, __name__, sys.argv[1:])")
    result = pympi_job("-n", "3", mmpi_command(), "pympi", path, "a", "-b")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [f"{i} __main__ ['a', '-b']" for i in range(3)]


def test_colors_split_the_world(tmp_path):
    path = script(tmp_path, "print(mpi.COLOR, mpi.rank, mpi.size, mpi.COMM_WORLD.size)")
    command = mmpi_command()
    result = pympi_job("-n", "2", command, "pympi", "-color=1", path, ":", "-n", "1", command, "pympi", "-color=2", path)
    assert lines(result) == ["1 0 2 3", "1 1 2 3", "2 0 1 3"]


def test_exceptions_end_the_job(tmp_path):
    path = script(tmp_path, "if mpi.rank == 1: raise ValueError('oops')\nmpi.recv()")
    result = pympi_job("-n", "2", mmpi_command(), "pympi", path)
    assert result.returncode == 1 and "ValueError: oops" in result.stderr and "rank 1" in result.stderr


def test_fatal_signals_show_where(tmp_path):
    path = script(tmp_path, "import os, signal\nif mpi.rank == 1: os.kill(os.getpid(), signal.SIGSEGV)\nmpi.recv()")
    result = pympi_job("-n", "2", mmpi_command(), "pympi", path)
    assert result.returncode == 139 and "Fatal Python error: Segmentation fault" in result.stderr and "script.py" in result.stderr


@pytest.mark.parametrize("words", [["-color=x"], ["/nothing/there.py"]])
def test_wrong_command_lines(words):
    result = run(sys.executable, "-m", "mmpi", "pympi", *words)
    assert result.returncode == 2 and "mmpi pympi: " in result.stderr


# --- the pipeline --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_stages_are_in_blocks(stages, count):
    parts = workit.blocks(stages, count)
    assert len(parts) == count and [stage for part in parts for stage in part] == list(range(stages))
    assert max(map(len, parts)) - min(len(part) for part in parts if part) <= 1


@pytest.mark.parametrize("n", [None, 1, 2, 4])
def test_workit(tmp_path, n):
    stages = "# three stages\ntr a b < DUMMY > DUMMY.1\ntr b c < DUMMY.1 > DUMMY.2\n\ncat DUMMY.2 DUMMY.2 > DUMMY.3\n"
    (tmp_path / "commands").write_text(stages)
    names = ["one", "two words"]
    for name in names:
        (tmp_path / name).write_text(f"a {name}\n")
    files = [str(tmp_path / name) for name in names]
    options = [] if n is None else ["-n", str(n)]
    result = run(sys.executable, "-m", "mmpi", "workit", *options, "-c", str(tmp_path / "commands"), "-s", *files)
    assert result.returncode == 0, result.stderr
    for name in names:
        assert (tmp_path / f"{name}.3").read_text() == f"c {name}\n" * 2
    assert "workit: 2 of 2 files went through all stages" in result.stdout and result.stdout.count("stage 3 of 3") == 2


def test_workit_stops_a_file_that_fails(tmp_path):
    (tmp_path / "commands").write_text("grep -q good DUMMY\ntouch DUMMY.seen\n")
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("good")
    bad.write_text("bad")
    script = 'cat "$1" | "$0" -m mmpi workit -c /dev/stdin -s "$2" "$3"'  # a pipe can be read once only
    result = run("sh", "-c", script, sys.executable, str(tmp_path / "commands"), str(bad), str(good))
    assert result.returncode == 1 and "1 of 2 files went through" in result.stdout and f"{bad} failed in stage 1" in result.stdout
    assert (tmp_path / "good.seen").exists() and not (tmp_path / "bad.seen").exists()


def test_workit_without_commands(tmp_path):
    result = run(sys.executable, "-m", "mmpi", "workit", "-c", str(tmp_path / "none"), "-s", "a")
    assert result.returncode == 2 and "none: No such file" in result.stderr


# --- the examples --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("core_hello", "Hello World from Process 2 of 3"), ("core_ring", "the ring brought 3"), ("core_pi", "pi is about 3.14159265"),
        ("pympi_hello", "Hello World from Process 0 of 3\nHello World from Process 1 of 3\nHello World from Process 2 of 3"),
        ("pympi_montecarlo", "pi is about 3.1"),
    ],
)  # fmt: skip
def test_examples(name, expected):
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "examples", "faces", f"{name}.py")
    result = run(sys.executable, "-m", "mmpi", "run", "-n", "3", path)
    assert result.returncode == 0 and expected in result.stdout + result.stderr, result.stderr
