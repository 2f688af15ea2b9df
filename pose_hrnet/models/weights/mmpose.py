"""What an MMPose checkpoint says about decoding: its configuration text and data set description.

MMPose 1.x keeps the configuration as Python source in ``meta["cfg"]`` and the keypoints in
``meta["dataset_meta"]``; 0.x keeps both in ``meta["config"]``. The source is never run: only
assignments of literals, and of ``dict(...)`` of literals, are read from its syntax tree.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pose_hrnet.keypoints.skeleton import Skeleton, guess_flip_pairs, known_skeleton
from pose_hrnet.system.choices import CodecName

Triple: TypeAlias = tuple[float, float, float]

MMPOSE_PADDING = 1.25
"""What MMPose enlarges boxes by where the configuration gives no padding."""

_LONGEST_CONFIG = 2_000_000
"""Characters; the published ones have some 20,000."""


@dataclass(frozen=True)
class FileSettings:
    """What a file says; None where it says nothing.

    Attributes:
        input_wh: Network input size in pixels.
        codec: How heatmaps are encoded and decoded.
        sigma: Standard deviation of the Gaussian in cells.
        blur_kernel: Width of the blur before decoding in cells.
        flip_shift: Cells by which flipped-back heatmaps were shifted.
        mean: Of values between 0 and 1, in the channel order that the network takes.
        std: As `mean`.
        unnormalised: Whether the network takes values from 0 to 255 as they are.
        bgr: Whether the network takes BGR; None: not said.
        box_padding: Factor by which boxes are enlarged.
        skeleton: The keypoints.
        undecodable: Why the heatmaps cannot be decoded here.
    """

    input_wh: tuple[int, int] | None = None
    codec: CodecName | None = None
    sigma: float | None = None
    blur_kernel: int | None = None
    flip_shift: int | None = None
    mean: Triple | None = None
    std: Triple | None = None
    unnormalised: bool = False
    bgr: bool | None = None
    box_padding: float | None = None
    skeleton: Skeleton | None = None
    undecodable: str | None = None


def read_settings(meta: Mapping[Any, Any]) -> FileSettings:
    """Read the ``meta`` of a checkpoint of MMPose 0.x or 1.x; of others nothing comes out."""
    text = meta.get("cfg", meta.get("config"))
    config = read_config(text) if isinstance(text, str) else _section(text)
    try:
        if "keypoint_head" in _section(config, "model") or "data_cfg" in config:
            return _settings_of_0x(config)
        return _settings_of_1x(config, _section(meta, "dataset_meta"))
    except (RecursionError, OverflowError):  # dicts inside themselves, absurd numbers
        return FileSettings()


def read_config(text: str) -> dict[str, Any]:
    """The literal assignments of a configuration in Python source.

    Args:
        text: Such as ``codec = dict(type='MSRAHeatmap', input_size=(192, 256), sigma=2)``.

    Returns:
        Values by name; None stands for whatever is not a literal. Empty if the text is no Python.
    """
    try:
        body = ast.parse(text).body if len(text) <= _LONGEST_CONFIG else []
        return {
            node.targets[0].id: _literal(node.value)
            for node in body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return {}


def _literal(node: ast.expr) -> Any:
    """The value of a literal expression, ``dict(...)`` included; None for any other."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        items = [_literal(item) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.Dict):
        return {_literal(k): _literal(v) for k, v in zip(node.keys, node.values, strict=True) if k}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        values = {k.arg: _literal(k.value) for k in node.keywords if k.arg}
        return {**_section(_literal(node.args[0]) if node.args else None), **values}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _literal(node.operand)
        return -value if isinstance(value, int | float) else None
    return None


def _settings_of_1x(config: Mapping[Any, Any], dataset: Mapping[Any, Any]) -> FileSettings:
    model = _section(config, "model")
    codec = _section(model, "head", "decoder") or _section(config, "codec")
    test = _section(model, "test_cfg")
    pixels = _section(model, "data_preprocessor")
    kind = str(codec.get("type")).rsplit(".")[-1]
    target, flip = codec.get("heatmap_type", "gaussian"), test.get("flip_mode", "heatmap")
    undecodable = None
    if codec and kind not in ("MSRAHeatmap", "UDPHeatmap"):
        undecodable = f"codec {kind}"
    elif target != "gaussian":
        undecodable = f"{target!r} target of UDPHeatmap"
    elif flip != "heatmap":
        undecodable = f"flip mode {flip!r}"
    name: CodecName | None = None
    if codec:
        name = "udp" if kind == "UDPHeatmap" else "dark" if codec.get("unbiased") else "gaussian"
    # MMPose then hands on pixels from 0 to 255: of values from 0 to 1 that is a std of 1/255.
    unnormalised = bool(pixels) and "mean" not in pixels
    return FileSettings(
        input_wh=_size(codec.get("input_size")),
        codec=name,
        sigma=_number(codec.get("sigma", 2.0 if codec else None)),
        blur_kernel=_whole(codec.get("blur_kernel_size", 11 if codec else None)),
        flip_shift=int(bool(test.get("shift_heatmap"))) if test else None,
        mean=(0.0,) * 3 if unnormalised else _triple(pixels.get("mean"), 255),
        std=(1 / 255,) * 3 if unnormalised else _triple(pixels.get("std"), 255),
        unnormalised=unnormalised,
        # Images are loaded as BGR, and either of the two exchanges red and blue.
        bgr=not (pixels.get("bgr_to_rgb") or pixels.get("rgb_to_bgr")) if pixels else None,
        box_padding=_padding(config, "GetBBoxCenterScale"),
        skeleton=_skeleton_of_1x(dataset),
        undecodable=undecodable,
    )


def _settings_of_0x(config: Mapping[Any, Any]) -> FileSettings:
    test = _section(config, "model", "test_cfg")
    data = _section(config, "data_cfg")
    target = next(_steps(config, "TopDownGenerateTarget"), {})
    pixels = next(_steps(config, "NormalizeTensor"), {})
    image = next(_steps(config, "LoadImageFromFile"), {})
    targets = (test.get("target_type"), target.get("target_type"))
    undecodable = next(
        (f"target {t}" for t in targets if t is not None and str(t).lower() != "gaussianheatmap"),
        "post-processing 'megvii'" if test.get("post_process") == "megvii" else None,
    )
    name: CodecName | None = None
    if test:
        unbiased = test.get("post_process") == "unbiased" or test.get("unbiased_decoding")
        name = "udp" if test.get("use_udp") else "dark" if unbiased else "gaussian"
    infos = (_section(config, "data", part, "dataset_info") for part in ("test", "val", "train"))
    info = next(filter(None, infos), _section(config, "dataset_info"))
    return FileSettings(
        input_wh=_size(data.get("image_size")),
        codec=name,
        sigma=_number(target.get("sigma", 2.0 if target else None)),
        blur_kernel=_whole(test.get("modulate_kernel", 11 if test else None)),
        flip_shift=int(bool(test.get("shift_heatmap"))) if test else None,
        mean=_triple(pixels.get("mean"), 1),
        std=_triple(pixels.get("std"), 1),
        bgr=image.get("channel_order") == "bgr" if image else None,
        box_padding=_padding(config, "TopDownGetBboxCenterScale"),
        skeleton=_skeleton_of_0x(info),
        undecodable=undecodable,
    )


def _skeleton_of_1x(meta: Mapping[Any, Any]) -> Skeleton | None:
    """From a data set description as MMPose 1.x parses it: indices everywhere."""
    try:
        names = [meta["keypoint_id2name"][i] for i in range(len(meta["keypoint_id2name"]))]
        return _skeleton(
            str(meta["dataset_name"]),
            names,
            pairs=[(names[a], names[b]) for a, b in meta["flip_pairs"]],
            links=[(names[a], names[b]) for a, b in meta["skeleton_links"]],
            upper=[names[i] for i in meta["upper_body_ids"]],
            sigmas=meta["sigmas"],
            weights=meta["dataset_keypoint_weights"],
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _skeleton_of_0x(info: Mapping[Any, Any]) -> Skeleton | None:
    """From a data set description as configurations write it: names everywhere."""
    try:
        points = [info["keypoint_info"][i] for i in range(len(info["keypoint_info"]))]
        return _skeleton(
            str(info["dataset_name"]),
            [point["name"] for point in points],
            pairs=[(p["name"], p["swap"]) for p in points if p.get("swap")],
            links=[link["link"] for link in info["skeleton_info"].values()],
            upper=[point["name"] for point in points if point.get("type") == "upper"],
            sigmas=info["sigmas"],
            weights=info["joint_weights"],
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _skeleton(
    name: str,
    names: Sequence[str],
    *,
    pairs: Sequence[Sequence[str]],
    links: Sequence[Sequence[str]],
    upper: Sequence[str],
    sigmas: Sequence[float],
    weights: Sequence[float],
) -> Skeleton:
    known = known_skeleton(names)
    if known is not None:
        return known
    place = {point: i for i, point in enumerate(names)}
    told, _ = guess_flip_pairs([str(point) for point in names])

    def indices(named: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
        return [(place[a], place[b]) for a, b in named]

    def left_first(a: int, b: int) -> tuple[int, int]:
        return (a, b) if (a, b) in told or ((b, a) not in told and a < b) else (b, a)

    return Skeleton(
        name=name,
        keypoint_names=tuple(map(str, names)),
        flip_pairs=tuple(dict.fromkeys(left_first(a, b) for a, b in indices(pairs) if a != b)),
        links=tuple(dict.fromkeys(indices(links))),
        # From float32, whose digits end at the seventh.
        sigmas=tuple(round(float(s), 6) for s in sigmas),
        upper_body=tuple(place[point] for point in upper),
        joint_weights=tuple(round(float(w), 6) for w in weights),
    )


def _section(values: Any, *keys: str) -> Mapping[Any, Any]:
    """A dict inside dicts; empty if something on the way is absent or no dict."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values if isinstance(values, Mapping) else {}


def _steps(values: Any, kind: str) -> Iterator[Mapping[Any, Any]]:
    """Every dict of this ``type``, at any depth."""
    if isinstance(values, Mapping):
        if str(values.get("type")).rsplit(".")[-1] == kind:
            yield values
        values = list(values.values())
    if isinstance(values, list | tuple):
        for value in values:
            yield from _steps(value, kind)


def _padding(config: Mapping[Any, Any], kind: str) -> float | None:
    return next(
        (_number(step.get("padding", MMPOSE_PADDING)) for step in _steps(config, kind)), None
    )


def _number(value: Any) -> float | None:
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return float(value) if type(value) in (int, float) and value > 0 else None


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _size(value: Any) -> tuple[int, int] | None:
    """A (width, height); a single number is both."""
    sides = [value, value] if type(value) is int else value
    if isinstance(sides, list | tuple) and len(sides) == 2 and all(map(_whole, sides)):
        return sides[0], sides[1]
    return None


def _triple(value: Any, divisor: float) -> Triple | None:
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    if not all(type(v) in (int, float) for v in value):
        return None
    red, green, blue = (round(v / divisor, 6) for v in value)
    return red, green, blue
