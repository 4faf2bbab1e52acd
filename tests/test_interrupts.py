# SPDX-License-Identifier: BSD-3-Clause
"""Signals while a rank waits: Python's handlers run, and what they interrupt is undone or goes on."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

import jobs
from jobs import LIMIT
from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1])
SELF = MPI.COMM_SELF


class Interrupted(Exception):
    """Raised by the signal handler."""


@contextlib.contextmanager
def alarm(action, seconds=0.1):
    """Call `action` from a signal handler in a while."""
    old = signal.signal(signal.SIGALRM, lambda *_: action())
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def interrupt():
    raise Interrupted


def test_receive_is_taken_back():
    buf = bytearray(4)
    with alarm(interrupt), pytest.raises(Interrupted):
        SELF.Recv(buf, 0, 1)
    buf += b"x"  # no view is left on it
    request = SELF.Isend(b"abcd", 0, 1)
    SELF.Recv(bytearray(4), 0, 1)  # the message goes to this one, not to the receive taken back
    request.Wait()


def test_handler_that_returns_changes_nothing():
    back = bytearray(3)
    with alarm(lambda: SELF.Send(b"abc", 0, 2)):
        SELF.Recv(back, 0, 2)
    assert back == b"abc"


@pytest.mark.parametrize("name", ["Probe", "Mprobe"])
def test_probe(name):
    with alarm(interrupt), pytest.raises(Interrupted):
        getattr(SELF, name)(0, 3)


def test_request_lives_on_after_an_interrupted_wait():
    back = bytearray(3)
    request = SELF.Irecv(back, 0, 4)
    with alarm(interrupt), pytest.raises(Interrupted):
        request.Wait()
    with alarm(interrupt), pytest.raises(Interrupted):
        MPI.Request.Waitall([request])
    SELF.Send(b"abc", 0, 4)
    request.Wait()
    assert back == b"abc"


def test_synchronous_send_goes_on_with_its_buffer():
    data = bytearray(b"z" * 100_000)
    with alarm(interrupt), pytest.raises(Interrupted):
        SELF.Ssend(data, 0, 5)
    with pytest.raises(BufferError):
        data += b"x"  # MPI still reads it
    back = bytearray(100_000)
    SELF.Recv(back, 0, 5)
    assert back == data
    for _ in range(100):  # new requests look after what is parked
        SELF.Irecv(bytearray(1), MPI.PROC_NULL).Wait()
    data += b"x"


@pytest.mark.parametrize("send, receive, item", [("Send", "Recv", b"abc"), ("send", "recv", "abc"), ("Bsend", "Recv", b"abc")])
def test_send_to_oneself_goes_on(send, receive, item):
    """MPICH's waits for its receive, however short."""
    if send == "Bsend":
        MPI.Attach_buffer(bytearray(10_000))
    with alarm(interrupt), pytest.raises(Interrupted):
        getattr(SELF, send)(item, 0, 8)
        signal.pause()
    back = bytearray(3)
    assert (SELF.recv(source=0, tag=8) if receive == "recv" else SELF.Recv(back, 0, 8) or back) == item
    if send == "Bsend":
        MPI.Detach_buffer()


def test_exchange_keeps_the_message_and_takes_back_the_receive():
    back = bytearray(3)
    with alarm(interrupt), pytest.raises(Interrupted):
        SELF.Sendrecv(b"abc", 0, 6, back, 0, 7)
    SELF.Recv(back, 0, 6)
    assert back == b"abc"


@pytest.mark.parametrize("wait", ["block", "yield", "idle"])
def test_keyboard_interrupt_in_every_mode(wait):
    code = "import os, signal, threading\nfrom mmpi import MPI\nmain = os.getpid()\n" \
        "threading.Timer(0.3, os.kill, (main, signal.SIGINT)).start()\n" \
        "try:\n    MPI.COMM_SELF.Recv(bytearray(1), 0)\nexcept KeyboardInterrupt:\n    print('caught')\n"  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI_COMM", "HYDI", "MMPI_JOB"))}
    done = subprocess.run([sys.executable, "-c", code], env=clean | {"MMPI_WAIT": wait}, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr


MASKS = """
import os, re, signal
import mmpi
rank, size = mmpi.init()
comm = mmpi.WORLD
request = comm.iallreduce([rank], lambda a, b: a + b)
comm.Barrier()
assert request.wait() == list(range(size))
for thread in os.listdir("/proc/self/task"):
    if int(thread) != os.getpid():
        with open(f"/proc/self/task/{thread}/status") as file:
            blocked = int(re.search(r"SigBlk:\\t(\\w+)", file.read())[1], 16)
        print("thread", *(name for name in ("SIGINT", "SIGTERM", "SIGALRM") if blocked >> getattr(signal, name) - 1 & 1))
with open("/proc/self/status") as file:
    print("mask", re.search(r"SigBlk:\\t0*(\\w+)", file.read())[1])
"""


def test_no_thread_but_the_main_one_takes_signals():
    """Python's handlers would run in others without that the main thread need notice."""
    found = set(jobs.lines(jobs.job(2, MASKS)))
    assert found == {"thread SIGINT SIGTERM SIGALRM", "mask 0"}, found
