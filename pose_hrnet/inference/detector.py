"""Person detectors: RGB images in, boxes and scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import torch

from pose_hrnet.inference.backends.choose import choose, choose_for_file
from pose_hrnet.inference.backends.convert import converted_session
from pose_hrnet.inference.backends.networks import channels_last, folded
from pose_hrnet.inference.backends.sessions import open_onnx, open_openvino
from pose_hrnet.inference.detection.boxes import PersonBoxes
from pose_hrnet.inference.detection.card import DetectorCard, read_detector_card
from pose_hrnet.inference.detection.networks import (
    FunctionDetector,
    NetworkDetector,
    Run,
    TorchvisionDetector,
    layers_run,
    session_run,
)
from pose_hrnet.keypoints.records import Image
from pose_hrnet.models.card import CARD_SUFFIXES, RUN_SUFFIXES, SUFFIXES, model_beside
from pose_hrnet.models.weights.fetch import entry_meant, fetch
from pose_hrnet.models.weights.files import CheckpointFile, read_checkpoint
from pose_hrnet.models.weights.zoo import Entry, zoo
from pose_hrnet.models.yolox import YOLOX
from pose_hrnet.system.arguments import check_choice
from pose_hrnet.system.choices import Backend, Precision
from pose_hrnet.system.defaults import PICTURES
from pose_hrnet.system.device import pick_device
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import parse_size
from pose_hrnet.system.threads import ahead

BATCH_IMAGES = 8
"""Images that a detector is given at once."""
BATCH_BYTES = 2**26
"""Or fewer, of so many bytes."""

Key = TypeVar("Key")


@runtime_checkable
class Detector(Protocol):
    """Finds persons in images.

    Attributes:
        threshold: Lowest score of its boxes.
        summary: What it is, in plain words.
    """

    threshold: float
    summary: str

    def __call__(self, images: Sequence[Image]) -> list[PersonBoxes]:
        """Find the persons in images of any sizes.

        Args:
            images: ``(H, W, 3)`` uint8 RGB.

        Returns:
            For each image the persons' boxes in its pixels, the surest first.
        """


@dataclass(frozen=True)
class _How:
    """What was asked for; see `load_detector`."""

    threshold: float
    backend: Backend
    precision: Precision
    device: str


Source: TypeAlias = str | Path | Detector | Callable[[Sequence[Image]], Any]
"""What a detector is made from."""


def load_detector(
    source: Source,
    *,
    threshold: float = PICTURES,
    backend: Backend = "auto",
    precision: Precision = "fp32",
    device: str = "auto",
    progress: Progress = SILENT,
) -> Detector:
    """Load any detector of persons.

    Args:
        source: A YAML card, or the .onnx or .xml file beside it; a file of YOLOX's or
            torchvision's weights, which is told by its content; a name of the list of weights
            (`DEFAULT`), or an address; or a function (see `FunctionDetector`). A detector is given
            back as it is.
        threshold: Lowest score of a box: `PICTURES`, or `SCORING` where AP is scored.
        backend: What runs it; ``auto``: OpenVINO where it is installed, else what the file is for.
            ``eager``: layers of torch.
        precision: Arithmetic of OpenVINO; ``auto``: the fastest. Others compute in fp32.
        device: ``auto``, ``cpu``, ``cuda`` ...
        progress: Draws a bar while weights are downloaded.

    Raises:
        FileNotFoundError: If a file is missing.
        ConnectionError: If weights cannot be downloaded.
        ValueError: If the file is no detector, its card contradicts it, a package is
            missing, or an argument is none of its choices.
    """
    check_choice("backend", backend, Backend)
    check_choice("precision", precision, Precision)
    if not 0 <= threshold <= 1:
        raise ValueError(f"the lowest score of a box is {threshold:g}; give one between 0 and 1")
    if isinstance(source, Detector):
        return source
    if callable(source):
        return FunctionDetector(source, threshold)
    how = _How(threshold, backend, precision, device)
    path, entry = Path(source), entry_meant(source)
    if entry is not None:
        path = _fetched(entry, progress)
        if path.suffix == SUFFIXES["onnx"]:
            card = _card_of(entry)
            return _opened(path, card, how)
    elif len(path.parts) == 1 and not path.suffix and not path.exists():
        raise FileNotFoundError(
            f"{path} is no file, and no detector of that name is known; give a card, or one of "
            f"{', '.join(DETECTORS)}"
        )
    if path.suffix.lower() in (*CARD_SUFFIXES, *RUN_SUFFIXES):
        return _opened(*_described(path), how)
    file = read_checkpoint(path)
    shapes = {name: tuple(value.shape) for name, value in file.tensors.items()}
    network = YOLOX.recognises(shapes)
    if network is not None:
        return _yolox(file, network, how)
    return _torchvision(file, how)


def detect_stream(
    detector: Detector, pictures: Iterable[tuple[Key, Image]]
) -> Iterator[tuple[Key, Image, PersonBoxes]]:
    """Find the persons in images as they come, batch by batch.

    The next images are read in another thread meanwhile.

    Args:
        detector: Finds them.
        pictures: What the caller knows an image by, and the image.

    Yields:
        For each image, in order: what it is known by, the image, and its boxes.
    """
    for batch in ahead(_batches(pictures), depth=1):
        found = detector([image for _, image in batch])
        for (key, image), boxes in zip(batch, found, strict=True):
            yield key, image, boxes


def _batches(pictures: Iterable[tuple[Key, Image]]) -> Iterator[list[tuple[Key, Image]]]:
    batch: list[tuple[Key, Image]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) >= BATCH_IMAGES or sum(image.nbytes for _, image in batch) >= BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _fetched(entry: Entry, progress: Progress) -> Path:
    """The file of a name of the list, or of an address."""
    if entry.name in zoo() and entry.name.removesuffix("_onnx") not in DETECTORS:
        what = "is not read here" if entry.kind == "detector" else "is no detector of persons"
        raise ValueError(f"{entry.name} {what}; give a card, or one of {', '.join(DETECTORS)}")
    return fetch(replace(entry, kind="detector"), progress=progress)


def _card_of(entry: Entry) -> DetectorCard:
    """Of an ONNX file that was fetched: the official ones of YOLOX need none beside them."""
    if not entry.name.startswith("yolox") or not entry.input:
        raise ValueError(
            f"{entry.name} is an ONNX file whose layout is not known; download it, and describe "
            "it in a card, see docs/detection.md"
        )
    size = parse_size(entry.input, "input")
    return DetectorCard.model_validate({"layout": "yolox_raw", "input_wh": size})


def _described(path: Path) -> tuple[Path, DetectorCard]:
    """An exported file and its card, either of which may be given."""
    if path.suffix.lower() in CARD_SUFFIXES:
        card = read_detector_card(path)
        return model_beside(path, card.model), card
    beside = next((c for s in CARD_SUFFIXES if (c := path.with_suffix(s)).is_file()), None)
    if beside is None:
        raise FileNotFoundError(
            f"{path} has no card beside it; write {path.with_suffix('.yaml').name} with the "
            "layout of its outputs (docs/detection.md), or give the card's path"
        )
    return path, read_detector_card(beside)


def _opened(path: Path, card: DetectorCard, how: _How) -> Detector:
    """An exported file, opened by what runs it."""
    backend, device = how.backend, how.device
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such model file; check the path")
    if backend in ("eager", "compile"):  # of the pose model, which this file cannot be
        backend = "auto"
    if backend == "auto" and _openvino_serves(device):
        backend = "openvino"
    precision = how.precision if backend == "openvino" else "fp32"
    choice = choose_for_file(path, backend, precision, device)
    width, height = card.input_wh or (1, 1)
    rows = {"orig_target_sizes": (width, height)}
    if choice.backend == "onnx":
        session = open_onnx(path, device, rows)
    else:
        session = open_openvino(path, device, choice.precision, rows)
    summary = f"{path.name} ({card.layout} detector, {choice.backend}, {choice.precision})"
    try:
        return NetworkDetector(session_run(session, card), card, how.threshold, summary)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _openvino_serves(device: str) -> bool:
    return device in ("auto", "cpu") and find_spec("openvino") is not None


def _last_line(error: RuntimeError) -> str:
    """Of torch's list of tensors that do not fit, the last one."""
    return str(error).splitlines()[-1].strip()


def _yolox(file: CheckpointFile, network: YOLOX, how: _How) -> Detector:
    """YOLOX in torch, or converted."""
    backend, device = how.backend, how.device
    try:
        network.load_state_dict(file.tensors)
    except RuntimeError as error:
        raise ValueError(
            f"{file.path}: it looks like {network.label}, but does not fit it "
            f"({_last_line(error)}); give the official file"
        ) from None
    side = 416 if network.width <= 24 else 640
    card = DetectorCard.model_validate({"layout": "yolox_raw", "input_wh": (side, side)})
    layers = folded(network).requires_grad_(False)
    if backend == "auto" and _openvino_serves(device):
        backend = "openvino" if pick_device(device).type == "cpu" else "eager"
    run: Run
    if backend in ("openvino", "onnx"):
        choice = choose(backend, how.precision if backend == "openvino" else "fp32", device)
        session = converted_session(layers, (side, side), backend, device, choice.precision)

        def run(images: torch.Tensor) -> Iterator[Sequence[torch.Tensor]]:
            yield session.run_images(images)

        runner = f"{choice.backend}, {choice.precision}"
    else:
        run, runner = layers_run(channels_last(layers), pick_device(device)), "eager, fp32"
    summary = f"{file.path.name} ({network.label}, {runner})"
    return NetworkDetector(run, card, how.threshold, summary)


TORCHVISION = {
    "keypointrcnn_resnet50_fpn": "roi_heads.keypoint_predictor.kps_score_lowres.weight",
    "maskrcnn_resnet50_fpn_v2": "roi_heads.mask_predictor.mask_fcn_logits.weight",
    "fasterrcnn_resnet50_fpn_v2": "roi_heads.box_head.0.0.weight",
    "fasterrcnn_resnet50_fpn": "backbone.body.conv1.weight",
    "fasterrcnn_mobilenet_v3_large_fpn": "backbone.body.0.0.weight",
}
"""Detectors of torchvision, and the tensor that tells their files, the first that is there."""

DETECTORS = ("yolox_nano", "yolox_tiny", "yolox_s", "yolox_m", *TORCHVISION)
"""Names of the list of weights that are detectors which run here."""

_CLASSES = "roi_heads.box_predictor.cls_score.weight"


def _torchvision(file: CheckpointFile, how: _How) -> Detector:
    """One of torchvision's, imported here alone: it takes 1.5 s and 170 MB."""
    found = (name for name, tensor in TORCHVISION.items() if tensor in file.tensors)
    name = next(found, None) if _CLASSES in file.tensors else None
    if name is None:
        raise ValueError(
            f"{file.path} is a checkpoint, but of no detector that is known (YOLOX, "
            f"{', '.join(TORCHVISION)}); a pose model is given as --checkpoint, and other "
            "detectors are exported and described by a card, see docs/detection.md"
        )
    classes = len(file.tensors[_CLASSES])
    make = getattr(import_module("torchvision.models.detection"), name)
    # No weights of its own, which it would download.
    network = make(
        weights=None, weights_backbone=None, num_classes=classes, box_score_thresh=how.threshold
    )
    try:
        network.load_state_dict(file.tensors)
    except RuntimeError as error:
        raise ValueError(
            f"{file.path}: it looks like torchvision's {name}, but does not fit it "
            f"({_last_line(error)}); give the official file"
        ) from None
    summary = f"{file.path.name} (torchvision's {name}, eager, fp32)"
    return TorchvisionDetector(network, pick_device(how.device), how.threshold, summary)
