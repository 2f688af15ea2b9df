"""What decides the rows of a job: hashes of all files that its models are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pose_hrnet.inference.detection.card import read_detector_card
from pose_hrnet.models.card import CARD_SUFFIXES, described_model, model_beside
from pose_hrnet.models.weights.fetch import checkpoint_path, entry_meant, fetch
from pose_hrnet.models.weights.identity import files_of, files_sha256


def model_files_sha256(checkpoint: str | Path, card: Path | None = None) -> str:
    """One hash of all files of a model: network, weights, and its card.

    Args:
        checkpoint: As of `model_sha256`, and so are the errors.
        card: Of a model of others; None: the one beside it.
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
    return files_sha256([*files_of(path), *(each for each in cards if each.is_file())])


__all__ = ["detector_files_sha256", "model_files_sha256"]
