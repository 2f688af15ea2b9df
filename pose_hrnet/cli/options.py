"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup


class Precision(str, Enum):
    """Arithmetic of the forward pass."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Nms(str, Enum):
    """Removal of duplicate poses."""

    oks = "oks"
    soft_oks = "soft_oks"
    soft_oks_decayed = "soft_oks_decayed"
    none = "none"


class Backend(str, Enum):
    """What runs a model."""

    auto = "auto"
    eager = "eager"
    compile = "compile"
    openvino = "openvino"
    onnx = "onnx"


class Metric(str, Enum):
    """What scores the poses."""

    auto = "auto"
    coco = "coco"
    crowdpose = "crowdpose"
    mpii = "mpii"


class Evaluator(str, Enum):
    """What matches poses with persons for the COCO numbers, which are the same."""

    fast = "fast"
    pycocotools = "pycocotools"


class Resume(str, Enum):
    """Whether to continue the run that a folder holds."""

    never = "never"
    auto = "auto"
    must = "must"


class Commands(TyperGroup):
    """All commands; what is wrong with an option is said without words of pydantic's."""

    def invoke(self, ctx: Any) -> Any:
        """As of any group; Typer reads options with pydantic, and passes on what that says."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from pose_hrnet.config.base import in_sentence

            error.message = in_sentence(error.message)
            raise


class ResumeAlone(TyperCommand):
    """A command whose option --resume may stand alone, which means auto."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of any command; Typer knows no option whose value may be left out."""
        values = {each.value for each in Resume}
        following = [*args[1:], ""]
        said = [
            "--resume=auto" if arg == "--resume" and after not in values else arg
            for arg, after in zip(args, following, strict=True)
        ]
        return super().parse_args(ctx, said)


class Logger(str, Enum):
    """Where the numbers and pictures of a training run go, too."""

    tensorboard = "tensorboard"
    wandb = "wandb"
    mlflow = "mlflow"


Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]
Checkpoint = Annotated[
    Path,
    typer.Option(
        "--checkpoint",
        "-c",
        help="Ours, an official or MMPose checkpoint, or an exported .onnx, .xml or .pt2.",
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
    typer.Option("--skeleton", help="coco17, mpii16, crowdpose14 or a YAML; else as annotated."),
]
MetricOption = Annotated[
    Metric, typer.Option("--metric", help="auto: the one that the annotations are known by.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        help="Arithmetic of the forward pass. auto: bf16 where the hardware multiplies it."
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


def expected_crops(path: Path) -> int | None:
    """About how many boxes a JSON file holds, without parsing it; None: not known.

    MPII's annotations have none, but as many persons all the same.
    """
    return path.read_bytes().count(b'"bbox"') or None if path.is_file() else None
