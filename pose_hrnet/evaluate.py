"""Score a model on a data set: predict, rescore, OKS-NMS, COCO AP, and say what produced it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pose_hrnet.config import DataSet, EvaluateConfig
from pose_hrnet.data.annotations import read_category
from pose_hrnet.data.coco import (
    load_detections,
    load_people,
    poses_to_results,
    training_people,
    write_json,
)
from pose_hrnet.data.crops import CropDataset, crop_loader
from pose_hrnet.device import Precision, uses_bf16
from pose_hrnet.inference import Decoder, PoseCard, predict_people
from pose_hrnet.metrics.coco_ap import CocoScores, score_results
from pose_hrnet.metrics.oks import oks_nms, rescore, soft_oks_nms
from pose_hrnet.progress import SILENT, Progress
from pose_hrnet.records import ImageId, People, Poses
from pose_hrnet.skeleton import Skeleton

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and everything that decided it.

    Attributes:
        scores: The ten COCO numbers, with notes on those that are not meaningful.
        poses: The poses that were scored, in image pixels.
        results: The same poses in COCO results format.
        provenance: Boxes, flip, shift, codec, NMS, counts: plain values, ready for JSON.
    """

    scores: CocoScores
    poses: Poses
    results: list[dict[str, Any]]
    provenance: dict[str, Any]

    def with_provenance(self, facts: dict[str, Any]) -> Evaluation:
        """The same scores with further facts about what produced them."""
        return replace(self, provenance={**facts, **self.provenance})

    def metrics(self) -> dict[str, Any]:
        """Numbers, notes and provenance as one JSON-able dict."""
        return {
            **self.scores.values,
            "notes": list(self.scores.notes),
            "evaluated": self.provenance,
        }

    def write(self, output: Path) -> None:
        """Write ``metrics.json`` and ``results.json`` (COCO results format) into a folder."""
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / "results.json", self.results)
        write_json(output / "metrics.json", self.metrics())


def people_to_predict(
    data: DataSet, skeleton: Skeleton, *, min_box_score: float = 0.0, category_id: ImageId = 1
) -> People:
    """The persons whose crops are predicted: the detections, or the official ground-truth boxes.

    Args:
        data: Annotations, images and boxes.
        skeleton: The keypoints.
        min_box_score: Weaker detections are left out.
        category_id: The person category of the detections.

    Ground-truth boxes are those of persons with labelled keypoints that are no crowd, as the
    official code evaluates them.

    Raises:
        ValueError: If a file is malformed or leaves no person.
        FileNotFoundError: If a file is missing.
    """
    annotated = load_people(data.annotations, skeleton=skeleton)
    if data.boxes is None:
        people = training_people(annotated)
        source = data.annotations
    else:
        people = load_detections(
            data.boxes,
            annotated.images,
            skeleton=skeleton,
            min_score=min_box_score,
            category_id=category_id,
        )
        source = data.boxes
    if not len(people):
        raise ValueError(f"{source} has no person to predict; see pose-hrnet data validate")
    return people


def remove_duplicates(poses: Poses, skeleton: Skeleton, test: EvaluateConfig) -> Poses:
    """Rescore each pose and drop near-copies within an image, as the settings say."""
    poses = rescore(poses, keypoint_threshold=test.keypoint_threshold)
    if test.nms == "oks":
        return oks_nms(poses, skeleton.sigmas, threshold=test.nms_threshold)
    if test.nms == "soft_oks":
        return soft_oks_nms(poses, skeleton.sigmas, threshold=test.nms_threshold)
    return poses


def evaluate(
    model: nn.Module,
    card: PoseCard,
    data: DataSet,
    test: EvaluateConfig,
    *,
    device: torch.device,
    precision: Precision = "fp32",
    decoder: Decoder | None = None,
    workers: int = 0,
    progress: Progress = SILENT,
) -> Evaluation:
    """Predict all persons of a data set and score the poses.

    Args:
        model: The network; it is put into evaluation mode and left in the mode it had.
        card: What belongs to its weights: codec, skeleton, box padding.
        data: Annotations, image folder and boxes.
        test: Test-time settings.
        device: Where the network is.
        precision: Arithmetic of the forward pass.
        decoder: From crops to keypoints; None: the card's codec, as the settings say.
        workers: Loader processes.
        progress: Watches.

    Raises:
        ValueError: If the data is malformed, or no image could be read.
        FileNotFoundError: If the annotations or the boxes are missing.
    """
    skeleton = card.skeleton
    category = read_category(data.annotations).id
    people = people_to_predict(
        data, skeleton, min_box_score=test.min_box_score, category_id=category
    )
    dataset = CropDataset(
        people,
        data.images,
        input_wh=card.codec.input_wh,
        alignment=card.codec.alignment,
        box_padding=card.box_padding,
        skeleton=skeleton,
    )
    decoder = decoder or Decoder(
        card.codec, skeleton.flip_index, test.flip_test, test.flip_shift, precision
    )
    was_training = model.training
    inference = predict_people(
        model.eval(),
        decoder,
        dataset,
        crop_loader(dataset, batch_size=test.batch_size, workers=workers),
        device=device,
        progress=progress,
    )
    model.train(was_training)
    if not len(inference.poses):
        raise ValueError(
            f"none of the images of {data.annotations} could be read from {data.images}; "
            "is this the folder that its file names are relative to?"
        )
    poses = remove_duplicates(inference.poses, skeleton, test)
    results = poses_to_results(poses, category)
    scores = score_results(data.annotations, results, sigmas=skeleton.sigmas)
    unreadable = {people.image_index[row] for row in inference.unreadable}
    if unreadable:
        log.warning("%d images could not be read; their persons count as missed", len(unreadable))
    provenance = {
        "annotations": str(data.annotations),
        "boxes": "ground truth" if data.boxes is None else str(data.boxes),
        "images": len(people.images),
        "persons_predicted": len(inference.poses),
        "unreadable_images": len(unreadable),
        "poses_after_nms": len(poses),
        "codec": card.codec.to_dict(),
        "box_padding": card.box_padding,
        "flip_test": decoder.flip_test,
        "flip_shift_cells": _flip_shift(decoder),
        "nms": test.nms,
        "nms_threshold": test.nms_threshold,
        "nms_area": "padded crop (official)",
        "keypoint_threshold": test.keypoint_threshold,
        "min_box_score": test.min_box_score,
        "precision": "bf16" if uses_bf16(device, decoder.precision) else "fp32",
    }
    return Evaluation(scores, poses, results, provenance)


def _flip_shift(decoder: Decoder) -> int | None:
    if not decoder.flip_test:
        return None
    return decoder.codec.flip_shift if decoder.flip_shift is None else decoder.flip_shift
