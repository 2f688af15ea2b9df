"""Files appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from pose_hrnet.system.folders import naming, temporary_file
from pose_hrnet.system.text import one_line


@contextmanager
def replace_file(path: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """Write a file under a temporary name beside it; it takes its place when the block ends well.

    Args:
        path: The file to make; its folder must exist.
        keep: Where an earlier file moves to; None: it is replaced.

    Yields:
        The temporary path to write to. An earlier file stays untouched if the block raises.

    Raises:
        NotWritten: If the disk is full, or may not be written to; names the file.
    """
    with naming(path), temporary_file(path.parent) as temporary:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        _fsync_folder(path.parent)


def _fsync_folder(folder: Path) -> None:
    """Let the names of its files outlive a crash of the machine, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cache_folder(name: str) -> Path:
    """The user's folder for what can be fetched or made again; it need not exist.

    It is below the folder that ``POSE_HRNET_CACHE`` names, or else where the system keeps caches:
    ``~/.cache/pose-hrnet`` on Linux, ``~/Library/Caches/pose-hrnet`` on macOS.

    Args:
        name: Of its kind.

    Raises:
        OSError: If the user has no home folder.
    """
    chosen = os.environ.get("POSE_HRNET_CACHE")
    try:
        folder = Path(chosen) if chosen else user_cache_path("pose-hrnet", appauthor=False)
        return folder.expanduser() / name
    except RuntimeError as error:
        raise OSError(
            f"there is no folder to keep {name} in ({one_line(error)}); "
            "set POSE_HRNET_CACHE to one"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file in one piece."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one piece: under a temporary name, then renamed; NaN becomes null.

    NumPy scalars and arrays are written as numbers and lists.

    Raises:
        TypeError: If a value has no JSON form; nothing is written.
    """
    data = encode_json(value)
    with replace_file(Path(path)) as temporary:
        temporary.write_bytes(data)


def encode_json(value: Any) -> bytes:
    """As `write_json`, without a file."""
    return msgspec.json.encode(value, enc_hook=_plain)


def few_digits(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The doubles that are written in the fewest digits and are still the same in float32.

    0.1 for 0.10000000149011612, so that JSON holds what was computed and no noise behind it.

    Args:
        values: ``(...)`` finite numbers.
    """
    exact = np.asarray(values, np.float64)
    shortest: NDArray[np.float64] = exact.copy()
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        magnitude = np.floor(np.log10(np.abs(exact)))
        for digits in (9, 8, 7, 6):  # 9 always do, and below 6 the last are zeros
            scale = 10.0 ** (digits - 1 - magnitude)
            rounded = np.rint(exact * scale) / scale
            shortest = np.where(rounded.astype(np.float32) == values, rounded, shortest)
    return shortest


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form; give plain values")
