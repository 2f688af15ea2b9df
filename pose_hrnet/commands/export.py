"""``pose-hrnet export``: a checkpoint for other programs to run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_hrnet.commands.options import Checkpoint
from pose_hrnet.console import one_sentence_errors, say

if TYPE_CHECKING:
    from torch import Tensor

    from pose_hrnet.inference import PoseCard

FAILED = 1


class Format(str, Enum):
    """Of the exported file."""

    onnx = "onnx"
    openvino = "openvino"
    torch = "torch"


@one_sentence_errors
def export(
    checkpoint: Checkpoint,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder, or model file.")],
    fmt: Annotated[
        Format, typer.Option("--format", help="onnx, OpenVINO IR, or torch.export program.")
    ] = Format.onnx,
    flip_test: Annotated[
        bool, typer.Option("--flip-test", help="Average with the mirrored crop inside the graph.")
    ] = False,
    heatmaps: Annotated[
        bool, typer.Option("--heatmaps", help="Give the heatmaps as a third output.")
    ] = False,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Format torch: compile an AOTInductor package, too."),
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
    ] = 0.1,
) -> None:
    """Export a checkpoint: uint8 crops in, keypoints and scores out, any batch size.

    Normalisation, flip test and decoder are inside the graph. A JSON card beside the file says
    what it holds; `evaluate` and `predict` take it like a checkpoint. Exit code 1, and no file, if
    it differs from the checkpoint.

    Example: `pose-hrnet export -c best.safetensors --format openvino --flip-test -o exported`
    """
    from pose_hrnet.export import compile_program, export_model, export_path
    from pose_hrnet.models.weights import load_model

    if compiled and fmt is not Format.torch:
        raise ValueError(f"--compile needs --format torch, and the format is {fmt.value}")
    path = export_path(output, checkpoint, fmt.value)
    loaded = load_model(checkpoint)
    crops = _crops(loaded.card, annotations, images) if check else None
    done = export_model(
        loaded,
        path,
        fmt.value,
        flip_test=flip_test,
        heatmaps=heatmaps,
        check_crops=crops,
        bound=max_difference,
    )
    say(loaded.report.summary())
    if done.difference is not None:
        say(done.difference.summary())
    if not done.ok:
        say(f"{path} was not written: the export differs too much from the checkpoint")
        raise typer.Exit(FAILED)
    say(f"{path}\n{path}.json")
    if compiled:
        package, difference = compile_program(path, crops, bound=max_difference)
        say("" if difference is None else difference.summary())
        if difference is not None and not difference.ok:
            say(f"{package} was not written: it differs too much from {path}")
            raise typer.Exit(FAILED)
        say(f"{package}")


def _crops(card: PoseCard, annotations: Path | None, images: Path | None) -> Tensor:
    from pose_hrnet.config import DataSet
    from pose_hrnet.export_check import annotated_crops, drawn_crops

    if (annotations is None) != (images is None):
        raise ValueError("--annotations and --images belong together; give both or neither")
    if annotations is None or images is None:
        return drawn_crops(card)
    return annotated_crops(card, DataSet(annotations=annotations, images=images))
