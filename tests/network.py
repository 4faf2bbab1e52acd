# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts for tests, made of namespaces: each with a network, name, /dev/shm and processes of its own, and a cable between.

On demand each has a clock of its own, too: CLOCK_MONOTONIC and CLOCK_BOOTTIME are so many seconds ahead of the machine's.

`agent` is the command line of a program that is called as ssh is. As with ssh, what it started on a host runs on when it is
killed, and finds an environment with next to nothing in it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jobs

NAMES = ("n1", "n2")
SETUP = """\
set -e
hostname {name}
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount --bind {folder}/hosts /etc/hosts
ip link set lo up
echo up
while sleep 0.5; do :; done
"""
AGENT = """\
import socket, sys
with socket.socket(socket.AF_UNIX) as door:
    door.connect({door!r})
    socket.send_fds(door, ["\\0".join((sys.argv[1], " ".join(sys.argv[2:]))).encode()], [0, 1, 2])
    sys.exit(int(door.recv(16) or 255))
"""


class Network:
    """The two hosts, while they are there."""

    def __init__(self, folder: Path, ahead: Sequence[int] = (0, 0)) -> None:
        self.folder = folder
        self.ahead = dict(zip(NAMES, ahead, strict=True))
        (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"10.77.0.{i} {name}\n" for i, name in enumerate(NAMES, 1)))
        (folder / "agent.py").write_text(AGENT.format(door=str(folder / "door")))
        self.agent = f"{sys.executable} {folder}/agent.py"
        self.boxes = [self._box(name) for name in NAMES]
        self.pids = {name: self._inside(box) for name, box in zip(NAMES, self.boxes, strict=True)}
        first, second = self.pids.values()
        self._ip(first, "link add eth0 type veth peer name eth0 netns", str(second))
        for i, pid in enumerate(self.pids.values(), 1):
            self._ip(pid, f"address add 10.77.0.{i}/24 dev eth0")
            self._ip(pid, "link set eth0 up")
        while any(" UP " not in self.output(name, "ip -br link show eth0") for name in NAMES):
            time.sleep(0.01)
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(folder / "door"))
        self._door.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def _box(self, name: str) -> subprocess.Popen[str]:
        words = ["unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if self.ahead[name]:
            words += ["--time", f"--monotonic={self.ahead[name]}", f"--boottime={self.ahead[name]}"]
        script = SETUP.format(name=name, folder=self.folder)
        return subprocess.Popen([*words, "/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True)

    def _inside(self, box: subprocess.Popen[str]) -> int:
        assert box.stdout
        assert box.stdout.readline() == "up\n"
        return int(Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text())

    def _ip(self, pid: int, command: str, *more: str) -> None:
        subprocess.run(["nsenter", "-t", str(pid), "--net", "ip", *command.split(), *more], check=True)

    def enter(self, name: str) -> list[str]:
        """What stands before a command that runs on a host, in the current folder."""
        inside = ["nsenter", "-t", str(self.pids[name]), "--net", "--uts", "--ipc", "--mount", "--pid"]
        inside += ["--time"] if self.ahead[name] else []
        return [*inside, "/bin/sh", "-c", 'cd "$0" && exec "$@"', os.getcwd()]

    def output(self, name: str, command: str) -> str:
        """What a command says on a host."""
        return subprocess.run([*self.enter(name), "/bin/sh", "-c", command], capture_output=True, text=True, check=False).stdout

    def start(self, *words: str, name: str = "n1", **more: Any) -> subprocess.Popen[str]:
        """`mmpi run` on a host."""
        argv = [*self.enter(name), sys.executable, "-m", "mmpi", "run", "--agent", self.agent, *words]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    def run(self, *words: str, name: str = "n1", stdin: str = "", env: dict[str, str] | None = None) -> tuple[int, str, str]:
        """The same, until its end: status, output, errors."""
        process = self.start(*words, name=name, stdin=subprocess.PIPE, env=os.environ | (env or {}))
        try:
            out, err = process.communicate(stdin, timeout=jobs.LIMIT)
        except subprocess.TimeoutExpired:
            self.output(name, "kill $(pgrep -of 'mmpi run')")
            out, err = process.communicate(timeout=30)
            raise AssertionError(f"no end after {jobs.LIMIT} s\n{out}\n{err}") from None
        return process.returncode, out, err

    def leftovers(self) -> dict[str, str]:
        """Processes of jobs and files in shared memory that stay on a host; empty if nothing does so for some seconds."""
        deadline = time.monotonic() + 5
        while any((left := {name: self._left_on(name) for name in NAMES}).values()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return {name: found for name, found in left.items() if found}

    def _left_on(self, name: str) -> str:
        marked = "grep -lsz '^MMPI_JOB=' /proc/[0-9]*/environ"
        others = "ps -eo args | grep -E 'hydra_pmi_proxy|prted|mmpi.launch|mmpi run' | grep -v grep"
        return self.output(name, f"{marked}; {others}; ls -A /dev/shm")

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._start, args=(self._door.accept()[0],), daemon=True).start()

    def _start(self, connection: socket.socket) -> None:
        data, fds, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        host, command = data.decode().split("\0")
        if host in self.pids:
            words = [*self.enter(host), "/bin/sh", "-c", command]
            process = subprocess.Popen(words, stdin=fds[0], stdout=fds[1], stderr=fds[2], env={"PATH": "/usr/bin:/bin", "HOME": "/"}, cwd="/")
        else:
            process = subprocess.Popen(["/bin/sh", "-c", "echo no such host >&2; exit 255"], stderr=fds[2])
        for fd in fds:
            os.close(fd)
        with contextlib.suppress(OSError), connection:
            connection.send(str(process.wait() & 0xFF).encode())

    def close(self) -> None:
        """Pull the plug."""
        self._door.close()
        for box in self.boxes:
            box.kill()
            box.wait()
            assert box.stdout
            box.stdout.close()


@contextlib.contextmanager
def network(folder: Path, ahead: Sequence[int] = (0, 0)) -> Iterator[Network]:
    """Two hosts, with clocks that are so many seconds ahead."""
    net = Network(folder, ahead)
    try:
        yield net
    finally:
        net.close()


def main(words: Sequence[str]) -> int:
    """`python network.py COMMAND`: run a command on the first host; {agent} in it is the agent."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, network(Path(folder)) as net:
        return subprocess.run([*net.enter("n1"), *(word.replace("{agent}", net.agent) for word in words)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
