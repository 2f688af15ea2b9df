"""What every actor loads, and that it is on its machine what it is on the driver's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pose_hrnet.deploy.bulk.columns import BulkEstimator
from pose_hrnet.deploy.bulk.identity import detector_files_sha256, model_files_sha256
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.options import ModelOptions
from pose_hrnet.models.weights.identity import identity_of


@dataclass(frozen=True)
class Models:
    """What every actor loads.

    Attributes:
        options: Of files that are there on every machine of a cluster, of names or of addresses.
        name: Of the model in the rows.
        sha256: As of `identity_of`, which every actor's file must have.
        files: As of `model_files_sha256`, if every actor's must be the same.
        detector_files: As of `detector_files_sha256`, likewise.
    """

    options: ModelOptions
    name: str
    sha256: str
    files: str | None = None
    detector_files: str | None = None

    def load(self) -> BulkEstimator:
        """The models on this machine.

        Raises:
            OSError: If a file is missing.
            ValueError: If a file is no model, or another one than on the machine of the driver.
        """
        checkpoint, detector = self.options.checkpoint, self.options.detector
        _expect(checkpoint, identity_of(checkpoint).sha256, self.sha256)
        if self.files is not None:
            _expect(checkpoint, model_files_sha256(checkpoint, self.options.card), self.files)
        if self.detector_files is not None and isinstance(detector, str | Path):
            _expect(detector, detector_files_sha256(detector), self.detector_files)
        return BulkEstimator(PoseEstimator.of(self.options), model=self.name, sha256=self.sha256)


def _expect(file: object, found: str, wanted: str) -> None:
    if found != wanted:
        raise ValueError(
            f"{file}, or a file that belongs to it, is another file on {os.uname().nodename} "
            f"(sha256 {found[:12]}..., expected {wanted[:12]}...); give a path that all machines "
            "share, or a name of weights list"
        )


__all__ = ["Models"]
