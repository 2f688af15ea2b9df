"""What a job will take, from a sample of its images that is read and posed here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pose_hrnet.deploy.bulk.columns import BulkEstimator
from pose_hrnet.deploy.bulk.images import BulkImage
from pose_hrnet.deploy.bulk.job import Job
from pose_hrnet.deploy.bulk.parts import Part, Task, tasks_of
from pose_hrnet.deploy.bulk.read import archive_members, on_disk, read_task
from pose_hrnet.deploy.bulk.rows import Counts
from pose_hrnet.deploy.bulk.store import encoded
from pose_hrnet.deploy.bulk.tables import file_table
from pose_hrnet.inference.video.frames import VideoError, Window
from pose_hrnet.inference.video.sources import open_source
from pose_hrnet.system.progress import SILENT, Progress

OPENED = 4
"""Videos, and archives, that are opened: for a sample, and to see how many images they hold."""
BLOCK = 64
"""Images that are read, and then posed, at once."""


@dataclass(frozen=True)
class Estimate:
    """What was measured on a sample, and what follows for all.

    Attributes:
        images: How many there are in all, about, where videos or archives are among them; frames
            count as images.
        counts: What the sample holds.
        read_s: Seconds of one processor to read and decode an image.
        pose_s: Seconds of one device to find and pose the persons in an image.
        row_bytes: Written for an image.
    """

    images: int
    counts: Counts
    read_s: float
    pose_s: float
    row_bytes: float

    @property
    def readers(self) -> float:
        """Processors that a device keeps busy."""
        return self.read_s / self.pose_s

    @property
    def device_hours(self) -> float:
        """Of all images, where the readers keep up."""
        return self.images * self.pose_s / 3600


def estimate(
    job: Job, bulk: BulkEstimator, count: int, *, progress: Progress = SILENT
) -> Estimate:
    """Read and pose some images of a job, spread over it; nothing is written.

    Args:
        job: What is to be done.
        bulk: Model and detector.
        count: Images of the sample, about.
        progress: Watches.

    Raises:
        ValueError: If none of the sample can be read.
    """
    read_s = pose_s = 0.0
    counts, written, seen = Counts(), 0, 0
    sample = _sample(job, count)
    with progress.task("dry run", total=count, unit="images") as bar:
        while True:
            began = time.perf_counter()
            images = list(islice(sample, BLOCK))
            read_s += time.perf_counter() - began
            if not images:
                break
            if not seen:
                bulk.rows_of(images[:1])  # what is slow the first time
            began = time.perf_counter()
            columns = bulk.rows_of(images)
            pose_s += time.perf_counter() - began
            table = file_table(columns)
            counts += Counts.of(table)
            written += len(encoded(table, job.fmt))
            seen += len(images)
            bar.advance(len(images))
    if counts.errors == seen:
        raise ValueError(f"none of a sample of {seen} can be read: {counts.failures[0]}")
    return Estimate(_total(job), counts, read_s / seen, pose_s / seen, written / seen)


def _sample(job: Job, count: int) -> Iterator[BulkImage]:
    """Some images, evenly spread over the inputs; of videos and archives the first ones."""
    images = [part for part in job.parts if part.kind == "image"]
    streams = _spread([part for part in job.parts if part.kind != "image"], OPENED)
    share = count if not streams else -(-count // 2) if images else 0
    of_all = sum(len(part.paths) for part in images)
    chosen = set(np.linspace(0, of_all - 1, min(share, of_all)).astype(int).tolist())
    first = 0
    for part in images:
        items = [place for place in range(len(part.paths)) if first + place in chosen]
        first += len(part.paths)
        for task in tasks_of(part, boxes=job.boxes, items=items):
            yield from (read.image for read in read_task(task))
    for part in streams:
        (task,) = tasks_of(part, boxes=job.boxes, every=job.every)
        most = max(1, (count - share) // len(streams))
        yield from (read.image for read in islice(read_task(task), most))


def _total(job: Job) -> int:
    """How many images there are, about: of several videos or archives a few are counted."""
    total = sum(len(part.paths) for part in job.parts if part.kind == "image")
    for kind in ("video", "archive"):
        parts = [part for part in job.parts if part.kind == kind]
        opened = _spread(parts, OPENED)
        if opened:
            held = sum(_held(task) for part in opened for task in tasks_of(part, every=job.every))
            total += round(held / len(opened) * len(parts))
    return total


def _held(task: Task) -> int:
    """Images of a video or an archive; 1 if that is not known, or it cannot be read."""
    ((_, path),) = task.items
    try:
        if task.kind == "archive":
            return len(archive_members(path))
        with on_disk(path) as file:
            source = open_source(file, Window(every=task.every))
            source.close()
            return source.total or 1
    except (VideoError, OSError, ValueError):
        return 1


def _spread(parts: list[Part], most: int) -> list[Part]:
    """At most so many of the parts, evenly spread."""
    return [parts[n] for n in np.linspace(0, len(parts) - 1, min(most, len(parts))).astype(int)]


__all__ = ["Estimate", "estimate"]
