"""Every public function that takes or gives an array says its shape."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pose_hrnet

PACKAGE = Path(pose_hrnet.__file__).parent
# Not `Image`, which is (H, W, 3) by name; nor tensors by name, whose shapes are a network's.
ARRAY = re.compile(r"\b(Tensor|NDArray|ArrayLike|Float32|Float64)\b")
NAMED = re.compile(r"\b(?:dict|Mapping)\[str, Tensor\]|\bCallable\[")
# ``(B, K, 2)``, a scalar, or another function that says it.
SHAPE = re.compile(r"``\([^`]*\)|\bscalar\b|\b[Aa]s (?:of )?`|See `")


def public_functions(owner: ast.Module | ast.ClassDef) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Functions and methods, each with what is written of it; a call is also its class's."""
    for node in owner.body:
        words = ast.get_docstring(node) or "" if hasattr(node, "name") else ""
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef) and re.match(r"__call__$|[^_]", node.name):
            is_call = isinstance(owner, ast.ClassDef) and node.name in ("__call__", "forward")
            yield node, words + (ast.get_docstring(owner) or "" if is_call else "")


def test_public_functions_of_arrays_say_their_shapes():
    silent = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for function, words in public_functions(ast.parse(path.read_text())):
            given = function.args
            types = [arg.annotation for arg in (*given.args, *given.kwonlyargs)]
            said = (ast.unparse(kind) for kind in (*types, function.returns) if kind is not None)
            arrays = any(ARRAY.search(kind) and not NAMED.search(kind) for kind in said)
            if arrays and not SHAPE.search(words):
                silent.append(f"{path.relative_to(PACKAGE)}:{function.lineno} {function.name}")
    assert not silent, "without shapes: " + ", ".join(silent)
