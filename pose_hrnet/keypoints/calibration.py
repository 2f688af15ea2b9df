"""Keypoint scores as probabilities: what a heatmap's maximum says of the keypoint's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.keypoints.records import Float32


@dataclass(frozen=True)
class Calibration:
    """A rising curve from scores to probabilities that a keypoint is at its place.

    At its place is a keypoint whose similarity to the labelled one, ``exp(-d^2 / (2 A k^2))``, is
    at least 0.5: that of a person whose OKS is just enough for AP50.

    Attributes:
        scores: P scores, rising.
        probabilities: P values of 0 to 1 there, never falling; straight lines run between them.

    Raises:
        ValueError: If they are not as described.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        scores, values = np.array(self.scores), np.array(self.probabilities)
        if not 1 <= len(scores) == len(values):
            raise ValueError(
                f"a calibration has {len(scores)} scores and {len(values)} probabilities; "
                "give one probability for each score, at least one"
            )
        if not (np.isfinite(scores).all() and (np.diff(scores) > 0).all()):
            raise ValueError("the scores of a calibration do not rise; give them in order")
        if not ((values >= 0) & (values <= 1)).all() or (np.diff(values) < 0).any():
            raise ValueError(
                "the probabilities of a calibration fall, or are not between 0 and 1; "
                "a higher score is never a lower probability"
            )

    def __call__(self, scores: ArrayLike) -> Float32:
        """Probabilities of scores, both ``(...)``; beyond the ends those of the ends."""
        values = np.interp(np.asarray(scores, np.float64), self.scores, self.probabilities)
        return np.asarray(values, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, as a card stores them."""
        return {"scores": list(self.scores), "probabilities": list(self.probabilities)}
