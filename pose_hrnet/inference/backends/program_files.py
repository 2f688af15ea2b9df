"""torch.export programs (.pt2) from disk, without running code that a file may hide.

`torch.export.load` is not safe by itself: it unpickles tensors that the archive marks so, loads
shared libraries that lie in it, and evaluates shape expressions and guards as Python. So the
archive is read here first, and only one that holds plain tensors, operators of a fixed list and
plain shape expressions is handed on, copied member by member into a fresh archive in memory.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

# Everything that an export of ours consists of. Pickled weights, custom objects, compiled
# libraries and extra files have other names.
_MEMBER = re.compile(
    r"(archive_format|archive_version|byteorder|\.data/version|\.data/serialization_id"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json))"
)
_OPERATOR = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|ge|le|gt|lt|eq)"
)
# sympy evaluates these, so that they may name nothing but numbers, symbols and arithmetic.
_EXPRESSION = re.compile(
    r"(?:Symbol\('[su]\d+'|Integer|Mul|Add|Max|Min|FloorDiv|Mod|positive=True|nonnegative=True"
    r"|integer=True|\d|[su]\d|[()+*, -])*"
)
# How inputs and outputs are nested, as JSON in a string; other types may import modules.
_NESTING = re.compile(
    r"(?:\"(?:type|context|children_spec|builtins\.(?:tuple|list|dict)|null|\[\])\""
    r"|null|\d|[][{}:, ])*"
)
# All other strings: names, which torch writes into the Python source that it runs.
_NAME = re.compile(r"(?!__)(?!.*\.__)[\w.]*")
_ALLOWED = {
    "target": _OPERATOR,
    "expr_str": _EXPRESSION,
    "in_spec": _NESTING,
    "out_spec": _NESTING,
}


def read_program(path: Path) -> ExportedProgram:
    """Read a torch.export program.

    Args:
        path: A ``.pt2`` file of `torch.export.save`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, is damaged, or holds anything but tensors, known
            operators and shape expressions.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such model file; check the path")
    try:
        clean = _vetted(path)
        return torch.export.load(clean)
    except _UnsafeError as error:
        raise ValueError(
            f"{path}: the program holds {error}, which could run any code, and is not loaded; "
            "export the checkpoint again with this version, or load it where you trust it"
        ) from None
    except Exception as error:  # damaged bytes can raise anything while they are decoded
        raise ValueError(
            f"{path}: this is no torch.export program, is damaged, or was written by another "
            f"version of torch ({type(error).__name__}); export it again with torch "
            f"{torch.__version__}"
        ) from error


class _UnsafeError(Exception):
    """Names what a file must not hold."""


def _vetted(path: Path) -> io.BytesIO:
    """A copy of the archive, every member of which has been looked at."""
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as clean:
        for name in dict.fromkeys(archive.namelist()):
            member = name.partition("/")[2]
            if not _MEMBER.fullmatch(member):
                raise _UnsafeError(f"a member {name!r}")
            content = archive.read(name)
            if member == "models/model.json":
                content = _vetted_graph(content)
            elif member.endswith("_config.json"):
                _vet_payload(content)
            elif member.endswith(".pt"):
                torch.load(io.BytesIO(content), weights_only=True)
            clean.writestr(f"model/{member}", content)
    copy.seek(0)
    return copy


def _vetted_graph(content: bytes) -> bytes:
    """The graph without what running it does not need: guards as Python source, and metadata."""
    graph = _without(json.loads(content), "metadata")
    for key, text in _strings({**graph, "guards_code": [], "torch_version": ""}):
        if not _ALLOWED.get(key, _NAME).fullmatch(text):
            raise _UnsafeError(f"{key} {text[:80]!r}")
    return json.dumps({**graph, "guards_code": []}).encode()


def _without(value: Any, key: str) -> Any:
    """Nested JSON in which the dicts under a key are empty."""
    if isinstance(value, dict):
        return {k: {} if k == key else _without(v, key) for k, v in value.items()}
    return [_without(v, key) for v in value] if isinstance(value, list) else value


def _vet_payload(content: bytes) -> None:
    payload = json.loads(content)["config"]
    if any(entry["use_pickle"] is not False for entry in payload.values()):
        raise _UnsafeError("pickled objects")


def _strings(value: Any, key: str = "name") -> Iterator[tuple[str, str]]:
    """Every string of nested JSON, keys included, with the key that it stands under."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
    elif isinstance(value, dict):
        for inner_key, inner in value.items():
            yield "name", inner_key
            yield from _strings(inner, inner_key)
