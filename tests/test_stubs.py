# SPDX-License-Identifier: BSD-3-Clause
"""The stub of mmpi.MPI: up to date, complete, true, and of use to type checkers; those of other modules hide nothing from them."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mmpi
from jobs import run, serial
from requirements import MPI_FILES, need

ROOT = Path(__file__).parent.parent
STUB = ROOT / "src/mmpi/MPI.pyi"
TYPED = ROOT / "tests/typed.py"

# Names that may differ for stubtest, with the reason.
NOT_TESTABLE = {
    r"mmpi\.MPI\.2[A-Z_]+": "no names in Python; they are TWOINT, TWOREAL, ... too",
    r"mmpi\.MPI\.\w+\.__buffer__": "Python shows it from 3.12 on",
    r"mmpi\.MPI\.Info\.update": "an empty tuple as default is shown as ...",
    r"mmpi\.MPI\.__pyx_capi__": "for compiled programs",
}


def stub_nodes():
    """name -> node of all that the stub has at its top level."""
    nodes = {}
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            nodes |= {alias.asname: node for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.AnnAssign):
            nodes[node.target.id] = node
        elif isinstance(node, ast.Assign):
            nodes[node.targets[0].id] = node
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            nodes[node.name] = node
    return nodes


def ask(code, **env):
    """Run code that prints JSON, in a process of its own: importing MPI must not initialize it here."""
    result = serial(code, env=env)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", MPI_FILES)
def test_the_stub_is_up_to_date_under_each_mpi(name):
    library = need(name) / MPI_FILES[name][0]
    result = run(sys.executable, str(ROOT / "tools/stubs.py"), "--check", env={"MMPI_LIBMPI": str(library)})
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_outdated_stub_is_found(tmp_path):
    for file in ("tools/stubs.py", "src/mmpi/MPI.pyi", "src/core/abi/constants.h", "src/core/module.c"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text((ROOT / file).read_text())
    stub = tmp_path / "src/mmpi/MPI.pyi"
    stub.write_text(STUB.read_text().replace("tag: SupportsIndex = 0", "tag: str = 0", 1))
    check = run(sys.executable, str(tmp_path / "tools/stubs.py"), "--check")
    assert check.returncode == 1
    assert re.search(r"^-.*tag: str = 0", check.stdout, re.MULTILINE)
    assert "src/mmpi/MPI.pyi is out of date: run tools/stubs.py" in check.stderr
    assert run(sys.executable, str(tmp_path / "tools/stubs.py")).returncode == 0
    assert stub.read_text() == STUB.read_text()


def test_every_public_name_is_in_the_stub():
    code = """
        import json, sys, types
        import mmpi
        mmpi.rc.initialize = False
        from mmpi import MPI
        def ours(value):
            return not isinstance(value, types.ModuleType) and getattr(value, "__module__", "") not in ("typing", "__future__")
        names = [n for n, v in vars(MPI).items() if n.isidentifier() and not n.startswith("_") and ours(v)]
        classes = {n: [m for m in vars(getattr(MPI, n)) if not m.startswith("_")]
                   for n in names if isinstance(getattr(MPI, n), type) and getattr(MPI, n).__module__ == "mmpi.MPI"}
        json.dump([names, classes], sys.stdout)
    """
    names, classes = ask(code)
    nodes = stub_nodes()
    names = set(names) - {"annotations"}  # of __future__
    assert names - set(nodes) == set()
    for name, members in classes.items():
        if isinstance(nodes[name], ast.ClassDef):
            stubbed = {node.name for node in nodes[name].body if isinstance(node, ast.FunctionDef)}
            assert set(members) - stubbed == set(), name


def test_results_have_the_types_that_the_stub_says():
    kinds = {}
    for owner, node in stub_nodes().items():
        for method in node.body if isinstance(node, ast.ClassDef) else []:
            marks = [ast.unparse(mark) for mark in getattr(method, "decorator_list", [])]
            plain = isinstance(method, ast.FunctionDef) and len(method.args.args) == 1 and "classmethod" not in marks
            if plain and ("property" in marks or method.name.startswith(("Get_", "Is_"))):
                kinds[f"{owner}.{method.name}"] = ast.unparse(method.returns)
    code = f"""
        import json, sys
        from mmpi import MPI
        samples = dict(Comm=MPI.COMM_SELF, Intracomm=MPI.COMM_SELF, Cartcomm=MPI.COMM_SELF.Create_cart([1]), Group=MPI.COMM_SELF.group,
                       Datatype=MPI.INT.Create_vector(2, 1, 2), Graphcomm=MPI.COMM_SELF.Create_graph([0], []), Session=MPI.Session.Init(),
                       Distgraphcomm=MPI.COMM_SELF.Create_dist_graph_adjacent([], []), Win=MPI.Win.Allocate(8, comm=MPI.COMM_SELF),
                       Op=MPI.SUM, Status=MPI.Status(), Request=MPI.REQUEST_NULL, Message=MPI.MESSAGE_NULL,
                       Info=MPI.Info.Create({{"a": "b"}}), Errhandler=MPI.ERRORS_RETURN)
        def kind(value):
            inside = ", ".join(map(kind, value if isinstance(value, tuple) else value[:1])) if isinstance(value, tuple | list) else ""
            return type(value).__name__ + (f"[{{inside}}]" if inside else "")
        found = {{}}
        for name in {list(kinds)!r}:
            owner, member = name.split(".")
            if owner not in samples:
                continue
            try:
                value = getattr(samples[owner], member)
                found[name] = kind(value() if callable(value) else value)
            except (NotImplementedError, MPI.Exception):  # the library has it not, or nothing to give
                pass
        samples["Win"].Free(), samples["Session"].Finalize()
        json.dump(found, sys.stdout)
    """
    found = ask(code)
    assert len(found) > 80
    exact = {name: text for name, text in kinds.items() if text != "Any" and "list[" not in text.removeprefix("list[")}
    assert [name for name in found if found[name] != exact.get(name, found[name])] == []


def test_types_of_arguments_need_no_mpi():
    code = """
        import json, sys
        from mmpi import typing
        union = [typing.BufSpec | None, typing.InPlace | None, typing.TypeSpec | None]
        json.dump([all(hasattr(typing, name) for name in typing.__all__), "mmpi._core" in sys.modules], sys.stdout)
    """
    assert ask(code, MMPI_LIBMPI="/there/is/none") == [True, False]


# --- with a type checker ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Run mypy, or another module of it, in a folder of its own."""
    need("mypy")
    folder = tmp_path_factory.mktemp("mypy")

    def call(module, *arguments, path=""):
        environment = os.environ | {"MYPY_CACHE_DIR": str(folder / "cache"), "MMPI_RC_INITIALIZE": "0", "MYPYPATH": str(path)}
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)

    return call


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_a_typed_program_is_checked(mypy, version):
    result = mypy("mypy", "--strict", "--python-version", version, str(TYPED))
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_typed_program_runs():
    result = run(sys.executable, str(TYPED))
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_stubtest_finds_nothing(mypy, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.write_text("".join(f"{name}  # {reason}\n" for name, reason in NOT_TESTABLE.items()))
    result = mypy("mypy.stubtest", "mmpi.MPI", "--allowlist", str(allowed), "--ignore-unused-allowlist")
    assert result.returncode == 0, result.stdout + result.stderr


def questions(package, sources):
    """A program that asks a checker for the type of all that has a name in modules of Python, but private ones at their top level."""
    asked = []
    for path in sorted(sources.rglob("*.py")):
        if path.with_suffix(".pyi").exists():
            continue
        module = ".".join([package, *path.relative_to(sources).with_suffix("").parts]).removesuffix(".__init__")
        asked.append(f"import {module}")
        for node in ast.parse(path.read_text()).body:
            places = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
            if isinstance(node, ast.Assign | ast.AnnAssign):
                places = [target.id for target in getattr(node, "targets", [getattr(node, "target", None)]) if isinstance(target, ast.Name)]
            asked += [f"reveal_type({module}.{name})" for name in places if not name.startswith("_")]
            if isinstance(node, ast.ClassDef):
                members = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "self"}
                members |= {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
                asked += [f"def _(it: {module}.{node.name}): reveal_type(it.{name})" for name in sorted(members) if not name.startswith("__")]
    return "\n".join(asked) + "\n"


@pytest.mark.slow
def test_stubs_hide_no_types(mypy, tmp_path):
    """With the stubs that the build makes, and without them, checkers see the same."""
    program = tmp_path / "program.py"
    program.write_text(questions("mmpi", ROOT / "src/mmpi"))
    seen = []
    for kind in "with", "without":
        package = tmp_path / kind / "mmpi"
        shutil.copytree(Path(mmpi.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        for stub in package.rglob("*.pyi") if kind == "without" else []:
            if not (ROOT / "src/mmpi" / stub.relative_to(package)).exists():
                stub.unlink()
        options = ["--python-version", "3.11", "--check-untyped-defs", "--follow-imports", "silent"]
        result = mypy("mypy", *options, str(program), path=package.parent)
        found = [line for line in result.stdout.splitlines() if line.startswith(f"{program}:")]
        seen.append([line for line in found if "numpy._typing" not in line])  # unions of NumPy's, in any order
    assert len(seen[0]) > 2000 and seen[0] == seen[1]
