"""Cameras and streams: the newest frame alone, however long the last one took.

A thread of its own takes every frame as it comes, so that none waits in a driver or in a socket;
who asks gets the last of them, and the others are counted. Nothing is kept, so that memory does
not grow.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import cv2

from pose_hrnet.inference.video.frames import Facts, Frame, VideoError, Window
from pose_hrnet.inference.video.opencv import rgb
from pose_hrnet.system.text import counted

log = logging.getLogger(__name__)

OPEN_MS, READ_MS = 10_000, 5_000
"""Milliseconds that a stream may take until it answers, and from frame to frame."""
_BETWEEN_TRIES_S = 1.0
_MOST_LAG_FRAMES = 30
"""Frames in a row that may come late, until the connection is made anew."""


class Capture(Protocol):
    """What is asked of OpenCV's ``VideoCapture``."""

    def isOpened(self) -> bool: ...

    def read(self) -> tuple[bool, Any]: ...

    def get(self, what: int, /) -> float: ...

    def release(self) -> None: ...


class LiveSource:
    """A camera or a network stream.

    Args:
        address: Number of a camera, path of its device, or an address.
        name: What messages call it.
        stem: What files are called.
        window: What is taken: seconds since the first frame, and numbers of those that came.
        max_latency: Seconds; an older frame is left out.
        patience: Seconds without a frame after which the source has ended; it is opened anew
            meanwhile.
        capture: Opens it.
        clock: Seconds.

    Attributes:
        dropped: Frames that came and were not taken, as there were newer ones.
        reconnects: How often it was opened anew.
        latency: Seconds from the arrival of the last frame that was taken to when it was taken.

    Raises:
        VideoError: If it cannot be opened.
    """

    is_live = True

    def __init__(
        self,
        address: int | str,
        *,
        name: str,
        stem: str,
        window: Window,
        max_latency: float = 1.0,
        patience: float = 30.0,
        capture: Callable[[int | str], Capture] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.stem, self.window = name, stem, window
        self.max_latency, self.patience, self._clock = max_latency, patience, clock
        self._address, self._open = address, capture or open_capture
        self.facts = Facts()
        self.total: int | None = None
        self.notes: list[str] = []
        self.remarks: list[str] = []
        self._asked: Callable[[], object] = bool
        self.dropped = self.reconnects = 0
        self.latency = 0.0
        self._first = self._open(address)
        if not self._first.isOpened():
            self._first.release()
            raise VideoError(_why_closed(address, name))
        self._newest: tuple[int, float, Any] | None = None
        self._arrived, self._began = 0, 0.0
        self._ended = False
        self._failure: Exception | None = None
        self._change = threading.Condition()
        self._closing = threading.Event()
        self._last_s = clock()
        # A daemon: a driver that hangs must not keep the program.
        self._thread = threading.Thread(target=self._take, daemon=True)

    def __iter__(self) -> Iterator[Frame]:
        """From now on; once."""
        self._last_s = self._clock()
        self._thread.start()
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        due = 0
        while (taken := self._next()) is not None:
            index, arrived, image = taken
            time_s = arrived - self._began
            if self.window.is_over(time_s):
                break
            if index < due or time_s < self.window.start_s:
                continue  # left out on purpose
            due = index + self.window.every
            self.latency = self._clock() - arrived
            if self.latency > self.max_latency:
                with self._change:  # the thread counts, too
                    self.dropped += 1
                continue
            yield Frame(index, time_s, rgb(image))
        self.close()
        if self._failure is not None:
            raise self._failure
        if self.reconnects:
            self.remarks.append(
                f"{self.name}: it stalled or was cut off, and was opened anew "
                f"{counted(self.reconnects, 'time')}"
            )
        if self._ended:
            self.remarks.append(f"{self.name}: no frame for {self.patience:g} s; it has ended")
        if not self._arrived and not self._asked():
            raise VideoError(
                f"{self.name} was opened and gave no frame in {self.patience:g} s; look whether "
                "another program has it, and whether it sends"
            )

    def _next(self) -> tuple[int, float, Any] | None:
        """The newest frame, once there is one that was not given; None at the end."""
        with self._change:
            while self._newest is None:
                if self._ended or self._closing.is_set() or self._asked():
                    return None
                self._change.wait(0.2)  # not for ever: signals are looked at in between
            taken, self._newest = self._newest, None
            return taken

    def _take(self) -> None:
        """Take frames as they come, and open the source anew when it stalls; in a thread."""
        capture: Capture | None = self._first
        try:
            while capture is not None:
                try:
                    self._take_all(capture)
                finally:
                    capture.release()
                capture = self._opened_anew()
                self.reconnects += capture is not None
        except Exception as error:  # told in the thread that asks for frames
            self._failure = error
        finally:
            with self._change:
                self._ended = not self._closing.is_set()
                self._change.notify_all()

    def _take_all(self, capture: Capture) -> None:
        """Until the source gives no more, or falls behind its own clock."""
        least, late = float("inf"), 0
        while not self._closing.is_set():
            read, image = _read(capture)
            if not read or image is None:
                if not self._closing.is_set():
                    log.warning("%s: no frame comes; it is opened anew", self.name)
                return
            now = self._last_s = self._clock()
            self._began = self._began if self._arrived else now
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if stamp > 0:
                # What the source sent earlier than it came, beyond the least of all frames,
                # has waited on its way.
                least = min(least, now - stamp)
                late = late + 1 if now - stamp - least > self.max_latency else 0
            with self._change:
                if self._newest is not None:
                    self.dropped += self.window.every == 1
                self._newest = (self._arrived, now, image)
                self._arrived += 1
                self._change.notify_all()
            if late > _MOST_LAG_FRAMES:
                log.warning("%s: frames come late; it is opened anew without them", self.name)
                return

    def _opened_anew(self) -> Capture | None:
        """None once it is closed, or did not come back."""
        while not self._closing.is_set() and self._clock() - self._last_s < self.patience:
            capture = self._open(self._address)
            if capture.isOpened():
                return capture
            capture.release()
            self._closing.wait(_BETWEEN_TRIES_S)
        return None

    def stop_if(self, asked: Callable[[], object]) -> None:
        """Let it end early, once what is asked between frames is true."""
        self._asked = asked

    def state(self) -> str:
        """Frames dropped so far, and how old the last one was."""
        return f"{self.dropped:,} dropped, {1000 * self.latency:.0f} ms old"

    def close(self) -> None:
        """Stop; the thread ends by itself."""
        self._closing.set()
        with self._change:
            self._change.notify_all()
        if self._thread.ident is None:  # it was never begun, and lets go of nothing
            self._first.release()


def _read(capture: Capture) -> tuple[bool, Any]:
    try:
        return capture.read()
    except cv2.error:
        return False, None


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
