"""Which model it is: a name, the hash of its files, and the number it was published with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pose_hrnet.models.card import CARD_SUFFIXES, SUFFIXES, described_model
from pose_hrnet.models.weights.fetch import checkpoint_path, entry_meant
from pose_hrnet.system.download import sha256_of

_ONNX_WEIGHTS = (".data", "_data")
"""Behind the name of an ONNX file: what holds its weights, if they are not inside."""


@dataclass(frozen=True)
class Identity:
    """What is written beside poses, so that they can be traced to their model.

    Attributes:
        name: Of the list of weights, or of the file without its ending.
        sha256: Of the file on this machine, in hexadecimal; of several, as of `files_of`, that of
            their hashes.
        score: The published number; None: there is none.
        metric: What that number is; empty likewise.
    """

    name: str
    sha256: str
    score: float | None = None
    metric: str = ""


def identity_of(named: str | Path) -> Identity:
    """The identity of what a user names for a checkpoint.

    Args:
        named: As of `checkpoint_path`; it is downloaded if it is elsewhere.

    Raises:
        OSError: If there is no such file, or it cannot be downloaded.
        ValueError: As of `checkpoint_path`, or if a card names no model.
    """
    entry, path = entry_meant(named), checkpoint_path(named)
    if path.suffix.lower() in CARD_SUFFIXES:
        path = described_model(path)
    hashes = [sha256_of(file) for file in files_of(path)]
    sha256 = hashes[0]
    if len(hashes) > 1:
        sha256 = hashlib.sha256("".join(hashes).encode()).hexdigest()
    if entry is None:
        return Identity(path.stem, sha256)
    return Identity(entry.name, sha256, entry.score, entry.metric)


def files_of(path: Path) -> list[Path]:
    """The file of a model, and those beside it that hold its weights: OpenVINO's, and ONNX's."""
    beside = [path.with_name(path.name + suffix) for suffix in _ONNX_WEIGHTS]
    if path.suffix.lower() == SUFFIXES["openvino"]:
        beside.append(path.with_suffix(".bin"))
    return [path, *(each for each in beside if each.is_file())]


__all__ = ["Identity", "files_of", "identity_of"]
