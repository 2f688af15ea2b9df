"""The newest frame of a camera or a stream: a thread takes all of them, so that none waits.

It begins when the source is opened: what comes while models are loaded would else wait in a driver
or in a socket, and be old when it is read. Nothing is kept, so that memory does not grow.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import cv2

from pose_hrnet.inference.video.frames import VideoError
from pose_hrnet.inference.video.lateness import ByClock, ByWaiting, Lateness
from pose_hrnet.inference.video.opencv import quiet

log = logging.getLogger(__name__)

OPEN_MS, READ_MS = 10_000, 5_000
"""Milliseconds that a stream may take until it answers, and from frame to frame."""
_BETWEEN_TRIES_S = 1.0
_LET_GO_S = 1.0 + OPEN_MS / 1000
"""Seconds that a program which ends waits for its camera."""
_MOST_LAG_FRAMES = 30
"""Frames in a row that may come late, until the connection is made anew."""


class Capture(Protocol):
    """What is asked of OpenCV's ``VideoCapture``."""

    def isOpened(self) -> bool: ...

    def read(self) -> tuple[bool, Any]: ...

    def get(self, what: int, /) -> float: ...

    def release(self) -> None: ...


@dataclass(frozen=True)
class Limits:
    """How long is waited.

    Attributes:
        max_latency: Seconds by which frames may come late.
        patience: Seconds without a frame after which the source has ended; it is opened anew
            meanwhile.
    """

    max_latency: float = 1.0
    patience: float = 30.0


class Taken(NamedTuple):
    """A frame.

    Attributes:
        number: Of those that came since `Newest.begin`.
        came_s: When it came, seconds.
        late_s: How much longer it was on its way than others, seconds.
        image: As OpenCV has it.
    """

    number: int
    came_s: float
    late_s: float
    image: Any


class Newest:
    """Takes frames as they come, from now on, and opens the source anew when it stalls.

    Args:
        address: Number of a camera, path of its device, or an address.
        name: What messages call it.
        limits: How long is waited.
        capture: Opens it; None: OpenCV.
        clock: Seconds.

    Attributes:
        arrived: Frames that came since `begin`.
        began_s: When the first of them came.
        dropped: How many of them nobody asked for, as there were newer ones.
        reconnects: How often the source was opened anew.
        has_ended: Whether it ended by itself.
        failure: What failed in the thread.

    Raises:
        VideoError: If it cannot be opened.
    """

    def __init__(
        self,
        address: int | str,
        name: str,
        limits: Limits,
        capture: Callable[[int | str], Capture] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.limits, self._clock = name, limits, clock
        self._address, self._open = address, capture or open_capture
        with quiet():
            first = self._open(address)
        if not first.isOpened():
            first.release()
            raise VideoError(_why_closed(address, name))
        self.arrived = self.dropped = self.reconnects = 0
        self.began_s, self._last_s = 0.0, clock()
        self.has_ended = False
        self.failure: Exception | None = None
        self._frame: Taken | None = None
        self._change = threading.Condition()
        self._closing = threading.Event()
        # A daemon: a driver that hangs must not keep the program.
        self._thread = threading.Thread(target=self._run, args=(first,), daemon=True)
        self._thread.start()
        atexit.register(self._at_exit)

    def begin(self) -> None:
        """Count from here: the newest frame, if there is one, is the first."""
        with self._change:
            self.arrived = self.dropped = 0
            if self._frame is not None:
                self._frame = self._frame._replace(number=0)
                self.arrived, self.began_s = 1, self._frame.came_s

    def take(self, asked: Callable[[], object]) -> Taken | None:
        """The newest frame, once there is one that was not given; None at the end.

        Args:
            asked: Whether to wait no longer.
        """
        with self._change:
            while self._frame is None:
                if self.has_ended or self._closing.is_set() or asked():
                    return None
                self._change.wait(0.2)  # not for ever: signals are looked at in between
            taken, self._frame = self._frame, None
            return taken

    def close(self) -> None:
        """Stop; the thread lets go of the source, and ends by itself."""
        self._closing.set()
        with self._change:
            self._change.notify_all()

    def _at_exit(self) -> None:
        """Python must not end while OpenCV reads: coming back to it would abort the process."""
        self.close()
        self._thread.join(_LET_GO_S)

    def _run(self, capture: Capture | None) -> None:
        try:
            while capture is not None:
                try:
                    self._read_all(capture)
                finally:
                    capture.release()
                capture = self._opened_anew()
                self.reconnects += capture is not None
        except Exception as error:  # told in the thread that asks for frames
            self.failure = error
        finally:
            with self._change:
                self.has_ended = not self._closing.is_set()
                self._change.notify_all()
            atexit.unregister(self._at_exit)

    def _read_all(self, capture: Capture) -> None:
        """Until the source gives no more, or its frames come late."""
        lateness: Lateness | None = None
        late = 0
        while not self._closing.is_set():
            asked, read, image = self._clock(), False, None
            with quiet(), suppress(cv2.error):
                read, image = capture.read()
            if not read or image is None:
                if not self._closing.is_set():
                    log.warning("%s: no frame comes; it is opened anew", self.name)
                return
            now = self._clock()
            lateness = lateness or (ByWaiting() if self._has_no_clock(capture) else ByClock())
            late_s = lateness.of(asked, now, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            late = late + 1 if late_s > self.limits.max_latency else 0
            self._put(now, late_s, image)
            if late > _MOST_LAG_FRAMES:
                log.warning("%s: frames come late; it is opened anew without them", self.name)
                return

    def _has_no_clock(self, capture: Capture) -> bool:
        """Whether frames do not say when they were sent.

        So it is with pictures one after the other over HTTP: FFmpeg counts them, 25 in a second,
        whatever the camera does.
        """
        over_http = str(self._address).startswith(("http:", "https:"))
        return over_http and capture.get(cv2.CAP_PROP_FOURCC) == _MOTION_JPEG

    def _put(self, now: float, late_s: float, image: Any) -> None:
        with self._change:
            self._last_s = now
            self.began_s = self.began_s if self.arrived else now
            self.dropped += self._frame is not None
            self._frame = Taken(self.arrived, now, late_s, image)
            self.arrived += 1
            self._change.notify_all()

    def _opened_anew(self) -> Capture | None:
        """None once it is closed, or did not come back."""
        while not self._closing.is_set() and self._clock() - self._last_s < self.limits.patience:
            with quiet():
                capture = self._open(self._address)
            if capture.isOpened():
                return capture
            capture.release()
            self._closing.wait(_BETWEEN_TRIES_S)
        return None


_MOTION_JPEG = cv2.VideoWriter.fourcc(*"MJPG")


def open_capture(address: int | str) -> Capture:
    """OpenCV's capture of a camera or a stream."""
    if isinstance(address, int):
        camera = cv2.VideoCapture(address)
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return camera
    backend = cv2.CAP_ANY if address.startswith("/dev/") else cv2.CAP_FFMPEG
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
    return cv2.VideoCapture(address, backend, [] if backend == cv2.CAP_ANY else limits)


def _why_closed(address: int | str, name: str) -> str:
    if isinstance(address, int) or address.startswith("/dev/"):
        return (
            f"{name} cannot be opened: there is none of that number, another program has it, or "
            "this user may not read it"
        )
    return (
        f"{name} cannot be opened: nothing answers there, it asks for a password, or what it "
        "sends is no video; try the address in a player"
    )
