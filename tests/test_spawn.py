# SPDX-License-Identifier: BSD-3-Clause
"""Processes that are started, and jobs that meet: from `mmpi run` and from a program of its own, to the end of both."""

import contextlib
import textwrap

import pytest

from jobs import job, lines, serial
from mmpi import MPI, spawning

CHILD = """
import os, sys
from mmpi import MPI
world, parent = MPI.COMM_WORLD, MPI.Comm.Get_parent()
assert type(parent) is MPI.Intercomm and parent == MPI.Comm.Get_parent()
word = parent.bcast(None, root=0)
parent.gather((word, world.rank, world.size, sys.argv[1:], "MMPI_JOB_DIR" in os.environ), root=0)
assert parent.allreduce(world.rank + 1) == parent.remote_size
parent.send({"from": world.rank}, 0, tag=5)
"""
PARENT = """
import os, sys
from mmpi import MPI
world = MPI.COMM_WORLD
assert MPI.Comm.Get_parent() == MPI.COMM_NULL
root = MPI.ROOT if world.rank == 0 else MPI.PROC_NULL
def meet(child, count):
    child.bcast("hello", root=root)
    got = child.gather(None, root=root)
    assert child.allreduce(1) == sum(range(1, count + 1))
    if world.rank == 0:
        assert got == [("hello", r, count, got[r][3], "MMPI_JOB_DIR" in os.environ) for r in range(count)], got
        assert [child.recv(source=r, tag=5) for r in range(count)] == [{"from": r} for r in range(count)]
    return got
"""
END = "\nparent.Disconnect()\nassert parent == MPI.COMM_NULL == MPI.Comm.Get_parent()\n"


@pytest.fixture
def program(tmp_path):
    """Makes the parent's code of some that starts CHILD, a file with the child's: hydra cannot pass on arguments of several lines."""

    def make(code, child):
        path = tmp_path / "child.py"
        path.write_text(child)
        return PARENT + f"CHILD = {str(path)!r}\n" + textwrap.dedent(code)

    return make


@pytest.fixture(params=[0, 1, 2], ids=["alone", "1 rank", "2 ranks"])
def start(request):
    """Runs code without a launcher, or on ranks."""
    return (lambda code: serial(code)) if request.param == 0 else (lambda code: job(request.param, code))


def test_one_program(start, program):
    code = """
    codes = [17]
    child = world.Spawn(sys.executable, [CHILD, "a b", "c"], 2, errcodes=codes)
    assert type(child) is MPI.Intercomm and (child.size, child.remote_size) == (world.size, 2) and codes == [0, 0]
    got = meet(child, 2)
    assert got is None or [row[3] for row in got] == [["a b", "c"]] * 2
    child.Disconnect()
    assert child == MPI.COMM_NULL
    print("done")
    """
    assert set(lines(start(program(code, CHILD + END)))) == {"done"}


def test_several_programs(start, program):
    code = """
    codes = []
    child = world.Spawn_multiple([sys.executable] * 2, [[CHILD, "x"], [CHILD]], [1, 2], errcodes=codes)
    assert child.remote_size == 3 and codes == [[0], [0, 0]]
    got = meet(child, 3)
    assert got is None or [row[3] for row in got] == [["x"], [], []]
    child.Disconnect()
    print("done")
    """
    child = CHILD + "assert world.Get_attr(MPI.APPNUM) == (0 if world.rank == 0 else 1)" + END
    assert set(lines(start(program(code, child)))) == {"done"}


def test_one_communicator_of_parents_and_children(start, program):
    code = """
    child = MPI.COMM_WORLD.Spawn(sys.executable, [CHILD], 1)
    both = child.Merge(high=False)
    assert both.allgather(both.rank) == list(range(world.size + 1))
    assert both.rank == world.rank
    both.Free()
    child.Disconnect()
    print("done")
    """
    child = "from mmpi import MPI\nparent = MPI.Comm.Get_parent()\nboth = parent.Merge(high=True)\nboth.allgather(both.rank)\nboth.Free()" + END
    assert set(lines(start(program(code, child)))) == {"done"}


def test_only_the_root_needs_arguments(program):
    code = """
    if world.rank == 1:
        child = world.Spawn(sys.executable, [CHILD], 1, root=1)
    else:
        child = world.Spawn(None, None, -1, root=1)
    child.Disconnect()
    child = world.Spawn_multiple([sys.executable], [[CHILD]]) if world.rank == 0 else world.Spawn_multiple(None, None, -1)
    child.Disconnect()
    print("done")
    """
    child = "from mmpi import MPI\nparent = MPI.Comm.Get_parent()" + END
    assert lines(job(2, program(code, child))) == ["done"] * 2


def test_wrong_arguments_on_one_rank_start_nothing(program):
    code = """
    for call, text in [(lambda: world.Spawn(17), "17|expected str"), (lambda: world.Spawn(sys.executable, [1]), "expected str"),
                       (lambda: world.Spawn_multiple("python", [["x"]]), "command"),
                       (lambda: world.Spawn_multiple(["a"], [[], []]), "2 items for 1"),
                       (lambda: world.Spawn(sys.executable, [], -2), "-2 processes")]:
        try:
            call() if world.rank == 0 else world.Spawn(sys.executable, ["-c", "1/0"])
        except (TypeError, ValueError) as error:
            assert world.rank == 0 and __import__("re").search(text, str(error)), error
        except MPI.Exception as error:
            assert world.rank == 1 and "another rank" in str(error), error
        else:
            raise AssertionError("nothing raised")
    for root in (-1, 2):
        try:
            world.Spawn(sys.executable, root=root)
        except MPI.Exception as error:
            assert error.Get_error_class() == MPI.ERR_ROOT
    print("done")
    """
    assert lines(job(2, program(code, ""))) == ["done"] * 2


@pytest.mark.parametrize(("last_words", "status"), [("sys.exit(7)", 7), ("raise ValueError('child')", 1)])
def test_a_child_that_fails_ends_the_job(last_words, status, program):
    code = """
    child = world.Spawn(sys.executable, [CHILD], 1)
    child.bcast("hello", root=root)
    child.gather(None, root=root)
    child.barrier()
    """
    child = f"import sys\nfrom mmpi import MPI\nparent = MPI.Comm.Get_parent()\nparent.bcast(None)\nparent.gather(1)\n{last_words}"
    result = job(2, program(code, child))
    assert result.returncode == status, result.stderr
    assert "ValueError" not in child or ("ValueError: child" in result.stderr and "uncaught ValueError" in result.stderr)


# --- jobs that meet ---------------------------------------------------------------------------------------------


def test_ports():
    code = """
    part = world.Split(world.rank > 0)
    port = MPI.Open_port() if world.rank == 0 else None
    port = world.bcast(port)
    inter = part.Accept(port) if world.rank == 0 else part.Connect(port if part.rank == 0 else None)
    assert type(inter) is MPI.Intercomm and inter.remote_size == (world.size - 1 if world.rank == 0 else 1)
    assert inter.allgather(world.rank) == (list(range(1, world.size)) if world.rank == 0 else [0])
    if world.rank == 0:
        MPI.Close_port(port)
    inter.Disconnect()
    print("done")
    """
    assert lines(job(3, PARENT + textwrap.dedent(code))) == ["done"] * 3


def test_published_names():
    code = """
    if world.rank == 0:
        port = MPI.Open_port()
        MPI.Publish_name("mmpi-test", port)
    world.barrier()
    assert MPI.Lookup_name("mmpi-test") == world.bcast(port if world.rank == 0 else None)
    world.barrier()
    if world.rank == 0:
        MPI.Unpublish_name("mmpi-test", port)
        MPI.Close_port(port)
    world.barrier()
    try:
        MPI.Lookup_name("mmpi-test")
    except MPI.Exception as error:
        assert error.Get_error_class() == MPI.ERR_NAME
        print("done")
    """
    assert lines(job(2, PARENT + textwrap.dedent(code))) == ["done"] * 2


def test_the_ends_of_a_socket():
    code = """
    import socket
    if world.rank == 0:
        server = socket.create_server(("127.0.0.1", 0))
        world.send(server.getsockname(), 1)
        end = server.accept()[0]
    else:
        end = socket.create_connection(world.recv(source=0))
    inter = MPI.Comm.Join(end.fileno())
    assert inter.allgather(world.rank) == [1 - world.rank]
    inter.Disconnect()
    print("done")
    """
    assert lines(job(2, PARENT + textwrap.dedent(code))) == ["done"] * 2


# --- arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.mmpi(n=[1])
def test_programs():
    assert spawning.one("python", None, None, None) == [(b"python", [], 1, None)]
    assert spawning.one(b"python", "one word", 3, None) == [(b"python", [b"one word"], 3, None)]
    for word in ("", "two\nlines"):
        with pytest.raises(ValueError, match="args") if MPI.get_vendor()[0] != "Open MPI" else contextlib.nullcontext():
            assert spawning.one("python", [word], 1, None)[0].args == [word.encode()]
    rows = spawning.several(["a", "b"], [["x"], None], None, None)
    assert rows == [(b"a", [b"x"], 1, None), (b"b", [], 1, None)]
    assert [row.maxprocs for row in spawning.several(["a", "b"], None, 2, None)] == [2, 2]
    wrong = [("a", None, 1, None), (["a"], ["x", "y"], 1, None), (["a"], "x", 1, None), (["a"], None, [1, 2], None)]
    for bad in [*wrong, (["a"], None, 1, [None] * 2)]:
        with pytest.raises(ValueError, match="Spawn_multiple"):
            spawning.several(*bad)


@pytest.mark.mmpi(n=[1])
def test_error_codes():
    codes = [[9]]
    spawning.codes_of_several(codes, [0, 1, 2], [1, 2])
    assert codes == [[0], [1, 2]]
    spawning.codes_of_several(codes, [0, 1, 2], [])
    assert codes == [[0, 1, 2]]


@pytest.mark.parametrize("number", [1, 5])  # with the fifth a communicator gets a duplicate for what follows
def test_a_child_that_disconnects_alone(program, number):
    """No rank must do so, but programs do where MPI lets them: after collectives of objects, nothing of ours goes on."""
    if MPI.get_vendor()[0] not in ("MPICH", "Intel MPI"):
        pytest.skip("there, Disconnect waits for the others")
    code = f"""
    both = MPI.COMM_SELF.Spawn(sys.executable, [CHILD]).Merge(False)
    for i in range({number}):
        both.scatter([i] * both.size, root=0)
    print("well")
    """
    child = f"""
from mmpi import MPI
both = MPI.Comm.Get_parent().Merge(True)
for i in range({number}):
    assert both.scatter(None, root=0) == i
both.Disconnect()
"""
    assert lines(job(1, program(code, child))) == ["well"]
