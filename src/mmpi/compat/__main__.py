# SPDX-License-Identifier: BSD-3-Clause
"""`python -m mmpi.compat program.py`: run a program for which `import mpi4py` means mmpi."""

from __future__ import annotations

import sys

from mmpi import compat, run


def main() -> None:
    """Run FILE, -m MODULE, -c CODE or -, as Python would."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print("usage: python -m mmpi.compat FILE | -m MODULE | -c CODE | -  [arguments]\n\n" + (compat.__doc__ or ""), end="")
        return
    compat.install()
    run.run_command_line()


if __name__ == "__main__":
    main()
