"""The poses of a video drawn into it, in a thread of their own."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from types import TracebackType

import cv2

from pose_hrnet.inference.video.stream import PosedFrame
from pose_hrnet.inference.video.writer import VideoWriter
from pose_hrnet.keypoints.records import Image
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.text import one_line
from pose_hrnet.system.threads import Behind
from pose_hrnet.visualize.poses import draw_poses

log = logging.getLogger(__name__)

WAITING_BYTES = 2**27
"""Frames of so many bytes may wait to be drawn."""


class Overlay:
    """Draws frames behind the network, and records them; a ``with`` block finishes the file.

    A frame that cannot be drawn or written costs the rest of the overlay, which is said, and
    nothing else.

    Args:
        writer: Where they go; None: they are drawn only, to be shown.
        skeleton: Whose keypoints are drawn.
        min_score: Keypoints below it are not drawn.
        shift_s: What the times of the file are less than those of the frames.

    Attributes:
        latest: The last frame that was drawn.
        failure: Why there are no more; empty if there are.
    """

    def __init__(
        self, writer: VideoWriter | None, skeleton: Skeleton, min_score: float, shift_s: float
    ) -> None:
        self.latest: Image | None = None
        self.failure = ""
        self._writer, self._skeleton = writer, skeleton
        self._min_score, self._shift_s = min_score, shift_s
        self._behind = Behind(WAITING_BYTES)

    def add(self, frame: PosedFrame) -> None:
        """Draw a frame and write it, as soon as there is time."""
        self._behind.do(partial(self._draw, frame), frame.image.nbytes)

    def _draw(self, frame: PosedFrame) -> None:
        if self.failure:
            return
        poses = frame.poses
        try:
            drawn = draw_poses(
                frame.image,
                poses.keypoints_image,
                poses.keypoint_scores,
                skeleton=self._skeleton,
                min_score=self._min_score,
                labels=None if poses.track_ids is None else poses.track_ids.tolist(),
            )
            if self._writer is not None:
                self._writer.add(drawn, frame.time_s - self._shift_s)
            self.latest = drawn
        except (OSError, ValueError, RuntimeError, cv2.error) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failure = f"{one_line(error)}; no more of the overlay is drawn"
        log.error("%s; the poses go on", self.failure)

    def __enter__(self) -> Overlay:
        self._behind.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._behind.__exit__(None, None, None)  # what waits is drawn, whatever happened
        finally:
            self._finish()

    def _finish(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.finish()
        except (OSError, ValueError, RuntimeError) as wrong:
            if not self.failure:
                self._fail(wrong)


class Viewer:
    """Shows frames while they are predicted, until its user closes it.

    Args:
        title: Of it.

    Raises:
        ValueError: If there is no screen, or this OpenCV has no windows.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        # On a machine without a screen, OpenCV's windows end the whole program.
        screens = ("DISPLAY", "WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
            raise ValueError("--show needs a screen, and there is none here; leave it out")
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise ValueError(
                f"--show: this OpenCV opens no windows ({one_line(error, 100)}); install "
                "opencv-python in place of opencv-python-headless"
            ) from None

    def show(self, image: Image | None) -> bool:
        """Show a frame; False once the user closed the window or pressed q or Escape."""
        if image is not None:
            cv2.imshow(self.title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
            return False
        return image is None or cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Take it away."""
        cv2.destroyWindow(self.title)
