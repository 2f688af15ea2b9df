"""Which models pose, and how they run: what commands, jobs and programs ask for alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pose_hrnet.inference.detector import Detector, Source, load_detector
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.system.arguments import check_count
from pose_hrnet.system.choices import Backend, Precision
from pose_hrnet.system.defaults import CROPS_PER_PASS, DEFAULT_WEIGHTS, PICTURES
from pose_hrnet.system.progress import SILENT, Progress


@dataclass(frozen=True)
class ModelOptions:
    """A pose model, and a detector of persons before it.

    Attributes:
        checkpoint: As of `load_model`.
        detector: As of `load_detector`; None: none.
        threshold: Lowest score of its boxes; None: what suits pictures.
        backend: What runs both; as of `load_model`, and so are the next four.
        precision: Arithmetic of the pose model; in ``fp32`` the detector computes so, too.
        device: Where both run.
        flip_test: Average with the mirrored crop.
        card: Of a model of others.
        calibrated: Whether scores are probabilities, as of `PoseModel.calibrated`.
        batch_size: Crops per forward pass.

    Raises:
        ValueError: If the batch size is no number from 1 on.
    """

    checkpoint: str | Path = DEFAULT_WEIGHTS
    detector: Source | None = None
    threshold: float | None = None
    backend: Backend = "auto"
    precision: Precision = "auto"
    device: str = "auto"
    flip_test: bool | None = None
    card: Path | None = None
    calibrated: bool = False
    batch_size: int = CROPS_PER_PASS

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size)

    @property
    def box_threshold(self) -> float:
        """The lowest score of a box."""
        return PICTURES if self.threshold is None else self.threshold

    def load_model(self, *, crops: int | None = None) -> PoseModel:
        """The pose model.

        Args:
            crops: As of `load_model`, and so are the errors.
        """
        model = load_model(
            self.checkpoint,
            backend=self.backend,
            precision=self.precision,
            device=self.device,
            flip_test=self.flip_test,
            card=self.card,
            crops=crops,
        )
        return model.calibrated() if self.calibrated else model

    def load_detector(self, *, progress: Progress = SILENT) -> Detector | None:
        """The detector, if there is to be one.

        Args:
            progress: As of `load_detector`, and so are the errors.
        """
        if self.detector is None:
            return None
        return load_detector(
            self.detector,
            threshold=self.box_threshold,
            backend=self.backend,
            precision="fp32" if self.precision == "fp32" else "auto",
            device=self.device,
            progress=progress,
        )


__all__ = ["ModelOptions"]
