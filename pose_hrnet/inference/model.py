"""A model that is ready to run, and how its heatmaps become keypoints.

A `PoseModel` maps uint8 crops to keypoints in input pixels and scores. What differs between a
checkpoint, an export of ours and a heatmap model of others is only the network in it: layers of
torch, or a file that a runtime has opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.choices import Precision, Runner
from pose_hrnet.system.device import autocast, pick_device


class PoseCard(Protocol):
    """What cropping and decoding need to know of a model, whatever kind of file it came from."""

    @property
    def codec(self) -> HeatmapCodec:
        """Decodes its heatmaps; holds input size and crop alignment."""

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that it predicts."""

    @property
    def box_padding(self) -> float:
        """Factor by which boxes are enlarged before cropping."""


@dataclass(frozen=True)
class Decoder:
    """How heatmaps become keypoints at test time.

    Attributes:
        codec: The codec that the network was trained with.
        flip_index: K indices that exchange left and right keypoints.
        flip_test: Average with the heatmaps of the mirrored crop.
        flip_shift: Cells to shift the mirrored heatmaps by; None: the codec's own.
        precision: Arithmetic of the network; decoding is always float32.
        refine: Step from the highest cell to a fraction of a cell; False: plain argmax.
        own_precision: The network keeps to its precision by itself, without autocast.
        in_graph: The model is an exported graph that holds the flip test and the decoder: it maps
            crops to keypoints and scores, and the fields above say how.
    """

    codec: HeatmapCodec
    flip_index: Sequence[int]
    flip_test: bool = True
    flip_shift: int | None = None
    precision: Precision = "fp32"
    refine: bool = True
    own_precision: bool = False
    in_graph: bool = False

    @property
    def shift_cells(self) -> int | None:
        """Cells that the mirrored heatmaps are shifted by; None without the flip test."""
        if not self.flip_test:
            return None
        return self.codec.flip_shift if self.flip_shift is None else self.flip_shift

    def views(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Run the network, with the mirrored crops in the same batch if the flip test is on.

        Args:
            model: Maps ``(B, 3, H, W)`` uint8 RGB to heatmaps.
            images: ``(B, 3, H, W)`` uint8.

        Returns:
            ``(B, K, H/4, W/4)`` float32 of the crops and, still mirrored, of the mirrored crops.
        """
        if not self.flip_test:
            return self.run(model, images), None
        both = self.run(model, torch.cat([images, images.flip(-1)]))
        # Not chunk(2): a graph for any batch size cannot know that it gives two parts.
        return both[: images.shape[0]], both[images.shape[0] :]

    def merge(self, straight: Tensor, mirrored: Tensor | None) -> Tensor:
        """Heatmaps ``(B, K, H/4, W/4)`` of both views -> those to decode.

        Raises:
            ValueError: If the flip test is on and there are no mirrored heatmaps.
        """
        if not self.flip_test:
            return straight
        if mirrored is None:
            raise ValueError("the flip test needs the heatmaps of the mirrored crops")
        restored = self.codec.flip_back(mirrored, self.flip_index, shift=self.flip_shift)
        return (straight + restored) * 0.5

    def heatmaps(self, model: nn.Module, images: Tensor) -> Tensor:
        """The heatmaps ``(B, K, H/4, W/4)`` float32 that are decoded; arguments as `views`."""
        return self.merge(*self.views(model, images))

    def run(self, model: nn.Module, images: Tensor) -> Tensor:
        """One forward pass: ``(B, K, H/4, W/4)`` float32 whatever the arithmetic; see `views`."""
        with autocast(images.device, "fp32" if self.own_precision else self.precision):
            heatmaps: Tensor = model(images)
        return heatmaps.float()

    def __call__(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints ``(B, K, 2)`` in input pixels and scores ``(B, K)`` of uint8 crops."""
        if self.in_graph:
            keypoints_input, scores = model(images)
            return keypoints_input, scores
        return self.codec.decode(self.heatmaps(model, images), refine=self.refine)


def decode_each(
    decoders: Sequence[Decoder], model: nn.Module, images: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Decode the same crops in several ways; the network sees each view once.

    Args:
        decoders: Of one crop alignment and input size. The network runs as the first of them
            would run it by itself, so that its result is the same to the bit.
        model: As in `Decoder.views`; with one decoder that is `in_graph`, such a graph.
        images: As in `Decoder.views`.

    Yields:
        What each decoder makes of the crops: keypoints ``(B, K, 2)`` and scores ``(B, K)``.

    Raises:
        ValueError: If there are several decoders, and one is `in_graph`.
    """
    if len(decoders) == 1:
        yield decoders[0](model, images)
        return
    if any(decoder.in_graph for decoder in decoders):
        raise ValueError(
            "the exported model holds its decoder, and gives no heatmaps to decode in other ways; "
            "use the checkpoint that it was made from"
        )
    straight, mirrored = decoders[0].views(model, images)
    if mirrored is None and any(decoder.flip_test for decoder in decoders):
        mirrored = decoders[0].run(model, images.flip(-1))
    merged: dict[int | None, Tensor] = {}
    for decoder in decoders:
        if decoder.shift_cells not in merged:
            merged[decoder.shift_cells] = decoder.merge(straight, mirrored)
        heatmaps = merged[decoder.shift_cells]
        yield decoder.codec.decode(heatmaps, refine=decoder.refine)


@dataclass(frozen=True)
class PoseModel:
    """A model that is ready to run.

    Attributes:
        network: Maps ``(B, 3, H, W)`` uint8 RGB crops to heatmaps, or with a decoder that is
            `in_graph` to keypoints and scores.
        card: Codec, skeleton and box padding.
        decoder: From crops to keypoints.
        device: Where the network takes its crops.
        backend: What runs it.
        summary: What was loaded, in plain words.
        choice: What runs it, in which arithmetic, and why, in one line.
        weights: Type that they are stored in: int8 in the layers of a quantised export; None:
            not known, of models of others.
    """

    network: nn.Module
    card: PoseCard
    decoder: Decoder
    device: torch.device
    backend: Runner = "eager"
    summary: str = ""
    choice: str = ""
    weights: Literal["fp32", "int8"] | None = "fp32"

    @torch.inference_mode()
    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Predict one person per crop.

        Args:
            crops: ``(B, H, W, 3)`` uint8 RGB of the card's input size, on any device.

        Returns:
            ``keypoints_input`` ``(B, K, 2)`` in input pixels and ``scores`` ``(B, K)``, on the
            CPU.
        """
        images = crops.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        keypoints_input, scores = self.decoder(self.network, images)
        return keypoints_input.cpu(), scores.cpu()


def network_model(
    network: nn.Module,
    card: PoseCard,
    *,
    device: str = "auto",
    precision: Precision = "fp32",
    flip_test: bool = True,
    flip_shift: int | None = None,
) -> PoseModel:
    """A network of torch layers as a `PoseModel`; the network is moved and set to evaluate.

    Args:
        network: Maps crops to heatmaps.
        card: What belongs to its weights.
        device: As of `pick_device`.
        precision: Arithmetic of the forward pass.
        flip_test: Average with the mirrored crop.
        flip_shift: Cells to shift the mirrored heatmaps by; None: the codec's own.

    Raises:
        ValueError: If the device is not present.
    """
    where = pick_device(device)
    decoder = Decoder(card.codec, card.skeleton.flip_index, flip_test, flip_shift, precision)
    return PoseModel(network.eval().to(where), card, decoder, where)
