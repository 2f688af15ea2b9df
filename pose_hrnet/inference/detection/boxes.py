"""Persons' boxes in an image, the canvas that a detector sees it on, and NMS.

Corners of boxes are edges of pixels, as in COCO's annotations: an image is W wide, and its left
edge is 0. A resize by s therefore multiplies them by s.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_hrnet.keypoints.records import Float32, Float64, Image
from pose_hrnet.system.choices import Fit

MOST_CANDIDATES = 1000
"""Boxes of an image that NMS looks at, the best ones."""

MOST_PERSONS = 300
"""Boxes of an image that a detector gives, the best ones."""


@dataclass(frozen=True, eq=False)
class PersonBoxes:
    """The persons that a detector found in an image, the surest first.

    Attributes:
        boxes_xyxy: ``(N, 4)`` float32 image pixels, inside the image.
        scores: ``(N,)`` float32, 0 to 1.
    """

    boxes_xyxy: Float32
    scores: Float32

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def inside(
        cls, image: Image, boxes_xyxy: Float64, scores: Float64, threshold: float
    ) -> PersonBoxes:
        """Boxes clipped to their image; left out are empty ones and those below the threshold.

        Args:
            image: ``(H, W, 3)``.
            boxes_xyxy: ``(N, 4)`` image pixels, in any order.
            scores: ``(N,)``.
            threshold: Lowest score that stays.
        """
        height, width = image.shape[:2]
        clipped = np.clip(boxes_xyxy, 0, [width, height, width, height]).astype(np.float32)
        kept = (scores >= threshold) & (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
        order = np.flatnonzero(kept)[np.argsort(-scores[kept], kind="stable")][:MOST_PERSONS]
        return cls(clipped[order], scores[order].astype(np.float32))


@dataclass(frozen=True)
class Canvas:
    """How an image of any size is put into the input of a network.

    Attributes:
        input_wh: Size of the input.
        fit: ``corner``: with its aspect kept, into the top left; ``centre``: in the middle;
            ``stretch``: over all of it.
        fill: Value of the pixels around it.
    """

    input_wh: tuple[int, int]
    fit: Fit
    fill: int = 114

    def place(self, image: Image) -> tuple[Image, Float64]:
        """Resize an image into the input.

        Args:
            image: ``(H, W, 3)`` uint8.

        Returns:
            ``(H', W', 3)`` uint8, and ``[scale_x, scale_y, left, top]``, with
            ``x_input = scale_x * x_image + left``.
        """
        size_wh, input_wh = np.array(image.shape[1::-1]), np.array(self.input_wh)
        new_wh, start = input_wh, np.zeros(2, int)
        if self.fit != "stretch":
            wanted = size_wh * (input_wh / size_wh).min()
            # As the code that the networks were trained with: YOLOX cuts off, Ultralytics rounds.
            whole = np.trunc(wanted) if self.fit == "corner" else np.rint(wanted)
            new_wh = whole.astype(int).clip(1, input_wh)
        if self.fit == "centre":
            start = (input_wh - new_wh) // 2
        (width, height), (left, top) = new_wh.tolist(), start.tolist()
        pixels = np.full((input_wh[1], input_wh[0], 3), self.fill, np.uint8)
        pixels[top : top + height, left : left + width] = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_LINEAR
        )
        return pixels, np.concatenate([new_wh / size_wh, start])


def to_image(boxes_input: Float64, placed: Float64) -> Float64:
    """``(N, 4)`` boxes in input pixels -> image pixels; `placed` is from `Canvas.place`."""
    scale, start = placed[[0, 1, 0, 1]], placed[[2, 3, 2, 3]]
    moved: Float64 = (boxes_input - start) / scale
    return moved


def nms_scores(boxes: Tensor, scores: Tensor, *, threshold: float, iou: float) -> Tensor:
    """Greedy NMS in every image of a batch: a box goes when a better kept one overlaps it.

    Written here because `torchvision.ops` takes 170 MB and 1.4 s to import.

    Args:
        boxes: ``(B, N, 4)`` left, top, right, bottom.
        scores: ``(B, N)``.
        threshold: Boxes below this score do not count.
        iou: Highest overlap at which both boxes stay.

    Returns:
        ``(B, N)`` scores, in which the boxes that went have 0.
    """
    candidates = int((scores >= threshold).sum(dim=1).amax()) if scores.numel() else 0
    count = min(candidates, MOST_CANDIDATES)
    best, order = scores.topk(count, dim=1)  # (B, n), best first
    chosen = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    overlaps = (overlap(chosen) > iou).cpu().numpy()
    alive = (best >= threshold).cpu().numpy()
    for i in range(count - 1):
        alive[:, i + 1 :] &= ~(overlaps[:, i, i + 1 :] & alive[:, i, None])
    kept = torch.from_numpy(alive).to(scores.device)
    return torch.zeros_like(scores).scatter(1, order, best * kept)


def overlap(boxes: Tensor) -> Tensor:
    """Intersection over union of all pairs: ``(B, n, 4)`` boxes -> ``(B, n, n)``; 0 of none."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)
    return shared / (areas[:, :, None] + areas[:, None, :] - shared).clamp(min=1e-9)
