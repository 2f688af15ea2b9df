"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from pose_hrnet.cli.console import BAD_INPUT, HERE, RichProgress, print_error
from pose_hrnet.system.choices import Backend, BoxFormat, Evaluator, MetricName, Precision, Resume
from pose_hrnet.system.defaults import DEFAULT_WEIGHTS
from pose_hrnet.system.folders import check_file, check_room
from pose_hrnet.system.inputs import read_input


def given(**options: Any) -> dict[str, Any]:
    """The options that were given: the others are not passed on, so that a default stands once."""
    return {name: value for name, value in options.items() if value is not None}


def one_of(names: Any) -> str:
    """A choice as the help shows it, for lists, whose choices Typer does not read."""
    return f"<{'|'.join(get_args(names))}>"


def _checked(value: str | Path, check: Callable[[Path], None]) -> Path:
    """A path to write to, asked for before any work is done for it.

    Raises:
        typer.Exit: After a sentence, if nothing can be written there.
    """
    try:
        if HERE.is_main:
            check(Path(value))
    except (ValueError, OSError) as error:
        print_error(str(error))
        raise typer.Exit(BAD_INPUT) from None
    return Path(value)


def folder_to_write(value: str | Path) -> Path:
    """The folder that an option names, which can be written to; it need not exist."""
    return _checked(value, check_room)


def file_to_write(value: str | Path) -> Path:
    """The file that an option names, which can be written, or written over."""
    return _checked(value, check_file)


def model_to_write(value: str | Path) -> Path:
    """The folder or file that an option names, as of `folder_to_write` or `file_to_write`."""
    return _checked(
        value,
        lambda path: check_file(path) if path.suffix and not path.is_dir() else check_room(path),
    )


def check_there(annotations: Path, images: Path, *others: Path | None) -> None:
    """Say what is missing before minutes go into loading the model.

    Args:
        annotations: File.
        images: Folder.
        others: Files.

    Raises:
        FileNotFoundError: If one of them is not there.
        ValueError: If the annotations are no regular file.
    """
    if not annotations.is_file():
        from pose_hrnet.data.people import read_annotations

        read_annotations(annotations)  # says it better
    if not images.is_dir():
        raise FileNotFoundError(f"{images}: there is no such folder of images; check the path")
    for path in others:
        if path is not None and not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file; check the path")


def output_option(parser: Callable[[str | Path], Path], words: str) -> Any:
    """``--output`` of a command: what it may name, and the help on it."""
    return typer.Option("--output", "-o", parser=parser, metavar="PATH", help=words)


Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Images, folders of images, patterns in quotes such as 'photos/*.jpg', and http or "
        "https addresses of images."
    ),
]


def results_file(path: Path) -> Path:
    """A results file, or the one in a folder that `evaluate` wrote.

    Raises:
        FileNotFoundError: If a folder has none.
    """
    from pose_hrnet.data.formats.results import RESULTS_FILE

    if not path.is_dir():
        return path
    if not (path / RESULTS_FILE).is_file():
        raise FileNotFoundError(
            f"{path} is a folder without {RESULTS_FILE}; give a results file, or the folder that "
            "pose-hrnet evaluate wrote one to"
        )
    return path / RESULTS_FILE


Output = Annotated[Path, output_option(folder_to_write, "Folder to write to.")]
ResultsOutput = Annotated[
    Path,
    output_option(folder_to_write, "Folder to write to. Results in it are replaced."),
]


def _checkpoint_option(without: str = "") -> Any:
    return typer.Option(
        "--checkpoint",
        "-c",
        help="Ours, an official or MMPose checkpoint; a name of `weights list`, such as default, "
        f"or an https address; an exported .onnx or .xml, or a .yaml card{without}.",
    )


Checkpoint = Annotated[str, _checkpoint_option()]
CheckpointToPredict = Annotated[
    str | None, _checkpoint_option(f"; without it {DEFAULT_WEIGHTS}, the weights inside")
]


def checkpoint_file(named: str | Path) -> Path:
    """The file of a checkpoint, downloaded with a bar where it is elsewhere."""
    from pose_hrnet.models.weights.fetch import checkpoint_path

    return checkpoint_path(named, progress=RichProgress())


def _stay_offline(context: typer.Context, chosen: bool) -> bool:
    if chosen:
        from pose_hrnet.system.download import offline

        context.with_resource(offline())
    return chosen


Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        callback=_stay_offline,
        help="Download nothing; POSE_HRNET_OFFLINE=1 says the same for good.",
    ),
]
ResumeOption = Annotated[
    Resume,
    typer.Option(
        "--resume",
        help="Continue the run in --output; alone it means auto: if there is one. must: or fail.",
    ),
]
Annotations = Annotated[
    Path, typer.Option("--annotations", help="COCO, CrowdPose or MPII keypoint JSON.")
]
SkeletonOption = Annotated[
    str | None,
    typer.Option(
        "--skeleton",
        help="coco17, mpii16, crowdpose14, wholebody133 or a YAML; else as annotated.",
    ),
]
CategoryOption = Annotated[
    str | None,
    typer.Option(
        "--category",
        help="Name or id of the category; several of equal keypoints with commas between, or all.",
    ),
]
MetricOption = Annotated[
    MetricName, typer.Option("--metric", help="auto: the one that the annotations are known by.")
]
BoxFormatOption = Annotated[
    BoxFormat,
    typer.Option(
        "--box-format",
        help="Of --boxes: left, top, width, height, as COCO; or left, top, right, bottom.",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Draw these together instead of images: a field of the images or their annotations, "
        "such as video_id or subject, or folder, that of the image files.",
    ),
]
IntervalsOption = Annotated[
    bool,
    typer.Option("--intervals", help="95 % intervals of the numbers, over images, and PCK."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        help="Arithmetic of the forward pass; fp32 to evaluate, auto to predict. auto: bf16 where "
        "the hardware multiplies it."
    ),
]
EvaluatorOption = Annotated[
    Evaluator,
    typer.Option(help="pycocotools: its own slow loop, to check the fast one; same numbers."),
]
FlipTest = Annotated[
    bool | None,
    typer.Option(
        "--flip-test/--no-flip-test",
        help="Average with the mirrored crop; on, but for exports, which have it built in or not.",
    ),
]
Calibrated = Annotated[
    bool,
    typer.Option(
        "--calibrated",
        help="Scores of keypoints as probabilities that they are at their places; the card says "
        "how, once weights calibrate has measured it.",
    ),
]
Card = Annotated[
    Path | None, typer.Option(help="YAML card of a heatmap model that others exported.")
]
BackendOption = Annotated[
    Backend,
    typer.Option(
        help="What runs the model. auto: the fastest that is installed; exported files: what they "
        "are for. eager: layers of torch; in fp32 the reference.",
    ),
]


_UNLABELLED = re.compile(rb'"num_keypoints"\s*:\s*0\b')


def expected_crops(
    annotations: Path, boxes: Path | None = None, box_format: BoxFormat = "xywh"
) -> int | None:
    """About how many persons are predicted, without parsing annotations; None: not known.

    MPII's annotations have no boxes, but as many persons all the same.

    Args:
        annotations: Whose labelled persons are predicted.
        boxes: A detector's, each of which is predicted instead.
        box_format: What four numbers are where the box file does not say it.

    Raises:
        FileNotFoundError: If there are no such boxes.
        ValueError: If they are no box file. Of YOLO's, which need the sizes of the images, that
            is not said here.
    """
    if boxes is not None:
        from pose_hrnet.data.formats.box_files import read_box_rows

        is_yolo = boxes.is_dir() or boxes.suffix.lower() == ".txt"
        return None if is_yolo else len(read_box_rows(boxes, box_format)) or None
    if not annotations.is_file():
        return None
    content = read_input(annotations)
    return max(0, content.count(b'"bbox"') - len(_UNLABELLED.findall(content))) or None
