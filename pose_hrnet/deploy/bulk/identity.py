"""Whether models are the same ones: hashes of all files that they are made of."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from pose_hrnet.inference.detection.card import read_detector_card
from pose_hrnet.models.card import CARD_SUFFIXES, described_model, model_beside
from pose_hrnet.models.weights.fetch import checkpoint_path, entry_meant, fetch
from pose_hrnet.models.weights.identity import files_of
from pose_hrnet.system.download import sha256_of


def model_files_sha256(checkpoint: str | Path, card: Path | None = None) -> str:
    """One hash of all files of a model: network, weights, and its card.

    Args:
        checkpoint: As of `load_model`: a file, a name, an address, or the card of a model.
        card: Of a model of others; None: the one beside it.

    Raises:
        OSError: If there is no such file, or it cannot be downloaded.
        ValueError: If a card names no model.
    """
    path = checkpoint_path(checkpoint)
    if path.suffix.lower() in CARD_SUFFIXES:
        return _files_sha256(described_model(path), card or path)
    return _files_sha256(path, card)


def detector_files_sha256(detector: str | Path) -> str:
    """Likewise of a detector.

    Args:
        detector: As of `load_detector`.

    Raises:
        OSError: If there is no such file, or it cannot be downloaded.
        ValueError: If a card names no file.
    """
    entry = entry_meant(detector)
    if entry is not None:
        return _files_sha256(fetch(replace(entry, kind="detector")), None)
    path = Path(detector)
    if path.suffix.lower() in CARD_SUFFIXES:
        return _files_sha256(model_beside(path, read_detector_card(path).model), path)
    return _files_sha256(path, None)


def _files_sha256(path: Path, card: Path | None) -> str:
    cards = [path.with_suffix(each) for each in CARD_SUFFIXES] if card is None else [card]
    files = [*files_of(path), *(each for each in cards if each.is_file())]
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()


__all__ = ["detector_files_sha256", "model_files_sha256"]
