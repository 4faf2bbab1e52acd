# SPDX-License-Identifier: BSD-3-Clause
"""The folder of a job: where each rank's flight record lies while it runs."""

from __future__ import annotations

import os
import time

from .evidence import stat_field

_PRIME = 4294967291  # the largest of 32 bits: whatever byte differs, the name does
STARTING = 10.0  # seconds that a rank may need from making the folder to its file there


def job_name() -> str:
    """Eight hexadecimal digits that all ranks of this job on this host agree on, without communication."""
    name = os.environ.get("MMPI_JOB")
    if name:
        return name
    step = os.environ.get("SLURM_STEP_ID") and f"{os.environ.get('SLURM_JOB_ID')}.{os.environ['SLURM_STEP_ID']}"
    what = os.environ.get("PMIX_NAMESPACE") or step
    return digits(what) if what else name_of_process(os.getppid())


def name_of_process(pid: int) -> str:
    """Eight hexadecimal digits for a process, which no later one of the same number has: by when it was started."""
    return digits(f"{os.uname().nodename} {pid} {stat_field(pid, 22) or ''}")


def digits(what: str) -> str:
    """Eight hexadecimal digits that stand for a text."""
    return f"{int.from_bytes(what.encode(), 'little') % _PRIME:08x}"


def folder() -> str:
    """The job's folder, made if need be; "" where none can be made, and the record stays private."""
    path = os.environ.get("MMPI_JOB_DIR") or f"/dev/shm/mmpi-{os.getuid()}-{job_name()}"
    try:
        os.mkdir(path, 0o700)
    except OSError:  # as a rule another rank was faster
        pass
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    return path if status.st_uid == os.getuid() and not status.st_mode & 0o077 else ""


def sweep() -> None:
    """Remove what ranks left behind that were killed: folders of this user in which no process of a file lives."""
    prefix = f"mmpi-{os.getuid()}-"
    try:
        for entry in os.scandir("/dev/shm"):
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
                _sweep_folder(entry.path)
    except OSError:
        pass


def _sweep_folder(path: str) -> None:
    try:
        names = os.listdir(path)
        if not names and time.time() - os.stat(path).st_mtime > STARTING:
            os.rmdir(path)
    except OSError:  # another rank sweeps, too
        return
    pids = {name.partition(".")[0] for name in names if name.endswith((".page", ".stack"))}
    if "run" in names or not pids:  # `mmpi run` looks after its own; one without files may be starting
        return
    if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
        import shutil  # seldom needed, and dear at every start

        shutil.rmtree(path, ignore_errors=True)
