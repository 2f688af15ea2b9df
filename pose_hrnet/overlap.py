"""Work beside work: reading ahead of the network, and drawing behind it, in threads.

Decoding images, resampling, the network and drawing all leave Python's lock while they work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
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
        depth: Pieces that may wait; with more, who hands over one waits for the oldest.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._pool = ThreadPoolExecutor(1, "behind")
        self._waiting: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Hand over a piece of work; an error of an earlier one is raised here, or at the end."""
        while len(self._waiting) >= self.depth:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(work))

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
            for piece in self._waiting:
                piece.result()
