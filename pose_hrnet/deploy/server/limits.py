"""What one client may ask for, and what all of them together may hold."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from pose_hrnet.system.defaults import (
    SERVED_BODY_MB,
    SERVED_IMAGES,
    SERVED_MEGAPIXELS,
    SERVED_QUEUE,
)
from pose_hrnet.system.text import counted, gigabytes

_LONGEST_WAIT = 60
"""Seconds that `Retry-After` says at most."""


@dataclass(frozen=True)
class Limits:
    """Of a server.

    Attributes:
        max_body_bytes: Of a request.
        max_pixels: Of an image, by its header.
        max_images: In a request.
        max_persons: Boxes of an image.
        max_queue: Images that are not answered yet, of all requests.
        body_bytes: Of all bodies in memory.
        pixel_bytes: Of all images in memory, with what decoding takes; one that takes more is
            decoded alone.
        crops: Of all images in memory; those of one always fit.
        body_seconds: For a body to come.
        decode_seconds: For an image to be decoded.
    """

    max_body_bytes: int = SERVED_BODY_MB * 10**6
    max_pixels: int = SERVED_MEGAPIXELS * 10**6
    max_images: int = SERVED_IMAGES
    max_persons: int = 300
    max_queue: int = SERVED_QUEUE
    body_bytes: int = 2**30
    pixel_bytes: int = 2**30
    crops: int = 2048
    body_seconds: float = 60.0
    decode_seconds: float = 20.0


class Refused(Exception):
    """A request, or one image of it, that is answered with a sentence and no poses.

    Attributes:
        status: Of HTTP.
        retry_after: Seconds after which it is worth another try; None: it is not.
    """

    def __init__(self, status: int, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


class Admission:
    """What is in the server now, and what may still come in.

    Args:
        limits: How much there may be.

    Attributes:
        images: That are not answered yet.
        body_bytes: Of bodies.
        pixels: Bytes of decoded images, which wait for them.
        crops: Of these images, likewise.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.images = 0
        self.body_bytes = 0
        self.pixels = Budget(limits.pixel_bytes)
        self.crops = Budget(limits.crops)
        self._done, self._busy_seconds = 0, 0.0

    def check(self, images: int = 1) -> None:
        """Refuse images that there is no place for.

        Raises:
            Refused: 503; 413 if there never is.
        """
        most = self.limits.max_queue
        if images > most:
            raise Refused(
                413,
                f"{counted(images, 'image')} came at once, and at most {most} may wait here; send "
                "fewer in a request",
            )
        if self.images + images > most:
            waiting = counted(self.images, "image")
            raise self.full(f"{waiting} wait already")

    @contextmanager
    def admit(self, images: int) -> Iterator[None]:
        """Count so many images in while the block runs.

        Raises:
            Refused: As by `check`.
        """
        self.check(images)
        self.images += images
        try:
            yield
        finally:
            self.images -= images
            self._done += images

    @contextmanager
    def body(self) -> Iterator[BodyQuota]:
        """The account of the body of one request, which is closed after the block."""
        quota = BodyQuota(self)
        try:
            yield quota
        finally:
            self.body_bytes -= quota.count

    def worked(self, seconds: float) -> None:
        """Note how long a device was busy."""
        self._busy_seconds += seconds

    def full(self, why: str) -> Refused:
        """The answer where something is full: when what waits is done, by what was done so far."""
        each = self._busy_seconds / max(self._done, 1)
        seconds = min(max(1, math.ceil(each * self.images)), _LONGEST_WAIT)
        return Refused(503, f"{why}; try again in {seconds} s", retry_after=seconds)


class BodyQuota:
    """Bytes that the body of one request has in memory."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.count = 0

    def add(self, count: int) -> None:
        """Take so many more.

        Raises:
            Refused: 503, if there are none now; 413, if there never are so many.
        """
        admission, most = self.admission, self.admission.limits.body_bytes
        if self.count + count > most:
            raise Refused(413, f"the body has more than {gigabytes(most)}, all that is taken here")
        if admission.body_bytes + count > most:
            raise admission.full(f"requests hold {gigabytes(admission.body_bytes)} already")
        admission.body_bytes += count
        self.count += count


class Reservation:
    """A part of a budget, given back when the last who holds it lets go.

    Args:
        give_back: Is called then.
    """

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._holders = 1

    def hold(self) -> None:
        """Hold it for one more: a thread that cannot be stopped keeps its memory."""
        self._holders += 1

    def release(self) -> None:
        """Let go, once for each who holds it."""
        self._holders -= 1
        if not self._holders:
            self._give_back()


class Budget:
    """So many of something, for which who comes first is served first.

    Args:
        size: How many; who wants more waits for all of them.

    Attributes:
        taken: How many are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taking(self, count: int) -> AsyncIterator[Reservation]:
        """So many while the block runs, or longer, if somebody holds them; they are waited for."""
        count = min(count, self.size)
        if self._waiting or self.taken + count > self.size:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((count, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # it was given, and nobody takes it
                    self._give(count)
                raise
        else:
            self.taken += count
        reservation = Reservation(lambda: self._give(count))
        try:
            yield reservation
        finally:
            reservation.release()

    def _give(self, count: int) -> None:
        self.taken -= count
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.done():
                if self.taken + wanted > self.size:
                    return
                self.taken += wanted
                turn.set_result(None)
            self._waiting.popleft()


__all__ = ["Admission", "BodyQuota", "Budget", "Limits", "Refused", "Reservation"]
