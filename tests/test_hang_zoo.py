# SPDX-License-Identifier: BSD-3-Clause
"""The zoo of tests/zoo: classic ways to hang, each found in time, and the first three lines of its report."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mmpi import launch
from zoo import zoo

# What meets the two libraries at different points; the rest of the zoo is the same for both, and runs on the second one only
# where slow tests do.
OF_THE_LIBRARY = [
    "different_order",
    "different_roots",
    "ended",
    "endless_c_loop",
    "finalized",
    "iprobe_loop",
    "before_init",
    "send_send",
    "stopped",
    "thread_with_lock",
    "waitall_unmatched",
    "wrong_tag",
]


def chosen():
    first = launch.plans.locate().maker == "mpich"
    return [pytest.param(name, marks=[] if first or name in OF_THE_LIBRARY else pytest.mark.slow) for name in zoo.animals()]


@pytest.fixture(scope="module")
def caught(request):
    """The reports by name, several programs at a time."""
    names = {item.callspec.params["name"] for item in request.session.items if item.path == request.path and hasattr(item, "callspec")}
    with ThreadPoolExecutor(zoo.AT_ONCE) as pool:
        yield {name: pool.submit(zoo.catch, name) for name in sorted(names)}


@pytest.mark.parametrize("name", chosen())
def test_a_hang_is_explained_in_time(name, caught):
    found = caught[name].result()
    assert found.top == zoo.expected(name).read_text().splitlines(), found.text
    assert found.status == 124, found.text
    assert found.seconds <= zoo.TIMEOUT + 2, found.text


def test_the_zoo_is_large_enough_and_every_report_is_kept():
    assert len(zoo.animals()) >= 25
    assert all(zoo.expected(name).exists() for name in zoo.animals())
