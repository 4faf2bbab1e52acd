# SPDX-License-Identifier: BSD-3-Clause
"""python -m mmpi.bench [options]: all benchmarks; the options are those of mmpi.bench.overhead."""

import sys

from mmpi.bench.overhead import main

if __name__ == "__main__":
    sys.exit(main())
