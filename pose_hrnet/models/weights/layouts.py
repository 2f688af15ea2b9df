"""How other toolkits name the entries of the networks that we have: names and shapes only.

No file is read and no tensor touched here. HRNet and the ResNets have the same names everywhere
but for a prefix: MMPose keeps them under ``backbone.`` and the head under ``keypoint_head.``
(0.x) or ``head.`` (1.x), as the hub of Hugging Face does; the official code, timm and torchvision
have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pose_hrnet.models.build import NETWORKS
from pose_hrnet.models.network import Shapes
from pose_hrnet.system.text import counted, few, one_line, shown

Toolkit: TypeAlias = Literal["official", "MMPose 0.x", "MMPose 1.x", "Hugging Face"]

_HUB = "embeddings.patch_embeddings.projection.weight"
"""What transformers of the hub have, less its prefix."""
_CLASSIFIERS = ("incre_modules.", "classifier.", "fc.")
"""What files of ImageNet's classes have behind the backbone; timm's HRNet and the official one
cannot be told apart."""

SIZES = ("width", "depth", "stacks", "growth", "heads")
"""In an architecture; what decides which weights fit."""

# Parts of names that tell what an unsuitable file is, in the order in which they are asked for.
_OTHERS = (
    (("bbox_head.", "roi_head.", "roi_heads.", "rpn_head.", "rpn."), "an object detector"),
    (("cls_x.", "cls_y.", "simcc"), "a SimCC model such as RTMPose"),
    (("patch_embed", ".attn.", "attention.query"), "a transformer such as ViTPose"),
    (("final_layers.", "keypoint_heads."), "a bottom-up model such as HigherHRNet"),
)


@dataclass(frozen=True)
class Layout:
    """What a foreign state dict is.

    Attributes:
        toolkit: Whose defaults hold for what the file does not say.
        kind: In words, such as ``MMPose 1.x HRNet pose``.
        names: Our name of every entry, by the file's.
        architecture: What `build_network` takes; ``num_keypoints`` is 0 without a heatmap head.
    """

    toolkit: Toolkit
    kind: str
    names: dict[str, str]
    architecture: dict[str, Any]

    @property
    def predicts(self) -> bool:
        """Whether there is a heatmap head."""
        return bool(self.architecture["num_keypoints"])


def identify(shapes: Shapes) -> Layout:
    """Find out what a state dict holds.

    Args:
        shapes: Every entry, without the prefixes of wrappers such as DistributedDataParallel.

    Raises:
        ValueError: If it is no network that is known here, with what it seems to be.
    """
    toolkit, names = _toolkit(shapes)
    ours = {names[name]: shape for name, shape in shapes.items()}
    other = next((what for parts, what in _OTHERS if _has(shapes, parts)), None)
    if toolkit == "Hugging Face":
        other = None
    architecture = None if other else recognised(ours)
    if architecture is None:
        what = other or f"no network that is known here ({few(shapes)})"
        raise ValueError(
            f"in the file's {counted(len(shapes), 'entry')} there is {what}; give a checkpoint of "
            "an HRNet, Lite-HRNet or ResNet with a heatmap head, a ViTPose of the Hugging Face "
            "hub, or, to start training from, a backbone of these or a VGG16 with batch norm"
        )
    network = NETWORKS[architecture["name"]]
    if architecture["num_keypoints"]:
        kind = f"{toolkit} {network.__name__} pose"
    elif _has(ours, _CLASSIFIERS, start=True):
        kind = f"ImageNet {network.backbone}"
    else:
        kind = f"{network.backbone} backbone"
    return Layout(toolkit, kind, names, architecture)


def recognised(shapes: Shapes) -> dict[str, Any] | None:
    """The architecture of the network of ours that knows a state dict, by our names."""
    # Later ones extend earlier ones: an HRNet with attention has every entry of an HRNet.
    found = (network.recognises(shapes) for network in reversed(list(NETWORKS.values())))
    return next((architecture for architecture in found if architecture is not None), None)


def size_of(architecture: Mapping[str, Any]) -> str:
    """What decides which weights fit a network, in words, such as ``width 64, depth 50``."""
    there = [f"{key} {shown(architecture[key])}" for key in SIZES if key in architecture]
    return ", ".join(there) or "unknown size"


def named(architecture: Mapping[str, Any]) -> str:
    """A network and its size in words, such as ``unet, width 64``."""
    return f"{one_line(str(architecture.get('name', 'hrnet')))[:40]}, {size_of(architecture)}"


def same_size(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two architectures agree in each size that both have."""
    return all(one[key] == other[key] for key in SIZES if key in one and key in other)


def _toolkit(shapes: Shapes) -> tuple[Toolkit, dict[str, str]]:
    """Whose names these are, and ours for each of them."""
    if not _has(shapes, ("backbone.",), start=True):
        return "official", {name: name for name in shapes}
    old = _has(shapes, ("keypoint_head.",), start=True)
    prefixes = ("backbone.", "keypoint_head." if old else "head.")
    names = {}
    for name in shapes:
        prefix = next((p for p in prefixes if name.startswith(p)), "")
        names[name] = name.removeprefix(prefix)
    if _HUB in names.values():
        names = {
            n: ours.replace("conv.", "final_layer.", ours.startswith("conv."))
            for n, ours in names.items()
        }
        return "Hugging Face", names
    return "MMPose 0.x" if old else "MMPose 1.x", names


def _has(names: Iterable[str], parts: Iterable[str], *, start: bool = False) -> bool:
    """Whether a name contains, or starts with, one of the parts."""
    parts = tuple(parts)
    if start:
        return any(name.startswith(parts) for name in names)
    return any(part in name for name in names for part in parts)
