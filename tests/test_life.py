# SPDX-License-Identifier: BSD-3-Clause
"""The life of MPI in a process: init, joining, misuse, finalize, options, forked children."""

import os

import pytest

from jobs import job, lines, serial
from requirements import need

# Lines that many programs below begin with: report what a call raises.
TELL = """
import sys
import mmpi
def tell(name, call):
    try:
        result = call()
    except mmpi.MPIError as error:
        print(f"{name}: {error}")
    else:
        print(f"{name} gave {result!r}")
"""
MISUSED = """
for name in ("Get_rank", "Get_size", "Barrier", "Dup", "Get_group", "Get_name"):
    tell(name, getattr(mmpi.WORLD, name))
for name in ("rank", "size", "group"):
    tell(name, lambda: getattr(mmpi.WORLD, name))
tell("Send", lambda: mmpi.WORLD.Send(b"x", 0))
tell("Irecv", lambda: mmpi.WORLD.Irecv(bytearray(1), 0))
tell("Bcast", lambda: mmpi.WORLD.Bcast(bytearray(1)))
tell("Type", lambda: mmpi.INT.Create_contiguous(2))
tell("Wtick", lambda: mmpi.SELF.Split(0))
"""


# --- init -------------------------------------------------------------------------------------------------


def test_hello():
    result = job(3, 'import mmpi; print("Hello World from Process %s of %s" % mmpi.init())')
    assert lines(result) == [f"Hello World from Process {rank} of 3" for rank in range(3)]
    assert result.stderr == ""


def test_without_a_launcher_the_world_is_one():
    result = serial("import mmpi; print(mmpi.init(), mmpi.WORLD.size)")
    assert lines(result) == ["(0, 1) 1"] and result.stderr == ""


@pytest.mark.parametrize("end", ["pass", "mmpi.finalize()", "raise SystemExit(3)", "1 / 0"])
def test_without_a_launcher_no_shared_memory_stays(end):
    """Open MPI itself never removes it."""
    result = serial(f"""
import mmpi
mmpi.init()
with open("/proc/self/maps") as maps:
    print(*{{line.split()[5] for line in maps if " /dev/shm/" in line}}, sep="\\n", flush=True)
{end}
""")
    mapped = result.stdout.split()
    assert mapped, "not even a flight record"
    assert not [path for path in mapped if os.path.exists(path)]


@pytest.mark.parametrize("arguments", ["sys.argv", "len(sys.argv), sys.argv", "None"])
def test_init_takes_the_arguments_of_old(arguments):
    assert lines(job(2, f"import sys, mmpi; print(mmpi.init({arguments}))")) == ["(0, 2)", "(1, 2)"]


def test_world_and_self():
    code = "import mmpi; r, s = mmpi.init(); print(mmpi.WORLD.rank == r, mmpi.WORLD.size == s, mmpi.SELF.size)"
    assert lines(job(2, code)) == ["True True 1"] * 2


@pytest.mark.parametrize("level", ["single", "funneled", "serialized", "multiple"])
def test_the_thread_level_is_chosen_and_readable(level):
    code = f"""
        import mmpi
        mmpi.init(threads={level!r})
        from mmpi import MPI
        got = getattr(MPI, "THREAD_" + mmpi.thread_level().upper())
        print(got == MPI.Query_thread(), MPI.THREAD_{level.upper()} <= got <= MPI.THREAD_MULTIPLE)
    """
    assert lines(job(2, code)) == ["True True"] * 2


def test_multiple_is_the_level_asked_by_default():
    code = "import mmpi; mmpi.init(); from mmpi import MPI; print(MPI.Query_thread() == MPI.THREAD_MULTIPLE)"
    assert lines(serial(code)) == ["True"]


@pytest.mark.parametrize("bad", ["'many'", "17", "1.5"])
def test_an_unknown_thread_level(bad):
    result = serial(f"import mmpi; mmpi.init(threads={bad})")
    assert result.returncode == 1 and "threads" in result.stderr and bad.strip("'") in result.stderr


def test_initialized_and_finalized():
    code = """
        import mmpi
        states = [(mmpi.initialized(), mmpi.finalized())]
        mmpi.init()
        states.append((mmpi.initialized(), mmpi.finalized()))
        mmpi.finalize()
        states.append((mmpi.initialized(), mmpi.finalized()))
        print(states)
    """
    assert lines(job(2, code)) == ["[(False, False), (True, False), (True, True)]"] * 2


# --- misuse -----------------------------------------------------------------------------------------------


def test_a_second_init_says_so():
    result = serial(TELL + "mmpi.init(); tell('again', mmpi.init); print(mmpi.WORLD.rank)")
    assert lines(result)[0] == "0" and "again: " in result.stdout and "before" in result.stdout


def test_calls_before_init():
    result = serial(TELL + MISUSED)
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()
    assert len(said) == 14 and all("init" in line and "gave" not in line for line in said), result.stdout


def test_calls_after_finalize():
    result = serial(TELL + "mmpi.init(); mmpi.finalize()\n" + MISUSED)
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()
    assert len(said) == 14 and all("finalize" in line and "gave" not in line for line in said), result.stdout


def test_finalize_before_init_and_twice_and_init_after_finalize():
    result = serial(
        TELL + "tell('a', mmpi.finalize); mmpi.init(); mmpi.finalize(); tell('b', mmpi.finalize); tell('c', mmpi.init)"
    )
    first, second, third = lines(result)
    assert first.startswith("a: ") and "init" in first
    assert second.startswith("b: ") and "finalize" in second
    assert third.startswith("c: ") and ("finalize" in third or "before" in third)


def test_objects_of_the_past_do_not_crash():
    code = (
        TELL
        + """
mmpi.init()
kept = [mmpi.WORLD.Dup(), mmpi.WORLD.Get_group(), mmpi.INT.Create_contiguous(2).Commit(), mmpi.Op.Create(lambda a, b, t: None)]
request = mmpi.SELF.Irecv(bytearray(1), 0, 5)
mmpi.SELF.Send(b"x", 0, 5)
mmpi.finalize()
for thing in kept:
    tell("free", thing.Free)
tell("wait", request.Wait)
del kept, request, thing
import gc
gc.collect()
print("end")
"""
    )
    result = serial(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "end" and result.stdout.count("finalize") >= 4


def test_legal_at_any_time():
    code = """
        import mmpi
        def at_any_time():
            from mmpi import MPI
            return len(MPI.Get_version()), bool(MPI.Get_library_version()), MPI.Is_initialized(), MPI.Is_finalized()
        mmpi.rc.initialize = False
        print(at_any_time())
        mmpi.init()
        print(at_any_time())
        mmpi.finalize()
        print(at_any_time())
    """
    result = serial(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "(2, True, False, False)", "(2, True, True, False)", "(2, True, True, True)"]  # fmt: skip


def test_touching_a_name_loads_the_library_and_initializes_nothing():
    code = """
        import mmpi
        mmpi.WORLD, mmpi.SELF, mmpi.SUM, mmpi.Request
        print(mmpi.initialized(), issubclass(mmpi.MPIError, RuntimeError), repr(mmpi.WORLD).count("_core"))
    """
    assert lines(serial(code)) == ["False True 0"]


def test_unknown_names():
    result = serial("import mmpi; mmpi.WORLDS")
    assert result.returncode == 1 and "AttributeError" in result.stderr and "WORLDS" in result.stderr


# --- the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start", ["import mmpi; mmpi.init()", "from mmpi import MPI", "import mmpi; mmpi.init(); mmpi.finalize()"]
)
def test_the_end_of_the_program_finalizes(start):
    result = job(2, f"{start}\nprint('done')")
    assert lines(result) == ["done"] * 2 and result.stderr == ""


def test_abort():
    for code, status in (("mmpi.abort(7)", 7), ("mmpi.abort()", 1), ("mmpi.WORLD.Abort(9)", 9)):
        result = job(
            2, f"import mmpi; rank, size = mmpi.init()\nif rank: {code}\nmmpi.WORLD.Barrier(); mmpi.WORLD.Barrier()"
        )
        assert result.returncode == status, (code, result.stderr)


def test_abort_without_mpi_ends_the_process():
    assert serial("import mmpi; mmpi.abort(5)").returncode in (1, 5)


def test_work_after_finalize_goes_on():
    result = job(2, "import mmpi; r, s = mmpi.init(); mmpi.finalize(); print(sum(range(10)), r)")
    assert lines(result) == ["45 0", "45 1"]


def test_requests_dropped_in_flight_do_not_disturb_the_end():
    code = """
        import mmpi
        rank, size = mmpi.init()
        for i in range(20):
            mmpi.WORLD.Isend(bytearray(1000), 1 - rank, tag=i)
        mmpi.WORLD.Barrier()
        for i in range(20):
            mmpi.WORLD.Recv(bytearray(1000), 1 - rank, tag=i)
    """
    result = job(2, code)
    assert lines(result) == [] and result.stderr == ""


# --- mmpi.MPI and rc --------------------------------------------------------------------------------------


def test_importing_mpi_initializes_and_init_joins():
    code = """
        from mmpi import MPI
        import mmpi
        before = MPI.Is_initialized()
        print(before, mmpi.init(), mmpi.WORLD is MPI.COMM_WORLD, mmpi.MPIError is MPI.Exception)
    """
    assert lines(job(2, code)) == ["True (0, 2) True True", "True (1, 2) True True"]


def test_importing_mpi_after_init_joins():
    code = "import mmpi; mmpi.init(); from mmpi import MPI; print(MPI.COMM_WORLD.size, mmpi.Request is MPI.Request)"
    assert lines(job(2, code)) == ["2 True"] * 2


def test_the_second_init_after_joining_raises():
    assert "before" in serial(TELL + "from mmpi import MPI; mmpi.init(); tell('again', mmpi.init)").stdout


@pytest.mark.parametrize("way", ["attribute", "call", "environment"])
def test_no_initialization_on_import(way):
    say = {"attribute": "mmpi.rc.initialize = False", "call": "mmpi.rc(initialize=False)", "environment": ""}[way]
    env = {"MMPI_RC_INITIALIZE": "0"} if way == "environment" else {}
    code = f"""
        import mmpi
        {say}
        from mmpi import MPI
        before = MPI.Is_initialized()
        MPI.Init()
        print(before, MPI.COMM_WORLD.size)
        MPI.Finalize()
    """
    assert lines(job(2, code, env=env)) == ["False 2"] * 2


@pytest.mark.parametrize("way", ["attribute", "environment"])
def test_a_lower_thread_level_by_rc(way):
    say = "mmpi.rc.thread_level = 'funneled'" if way == "attribute" else ""
    env = {"MMPI_RC_THREAD_LEVEL": "funneled"} if way == "environment" else {}
    code = f"""
        import mmpi
        {say}
        from mmpi import MPI
        print(MPI.THREAD_FUNNELED <= MPI.Query_thread())
    """
    assert lines(job(2, code, env=env)) == ["True"] * 2


def test_no_threads_by_rc():
    code = """
        import mmpi
        mmpi.rc.threads = False
        from mmpi import MPI
        print(MPI.COMM_WORLD.size, MPI.Query_thread() in (MPI.THREAD_SINGLE, MPI.THREAD_FUNNELED, MPI.THREAD_SERIALIZED))
    """
    assert lines(job(2, code)) == ["2 True"] * 2
    assert (
        lines(job(2, code.replace("mmpi.rc.threads = False", ""), env={"MMPI_RC_THREADS": "false"})) == ["2 True"] * 2
    )


def test_finalize_by_hand():
    code = """
        import mmpi
        mmpi.rc.finalize = False
        from mmpi import MPI
        MPI.COMM_WORLD.Barrier()
        MPI.Finalize()
        print(MPI.Is_finalized())
    """
    assert lines(job(2, code)) == ["True"] * 2


@pytest.mark.parametrize("statement", ["mmpi.rc.initialise = False", "mmpi.rc(finalise=False)", "mmpi.rc.nothing"])
def test_unknown_options(statement):
    result = serial(f"import mmpi; {statement}")
    assert result.returncode == 1 and ("TypeError" in result.stderr or "AttributeError" in result.stderr)
    assert any(name in result.stderr.splitlines()[-1] for name in ("initialise", "finalise", "nothing"))


def test_an_option_with_a_wrong_value():
    result = serial("from mmpi import MPI", env={"MMPI_RC_INITIALIZE": "perhaps"})
    assert result.returncode == 1
    assert "MMPI_RC_INITIALIZE" in result.stderr and "perhaps" in result.stderr


# --- joining: somebody else initialized MPI ---------------------------------------------------------------

AS_C = """
import ctypes
import mmpi
mmpi.WORLD                                      # opens the library, globally
library = ctypes.CDLL(None)
def world():
    try:
        return ctypes.addressof(ctypes.c_char.in_dll(library, "ompi_mpi_comm_world"))
    except ValueError:
        pass
    major, minor = ctypes.c_int(-1), ctypes.c_int(-1)
    if hasattr(library, "MPI_Abi_get_version"):
        library.MPI_Abi_get_version(ctypes.byref(major), ctypes.byref(minor))
    return 0x101 if major.value > 0 else 0x44000000
assert library.MPI_Init(None, None) == 0
"""


def test_joining_a_c_program_and_leaving_the_end_to_it():
    code = (
        AS_C
        + """
print(mmpi.initialized(), mmpi.init())
mmpi.WORLD.Barrier()
from mmpi import MPI
assert not MPI.Is_finalized()
assert library.MPI_Finalize() == 0
print(mmpi.finalized())
"""
    )
    result = job(2, code)
    assert lines(result) == ["True", "True", "True (0, 2)", "True (1, 2)"]


def test_after_joining_errors_raise():
    """WORLD's handler was ERRORS_ARE_FATAL, which would end the job."""
    code = AS_C + "mmpi.init()\n" + TELL + "tell('send', lambda: mmpi.WORLD.Send(b'x', 99))\nlibrary.MPI_Finalize()"
    result = job(2, code)
    assert lines(result) and result.stdout.count("send: ") == 2


def test_a_handler_that_c_has_set_stays():
    code = (
        AS_C
        + """
seen = []
@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))
def handler(comm, code):
    seen.append(code[0])
handle = ctypes.c_void_p(0)
assert library.MPI_Comm_create_errhandler(handler, ctypes.byref(handle)) == 0
library.MPI_Comm_set_errhandler.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
assert library.MPI_Comm_set_errhandler(world(), handle) == 0
mmpi.init()
try:
    mmpi.WORLD.Send(b"x", 99)
except mmpi.MPIError:                           # MPICH returns success once a handler of the user has returned
    pass
print("called", len(seen))
library.MPI_Finalize()
"""
    )
    assert lines(job(2, code)) == ["called 1"] * 2


def test_mmpi_finalize_does_not_end_what_c_began():
    code = (
        AS_C
        + """
mmpi.init()
mmpi.finalize()
over = ctypes.c_int(7)
library.MPI_Finalized(ctypes.byref(over))
print(over.value, library.MPI_Finalize())
"""
    )
    assert lines(job(2, code)) == ["0 0"] * 2


@pytest.mark.parametrize("first", ["mpi4py", "mmpi"])
def test_two_bindings_in_one_process(first):
    need("mpi4py")
    imports = {
        "mpi4py": "from mpi4py import MPI as other\nimport mmpi\n",
        "mmpi": "import mmpi\nmmpi.init()\nimport mpi4py\nmpi4py.rc.initialize = False\nfrom mpi4py import MPI as other\n",
    }[first]
    code = (
        imports
        + """
rank, size = mmpi.init() if other.Is_initialized() and not mmpi_first else (mmpi.WORLD.rank, mmpi.WORLD.size)
assert (other.COMM_WORLD.rank, other.COMM_WORLD.size) == (rank, size)
got = bytearray(1)
if rank == 0:
    other.COMM_WORLD.Send(b"x", 1)
else:
    mmpi.WORLD.Recv(got, 0)
print(rank, size)
"""
    )
    result = job(2, f"mmpi_first = {first == 'mmpi'}\n" + code)
    assert lines(result) == ["0 2", "1 2"]


# --- forked children --------------------------------------------------------------------------------------

FORK = """
import os, sys, mmpi
rank, size = mmpi.init()
def in_child(what):
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    what()
    sys.exit(0)
"""


def test_a_forked_child_is_no_rank():
    code = (
        FORK
        + """
def use_mpi():
    for call in (mmpi.WORLD.Barrier, mmpi.WORLD.Get_rank, mmpi.finalize, lambda: mmpi.WORLD.Send(b"x", 0)):
        try:
            call()
        except mmpi.MPIError as error:
            print("fork" in str(error))
status = in_child(use_mpi)
mmpi.WORLD.Barrier()
print(status, rank)
"""
    )
    assert lines(job(2, code)) == ["0 0", "0 1"] + ["True"] * 8


@pytest.mark.parametrize("how,status", [("sys.exit(3)", 3), ("sys.exit('text')", 1), ("1 / 0", 1), ("os._exit(4)", 4)])
def test_the_end_of_a_forked_child_is_not_the_end_of_the_job(how, status):
    code = FORK + f"print(in_child(lambda: {how}))\nmmpi.WORLD.Barrier()"
    assert lines(job(2, code)) == [str(status)] * 2


def test_a_pool_of_forked_processes_in_each_rank():
    code = """
        import multiprocessing, mmpi
        rank, size = mmpi.init()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            squares = pool.map(abs, [-rank, -2, -3])
        mmpi.WORLD.Barrier()
        print(squares)
    """
    assert lines(job(2, code)) == ["[0, 2, 3]", "[1, 2, 3]"]


def test_programs_started_by_ranks():
    code = """
        import subprocess, sys, mmpi
        rank, size = mmpi.init()
        print(subprocess.run([sys.executable, "-c", "print('sub')"], capture_output=True, text=True).stdout.strip())
        mmpi.WORLD.Barrier()
    """
    assert lines(job(2, code)) == ["sub"] * 2


@pytest.mark.parametrize("end", ["", "MPI.Finalize()"], ids=["by itself", "Finalize"])
def test_messages_that_nobody_receives(end):
    """MPICH 5 by itself ends the job for them."""
    code = f"""
    from mmpi import MPI
    comm = MPI.COMM_WORLD
    if comm.rank:
        for i in range(10):
            comm.send(("not wanted", i), 0, i)
        comm.Send(bytes(1000), 0, 99)
    comm.isend("to oneself", comm.rank)
    MPI.COMM_SELF.isend("to oneself", 0)
    comm.Barrier()
    print("well", flush=True)
    {end}
    """
    for _ in range(3):
        result = job(3, code)
        assert lines(result) == ["well"] * 3 and not result.stderr
