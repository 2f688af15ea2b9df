"""What a checkpoint file is, without predicting anything with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.build import build_network
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.fetch import checkpoint_path
from pose_hrnet.models.weights.fit import LoadReport, fit
from pose_hrnet.models.weights.foreign import FROM_FILE, Overrides, Setting
from pose_hrnet.models.weights.read import open_weights
from pose_hrnet.system.download import sha256_of
from pose_hrnet.system.text import format_size


@dataclass(frozen=True)
class Inspection:
    """What is known of a checkpoint.

    Attributes:
        path: The file.
        kind: Such as ``MMPose 1.x HRNet pose``.
        label: The network as papers call it; without heatmaps its backbone, such as ``VGG16``.
        architecture: What `build_network` takes; ``num_keypoints`` is 0 without a heatmap head.
        settings: What decoding needs, and where each of it is from; empty if it cannot predict.
        problem: Why the file does not load as it is; None if it does.
        parameters: Of the network, head included where there is one.
        size_bytes: Of the file.
        sha256: Of the file, in hexadecimal.
        source: ``url`` and ``sha256`` of what it was downloaded as; None: not known.
        report: What would load into the network of this architecture.
        note: What the card says that whoever scores the model should know; empty: nothing.
    """

    path: Path
    kind: str
    label: str
    architecture: dict[str, Any]
    settings: tuple[Setting, ...]
    problem: str | None
    parameters: int
    size_bytes: int
    sha256: str
    source: Mapping[str, str] | None
    report: LoadReport
    note: str = ""


def inspect_weights(path: str | Path) -> Inspection:
    """Find out what a checkpoint holds and what of it would load.

    Raises:
        OSError: If there is no such file, or it cannot be downloaded.
        ValueError: If it is damaged, no checkpoint, or of no network that is known here.
    """
    weights = open_weights(checkpoint_path(path))
    path = weights.file.path
    settings: tuple[Setting, ...] = ()
    problem, card = None, None
    try:
        card, settings = weights.card(Overrides())
        settings = settings or _settings_of(card)
    except ValueError as error:
        problem = str(error)
    if card is not None and card.architecture is not None:
        architecture = card.architecture
    elif weights.layout is not None:
        architecture = weights.layout.architecture
    else:
        raise ValueError(f"{path}: {problem}")
    # A backbone is tried in a network that predicts; weights would only cost time.
    heads = architecture["num_keypoints"] or COCO17.num_keypoints
    try:
        with torch.device("meta"):
            network = build_network({**architecture, "num_keypoints": heads})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    report = fit(network, weights, settings)[1]
    held = {*report.used, *report.missing} if architecture["num_keypoints"] else {*report.used}
    return Inspection(
        path=path,
        kind=weights.kind,
        label=network.label if architecture["num_keypoints"] else network.backbone,
        architecture=architecture,
        settings=settings,
        problem=problem or report.problem,
        parameters=sum(p.numel() for name, p in network.named_parameters() if name in held),
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        source=weights.file.source,
        report=report,
        note="" if card is None else card.note,
    )


def _settings_of(card: ModelCard) -> tuple[Setting, ...]:
    """What a card of ours says."""
    codec, skeleton = card.heatmap_codec, card.skeleton
    values = {
        "keypoints": f"{skeleton.num_keypoints}, {skeleton.name}",
        "input size": format_size(codec.input_wh),
        "codec": codec.name,
        "sigma": codec.sigma,
        "blur kernel": codec.blur_kernel,
        "flip shift": codec.flip_shift,
        **({"border": "true"} if codec.border_true else {}),
        "colour": card.colour,
        "mean": card.mean,
        "std": card.std,
        "box padding": card.box_padding,
    }
    return tuple(Setting(name, str(value), FROM_FILE) for name, value in values.items())
