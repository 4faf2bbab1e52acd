# SPDX-License-Identifier: BSD-3-Clause
"""Found by Python at its start, in a folder that mmpi.compat put onto PYTHONPATH: install the alias, then go on to the
sitecustomize that would have been found without us."""

import importlib.machinery
import importlib.util
import os
import sys

try:
    from mmpi import compat
except ImportError:  # another Python, without mmpi
    pass
else:
    compat.install()

_here = os.path.dirname(os.path.abspath(__file__))
_rest = [path for path in sys.path if os.path.abspath(path) != _here]
_spec = importlib.machinery.PathFinder.find_spec("sitecustomize", _rest)
sys.path[:] = _rest
if _spec is not None and _spec.loader is not None:
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["sitecustomize"] = _module
    _spec.loader.exec_module(_module)
