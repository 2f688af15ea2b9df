"""Which model it is: a name, the hash of its files, and the number it was published with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
        sha256: As of `model_sha256`.
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
        named: As of `model_sha256`, and so are the errors.
    """
    entry, path = entry_meant(named), _model_path(named)
    sha256 = files_sha256(files_of(path))
    if entry is None:
        return Identity(path.stem, sha256)
    return Identity(entry.name, sha256, entry.score, entry.metric)


def model_sha256(named: str | Path) -> str:
    """The hash of a model, in hexadecimal: of its file, or of all that hold its weights.

    Args:
        named: As of `checkpoint_path`, or the card of a model of others; it is downloaded if it
            is elsewhere.

    Raises:
        OSError: If there is no such file, or it cannot be downloaded.
        ValueError: As of `checkpoint_path`, or if a card names no model.
    """
    return files_sha256(files_of(_model_path(named)))


def _model_path(named: str | Path) -> Path:
    path = checkpoint_path(named)
    return described_model(path) if path.suffix.lower() in CARD_SUFFIXES else path


def files_of(path: Path) -> list[Path]:
    """The file of a model, and those beside it that hold its weights: OpenVINO's, and ONNX's."""
    beside = [path.with_name(path.name + suffix) for suffix in _ONNX_WEIGHTS]
    if path.suffix.lower() == SUFFIXES["openvino"]:
        beside.append(path.with_suffix(".bin"))
    return [path, *(each for each in beside if each.is_file())]


def files_sha256(files: Sequence[Path]) -> str:
    """The hash of a file; of several that of their hashes.

    Raises:
        OSError: If one cannot be read.
    """
    hashes = [sha256_of(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


__all__ = ["Identity", "files_of", "files_sha256", "identity_of", "model_sha256"]
