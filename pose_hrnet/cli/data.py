"""``pose-hrnet data ...``: draw, convert, check, look at, and shard data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_hrnet.cli.console import (
    RichProgress,
    end_incomplete,
    one_sentence_errors,
    print_table,
    say,
)
from pose_hrnet.cli.options import (
    Annotations,
    BoxFormatOption,
    CategoryOption,
    Output,
    SkeletonOption,
    file_to_write,
    given,
    output_option,
)
from pose_hrnet.system.choices import ForeignFormat, LabelFormat
from pose_hrnet.system.defaults import (
    DETAIL,
    MOST_WORKERS,
    PERSONS_PER_SHARD,
    PREVIEW_CROPS,
    QUALITY,
)
from pose_hrnet.system.text import counted, parse_size

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Draw, convert, check, look at, and shard data sets.",
)


@app.command()
@one_sentence_errors
def synthesize(
    output: Output,
    images: Annotated[int, typer.Option(min=1, help="How many.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, max=MOST_WORKERS, help="Processes; all cores.")
    ] = None,
) -> None:
    """Draw a COCO-format keypoint data set of people.

    Example: `pose-hrnet data synthesize --output data/drawn --images 2000 --seed 0`
    """
    from pose_hrnet.data.synthetic.dataset import synthesize as draw

    with RichProgress().task("draw", total=images, unit="images") as bar:
        annotations = draw(
            output, images=images, seed=seed, workers=workers, progress=bar.advance_to
        )
    say(f"{counted(images, 'image')}, {annotations}")


@app.command()
@one_sentence_errors
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="Ultralytics' data.yaml or its folder; CVAT's XML, zip or JSON; Label Studio's "
            "JSON; LSP's joints.mat; DeepLabCut's CSV; COCO JSON."
        ),
    ],
    output: Output,
    to: Annotated[
        LabelFormat, typer.Option(help="coco: JSON to train on; yolo: labels for Ultralytics.")
    ] = "coco",
    kind: Annotated[
        ForeignFormat | None,
        typer.Option("--from", help="Format of the source; told by its name and content."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the images: for sizes that the source does not say, and --to yolo "
            "copies them."
        ),
    ] = None,
    category: CategoryOption = None,
    skeleton: SkeletonOption = None,
) -> None:
    """Bring annotations of other programs in, as COCO JSON, or out, as YOLO-pose.

    Exit code 1 if some image could not be read; the rest is done all the same.

    Example: `pose-hrnet data convert annotations.xml --output data/mine`
    """
    from pose_hrnet.data.convert.convert import convert as write_converted

    done = write_converted(
        source, output, to=to, kind=kind, images=images, category=category, skeleton=skeleton
    )
    say(
        f"{counted(done.persons, 'person')} in {counted(done.images, 'image')}; "
        f"{', '.join(map(str, done.files))}"
    )
    end_incomplete(done.left_out)


@app.command()
@one_sentence_errors
def validate(
    annotations: Annotations,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of images, each of which is opened.")
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(help="Box file, as of predict, to check, too.")
    ] = None,
    box_format: BoxFormatOption = "xywh",
    workers: Annotated[
        int | None, typer.Option(min=1, max=MOST_WORKERS, help="Threads that open images.")
    ] = None,
    skeleton: SkeletonOption = None,
    category: CategoryOption = None,
) -> None:
    """Check a data set, and say what would make its AP 0 or -1. Exit code 1 if there are errors.

    Example: `pose-hrnet data validate --annotations val.json --images val2017`
    """
    from pose_hrnet.data.formats.skeletons import find_skeleton
    from pose_hrnet.data.validation.validate import validate as check

    report = check(
        annotations,
        images,
        detections=boxes,
        box_format=box_format,
        skeleton=None if skeleton is None else find_skeleton(skeleton, annotations, category),
        category=category,
        progress=RichProgress(),
        **given(workers=workers),
    )
    say(
        f"{counted(report.images, 'image')} ({report.images_opened:,} opened), "
        f"{counted(report.persons, 'person')}, {report.training_persons:,} of them fit to "
        "train on",
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
    output: Annotated[Path, output_option(file_to_write, "PNG or JPEG to write.")],
    count: Annotated[int, typer.Option(min=1, help="Crops.")] = PREVIEW_CROPS,
    seed: Annotated[
        int | None, typer.Option(min=0, help="In place of train.seed: other persons, other draws.")
    ] = None,
    epoch: Annotated[int | None, typer.Option(min=0, help="The first is 0.")] = None,
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
    from pose_hrnet.config.files import load_config
    from pose_hrnet.training.preview import preview_each, preview_training

    changes = list(overrides or ())
    if seed is not None:
        changes.append(f"train.seed={seed}")
    draw = preview_each if each else preview_training
    draw(load_config(config, changes), output, count=count, **given(epoch=epoch))
    say(f"{output}")


@app.command()
@one_sentence_errors
def shard(
    output: Output,
    config: Annotated[
        str | None, typer.Argument(help="YAML file or recipe: its training sets and augmentation.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Keypoint JSON, in place of the configuration's sets.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of its file names.")] = None,
    category: CategoryOption = None,
    skeleton: SkeletonOption = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="HEIGHTxWIDTH of the network input, as in 256x192; the recipe's without it."
        ),
    ] = None,
    detail: Annotated[
        float, typer.Option(min=0.1, help="Largest stored resolution, in that of the input.")
    ] = DETAIL,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the JPEGs.")] = QUALITY,
    persons: Annotated[int, typer.Option(min=1, help="Per shard, at most.")] = PERSONS_PER_SHARD,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the order of the persons.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=MOST_WORKERS, help="Processes.")
    ] = None,
) -> None:
    """Cut the training persons out of their images, into tar files that are fast to read.

    Without a configuration, the margin holds the official augmentation. Exit code 1 if some image
    could not be read; the rest is done all the same.

    Example: `pose-hrnet data shard coco_w32_256x192 --output data/shards`
    """
    from pose_hrnet.config.codec import CodecConfig
    from pose_hrnet.config.data import TrainingSet
    from pose_hrnet.config.files import load_config
    from pose_hrnet.config.training import AugmentConfig
    from pose_hrnet.data.formats.skeletons import find_skeleton
    from pose_hrnet.data.shards.reader import read_index
    from pose_hrnet.data.shards.store import ShardStore
    from pose_hrnet.data.shards.writer import StoredCrops, write_shards
    from pose_hrnet.training.data import training_persons

    settings = None if config is None else load_config(config)
    sets = () if settings is None else settings.data.training_sets
    if annotations is not None and images is not None:
        sets = (TrainingSet(annotations=annotations, images=images, category=category),)
    elif not sets or annotations is not None or images is not None:
        raise ValueError(
            "give a configuration with annotated images, or both --annotations and --images"
        )
    codec = CodecConfig() if settings is None else settings.codec
    augment = AugmentConfig() if settings is None else settings.augment
    choice = skeleton or (None if settings is None else settings.data.skeleton)
    keypoints = find_skeleton(choice or sets[0].skeleton, sets[0].annotations, sets[0].category)
    people, folder, outside = training_persons(sets, keypoints)
    stored = StoredCrops(
        codec.input_wh if size is None else parse_size(size, "--size"),
        augment,
        keypoints,
        detail=detail,
        quality=quality,
        persons_per_shard=persons,
        **given(box_padding=None if settings is None else settings.data.box_padding),
    )
    index = write_shards(
        people,
        folder,
        output,
        stored,
        progress=RichProgress(),
        **given(seed=seed, workers=workers),
    )
    shards = read_index(ShardStore(str(output)))
    tars = [output / name for name in shards.names]
    megabytes = sum(tar.stat().st_size for tar in tars) / 1e6
    held = f"{counted(len(shards.people), 'person')} in {counted(len(tars), 'shard')}"
    say(f"{held}, {megabytes:,.1f} MB; {index}")
    end_incomplete(outside + len(people) - len(shards.people))
