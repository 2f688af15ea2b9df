"""``pose-hrnet data ...``: draw, check, and look at data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_hrnet.commands.options import Annotations, Output, SkeletonOption
from pose_hrnet.console import RichProgress, one_sentence_errors, print_table, say

app = typer.Typer(no_args_is_help=True, help="Draw, check, and look at data sets.")


@app.command()
@one_sentence_errors
def synthesize(
    output: Output,
    images: Annotated[int, typer.Option(min=1, help="How many.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores.")] = None,
) -> None:
    """Draw a COCO-format keypoint data set of people.

    Example: `pose-hrnet data synthesize --output data/drawn --images 2000 --seed 0`
    """
    from pose_hrnet.data.synthetic import synthesize as draw

    with RichProgress().task("draw", total=images, unit="images") as bar:
        annotations = draw(
            output, images=images, seed=seed, workers=workers, progress=bar.advance_to
        )
    say(f"{images} images, {annotations}")


@app.command()
@one_sentence_errors
def validate(
    annotations: Annotations,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of images, each of which is opened.")
    ] = None,
    boxes: Annotated[Path | None, typer.Option(help="Detection JSON to check, too.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that open images.")] = 4,
    skeleton: SkeletonOption = None,
) -> None:
    """Check a data set, and say what would make its AP 0 or -1. Exit code 1 if there are errors.

    Example: `pose-hrnet data validate --annotations val.json --images val2017`
    """
    from pose_hrnet.data.skeletons import find_skeleton
    from pose_hrnet.data.validate import validate as check

    report = check(
        annotations,
        images,
        detections=boxes,
        skeleton=None if skeleton is None else find_skeleton(skeleton, annotations),
        workers=workers,
        progress=RichProgress(),
    )
    say(
        f"{report.images} images ({report.images_opened} opened), {report.persons} usable "
        f"persons, {report.training_persons} of them fit to train on",
    )
    if report.findings:
        rows = [
            [
                f.severity,
                str(f.count),
                f.kind,
                f.effect,
                f.meaning,
                ", ".join(map(str, f.examples)),
            ]
            for f in report
        ]
        headings = ["severity", "count", "what", "effect", "meaning", "examples"]
        print_table("findings", headings, rows)
    say("no errors" if report.ok else "there are errors")
    if not report.ok:
        raise typer.Exit(1)


@app.command()
@one_sentence_errors
def preview(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a recipe.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG or JPEG to write.")],
    count: Annotated[int, typer.Option(min=1, help="Crops.")] = 12,
    seed: Annotated[
        int | None, typer.Option(min=0, help="In place of train.seed: other persons, other draws.")
    ] = None,
    epoch: Annotated[int, typer.Option(min=0, help="The first is 0.")] = 0,
    each: Annotated[
        bool, typer.Option("--each", help="Show each augmentation on its own, at probability 1.")
    ] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")
    ] = None,
) -> None:
    """Draw the first augmented crops of an epoch as training sees them, with their targets.

    Example: `pose-hrnet data preview coco_w32_256x192 --output crops.png --epoch 3`
    """
    from pose_hrnet.config_files import load_config
    from pose_hrnet.preview import preview_each, preview_training

    changes = list(overrides or ())
    if seed is not None:
        changes.append(f"train.seed={seed}")
    draw = preview_each if each else preview_training
    draw(load_config(config, changes), output, count=count, epoch=epoch)
    say(f"{output}")
