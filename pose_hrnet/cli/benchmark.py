"""``pose-hrnet benchmark``: how fast this machine runs what."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pose_hrnet.cli.console import RichProgress, one_sentence_errors, print_table, say
from pose_hrnet.cli.options import Device

if TYPE_CHECKING:
    from pose_hrnet.benchmark.timing import Measurement
    from pose_hrnet.system.choices import Backend, Precision

BACKENDS: tuple[Backend, ...] = ("eager", "compile", "openvino", "onnx", "auto")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16", "auto")

_Name = TypeVar("_Name", bound=str)


class Section(str, Enum):
    """What is measured."""

    model = "model"
    loading = "loading"
    codec = "codec"
    evaluation = "evaluation"


@one_sentence_errors
def benchmark(
    sections: Annotated[
        list[Section] | None, typer.Argument(help="One or several; all without any.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", "-c", help="As of evaluate; without it, random weights."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Recipe or YAML: input size, and network without --checkpoint.")
    ] = "coco_w32_256x192",
    exported: Annotated[
        list[Path] | None,
        typer.Option("--exported", help="Exported model to stand beside it; may be repeated."),
    ] = None,
    backends: Annotated[
        str | None, typer.Option(help=f"Some of {','.join(BACKENDS)}; the first four.")
    ] = None,
    precisions: Annotated[
        str | None, typer.Option(help=f"Some of {','.join(PRECISIONS)}; fp32,bf16.")
    ] = None,
    batches: Annotated[str | None, typer.Option(help="Crops per call; 1,8,32.")] = None,
    flip_test: Annotated[
        bool | None,
        typer.Option("--flip-test/--no-flip-test", help="Average with the mirrored crop; off."),
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="COCO keypoint JSON; people are drawn without it.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the JSON's file names.")
    ] = None,
    workers: Annotated[str | None, typer.Option(help="Loader processes; 0,1,2,4.")] = None,
    poses: Annotated[int | None, typer.Option(min=1, help="Made up to be scored; 100000.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Turns of each variant; 7.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds instead of minutes: to see that it runs.")
    ] = False,
    device: Device = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file to write.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Markdown file to write.")] = None,
) -> None:
    """Measure model, data loading, codec and evaluation on this machine; needs no data.

    Variants take turns in every round, so that other work on the machine slows all alike. What
    cannot run here is a row with the reason. The model's baseline is its plain layers in fp32,
    NCHW, at the same batch size.

    Example: `pose-hrnet benchmark model -c best.safetensors --backends eager,openvino
    --batches 1,32 --flip-test --json speed.json`
    """
    from pose_hrnet.benchmark.machine import describe, machine_facts
    from pose_hrnet.benchmark.report import LEGEND, write_markdown, write_report
    from pose_hrnet.benchmark.suite import Plan, run_benchmarks
    from pose_hrnet.benchmark.timing import Pace

    plan = Plan(
        sections=[section.value for section in sections or Section],
        recipe=model,
        checkpoint=checkpoint,
        exported=exported or (),
        backends=_names("--backends", backends, BACKENDS) or BACKENDS[: 1 if quick else 4],
        precisions=_names("--precisions", precisions, PRECISIONS)
        or PRECISIONS[: 1 if quick else 2],
        batches=_numbers("--batches", batches, 1) or ((1, 2) if quick else (1, 8, 32)),
        flip_test=flip_test,
        device=device,
        annotations=annotations,
        images=images,
        drawn_images=12 if quick else 240,
        workers=_numbers("--workers", workers, 0) or ((0, 1) if quick else (0, 1, 2, 4)),
        poses=poses or (2_000 if quick else 100_000),
        pace=Pace(rounds or (2 if quick else 7), 0.0 if quick else 0.5),
    )
    for file in (json_file, markdown):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
    machine, found = machine_facts(), []
    print_table("machine", ["fact", "value"], [list(fact) for fact in describe(machine)])
    for measurement in run_benchmarks(plan, progress=RichProgress()):
        print_measurement(measurement)
        found.append(measurement)
        if json_file is not None:
            write_report(json_file, machine, found)
        if markdown is not None:
            write_markdown(markdown, machine, found)
    say(LEGEND)
    for file in (json_file, markdown):
        if file is not None:
            say(f"{file}")


def print_measurement(measurement: Measurement) -> None:
    """Print a table, and under it what could not be run and why."""
    from pose_hrnet.benchmark.report import remarks, table

    print_table(measurement.title, *table(measurement))
    for remark in remarks(measurement):
        say(remark)
    say("")


def _names(option: str, text: str | None, known: tuple[_Name, ...]) -> tuple[_Name, ...]:
    """The parts of a comma-separated list, or nothing where it is not given."""
    names = dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{option} has {unknown[0]!r}; use some of {','.join(known)}")
    return tuple(known[known.index(name)] for name in names)


def _numbers(option: str, text: str | None, least: int) -> tuple[int, ...]:
    """As `_names`, of whole numbers."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    wrong = [part for part in parts if not part.isdecimal() or int(part) < least]
    if wrong:
        raise ValueError(f"{option} has {wrong[0]!r}; give whole numbers from {least}, as in 1,8")
    return tuple(dict.fromkeys(map(int, parts)))
