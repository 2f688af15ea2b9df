"""Which files this process opens, by whatever function, as the interpreter itself tells."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_watching: list[list[str]] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watching and isinstance(arguments[0], str | bytes | os.PathLike):
        name = Path(os.fsdecode(arguments[0])).name
        for names in _watching:
            names.append(name)


sys.addaudithook(_watch)  # it cannot be taken away again, and does nothing by itself


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """The names, without folders, of all files that are opened while the block runs."""
    names: list[str] = []
    _watching.append(names)
    try:
        yield names
    finally:
        _watching.remove(names)
