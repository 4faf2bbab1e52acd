# No module of Python: loaded into programs in C and Fortran whose calls are recorded (docs/tracing.md).
