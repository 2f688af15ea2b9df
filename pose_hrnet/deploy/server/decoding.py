"""Bytes of clients -> RGB pixels, in threads that have their time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import TypeVar

from pose_hrnet.data.images import ImageError, decode_rgb
from pose_hrnet.deploy.server.limits import Refused, Reservation
from pose_hrnet.keypoints.records import Image

_NO_THREAD = "all decoders are busy; try again later"
_TURNS = 3
"""Times the seconds of a piece of work that one waits for a thread."""
Result = TypeVar("Result")


def decode(name: str, data: bytes) -> Image:
    """``(H, W, 3)`` RGB, upright.

    Raises:
        Refused: If it is damaged.
    """
    try:
        return decode_rgb(name, data)
    except ImageError as error:
        raise Refused(422, str(error)) from None


class Decoders:
    """Threads that decode and cut, each piece of work within its time.

    A thread cannot be stopped: one that is over its time is lost until it ends by itself, and
    what headers allow is bounded so that it does. Until then it holds what it works on, whether
    or not its client has gone.

    Args:
        seconds: For a piece of work, from its beginning.
        count: Of threads; None: as many as there are cores.
    """

    def __init__(self, seconds: float, count: int | None = None) -> None:
        self.seconds = seconds
        self.count = count or min(16, os.cpu_count() or 1)
        self._began: dict[asyncio.Event, float] = {}  # work that has not ended; of the loop alone
        self._pool = ThreadPoolExecutor(self.count, "decoder")

    @property
    def stuck(self) -> int:
        """Threads that are over their time."""
        late = monotonic() - self.seconds
        return sum(began <= late for began in self._began.values())

    @property
    def all_stuck(self) -> bool:
        """Whether none is left to work."""
        return self.stuck >= self.count

    async def run(
        self,
        work: Callable[..., Result],
        *arguments: object,
        memory: Sequence[Reservation] = (),
    ) -> Result:
        """Do a piece of work in one of the threads; who is cancelled costs no other.

        Args:
            work: What.
            arguments: Of it.
            memory: Is held until the work has ended.

        Raises:
            Refused: 422 if it takes too long; 503 if no thread is left.
        """
        if self.all_stuck:
            raise Refused(503, _NO_THREAD, retry_after=10)
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def begin() -> Result:
            loop.call_soon_threadsafe(self._note, begun)
            return work(*arguments)

        for reservation in memory:
            reservation.hold()
        future = self._pool.submit(begin)
        result = asyncio.wrap_future(future)
        result.add_done_callback(partial(self._ended, begun, memory))
        try:
            try:
                await asyncio.wait_for(begun.wait(), _TURNS * self.seconds)
            except asyncio.TimeoutError:
                raise Refused(503, _NO_THREAD, retry_after=10) from None
            return await asyncio.wait_for(asyncio.shield(result), self.seconds)
        except asyncio.TimeoutError:
            raise Refused(
                422, f"it took longer than {self.seconds:g} s to decode; send a smaller image"
            ) from None
        finally:
            future.cancel()  # if it has not begun

    def _note(self, begun: asyncio.Event) -> None:
        self._began[begun] = monotonic()
        begun.set()

    def _ended(
        self, begun: asyncio.Event, memory: Sequence[Reservation], result: asyncio.Future[Result]
    ) -> None:
        self._began.pop(begun, None)
        begun.set()
        for reservation in memory:
            reservation.release()
        if not result.cancelled():
            result.exception()  # is no news where nobody waits for it any more

    def close(self) -> None:
        """End the threads that are idle; the others when they are."""
        self._pool.shutdown(wait=False, cancel_futures=True)


__all__ = ["Decoders", "decode"]
