# SPDX-License-Identifier: BSD-3-Clause
"""python -m mmpi.bench: the same as `mmpi bench`, or one of the small tests of mmpi.bench.small, by its name."""

import sys

from mmpi.bench import small
from mmpi.bench.command import main

if __name__ == "__main__":
    if small.is_command(sys.argv[1:]):
        small.main()
    else:
        sys.exit(main())
