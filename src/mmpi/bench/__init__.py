# SPDX-License-Identifier: BSD-3-Clause
"""Benchmarks, each a program: `python -m mmpi.bench.overhead`. All stand on `mmpi.bench.measure`."""
