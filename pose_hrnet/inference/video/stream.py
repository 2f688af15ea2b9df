"""A source of frames -> poses with ids, smoothed, frame by frame.

Frames are decoded in one thread, persons found in the next, and posed in the caller's, in batches
that go on over the ends of frames. Live sources, and boxes between detections, go frame by frame.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.inference.detector import Detector, detect_stream
from pose_hrnet.inference.model import postprocess
from pose_hrnet.inference.video.between import BetweenDetections
from pose_hrnet.inference.video.frames import Frame, Source
from pose_hrnet.inference.video.smoothing import OneEuro
from pose_hrnet.inference.video.tracker import UNCONFIRMED, Tracker
from pose_hrnet.keypoints.records import Float32, Image, Poses, object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.arguments import check_count
from pose_hrnet.system.threads import ahead


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """A frame and the persons in it.

    Attributes:
        index: As of `Frame`, and so are time and image.
        time_s: Seconds.
        image: ``(H, W, 3)`` RGB.
        poses: The persons; their image id is the index. `Poses.track_ids` are theirs over all
            frames.
    """

    index: int
    time_s: float
    image: Image
    poses: Poses


@dataclass(frozen=True)
class Following:
    """How persons are followed over frames.

    Attributes:
        detect_every: Frames from one detection to the next at most; in between their boxes come
            from their last keypoints.
        track: Whether persons get ids.
        smooth: Whether their keypoints are smoothed, which needs ids.
        test: Rescores poses and removes duplicates, as an evaluation does.

    Raises:
        ValueError: If they contradict each other.
    """

    detect_every: int = 1
    track: bool = True
    smooth: bool = True
    test: EvaluateConfig | None = None

    def __post_init__(self) -> None:
        check_count("detect_every", self.detect_every)
        if not self.track and (self.smooth or self.detect_every > 1):
            raise ValueError(
                "smoothing, and boxes between detections, need to know who is who; leave the "
                "tracks on, or these off"
            )


USUALLY = Following()

_Posed: TypeAlias = tuple[Frame, Float32, Poses]
"""A frame, ``(N,)`` scores of its boxes, and its poses."""


class Poser(Protocol):
    """What is asked of a `PoseEstimator`."""

    detector: Detector | None

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that are predicted."""

    def predict_images(self, images: Any, boxes_xyxy: Any = None) -> Poses:
        """As of `PoseEstimator`."""

    def predict_stream(
        self, pictures: Iterable[tuple[Any, Image, ArrayLike]]
    ) -> Iterator[tuple[Any, Image, Poses]]:
        """As of `PoseEstimator`."""


def pose_frames(
    estimator: Poser, source: Source, how: Following = USUALLY
) -> Generator[PosedFrame, None, None]:
    """The frames of a source with the persons in them, in order, each once.

    Args:
        estimator: Its detector finds the persons; without one a frame is one person.
        source: Gives the frames; it is closed at the end.
        how: How persons are followed.

    Raises:
        VideoError: If there is no frame.
        ValueError: If the detector fails, or poses are not finite.
    """
    follower = _Follower(how, holds=not source.is_live)
    with closing(source):
        if source.is_live or follower.between is not None:
            posed = _one_by_one(estimator, source, follower.between)
        else:
            posed = _in_batches(estimator, source)
        with closing(posed):
            for frame, box_scores, poses in posed:
                yield from follower.follow(_finished(frame, box_scores, poses, estimator, how))
        yield from follower.rest()


def _in_batches(estimator: Poser, source: Source) -> Generator[_Posed, None, None]:
    for (frame, scores), _, poses in estimator.predict_stream(_persons(estimator, source)):
        yield frame, scores, poses


def _persons(
    estimator: Poser, source: Source
) -> Iterator[tuple[tuple[Frame, Float32], Image, ArrayLike]]:
    pictures = ((frame, frame.image) for frame in source)
    if estimator.detector is None:
        for frame, image in pictures:
            yield (frame, np.ones(1, np.float32)), image, _whole(image)
        return
    for frame, image, found in detect_stream(estimator.detector, pictures):
        yield (frame, found.scores), image, found.boxes_xyxy


def _one_by_one(
    estimator: Poser, source: Source, between: BetweenDetections | None
) -> Generator[_Posed, None, None]:
    # Decoding has to have ended, whatever happens here, before the source is closed.
    with nullcontext(source) if source.is_live else closing(ahead(source)) as frames:
        for frame in frames:
            boxes = None if between is None else between.boxes(frame.time_s)
            scores = np.ones(0 if boxes is None else len(boxes), np.float32)
            if estimator.detector is None:
                boxes, scores = _whole(frame.image), np.ones(1, np.float32)
            elif boxes is None:
                (found,) = estimator.detector([frame.image])
                boxes, scores = found.boxes_xyxy, found.scores
            yield frame, scores, estimator.predict_images([frame.image], [boxes])


def _whole(image: Image) -> Float32:
    """``(1, 4)`` the box that is all of an image."""
    return np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)


def _finished(
    frame: Frame, box_scores: Float32, poses: Poses, estimator: Poser, how: Following
) -> PosedFrame:
    """A frame's poses under its number, with their scores."""
    named = replace(
        poses,
        image_ids=object_array([frame.index] * len(poses)),
        scores=poses.scores * box_scores,
        skeleton=estimator.skeleton,
        image=None,
    )
    if how.test is not None:
        scored = replace(named, scores=box_scores)
        named = postprocess(scored, estimator.skeleton, how.test)
    numbered = replace(
        named,
        frame_index=np.full(len(named), frame.index, np.int64),
        time_s=np.full(len(named), frame.time_s),
        image=frame.image,
    )
    return PosedFrame(frame.index, frame.time_s, frame.image, numbered)


@dataclass
class _Follower:
    """Gives ids, and smooths.

    Args:
        how: What of it.
        holds: Whether a frame is held back until the next one is known, which confirms who was
            seen for the first time.
    """

    how: Following
    holds: bool
    between: BetweenDetections | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._tracker = Tracker() if self.how.track else None
        self._smoother = OneEuro() if self.how.smooth else None
        self._held: PosedFrame | None = None
        if self._tracker is not None and self.how.detect_every > 1:
            self.between = BetweenDetections(self._tracker, self.how.detect_every)

    def follow(self, frame: PosedFrame) -> Iterator[PosedFrame]:
        """Take in the next frame; give what is ready."""
        if self._tracker is None:
            yield frame
            return
        frame = replace(frame, poses=self._tracker.update(frame.poses, frame.time_s))
        if not self.holds:
            yield self._smoothed(frame)
            return
        if self._held is not None:
            yield self._smoothed(_confirmed(self._held, self._tracker.first_hits))
        self._held = frame

    def rest(self) -> Iterator[PosedFrame]:
        """The frame that was held back."""
        if self._held is not None:
            yield self._smoothed(self._held)
            self._held = None

    def _smoothed(self, frame: PosedFrame) -> PosedFrame:
        if self._smoother is None:
            return frame
        return replace(frame, poses=self._smoother.update(frame.poses, frame.time_s))


def _confirmed(frame: PosedFrame, first_hits: dict[int, int]) -> PosedFrame:
    """A frame in which persons have the ids that they got by being seen again."""
    ids = frame.poses.track_ids
    if ids is None or not first_hits:
        return frame
    ids = ids.copy()
    for row, number in first_hits.items():
        ids[row] = number if ids[row] == UNCONFIRMED else ids[row]
    return replace(frame, poses=replace(frame.poses, track_ids=ids))
