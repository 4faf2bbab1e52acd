"""A rank is stopped, by a signal or a debugger."""

# ranks: 3
import os
import signal

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
comm.Barrier()
if rank == 1:
    os.kill(os.getpid(), signal.SIGSTOP)
comm.Barrier()
