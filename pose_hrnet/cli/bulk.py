"""``pose-hrnet bulk``: poses in millions of images, over a cluster of Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.cli.console import (
    RichProgress,
    end_incomplete,
    one_sentence_errors,
    print_table,
    say,
)
from pose_hrnet.cli.models import (
    DetectorOption,
    DetectorThreshold,
    checkpoint_meant,
    detector_meant,
    loaded_estimator,
    refuse_without_boxes,
)
from pose_hrnet.cli.options import (
    BackendOption,
    BoxFormatOption,
    Card,
    CheckpointToPredict,
    Device,
    FlipTest,
    Offline,
    PrecisionOption,
    checkpoint_file,
    given,
)
from pose_hrnet.system.choices import RowFormat
from pose_hrnet.system.defaults import (
    CROPS_PER_PASS,
    IMAGES_PER_FILE,
    IMAGES_PER_TASK,
    ListedName,
)
from pose_hrnet.system.text import counted, duration

if TYPE_CHECKING:
    from pose_hrnet.deploy.bulk.columns import BulkEstimator
    from pose_hrnet.deploy.bulk.job import Job
    from pose_hrnet.deploy.bulk.models import Models

SAID = 5
"""Errors that are told one by one."""


@one_sentence_errors
def bulk(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Images, videos and tar files of images; folders, patterns in quotes and lists "
            "(.txt, a path a line) of them; or addresses, such as s3://bucket/folder."
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Folder or address to write to: s3://..."
        ),
    ],
    checkpoint: CheckpointToPredict = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="Of persons, in place of a detector; as of predict."),
    ] = None,
    box_format: BoxFormatOption = "xywh",
    min_box_score: Annotated[
        float | None, typer.Option(help="With --boxes: leave out weaker ones.")
    ] = None,
    detector: DetectorOption = None,
    detector_threshold: DetectorThreshold = None,
    whole_image: Annotated[
        bool, typer.Option("--whole-image", help="Take each image for one person.")
    ] = False,
    fmt: Annotated[
        RowFormat, typer.Option("--format", help="Of the files: Parquet, or JSON, a row a line.")
    ] = "parquet",
    images_per_file: Annotated[
        int,
        typer.Option(min=1, help="Images whose rows are in one file; what a kill costs at most."),
    ] = IMAGES_PER_FILE,
    every: Annotated[int, typer.Option(min=1, help="Of videos: each so many-th frame.")] = 1,
    address: Annotated[
        str | None,
        typer.Option(help="Of a Ray cluster, or auto; without it one is started here."),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Copies of the model; one a GPU, or one without GPUs."),
    ] = None,
    readers: Annotated[
        int | None,
        typer.Option(min=1, help="Tasks that read at once; one a processor that is left."),
    ] = None,
    images_per_task: Annotated[
        int, typer.Option(min=1, help="Images that go to a device at once; more for fast ones.")
    ] = IMAGES_PER_TASK,
    max_lost: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Images over which processes may die; more stop the job. [20, or 1 % of all]",
        ),
    ] = None,
    again_errors: Annotated[
        bool,
        typer.Option(
            "--again-errors", help="Do the files of an earlier run again that hold errors."
        ),
    ] = False,
    dry_run: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pose so many images here, write nothing, and say what all cost."
        ),
    ] = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="With --dry-run: of a device and an hour.")
    ] = None,
    flip_test: FlipTest = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Crops per forward pass.")
    ] = CROPS_PER_PASS,
    device: Device = "auto",
    precision: PrecisionOption = None,
    card: Card = None,
    backend: BackendOption = "auto",
    offline: Offline = False,
) -> None:
    """Predict poses in many images: rows in Parquet or JSON, by Ray on one machine or many.

    A row is a person. An image that cannot be read is a row with its error. The same command again
    goes on with what is missing: rows are there once, however often it was killed.

    Exit code 1 if some image could not be read or posed; the rest is done all the same.

    Example: `pose-hrnet bulk photos/ --output rows`, or `pose-hrnet bulk s3://bucket/photos -o
    s3://bucket/rows --address auto`
    """
    from pose_hrnet.deploy.bulk.engines import Cluster, ray_engine
    from pose_hrnet.deploy.bulk.identity import detector_files_sha256, model_files_sha256
    from pose_hrnet.deploy.bulk.job import run_job
    from pose_hrnet.deploy.bulk.models import Models
    from pose_hrnet.deploy.bulk.plan import BoxFile, Wanted, plan_job, with_detector
    from pose_hrnet.deploy.bulk.store import check_store, opened_store
    from pose_hrnet.inference.options import ModelOptions
    from pose_hrnet.models.weights.identity import identity_of
    from pose_hrnet.system.extras import import_extra

    named = checkpoint_meant(checkpoint)
    found_by = detector_meant(boxes, detector, detector_threshold, whole_image=whole_image)
    refuse_without_boxes(min_box_score, boxes)
    if price is not None and dry_run is None:
        raise ValueError("--price does nothing without --dry-run; give both, or neither")
    for module in ("pyarrow", "ray.data")[: 1 if dry_run else 2]:
        import_extra(module, "ray")
    check_store(output, probe=False)
    file = checkpoint_file(named)
    found_by = None if found_by is None else _for_actors(found_by)
    card = None if card is None else card.absolute()
    options = ModelOptions(
        _for_actors(named), found_by, detector_threshold, backend, precision or "auto",
        device, flip_test, card, batch_size=batch_size,
    )  # fmt: skip
    sha256, files = identity_of(file).sha256, model_files_sha256(file, card)
    models = Models(options, str(named), sha256, files)
    box_file = None
    if boxes is not None:
        box_file = BoxFile(boxes, box_format, **given(min_score=min_box_score))
    job = plan_job(Wanted(inputs, output, fmt, images_per_file, every, box_file), models)
    job = replace(job, images_per_task=images_per_task, max_lost=max_lost)
    if dry_run is None:
        check_store(output)
    loaded = _checked(models, is_here=address is None)
    if found_by is not None:
        models = replace(models, detector_files=detector_files_sha256(found_by))
        job = with_detector(job, models)
    if dry_run is not None:
        _say_estimate(job, loaded, dry_run, devices or 1, price)
        return
    del loaded  # the actors have their own
    with (
        opened_store(output) as store,
        ray_engine(models, Cluster(address, devices, readers, max_lost)) as engine,
    ):
        done = run_job(job, store, engine, again_errors=again_errors, progress=RichProgress())
    counts = done.counts
    say(
        f"{counted(counts.persons, 'person')} in {counted(counts.images, 'image')}"
        + (f", none in {counts.empty:,} of them; " if counts.empty else "; ")
        + f"{counted(counts.errors, 'error')}; {counted(done.files, 'file')} in {output}"
    )
    for sentence in counts.failures[:SAID]:
        say(sentence)
    if counts.errors > SAID:
        say(f"and {counts.errors - SAID:,} more, in the column error")
    end_incomplete(counts.errors)


def _for_actors(named: str) -> str:
    """A file by its whole path, for processes that start elsewhere; names and addresses stay."""
    if isinstance(named, ListedName) or not Path(named).is_file():
        return named
    return str(Path(named).absolute())


def _checked(models: Models, *, is_here: bool) -> BulkEstimator:
    """The models, loaded here, so that what is wrong with them is said before any work.

    Args:
        models: What the actors will load.
        is_here: Whether this is the machine that they run on; else the processor is asked.
    """
    from pose_hrnet.deploy.bulk.columns import BulkEstimator

    options = models.options
    if not is_here:
        options = replace(options, device="cpu", backend="auto", precision="fp32")
    return BulkEstimator(loaded_estimator(options), model=models.name, sha256=models.sha256)


def _say_estimate(
    job: Job, loaded: BulkEstimator, count: int, devices: int, price: float | None
) -> None:
    """Pose a sample, and say what all of it takes."""
    from pose_hrnet.deploy.bulk.estimate import estimate

    found = estimate(job, loaded, count, progress=RichProgress())
    hours, sampled, files = found.device_hours, found.counts, len(job.parts)
    about = "" if all(part.kind == "image" for part in job.parts) else "about "
    rows = [
        ["images", f"{about}{found.images:,}, of which {sampled.images:,} were posed here"],
        ["persons an image", f"{sampled.persons / sampled.images:.2f}"],
        ["errors", f"{sampled.errors:,} of {sampled.images:,}"],
        ["reading", f"{1000 * found.read_s:.1f} ms an image of one processor"],
        ["persons and poses", f"{1000 * found.pose_s:.1f} ms an image of one device"],
        ["readers a device", f"{found.readers:.2f}, so that it does not wait"],
        ["time", f"{duration(3600 * hours / devices)} on {counted(devices, 'device')} like this"],
        ["rows", f"{found.row_bytes * found.images / 1e6:,.1f} MB in {counted(files, 'file')}"],
    ]  # fmt: skip
    if price is not None:
        rows.append(["cost", f"{hours * price:,.2f}, at {price:g} for a device and an hour"])
    print_table("dry run: nothing was written", ["what", "how much"], rows)
