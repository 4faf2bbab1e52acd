# SPDX-License-Identifier: BSD-3-Clause
"""Write for each module of a package that has no stub one with its signatures, into another folder.

    python tools/outline.py src/mmpi build/mmpi

Programs written for mpi4py may look for a stub beside every module, as its own tests do. A checker that finds a stub reads
nothing else, so what it would learn from the module must be in there: all names, and the methods that make attributes.
"""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path
from typing import Any


class Outline(ast.NodeTransformer):
    """Leaves of a module what checkers need."""

    def _kept(self, body: list[ast.stmt]) -> list[ast.stmt]:
        kept: list[ast.stmt] = []
        overloaded = ""
        for node in body:
            if isinstance(node, ast.FunctionDef):
                is_form = any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list)
                if node.name == overloaded and not is_form:  # the function behind the forms
                    continue
                overloaded = node.name if is_form else ""
            kept += filter(None, [self.visit(node)])
        return kept

    def _blocks(self, node: Any) -> Any:
        for name in "body", "orelse", "finalbody":
            if inner := getattr(node, name, None):
                setattr(node, name, self._kept(inner) or [ast.Pass()])
        return node

    visit_Module = visit_ClassDef = visit_If = visit_ExceptHandler = _blocks

    def visit_Try(self, node: ast.Try) -> ast.Try:
        node.handlers = [self._blocks(handler) for handler in node.handlers]
        return self._blocks(node)  # type: ignore[no-any-return]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        makes_attributes = any(
            isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and isinstance(part.value, ast.Name) and part.value.id == "self"
            for part in ast.walk(node)
        )
        if not makes_attributes:
            node.body = [ast.Expr(ast.Constant(...))]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        return None if any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets) else node

    def _nothing(self, node: ast.stmt) -> None:
        return None

    visit_Expr = visit_For = visit_With = visit_Delete = _nothing


def main(package: Path, folder: Path) -> None:
    """Write the stubs, and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    for module in package.rglob("*.py"):
        stub = folder / module.relative_to(package).with_suffix(".pyi")
        if not module.with_suffix(".pyi").exists():
            stub.parent.mkdir(parents=True, exist_ok=True)
            stub.write_text(ast.unparse(Outline().visit(ast.parse(module.read_text()))) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
