"""`BulkEstimator`: images in, columns of plain values out, which every engine takes.

A row is a person. An image without persons, or one that could not be read or posed, is a row of
its own, so that every image that went in is found in what came out.

| column | |
| --- | --- |
| ``path`` | of the image, the video, or ``archive.tar/member`` |
| ``frame_index``, ``time_s`` | of a frame of a video, else null |
| ``width``, ``height`` | of the upright image; null if it could not be read |
| ``person`` | from 0, in its image; null where there is none |
| ``box_xyxy`` | left, top, right, bottom in image pixels |
| ``score`` | of the pose: box score times mean keypoint score |
| ``keypoints`` | x, y of each keypoint in image pixels |
| ``keypoint_scores`` | of each |
| ``error`` | one sentence, or null |
| ``model``, ``model_sha256`` | what posed it |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.deploy.bulk.images import BulkImage, called, read_image
from pose_hrnet.inference.detector import Source, detect_stream
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.inference.options import ModelOptions
from pose_hrnet.keypoints.oks import times
from pose_hrnet.keypoints.records import Float32, Float64, Image, Poses
from pose_hrnet.models.weights.identity import identity_of
from pose_hrnet.system.choices import Backend
from pose_hrnet.system.defaults import CROPS_PER_PASS, DEFAULT_WEIGHTS, PICTURES
from pose_hrnet.system.files import few_digits
from pose_hrnet.system.text import in_utf8, one_line

Columns: TypeAlias = dict[str, list[Any]]
"""Name of each column, and its values of plain types: int, float, str, lists, None."""

KINDS: Mapping[str, str] = {
    "path": "string",
    "frame_index": "bigint",
    "time_s": "double",
    "width": "int",
    "height": "int",
    "person": "int",
    "box_xyxy": "array<float>",
    "score": "float",
    "keypoints": "array<array<float>>",
    "keypoint_scores": "array<float>",
    "error": "string",
    "model": "string",
    "model_sha256": "string",
}
"""Type of each column in their order, as Spark's SQL names it."""

SPARK_SCHEMA = ", ".join(f"{name} {kind}" for name, kind in KINDS.items())
"""What ``mapInPandas`` takes for a schema."""


class Sick(ValueError):
    """Nothing can be posed any more, whatever the image: the device, or the process, is broken."""


class BulkEstimator:
    """Poses of many images as columns; an image that fails is a row with its error.

    Args:
        estimator: Model and detector.
        model: Its name in the rows.
        sha256: As of `identity_of`, likewise.

    Example:
        >>> bulk = BulkEstimator.load("default", detector="yolox_s")  # doctest: +SKIP
        >>> columns = bulk(["a.jpg", "b.jpg"])  # doctest: +SKIP
        >>> pandas.DataFrame(columns)  # doctest: +SKIP
    """

    def __init__(self, estimator: PoseEstimator, *, model: str, sha256: str) -> None:
        self.estimator = estimator
        self.model, self.sha256 = model, sha256

    @classmethod
    def load(
        cls,
        checkpoint: str | Path = DEFAULT_WEIGHTS,
        *,
        detector: Source | None = None,
        threshold: float = PICTURES,
        backend: Backend = "auto",
        device: str = "auto",
        flip_test: bool | None = None,
        batch_size: int = CROPS_PER_PASS,
    ) -> BulkEstimator:
        """With any model and detector, by the fastest that is installed.

        Args:
            checkpoint: As of `load_model`.
            detector: As of `load_detector`; None: boxes are given, or an image is one person.
            threshold: Lowest score of a detector's box.
            backend: What runs both; as of `load_model`.
            device: ``auto``, ``cpu``, ``cuda`` ...
            flip_test: As of `load_model`.
            batch_size: Crops per forward pass.

        Raises:
            OSError: If there is no such file, or it cannot be downloaded.
            ValueError: If it is no model, or no detector.
        """
        options = ModelOptions(
            checkpoint,
            detector,
            threshold,
            backend=backend,
            device=device,
            flip_test=flip_test,
            batch_size=batch_size,
        )
        estimator = PoseEstimator.of(options)
        return cls(estimator, model=str(checkpoint), sha256=identity_of(checkpoint).sha256)

    def __call__(
        self,
        paths: Sequence[str],
        contents: Sequence[bytes] | None = None,
        boxes: Sequence[ArrayLike] | None = None,
    ) -> Columns:
        """The rows of image files.

        Args:
            paths: What the rows call them; they are read from there if no bytes are given.
            contents: The bytes of each file; None: not at hand.
            boxes: ``(N, 5)`` left, top, right, bottom and score of the persons in each, or
                ``(N, 4)`` without scores; None: those of the detector, or without one the whole
                image.

        Raises:
            ValueError: If there are not as many of each.
        """
        for name, given in (("contents", contents), ("boxes", boxes)):
            if given is not None and len(given) != len(paths):
                raise ValueError(f"{len(given)} {name} for {len(paths)} paths; give one for each")
        return self.rows_of([
            read_image(
                str(path),
                None if contents is None else contents[row],
                None if boxes is None else boxes[row],
            )
            for row, path in enumerate(paths)
        ])  # fmt: skip

    def rows_of(self, images: Sequence[BulkImage]) -> Columns:
        """The rows of images that are read, in their order.

        Batches of persons go on over the ends of the images. What fails in a batch is tried image
        by image, so that an error belongs to its image alone; then a blank image is tried, too.

        Args:
            images: As they were read.

        Raises:
            Sick: If the blank one fails, so that no image can be told from a good one.
        """
        found: dict[int, Poses] = {}
        errors = {row: each.error for row, each in enumerate(images) if each.error is not None}
        whole = [(row, each) for row, each in enumerate(images) if row not in errors]
        try:
            found.update(self._poses(whole))
        except Exception:  # of runtimes and detectors of others, which have no common base
            for row, each in whole:
                try:
                    found.update(self._poses([(row, each)]))
                except Exception as error:
                    errors[row] = f"{called(each.path)} could not be posed ({one_line(error)})"
            if any(row in errors for row, _ in whole):
                self._check()
        rows = [
            _persons(found[row]) if row in found else nobody(errors.get(row))
            for row in range(len(images))
        ]
        return joined(images, rows, model=self.model, sha256=self.sha256)

    def _check(self) -> None:
        """Find persons and poses in a blank image."""
        blank = np.zeros((64, 64, 3), np.uint8)
        whole = np.array([[0, 0, 64, 64, 1]], np.float64)
        try:
            list(self._poses([(0, BulkImage("", blank)), (1, BulkImage("", blank, boxes=whole))]))
        except Exception as error:
            raise Sick(
                f"model or detector fail, also at a blank image ({one_line(error)}); look at the "
                "device, then run the same command again"
            ) from error

    def _poses(self, images: Sequence[tuple[int, BulkImage]]) -> Iterator[tuple[int, Poses]]:
        """The finished poses of each image, as `predict_files` has them."""
        stream = self.estimator.predict_stream(self._boxes(images))
        for (row, box_scores), _, poses in stream:
            yield row, self.estimator.model.finish(times(poses, box_scores))

    def _boxes(
        self, images: Sequence[tuple[int, BulkImage]]
    ) -> Iterator[tuple[tuple[int, Float32], Image, Float32 | Float64]]:
        """Row and ``(N,)`` box scores, image, and ``(N, 4)`` boxes."""
        detector = self.estimator.detector
        pictures = [
            (row, each.image, each.boxes) for row, each in images if each.image is not None
        ]
        if detector is not None:
            unknown = ((row, image) for row, image, boxes in pictures if boxes is None)
            for row, image, found in detect_stream(detector, unknown):
                yield (row, found.scores), image, found.boxes_xyxy
        for row, image, boxes in pictures:
            if boxes is not None or detector is None:
                known = np.array([[0, 0, image.shape[1], image.shape[0], 1]], np.float64)
                known = known if boxes is None else boxes
                yield (row, known[:, 4].astype(np.float32)), image, known[:, :4]


def joined(
    images: Sequence[BulkImage], rows: Sequence[Columns], *, model: str, sha256: str
) -> Columns:
    """All columns, of what is known of the persons in each image.

    Args:
        images: As they were read.
        rows: Of each the columns from ``person`` to ``error``; see `nobody`.
        model: Its name.
        sha256: Of its file.
    """
    columns: Columns = {name: [] for name in KINDS}
    for each, values in zip(images, rows, strict=True):
        count = len(values["person"])
        height, width = (None, None) if each.image is None else each.image.shape[:2]
        of_image = {
            "path": in_utf8(each.path),
            "frame_index": each.frame_index,
            "time_s": each.time_s,
            "width": width,
            "height": height,
            "model": model,
            "model_sha256": sha256,
        }
        for name, column in columns.items():
            column += values[name] if name in values else [of_image[name]] * count
    return columns


def _persons(poses: Poses) -> Columns:
    """The rows of an image: one for each person, or one that says that there is none."""
    if not len(poses):
        return nobody(None)
    return {
        "person": list(range(len(poses))),
        "box_xyxy": few_digits(poses.boxes_xyxy).tolist(),
        "score": few_digits(poses.scores).tolist(),
        "keypoints": few_digits(poses.keypoints_image).tolist(),
        "keypoint_scores": few_digits(poses.keypoint_scores).tolist(),
        "error": [None] * len(poses),
    }


def nobody(error: str | None) -> Columns:
    """The row of an image without persons, or of one that failed."""
    columns: Columns = {
        name: [None] for name in ("person", "box_xyxy", "score", "keypoints", "keypoint_scores")
    }
    return columns | {"error": [None if error is None else in_utf8(error)]}


def image_numbers(columns: Columns) -> NDArray[np.intp]:
    """``(R,)`` which image each row is of, from 0: a new one begins with person 0, or nobody."""
    return np.cumsum([not person for person in columns["person"]]) - 1


def rows_by_image(columns: Columns) -> list[list[dict[str, Any]]]:
    """For each image its rows, for engines that want one value for each input, such as Daft."""
    images: list[list[dict[str, Any]]] = []
    for row in zip(*columns.values(), strict=True):
        values = dict(zip(columns, row, strict=True))
        if not values["person"]:
            images.append([])
        images[-1].append(values)
    return images


__all__ = [
    "KINDS",
    "SPARK_SCHEMA",
    "BulkEstimator",
    "Columns",
    "Sick",
    "image_numbers",
    "joined",
    "nobody",
    "rows_by_image",
]
