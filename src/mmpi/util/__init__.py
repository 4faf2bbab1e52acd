# SPDX-License-Identifier: BSD-3-Clause
"""What programs need beside MPI, under the names of mpi4py.util: dtlib, pkl5, pool, sync."""
