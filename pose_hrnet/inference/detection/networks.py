"""Any network, torchvision's detectors, and any function, as detectors of persons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from pose_hrnet.inference.backends.networks import foreign_pixels, run_parts
from pose_hrnet.inference.backends.sessions import Session
from pose_hrnet.inference.detection.boxes import Canvas, PersonBoxes, nms_scores, to_image
from pose_hrnet.inference.detection.card import DetectorCard
from pose_hrnet.inference.detection.layouts import read_outputs
from pose_hrnet.keypoints.records import Float64, Image
from pose_hrnet.system.text import counted, one_line

Run: TypeAlias = Callable[[Tensor], Iterator[Sequence[Tensor]]]
"""``(B, 3, H, W)`` uint8 RGB -> the outputs, in one or several parts of the batch."""


class NetworkDetector:
    """A network whose outputs are of a known layout.

    Args:
        run: The network.
        card: What it takes and gives.
        threshold: Lowest score of a box.
        summary: What was loaded, in plain words.

    Raises:
        ValueError: If it does not run, or its outputs are not of the layout: tried on a grey
            image, so that it is noticed at once.
    """

    def __init__(self, run: Run, card: DetectorCard, threshold: float, summary: str) -> None:
        self.run, self.card, self.threshold, self.summary = run, card, threshold, summary
        width, height = card.input_wh or (640, 640)
        self([np.full((height, width, 3), 114, np.uint8)])

    def __call__(self, images: Sequence[Image]) -> list[PersonBoxes]:
        """The persons in RGB images; see `pose_hrnet.inference.detector.Detector`."""
        if self.card.input_wh is not None:
            return self._detect(images, Canvas(self.card.input_wh, self.card.fit, self.card.fill))
        whole = [Canvas((image.shape[1], image.shape[0]), "stretch") for image in images]
        found = (self._detect([image], own) for image, own in zip(images, whole, strict=True))
        return [boxes for each in found for boxes in each]

    @torch.inference_mode()
    def _detect(self, images: Sequence[Image], canvas: Canvas) -> list[PersonBoxes]:
        """The persons in images that go into inputs of one size."""
        if not len(images):
            return []
        placed = [canvas.place(image) for image in images]
        batch = torch.from_numpy(np.stack([pixels for pixels, _ in placed])).permute(0, 3, 1, 2)
        rows: list[tuple[Float64, Float64]] = []
        for outputs in self.run(batch):
            outputs = [output.float() for output in outputs]
            boxes, scores = read_outputs(self.card, outputs, canvas.input_wh)
            if self.card.nms is not None:
                scores = nms_scores(boxes, scores, threshold=self.threshold, iou=self.card.nms)
            rows += zip(boxes.double().cpu().numpy(), scores.double().cpu().numpy(), strict=True)
        # Boxes that NMS took out have score 0.
        least = max(self.threshold, 1e-6)
        return [
            PersonBoxes.inside(image, to_image(boxes, place), scores, least)
            for image, (_, place), (boxes, scores) in zip(images, placed, rows, strict=True)
        ]


def session_run(session: Session, card: DetectorCard) -> Run:
    """An exported file's network.

    Raises:
        ValueError: When it is called, if the file does not run on such images.
    """

    def run(images: Tensor) -> Iterator[Sequence[Tensor]]:
        values = foreign_pixels(
            images.to(session.device),
            colour=card.colour,
            scale=card.scale,
            mean=card.mean,
            std=card.std,
            axes=card.axes,
        )
        try:
            if len(session.input_shape) == 3:  # of one image, as torchvision exports them
                for value in values.to(session.input_dtype):
                    yield session.run(value.contiguous())
            elif card.layout == "torchvision":
                for value in values:
                    yield from run_parts(session, value[None])
            else:
                yield from run_parts(session, values)
        except Exception as error:  # the runtimes' exceptions have no common base
            shown = ["?" if side is None else side for side in session.input_shape]
            raise ValueError(
                f"{session.backend} cannot run it on images of shape {tuple(values.shape)}: it "
                f"takes {shown} ({one_line(error)}); correct input_wh or axes in its card"
            ) from None

    return run


def layers_run(network: nn.Module, device: torch.device) -> Run:
    """The layers of torch, of a network that gives one output."""
    network = network.to(device).eval()

    def run(images: Tensor) -> Iterator[Sequence[Tensor]]:
        yield [network(images.to(device))]

    return run


class TorchvisionDetector:
    """A detector of torchvision's, which resizes the images by itself.

    Args:
        network: In evaluation mode; takes a list of ``(3, H, W)`` between 0 and 1.
        device: Where.
        threshold: Lowest score of a box.
        summary: What was loaded, in plain words.
    """

    PERSON = 1

    def __init__(
        self, network: nn.Module, device: torch.device, threshold: float, summary: str
    ) -> None:
        self.network, self.device = network.to(device).eval(), device
        self.threshold, self.summary = threshold, summary

    @torch.inference_mode()
    def __call__(self, images: Sequence[Image]) -> list[PersonBoxes]:
        """The persons in RGB images; see `pose_hrnet.inference.detector.Detector`."""
        if not len(images):
            return []
        pixels = [torch.from_numpy(np.array(image)).to(self.device) for image in images]
        found = self.network([each.permute(2, 0, 1).float() / 255 for each in pixels])
        results = []
        for image, each in zip(images, found, strict=True):
            is_person = each["labels"] == self.PERSON
            boxes, scores = each["boxes"][is_person], each["scores"][is_person]
            columns = boxes.double().cpu().numpy(), scores.double().cpu().numpy()
            results.append(PersonBoxes.inside(image, *columns, self.threshold))
        return results


class FunctionDetector:
    """Any function as a detector.

    Args:
        function: Takes a list of RGB images, and gives for each its boxes: ``(N, 4)`` left, top,
            right and bottom in image pixels; ``(N, 5)``, with the score; or both as a pair.
        threshold: Lowest score of a box; boxes without one have 1.
    """

    def __init__(self, function: Callable[[Sequence[Image]], Any], threshold: float) -> None:
        self.function, self.threshold = function, threshold
        self.summary = f"detector: the function {getattr(function, '__name__', repr(function))}"

    def __call__(self, images: Sequence[Image]) -> list[PersonBoxes]:
        """The persons in RGB images; see `pose_hrnet.inference.detector.Detector`.

        Raises:
            ValueError: If the function gives other things than boxes.
        """
        found = list(self.function(images))
        if len(found) != len(images):
            raise ValueError(
                f"the detector gave boxes for {counted(len(found), 'image')} of "
                f"{len(images)}; it is to give one array for each"
            )
        return [
            PersonBoxes.inside(image, *_columns(each), self.threshold)
            for image, each in zip(images, found, strict=True)
        ]


def _columns(found: Any) -> tuple[Float64, Float64]:
    """Boxes and scores of what a function gave for an image."""
    if isinstance(found, PersonBoxes):
        found = found.boxes_xyxy, found.scores
    pair = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    boxes = np.asarray(pair[0], np.float64)
    boxes = boxes.reshape(-1, 4) if boxes.size == 0 else boxes
    scores = None if pair[1] is None else np.asarray(pair[1], np.float64)
    if scores is None and boxes.ndim == 2 and boxes.shape[1] == 5:
        boxes, scores = boxes[:, :4], boxes[:, 4]
    if scores is None:
        scores = np.ones(len(boxes))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != (len(boxes),):
        raise ValueError(
            f"the detector gave boxes of shape {boxes.shape} and scores of shape {scores.shape}; "
            "expected (N, 4) left, top, right, bottom, and (N,)"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("the detector gave boxes or scores that are not finite")
    return boxes, scores
