"""Loads any model that predicts keypoints: a checkpoint, an export, a heatmap model of others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_hrnet.inference.backends.choose import Choice, choose, choose_for_file
from pose_hrnet.inference.backends.networks import (
    ExportedNetwork,
    ForeignNetwork,
    accelerate,
    agrees,
)
from pose_hrnet.inference.backends.sessions import Session, open_onnx, open_openvino
from pose_hrnet.inference.model import Decoder, PoseModel
from pose_hrnet.keypoints.simcc import SimccCodec
from pose_hrnet.models.card import (
    CARD_SUFFIXES,
    RUN_SUFFIXES,
    SUFFIXES,
    ModelCard,
    card_path,
    described_model,
)
from pose_hrnet.models.weights.fetch import checkpoint_path
from pose_hrnet.models.weights.load import load_network
from pose_hrnet.models.weights.zoo import default_in_words
from pose_hrnet.system.arguments import check_choice, check_count, check_flag
from pose_hrnet.system.choices import Backend, Precision
from pose_hrnet.system.inputs import check_input
from pose_hrnet.system.text import format_size, one_line

log = logging.getLogger(__name__)


def load_model(
    path: str | Path,
    *,
    backend: Backend = "auto",
    precision: Precision = "fp32",
    device: str = "auto",
    flip_test: bool | None = None,
    card: str | Path | None = None,
    crops: int | None = None,
) -> PoseModel:
    """Load any model that predicts keypoints.

    Files ending in ``.onnx`` and ``.xml`` with a JSON card beside them are exports of ours. With a
    YAML card - given, or of the same name beside them, or named in place of the model - they are
    heatmap models of others. All other files are checkpoints, of ours or of other toolkits.

    Args:
        path: The model, or the YAML card that names it; a name of published weights, such as
            ``coco_w32_256x192_udp`` or ``default``, the weights inside the package; or an https
            address (docs/weights.md).
        backend: What runs it; ``auto``: the best choice for a checkpoint (see `choose`), and for
            other files what they are for. ``openvino`` runs ONNX files, too.
        precision: Arithmetic; ``auto``: the fastest. That of exported files is their own, but
            OpenVINO can run them in bf16.
        device: ``auto``, ``cpu``, ``cuda`` ...
        flip_test: Average with the mirrored crop; None: as exported, and on for heatmaps.
        card: The YAML card of a heatmap model.
        crops: About how many will be predicted, for the choice; None: unknown.

    Raises:
        OSError: If a file is missing, or cannot be downloaded.
        ValueError: If the file is no model, its card contradicts it or what is asked for, the
            runtime is not installed, or an argument is none of its choices.
    """
    check_choice("backend", backend, Backend)
    check_choice("precision", precision, Precision)
    if flip_test is not None:
        check_flag("flip_test", flip_test)
    if crops is not None:
        check_count("crops", crops, 0)
    path, card = checkpoint_path(path), None if card is None else Path(card)
    if path.suffix.lower() in CARD_SUFFIXES:
        path, card = described_model(path), path
    if path.suffix.lower() == SUFFIXES["torch"]:
        raise ValueError(
            f"{path} is a torch.export program, which pose_hrnet writes and does not run; give "
            "the checkpoint, or export it to ONNX or OpenVINO (in your own code, use "
            "torch.export.load)"
        )
    if path.suffix.lower() not in RUN_SUFFIXES:
        if card is not None:
            raise ValueError(
                f"{path} is no exported model, so that no card applies to it; "
                f"give a file ending in {', '.join(RUN_SUFFIXES)}"
            )
        choice = choose(backend, precision, device, crops=crops)  # before the file is read
        return _checkpoint(path, backend, choice, device, flip_test)
    try:
        check_input(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such model file; check the path") from None
    if card is None and card_path(path).exists():
        exported = ModelCard.read_beside(path)
        quantised = exported.export is not None and exported.export.weights == "int8"
        choice = choose_for_file(path, backend, precision, device, quantised=quantised)
        return _export(path, _open(path, choice, device), exported, choice, flip_test)
    card = card or next((c for s in CARD_SUFFIXES if (c := path.with_suffix(s)).exists()), None)
    if card is None:
        raise FileNotFoundError(
            f"{path} has no card beside it; an export has {card_path(path).name}, and for a "
            f"heatmap model write {path.with_suffix('.yaml').name}, or give the card's path"
        )
    described = ModelCard.read_yaml(card)
    choice = choose_for_file(path, backend, precision, device)
    return _heatmap_model(path, _open(path, choice, device), described, choice, flip_test)


def _open(path: Path, choice: Choice, device: str) -> Session:
    if choice.backend == "onnx":
        return open_onnx(path, device)
    return open_openvino(path, device, choice.precision)


def _checkpoint(
    path: Path, backend: Backend, choice: Choice, device: str, flip_test: bool | None
) -> PoseModel:
    layers, card, report = load_network(path)
    network, where, choice = _fast_network(layers, card, backend, choice, device)
    decoder = _decoder(card, choice, flip_test is not False)
    if (choice.backend, choice.precision) != ("eager", "fp32"):
        reference = "the reference is --backend eager --precision fp32"
        choice = replace(choice, reason=f"{choice.reason}; {reference}")
    return PoseModel(
        network, card, decoder, where, choice, _in_words(path, card, report.summary())
    )


def _in_words(path: Path, card: ModelCard, summary: str) -> str:
    """What was loaded, with what its card says and the package knows of it."""
    return "\n".join(filter(None, (summary, card.note, default_in_words(path))))


def _decoder(card: ModelCard, choice: Choice, flip_test: bool) -> Decoder:
    """Of a network that keeps to its arithmetic by itself."""
    decoder = Decoder.of(card, flip_test=flip_test, precision=choice.precision)
    return replace(decoder, own_precision=True)


def _fast_network(
    network: nn.Module, card: ModelCard, backend: Backend, choice: Choice, device: str
) -> tuple[nn.Module, torch.device, Choice]:
    """The network as chosen; what was not asked for by name must prove itself, or is not used."""
    if backend != "auto" or choice.backend == "eager":
        return (*accelerate(network, card, choice, device), choice)
    try:
        fast, where = accelerate(network, card, choice, device)
        if agrees(fast, where, network, card, choice.precision):
            return fast, where, choice
        reason = f"{choice.backend} gives other heatmaps here"
    except (ValueError, RuntimeError) as error:
        reason = f"{choice.backend} cannot be used, {one_line(error)}"
    choice = replace(choice, backend="eager", reason=reason)
    log.warning("%s; the layers of torch run instead", reason)
    return (*accelerate(network, card, choice, device), choice)


def _export(
    path: Path,
    session: Session,
    card: ModelCard,
    choice: Choice,
    flip_test: bool | None,
) -> PoseModel:
    codec, skeleton, facts = card.codec, card.skeleton, card.export
    assert facts is not None
    width, height = codec.input_wh
    network = ExportedNetwork(session)
    _check_input(path, session, (height, width, 3), torch.uint8)
    points, scores = _first_run(path, session, network.forward, codec.input_wh)
    count = skeleton.num_keypoints
    if points.shape != (1, count, 2) or scores.shape != (1, count):
        raise ValueError(
            f"{path}: the model gives keypoints of shape {tuple(points.shape)} and scores of "
            f"shape {tuple(scores.shape)}, but its card has {count} keypoints; export it again"
        )
    decoder = replace(_decoder(card, choice, facts.flip_test), in_graph=True)
    summary = f"{path} ({facts.format} export, {facts.weights}, run by {session.backend})"
    summary = _in_words(path, card, summary)
    model = PoseModel(network, card, decoder, session.device, choice, summary)
    return model.with_test_settings(flip_test=flip_test)


def _heatmap_model(
    path: Path,
    session: Session,
    card: ModelCard,
    choice: Choice,
    flip_test: bool | None,
) -> PoseModel:
    width, height = card.codec.input_wh
    sides = (3, height, width) if card.layout == "NCHW" else (height, width, 3)
    _check_input(path, session, sides)
    try:
        network = ForeignNetwork(session, card)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; the card names another") from None
    picked = _first_run(path, session, network.picked, card.codec.input_wh)
    _check_outputs(path, card, picked)
    decoder = _decoder(card, choice, flip_test is not False)
    kind = "SimCC" if len(picked) > 1 else "heatmap"
    summary = _in_words(path, card, f"{path} ({kind} model, run by {session.backend})")
    return PoseModel(network, card, decoder, session.device, choice, summary)


def _check_outputs(path: Path, card: ModelCard, picked: Sequence[Tensor]) -> None:
    """Refuse a card whose codec reads outputs of other shapes."""
    codec, count = card.codec, card.skeleton.num_keypoints
    found = [tuple(output.shape[1:]) for output in picked]
    if isinstance(codec, SimccCodec):
        if found != [(count, bins) for bins in codec.bins_wh]:
            columns, rows = codec.bins_wh
            raise ValueError(
                f"{path}: outputs {card.output} have shapes {found} after the batch, but its card "
                f"says {count} keypoints and {columns} and {rows} bins (input times split ratio "
                f"{codec.split_ratio:g}); correct skeleton, input_wh, split_ratio or output in "
                "the card"
            )
    elif found != [(count, *codec.heatmap_hw)]:
        advice = "correct skeleton, stride or output in the card"
        if len(found[0]) == 2:
            advice = "if these are SimCC's vectors, the card needs codec: simcc"
        raise ValueError(
            f"{path}: output {card.output!r} has shape {tuple(picked[0].shape)}, but its card "
            f"says {count} keypoints and heatmaps of "
            f"{format_size(codec.heatmap_hw[::-1])} (height x width, stride "
            f"{codec.stride}); {advice}"
        )


def _check_input(
    path: Path, session: Session, sides: tuple[int, int, int], dtype: torch.dtype | None = None
) -> None:
    found = session.input_shape
    fits = len(found) == 4 and all(
        side in (None, wanted) for side, wanted in zip(found[1:], sides, strict=True)
    )
    if not fits or dtype not in (None, session.input_dtype):
        shown = ["?" if side is None else side for side in found]
        raise ValueError(
            f"{path}: the model takes {session.input_dtype} of shape {shown}, but its card says "
            f"{sides} after the batch; give the card that belongs to it"
        )


def _first_run(
    path: Path,
    session: Session,
    run: Callable[[Tensor], tuple[Tensor, ...]],
    input_wh: tuple[int, int],
) -> tuple[Tensor, ...]:
    """The outputs for one black crop, so that what does not run is noticed at once."""
    black = torch.zeros(1, 3, input_wh[1], input_wh[0], dtype=torch.uint8, device=session.device)
    try:
        return run(black)
    except Exception as error:  # the runtimes' exceptions have no common base
        raise ValueError(
            f"{path}: {session.backend} cannot run this model on a crop of "
            f"{format_size(input_wh)} (height x width) pixels ({one_line(error)}); "
            "give the card that belongs to it"
        ) from None
