# No module of Python: loaded before an MPI library that spins while it waits (docs/running.md).
