# SPDX-License-Identifier: BSD-3-Clause
"""Extensions in Cython, by SWIG and in Fortran, and parallel h5py: compiled against mmpi, or against mpi4py and run by `--as-mpi4py`."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import mmpi
from jobs import job, lines
from requirements import DEBIAN_LIB, need

pytestmark = pytest.mark.slow

OURS = """
# cython: language_level=3
from mmpi.capi cimport MPI_Comm, MPI_Status, import_mmpi, mmpi_Comm_Get, mmpi_Comm_New, mmpi_Status_New

cdef extern from "mpi.h":
    int MPI_Comm_dup(MPI_Comm, MPI_Comm *)

import_mmpi()

def twin(comm):
    cdef MPI_Comm made
    if MPI_Comm_dup(mmpi_Comm_Get(comm)[0], &made):
        raise RuntimeError
    return mmpi_Comm_New(made)

def status(int tag):
    cdef MPI_Status status
    status.MPI_SOURCE, status.MPI_TAG, status.MPI_ERROR = 0, tag, 0
    return mmpi_Status_New(&status)
"""
THEIRS = """
# cython: language_level=3
from mpi4py.MPI cimport Comm, Datatype, File, Info, Intracomm, Message, Op, Request, Status, Win
from mpi4py cimport libmpi

def twin(Intracomm comm not None):
    cdef Intracomm made = Intracomm()
    libmpi.MPI_Comm_dup(comm.ob_mpi, &made.ob_mpi)
    return made

def status(int tag):
    cdef Status status = Status()
    status.ob_mpi.MPI_TAG = tag
    return status

def start(Comm comm not None):
    cdef Request request = Request()
    libmpi.MPI_Isend(NULL, 0, libmpi.MPI_BYTE, libmpi.MPI_PROC_NULL, 0, comm.ob_mpi, &request.ob_mpi)
    return request
"""
USE = """
from {package} import MPI
import ext
world = MPI.COMM_WORLD
twin = ext.twin(world)
assert type(twin) is MPI.Intracomm and twin != world and twin.allreduce(1) == world.size
assert twin.sendrecv(twin.rank, (twin.rank + 1) % twin.size) == (twin.rank - 1) % twin.size
twin.Free()
assert ext.status(7).tag == 7
if hasattr(ext, "start"):
    ext.start(world).Wait()
for wrong in (1, MPI.INT):
    try: ext.twin(wrong)
    except TypeError: pass
    else: raise AssertionError
assert MPI.__name__ == "mmpi.MPI"
print("well")
"""
SWIG = """
%module ext
%header %{ #include <mpi.h> %}
%include "mpi4py/mpi4py.i"
%mpi4py_typemap(Comm, MPI_Comm);
%mpi4py_typemap(Datatype, MPI_Datatype);
%mpi4py_typemap(Status, MPI_Status);
%inline %{
MPI_Comm twin(MPI_Comm comm) { MPI_Comm made = MPI_COMM_NULL; if (comm != MPI_COMM_NULL) MPI_Comm_dup(comm, &made); return made; }
int part(MPI_Comm comm, int color, MPI_Comm *OUTPUT) { return MPI_Comm_split(comm, color, 0, OUTPUT); }
void away(MPI_Comm *comm) { MPI_Comm_free(comm); }
void retag(MPI_Status *status, int tag) { status->MPI_TAG = tag; }
int size(MPI_Datatype type) { int n = -1; MPI_Type_size(type, &n); return n; }
%}
"""
USE_SWIG = """
import ext
from mpi4py import MPI
world = MPI.COMM_WORLD
twin = ext.twin(world)
assert type(twin) is MPI.Intracomm and twin != world and twin.allreduce(1) == world.size
error, half = ext.part(world, world.rank)
assert error == 0 and half.size == 1
for comm in twin, half:
    ext.away(comm)
    assert comm == MPI.COMM_NULL
assert ext.twin(MPI.COMM_NULL) == MPI.COMM_NULL
status = MPI.Status()
ext.retag(status, 7)
assert status.tag == 7 and ext.size(MPI.DOUBLE) == 8
for wrong in (None, 1, MPI.INT):
    try: ext.twin(wrong)
    except TypeError: pass
    else: raise AssertionError
assert MPI.__name__ == "mmpi.MPI"
print("well")
"""
FORTRAN = """
subroutine total(comm, value, answer)
  use mpi
  implicit none
  integer, intent(in) :: comm
  double precision, intent(in) :: value
  double precision, intent(out) :: answer
  integer :: ierr
  call MPI_Allreduce(value, answer, 1, MPI_DOUBLE_PRECISION, MPI_SUM, comm, ierr)
end subroutine total
"""
USE_FORTRAN = """
from mmpi import MPI
import ext
world = MPI.COMM_WORLD
assert ext.total(world.py2f(), world.rank + 1.0) == sum(range(1, world.size + 1))
half = world.Split(world.rank)
assert ext.total(half.py2f(), 5.0) == 5.0
half.Free()
from mmpi import library
print(library.select().path)
"""
USE_H5PY = """
import sys
from mpi4py import MPI
import h5py, numpy as np
world = MPI.COMM_WORLD
assert h5py.get_config().mpi and MPI.__name__ == "mmpi.MPI"
with h5py.File(sys.argv[1], "w", driver="mpio", comm=world) as file:
    comm, info = file.id.get_access_plist().get_fapl_mpio()     # a communicator and an info that h5py makes
    assert comm.allreduce(1) == world.size and isinstance(info, MPI.Info), (comm, info)
    data = file.create_dataset("x", (world.size, 1000), "f8")
    with data.collective:
        data[world.rank] = world.rank
    file.atomic = True
world.Barrier()
with h5py.File(sys.argv[1], "r", driver="mpio", comm=world.Dup()) as file:
    assert (file["x"][:] == np.arange(world.size)[:, None]).all()
print("well")
"""


def call(*words, folder=None, **variables):
    """Run a command of a build, and show what it says when it fails."""
    words, variables = [str(word) for word in words], os.environ | variables
    done = subprocess.run(words, env=variables, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def mpicc():
    """The compiler beside the MPI of this environment, else the system's."""
    beside = Path(sys.prefix, "bin", "mpicc")
    return beside if beside.exists() else need("mpicc")


@pytest.mark.parametrize(("source", "package"), [(OURS, "mmpi"), (THEIRS, "mpi4py")], ids=["capi", "mpi4py"])
def test_cython(source, package, tmp_path):
    """The second finds nothing but mmpi when it runs, and writes handles right into our objects."""
    need("Cython")
    need(package)
    (tmp_path / "ext.pyx").write_text(source)
    call(sys.executable, "-m", "cython", tmp_path / "ext.pyx")
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{mmpi.get_include()}"]
    call(mpicc(), "-shared", "-fPIC", *includes, tmp_path / "ext.c", "-o", tmp_path / "ext.so")
    options = ["--as-mpi4py"] if package == "mpi4py" else []
    ended = job(2, USE.format(package=package), env={"PYTHONPATH": str(tmp_path)}, options=options)
    assert lines(ended) == ["well", "well"] and not ended.stderr


@pytest.mark.parametrize(("language", "options"), [("c", []), ("c++", ["-c++"])], ids=["c", "c++"])
def test_swig(language, options, tmp_path):
    """By the typemaps that mpi4py has under this name."""
    swig, _ = need("swig"), need({"c": "gcc", "c++": "g++"}[language])
    (tmp_path / "ext.i").write_text(SWIG)
    call(swig, "-Wall", "-python", *options, f"-I{mmpi.get_include()}", "-o", "wrapped.c", "ext.i", folder=tmp_path)
    words = ["-shared", "-fPIC", f"-I{sysconfig.get_path('include')}", f"-I{mmpi.get_include()}", "-x", language, "wrapped.c"]
    call(mpicc(), *words, "-x", "none", "-lstdc++", "-o", "_ext.so", folder=tmp_path)
    assert lines(job(2, USE_SWIG, env={"PYTHONPATH": str(tmp_path)}, options=["--as-mpi4py"])) == ["well", "well"]


@pytest.mark.parametrize(
    ("mpi", "name", "links"),
    [("mpich", "libmpich.so.12", ["mpichfort", "mpich"]), ("openmpi", "libmpi.so.40", ["mpi_mpifh"])],
    ids=["mpich", "openmpi"],
)
def test_fortran(mpi, name, links, tmp_path):
    """Through f2py, with Debian's MPI: the wheels have no Fortran."""
    library = need(f"debian-{mpi}") / DEBIAN_LIB / name
    compiler = need(f"mpifort.{mpi}")
    (tmp_path / "ext.f90").write_text(FORTRAN)
    words = [sys.executable, "-m", "numpy.f2py", "-c", "ext.f90", *(f"-l{link}" for link in links), "-m", "ext"]
    words += ["--backend", "meson", "--build-dir", "build"]
    variables = {"FC": str(compiler), "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    call(*words, folder=tmp_path, **variables)
    ended = job(2, USE_FORTRAN, env={"PYTHONPATH": str(tmp_path), "MMPI_LIBMPI": str(library)})
    assert lines(ended) == [str(library)] * 2


def test_h5py(tmp_path):
    """Built from source against Debian's parallel HDF5 and mpi4py's declarations; run by mmpi on Debian's MPICH, and on the wheel's
    under the name of Debian's: it has the same ABI."""
    library = need("debian-mpich") / DEBIAN_LIB / "libmpich.so.12"
    need("h5pcc.mpich")
    tools, built = tmp_path / "tools", tmp_path / "built"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--target"]
    call(*pip, tools, "cython", "pkgconfig", "setuptools")
    hdf5 = f"/usr/{DEBIAN_LIB}/hdf5/mpich"
    call(*pip, built, "--no-binary", "h5py", "--no-build-isolation", "h5py", PYTHONPATH=str(tools), CC="mpicc.mpich", HDF5_MPI="ON",
         HDF5_LIBDIR=hdf5, HDF5_INCLUDEDIR="/usr/include/hdf5/mpich", CFLAGS="-O0")
    shutil.rmtree(tools)
    (tmp_path / "program.py").write_text(USE_H5PY)
    alike = tmp_path / "libmpich.so.12"
    alike.symlink_to(need("mpich") / "lib/libmpi.so.12")
    for libmpi in library, alike:
        words = [sys.executable, "-m", "mmpi", "run", "-n", "2", "--as-mpi4py", str(tmp_path / "program.py"), str(tmp_path / "file.h5")]
        variables = {"PYTHONPATH": str(built), "MMPI_LIBMPI": str(libmpi.resolve()), "LD_LIBRARY_PATH": str(libmpi.parent)}
        done = subprocess.run(words, env=os.environ | variables, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "well\nwell\n", ""), libmpi
