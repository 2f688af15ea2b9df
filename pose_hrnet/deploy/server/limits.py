"""What one client may ask for, and what all of them together may hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pose_hrnet.system.defaults import (
    SERVED_BODY_MB,
    SERVED_IMAGES,
    SERVED_MEGAPIXELS,
    SERVED_QUEUE,
)
from pose_hrnet.system.text import counted, gigabytes


@dataclass(frozen=True)
class Limits:
    """Of a server.

    Attributes:
        max_body_bytes: Of a request.
        max_pixels: Of an image, by its header.
        max_images: In a request.
        max_persons: Boxes of an image.
        max_queue: Images that are not answered yet, of all requests.
        held_bytes: Of all bodies and pixels in memory.
        body_seconds: For a body to come.
        decode_seconds: For an image to be decoded.
    """

    max_body_bytes: int = SERVED_BODY_MB * 10**6
    max_pixels: int = SERVED_MEGAPIXELS * 10**6
    max_images: int = SERVED_IMAGES
    max_persons: int = 300
    max_queue: int = SERVED_QUEUE
    held_bytes: int = 2**30
    body_seconds: float = 60.0
    decode_seconds: float = 20.0


class Refused(Exception):
    """A request, or one image of it, that is answered with a sentence and no poses.

    Attributes:
        status: Of HTTP.
        retry_after: Seconds after which it is worth another try; None: it is not.
        unread: Whether the client may still be sending, so that the connection has to end.
    """

    def __init__(
        self, status: int, sentence: str, *, retry_after: int | None = None, unread: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after
        self.unread = unread


class House:
    """What is in the server now: images that wait, and bytes.

    Args:
        limits: How much there may be.

    Attributes:
        images: That are not answered yet.
        held_bytes: Of bodies and pixels.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.images = 0
        self.held_bytes = 0

    def check_room(self, images: int = 1) -> None:
        """Refuse images that there is no place for.

        Raises:
            Refused: 503.
        """
        if self.images + images > self.limits.max_queue:
            waiting = counted(self.images, "image")
            raise Refused(503, f"{waiting} wait already; try again later", retry_after=1)

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

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """An account of the bytes of one request, which are given back after the block."""
        held = Held(self)
        try:
            yield held
        finally:
            self.held_bytes -= held.count


class Held:
    """Bytes that one request holds."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.count = 0

    def add(self, count: int) -> None:
        """Take room for so many more.

        Raises:
            Refused: 503, if there is none.
        """
        house = self.house
        if house.held_bytes + count > house.limits.held_bytes:
            held = gigabytes(house.held_bytes)
            raise Refused(
                503, f"requests hold {held} of memory already; try again later", retry_after=1
            )
        house.held_bytes += count
        self.count += count


__all__ = ["Held", "House", "Limits", "Refused"]
