# SPDX-License-Identifier: BSD-3-Clause
"""The parallel console: one prompt, and every rank runs each statement.

    mmpi console -n 4            editing, completion and history; Ctrl-C interrupts all ranks
    mpirun -n 4 mmpi-console     a plain prompt of rank 0, under any launcher
    %load_ext mmpi               in IPython: %%mmpi -n 4 runs a cell on ranks that stay alive
"""
