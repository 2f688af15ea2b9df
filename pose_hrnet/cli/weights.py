"""``pose-hrnet weights ...``: published weights by name; what files are; others' as ours."""

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
    say_columns,
)
from pose_hrnet.cli.options import (
    Annotations,
    Offline,
    check_there,
    checkpoint_file,
    file_to_write,
    output_option,
)
from pose_hrnet.system.choices import CodecName, ColourOrder
from pose_hrnet.system.defaults import MOST_WORKERS
from pose_hrnet.system.folders import check_not_over
from pose_hrnet.system.text import parse_size
from pose_hrnet.system.transfer import address_in

if TYPE_CHECKING:
    from pose_hrnet.models.weights.fit import LoadReport
    from pose_hrnet.models.weights.zoo import Entry

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List and download published weights; inspect and convert checkpoints of any toolkit.",
)

File = Annotated[
    str,
    typer.Argument(
        help=".safetensors, .pt or .pth of any toolkit; a name of the list, or an https address."
    ),
]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Of the list, or https addresses.")
]

_HEADINGS = ["name", "kind", "network", "input", "codec", "published", "learnt from", "here"]
_SHOWN = 12
"""Names of entries in a list before it is cut short."""
_SAID_APART = ("name", "num_keypoints")
"""Of an architecture; the label and the heatmaps say them."""


@app.command("list")
@one_sentence_errors
def list_weights(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One name, to say all of it; or a part of names."),
    ] = None,
) -> None:
    """List the weights that have a name: network, input (height x width), codec, published number.

    Of the kinds, pose predicts keypoints, backbone is there to start training from, and detector
    finds persons.

    Example: `pose-hrnet weights list udp`
    """
    from pose_hrnet.models.weights.zoo import find_entry, zoo

    entries = [entry for key, entry in zoo().items() if (name or "").lower() in key]
    if name in zoo() or not entries:
        _say_facts(_facts(find_entry(name or "")))
        return
    say_columns(_HEADINGS, [_row(entry) for entry in entries])


@app.command()
@one_sentence_errors
def download(names: Names, offline: Offline = False) -> None:
    """Download weights, check them, and keep them as ours; says where they are.

    Example: `pose-hrnet weights download coco_w32_256x192_udp`
    """
    from pose_hrnet.models.weights.fetch import fetch

    for entry in [_entry(name) for name in names]:
        say(str(fetch(entry, progress=RichProgress())))


@app.command()
@one_sentence_errors
def path(name: Annotated[str, typer.Argument(help="Of the list, or an https address.")]) -> None:
    """Say where downloaded weights are kept; nothing is downloaded.

    Example: `pose-hrnet weights path coco_w32_256x192_udp`
    """
    from pose_hrnet.models.weights.zoo import kept_file

    kept = kept_file(_entry(name))
    if kept is None:
        raise FileNotFoundError(
            f"{name} is not on this machine; pose-hrnet weights download {name} fetches it"
        )
    say(str(kept))


@app.command()
@one_sentence_errors
def inspect(file: File, offline: Offline = False) -> None:
    """Say what a checkpoint is, what decoding needs and where that is from, and what would load.

    Exit code 1 if it has a heatmap head and still does not load as a network that predicts.

    Example: `pose-hrnet weights inspect pose_hrnet_w32_256x192.pth`
    """
    from pose_hrnet.models.weights.inspect import inspect_weights

    found = inspect_weights(checkpoint_file(file))
    keypoints = found.architecture["num_keypoints"]
    sizes = [f"{k} {v}" for k, v in found.architecture.items() if k not in _SAID_APART]
    facts = [
        ("file", str(found.path)),
        ("format", found.kind),
        ("network", ", ".join([found.label, *sizes])),
        ("heatmaps", str(keypoints) if keypoints else "none: a backbone to start training from"),
        ("parameters", f"{found.parameters:,}"),
        ("size", f"{found.size_bytes:,} bytes"),
        ("sha256", found.sha256),
    ]
    facts += [(f"source {name}", value) for name, value in (found.source or {}).items()]
    facts += [("note", found.note)] if found.note else []
    _say_facts(facts)
    if found.settings:
        rows = [[s.name, s.value, s.origin] for s in found.settings]
        print_table("what decoding needs", ["setting", "value", "from"], rows)
    _print_entries(found.report)
    if found.problem is None:
        say("loads as it is")
        return
    say(f"does not load to predict: {found.problem}")
    if keypoints:
        raise typer.Exit(1)


@app.command()
@one_sentence_errors
def convert(
    file: File,
    output: Annotated[Path, output_option(file_to_write, "The .safetensors to write.")],
    codec: Annotated[CodecName | None, typer.Option(help="Wins over what the file says.")] = None,
    input_size: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH, as in 256x192; wins over the file.")
    ] = None,
    sigma: Annotated[float | None, typer.Option(min=0.1, help="Of the Gaussian, cells.")] = None,
    blur_kernel: Annotated[int | None, typer.Option(min=1, help="Of dark and udp, odd.")] = None,
    border_true: Annotated[
        bool | None,
        typer.Option(
            "--border-true/--no-border-true", help="dark, udp: without the bias at the border."
        ),
    ] = None,
    colour: Annotated[
        ColourOrder | None, typer.Option(help="Of the crops that others trained it on.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="COCO JSON whose category names other keypoints.")
    ] = None,
    float16: Annotated[
        bool, typer.Option("--float16", help="Numbers of half the size; still computed in fp32.")
    ] = False,
    offline: Offline = False,
) -> None:
    """Write any pose checkpoint as one of ours, which carries all that decoding needs.

    Example: `pose-hrnet weights convert hrnet_w32_coco_256x192_udp.pth --output w32.safetensors`
    """
    if output.suffix.lower() not in ("", ".safetensors"):
        raise ValueError(
            f"--output is {output}, but a safetensors file is written; name it "
            f"{output.with_suffix('.safetensors').name}"
        )
    from pose_hrnet.data.formats.skeletons import find_skeleton
    from pose_hrnet.models.weights.load import half_precision, load_network, save_model

    path = checkpoint_file(file)
    check_not_over(output, path)
    loaded = load_network(
        path,
        skeleton=None if annotations is None else find_skeleton(None, annotations),
        input_wh=None if input_size is None else parse_size(input_size, "--input-size"),
        codec=codec,
        sigma=sigma,
        blur_kernel=blur_kernel,
        colour=colour,
    )
    card = loaded.card
    if border_true is not None:
        card = replace(card, codec=replace(card.heatmap_codec, border_true=border_true))
    state_dict = loaded.network.state_dict()
    save_model(output, half_precision(state_dict) if float16 else state_dict, card)
    rows = [[s.name, s.value, s.origin] for s in loaded.report.settings]
    if rows:
        print_table("what the card says", ["setting", "value", "from"], rows)
    say(f"{loaded.report.kind}: {len(loaded.report.used)} entries written to {output}")


@app.command()
@one_sentence_errors
def calibrate(
    file: Annotated[
        str, typer.Argument(help="A checkpoint, or the .yaml card of a heatmap model of others.")
    ],
    annotations: Annotations,
    images: Annotated[Path, typer.Option("--images", help="Folder of the JSON's file names.")],
    output: Annotated[
        Path,
        output_option(file_to_write, "The .safetensors to write; of a card the .yaml."),
    ],
    workers: Annotated[int, typer.Option(min=0, max=MOST_WORKERS, help="Loader processes.")] = 1,
    offline: Offline = False,
) -> None:
    """Measure what a model's scores mean, and write it into its card, for --calibrated.

    The images should be others than those that it was trained on. Keypoints that are found at
    their places are counted by score; the curve through that gives each score a probability.

    Exit code 1 if some image could not be read; the rest is done all the same.

    Example: `pose-hrnet weights calibrate default --annotations val.json --images val
    --output default_calibrated.safetensors`
    """
    from pose_hrnet.config.data import DataSet
    from pose_hrnet.evaluation.calibration import calibrate as measure
    from pose_hrnet.inference.load import load_model
    from pose_hrnet.models.card import CARD_SUFFIXES, RUN_SUFFIXES, write_calibrated
    from pose_hrnet.models.weights.load import load_network, save_model

    path = checkpoint_file(file)
    if path.suffix.lower() in RUN_SUFFIXES:
        raise ValueError(
            f"{path} is an exported model; give the checkpoint that it was made from, and export "
            "the calibrated one, or give the .yaml card of a model of others"
        )
    is_card = path.suffix.lower() in CARD_SUFFIXES
    wanted = CARD_SUFFIXES if is_card else (".safetensors",)
    if output.suffix.lower() not in wanted:
        raise ValueError(
            f"--output is {output}, but {file} becomes a {wanted[0]} file; name it "
            f"{output.with_suffix(wanted[0]).name}"
        )
    check_not_over(output, path)
    check_there(annotations, images)
    calibration, evaluation = measure(
        load_model(path),
        DataSet(annotations=annotations, images=images),
        workers=workers,
        progress=RichProgress(),
    )
    if is_card:
        write_calibrated(path, output, calibration)
    else:
        loaded = load_network(path)
        card = replace(loaded.card, calibration=calibration)
        save_model(output, loaded.network.state_dict(), card)
    shown = [
        [f"{score:.2f}", f"{value:.3f}"]
        for score, value in zip(calibration.scores, calibration.probabilities, strict=True)
    ]
    print_table("score", ["score", "at its place"], shown[:: max(1, len(shown) // 9)])
    say(f"{len(evaluation.poses)} persons of {annotations.name}; written to {output}")
    end_incomplete(evaluation.provenance["unreadable_images"])


def _entry(name: str) -> Entry:
    from pose_hrnet.models.weights.zoo import entry_of_address, find_entry

    address = address_in(name)
    return find_entry(name) if address is None else entry_of_address(address)


def _row(entry: Entry) -> list[str]:
    from pose_hrnet.models.weights.zoo import kept_file

    score = "" if entry.score is None else f"{entry.score:.3f} {entry.metric}"
    here = "" if kept_file(entry) is None else "yes"
    codec = entry.codec or ""
    return [
        entry.name,
        entry.kind,
        entry.network,
        entry.input,
        codec,
        score,
        entry.dataset,
        here,
    ]


def _facts(entry: Entry) -> list[tuple[str, str]]:
    facts = list(zip(_HEADINGS, _row(entry), strict=True))
    facts += [("measured on", entry.measured_on), ("licence", entry.licence), ("note", entry.note)]
    for number, source in enumerate(entry.sources, 1):
        known = source.sha256 or "not known"
        facts += [(f"address {number}", source.url), (f"sha256 {number}", known)]
    return [(name, value) for name, value in facts if value]


def _say_facts(facts: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in facts) + 2
    for name, value in facts:
        say(f"{name + ':':{width}}{value}")


def _print_entries(report: LoadReport) -> None:
    total = len(report.used) + len(report.missing) + len(report.mismatched)
    say(f"{len(report.used)} of the network's {total} entries would load")
    for names, what in (
        (report.missing, "missing from the file"),
        (report.mismatched, "of another shape"),
        (report.left_over, "in the file not needed"),
    ):
        if names:
            shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            say(f"{len(names)} {what}: {shown}")
    for note in report.notes:
        say(f"note: {note}")
