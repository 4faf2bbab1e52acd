# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of all tests."""

import zlib

import pytest


@pytest.fixture
def tag(request):
    """A tag of the test's own, the same on all ranks: what a failed test left behind is never received by another."""
    return zlib.crc32(request.node.nodeid.split("::", 1)[-1].encode()) % 30000 + 1
