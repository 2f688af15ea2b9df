"""Which model it is: a name, the hash of its file, and the number it was published with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pose_hrnet.models.card import CARD_SUFFIXES, SUFFIXES, described_model
from pose_hrnet.models.weights.fetch import checkpoint_path, entry_meant
from pose_hrnet.system.download import sha256_of


@dataclass(frozen=True)
class Identity:
    """What is written beside poses, so that they can be traced to their model.

    Attributes:
        name: Of the list of weights, or of the file without its ending.
        sha256: Of the file on this machine, in hexadecimal; of OpenVINO's two, of their hashes.
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
        ValueError: As of `checkpoint_path`.
    """
    entry, path = entry_meant(named), checkpoint_path(named)
    if path.suffix.lower() in CARD_SUFFIXES:
        path = described_model(path)
    sha256, weights = sha256_of(path), path.with_suffix(".bin")
    if path.suffix.lower() == SUFFIXES["openvino"] and weights.is_file():
        sha256 = hashlib.sha256((sha256 + sha256_of(weights)).encode()).hexdigest()
    if entry is None:
        return Identity(path.stem, sha256)
    return Identity(entry.name, sha256, entry.score, entry.metric)


__all__ = ["Identity", "identity_of"]
