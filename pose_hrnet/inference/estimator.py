"""`PoseEstimator`: poses of the persons in RGB arrays; the package's main object in Python."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import ArrayLike

from pose_hrnet.inference.detector import Source, detect_stream, load_detector
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.inference.options import ModelOptions
from pose_hrnet.inference.pending import Batch, PendingImage
from pose_hrnet.inference.pictures import Picture, checked_boxes, rgb_of
from pose_hrnet.keypoints import geometry
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.oks import times
from pose_hrnet.keypoints.records import Image, Poses, object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.arguments import check_count
from pose_hrnet.system.choices import Backend, Precision
from pose_hrnet.system.defaults import CROPS_PER_PASS, DEFAULT_WEIGHTS
from pose_hrnet.system.text import counted
from pose_hrnet.system.threads import ahead

if TYPE_CHECKING:
    from pose_hrnet.inference.video.frames import Source as VideoSource
    from pose_hrnet.inference.video.sources import Given
    from pose_hrnet.inference.video.stream import PosedFrame

log = logging.getLogger(__name__)

BATCH_BYTES = 2**28
"""Images of so many bytes are a full batch: two dozen photographs of a telephone would be 1 GB."""

Key = TypeVar("Key")


class PoseEstimator:
    """Poses of the persons in RGB images.

    Args:
        model: From `load_model`, or around a network at hand; or the path of any model file, the
            name of published weights or an https address, which is loaded with the fastest
            arithmetic. What was chosen and why is the `summary`.
        batch_size: Crops per forward pass.
        detector: Finds the persons of images that come without boxes; what `load_detector` takes
            (docs/detection.md), such as ``yolox_s`` or a card. None: such an image is one person.

    Raises:
        OSError: If there is no such file, or it cannot be downloaded.
        ValueError: If the file is no pose model, or the batch size no number from 1 on.

    Example:
        >>> estimator = PoseEstimator("best.safetensors")  # doctest: +SKIP
        >>> poses = estimator(image, boxes_xyxy=[[10, 20, 110, 320]])  # doctest: +SKIP
        >>> poses.keypoints_image.shape  # doctest: +SKIP
        (1, 17, 2)
        >>> poses = PoseEstimator("default", detector="yolox_s")(image)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: PoseModel | str | Path,
        *,
        batch_size: int = CROPS_PER_PASS,
        detector: Source | None = None,
    ) -> None:
        check_count("batch_size", batch_size)
        if not isinstance(model, PoseModel):
            model = load_model(model, precision="auto")
        self.model = model
        self.card = model.card
        self.batch_size = batch_size
        self.detector = None if detector is None else load_detector(detector, precision="auto")

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = DEFAULT_WEIGHTS,
        *,
        backend: Backend = "auto",
        precision: Precision = "auto",
        device: str = "auto",
        flip_test: bool | None = None,
        batch_size: int = CROPS_PER_PASS,
        detector: Source | None = None,
    ) -> PoseEstimator:
        """Poses by published weights, which are downloaded once (docs/weights.md), or by a file.

        Args:
            name: As ``pose-hrnet weights list`` has it, an https address, or the path of a model;
                ``default``: the weights inside the package.
            backend: As of `load_model`, and so are precision, device and flip_test.
            precision: Arithmetic.
            device: Where it runs.
            flip_test: Average with the mirrored crop.
            batch_size: Crops per forward pass.
            detector: As of the class; it runs where the model runs.

        Raises:
            OSError: If there is no such file, or it cannot be downloaded or kept.
            ValueError: If the name is unknown, the file is no pose model, or another argument
                makes no sense.
        """
        options = ModelOptions(
            name,
            detector,
            backend=backend,
            precision=precision,
            device=device,
            flip_test=flip_test,
            batch_size=batch_size,
        )
        found = cls.of(options)
        log.info("%s", found.summary)
        return found

    from_checkpoint = from_pretrained
    """The name that it had before weights had names."""

    @classmethod
    def of(cls, options: ModelOptions) -> PoseEstimator:
        """Both models as asked for; errors as of `from_pretrained`."""
        model = options.load_model()
        return cls(model, batch_size=options.batch_size, detector=options.load_detector())

    @property
    def summary(self) -> str:
        """What was loaded, what runs it and why."""
        found_by = "" if self.detector is None else self.detector.summary
        return "\n".join(filter(None, (self.model.summary, self.model.choice.summary, found_by)))

    def __repr__(self) -> str:
        """The `summary` on one line."""
        return f"<PoseEstimator: {'; '.join(self.summary.splitlines())}>"

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that are predicted."""
        return self.card.skeleton

    def __call__(
        self,
        image: Picture | list[Picture],
        boxes_xyxy: ArrayLike | None = None,
        *,
        bgr: bool = False,
    ) -> Poses:
        """Predict the persons in one image, or in a list of them as `predict_images` does.

        Args:
            image: ``(H, W, 3)`` uint8 RGB, a tensor so or ``(3, H, W)``, a path, an http or https
                address, the bytes of a file, or an image of Pillow.
            boxes_xyxy: ``(N, 4)`` person boxes in image pixels; None: those of the detector, or
                without one the whole image.
            bgr: Whether arrays and tensors have blue first, as OpenCV's do; files say it.

        Returns:
            N poses in image pixels, in the order of the boxes; their image id is 0 and their
            score is the mean of the keypoint scores, times the score of a detector's box.

        Raises:
            ConnectionError: If an address does not give its image.
            FileNotFoundError: If there is no such file.
            ImageError: If the file holds no image.
            ValueError: If the image is not uint8 RGB, or a box is not four finite numbers with
                right > left and bottom > top.
        """
        if isinstance(image, list):
            boxes: Any = boxes_xyxy
            return self.predict_images(image, boxes, bgr=bgr)
        each = None if boxes_xyxy is None else [boxes_xyxy]
        return self.predict_images([image], each, bgr=bgr)

    def predict_images(
        self,
        images: Sequence[Picture],
        boxes_xyxy: Sequence[ArrayLike] | None = None,
        *,
        bgr: bool = False,
    ) -> Poses:
        """Predict the persons in several images, batched over all of them.

        Args:
            images: As of `__call__`, of any sizes.
            boxes_xyxy: ``(N_i, 4)`` for each image; None: as of `__call__`.
            bgr: As of `__call__`.

        Returns:
            The poses of all boxes in order; image ids are positions in `images`.

        Raises:
            ValueError: As `__call__`, or if there are not as many box arrays as images.
        """
        if isinstance(images, str | Path | bytes | PIL.Image.Image):
            raise ValueError(
                "predict_images takes several images; give a list, or call it for one"
            )
        arrays = [rgb_of(image, bgr=bgr) for image in images]
        box_scores: Sequence[ArrayLike] = [1.0] * len(arrays)
        if boxes_xyxy is None and self.detector is not None:
            boxes = [found for _, _, found in detect_stream(self.detector, enumerate(arrays))]
            boxes_xyxy = [each.boxes_xyxy for each in boxes]
            box_scores = [each.scores for each in boxes]
        elif boxes_xyxy is None:
            boxes_xyxy = [[[0, 0, image.shape[1], image.shape[0]]] for image in arrays]
        if len(boxes_xyxy) != len(images):
            raise ValueError(
                f"{counted(len(boxes_xyxy), 'array')} of boxes for "
                f"{counted(len(images), 'image')}; give one per image"
            )
        numbered = zip(range(len(images)), arrays, boxes_xyxy, strict=True)
        none = self.pending(None, np.empty((1, 1, 3), np.uint8), []).poses()
        found = [
            replace(
                times(poses, np.asarray(box_scores[number], np.float32)),
                image_ids=object_array([number] * len(poses)),
            )
            for number, _, poses in self.predict_stream(numbered)
        ]
        poses = Poses.concatenate([none, *found])
        return replace(poses, image=arrays[0]) if len(arrays) == 1 else poses

    def predict_stream(
        self, pictures: Iterable[tuple[Key, Image, ArrayLike]]
    ) -> Iterator[tuple[Key, Image, Poses]]:
        """Predict images as they come, batched over the persons of all of them.

        The next images are read and cut in another thread meanwhile. A batch is run when it is
        full, or when as many images as it has places, or `BATCH_BYTES` of them, wait for it. So
        no more are in memory than those of four batches: the last one, the one that is run, one
        that waits, and one that is being read.

        Args:
            pictures: What the caller knows an image by, the image, and its ``(N, 4)`` boxes.

        Yields:
            For each image, in order: what it is known by, the image, and its poses, whose image
            id is 0.

        Raises:
            ValueError: As `__call__`.
        """
        for batch in ahead(self._batches(pictures)):
            if batch.owners:
                batch.run(self.model)
            for pending in batch.finished:
                yield pending.key, pending.image, pending.poses()

    def stream(
        self,
        source: Given | VideoSource,
        *,
        start: float = 0.0,
        end: float | None = None,
        every: int = 1,
        rate: float | None = None,
        detect_every: int = 1,
        track: bool = True,
        smooth: bool = True,
    ) -> Iterator[PosedFrame]:
        """Predict a video, a camera or a stream, frame by frame (docs/video.md).

        Args:
            source: A file, an address, the number of a camera, image files in the order of time,
                or what `open_source` gave.
            start: Seconds; frames before it are left out.
            end: Seconds; likewise from it on.
            every: Each so many-th frame is predicted.
            rate: Frames a second of image files; 25.
            detect_every: Frames from one detection to the next at most; in between boxes come
                from the last keypoints.
            track: Whether persons have the same `Poses.track_ids` in all frames.
            smooth: Whether their keypoints are smoothed; the raw ones are kept beside.

        Returns:
            Frames with ``index``, ``time_s``, ``image`` and ``poses``; of live sources the newest
            one each time.

        Raises:
            FileNotFoundError: If there is no such file.
            VideoError: If it is no video, or gives no frame.

        Example:
            >>> for frame in estimator.stream("clip.mp4"):  # doctest: +SKIP
            ...     print(frame.time_s, frame.poses.track_ids)
        """
        from pose_hrnet.inference.video.frames import Window
        from pose_hrnet.inference.video.sources import open_source
        from pose_hrnet.inference.video.stream import Following, pose_frames

        how = Following(detect_every, track, smooth and track)
        if isinstance(source, str | int | Path | Sequence):
            source = open_source(source, Window(start, end, every), rate=rate)
        return pose_frames(self, source, how)

    def _batches(self, pictures: Iterable[tuple[Key, Image, ArrayLike]]) -> Iterator[Batch[Key]]:
        """Crops in batches that go on over the ends of images."""
        batch: Batch[Key] = Batch([], [], [])
        for key, image, boxes_xyxy in pictures:
            pending = self.pending(key, image, boxes_xyxy)
            for row in range(len(pending.frames)):
                if len(batch.crops) >= self.batch_size:  # in the middle of an image
                    yield batch
                    batch = Batch([], [], [])
                batch.crops.append(pending.crop(row))
                batch.owners.append((pending, row))
            batch.finished.append(pending)
            # Images without persons, or large ones, must not pile up in memory either.
            held = sum(waiting.image.nbytes for waiting in batch.finished)
            places = max(len(batch.crops), len(batch.finished))
            if places >= self.batch_size or held >= BATCH_BYTES:
                yield batch
                batch = Batch([], [], [])
        if batch.finished:
            yield batch

    def pending(self, key: Key, image: Image, boxes_xyxy: ArrayLike) -> PendingImage[Key]:
        """An image whose persons are still to be cut and predicted, by whoever makes batches.

        Args:
            key: What the caller knows it by.
            image: ``(H, W, 3)`` uint8 RGB.
            boxes_xyxy: ``(N, 4)`` image pixels.

        Raises:
            ValueError: As `__call__`.
        """
        codec, boxes = self.model.decoder.codec, checked_boxes(boxes_xyxy)
        frames = CropFrames.of_boxes(
            geometry.xyxy_to_xywh(boxes),
            codec.input_wh,
            codec.alignment,
            padding=self.card.box_padding,
        )
        return PendingImage.of(key, rgb_of(image), boxes, frames, codec.input_wh, self.skeleton)
