import mmpi
rank, size = mmpi.init()
print("Hello World from Process %s of %s" % (rank, size))
