/* SPDX-License-Identifier: BSD-3-Clause
 *
 * For SWIG: arguments and results that are MPI handles, as objects of mmpi.MPI.
 *
 *     %include "mpi4py/mpi4py.i"                   swig -I$(python -c 'import mmpi; print(mmpi.get_include())')
 *     %mpi4py_typemap(Comm, MPI_Comm);             before the functions; once for each type
 *
 * An argument MPI_Comm * is where the object keeps its handle; one that is called OUTPUT is a result. */
%header %{ #include <mpi4py/mpi4py.h> %}
%init %{ if (import_mpi4py() < 0) return NULL; %}

%define %mpi4py_typemap(Name, Type)
%typemap(in) Type * {
    $1 = PyMPI##Name##_Get($input);
    if (!$1) SWIG_fail;
}
%typemap(in) Type (Type *kept) {
    kept = PyMPI##Name##_Get($input);
    if (!kept) SWIG_fail;
    $1 = *kept;
}
%typemap(in, numinputs=0) Type *OUTPUT (Type made) { $1 = &made; }
%typemap(argout) Type *OUTPUT { %append_output(PyMPI##Name##_New(*$1)); }
%typemap(out) Type { $result = PyMPI##Name##_New($1); }
%typemap(typecheck, precedence=SWIG_TYPECHECK_POINTER) Type, Type * { $1 = PyObject_TypeCheck($input, &PyMPI##Name##_Type); }
%enddef
