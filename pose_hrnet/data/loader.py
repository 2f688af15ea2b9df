"""Which crops an epoch has, in which order, and which of several processes takes which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from pose_hrnet.keypoints.records import People

SampleKey: TypeAlias = tuple[int, int]
"""(epoch, index): all that a sample depends on besides the data set and its seed."""


@dataclass(frozen=True)
class Share:
    """One process's part of an epoch's order.

    The order is dealt out like cards, in blocks of one batch: block b goes to process
    b mod `world_size`. The batches of all processes in one step are then the same samples whatever
    the number of processes, as long as `world_size` * `batch_size` is the same; so a run goes on
    with the next sample when it is resumed with another number of them.

    Attributes:
        rank: This process's number.
        world_size: How many processes there are.
        batch_size: Samples of a batch, of one process.
        even: As many samples for each process, as training needs, whose processes step together:
            what is left after the last whole round is shared out equally, up to `world_size` - 1
            samples from the beginning of the order filling it up (as `DistributedSampler` of
            PyTorch does), so that the number of steps is the same for any number of processes.
            False: every sample exactly once, as evaluation needs; the last round may be short.
    """

    rank: int = 0
    world_size: int = 1
    batch_size: int = 1
    even: bool = True

    def of(self, order: NDArray[np.integer], start: int = 0) -> NDArray[np.integer]:
        """This process's samples, in order.

        Args:
            order: ``(N,)`` samples of the epoch.
            start: How many of them all processes together have had already.
        """
        rest = order[start:]
        if self.even and len(rest) % self.world_size:
            rest = np.concatenate([rest, np.resize(order, -len(rest) % self.world_size)])
        whole = len(rest) - len(rest) % (self.world_size * self.batch_size)
        rounds = rest[:whole].reshape(-1, self.world_size, self.batch_size)
        left = rest[whole:]
        block = len(left) // self.world_size if self.even else self.batch_size
        last = left[self.rank * block : (self.rank + 1) * block]
        return np.concatenate([rounds[:, self.rank].ravel(), last])

    def count(self, total: int, start: int = 0) -> int:
        """How many of `total` samples `of` gives."""
        return len(self.of(np.arange(total), start))


class EpochSampler(Sampler[SampleKey]):
    """Yields the ``(epoch, index)`` keys of one epoch, or of one process's share in it.

    Set `epoch` before each pass; the keys carry it into the loader's processes, so that they can
    stay alive between epochs.

    Args:
        people: The persons to go through.
        shuffle: Random order, from ``(seed, epoch)``; else image by image, so that each image is
            read once for all its persons.
        seed: Seed of the order.
        whole_images: Shuffle the images, and keep the persons of one together: they then mostly
            share a batch, which reads their image once.
        batch_size: The loader's; matters where there are several processes.
        rank: Number of the process, and
        world_size: how many there are; see `Share`.
        even: As many keys for each process; False: every person exactly once.

    Attributes:
        epoch: The epoch that the next pass gives.
        start: How many persons of the epoch the next pass leaves out: those that a run which is
            continued in the middle has seen, in all processes together.
    """

    def __init__(
        self,
        people: People,
        *,
        shuffle: bool,
        seed: int = 0,
        whole_images: bool = False,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
        even: bool = True,
    ) -> None:
        self.image_index = people.image_index
        self.shuffle = shuffle
        self.seed = seed
        self.whole_images = whole_images
        self.share = Share(rank, world_size, batch_size, even)
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        return self.share.count(len(self.image_index), self.start)

    def __iter__(self) -> Iterator[SampleKey]:
        rows = self.share.of(self._order(), self.start)
        return iter([(self.epoch, row) for row in rows.tolist()])

    def _order(self) -> NDArray[np.intp]:
        rank: NDArray[np.integer] = self.image_index
        if self.shuffle:
            rng = np.random.default_rng((self.seed, self.epoch))
            if not self.whole_images:
                return rng.permutation(len(rank))
            rank = rng.permutation(int(rank.max(initial=-1)) + 1)[rank]
        return np.argsort(rank, kind="stable")


__all__ = ["EpochSampler", "SampleKey", "Share"]
