# SPDX-License-Identifier: BSD-3-Clause
"""How many cores this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores this process may use: its affinity, cut down by the CPU quota of its cgroups."""
    return _within_quota(len(os.sched_getaffinity(0)))


def job_cores() -> int:
    """The cores that the ranks on this host share: a launcher may pin each to a part of those that it has itself."""
    cores = os.sched_getaffinity(0)
    try:
        cores |= os.sched_getaffinity(os.getppid())
    except OSError:  # the parent may be gone, or hidden
        pass
    return _within_quota(len(cores))


def _within_quota(cores: int) -> int:
    quota = cpu_quota()
    return max(1, min(cores, int(-(-quota // 1)))) if quota else cores


def cpu_quota(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> float | None:
    """The smallest CPU quota, in cores, of the cgroups (version 1 or 2) that this process is in."""
    try:
        lines = _text(own).splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            top = root if controllers == "" else f"{root}/{controllers}"
            # Inside a container the path is often that of the host, while its own group is mounted at the top.
            for folder in {top, *(os.path.join(top, path.lstrip("/"), up) for up in ups(path))}:
                quotas.append(quota_of(folder))
    return min((quota for quota in quotas if quota), default=None)


def ups(path: str) -> list[str]:
    """'' and one more '..' for each level of a path: the group itself and all groups above it."""
    return ["/".join([".."] * level) for level in range(path.strip("/").count("/") + 1)]


def quota_of(folder: str) -> float | None:
    """The CPU quota of one cgroup folder, in cores."""
    try:
        if os.path.exists(f"{folder}/cpu.max"):
            most, period = _text(f"{folder}/cpu.max").split()
        else:
            most, period = (_text(f"{folder}/cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    except (OSError, ValueError):
        return None
    return None if most in ("max", "-1") else int(most) / int(period)


def _text(path: str) -> str:
    with open(path) as file:
        return file.read()
