# SPDX-License-Identifier: BSD-3-Clause
"""Python objects that differ by a key, for collectives between groups and of neighbors: small ones, and two that are sent in pieces."""

import numpy as np

THINGS = {
    "None": lambda key: None,
    "int": lambda key: key - 2,
    "text": lambda key: f"räng {key}",
    "dict": lambda key: {"key": [key, (1.5,)]},
    "300 KiB": lambda key: np.arange(40000.0) + key,
    "pickle": lambda key: [(key, str(i)) for i in range(2000)],
}
