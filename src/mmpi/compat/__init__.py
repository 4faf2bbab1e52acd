# SPDX-License-Identifier: BSD-3-Clause
"""Programs written for mpi4py run unchanged: `import mpi4py` means mmpi, where that was asked for.

    mmpi run --as-mpi4py -n 4 program.py
    mpiexec -n 4 python -m mmpi.compat program.py
    import mmpi.compat; mmpi.compat.install()       # in a program, before it imports mpi4py

Processes that the program starts have the alias too: by PYTHONPATH, on which stands a folder of ours whose
sitecustomize installs it. MPI4PY_RC_* variables are read as MMPI_RC_* are. Nothing is installed under mpi4py's name.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import mmpi

VERSION = "4.1.2"  # of mpi4py, whose names and behaviour these are
NAME = "mpi4py"
STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "startup")  # goes onto PYTHONPATH
_OTHER_NAMES = {"mpi4py.__main__": "mmpi.run"}


def install() -> None:
    """From now on `import mpi4py` means mmpi, here and in processes that this one starts.

    Raises ImportError if the real mpi4py has been imported already.
    """
    there = sys.modules.get(NAME)
    if there is not None and not isinstance(there, _Package):
        raise ImportError("mmpi.compat.install(): the real mpi4py has been imported already", name=NAME)
    if installed():
        return
    sys.meta_path.insert(0, _Finder())
    os.environ.update(environment())
    mmpi.rc._unexpected = {}
    _read_options()
    # Extensions in Cython compare the sizes of our objects with those of mpi4py's; ours are larger, which is allowed.
    warnings.filterwarnings("ignore", r"mpi4py\.MPI\.\w+ size changed", RuntimeWarning)


def installed() -> bool:
    """Whether `import mpi4py` means mmpi."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def _read_options() -> None:
    """Set what the variables MPI4PY_RC_*, MPI4PY_PICKLE_PROTOCOL and MPI4PY_PICKLE_THRESHOLD say."""
    mmpi.rc._read_environment("MPI4PY_RC_")
    for name in "PROTOCOL", "THRESHOLD":
        if value := os.environ.get(f"MPI4PY_PICKLE_{name}"):
            from mmpi.pickling import pickle

            setattr(pickle, name, int(value))


def _warn_of_options() -> None:
    """As mpi4py does when its MPI is loaded: of what options were set to that means nothing."""
    unexpected, mmpi.rc._unexpected = mmpi.rc._unexpected or {}, {}
    for name, value in unexpected.items():
        warnings.warn(f"mpi4py.rc.{name}: unexpected value {value!r}", RuntimeWarning, stacklevel=3)


def real_name(module: str) -> str:
    """What a module of mpi4py is called here; other names are what they are."""
    if module != NAME and not module.startswith(NAME + "."):
        return module
    return _OTHER_NAMES.get(module, "mmpi" + module.removeprefix(NAME))


def environment(variables: dict[str, str] | None = None) -> dict[str, str]:
    """The variables that let `import mpi4py` mean mmpi in a Python that is started with them."""
    before = (os.environ if variables is None else variables).get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([STARTUP, *(path for path in before.split(os.pathsep) if path and path != STARTUP)])}


class _Package(types.ModuleType):
    """The module `mpi4py`: all that mmpi has, but with the version that programs compare."""

    __version__ = VERSION
    Rc = type(mmpi.rc)

    def __getattr__(self, name: str) -> Any:
        return getattr(mmpi, name)

    def __dir__(self) -> Iterable[str]:
        return sorted({*dir(mmpi), *super().__dir__()})


class _Loader(importlib.abc.InspectLoader):
    """Gives a module of mmpi under another name: the same object."""

    def __init__(self, name: str, real: str) -> None:
        self.name, self.real = name, real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        if self.name != NAME:
            return None
        package = _Package(NAME, mmpi.__doc__)
        package.__file__ = mmpi.__file__
        vars(package)["rc"] = sys.modules["mpi4py.rc"] = mmpi.rc  # there from the start, and programs delete them
        return package

    def exec_module(self, module: types.ModuleType) -> None:
        if self.real == "mmpi.MPI" and self.real not in sys.modules:
            _read_options()  # as mpi4py does: a program may have set the variables itself
            _warn_of_options()
        if self.name != NAME:
            sys.modules[self.name] = importlib.import_module(self.real)

    def _inner(self) -> Any:
        spec = importlib.util.find_spec(self.real)
        assert spec is not None
        return spec.loader

    def get_code(self, fullname: str) -> types.CodeType | None:
        return self._inner().get_code(self.real)  # type: ignore[no-any-return]

    def get_source(self, fullname: str) -> str | None:
        return self._inner().get_source(self.real)  # type: ignore[no-any-return]

    def get_filename(self, fullname: str) -> str:
        return self._inner().get_filename(self.real)  # type: ignore[no-any-return]

    def is_package(self, fullname: str) -> bool:
        return self._inner().is_package(self.real)  # type: ignore[no-any-return]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds mpi4py and its modules, and says of the distribution mpi4py that it is there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != NAME and not fullname.startswith(NAME + "."):
            return None
        real = real_name(fullname)
        found = importlib.util.find_spec(real)
        if found is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}: mmpi has no {real}", name=fullname)
        package = found.submodule_search_locations
        spec = importlib.machinery.ModuleSpec(fullname, _Loader(fullname, real), origin=found.origin, is_package=package is not None)
        if package is not None:
            spec.submodule_search_locations = list(package)
        return spec

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context = importlib.metadata.DistributionFinder.Context()  # noqa: B008
    ) -> Iterable[importlib.metadata.Distribution]:
        """For importlib.metadata.version("mpi4py")."""
        return [_Distribution()] if context.name in (None, NAME) else []


class _Distribution(importlib.metadata.Distribution):
    def read_text(self, filename: str) -> str | None:
        return f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return os.path.join(os.path.dirname(STARTUP), path)
