"""Layers that networks are made of, and how the official code starts them."""

from __future__ import annotations

from torch import nn


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *after: nn.Module
) -> nn.Sequential:
    """A convolution that keeps the size (over the stride), batch norm, and what comes after."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *after)


def conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A 1x1 convolution with a bias, as heads have them, batch norm and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, 1)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]


def initialise_convolution(module: nn.Module) -> None:
    """Start a convolution as the official code does; leave other modules as they are."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.001)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
