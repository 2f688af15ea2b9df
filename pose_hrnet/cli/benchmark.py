"""``pose-hrnet benchmark``: how fast this machine runs what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from pose_hrnet.cli.console import RichProgress, one_sentence_errors, print_table, say
from pose_hrnet.cli.options import Device, Offline, checkpoint_file, file_to_write, given, one_of
from pose_hrnet.system.choices import Backend, Precision, SectionName
from pose_hrnet.system.defaults import (
    BATCHES,
    BENCHMARK_RECIPE,
    CLIENTS,
    LOADER_PROCESSES,
    MADE_UP_POSES,
    MOST_CROPS,
    MOST_WORKERS,
    PRECISIONS,
    ROUNDS,
)
from pose_hrnet.system.text import parse_names, shown

if TYPE_CHECKING:
    from pose_hrnet.benchmark.timing import Measurement


def _list(values: Sequence[object]) -> str:
    """Values as the options take them."""
    return ",".join(map(str, values))


@one_sentence_errors
def benchmark(
    sections: Annotated[
        list[str] | None,
        typer.Argument(metavar=one_of(SectionName), help="One or several; all without any."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", "-c", help="As of evaluate; without it, random weights."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Recipe or YAML: input size, and network without --checkpoint; "
            f"{BENCHMARK_RECIPE}."
        ),
    ] = None,
    exported: Annotated[
        list[Path] | None,
        typer.Option("--exported", help="Exported model to stand beside it; may be repeated."),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="Of pipeline and video: a card, weights or a name; else random ones."),
    ] = None,
    backends: Annotated[
        str | None, typer.Option(help=f"Some of {_list(get_args(Backend))}; all but auto.")
    ] = None,
    precisions: Annotated[
        str | None,
        typer.Option(help=f"Some of {_list(get_args(Precision))}; {_list(PRECISIONS)}."),
    ] = None,
    batches: Annotated[str | None, typer.Option(help=f"Crops per call; {_list(BATCHES)}.")] = None,
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
    workers: Annotated[
        str | None, typer.Option(help=f"Loader processes; {_list(LOADER_PROCESSES)}.")
    ] = None,
    poses: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help=f"Made up to be scored; {MADE_UP_POSES}."),
    ] = None,
    clients: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_WORKERS, help=f"Of serve, that ask at once; {CLIENTS}."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0, max=10_000, help="Of serve: of a long run after it, whose memory is told."
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, max=1000, help=f"Turns of each variant; {ROUNDS}.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds instead of minutes: to see that it runs.")
    ] = False,
    device: Device = "auto",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", parser=file_to_write, metavar="PATH", help="JSON file to write."),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(parser=file_to_write, metavar="PATH", help="Markdown file to write."),
    ] = None,
    offline: Offline = False,
) -> None:
    """Measure model, prediction, data loading, codec and evaluation here; needs no data.

    Variants take turns in every round, so that other work on the machine slows all alike. What
    cannot run here is a row with the reason. The model's baseline is its plain layers in fp32,
    NCHW, at the same batch size.

    Example: `pose-hrnet benchmark model -c best.safetensors --backends eager,openvino
    --batches 1,32 --flip-test --json speed.json`
    """
    from pose_hrnet.benchmark.machine import describe, machine_facts
    from pose_hrnet.benchmark.report import LEGEND, write_markdown, write_report
    from pose_hrnet.benchmark.suite import QUICK, Plan, run_benchmarks

    quickly = QUICK if quick else {}
    chosen = given(
        sections=_names("SECTIONS", ",".join(sections) if sections else None, SectionName),
        recipe=model,
        checkpoint=None if checkpoint is None else checkpoint_file(checkpoint),
        exported=exported,
        detector=detector,
        backends=_names("--backends", backends, Backend),
        precisions=_names("--precisions", precisions, Precision),
        batches=_numbers("--batches", batches, 1, MOST_CROPS),
        flip_test=flip_test,
        device=device,
        annotations=annotations,
        images=images,
        workers=_numbers("--workers", workers, 0, MOST_WORKERS),
        poses=poses,
        clients=clients,
        minutes=minutes,
    )
    plan = Plan(**{**quickly, **chosen})
    if rounds is not None:
        plan = replace(plan, pace=replace(plan.pace, rounds=rounds))
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


def _names(option: str, text: str | None, choice: Any) -> tuple[str, ...] | None:
    """Some names of a choice, where any are given."""
    return None if text is None else parse_names(text, option, get_args(choice))


def _numbers(option: str, text: str | None, least: int, most: int) -> tuple[int, ...] | None:
    """As `_names`, of whole numbers."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in parts if not part.isdecimal() or not least <= int(part[:9]) <= most]
    if wrong or not parts:
        raise ValueError(
            f"{option} has {shown(wrong[0] if wrong else text)}; give whole numbers from {least} "
            f"to {most:,}, as in 1,8"
        )
    return tuple(dict.fromkeys(map(int, parts)))
