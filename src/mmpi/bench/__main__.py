# SPDX-License-Identifier: BSD-3-Clause
"""python -m mmpi.bench [options]: all benchmarks; the options are those of mmpi.bench.overhead."""

import sys

from mmpi.bench.overhead import main

sys.exit(main())
