# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi doctor` in set-ups that are broken, each in its way."""

import json
import os
import shlex
import subprocess
import sys

import pytest

import jobs
import network
import requirements
from mmpi import doctor
from mmpi.launch import LaunchError, plans

DOCTOR = (sys.executable, "-m", "mmpi", "doctor")


def findings(*words, env=None, before=()):
    """Status and findings by name, of `mmpi doctor --json`."""
    ended = jobs.run(*before, *DOCTOR, "--json", *words, env=env)
    assert ended.stdout.startswith("{"), ended.stderr
    found = json.loads(ended.stdout)
    assert found["ok"] == (ended.returncode == 0)
    return ended.returncode, {finding["what"]: finding for finding in found["findings"]}


def test_a_sound_set_up_is_ok():
    status, found = findings()
    assert status == 0, found
    assert {"Python", "package", "library", "launcher", "cores", "shared memory", "host", "user", "limits", "2 ranks"} <= set(found)
    assert found["2 ranks"]["seen"].startswith("run well with ")
    assert str(len(os.sched_getaffinity(0))) in found["cores"]["seen"] or "quota" in found["cores"]["seen"]


def test_every_mpi_here_is_tried():
    """Each with its own defaults: with those of the wheels, Debian's MPICH would hang."""
    found = json.loads(jobs.run(*DOCTOR, "--json").stdout)["findings"]
    assert not [finding for finding in found if finding["what"] in ("2 ranks", "also here") and "do not end" in finding["seen"]]


def test_text_ends_with_numbered_fixes():
    ended = jobs.run(*DOCTOR, env={"MMPI_LIBMPI": "/nowhere/libmpi.so"})
    assert ended.returncode == 1
    assert "BAD library" in ended.stdout
    assert ended.stdout.splitlines()[-2] == "To do:"
    assert ended.stdout.splitlines()[-1].startswith("1. library: MMPI_LIBMPI=/nowhere/libmpi.so asks for something that is not here: unset it")


def test_a_library_that_is_none(tmp_path):
    wrong = tmp_path / "libmpi.so.12"
    wrong.write_text("no library")
    status, found = findings(env={"MMPI_LIBMPI": str(wrong)})
    assert status == 1
    assert found["library"]["fatal"]
    assert "MMPI_LIBMPI" in found["library"]["fix"]


def test_no_launcher(monkeypatch):
    def find_none(*_):
        raise LaunchError("no mpiexec belongs to libmpi", hint="install it")

    monkeypatch.setattr(plans, "find_mpiexec", find_none)
    assert doctor.launcher(None) == doctor.Finding("launcher", "no mpiexec belongs to libmpi", "install it", True)


def test_another_mpiexec_comes_first(tmp_path):
    other = "orterun" if doctor.info.collect()["library"]["maker"] != "openmpi" else "mpiexec.hydra"
    (tmp_path / other).write_text("#!/bin/sh\n")
    (tmp_path / other).chmod(0o755)
    (tmp_path / "mpiexec").symlink_to(other)
    status, found = findings(env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert status == 0
    assert "is that of another MPI" in found["launcher"]["seen"]
    assert "mmpi run" in found["launcher"]["fix"]


def test_another_package_called_mmpi(tmp_path):
    folder = tmp_path / "mmpi-0.0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mmpi\nVersion: 0.0.1\n")
    status, found = findings(env={"PYTHONPATH": str(tmp_path)})
    assert status == 1
    assert "another package, mmpi 0.0.1" in found["package"]["seen"]
    assert "uninstall -y mmpi maroonmpi" in found["package"]["fix"]


def test_too_little_shared_memory():
    requirements.need("netns")
    inside = "mount -t tmpfs -o size=1m,mode=1777 tmpfs /dev/shm && exec " + shlex.join([*DOCTOR, "--json"])
    ended = subprocess.run(["unshare", "--mount", "/bin/sh", "-c", inside], capture_output=True, text=True, check=False, timeout=jobs.LIMIT)
    found = {finding["what"]: finding for finding in json.loads(ended.stdout)["findings"]}
    assert found["shared memory"]["seen"].endswith("of 1 MiB free")
    assert "--shm-size" in found["shared memory"]["fix"]
    assert doctor.memory("/nowhere").fix


def test_a_host_whose_name_nobody_knows():
    requirements.need("netns")
    inside = "hostname nobody-knows-this.invalid && exec " + shlex.join([*DOCTOR, "--json", "--timeout", "15"])
    ended = subprocess.run(["unshare", "--uts", "/bin/sh", "-c", inside], capture_output=True, text=True, check=False, timeout=2 * jobs.LIMIT)
    found = {finding["what"]: finding for finding in json.loads(ended.stdout)["findings"]}
    assert found["host"]["seen"] == "the name nobody-knows-this.invalid cannot be resolved"
    assert "/etc/hosts" in found["host"]["fix"]


def test_fewer_cores_by_affinity():
    if len(allowed := sorted(os.sched_getaffinity(0))) < 2:
        pytest.skip("needs two cores")
    _, found = findings(before=["taskset", "-c", str(allowed[0])])
    assert found["cores"]["seen"].startswith("1 usable core (")
    assert "affinity" in found["cores"]["seen"]


def test_few_open_files():
    _, found = findings(before=["/bin/sh", "-c", 'ulimit -n 100 && exec "$@"', "sh"])
    assert found["limits"]["fix"] == "ulimit -n 1024"


def test_limits_of_a_container(tmp_path, monkeypatch):
    (tmp_path / "pids.max").write_text("20\n")
    (tmp_path / "memory.max").write_text(f"{64 << 20}\n")
    assert doctor.group_limits(tmp_path) == {"processes": "20", "memory": "64 MiB of"}
    monkeypatch.setattr(doctor, "group_limits", lambda: {"processes": "20"})
    assert "pids-limit" in doctor.containers().fix
    monkeypatch.setattr(doctor, "cpu_quota", lambda: 0.5)
    assert "the container's CPU quota is 0.5" in doctor.cores().seen


def test_a_program_that_hangs_is_ended_and_told(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os, time\nif 'MMPI_JOB' in os.environ: time.sleep(600)\n")
    status, found = findings("--timeout", "3", env={"PYTHONPATH": str(tmp_path)})
    assert status == 1
    assert found["2 ranks"]["seen"].startswith("do not end within 3 s with ")
    assert "MMPI_LIBMPI=" in found["2 ranks"]["fix"]


def test_hosts(tmp_path):
    requirements.need("netns")
    with network.network(tmp_path) as net:
        words = [*net.enter("n1"), *DOCTOR, "--json", "--agent", net.agent]
        good, bad = (jobs.run(*words, "--hosts", names) for names in ("n1,n2", "n1,n3"))
    assert good.returncode == 0, good.stdout
    assert json.loads(good.stdout)["findings"][-1]["seen"] == "ranks on n1, n2 run well together"
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["findings"][-1]["seen"].startswith("host n3 cannot be reached")
