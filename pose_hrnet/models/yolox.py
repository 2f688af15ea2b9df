"""YOLOX, the detector whose official files can be had.

Ge et al., 2021, https://arxiv.org/abs/2107.08430. Layers are called as in the official files,
which load as they are.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pose_hrnet.models.network import Shapes, children_of

STRIDES = (8, 16, 32)
"""Input pixels per cell of the three grids."""

_STEM = "backbone.backbone.stem.conv.conv.weight"


class YOLOX(nn.Module):
    """Pixels to one prediction for each cell of three grids.

    The sizes that are published: nano ``(16, 1, depthwise)``, tiny ``(24, 1)``, s ``(32, 1)``,
    m ``(48, 2)``, l ``(64, 3)``, x ``(80, 4)``.

    Args:
        width: Channels of the first layer.
        depth: Bottlenecks of the shortest stage.
        depthwise: Convolutions channel by channel, then across them; of nano alone.
        num_classes: C.
    """

    def __init__(
        self, width: int = 32, depth: int = 1, depthwise: bool = False, num_classes: int = 80
    ) -> None:
        super().__init__()
        self.width, self.depth, self.depthwise = width, depth, depthwise
        self.backbone = _Pyramid(width, depth, depthwise)
        self.head = _Head(width, depthwise, num_classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):  # as the official code has it
                module.eps, module.momentum = 1e-3, 0.03

    @property
    def label(self) -> str:
        """The network as its authors call it."""
        names = {16: "Nano", 24: "Tiny", 32: "S", 48: "M", 64: "L", 80: "X"}
        return f"YOLOX-{names.get(self.width, self.width)}"

    @classmethod
    def recognises(cls, shapes: Shapes) -> YOLOX | None:
        """A network for a state dict, by its names and shapes; None if it is another's.

        Args:
            shapes: Every entry, by the official names.
        """
        classes = shapes.get("head.cls_preds.0.weight")
        if _STEM not in shapes or classes is None:
            return None
        depth = children_of(shapes, "backbone.backbone.dark2.1.m.")
        depthwise = "backbone.backbone.dark2.0.dconv.conv.weight" in shapes
        return cls(shapes[_STEM][0], max(depth, 1), depthwise, classes[0])

    def forward(self, images: Tensor) -> Tensor:
        """Predict boxes and classes.

        Args:
            images: ``(B, 3, H, W)`` uint8 RGB, H and W multiples of 32.

        Returns:
            ``(B, N, 5 + C)`` with N cells, row by row, of the grids of `STRIDES`: offset of the
            centre from the cell and logarithm of width and height, in units of the stride, then
            objectness and classes between 0 and 1.
        """
        # Its own order and range: the files are of networks that were given OpenCV's BGR.
        features = self.backbone(images.flip(1).to(next(self.parameters()).dtype))
        return cast(Tensor, self.head(features))


class _Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outs)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.act(self.bn(self.conv(x))))


class _DepthwiseConv(nn.Module):
    """A convolution of each channel by itself, then one across them."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = _Conv(ins, ins, kernel, stride, groups=ins)
        self.pconv = _Conv(ins, outs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.pconv(self.dconv(x)))


def _conv(ins: int, outs: int, stride: int, depthwise: bool) -> nn.Module:
    """A 3x3 convolution of either kind."""
    return (_DepthwiseConv if depthwise else _Conv)(ins, outs, 3, stride)


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = _Conv(channels, channels, 1)
        self.conv2 = _conv(channels, channels, 1, depthwise)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return y + x if self.shortcut else y


class _CrossStage(nn.Module):
    """Half of the channels go through the bottlenecks, the other half around them (CSP)."""

    def __init__(
        self, ins: int, outs: int, count: int, depthwise: bool, shortcut: bool = False
    ) -> None:
        super().__init__()
        half = outs // 2
        self.conv1, self.conv2 = _Conv(ins, half, 1), _Conv(ins, half, 1)
        self.conv3 = _Conv(2 * half, outs, 1)
        self.m = nn.Sequential(*(_Bottleneck(half, shortcut, depthwise) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        through, around = self.conv1(x), self.conv2(x)
        return cast(Tensor, self.conv3(_joined(self.m(through), around)))


class _PoolingPyramid(nn.Module):
    """Maxima of windows of several sizes beside the features themselves (SPP)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = _Conv(channels, half, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(side, 1, side // 2) for side in (5, 9, 13))
        self.conv2 = _Conv(4 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return cast(Tensor, self.conv2(torch.cat([x, *(pool(x) for pool in self.m)], dim=1)))


class _Focus(nn.Module):
    """Each 2x2 pixels become four times the channels of one."""

    def __init__(self, outs: int) -> None:
        super().__init__()
        self.conv = _Conv(12, outs, 3)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return cast(Tensor, self.conv(torch.cat(parts, dim=1)))


class _Darknet(nn.Module):
    """Features at strides 8, 16 and 32."""

    def __init__(self, width: int, depth: int, depthwise: bool) -> None:
        super().__init__()
        self.stem = _Focus(width)

        def stage(ins: int, count: int) -> nn.Sequential:
            cross = _CrossStage(2 * ins, 2 * ins, count, depthwise, shortcut=True)
            return nn.Sequential(_conv(ins, 2 * ins, 2, depthwise), cross)

        self.dark2 = stage(width, depth)
        self.dark3 = stage(2 * width, 3 * depth)
        self.dark4 = stage(4 * width, 3 * depth)
        last = 16 * width
        self.dark5 = nn.Sequential(
            _conv(8 * width, last, 2, depthwise),
            _PoolingPyramid(last),
            _CrossStage(last, last, depth, depthwise),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine: Tensor = self.dark3(self.dark2(self.stem(x)))
        middle: Tensor = self.dark4(fine)
        return fine, middle, self.dark5(middle)


class _Pyramid(nn.Module):
    """The coarse features go down to the fine ones, and back up."""

    def __init__(self, width: int, depth: int, depthwise: bool) -> None:
        super().__init__()
        self.backbone = _Darknet(width, depth, depthwise)
        w4, w8, w16 = 4 * width, 8 * width, 16 * width
        self.lateral_conv0 = _Conv(w16, w8, 1)
        self.C3_p4 = _CrossStage(2 * w8, w8, depth, depthwise)
        self.reduce_conv1 = _Conv(w8, w4, 1)
        self.C3_p3 = _CrossStage(2 * w4, w4, depth, depthwise)
        self.bu_conv2 = _conv(w4, w4, 2, depthwise)
        self.C3_n3 = _CrossStage(2 * w4, w8, depth, depthwise)
        self.bu_conv1 = _conv(w8, w8, 2, depthwise)
        self.C3_n4 = _CrossStage(2 * w8, w16, depth, depthwise)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = self.backbone(x)
        down_coarse = self.lateral_conv0(coarse)
        down_middle = self.reduce_conv1(self.C3_p4(_joined(_doubled(down_coarse), middle)))
        fine = self.C3_p3(_joined(_doubled(down_middle), fine))
        middle = self.C3_n3(_joined(self.bu_conv2(fine), down_middle))
        return fine, middle, self.C3_n4(_joined(self.bu_conv1(middle), down_coarse))


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _joined(*parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=1)


class _Head(nn.Module):
    """On each grid one branch for the classes, one for box and objectness."""

    def __init__(self, width: int, depthwise: bool, num_classes: int) -> None:
        super().__init__()
        inner = 4 * width

        def branches() -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(*(_conv(inner, inner, 1, depthwise) for _ in range(2)))
                for _ in STRIDES
            )

        def predictors(outs: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(inner, outs, 1) for _ in STRIDES)

        self.stems = nn.ModuleList(_Conv(ins, inner, 1) for ins in (inner, 2 * inner, 4 * inner))
        self.cls_convs, self.reg_convs = branches(), branches()
        self.cls_preds = predictors(num_classes)
        self.reg_preds, self.obj_preds = predictors(4), predictors(1)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        grids = []
        for level, x in enumerate(features):
            x = self.stems[level](x)
            classes = self.cls_preds[level](self.cls_convs[level](x))
            x = self.reg_convs[level](x)
            boxes = self.reg_preds[level](x)
            scores = _joined(self.obj_preds[level](x), classes).sigmoid()
            grids.append(_joined(boxes, scores).flatten(2))
        return torch.cat(grids, dim=2).transpose(1, 2)
