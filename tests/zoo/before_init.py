"""A rank does not come to init()."""

# ranks: 3
import os
import time

import mmpi

if os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK")) == "1":
    time.sleep(1000)
rank, size = mmpi.init()
