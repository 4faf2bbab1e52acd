/* SPDX-License-Identifier: BSD-3-Clause
 *
 * For sources that include mpi4py's header for the limited API: ours needs no more than that. */
#ifndef MPI4PY_PYCAPI_H
#define MPI4PY_PYCAPI_H

#include "mpi4py.h"

#define import_mpi4py_MPI import_mmpi

#endif
