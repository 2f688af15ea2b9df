"""`PoseEstimator`: poses of the persons in RGB arrays; the package's main object in Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pose_hrnet import geometry
from pose_hrnet.backends import Backend
from pose_hrnet.data.crops import cut
from pose_hrnet.device import Precision
from pose_hrnet.records import Poses, object_array
from pose_hrnet.runtimes import PoseModel, load_pose_model
from pose_hrnet.skeleton import Skeleton

Image = NDArray[np.uint8]


class PoseEstimator:
    """Poses of the persons in RGB images.

    Args:
        model: From `load_pose_model`, or `network_model` for a network at hand.
        batch_size: Crops per forward pass.

    Example:
        >>> estimator = PoseEstimator.from_checkpoint("best.safetensors")  # doctest: +SKIP
        >>> poses = estimator(image, boxes_xyxy=[[10, 20, 110, 320]])  # doctest: +SKIP
        >>> poses.keypoints_image.shape  # doctest: +SKIP
        (1, 17, 2)
    """

    def __init__(self, model: PoseModel, *, batch_size: int = 32) -> None:
        self.model = model
        self.card = model.card
        self.batch_size = batch_size

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        card: Path | None = None,
        backend: Backend | None = None,
        device: str = "auto",
        precision: Precision = "fp32",
        flip_test: bool | None = None,
        batch_size: int = 32,
    ) -> PoseEstimator:
        """Load a checkpoint, an export, or a heatmap model of others.

        Args:
            path: As the other arguments of `load_pose_model`.
            card: The YAML card of a heatmap model.
            backend: What runs an exported model.
            device: ``auto``, ``cpu``, ``cuda`` ...
            precision: Arithmetic of the forward pass.
            flip_test: Average with the mirrored crop: slower and a little better. None: as
                exported, else on.
            batch_size: Crops per forward pass.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is no pose model.
        """
        model = load_pose_model(
            path,
            card=card,
            backend=backend,
            device=device,
            precision=precision,
            flip_test=flip_test,
        )
        return cls(model, batch_size=batch_size)

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that are predicted."""
        return self.card.skeleton

    def __call__(self, image: Image, boxes_xyxy: ArrayLike | None = None) -> Poses:
        """Predict the persons in one image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            boxes_xyxy: ``(N, 4)`` person boxes in image pixels; None: the image is the box.

        Returns:
            N poses in image pixels, in the order of the boxes; their image id is 0 and their
            score is the mean of the keypoint scores.

        Raises:
            ValueError: If the image is not uint8 RGB, or a box is not four finite numbers with
                right > left and bottom > top.
        """
        return self.predict_images([image], None if boxes_xyxy is None else [boxes_xyxy])

    def predict_images(
        self, images: Sequence[Image], boxes_xyxy: Sequence[ArrayLike] | None = None
    ) -> Poses:
        """Predict the persons in several images, batched over all of them.

        Args:
            images: RGB images of any sizes.
            boxes_xyxy: ``(N_i, 4)`` for each image; None: each image is one box.

        Returns:
            The poses of all boxes in order; image ids are positions in `images`.

        Raises:
            ValueError: As `__call__`, or if there are not as many box arrays as images.
        """
        if boxes_xyxy is None:
            boxes_xyxy = [[[0, 0, i.shape[1], i.shape[0]]] for i in map(_checked_image, images)]
        if len(boxes_xyxy) != len(images):
            raise ValueError(
                f"{len(boxes_xyxy)} arrays of boxes were given for {len(images)} images; "
                "give one per image"
            )
        per_image = [_checked_boxes(boxes) for boxes in boxes_xyxy]
        owner = np.repeat(np.arange(len(images)), [len(boxes) for boxes in per_image])
        boxes = np.concatenate([np.empty((0, 4)), *per_image])
        codec = self.card.codec
        centers, sizes = geometry.crop_regions(
            geometry.xyxy_to_xywh(boxes), codec.input_wh, padding=self.card.box_padding
        )
        affines = geometry.crop_affines(centers, sizes, codec.input_wh, alignment=codec.alignment)
        keypoints = np.empty((len(boxes), self.skeleton.num_keypoints, 2), np.float32)
        scores = np.empty(keypoints.shape[:2], np.float32)
        for start in range(0, len(boxes), self.batch_size):
            rows = slice(start, start + self.batch_size)
            crops = [
                cut(_checked_image(images[i]), affine, codec.input_wh)
                for i, affine in zip(owner[rows], affines[rows], strict=True)
            ]
            points_input, scores[rows] = self._forward(np.stack(crops))
            keypoints[rows] = geometry.input_to_image(points_input, affines[rows])
        return Poses(
            image_ids=object_array(owner.tolist()),
            keypoints_image=keypoints,
            keypoint_scores=scores,
            boxes_xyxy=boxes.astype(np.float32),
            scores=scores.mean(axis=1),
            areas=sizes.prod(axis=1).astype(np.float32),
        )

    def _forward(self, crops: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """``(B, H, W, 3)`` crops -> keypoints in input pixels and scores."""
        keypoints_input, scores = self.model(torch.from_numpy(crops))
        return keypoints_input.numpy(), scores.numpy()


def _checked_image(image: Image) -> Image:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"the image has shape {image.shape} and type {image.dtype}; "
            "expected (H, W, 3) uint8 RGB"
        )
    return image


def _checked_boxes(boxes_xyxy: ArrayLike) -> NDArray[np.float64]:
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    boxes = boxes.reshape(-1, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes_xyxy has shape {boxes.shape}; expected (N, 4)")
    wrong = ~(np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1))
    if wrong.any():
        raise ValueError(
            f"box {int(np.flatnonzero(wrong)[0])} is {boxes[wrong][0].tolist()}; expected finite "
            "left, top, right, bottom with right > left and bottom > top"
        )
    return boxes
