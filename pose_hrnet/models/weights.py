"""Models in and out of checkpoints: our own, and the official HRNet ones as they are.

A checkpoint of ours carries a `ModelCard`, everything that decoding needs. The official ones carry
tensors only; what they do not say is found out from shapes and file name, and reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from pose_hrnet.codec import HeatmapCodec
from pose_hrnet.models.build import PoseNetwork, build_network
from pose_hrnet.models.checkpoint_files import (
    CheckpointFile,
    few,
    read_checkpoint,
    write_checkpoint,
)
from pose_hrnet.models.head import head_by_name, official_skeleton
from pose_hrnet.models.inputs import IMAGENET_MEAN, IMAGENET_STD, INPUT_MULTIPLE
from pose_hrnet.skeleton import Skeleton

CARD_FORMAT = 1
"""Version of the card's layout: raised when an older reader could misread a newer card."""

_HEAD = "final_layer."
# What no ImageNet file has: V1's and SimpleBaseline's, V2's, and SimpleBaseline's way up.
_NEW_PARTS = (_HEAD, "head.", "deconv_layers.")
# Height x width, as in pose_hrnet_w32_256x192.pth.
_SIZE_IN_NAME = re.compile(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)")
_IN_RESNET_BLOCK = re.compile(r"layer[1-4]\.\d+\.conv\d\.weight")


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint says about its weights, so that loading needs no config file.

    Attributes:
        architecture: What `build_network` takes, as the network's `architecture` gives it.
        skeleton: The keypoints that the heatmaps stand for.
        codec: How heatmaps are encoded and decoded; holds the input size.
        mean: Per-channel mean of RGB values between 0 and 1.
        std: Per-channel standard deviation of RGB values between 0 and 1.
        colour: Channel order of the input.
        box_padding: Factor by which boxes are enlarged before cropping.

    Raises:
        ValueError: If skeleton and architecture disagree, or a value is not one that is known.
    """

    architecture: dict[str, Any]
    skeleton: Skeleton
    codec: HeatmapCodec
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    colour: Literal["RGB"] = "RGB"
    box_padding: float = 1.25

    def __post_init__(self) -> None:
        found, named = self.architecture.get("num_keypoints"), self.skeleton.num_keypoints
        if found != named:
            raise ValueError(
                f"the network has {found} keypoints, but skeleton {self.skeleton.name!r} has "
                f"{named}; give the skeleton that the network was trained for"
            )
        if any(side % INPUT_MULTIPLE for side in self.codec.input_wh):
            raise ValueError(
                f"input size {self.codec.input_wh} (width, height) does not suit the network; "
                f"give multiples of {INPUT_MULTIPLE}"
            )
        if self.colour != "RGB":
            raise ValueError(f"the card names colour order {self.colour!r}; only 'RGB' is known")

    def build(self) -> PoseNetwork:
        """A network of this architecture and normalisation, freshly initialised.

        Raises:
            ValueError: If the architecture has arguments that the network does not take.
        """
        return build_network(self.architecture, mean=self.mean, std=self.std)

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the types of JSON, with the version of the layout."""
        return {
            "format": CARD_FORMAT,
            "architecture": self.architecture,
            "skeleton": self.skeleton.to_dict(),
            "codec": self.codec.to_dict(),
            "mean": list(self.mean),
            "std": list(self.std),
            "colour": self.colour,
            "box_padding": self.box_padding,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """Inverse of `to_dict`.

        Raises:
            ValueError: If the version of the layout is unknown, or the card is damaged.
        """
        version = values.get("format")
        if version != CARD_FORMAT:
            raise ValueError(
                f"the model card has format {version!r}, but this pose_hrnet reads format "
                f"{CARD_FORMAT}; use the version of pose_hrnet that wrote it, or a newer one"
            )
        try:
            return cls(
                architecture=dict(values["architecture"]),
                skeleton=Skeleton.from_dict(values["skeleton"]),
                codec=HeatmapCodec.from_dict(values["codec"]),
                mean=tuple(values["mean"]),
                std=tuple(values["std"]),
                colour=values["colour"],
                box_padding=values["box_padding"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the model card is damaged: {error!r}; save it again") from error


@dataclass(frozen=True)
class LoadReport:
    """What became of every entry of a file and of the model.

    Attributes:
        path: The file.
        kind: What the file is, such as ``official HRNet pose``.
        used: Entries taken from the file.
        missing: Entries of the model that the file lacks.
        left_over: Entries of the file that the model lacks.
        mismatched: Entries of both in different shapes, not taken, each with the two shapes.
        notes: What was assumed or chosen, in sentences.
    """

    path: Path
    kind: str
    used: tuple[str, ...]
    missing: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """The report in plain words, with counts and a few names."""
        total = len(self.used) + len(self.missing) + len(self.mismatched)
        parts = [f"{self.path} ({self.kind}): {len(self.used)} of {total} entries taken"]
        for names, what in (
            (self.missing, "missing from the file"),
            (self.mismatched, "of another shape"),
            (self.left_over, "in the file not needed"),
        ):
            if names:
                parts.append(f"{len(names)} {what} ({few(names)})")
        return ". ".join(["; ".join(parts), *self.notes])

    def __str__(self) -> str:
        return self.summary()


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network ready to predict, with what decoding needs.

    Attributes:
        model: In eval mode, on the CPU.
        card: Skeleton, codec, normalisation.
        report: Where the weights came from.
    """

    model: PoseNetwork
    card: ModelCard
    report: LoadReport


def save_model(path: str | Path, state_dict: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write weights and card as one safetensors file, whole or not at all.

    Args:
        path: Where to, by convention ``*.safetensors``; its folder is made.
        state_dict: Of the network that the card describes.
        card: Stored as JSON in the metadata of the file.

    Raises:
        OSError: If the file cannot be written.
    """
    write_checkpoint(Path(path), state_dict, card.to_dict())


def load_model(
    path: str | Path,
    *,
    skeleton: Skeleton | None = None,
    input_wh: tuple[int, int] | None = None,
) -> LoadedModel:
    """Load a network that predicts keypoints: our checkpoints, or official ones as they are.

    Ours are the files of `save_model` and training states, torch files with the card under
    ``card`` and the state dict under ``model``. Official ones are a state dict, bare or in the
    training checkpoint: the architecture is found out from the shapes, the input size from a file
    name such as ``pose_hrnet_w32_256x192.pth`` (height x width), the skeleton is COCO's,
    MPII's or CrowdPose's by the number of keypoints.

    Args:
        path: ``.safetensors``, ``.pt`` or ``.pth``; the content decides, not the name.
        skeleton: Taken instead of what the file says.
        input_wh: Input size (width, height), taken instead of what the file says.

    Returns:
        The network in eval mode on the CPU, its card, and a report.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, no checkpoint, would have to run code to load, has no
            keypoint head, or does not hold every weight; or if the skeleton must be given.
    """
    file = read_checkpoint(Path(path))
    try:
        if file.card is None:
            card, notes = _card_of_official(file, skeleton, input_wh)
        else:
            card, notes = ModelCard.from_dict(file.card), ()
            codec = replace(card.codec, input_wh=input_wh or card.codec.input_wh)
            card = replace(card, skeleton=skeleton or card.skeleton, codec=codec)
        model = card.build()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    fitting, report = _fit(model, file, notes)
    # Files of PyTorch before 0.4.1 lack these counters, which nothing but training reads.
    lacking = [name for name in report.missing if not name.endswith("num_batches_tracked")]
    if lacking or report.mismatched:
        raise ValueError(
            f"{path}: this is no complete HRNet: {len(lacking)} entries are missing "
            f"({few(lacking)}) and {len(report.mismatched)} have another shape "
            f"({few(report.mismatched)}); get the whole file again"
        )
    model.load_state_dict(fitting, strict=False)
    return LoadedModel(model.eval(), card, report)


def initialise(
    model: nn.Module, path: str | Path, keypoint_names: Sequence[str] | None = None
) -> LoadReport:
    """Start a model from pretrained weights: ImageNet or pose, official or ours.

    Entries that the file lacks, or has in another shape (the head for another number of
    keypoints), keep their values, and the report names them.

    Args:
        model: Receives the weights in place: `HRNet` with either head, `SimpleBaseline`, or
            `pose_hrnet.models.multi_resolution.HRNetV2`.
        path: As in `load_model`; official ImageNet files such as
            ``hrnetv2_w32_imagenet_pretrained.pth``, or torchvision's ``resnet50-*.pth``, as well.
        keypoint_names: The model's keypoints. Where the file's are known, too, and are others,
            the head's rows are taken by name, and those of new keypoints keep their values.

    Returns:
        What was taken and what was not.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, fits fewer than half of the backbone's entries, or
            is of another width or depth; the model is then as it was.
    """
    file = read_checkpoint(Path(path))
    file, notes = head_by_name(file, model.state_dict(), keypoint_names)
    fitting, report = _fit(model, file, notes)
    backbone = [name for name in model.state_dict() if not name.startswith(_NEW_PARTS)]
    fits, size = sum(name in fitting for name in backbone), _size(model.state_dict())
    if 2 * fits < len(backbone):
        raise ValueError(
            f"{path}: the file ({_describe(file)}) fits only {fits} of the {len(backbone)} "
            f"backbone entries of the model ({size}); give weights of the model's width and depth"
        )
    if _size(file.tensors) != size:  # a deeper ResNet has every entry of a shallower one
        raise ValueError(
            f"{path}: the file ({_describe(file)}) is of another size than the model ({size}); "
            "give weights of the model's width and depth"
        )
    model.load_state_dict(fitting, strict=False)
    return report


def _kind(file: CheckpointFile) -> str:
    if file.card is not None:
        return f"pose_hrnet {'training state' if file.found_under else 'checkpoint'}"
    if any(name.startswith(("incre_modules.", "classifier.")) for name in file.tensors):
        return "official HRNet ImageNet"
    if "fc.weight" in file.tensors:
        return "ImageNet ResNet"
    known = f"{_HEAD}weight" in file.tensors
    return "official HRNet pose" if known else "state dict without keypoint head"


def _describe(file: CheckpointFile) -> str:
    return f"{_kind(file)}, {_size(file.tensors)}"


def _size(tensors: Mapping[str, Tensor]) -> str:
    """The width of an HRNet, or the depth of a ResNet, from its state dict."""
    entry = tensors.get("stage2.0.branches.0.0.conv1.weight")
    if entry is not None:
        return f"width {len(entry)}"
    # A ResNet's depth is its convolutions in blocks, the first one, and the classifier.
    depth = 2 + sum(_IN_RESNET_BLOCK.fullmatch(name) is not None for name in tensors)
    return f"depth {depth}" if "layer4.0.conv1.weight" in tensors else "unknown width"


def _card_of_official(
    file: CheckpointFile, skeleton: Skeleton | None, input_wh: tuple[int, int] | None
) -> tuple[ModelCard, tuple[str, ...]]:
    """The card that an official pose file would carry, and notes on how it was found."""
    if _kind(file) != "official HRNet pose":
        raise ValueError(
            f"the file ({_describe(file)}) has no keypoint head to predict with; "
            "give it as pretrained weights to start training"
        )
    architecture = _architecture(file.tensors)
    count = architecture["num_keypoints"]
    skeleton = skeleton or official_skeleton(count)
    if skeleton is None:
        raise ValueError(
            f"found {count} keypoints, which are not COCO's 17, MPII's 16 or CrowdPose's 14; "
            "pass skeleton="
        )
    notes = (f"Weights taken from {file.found_under!r}",) if file.found_under else ()
    named = _SIZE_IN_NAME.search(file.path.name)
    if input_wh is not None:
        origin = "as given"
    elif named and not any(int(side) % 32 for side in named.groups()):  # as official sizes are
        input_wh, origin = (int(named[2]), int(named[1])), "from the file name"
    else:
        input_wh, origin = (192, 256), "assumed; pass input_wh= if it is another"
    # The official recipes: sigma 2 at 256x192 and 256x256, 3 at 384x288.
    codec = HeatmapCodec("gaussian", input_wh, sigma=3.0 if input_wh[1] >= 384 else 2.0)
    size = f"Input size {input_wh[0]} wide and {input_wh[1]} high ({origin})"
    return ModelCard(architecture, skeleton, codec), (*notes, size)


def _architecture(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of the `HRNet` whose state dict this is, from names and shapes."""
    first = [f"stage{stage}.0.branches.0.0.conv1.weight" for stage in (2, 3, 4)]
    needed = ["conv1.weight", "layer1.0.conv1.weight", *first, f"{_HEAD}weight"]
    lacking = [name for name in needed if name not in tensors or tensors[name].ndim != 4]
    if lacking:
        raise ValueError(
            f"this is no HRNet: its {len(tensors)} entries ({few(tensors)}) lack a convolution "
            f"{lacking[0]}; give an HRNet pose checkpoint"
        )

    def count(prefix: str) -> int:
        """Distinct children of a module."""
        names = (name.removeprefix(prefix) for name in tensors if name.startswith(prefix))
        return len({name.split(".")[0] for name in names})

    return {
        "name": "hrnet",
        "head": "v1",
        "width": len(tensors[first[0]]),
        "num_keypoints": len(tensors[f"{_HEAD}weight"]),
        "stem_width": len(tensors["conv1.weight"]),
        "stem_blocks": count("layer1."),
        "stage_modules": [count(f"stage{stage}.") for stage in (2, 3, 4)],
        "branch_blocks": count("stage2.0.branches.0."),
    }


def _fit(
    model: nn.Module, file: CheckpointFile, notes: tuple[str, ...]
) -> tuple[dict[str, Tensor], LoadReport]:
    """The file's entries that the model has in the same shape, and a report on all entries."""
    wanted, tensors = model.state_dict(), file.tensors
    both = [name for name in wanted if name in tensors]
    used = [name for name in both if tensors[name].shape == wanted[name].shape]
    report = LoadReport(
        path=file.path,
        kind=_kind(file),
        used=tuple(used),
        missing=tuple(name for name in wanted if name not in tensors),
        left_over=tuple(name for name in tensors if name not in wanted),
        mismatched=tuple(
            f"{name}: file {tuple(tensors[name].shape)}, model {tuple(wanted[name].shape)}"
            for name in both
            if tensors[name].shape != wanted[name].shape
        ),
        notes=notes,
    )
    return {name: tensors[name] for name in used}, report
