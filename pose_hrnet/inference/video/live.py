"""Cameras and streams as a source: the newest frame alone, however long the last one took."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator

from pose_hrnet.inference.video.frames import Facts, Frame, VideoError, Window
from pose_hrnet.inference.video.newest import Capture, Limits, Newest
from pose_hrnet.inference.video.opencv import rgb
from pose_hrnet.system.text import counted


class LiveSource:
    """A camera or a network stream.

    Who asks gets the last frame that came, and the others are counted.

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
        latency: Seconds from the arrival of the last frame that was taken to when it was taken,
            and by how much it came late.

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
        self.facts = Facts()
        self.total: int | None = None
        self.notes: list[str] = []
        self.remarks: list[str] = []
        self.latency = 0.0
        self._clock, self._limits = clock, Limits(max_latency, patience)
        self._asked: Callable[[], object] = bool
        self._old = 0
        self._newest = Newest(address, name, self._limits, capture, clock)
        # Who forgets it, lets go of the camera.
        weakref.finalize(self, self._newest.close)

    @property
    def dropped(self) -> int:
        """How many came and were not taken, since it is read."""
        return self._old + (self._newest.dropped if self.window.every == 1 else 0)

    @property
    def reconnects(self) -> int:
        """How often it was opened anew."""
        return self._newest.reconnects

    def __iter__(self) -> Iterator[Frame]:
        """From now on; once."""
        self._newest.begin()
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        due = given = 0
        while (taken := self._newest.take(self._asked)) is not None:
            index, time_s = taken.number, taken.came_s - self._newest.began_s
            if self.window.is_over(time_s):
                break
            if index < due or time_s < self.window.start_s:
                continue  # left out on purpose
            due = index + self.window.every
            self.latency = self._clock() - taken.came_s + taken.late_s
            if self.latency > self._limits.max_latency:
                self._old += 1
                continue
            given += 1
            yield Frame(index, time_s, rgb(taken.image))
        self.close()
        self._conclude(given)

    def _conclude(self, given: int) -> None:
        newest, patience = self._newest, self._limits.patience
        if newest.failure is not None:
            raise newest.failure
        if newest.reconnects:
            self.remarks.append(
                f"{self.name}: it stalled or was cut off, and was opened anew "
                f"{counted(newest.reconnects, 'time')}"
            )
        if newest.has_ended:
            self.remarks.append(f"{self.name}: no frame for {patience:g} s; it has ended")
        if not (given or self._asked()):
            raise VideoError(
                f"{self.name} ended before there was a frame to predict"
                if newest.arrived
                else f"{self.name} was opened and gave no frame in {patience:g} s; look whether "
                "another program has it, and whether it sends"
            )

    def stop_if(self, asked: Callable[[], object]) -> None:
        """Let it end early, once what is asked between frames is true."""
        self._asked = asked

    def state(self) -> str:
        """Frames dropped so far, and how old the last one was."""
        return f"{self.dropped:,} dropped, {1000 * self.latency:.0f} ms old"

    def close(self) -> None:
        """Stop; the camera is let go once it gave the frame that is waited for."""
        self._newest.close()
