# SPDX-License-Identifier: BSD-3-Clause
"""Where it is asked for, `import mpi4py` means mmpi: in ranks, in what they start, in pools; nowhere else."""

import subprocess
import sys
import textwrap

import pytest

import mmpi
from jobs import LIMIT, job, lines, run, serial
from requirements import need

ALIAS = """
import importlib.metadata, os, subprocess, sys
import mpi4py
mpi4py.rc.threads = True
from mpi4py import MPI
import mpi4py.util.pkl5
from mpi4py.futures import MPICommExecutor
import mmpi, mmpi.MPI, mmpi.util.pkl5
assert MPI is mmpi.MPI and mpi4py.MPI is MPI and mpi4py.rc is mmpi.rc and mpi4py.util.pkl5 is mmpi.util.pkl5
assert mpi4py.__name__ == "mpi4py" and mpi4py.__version__ == importlib.metadata.version("mpi4py") == "4.1.2"
assert mpi4py.get_include() == mmpi.get_include()
assert mpi4py.rc.errors == "fatal" and mpi4py.rc.recv_mprobe is False, mpi4py.rc
assert MPI.pickle.PROTOCOL == 4 and MPI.pickle.THRESHOLD == 100
child = "from mpi4py import rc; rc.initialize = False; from mpi4py import MPI; print(MPI.__name__)"
out = subprocess.run([sys.executable, "-c", child], env=mmpi.clean_env(), capture_output=True, text=True)
assert out.stdout == "mmpi.MPI\\n", out
print(MPI.COMM_WORLD.allreduce(1))
"""
RC = {"MPI4PY_RC_ERRORS": "fatal", "MPI4PY_RC_RECV_MPROBE": "no", "MPI4PY_PICKLE_PROTOCOL": "4", "MPI4PY_PICKLE_THRESHOLD": "100"}


def test_ranks_and_their_children():
    assert lines(job(2, ALIAS, env=RC, options=["--as-mpi4py"])) == ["2", "2"]


def test_one_program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(ALIAS)
    assert lines(run(sys.executable, "-m", "mmpi.compat", str(path), env=RC)) == ["1"]
    again = run(sys.executable, "-m", "mmpi.compat", "-m", "mpi4py.run", "-rc", "threads=False", "-c", "import sys; print(sys.argv)", "x")
    assert lines(again) == ["['-c', 'x']"]


def test_variables_that_the_program_sets():
    code = """
    import os
    import mpi4py, sys
    del mpi4py.rc, sys.modules["mpi4py.rc"]
    os.environ.update(MPI4PY_RC_INITIALIZE="false", MPI4PY_RC_THREAD_LEVEL="single", MPI4PY_PICKLE_THRESHOLD="1024")
    from mpi4py import MPI
    print(MPI.Is_initialized(), mpi4py.rc.initialize, mpi4py.rc.thread_level, MPI.pickle.THRESHOLD)
    """
    assert lines(job(1, code, options=["--as-mpi4py"])) == ["False False single 1024"]


def test_options_in_other_words():
    """What mpi4py takes for true, false or nothing it understands; the latter it says when MPI is loaded, and goes on."""
    code = """
    import numpy as np
    from mpi4py import rc
    rc(initialize="no", threads=0)
    rc.finalize, rc.recv_mprobe = np.False_, 1
    assert (rc.initialize, rc.threads, rc.finalize, rc.recv_mprobe) == (False, False, False, True)
    rc.thread_level = rc.irecv_bufsz = -1
    for wrong in dict(threaded=True), dict(initialise=True):
        for way in (lambda: rc(**wrong)), (lambda: [setattr(rc, *item) for item in wrong.items()]):
            try: way()
            except TypeError: pass
            else: raise AssertionError
    import warnings
    with warnings.catch_warnings(record=True) as told:
        from mpi4py import MPI
    print(MPI.Is_initialized(), rc.thread_level, sorted(str(warning.message) for warning in told))
    """
    wrong = {"errors": "x", "irecv_bufsz": -1, "thread_level": -1}
    texts = [f"mpi4py.rc.{name}: unexpected value {value!r}" for name, value in wrong.items()]
    assert lines(job(1, code, env={"MPI4PY_RC_ERRORS": "x"}, options=["--as-mpi4py"])) == [f"False multiple {texts}"]


def test_whole_numbers():
    """Ranks, tags, colors and counts may be computed: what is a whole number is one, as in mpi4py; what is not is refused."""
    code = """
    import fractions, sys
    import numpy as np
    from mpi4py import MPI
    world = MPI.COMM_WORLD
    other = (world.rank + world.size / 2) % world.size
    assert world.sendrecv(world.rank, other, np.float32(7), None, other, 7.0) == other
    box = np.zeros(1)
    world.Sendrecv([np.full(1, world.rank + 1.0), np.float64(1), MPI.DOUBLE], other, 0, box, other)
    assert box == other + 1
    half = world.Split(np.True_ if world.rank else np.False_, fractions.Fraction(1))
    assert half.size == 1
    half.Free()
    vector = MPI.INT.Create_vector(4 / 2, 1.0, 3.0)
    assert (vector.size, MPI.Compute_dims(4.0, 2)) == (8, [2, 2])
    vector.Free()
    odd = type("Odd", (), {"__int__": lambda self: 0})()
    for wrong in 0.5, float("nan"), float("inf"), fractions.Fraction(1, 2), "0", None, np.array([0.5, 0]), np.array(0.0), odd:
        try: world.bcast(1, wrong)
        except (TypeError, ValueError, OverflowError) as error: assert "root: " in str(error), error
        else: raise AssertionError(wrong)
    child = "from mpi4py import MPI; MPI.Comm.Get_parent().barrier()"
    if world.rank == 0:
        MPI.COMM_SELF.Spawn(sys.executable, ["-c", child], maxprocs=2 / 2).barrier()
    world.barrier()
    print("well")
    """
    assert lines(job(2, code, options=["--as-mpi4py"])) == ["well"] * 2


@pytest.mark.slow
def test_started_processes_and_pools(tmp_path):
    child = tmp_path / "child.py"
    child.write_text("from mpi4py import MPI\nMPI.Comm.Get_parent().send(MPI.__name__, 0)\n")
    pool = tmp_path / "pool.py"
    pool.write_text(
        textwrap.dedent(f"""
        import sys
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor
        def name():
            from mpi4py import MPI
            return MPI.__name__
        if __name__ == "__main__":
            print(MPI.COMM_SELF.Spawn(sys.executable, [{str(child)!r}]).recv())
            with MPIPoolExecutor(1) as executor:
                print(executor.submit(name).result())
        """)
    )
    assert lines(run(sys.executable, "-m", "mmpi.compat", str(pool))) == ["mmpi.MPI", "mmpi.MPI"]


def test_what_the_page_promises_besides():
    """docs/mpi4py.md: futures by -m, variables of pickle, objects of any size by irecv, an error that ends the job by itself."""
    pool = "from mpi4py.futures import MPIPoolExecutor; print(list(MPIPoolExecutor().map(abs, [-1, -2])))"
    assert lines(run(sys.executable, "-m", "mmpi", "run", "--as-mpi4py", "-n", "2", "-m", "mpi4py.futures", "-c", pool)) == ["[1, 2]"]
    code = """
    from mpi4py import MPI
    comm = MPI.COMM_WORLD
    if comm.rank:
        comm.send(bytes(10**7), 0)
        raise KeyError("nobody catches it")
    print(len(comm.irecv().wait()), MPI.pickle.PROTOCOL)
    comm.recv()
    """
    failed = job(2, code, env={"MPI4PY_PICKLE_PROTOCOL": "3"}, options=["--as-mpi4py"])
    assert failed.returncode == 1 and failed.stdout == "10000000 3\n"
    assert "rank 1" in failed.stderr and "KeyError: 'nobody catches it'" in failed.stderr


def test_whose_variables_go_before():
    code = "import mpi4py; print(mpi4py.rc.errors, mpi4py.rc.thread_level)"
    env = {"MPI4PY_RC_ERRORS": "fatal", "MMPI_RC_ERRORS": "abort", "MPI4PY_RC_THREAD_LEVEL": "funneled"}
    assert lines(job(1, code, env=env, options=["--as-mpi4py"])) == ["abort funneled"]


def test_options_of_executors():
    """Those of mpi4py's are taken, and its variables read."""
    code = """
    from mpi4py.futures import MPIPoolExecutor
    with MPIPoolExecutor(use_pkl5=True, backoff=0.1) as executor:
        print(executor.num_workers, executor.submit(sum, (1, 2)).result())
    """
    assert lines(run(sys.executable, "-m", "mmpi.compat", "-c", textwrap.dedent(code), env={"MPI4PY_FUTURES_MAX_WORKERS": "2"})) == ["2 3"]


def test_plugins_of_others_for_pytest(tmp_path):
    """Without ours, all ranks run all tests, as they would under plain mpiexec; and pytest finds nothing to warn of."""
    (tmp_path / "test_sum.py").write_text("from mpi4py import MPI\ndef test_sum():\n    assert MPI.COMM_WORLD.allreduce(1) == 2\n")
    words = ["-m", "mmpi", "run", "--as-mpi4py", "-n", "2", "-m", "pytest", "-p", "no:mmpi", "-W", "error", "-q", str(tmp_path)]
    assert sum("1 passed" in line for line in lines(run(sys.executable, *words))) == 2


def test_nowhere_else():
    """The real mpi4py is what it is, and the alias does not come between a program and one that it has imported."""
    need("mpi4py")
    code = """
    import mmpi
    import mpi4py
    assert "mmpi" not in mpi4py.__file__
    import mmpi.compat
    try:
        mmpi.compat.install()
    except ImportError as error:
        print(error)
    assert not mmpi.compat.installed()
    """
    assert lines(serial(code)) == ["mmpi.compat.install(): the real mpi4py has been imported already"]


def test_a_sitecustomize_of_others_still_runs(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.seen = 1\n")
    code = "import mpi4py, sys; print(seen, mpi4py.__version__, any(path.endswith('startup') for path in sys.path))"
    result = job(1, code, env={"PYTHONPATH": str(tmp_path)}, options=["--as-mpi4py"])
    assert lines(result) == ["1 4.1.2 False"]


def test_the_words_of_the_command_line():
    def told(*words, before=("mmpi.run",)):
        words = [sys.executable, "-m", *before, *words]
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
        return done.returncode, done.stdout, done.stderr

    as_mpi4py = ("mmpi.compat", "-m", "mpi4py")
    assert told("--version") == (0, f"mmpi {mmpi.__version__}\n", "")
    assert told("--version", before=as_mpi4py) == (0, "mpi4py 4.1.2\n", "")
    assert told("--prefix", before=as_mpi4py) == told("-c", "import mpi4py; print(*mpi4py.__path__)", before=("mmpi.compat",))
    assert told("--mpi-std-version")[1].startswith("MPI ")
    wrong = {(): "no program", ("-m",): "-m needs a module", ("--colour",): "unknown option", ("-rc", "x=1", "f.py"): "no option 'x'"}
    for words, text in wrong.items():
        status, _, error = told(*words)
        assert status == 2 and text in error, error
