"""How other toolkits name the entries of the networks that we have: names and shapes only.

No file is read and no tensor touched here. HRNet and the ResNets have the same names everywhere
but for a prefix: MMPose keeps them under ``backbone.`` and the head under ``keypoint_head.``
(0.x) or ``head.`` (1.x); the official code, timm and torchvision have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pose_hrnet.system.text import counted, few

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Names of a state dict and the shapes of its tensors."""

Toolkit: TypeAlias = Literal["official", "MMPose 0.x", "MMPose 1.x"]

_HEAD = "final_layer.weight"
_V2_HEAD = "head.3.weight"  # behind a convolution, batch norm and ReLU on all streams

_DEPTH: dict[tuple[tuple[int, ...], bool], int] = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
"""Blocks of layer1 to layer4, and whether they are bottlenecks -> layers of the ResNet."""

_IN_RESNET_BLOCK = re.compile(r"layer[1-4]\.\d+\.conv\d\.weight")

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
        ValueError: If it is neither an HRNet nor a ResNet, with what it seems to be.
    """
    toolkit, names = _toolkit(shapes)
    ours = {names[name]: shape for name, shape in shapes.items()}
    other = next((what for parts, what in _OTHERS if _has(shapes, parts)), None)
    if other is None and "stage2.0.branches.0.0.conv1.weight" in ours:
        architecture, network = _hrnet(ours), "HRNet"
    elif other is None and "layer4.0.conv1.weight" in ours:
        architecture, network = _resnet(ours), "ResNet"
    else:
        what = other or f"no network that is known here ({few(shapes)})"
        raise ValueError(
            f"in the file's {counted(len(shapes), 'entry')} there is {what}; give a checkpoint of "
            "an HRNet or a ResNet with a heatmap head, or of such a backbone to start training "
            "from"
        )
    if architecture["num_keypoints"]:
        name = "SimpleBaseline" if network == "ResNet" and toolkit == "official" else network
        kind = f"{toolkit} {name} pose"
    elif network == "HRNet" and _has(ours, ("incre_modules.", "classifier.")):
        kind = "official HRNet ImageNet"  # timm's, too, which cannot be told apart
    elif network == "ResNet" and "fc.weight" in ours:
        kind = "ImageNet ResNet"
    else:
        kind = f"{network} backbone"
    return Layout(toolkit, kind, names, architecture)


def size_of(shapes: Shapes) -> str:
    """The width of an HRNet, or the depth of a ResNet, of whatever heads."""
    width = shapes.get("stage2.0.branches.0.0.conv1.weight")
    if width:
        return f"width {width[0]}"
    # A ResNet's depth is its convolutions in blocks, the first one, and the classifier.
    depth = 2 + sum(_IN_RESNET_BLOCK.fullmatch(name) is not None for name in shapes)
    return f"depth {depth}" if "layer4.0.conv1.weight" in shapes else "unknown width"


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
    return "MMPose 0.x" if old else "MMPose 1.x", names


def _hrnet(shapes: Shapes) -> dict[str, Any]:
    """The arguments of the `HRNet` whose state dict this is."""
    first = [f"stage{stage}.0.branches.0.0.conv1.weight" for stage in (2, 3, 4)]
    needed = ["conv1.weight", "layer1.0.conv1.weight", *first]
    lacking = [name for name in needed if len(shapes.get(name, ())) != 4]
    if lacking:
        raise ValueError(
            f"this is no whole HRNet: among {counted(len(shapes), 'entry')} "
            f"({few(shapes)}) there is no convolution {lacking[0]}; get the whole file again"
        )
    head = "v2" if _keypoints(shapes, _V2_HEAD) else "v1"
    return {
        "name": "hrnet",
        "head": head,
        "width": shapes[first[0]][0],
        "num_keypoints": _keypoints(shapes, _V2_HEAD if head == "v2" else _HEAD),
        "stem_width": shapes["conv1.weight"][0],
        "stem_blocks": _children(shapes, "layer1."),
        "stage_modules": [_children(shapes, f"stage{stage}.") for stage in (2, 3, 4)],
        "branch_blocks": _children(shapes, "stage2.0.branches.0."),
    }


def _resnet(shapes: Shapes) -> dict[str, Any]:
    """The arguments of the `SimpleBaseline` whose state dict, or whose backbone, this is."""
    blocks = tuple(_children(shapes, f"layer{i}.") for i in (1, 2, 3, 4))
    depth = _DEPTH.get((blocks, "layer1.0.conv3.weight" in shapes))
    if depth is None:
        raise ValueError(
            f"this is a ResNet with {', '.join(map(str, blocks))} blocks, which is none of depth "
            f"{', '.join(map(str, _DEPTH.values()))}; give weights of one of these"
        )
    keypoints = _keypoints(shapes, _HEAD) if "deconv_layers.0.weight" in shapes else 0
    return {"name": "resnet", "depth": depth, "num_keypoints": keypoints}


def _keypoints(shapes: Shapes, name: str) -> int:
    """Heatmaps that come out of the last convolution of a head; 0 without it."""
    head = shapes.get(name, ())
    return head[0] if len(head) == 4 else 0


def _children(names: Iterable[str], prefix: str) -> int:
    """Distinct children of a module."""
    return len({n.removeprefix(prefix).split(".")[0] for n in names if n.startswith(prefix)})


def _has(names: Iterable[str], parts: Iterable[str], *, start: bool = False) -> bool:
    """Whether a name contains, or starts with, one of the parts."""
    parts = tuple(parts)
    if start:
        return any(name.startswith(parts) for name in names)
    return any(part in name for name in names for part in parts)
