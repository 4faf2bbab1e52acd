# SPDX-License-Identifier: BSD-3-Clause
"""Jobs on several hosts: two made of namespaces, with a network, name, /dev/shm and processes of their own."""

import os
import re
import subprocess
import sys
import time

import pytest

import jobs
import network
import requirements
from mmpi.launch import LaunchError, hosts


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """Two hosts, n1 and n2."""
    requirements.need("netns")
    with network.network(tmp_path_factory.mktemp("net")) as net:
        yield net


@pytest.fixture(autouse=True)
def _clean(request):
    """Nothing of a job stays on either host."""
    yield
    if "net" in request.fixturenames:
        assert not request.getfixturevalue("net").leftovers()


HELLO = """
import os, mmpi
rank, size = mmpi.init()
import numpy as np
array = np.arange(300_000) * rank
peer = (rank + size // 2) % size
got = mmpi.alltoall([array] * size)[peer]
assert (got == np.arange(300_000) * peer).all()
print(rank, size, os.uname().nodename, mmpi.allgather({"rank": rank})[-1]["rank"], os.environ.get("GREETING"))
"""


def test_hello_and_objects_across_hosts(net):
    status, out, err = net.run("--hosts", "n1:2,n2:2", "--tag", "-c", HELLO, env={"GREETING": "a 'b' \"c\"\n d"})
    assert status == 0, err
    greeting = "a 'b' \"c\"\n[{}]  d"
    assert sorted(out.splitlines()) == sorted("\n".join(f"[{r}] {r} 4 n{1 + r // 2} 3 {greeting.format(r)}" for r in range(4)).splitlines()), (
        "two ranks on each host, every variable as it was"
    )


@pytest.mark.parametrize("spelling", ["n1:1\nn2:2\n", "# ours\nn1 slots=1\n\nn2 slots = 2  max_slots=4\n", "n1\nn2\nn2\n"])
def test_hostfile(net, tmp_path, spelling):
    (tmp_path / "hosts").write_text(spelling)
    code = "import mmpi, os; rank, size = mmpi.init(); print(size, os.uname().nodename)"
    status, out, err = net.run("--hostfile", str(tmp_path / "hosts"), "-c", code)
    assert (status, sorted(out.split())) == (0, sorted(["3", "n1", "3", "n2", "3", "n2"])), err


def test_rank_0_on_another_host_reads_our_input(net):
    code = "import mmpi, sys; rank, size = mmpi.init(); print(rank, repr(sys.stdin.read()))"
    status, out, err = net.run("--hosts", "n2:2", "-c", code, stdin="line\n" * 10_000)
    assert (status, sorted(out.splitlines())) == (0, ["0 " + repr("line\n" * 10_000), "1 ''"]), err


def test_a_program_from_standard_input_and_executables(net):
    status, out, err = net.run("--hosts", "n1,n2", "-", stdin="import os, mmpi; mmpi.init(); print(os.uname().nodename)")
    assert (status, sorted(out.split())) == (0, ["n1", "n2"]), err
    status, out, err = net.run("--hosts", "n1,n2", "--tag", "sh", "-c", "echo $(hostname) is here")
    assert (status, sorted(out.splitlines())) == (0, ["[0] n1 is here", "[1] n2 is here"]), err


def test_how_ranks_wait_is_decided_by_host(net):
    code = "import mmpi, os; from mmpi import waiting; mmpi.init(); print(waiting.local_size(4))"
    status, out, err = net.run("--hosts", "n1:1,n2:3", "-c", code)
    assert (status, sorted(out.split())) == (0, ["1", "3", "3", "3"]), err


ENDS = """
import os, signal, sys, mmpi
rank, size = mmpi.init()
mmpi.barrier()
if rank == {victim}:
    {end}
mmpi.recv(source=(rank + 1) % size)
"""


KILL = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("end", "victim", "expected"),
    [(KILL, 0, 137), (KILL, 3, 137), ("sys.exit(7)", 3, 7), ("raise ValueError('broken')", 1, 1)],
    ids=["killed here", "killed there", "exits", "raises"],
)
def test_a_rank_that_fails_on_any_host_ends_the_job(net, victim, end, expected):
    status, _, err = net.run("--hosts", "n1:2,n2:2", "-c", ENDS.format(victim=victim, end=end))
    assert status == expected, err
    assert re.search(rf"mmpi run: .*\b{victim}\b", err), err


def test_a_time_limit_and_ctrl_c_reach_every_host(net):
    code = "import mmpi, time; rank, size = mmpi.init()\ntry: mmpi.barrier(); print('in'); time.sleep(60)\nfinally: print('out', rank)"
    status, out, err = net.run("--hosts", "n1:1,n2:2", "--timeout", "10", "--grace", "10", "-c", code)
    assert status == 124, err
    assert sorted(line for line in out.splitlines() if line.startswith("out")) == ["out 0", "out 1", "out 2"], err


def test_a_hang_report_tells_of_ranks_on_every_host(net):
    code = "import mmpi\nrank, size = mmpi.init()\nif rank != 2: mmpi.barrier()\nelse: mmpi.recv(source=0, tag=5)"
    status, _, err = net.run("--hosts", "n1:2,n2:2", "--hang-timeout", "3", "-c", code)
    assert status == 124, err
    assert "mmpi run: hang: " in err
    assert "ranks 0-1, 3" in err or "ranks 0, 1, 3" in err, err
    assert "rank 2" in err, err
    assert "no rank has completed a call of MPI for 3 s" in err


@pytest.mark.parametrize("where", ["n1:2,n2:2", "n2:4"])
def test_hang_from_outside_tells_of_ranks_on_every_host(net, where):
    code = "import mmpi\nrank, size = mmpi.init()\nmmpi.barrier()\nprint('in', flush=True)\n"
    code += "if rank != 2: mmpi.barrier()\nelse: mmpi.recv(source=0)"
    with net.start("--hosts", where, "-c", code, stdin=subprocess.DEVNULL) as process:
        try:
            assert [process.stdout.readline() for _ in range(4)] == ["in\n"] * 4
            ask = f"{sys.executable} -m mmpi"
            deadline = time.monotonic() + jobs.LIMIT
            while "waits for rank 0" not in (said := net.output("n1", f"{ask} hang")) and time.monotonic() < deadline:
                time.sleep(0.1)
            listed = net.output("n1", f"{ask} ps")
        finally:
            net.output("n1", "kill $(pgrep -of 'mmpi run')")
            process.communicate(timeout=jobs.LIMIT)
    assert "ranks 0, 1, 3: in Barrier" in said and "rank 2: in recv(source=0, tag=ANY_TAG)" in said, said
    assert listed.splitlines()[1].split()[1:4] == (["2", "of", "4"] if where.startswith("n1") else ["0", "of", "?"])


def test_if_mmpi_run_is_killed_no_host_keeps_anything(net):
    process = net.start(
        "--hosts",
        "n1:1,n2:1",
        "-c",
        "import mmpi, time; mmpi.init(); print('in', flush=True); time.sleep(600)",
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout
    assert process.stdout.readline() == "in\n"
    inside = net.output("n1", "pgrep -of 'mmpi run'").strip()
    net.output("n1", f"kill -9 {inside}")
    process.communicate(timeout=20)


def test_a_host_that_cannot_be_reached_is_named_before_anything_starts(net):
    status, out, err = net.run("--hosts", "n1,n3", "sh", "-c", "echo started")
    assert (status, out) == (1, "")
    assert "host n3 cannot be reached: no such host" in err
    assert "this must work without a question: " in err


def test_lists_of_hosts(tmp_path):
    assert hosts.parse("a:2,b-1.example.org,10.0.0.1:3") == (("a", 2), ("b-1.example.org", 1), ("10.0.0.1", 3))
    for wrong in ("", "a:0", "a:x", "-oProxyCommand=x", "a b", ":2", "a;b"):
        with pytest.raises(LaunchError, match="is no host"):
            hosts.parse(wrong)
    with pytest.raises(LaunchError, match="No such file"):
        hosts.read(str(tmp_path / "none"))
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(LaunchError, match="no host stands in it"):
        hosts.read(str(tmp_path / "empty"))


def test_slurm_allocations(tmp_path, monkeypatch):
    (tmp_path / "scontrol").write_text("#!/bin/sh\nprintf 'c1\\nc2\\nc3\\n'\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert hosts.of_allocation({"SLURM_JOB_NODELIST": "c[1-3]", "SLURM_TASKS_PER_NODE": "4(x2),1"}) == (
        ("c1", 4),
        ("c2", 4),
        ("c3", 1),
    )
    assert hosts.of_allocation({}) == ()
    (tmp_path / "scontrol").write_text("#!/bin/sh\nhostname\n")
    assert hosts.of_allocation({"SLURM_JOB_NODELIST": "here", "SLURM_TASKS_PER_NODE": "2"}) == (), "this host alone needs no connection"


@pytest.mark.parametrize("agent", [None, "ssh -p 2222", "srun"])
def test_the_agent_is_called_like_ssh(tmp_path, monkeypatch, agent):
    for name in ("ssh", "srun"):
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s|" "$0" "$@"')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    script = hosts.agent_script(agent if agent != "srun" else None, "abc", {"SLURM_JOB_ID": "1"} if agent == "srun" else {})
    (tmp_path / "agent").write_text(script)
    said = [
        subprocess.run(["/bin/sh", tmp_path / "agent", *words], capture_output=True, text=True, check=True).stdout
        for words in (["-x", "n1", "a", "b"], ["--own", "n1", "a b"])
    ]
    program, *_, last = said[0].rstrip("|").split("|")
    assert program == str(tmp_path / ("srun" if agent == "srun" else "ssh"))
    assert last == "export MMPI_JOB=abc; a b"
    assert said[1].rstrip("|").rpartition("|")[2] == "a b", "our own connections are no processes of the job"
    assert "|n1|" in said[0] or "--nodelist=n1|" in said[0]


# A receive from anybody, posted when the message is there already, never ends in MPICH's own way (docs/running.md).
ANYBODY = """
import sys, time
import numpy as np
from mmpi import MPI

comm, status = MPI.COMM_WORLD, MPI.Status()
tag = MPI.ANY_TAG if sys.argv[1] == "any" else 7
others = comm.size - 1

def check(item, seen):
    assert item[0] == seen[status.source] and status.tag == 7 and status.Get_count(MPI.LONG) == 2, (item, status.source, status.tag)
    seen[status.source] += 1

if comm.rank == 0:
    time.sleep(0.2)
    seen, buffer = [0] * comm.size, np.zeros(2, int)
    for _ in range(50 * others):
        comm.Recv(buffer, MPI.ANY_SOURCE, tag, status)
        check(buffer, seen)
    buffers = [np.zeros(2, int) for _ in range(50 * others)]
    requests = [comm.Irecv(buffer, MPI.ANY_SOURCE, tag) for buffer in buffers]
    for request, buffer in zip(requests, buffers):
        request.Wait(status)
        check(buffer, seen)
    assert seen == [0] + [100] * others
    request = comm.Irecv(buffers[0], MPI.ANY_SOURCE, tag)
    request.Cancel()
    request.Wait(status)
    assert status.Is_cancelled()
    comm.Barrier()
    for receive in (comm.Recv, lambda *arguments: comm.Irecv(*arguments).Wait()):
        try:
            receive(np.zeros(1, int), MPI.ANY_SOURCE, tag)
        except MPI.Exception as error:
            assert error.Get_error_class() == MPI.ERR_TRUNCATE
        else:
            raise AssertionError("no error")
else:
    for i in range(100):
        comm.Send(np.array([i, 0]), 0, 7)
    comm.Barrier()
    if comm.rank == 1:
        comm.Send(np.zeros(2, int), 0, 7)
        comm.Send(np.zeros(2, int), 0, 7)

comm.Barrier()  # what follows is for no receive of before, from any tag
last, next = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
for i in range(50):
    buffer = np.zeros(2, int)
    comm.Sendrecv(np.array([comm.rank, i]), next, 8, buffer, MPI.ANY_SOURCE, 8, status)
    assert (list(buffer), status.source) == ([last, i], last)
    comm.Sendrecv_replace(buffer, next, 8, MPI.ANY_SOURCE, 8, status)
    assert (list(buffer), status.source) == ([(last - 1) % comm.size, i], last)
if comm.rank == 0:
    print("ok")
"""


@pytest.mark.parametrize("tag", ["7", "any"])
def test_messages_from_anybody_across_hosts(net, tag):
    status, out, err = net.run("--hosts", "n1:2,n2:2", "-c", ANYBODY, tag)
    assert (status, out) == (0, "ok\n"), err


@pytest.mark.parametrize("tag", ["7", "any"])
def test_messages_from_anybody_by_the_network(tag):
    """On one host, by MPICH's way for several; other libraries go their own."""
    done = jobs.run(sys.executable, "-m", "mmpi", "run", "-n", "3", "-c", ANYBODY, tag, env={"UCX_TLS": "tcp,self", "MPIR_CVAR_NOLOCAL": "1"})
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
