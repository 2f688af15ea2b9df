"""What one client may ask for, and what all of them together may hold."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Iterator
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
        pixel_bytes: Of all images in memory, with what decoding takes; one always fits.
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


class House:
    """What is in the server now: images that wait, bytes of bodies, and pixels.

    Args:
        limits: How much there may be.

    Attributes:
        images: That are not answered yet.
        body_bytes: Of bodies.
        pixels: Room for bytes of decoded images, for which they wait.
        crops: Room for their crops, likewise.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.images = 0
        self.body_bytes = 0
        self.pixels = Room(limits.pixel_bytes)
        self.crops = Room(limits.crops)
        self._done, self._busy_seconds = 0, 0.0

    def check_room(self, images: int = 1) -> None:
        """Refuse images that there is no place for.

        Raises:
            Refused: 503.
        """
        if self.images + images > self.limits.max_queue:
            waiting = counted(self.images, "image")
            raise self.full(f"{waiting} wait already")

    @contextmanager
    def guests(self, images: int) -> Iterator[None]:
        """Places for so many images while the block runs.

        Raises:
            Refused: 503, if there are none.
        """
        self.check_room(images)
        self.images += images
        try:
            yield
        finally:
            self.images -= images
            self._done += images

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """An account of the body of one request, which is given back after the block."""
        held = Held(self)
        try:
            yield held
        finally:
            self.body_bytes -= held.count

    def worked(self, seconds: float) -> None:
        """Note how long a device was busy."""
        self._busy_seconds += seconds

    def full(self, why: str) -> Refused:
        """The answer where something is full: when what waits is done, by what was done so far."""
        each = self._busy_seconds / max(self._done, 1)
        seconds = min(max(1, math.ceil(each * self.images)), _LONGEST_WAIT)
        return Refused(503, f"{why}; try again in {seconds} s", retry_after=seconds)


class Held:
    """Bytes that the body of one request holds."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.count = 0

    def add(self, count: int) -> None:
        """Take room for so many more.

        Raises:
            Refused: 503, if there is none.
        """
        house = self.house
        if house.body_bytes + count > house.limits.body_bytes:
            raise house.full(f"requests hold {gigabytes(house.body_bytes)} already")
        house.body_bytes += count
        self.count += count


class Room:
    """Room for so many of something, in which who comes first is served first.

    Args:
        size: How many; who wants more waits for all of it.

    Attributes:
        taken: How many are there.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taking(self, count: int) -> AsyncIterator[None]:
        """So many while the block runs; they are waited for."""
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
        try:
            yield
        finally:
            self._give(count)

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


__all__ = ["Held", "House", "Limits", "Refused", "Room"]
