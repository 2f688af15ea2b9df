"""Files appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it; it takes its place when the block ends well.

    Args:
        path: The file to make; its folder must exist.

    Yields:
        The temporary path to write to. An earlier file stays untouched if the block raises.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file in one piece."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
