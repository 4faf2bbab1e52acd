# SPDX-License-Identifier: BSD-3-Clause
"""What builds and tools of others ask: where our headers are, how mmpi was configured, and that a profiler be loaded."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def get_include() -> str:
    """The folder of our headers for C, C++ and Cython: mmpi.h, mpi4py/mpi4py.h."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "headers")


def get_config() -> dict[str, str]:
    """The compilers of the MPI library that is used, as far as they are beside it: mpicc, mpicxx, mpifort; and the library."""
    from . import library

    try:
        choice = library.locate()
    except ImportError:
        return {}
    found = {"library": str(choice.path)}
    if choice.prefix is not None:
        for name in "mpicc", "mpicxx", "mpifort", "mpiexec":
            path = os.path.join(choice.prefix, "bin", name)
            if os.access(path, os.X_OK):
                found[name] = path
    return found


def profile(name: str, *, path: Path | Iterable[Path] | None = None) -> None:
    """Load a tool that stands between us and MPI (a PMPI library) before the MPI library is loaded.

    `name` is a file, or the name of a library (with or without lib and .so) in the folders `path`, or where the loader looks.
    ValueError if there is no such library; a warning if it cannot be loaded, or comes too late to see all calls.
    """
    import warnings

    from . import library

    folders = _folders(path)
    file = _find(os.fsdecode(name), folders)
    if file is None:
        raise ValueError(f"profile({name!r}): no such library" + (f" in {':'.join(folders)}" if folders else ""))
    if "mmpi._core" in sys.modules:
        warnings.warn(f"profile({name!r}): MPI is loaded already, and this tool sees none of our calls", UserWarning, stacklevel=2)
    try:
        library.load_tool(file)
    except ImportError as error:
        warnings.warn(f"profile({name!r}): {error}", UserWarning, stacklevel=2)


def _folders(path: Path | Iterable[Path] | None) -> list[str]:
    if path is None:
        return []
    return [os.fsdecode(path)] if isinstance(path, (str, bytes, os.PathLike)) else [os.fsdecode(folder) for folder in path]


def _find(name: str, folders: list[str]) -> str | None:
    """The file of a library, or a name that the loader knows."""
    import ctypes.util

    if os.path.sep in name:
        return name if os.path.isfile(name) else None
    for folder in folders:
        for file in name, f"lib{name}.so", f"{name}.so":
            candidate = os.path.join(folder, file)
            if os.path.isfile(candidate):
                return candidate
    return None if folders else ctypes.util.find_library(name.removeprefix("lib").partition(".so")[0])
