"""``pose-hrnet report``: a results file as a page, with its errors and pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.cli.console import RichProgress, end_incomplete, one_sentence_errors, say
from pose_hrnet.cli.options import (
    Annotations,
    CategoryOption,
    MetricOption,
    SkeletonOption,
    file_to_write,
    output_option,
    results_file,
)
from pose_hrnet.system.folders import check_not_over

if TYPE_CHECKING:
    from pose_hrnet.evaluation.report.write import Written


@one_sentence_errors
def report(
    results: Annotated[
        Path,
        typer.Argument(help="COCO keypoint results of any program, or the folder of an evaluate."),
    ],
    annotations: Annotations,
    output: Annotated[Path, output_option(file_to_write, "The .html to write.")],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of the JSON's file names, for pictures."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Results to compare with: what changed, and where most.")
    ] = None,
    skeleton: SkeletonOption = None,
    category: CategoryOption = None,
    metric: MetricOption = "auto",
) -> None:
    """Write a page on a results file: numbers with intervals, what goes wrong, pictures of it.

    One file that loads nothing from elsewhere: it can be mailed, printed, and read on a telephone.
    Exit code 1 if some image could not be read; the rest is done all the same.

    Example: `pose-hrnet report results.json --annotations val.json --images val2017
    --output report.html`
    """
    from pose_hrnet.evaluation.report.write import write_report
    from pose_hrnet.evaluation.scorer import FileTruth

    if images is not None and not images.is_dir():
        raise FileNotFoundError(f"{images}: there is no such folder of images; check the path")
    files = [results_file(path) for path in (results, against) if path is not None]
    check_not_over(output, annotations, *files)
    truth = FileTruth.of(annotations, skeleton=skeleton, category=category, metric=metric)
    written = write_report(
        files[0],
        truth,
        output,
        images=images,
        against=files[1] if against is not None else None,
        progress=RichProgress(),
    )
    say_written(written)
    end_incomplete(written.unreadable)


def say_written(written: Written) -> None:
    """What the page says in sentences, and where it is."""
    for sentence in written.findings:
        say(sentence)
    for note in written.notes:
        say(f"note: {note}")
    say(str(written.path))
