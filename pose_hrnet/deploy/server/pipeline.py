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
from pose_hrnet.deploy.server.decoding import Decoders, decode, read_header
from pose_hrnet.deploy.server.limits import Held, House, Refused
from pose_hrnet.deploy.server.metrics import Metrics
from pose_hrnet.inference.detector import BATCH_IMAGES
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.pending import PendingImage, predicted
from pose_hrnet.keypoints.oks import times
from pose_hrnet.keypoints.records import Float32, Image, Poses
from pose_hrnet.system.text import counted, one_line

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
        image: ``(H, W, 3)`` RGB; None likewise.
        refused: The error.
    """

    name: str | None
    width: int = 0
    height: int = 0
    poses: Poses | None = None
    image: Image | None = None
    refused: Refused | None = None


class Pipeline:
    """Predicts images of many requests at once.

    Args:
        estimators: One for each device, of the same model; who has a detector finds persons.
        house: What may be in memory.
        max_batch: Crops of a pass.
        max_wait: Seconds that a crop waits for others.
        metrics: Counts.
    """

    def __init__(
        self,
        estimators: Sequence[PoseEstimator],
        house: House,
        metrics: Metrics,
        *,
        max_batch: int,
        max_wait: float,
    ) -> None:
        self.estimator = estimators[0]
        self.house = house
        self.metrics = metrics
        self.decoders = Decoders(house.limits.decode_seconds)
        self.batcher = Batcher(
            [Lane(POSE, max_batch), Lane(DETECT, BATCH_IMAGES)],
            [_runs(estimator) for estimator in estimators],
            max_wait=max_wait,
            watch=metrics.batch,
        )

    async def pose(self, uploads: Sequence[Upload], held: Held) -> list[Posed]:
        """Predict the images of a request; an error belongs to its image alone.

        Args:
            uploads: The images.
            held: Account of the bytes of their pixels.

        Returns:
            What became of each.

        Raises:
            Refused: If there is no place for them now.
        """
        with self.house.guests(len(uploads)):
            tasks = [
                asyncio.ensure_future(self._one(upload, place, held))
                for place, upload in enumerate(uploads)
            ]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()

    async def _one(self, upload: Upload, place: int, held: Held) -> Posed:
        try:
            return await self._posed(upload, place, held)
        except Refused as refused:
            self.metrics.refused_images.inc()
            return Posed(upload.name, refused=refused)
        except Exception as error:  # of a runtime; it is told to the operator, not to the client
            self.metrics.refused_images.inc()
            log.exception("an image could not be predicted (%s)", one_line(error))
            return Posed(upload.name, refused=Refused(500, "this image could not be predicted"))

    async def _posed(self, upload: Upload, place: int, held: Held) -> Posed:
        name = repr(upload.name) if upload.name else f"number {place + 1}"
        limits = self.house.limits
        self._check_count(name, upload)
        header = read_header(name, upload.data, limits)
        held.add(header.rgb_bytes)
        image = await self.decoders.run(decode, name, upload.data)
        boxes, scores = await self._persons(image, upload)
        try:
            pending = self.estimator.pending(None, image, boxes)
        except ValueError as error:
            raise Refused(422, f"image {name}: {error}") from None
        crops = await self.decoders.run(_cut, pending)
        persons = await self._run(POSE, crops)
        for row, person in enumerate(persons):
            pending.put(row, *person)
        poses = times(pending.poses(), np.asarray(scores, np.float32))
        self.metrics.images.inc()
        self.metrics.persons.inc(len(poses))
        height, width = image.shape[:2]
        return Posed(upload.name, width, height, self.estimator.model.finish(poses), image)

    def _check_count(self, name: str, upload: Upload) -> None:
        found, most = len(upload.boxes_xyxy or ()), self.house.limits.max_persons
        if found > most:
            raise Refused(
                422, f"image {name} has {counted(found, 'box')}, and at most {most} are taken"
            )

    async def _persons(self, image: Image, upload: Upload) -> tuple[Any, Float32 | list[float]]:
        """``(N, 4)`` boxes and ``(N,)`` scores: of the client, of the detector, or the image."""
        height, width = image.shape[:2]
        if upload.boxes_xyxy is not None:
            return upload.boxes_xyxy, [1.0] * len(upload.boxes_xyxy)
        if self.estimator.detector is None:
            return [[0, 0, width, height]], [1.0]
        (found,) = await self._run(DETECT, [image])
        kept = slice(self.house.limits.max_persons)
        return found.boxes_xyxy[kept], found.scores[kept]

    async def _run(self, lane: str, items: Sequence[Any]) -> list[Any]:
        return await asyncio.wrap_future(self.batcher.submit(lane, items))

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


__all__ = ["Pipeline", "Posed"]
