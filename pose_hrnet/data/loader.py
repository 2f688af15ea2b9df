"""Batches of crops: their order, which process takes which, and the way to the device."""

from __future__ import annotations

import atexit
import signal
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from pose_hrnet.data.crops import Crop, CropBatch, CropDataset, SampleKey
from pose_hrnet.keypoints.records import People
from pose_hrnet.system.device import usable_cores


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
        key: NDArray[np.integer] = self.image_index
        if self.shuffle:
            rng = np.random.default_rng((self.seed, self.epoch))
            if not self.whole_images:
                return rng.permutation(len(key))
            key = rng.permutation(int(key.max(initial=-1)) + 1)[key]
        return np.argsort(key, kind="stable")


def crop_loader(
    dataset: CropDataset,
    *,
    batch_size: int,
    workers: int,
    shuffle: bool = False,
    sampler: Sampler[SampleKey] | None = None,
    pin_memory: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Crop]:
    """Batches of crops; set ``loader.sampler.epoch`` before each training epoch.

    Its processes stay alive between epochs: end them with `end_workers`.

    Args:
        dataset: The crops.
        batch_size: B of every batch but perhaps the last.
        workers: Loader processes, at most as many as there are cores; 0 loads in this one.
        shuffle: Random order (training), else image by image.
        sampler: Another order; None: an `EpochSampler`.
        pin_memory: Page-locked batches, for CUDA.
        rank: Number of this process, and
        world_size: how many share the batches out among them, each whole: unshuffled, each batch
            is as one process would have it, and no person comes twice. A `sampler` that is given
            has its own.
    """
    workers = min(workers, usable_cores())
    if workers:
        # The processes are the parallelism. Where they are forked it must be said before: a child
        # that touches OpenCV's thread pool, which fork does not copy, waits forever.
        cv2.setNumThreads(0)
    if sampler is None:
        sampler = EpochSampler(
            dataset.people,
            shuffle=shuffle,
            seed=dataset.seed,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
            even=shuffle,
        )
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=_set_up_worker,
        # Its own, so that making an iterator leaves the network's random numbers as they are.
        generator=torch.Generator(),
    )
    _LOADERS.add(loader)
    return loader


_LOADERS: weakref.WeakSet[DataLoader[Crop]] = weakref.WeakSet()
"""Those whose processes may live."""


def end_workers(loader: DataLoader[Crop]) -> None:
    """End the processes of a loader that is no longer needed; it may be used again.

    They go with the loader, but that may live on in what waits for the garbage collector, such as
    an exception somewhere below the function that made it; processes that are forked meanwhile
    inherit it, and complain. PyTorch has no public way to say that it is done with.
    """
    iterator, loader._iterator = loader._iterator, None
    if isinstance(iterator, _MultiProcessingDataLoaderIter):
        # Not left to its end: the traceback of an error holds it.
        iterator._shutdown_workers()


@atexit.register
def _end_all_workers() -> None:
    """Before `multiprocessing` waits for those that the one SIGTERM it sends does not end."""
    for loader in list(_LOADERS):
        end_workers(loader)


def _set_up_worker(worker: int) -> None:
    """What a loader process begins with."""
    # Signals may go to all processes of a group: Ctrl-C, a closed terminal's, and SIGTERM of a
    # batch system. The main process decides what they mean, and ends this one; insistence does as
    # well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    # Where loader processes are spawned, not forked, they start with OpenCV's default.
    if cv2.getNumThreads() > 1:
        cv2.setNumThreads(0)


def _as_it_is(batch: Any) -> Any:
    """The batch, which `CropDataset` has collated."""
    return batch


def on_device(batches: Iterable[CropBatch], device: torch.device) -> Iterator[CropBatch]:
    """Batches whose pixels and keypoints lie on the device; the other columns stay on the host.

    On CUDA each batch is copied one ahead of its use, on a stream of its own, from the
    page-locked memory that `crop_loader` gives with ``pin_memory``. Pixels travel as uint8, a
    quarter of their size in float32. Elsewhere they are moved out of the memory that a loader
    process shares with this one: that costs a file descriptor for each column, as long as it is
    kept, and many batches may make one step.

    Args:
        batches: From a loader.
        device: Where the network is.
    """
    if device.type != "cuda":
        yield from map(_unshared, batches)
        return
    # PyTorch has not typed it.
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    ahead: tuple[CropBatch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(copies):
            sent = _sent(batch, device)
            # An event for each batch: to wait for the stream would be to wait for the next one.
            event = copies.record_event()
        if ahead is not None:
            yield _arrived(*ahead)
        ahead = sent, event
    if ahead is not None:
        yield _arrived(*ahead)


def _unshared(batch: CropBatch) -> CropBatch:
    """The batch, in memory of this process."""
    if not batch.pixels.is_shared():  # type: ignore[no-untyped-call]
        return batch
    return CropBatch(*(column.clone() for column in batch))


def _sent(batch: CropBatch, device: torch.device) -> CropBatch:
    """The batch, with copies under way."""
    return batch._replace(
        pixels=batch.pixels.to(device, non_blocking=True),
        keypoints_input=batch.keypoints_input.to(device, non_blocking=True),
        visible=batch.visible.to(device, non_blocking=True),
    )


def _arrived(batch: CropBatch, event: torch.cuda.Event) -> CropBatch:
    """Let the work that is queued from now on, but not this process, wait for the copies."""
    current = torch.cuda.current_stream(batch.pixels.device)
    current.wait_event(event)
    for copy in (batch.pixels, batch.keypoints_input, batch.visible):
        copy.record_stream(current)  # its memory was taken for the other stream
    return batch
