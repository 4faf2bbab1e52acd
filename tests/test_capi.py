# SPDX-License-Identifier: BSD-3-Clause
"""Compiled extensions give handles and take them: by mmpi.h, by mpi4py's header, by the table where those compiled against mpi4py look."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import mmpi
from jobs import job, lines, serial
from requirements import need

SOURCE = """
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <{header}>

static PyObject *twin(PyObject *module, PyObject *object)       /* a duplicate made in C */
{{
    MPI_Comm *comm = {prefix}Comm_Get(object), made;
    (void)module;
    if (!comm || MPI_Comm_dup(*comm, &made)) return NULL;
    return {prefix}Comm_New(made);
}}

static PyObject *probe(PyObject *module, PyObject *object)      /* a status filled in C */
{{
    MPI_Status status, *from;
    (void)module;
    status.MPI_SOURCE = 3; status.MPI_TAG = 4; status.MPI_ERROR = 0;
    from = {prefix}Status_Get(object);
    if (!from) return NULL;
    from->MPI_TAG = 7;
    return {prefix}Status_New(&status);
}}

static PyObject *extent(PyObject *module, PyObject *object)
{{
    MPI_Datatype *type = {prefix}Datatype_Get(object);
    int size;
    (void)module;
    return type && !MPI_Type_size(*type, &size) ? PyLong_FromLong(size) : NULL;
}}

static PyMethodDef methods[] = {{
    {{"twin", twin, METH_O, NULL}}, {{"probe", probe, METH_O, NULL}}, {{"extent", extent, METH_O, NULL}}, {{NULL, NULL, 0, NULL}}}};
static struct PyModuleDef definition = {{PyModuleDef_HEAD_INIT, "ext", NULL, -1, methods, NULL, NULL, NULL, NULL}};
PyMODINIT_FUNC PyInit_ext(void) {{ return {start}() < 0 ? NULL : PyModule_Create(&definition); }}
"""
USE = """
from mmpi import MPI
import ext
world = MPI.COMM_WORLD
twin = ext.twin(world)
assert type(twin) is MPI.Intracomm and twin != world and twin.allreduce(1) == world.size
twin.Free()
status = MPI.Status()
made = ext.probe(status)
assert (made.source, made.tag, status.tag) == (3, 4, 7)
assert ext.extent(MPI.DOUBLE) == 8
for wrong in (1, MPI.INT):
    try: ext.twin(wrong)
    except TypeError as error: assert "expected a <class 'mmpi.MPI.Comm'>" in str(error), error
    else: raise AssertionError
print("well")
"""


def compile_extension(folder, header, prefix, start):
    mpicc = need("mpicc") if not (Path(sys.prefix) / "bin/mpicc").exists() else Path(sys.prefix) / "bin/mpicc"
    (folder / "ext.c").write_text(SOURCE.format(header=header, prefix=prefix, start=start))
    words = [str(mpicc), "-shared", "-fPIC", "-std=c99", "-pedantic", "-Wall", "-Werror", f"-I{sysconfig.get_path('include')}"]
    words += [f"-I{mmpi.get_include()}", str(folder / "ext.c"), "-o", str(folder / "ext.abi3.so")]
    subprocess.run(words, check=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("mmpi.h", "mmpi_", "import_mmpi"), ("mpi4py/mpi4py.h", "PyMPI", "import_mpi4py")], ids=["mmpi", "mpi4py"])
def test_an_extension_in_c(tmp_path, names):
    compile_extension(tmp_path, *names)
    assert lines(job(2, USE, env={"PYTHONPATH": str(tmp_path)})) == ["well", "well"]


@pytest.mark.slow
@pytest.mark.parametrize("header", ["mmpi.h", "mpi4py/mpi4py.h", "mpi4py/pycapi.h"])
@pytest.mark.parametrize("compiler", ["mpicc.mpich", "mpicc.openmpi", "mpicxx.mpich"])
def test_headers_alone(tmp_path, compiler, header):
    """For C++ as well, and with Open MPI 4.1, whose mpi.h knows no sessions."""
    source = tmp_path / ("ext.cpp" if "cxx" in compiler else "ext.c")
    source.write_text(f"#include <Python.h>\n#include <{header}>\nint start(void) {{ return import_mmpi(); }}\n")
    words = [need(compiler), "-fsyntax-only", "-Wall", f"-I{sysconfig.get_path('include')}", f"-I{mmpi.get_include()}", source]
    subprocess.run(words, check=True, timeout=60)


def test_the_table_of_mpi4py():
    """By its names and signatures, called through ctypes as an extension would."""
    code = """
    import ctypes
    from mmpi import MPI
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    names = "Datatype Status Request Message Op Group Info Errhandler Session Comm Win File".split()
    table = MPI.__pyx_capi__
    more = ["PyMPIPrequest_New", "PyMPIGrequest_New"]
    assert sorted(table) == sorted([f"PyMPI{name}_{way}" for name in names for way in ("New", "Get")] + more)
    for name in names:
        star = " *" if name == "Status" else ""
        new = pointer(table[f"PyMPI{name}_New"], f"PyObject *(MPI_{name}{star})".encode())
        get = pointer(table[f"PyMPI{name}_Get"], f"MPI_{name} *(PyObject *)".encode())
        assert new and get
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(pointer(table["PyMPIComm_Get"], b"MPI_Comm *(PyObject *)"))
    assert get(MPI.COMM_WORLD) == MPI._addressof(MPI.COMM_WORLD)
    print("well")
    """
    assert lines(serial(code)) == ["well"]
