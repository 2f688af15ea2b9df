"""``pose-hrnet export``: a checkpoint for other programs to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.cli.console import RichProgress, one_sentence_errors, say
from pose_hrnet.cli.options import (
    BoxFormatOption,
    CategoryOption,
    Checkpoint,
    Offline,
    check_there,
    checkpoint_file,
    given,
    model_to_write,
    output_option,
)
from pose_hrnet.cli.tables import print_quantisation
from pose_hrnet.system.choices import ExportFormat
from pose_hrnet.system.defaults import CALIBRATION_CROPS, MAX_DIFFERENCE, MAX_DROP, MOST_WORKERS

if TYPE_CHECKING:
    from torch import Tensor

    from pose_hrnet.config.data import DataSet
    from pose_hrnet.models.card import ModelCard

FAILED = 1


@one_sentence_errors
def export(
    checkpoint: Checkpoint,
    output: Annotated[Path, output_option(model_to_write, "Folder, or model file.")],
    fmt: Annotated[
        ExportFormat,
        typer.Option("--format", help="onnx, OpenVINO IR, or torch.export program."),
    ] = "onnx",
    flip_test: Annotated[
        bool, typer.Option("--flip-test", help="Average with the mirrored crop inside the graph.")
    ] = False,
    heatmaps: Annotated[
        bool, typer.Option("--heatmaps", help="Give the heatmaps as a third output.")
    ] = False,
    triton: Annotated[
        bool,
        typer.Option(
            "--triton",
            help="Format onnx: a model repository of Triton, OUTPUT/NAME/1/model.onnx, with "
            "config.pbtxt.",
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare with the checkpoint on crops.")
    ] = True,
    annotations: Annotated[
        Path | None,
        typer.Option(help="COCO JSON whose persons to compare on; drawn ones without."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the JSON's file names.")
    ] = None,
    max_difference: Annotated[
        float, typer.Option(min=0, help="Input pixels that a keypoint may differ by.")
    ] = MAX_DIFFERENCE,
    boxes: Annotated[
        Path | None, typer.Option(help="Box file, as of predict; without it, annotated boxes.")
    ] = None,
    box_format: BoxFormatOption = "xywh",
    category: CategoryOption = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Format openvino: quantise, and score on the annotations."),
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            help=f"--int8: AP (or PCKh) that may be lost, layers that hurt stay; {MAX_DROP}.",
        ),
    ] = None,
    calibration_crops: Annotated[
        int | None,
        typer.Option(min=1, help=f"--int8: crops that set the ranges; {CALIBRATION_CROPS}."),
    ] = None,
    calibration_annotations: Annotated[
        Path | None,
        typer.Option(help="--int8: whose crops; without it, up to half of the images serve."),
    ] = None,
    calibration_images: Annotated[
        Path | None, typer.Option(help="Folder of that JSON's file names.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, max=MOST_WORKERS, help="--int8: loader processes; none.")
    ] = None,
    offline: Offline = False,
) -> None:
    """Export a checkpoint: uint8 crops in, keypoints and scores out, any batch size.

    Normalisation, flip test and decoder are inside the graph. A JSON card beside the file says
    what it holds; `evaluate` and `predict` take ONNX and OpenVINO files like a checkpoint. Exit
    code 1, and no file, if it differs from the checkpoint.

    With --int8, layers that cost more than --max-drop altogether stay in floating point. Exit code
    2, and no file, if that does not help.

    Example: `pose-hrnet export -c best.safetensors --format openvino --flip-test -o exported`
    """
    from pose_hrnet.deploy.export import export_model, export_path
    from pose_hrnet.deploy.triton import repository_path, write_config
    from pose_hrnet.inference.load import load_model

    if not int8:
        _refuse(
            without="--int8",
            max_drop=max_drop,
            calibration_crops=calibration_crops,
            calibration_annotations=calibration_annotations,
            calibration_images=calibration_images,
            workers=workers,
        )
    data = _data(annotations, images, boxes, "--")
    if data is not None:
        data = data.model_copy(update={"box_format": box_format, "category": category})
    calibration = _data(calibration_annotations, calibration_images, None, "--calibration-")
    if int8 and fmt != "openvino":
        raise ValueError(f"--int8 needs --format openvino, and the format is {fmt}")
    if int8 and data is None:
        raise ValueError(
            "--int8 needs persons to calibrate and score on; give --annotations and --images"
        )
    if triton and fmt != "onnx":
        raise ValueError(f"--triton needs --format onnx, and the format is {fmt}")
    for given_set in (data, calibration):
        if given_set is not None:
            check_there(given_set.annotations, given_set.images, given_set.boxes)
    file = checkpoint_file(checkpoint)
    path = repository_path(output, file) if triton else export_path(output, file, fmt)
    model = load_model(file, backend="eager", precision="fp32", device="cpu", flip_test=flip_test)
    crops = _crops(model.card, data) if check else None
    if int8 and data is not None:
        from pose_hrnet.deploy.int8 import Int8Settings, export_int8

        done = export_int8(
            model,
            path,
            data,
            Int8Settings(
                calibration,
                **given(count=calibration_crops, max_drop=max_drop, workers=workers),
            ),
            heatmaps=heatmaps,
            check_crops=crops,
            progress=RichProgress(),
            bound=max_difference,
        )
    else:
        done = export_model(
            model,
            path,
            fmt,
            heatmaps=heatmaps,
            check_crops=crops,
            bound=max_difference,
        )
    say(model.summary)
    if done.difference is not None:
        say(done.difference.summary())
    if not done.ok:
        say(f"{path} was not written: the export differs too much from the checkpoint")
        raise typer.Exit(FAILED)
    facts = done.card.export
    if facts is not None and facts.quantisation is not None:
        print_quantisation(facts.quantisation)
    say(f"{path}\n{path}.json")
    if triton:
        say(f"{write_config(path)}")


def _refuse(*, without: str, **options: object) -> None:
    """Refuse options that do nothing without another one."""
    for name in given(**options):
        option = name.replace("_", "-")
        raise ValueError(f"--{option} does nothing without {without}; give both, or neither")


def _data(
    annotations: Path | None, images: Path | None, boxes: Path | None, prefix: str
) -> DataSet | None:
    from pose_hrnet.config.data import DataSet

    if (annotations is None) != (images is None) or (annotations is None and boxes is not None):
        raise ValueError(
            f"{prefix}annotations and {prefix}images belong together, and boxes to both; "
            "give all or neither"
        )
    if annotations is None or images is None:
        return None
    return DataSet(annotations=annotations, images=images, boxes=boxes)


def _crops(card: ModelCard, data: DataSet | None) -> Tensor:
    from pose_hrnet.deploy.check import annotated_crops, drawn_crops

    return drawn_crops(card) if data is None else annotated_crops(card, data)
