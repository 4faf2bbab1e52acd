# SPDX-License-Identifier: BSD-3-Clause
"""Sessions: beside a WORLD, without one, before and after it; and programs that use nothing else end well."""

import pytest

from jobs import job, lines, serial
from mmpi import MPI

on_ranks = pytest.mark.mmpi(n=[1, 2, 3])


@pytest.fixture
def session():
    try:
        session = MPI.Session.Init()
    except NotImplementedError as error:
        pytest.skip(str(error))
    yield session
    if session:
        session.Finalize()


@on_ranks
def test_what_it_is(session):
    assert session and session != MPI.SESSION_NULL and session == MPI.Session(session)
    assert not MPI.Session() and MPI.Session() == MPI.SESSION_NULL
    session.Finalize()
    assert session == MPI.SESSION_NULL


@on_ranks
def test_a_session_ends_with_its_block():
    with MPI.Session.Init() as session:
        assert session.Get_num_psets() >= 2
    assert session == MPI.SESSION_NULL


@on_ranks
def test_process_sets(session):
    names = [session.Get_nth_pset(n) for n in range(session.Get_num_psets())]
    assert {"mpi://WORLD", "mpi://SELF"} <= set(names)
    for name, size in (("mpi://WORLD", MPI.COMM_WORLD.size), ("mpi://SELF", 1)):
        assert session.Get_pset_info(name)["mpi_size"] == str(size)
        group = session.Create_group(name)
        assert group.size == size and group.rank == (MPI.COMM_WORLD.rank if size > 1 else 0)
        same = MPI.Group.Create_from_session_pset(session, name)
        assert MPI.Group.Compare(group, same) == MPI.IDENT
        group.Free()
        same.Free()
    assert isinstance(session.Get_info(), MPI.Info)


@on_ranks
def test_names_that_are_none(session):
    with pytest.raises(MPI.Exception):
        session.Create_group("mpi://NOWHERE")
    with pytest.raises(MPI.Exception):
        session.Get_nth_pset(1000)
    with pytest.raises(TypeError, match="pset_name"):
        session.Create_group(7)


@on_ranks
def test_a_communicator_of_a_group(session):
    group = session.Create_group("mpi://WORLD")
    comm = MPI.Intracomm.Create_from_group(group, "mmpi.test")
    assert type(comm) is MPI.Intracomm and (comm.rank, comm.size) == (MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size)
    assert comm.allgather([comm.rank] * 5000) == [[rank] * 5000 for rank in range(comm.size)]
    with pytest.raises(MPI.Exception):
        comm.Send(b"x", comm.size)
    comm.Free()
    group.Free()


@on_ranks
def test_error_handlers(session):
    assert session.Get_errhandler() == MPI.ERRORS_RETURN
    seen = []
    handler = MPI.Session.Create_errhandler(lambda session, code: seen.append(code))
    session.Set_errhandler(handler)
    session.Call_errhandler(MPI.ERR_OTHER)
    assert seen == [MPI.ERR_OTHER]
    session.Set_errhandler(MPI.ERRORS_RETURN)


@pytest.mark.parametrize(("errors", "name"), [("default", "ARE_FATAL"), ("exception", "RETURN"), ("abort", "ABORT")])
def test_error_handlers_of_new_sessions(errors, name):
    code = f"""
    import mmpi
    mmpi.rc.errors = {errors!r}
    from mmpi import MPI
    with MPI.Session.Init() as session, session.Get_errhandler() as handler:
        print(handler == MPI.ERRORS_{name})
    with MPI.Session.Init(errhandler=MPI.ERRORS_RETURN) as session, session.Get_errhandler() as handler:
        print(handler == MPI.ERRORS_RETURN)
    """
    assert lines(serial(code)) == ["True", "True"]


@on_ranks
def test_buffers(session):
    buffer = bytearray(1 << 16)
    try:
        session.Attach_buffer(buffer)
    except NotImplementedError as error:
        pytest.skip(str(error))
    session.Flush_buffer()
    session.Iflush_buffer().Wait()
    with pytest.raises(MPI.Exception, match="attached already"):
        session.Attach_buffer(bytearray(10))
    assert session.Detach_buffer() is buffer and session.Detach_buffer() is None


@on_ranks
def test_a_session_that_ends_lets_go_of_its_buffer():
    for _ in range(3):  # also where the handle comes again
        session, buffer = MPI.Session.Init(), bytearray(1 << 16)
        try:
            session.Attach_buffer(buffer)
        except NotImplementedError as error:
            session.Finalize()
            pytest.skip(str(error))
        with pytest.raises(BufferError):
            buffer.extend(b"x")
        session.Finalize()
        buffer.extend(b"x")


# --- programs of their own --------------------------------------------------------------------------------------

ALONE = """
import mmpi, sys
mmpi.rc.initialize = False
from mmpi import MPI
assert not MPI.Is_initialized()
session = MPI.Session.Init()
group = session.Create_group("mpi://WORLD")
comm = MPI.Intracomm.Create_from_group(group)
group.Free()
assert comm.allgather(b"x" * 20000 + bytes([comm.rank])) == [b"x" * 20000 + bytes([r]) for r in range(comm.size)]
assert comm.allreduce(1) == comm.size
"""
CLOSE = "comm.Free()\nsession.Finalize()\n"
AGAIN = """
session = MPI.Session.Init()
comm = MPI.Intracomm.Create_from_group(session.Create_group("mpi://WORLD"), "again")
assert comm.allreduce(1) == comm.size
"""
DERIVED = """
half = comm.Split(comm.rank % 2, 0)
twin = half.Dup()
assert twin.allgather(comm.rank) == list(range(comm.rank % 2, comm.size, 2))
if comm.size > 1:
    both = half.Create_intercomm(0, comm, 1 - comm.rank % 2)
    assert both.allgather(comm.rank) == list(range(1 - comm.rank % 2, comm.size, 2))
    whole = both.Merge()
    assert sorted(whole.allgather(comm.rank)) == list(range(comm.size))
    for each in whole, both: each.Free()
with comm.Get_group() as group: assert group.Translate_ranks() == list(range(comm.size))
for each in twin, half: each.Free()
"""
WORLD = "rank, size = mmpi.init()\nassert mmpi.allreduce(1) == size\n"


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    "code",
    [
        ALONE + CLOSE,
        ALONE,
        ALONE + DERIVED + CLOSE,
        ALONE + CLOSE + AGAIN + CLOSE,
        ALONE + CLOSE + WORLD,
        ALONE + WORLD + CLOSE + "mmpi.finalize()\n",
        ALONE + WORLD + "comm.Free()\n",
    ],
    ids=["closed", "left open", "derived", "twice", "then a world", "beside a world", "open to the end of a world"],
)
def test_programs_with_sessions(code, n):
    result = job(n, code + "print('done')")
    assert lines(result) == ["done"] * n and result.stderr == ""


def test_a_program_without_a_launcher():
    result = serial(ALONE + CLOSE + "print(session == MPI.SESSION_NULL, MPI.Is_finalized())")
    if "Open MPI" in result.stderr or "MPI_ERR_UNSUPPORTED" in result.stderr:
        pytest.skip("Open MPI makes communicators of groups only in jobs of its launcher")
    assert lines(result) == ["True False"] and result.stderr == ""


def test_a_program_that_fails_ends_the_job():
    code = ALONE + "if comm.rank == 1: sys.exit(7)\ncomm.barrier()"
    assert job(2, code).returncode == 7


def test_calls_without_a_session():
    code = "import mmpi\nmmpi.rc.initialize = False\nfrom mmpi import MPI\nMPI.Session.Init().Finalize()\nMPI.COMM_WORLD.Barrier()"
    result = serial(code)
    assert result.returncode == 1 and "call mmpi.init() first" in result.stderr


INFO = """
def tried(what, function, *arguments):
    try:
        print(what, function(*arguments))
    except (MPI.Exception, KeyError, NotImplementedError) as error:
        print(what, type(error).__name__, getattr(error, "error_class", None), str(error))

with MPI.Info.Create({"a": "b"}) as info:
    info.Set("c", "d")
    copy = info.Dup()
    print(dict(copy.items()), info.Get("a"), info.Get("x"), info.Get_nkeys(), info.Get_nthkey(1), "c" in info)
    info.Delete("a")
    print(dict(info), MPI.Info.f2py(info.py2f()) == info)
    tried("delete", info.Delete, "x")
    tried("long key", info.Set, "k" * 10000, "v")
    tried("long value", info.Set, "k", "v" * 100000)
    tried("nthkey", info.Get_nthkey, 7)
    tried("none", MPI.INFO_NULL.Set, "k", "v")
    tried("env", MPI.INFO_ENV.Free)
"""
SEEN = ["{'a': 'b', 'c': 'd'} b None 2 c True", "{'c': 'd'} True"]
FAILS = {"delete": "INFO_NOKEY", "long key": "INFO_KEY", "long value": "INFO_VALUE", "nthkey": "ARG", "none": "INFO", "env": "INFO"}


@pytest.mark.parametrize("start", ["mmpi.rc.initialize = False\n", "mmpi.init()\nmmpi.finalize()\n"], ids=["before", "after"])
def test_an_info_before_and_after_mpi_runs(start):
    result = serial(f"import mmpi\n{start}from mmpi import MPI\n{INFO}")
    if "MPI_Info_create called" in result.stderr:
        assert MPI.Get_version() < (4, 0) and result.returncode == 1
        return
    said = result.stdout.splitlines()
    assert said[:2] == SEEN and result.stderr == ""
    for line, (what, name) in zip(said[2:], FAILS.items(), strict=True):
        assert line.startswith(f"{what} MPIError {getattr(MPI, f'ERR_{name}')} "), line
