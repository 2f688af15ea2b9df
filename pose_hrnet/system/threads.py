"""Work beside work: reading ahead of the network, and drawing behind it, in threads.

Decoding images, resampling, the network and drawing all leave Python's lock while they work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item], depth: int = 2) -> Generator[Item, None, None]:
    """Go through something in another thread, up to `depth` items ahead of who takes them.

    Order and errors are as without it.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming: deque[Future[list[Item]]] = deque()
        try:
            coming.extend(pool.submit(_one, source) for _ in range(depth))
            while item := coming.popleft().result():
                coming.append(pool.submit(_one, source))
                yield item[0]
        finally:
            pool.shutdown(cancel_futures=True)


def _one(source: Iterator[Item]) -> list[Item]:
    """The next item in a list, which is empty at the end."""
    return list(islice(source, 1))


class Behind:
    """Does work in another thread, piece by piece, while its ``with`` block goes on.

    Args:
        room: How much may wait; with more, who hands over a piece waits for the oldest.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self._pool = ThreadPoolExecutor(1, "behind")
        self._waiting: deque[tuple[Future[None], int]] = deque()

    def do(self, work: Callable[[], None], size: int = 1) -> None:
        """Hand over a piece of work; an error of an earlier one is raised here, or at the end.

        Args:
            work: What to do.
            size: How much of the room it takes while it waits.
        """
        while self._waiting and (self._waiting[0][0].done() or self._taken() + size > self.room):
            self._waiting.popleft()[0].result()
        self._waiting.append((self._pool.submit(work), size))

    def _taken(self) -> int:
        return sum(size for _, size in self._waiting)

    def __enter__(self) -> Behind:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            for piece, _ in self._waiting:
                piece.result()
