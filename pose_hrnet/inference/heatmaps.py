"""What a model sees of one person: its heatmaps, as a picture."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from pose_hrnet.data.crops import cut
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.keypoints.geometry import CropFrames, xyxy_to_xywh
from pose_hrnet.keypoints.records import Image
from pose_hrnet.visualize.heatmaps import heatmap_sheet


def check_gives_heatmaps(model: PoseModel) -> None:
    """Refuse models that give other things than heatmaps.

    Raises:
        ValueError: If it is an export, which gives keypoints, or gives SimCC's vectors.
    """
    model.check_heatmaps()
    _ = model.card.heatmap_codec


def heatmap_picture(model: PoseModel, image: Image, box_xyxy: ArrayLike) -> Image:
    """The heatmaps of one person that are decoded, with the flip test averaged in, and the pose.

    Args:
        model: Of heatmaps.
        image: ``(H, W, 3)`` uint8 RGB.
        box_xyxy: ``(4,)`` left, top, right and bottom of the person in image pixels.

    Returns:
        RGB; see `heatmap_sheet`.

    Raises:
        ValueError: As `check_gives_heatmaps`.
    """
    check_gives_heatmaps(model)
    codec = model.decoder.codec
    frames = CropFrames.of_boxes(
        xyxy_to_xywh(np.asarray(box_xyxy, np.float64).reshape(1, 4)),
        codec.input_wh,
        codec.alignment,
        padding=model.card.box_padding,
    )
    crop = cut(image, frames.affines[0], codec.input_wh)
    heatmaps = model.heatmaps(torch.from_numpy(crop[None]))
    points, scores = codec.decode(heatmaps, refine=model.decoder.refine)
    return heatmap_sheet(
        crop,
        heatmaps[0].numpy(),
        model.card.heatmap_codec.cell_pitch_xy,
        points[0].numpy(),
        scores[0].numpy(),
        skeleton=model.card.skeleton,
    )
