# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi info`: which MPI library is used here, for which reason, and what else was there. Never initializes MPI."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import textwrap
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from . import library, waiting

LEVELS = ("THREAD_SINGLE", "THREAD_FUNNELED", "THREAD_SERIALIZED", "THREAD_MULTIPLE")
# what decided, and what mmpi sets by default
SETTINGS = ("MMPI_LIBMPI", "UCX_MEM_MMAP_HOOK_MODE", "UCX_MEM_MALLOC_RELOC", "OMPI_MCA_btl", "OMPI_MCA_osc")


def collect() -> dict[str, Any]:
    """Everything that `mmpi info` shows, as plain data for JSON. Opens the library; `error` says why if none opens."""
    facts: dict[str, Any] = {
        "mmpi": _version_of("maroonmpi"),
        "library": None,
        "error": None,
        "rejected": [],
        "mpi_version": None,
        "thread_level": "not initialized",
        "waiting": None,
        "launcher": _launcher(),
    }
    try:
        choice = library.select()
        facts["library"], facts["rejected"] = _library(choice), _rejected(choice.rejected)
        facts["mpi_version"] = ".".join(map(str, library.opener().version()))
        facts["thread_level"] = _thread_level(library.load())
        facts["waiting"] = waiting.describe(choice.family, (facts["launcher"] or {}).get("size"), choice.spins)
    except (ImportError, ValueError) as error:
        facts["error"] = str(error)
        facts["rejected"] = facts["rejected"] or _rejected(getattr(error, "rejected", ()))
    facts["settings"] = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    facts["python"] = {"version": platform.python_version(), "executable": sys.executable, "prefix": sys.prefix}
    facts["platform"] = platform.platform()
    facts["packages"] = {name: _version_of(name) for name in ("numpy", "mpi4py")}
    return facts


def _library(choice: library.Choice) -> dict[str, Any]:
    return {
        "path": choice.path,
        "name": choice.name,
        "family": choice.family,
        "maker": choice.maker,
        "reason": choice.reason,
        "prefix": str(choice.prefix) if choice.prefix else None,
        "version": library.opener().library_version(),
    }


def _rejected(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"candidate": candidate, "why": why} for candidate, why in pairs]


def _launcher() -> dict[str, Any] | None:
    found = library.launcher_evidence()
    if found is None:
        return None
    return {
        "executable": found.executable or None,
        "family": found.family,
        "prefix": str(found.prefix) if found.prefix else None,
        "size": found.size,
        "variables": found.variables,
    }


def _thread_level(core: ModuleType) -> str:
    if not library.opener().initialized():
        return "not initialized"
    level = core.Query_thread()
    return next((f"MPI_{name}" for name in LEVELS if getattr(core, name) == level), str(level))


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _rows(facts: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """(label, text) of the human form; a label is empty where a row goes on."""
    yield "mmpi", facts["mmpi"] or "not installed as a package"
    chosen = facts["library"]
    if chosen:
        yield "library", chosen["path"]
        yield "", " ".join((chosen["version"].splitlines() or [""])[0].split())
        yield "", f"family {chosen['family']}, SONAME {chosen['name']}"
        yield "chosen by", chosen["reason"]
        yield "MPI", f"{facts['mpi_version']}, thread level: {facts['thread_level']}"
    if facts["waiting"]:
        yield "waiting", facts["waiting"]
    if facts["error"]:
        yield "error" if chosen else "library", facts["error"].splitlines()[0].removesuffix(". Looked at:")
    yield from _launcher_rows(facts["launcher"])
    yield "settings", ", ".join(f"{name}={value}" for name, value in facts["settings"].items()) or "none"
    yield "Python", f"{facts['python']['version']}, {facts['python']['executable']}"
    yield "packages", ", ".join(f"{name} {version or 'not installed'}" for name, version in facts["packages"].items())
    yield "platform", facts["platform"]
    for number, entry in enumerate(facts["rejected"]):
        yield "" if number else "not taken", f"{entry['candidate']}: {entry['why']}"


def _launcher_rows(launcher: dict[str, Any] | None) -> Iterable[tuple[str, str]]:
    if launcher is None:
        yield "launcher", "none: this process was started alone"
        return
    program = launcher["executable"] or "its process cannot be seen"
    size = "" if launcher["size"] is None else f", world of {launcher['size']}"
    yield "launcher", f"{program} ({launcher['family'] or 'any MPI'}){size}"
    yield "", textwrap.shorten(" ".join(f"{name}={value}" for name, value in launcher["variables"].items()), 200)


def main(argv: Sequence[str]) -> int:
    """`mmpi info [--json]`: print what `collect` found; 1 if there is no usable library."""
    parser = argparse.ArgumentParser(prog="mmpi info", description="Which MPI library is used here, and why.")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    options = parser.parse_args(list(argv))
    facts = collect()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        print("\n".join(f"{label:<11}{text}".rstrip() for label, text in _rows(facts)))
        if facts["error"]:
            print("\n" + library.ADVICE)
    return 1 if facts["error"] else 0
