# A compiled core, for one family of MPI libraries: what mmpi.MPI makes public, and more.
from mmpi.MPI import *  # noqa: F403
