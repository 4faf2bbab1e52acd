"""Everybody receives from the left first."""

# ranks: 4
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
token = comm.recv(source=(rank - 1) % size)
comm.send(token, dest=(rank + 1) % size)
