"""A thread waits for a message with a lock that the main thread needs to send."""

# ranks: 2
import threading
import time

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
lock = threading.Lock()


def listen():
    with lock:
        comm.recv(source=1 - rank, tag=1)


threading.Thread(target=listen).start()
time.sleep(0.2)
with lock:
    comm.send("hello", dest=1 - rank, tag=1)
