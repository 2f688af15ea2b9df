"""A job: parts of inputs -> a file of rows each, exactly once, however often it is killed.

A part's file appears whole, under a name that tells its inputs. What is there is done; what is
not there is done by whoever runs the same job next. ``_JOB.json`` says which job it is, and
``_SUMMARY.json`` that all of it is there.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from pose_hrnet.deploy.bulk.again import Pieces, tasks_again
from pose_hrnet.deploy.bulk.images import BulkImage, called
from pose_hrnet.deploy.bulk.parts import Boxes, Part, Task, digest_of, tasks_of
from pose_hrnet.deploy.bulk.read import ReadImage
from pose_hrnet.deploy.bulk.rows import Counts, Gap, PartRows
from pose_hrnet.deploy.bulk.store import Store, decoded, encoded
from pose_hrnet.deploy.bulk.tables import lost_table
from pose_hrnet.system.choices import RowFormat
from pose_hrnet.system.defaults import IMAGES_PER_TASK
from pose_hrnet.system.extras import __version__
from pose_hrnet.system.files import encode_json
from pose_hrnet.system.progress import SILENT, Bar, Progress
from pose_hrnet.system.text import counted, shown

log = logging.getLogger(__name__)

JOB, SUMMARY = "_JOB.json", "_SUMMARY.json"
LOST = 20
"""Images over which processes may die, in a job of any size."""
FORMAT = "pose-hrnet bulk rows, version 2"
EARLIER = "pose-hrnet bulk rows, version 1"
"""Of which the rows are the same, and fewer facts were kept."""

Engine: TypeAlias = Callable[[Iterable[Task]], Iterator[Any]]
"""Tasks -> tables of `row_table`, in any order; what a dead process had may be missing."""


@dataclass(frozen=True)
class Job:
    """What is to be done, and what its rows depend on.

    Attributes:
        parts: The inputs.
        fmt: Of the files.
        model: Name of the model.
        sha256: Of its file.
        settings: What else the rows depend on: plain values.
        boxes: Of the persons; None: a detector finds them, or each image is one.
        every: Of videos, each so many-th frame.
        images_per_task: Images that are read, and go to a device, at once; the rows do not
            depend on it.
        max_lost: Images over which processes may die in a run; with more it stops, and their
            parts are not written. None: `most_lost`.
    """

    parts: Sequence[Part]
    fmt: RowFormat
    model: str
    sha256: str
    settings: dict[str, Any] = field(default_factory=dict)
    boxes: Boxes | None = None
    every: int = 1
    images_per_task: int = IMAGES_PER_TASK
    max_lost: int | None = None

    def facts(self) -> dict[str, Any]:
        """What tells this job from another one: ``_JOB.json``."""
        return {
            "content": FORMAT,
            "format": self.fmt,
            "model": self.model,
            "model_sha256": self.sha256,
            "every": self.every,
            **self.settings,
            "files": len(self.parts),
            "inputs": digest_of(self.parts),
        }


def most_lost(count: int) -> int:
    """Of so many images or tables, how many may be lost to processes that die: one in a hundred,
    and of few of them some.
    """
    return max(LOST, count // 100)


@dataclass(frozen=True)
class Done:
    """What a run did, and what there is of the whole job.

    Attributes:
        counts: Of all files, those of earlier runs included.
        files: How many there are.
        earlier: How many of them were there before.
        images: That this run read.
        seconds: Of this run, without the time that its processes took to begin.
    """

    counts: Counts
    files: int
    earlier: int
    images: int
    seconds: float


def run_job(
    job: Job,
    store: Store,
    engine: Engine,
    *,
    again_errors: bool = False,
    progress: Progress = SILENT,
) -> Done:
    """Do what is not done of a job.

    Args:
        job: What is to be done.
        store: Where the files go.
        engine: What reads and poses.
        again_errors: Do files of earlier runs again, whole, in which there is an error.
        progress: Watches.

    Raises:
        OSError: If a file cannot be written; those that are there are whole.
        ValueError: If another job's files are there, or one of them is damaged.
    """
    sizes = store.sizes()
    _begin(job, store, sizes.keys())
    earlier = {
        part.number: _counts(job, store, part, sizes)
        for part in job.parts
        if part.file_name(job.fmt) in sizes
    }
    if again_errors:
        earlier = {number: counts for number, counts in earlier.items() if not counts.errors}
    waiting = {part.number: PartRows(part) for part in job.parts if part.number not in earlier}
    if earlier:
        log.info("%s of %s are there of an earlier run", len(earlier),
                 counted(len(job.parts), "file"))  # fmt: skip
    run = _Run(job, store, engine, waiting)
    streams = any(part.kind != "image" for part in job.parts)
    total = None if streams else sum(len(rows.part.paths) for rows in waiting.values())
    if waiting:
        with progress.task("bulk", total=total, unit="images") as bar:
            run.go(bar)
    counts = run.counts
    for there in earlier.values():
        counts += there
    done = Done(counts, len(job.parts), len(earlier), run.images, run.seconds)
    store.write(SUMMARY, encode_json(_summary(job, done)))
    return done


def _counts(job: Job, store: Store, part: Part, sizes: Mapping[str, int]) -> Counts:
    """How much is in a file of an earlier run: by what is said beside it, else by reading it.

    Raises:
        ValueError: If it is damaged.
    """
    name = part.file_name(job.fmt)
    if part.counts_name in sizes:
        with suppress(ValueError, TypeError, KeyError):  # not whole, or of a file before this one
            said = json.loads(store.read(part.counts_name))
            if said.pop("bytes") == sizes[name]:
                return Counts(**{**said, "failures": tuple(said["failures"])})
    return Counts.of(decoded(store.read(name), job.fmt, name))


def _begin(job: Job, store: Store, names: Collection[str]) -> None:
    """Say which job's files these are, unless it is said already.

    Raises:
        ValueError: If they are another job's.
    """
    facts = job.facts()
    if JOB not in names:
        strays = sorted(name for name in names if name.startswith("part-"))
        if strays:
            raise ValueError(
                f"the output holds {strays[0]}, but no {JOB} that says which job's it is; choose "
                "another --output"
            )
        store.create(JOB, encode_json(facts))  # and read it, as another driver may have been first
    try:
        there = json.loads(store.read(JOB))
        if not isinstance(there, dict):
            raise ValueError("no table")
    except ValueError:
        raise ValueError(
            f"{JOB} in the output is damaged; choose another --output, or remove that folder"
        ) from None
    if there.get("content") == EARLIER:
        there = {**facts, **there, "content": FORMAT}
    for name in [*facts, *(there.keys() - facts.keys())]:
        had, has = there.get(name), facts.get(name)
        if had != has:
            what = f"another {name} ({shown(had)}, and now {shown(has)})"
            if name in ("inputs", "files"):
                what = "other inputs"
            raise ValueError(
                f"the output holds the rows of a job with {what}; give what was given then to go "
                "on with it, or choose another --output"
            )


class _Run:
    """One run of a job: what comes out of the engine, into files."""

    def __init__(
        self, job: Job, store: Store, engine: Engine, waiting: dict[int, PartRows]
    ) -> None:
        self.job, self.store, self.engine, self.waiting = job, store, engine, waiting
        self.counts = Counts()
        self.images = 0
        self._began = time.monotonic()
        self.seconds = 0.0

    def go(self, bar: Bar) -> None:
        """All parts; what a dead process had once more, image by image, so that others live."""
        numbers = list(self.waiting)
        boxes, every = self.job.boxes, self.job.every
        self._take(
            (
                task
                for number in numbers
                for task in tasks_of(
                    self.job.parts[number],
                    boxes=boxes,
                    every=every,
                    images_per_task=self.job.images_per_task,
                )
            ),
            bar,
        )
        pieces = Pieces()
        while again := pieces.round(self._gaps()):
            if pieces.given_up > self._bound(pieces.given_up):
                break
            lost = sum(gap.images for gaps in again.values() for gap in gaps)
            log.warning("processes died over %s, which are tried one by one",
                        counted(lost, "image"))  # fmt: skip
            self._take(
                (
                    task
                    for number, gaps in again.items()
                    for task in tasks_again(self.job.parts[number], gaps, boxes=boxes, every=every)
                ),
                bar,
            )
        self._give_up()

    def _bound(self, lost: int) -> int:
        given = self.job.max_lost
        return most_lost(self.images + lost) if given is None else given

    def _gaps(self) -> dict[int, list[Gap]]:
        return {number: rows.gaps() for number, rows in self.waiting.items()}

    def _give_up(self) -> None:
        """Say of each image over which processes die that it is so, and write what there is.

        Raises:
            ValueError: If there are so many that it is hardly the images' fault.
        """
        missing = self._gaps()
        lost = [
            self._lost(self.waiting[number].part, gap, place)
            for number, gaps in missing.items()
            for gap in gaps
            for place in range(gap.start, gap.start + gap.images)
        ]
        if len(lost) > self._bound(len(lost)):
            raise ValueError(
                f"processes died over {len(lost)} of "
                f"{counted(self.images + len(lost), 'image')}, the first in "
                f"{called(lost[0][1].image.path)}; their files are not written: look at the "
                "machines and devices, then run the same command again, or with a higher "
                "--max-lost"
            )
        for number, image in lost:
            self.waiting[number].add(
                lost_table(number, image, model=self.job.model, sha256=self.job.sha256)
            )
        for rows in list(self.waiting.values()):
            self._write(rows)

    @staticmethod
    def _lost(part: Part, gap: Gap, number: int) -> tuple[int, ReadImage]:
        path = part.paths[gap.item]
        which = called(path)
        if part.kind != "image":
            which = f"{which}, image {number} in it from 0"
        died = f"{which}: the process that read or posed it died, and so when it was alone"
        total = 1 if part.kind == "image" else 0
        if gap.stop is None:
            died = f"{which}: the process that read it died; what is behind it is not there"
            total = number + 1
        return part.number, ReadImage(gap.item, number, total, BulkImage(path, None, died))

    def _take(self, tasks: Iterator[Task], bar: Bar) -> None:
        for table in self.engine(tasks):
            for number in dict.fromkeys(table.column("part").to_pylist()):
                rows = self.waiting.get(number)
                if rows is None:
                    continue
                new = rows.add(table)
                self.images += new
                bar.advance(new)
                if rows.is_whole:
                    self._write(rows)
        self.seconds = time.monotonic() - self._began

    def _write(self, rows: PartRows) -> None:
        table = rows.table()
        counts, data = Counts.of(table), encoded(table, self.job.fmt)
        self.store.write(rows.part.file_name(self.job.fmt), data)
        beside = encode_json({**asdict(counts), "bytes": len(data)})
        self.store.write(rows.part.counts_name, beside)
        self.counts += counts
        del self.waiting[rows.part.number]


def _summary(job: Job, done: Done) -> dict[str, Any]:
    return {
        **asdict(done.counts),
        "files": done.files,
        "run": {
            "images": done.images,
            "seconds": round(done.seconds, 3),
            "files_of_earlier_runs": done.earlier,
        },
        "job": job.facts(),
        "version": __version__,
    }


__all__ = ["JOB", "SUMMARY", "Done", "Engine", "Job", "most_lost", "run_job"]
