"""An image of a request -> its poses: decoded, its persons found, cut, and predicted in batches.

Decoding and cutting are done in the threads of `Decoders`; detector and network run in the one
thread of their device, where `Batcher` gathers what comes from all requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pose_hrnet.deploy.server.batcher import Batcher, Lane, Run
from pose_hrnet.deploy.server.bodies import Upload
from pose_hrnet.deploy.server.decoding import Decoders, decode
from pose_hrnet.deploy.server.headers import check_header
from pose_hrnet.deploy.server.limits import Admission, Refused, Reservation
from pose_hrnet.deploy.server.metrics import Metrics
from pose_hrnet.inference.detector import BATCH_IMAGES
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.pending import PendingImage, predicted
from pose_hrnet.keypoints.oks import times
from pose_hrnet.keypoints.records import Float32, Image, Poses
from pose_hrnet.system.text import counted, one_line
from pose_hrnet.visualize.pictures import jpeg_bytes

log = logging.getLogger(__name__)

POSE, DETECT = "pose", "detect"


@dataclass(frozen=True)
class Posed:
    """What became of an image.

    Attributes:
        name: As the client called it.
        width: Pixels of the upright image; 0: it could not be read.
        height: Likewise.
        poses: Of its persons; None: it has an error.
        overlay: JPEG of the image with its poses, if it was asked for.
        refused: The error.
    """

    name: str | None
    width: int = 0
    height: int = 0
    poses: Poses | None = None
    overlay: bytes | None = None
    refused: Refused | None = None


class Pipeline:
    """Predicts images of many requests at once.

    Args:
        estimators: One for each device, of the same model; who has a detector finds persons.
        admission: What may be in memory.
        metrics: Counts.
        max_batch: Crops of a pass.
        max_wait: Seconds that a crop waits for others.
    """

    def __init__(
        self,
        estimators: Sequence[PoseEstimator],
        admission: Admission,
        metrics: Metrics,
        *,
        max_batch: int,
        max_wait: float,
    ) -> None:
        self.estimator = estimators[0]
        self.admission = admission
        self.metrics = metrics
        self.decoders = Decoders(admission.limits.decode_seconds)
        self.batcher = Batcher(
            [Lane(POSE, max_batch), Lane(DETECT, BATCH_IMAGES)],
            [_runs(estimator) for estimator in estimators],
            max_wait=max_wait,
            watch=self._ran,
        )

    async def pose(
        self, uploads: Sequence[Upload], draw_above: float | None = None
    ) -> list[Posed]:
        """Predict the images of a request; an error belongs to its image alone.

        Args:
            uploads: The images.
            draw_above: Lowest score of keypoints in overlays; None: there are none.

        Returns:
            What became of each.

        Raises:
            Refused: If there is no place for them now.
        """
        with self.admission.admit(len(uploads)):
            tasks = [
                asyncio.ensure_future(self._one(f"number {place}", upload, draw_above))
                for place, upload in enumerate(uploads, 1)
            ]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()

    async def _one(self, title: str, upload: Upload, draw_above: float | None) -> Posed:
        try:
            limits = self.admission.limits
            found, most = len(upload.boxes_xyxy or ()), limits.max_persons
            if found > most:
                boxes = counted(found, "box")
                raise Refused(422, f"image {title} has {boxes}, and at most {most} are taken")
            drawn = draw_above is not None
            size = await self.decoders.run(check_header, title, upload.data, limits, drawn)
            async with self.admission.pixels.taking(size) as pixels:
                return await self._posed(title, upload, draw_above, pixels)
        except Refused as refused:
            self.metrics.refused_images.inc()
            return Posed(upload.name, refused=refused)
        except Exception as error:  # of a runtime; it is told to the operator, not to the client
            self.metrics.refused_images.inc()
            log.exception("an image could not be predicted (%s)", one_line(error))
            sentence = f"image {title} could not be predicted; the server's log says why"
            return Posed(upload.name, refused=Refused(500, sentence))

    async def _posed(
        self, title: str, upload: Upload, draw_above: float | None, pixels: Reservation
    ) -> Posed:
        image = await self.decoders.run(decode, title, upload.data, memory=[pixels])
        boxes, scores = await self._persons(image, upload)
        try:
            pending = self.estimator.pending(None, image, boxes)
        except ValueError as error:
            raise Refused(422, f"image {title}: {error}") from None
        async with self.admission.crops.taking(len(pending.frames)) as cut:
            crops = await self.decoders.run(_cut, pending, memory=[pixels, cut])
            for row, person in enumerate(await self._run(POSE, crops)):
                pending.put(row, *person)
        poses = times(pending.poses(), np.asarray(scores, np.float32))
        poses = self.estimator.model.finish(poses)
        overlay = None
        if draw_above is not None:
            overlay = await self.decoders.run(_drawn, poses, image, draw_above, memory=[pixels])
        self.metrics.images.inc()
        self.metrics.persons.inc(len(poses))
        height, width = image.shape[:2]
        return Posed(upload.name, width, height, poses, overlay)

    async def _persons(self, image: Image, upload: Upload) -> tuple[Any, Float32 | list[float]]:
        """``(N, 4)`` boxes and ``(N,)`` scores: of the client, of the detector, or the image."""
        height, width = image.shape[:2]
        if upload.boxes_xyxy is not None:
            return upload.boxes_xyxy, [1.0] * len(upload.boxes_xyxy)
        if self.estimator.detector is None:
            return [[0, 0, width, height]], [1.0]
        (found,) = await self._run(DETECT, [image])
        kept = slice(self.admission.limits.max_persons)
        return found.boxes_xyxy[kept], found.scores[kept]

    async def _run(self, lane: str, items: Sequence[Any]) -> list[Any]:
        return await asyncio.wrap_future(self.batcher.submit(lane, items))

    def health(self) -> str:
        """``ok``; ``stuck``: no decoder is free; ``failing``: a device fails, or ended."""
        if self.decoders.all_stuck:
            return "stuck"
        return "ok" if self.batcher.well else "failing"

    def _ran(self, lane: Lane, count: int, seconds: float) -> None:
        self.metrics.batch(lane, count, seconds)
        self.admission.worked(seconds)

    def close(self) -> None:
        """End all threads, once what they have is done."""
        self.batcher.close()
        self.decoders.close()


def _runs(estimator: PoseEstimator) -> dict[Any, Run]:
    """What one device runs."""
    runs: dict[Any, Run] = {POSE: lambda crops: list(predicted(estimator.model, crops))}
    if estimator.detector is not None:
        runs[DETECT] = estimator.detector
    return runs


def _cut(pending: PendingImage[None]) -> list[Image]:
    return [pending.crop(row) for row in range(len(pending.frames))]


def _drawn(poses: Poses, image: Image, min_score: float) -> bytes:
    try:
        return jpeg_bytes(poses.plot(image, min_score=min_score))
    except ValueError as error:
        raise Refused(422, str(error)) from None


__all__ = ["Pipeline", "Posed"]
