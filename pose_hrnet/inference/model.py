"""A model that is ready to run, and how its heatmaps become keypoints and poses.

A `PoseModel` maps uint8 crops to keypoints in input pixels and scores. What differs between a
checkpoint, an export of ours and a heatmap model of others is only the network in it: layers of
torch, or a file that a runtime has opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.inference.backends.choose import Choice
from pose_hrnet.keypoints.calibration import Calibration
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.oks import remove_duplicates, rescore
from pose_hrnet.keypoints.records import Float32, ImageId, Poses, object_array
from pose_hrnet.keypoints.simcc import Codec
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.arguments import check_count, check_flag
from pose_hrnet.system.choices import Precision, WeightType
from pose_hrnet.system.device import autocast


@dataclass(frozen=True)
class Decoder:
    """How heatmaps ``(B, K, h, w)`` become keypoints at test time; (h, w): `codec.heatmap_hw`.

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

    codec: Codec
    flip_index: Sequence[int]
    flip_test: bool = True
    flip_shift: int | None = None
    precision: Precision = "fp32"
    refine: bool = True
    own_precision: bool = False
    in_graph: bool = False

    @classmethod
    def of(
        cls,
        card: ModelCard,
        *,
        flip_test: bool = True,
        flip_shift: int | None = None,
        precision: Precision = "fp32",
    ) -> Decoder:
        """How the heatmaps of a model are decoded, as its card says."""
        return cls(card.codec, card.skeleton.flip_index, flip_test, flip_shift, precision)

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
            ``(B, K, h, w)`` float32 of the crops and, still mirrored, of the mirrored crops.
        """
        if not self.flip_test:
            return self.run(model, images), None
        both = self.run(model, torch.cat([images, images.flip(-1)]))
        # Not chunk(2): a graph for any batch size cannot know that it gives two parts.
        return both[: images.shape[0]], both[images.shape[0] :]

    def merge(self, straight: Tensor, mirrored: Tensor | None) -> Tensor:
        """Heatmaps ``(B, K, h, w)`` of both views -> those to decode.

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
        """The heatmaps ``(B, K, h, w)`` float32 that are decoded; arguments as `views`."""
        return self.merge(*self.views(model, images))

    def run(self, model: nn.Module, images: Tensor) -> Tensor:
        """One forward pass: ``(B, K, h, w)`` float32 whatever the arithmetic; see `views`."""
        with autocast(images.device, "fp32" if self.own_precision else self.precision):
            heatmaps: Tensor = model(images)
        return heatmaps.float()

    def __call__(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints ``(B, K, 2)`` in input pixels and scores ``(B, K)`` of uint8 crops."""
        if self.in_graph:
            keypoints_input, scores = model(images)
            return keypoints_input, scores
        return self.codec.decode(self.heatmaps(model, images), refine=self.refine)


PLAIN = Choice("eager", "fp32", "the layers of torch as they are")


@dataclass(frozen=True)
class PoseModel:
    """A model that is ready to run.

    Attributes:
        network: Maps ``(B, 3, H, W)`` uint8 RGB crops to heatmaps, or with a decoder that is
            `in_graph` to keypoints and scores.
        card: Codec, skeleton, box padding, and what was built into an export.
        decoder: From crops to keypoints.
        device: Where the network takes its crops.
        choice: What runs it, in which arithmetic, and why.
        summary: What was loaded, in plain words.
        calibration: What makes probabilities of keypoint scores in the end; None: they stay
            heatmap maxima.
    """

    network: nn.Module
    card: ModelCard
    decoder: Decoder
    device: torch.device
    choice: Choice = PLAIN
    summary: str = ""
    calibration: Calibration | None = None

    @property
    def weights(self) -> WeightType | None:
        """int8: a quantised export; fp32: not quantised, in whichever type the file holds them;
        None: not known, of models of others."""
        if self.card.export is not None:
            return self.card.export.weights
        return None if self.card.architecture is None else "fp32"

    @torch.inference_mode()
    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Predict one person per crop.

        Args:
            crops: ``(B, H, W, 3)`` uint8 RGB of the card's input size, on any device.

        Returns:
            ``keypoints_input`` ``(B, K, 2)`` in input pixels and ``scores`` ``(B, K)``, on the
            CPU.
        """
        keypoints_input, scores = self.decoder(self.network, self.images(crops))
        return keypoints_input.cpu(), scores.cpu()

    @torch.inference_mode()
    def heatmaps(self, crops: Tensor) -> Tensor:
        """The heatmaps that are decoded, with the flip test averaged in.

        Args:
            crops: As of `__call__`.

        Returns:
            ``(B, K, h, w)`` float32 on the CPU.

        Raises:
            ValueError: If the model is an export, which gives keypoints.
        """
        self.check_heatmaps()
        return self.decoder.heatmaps(self.network, self.images(crops)).cpu()

    def images(self, crops: Tensor) -> Tensor:
        """Crops ``(B, H, W, 3)`` as the network takes them: ``(B, 3, H, W)`` on its device."""
        return crops.to(self.device, non_blocking=True).permute(0, 3, 1, 2)

    def with_test_settings(
        self,
        *,
        flip_test: bool | None = None,
        flip_shift: int | None = None,
        codec: Codec | None = None,
        refine: bool | None = None,
    ) -> PoseModel:
        """The same network, decoded otherwise; what is None stays as it is.

        Args:
            flip_test: Average with the mirrored crop.
            flip_shift: Cells to shift the mirrored heatmaps by.
            codec: Decodes the heatmaps, and cuts the crops in its alignment.
            refine: Step from the highest cell to a fraction of a cell; False: plain argmax.

        Raises:
            ValueError: If another setting is built into an export, or a value makes no sense.
        """
        for name, flag in (("flip_test", flip_test), ("refine", refine)):
            if flag is not None:
                check_flag(name, flag)
        if flip_shift is not None:
            check_count("flip_shift", flip_shift, 0)
        wanted = {
            "flip_test": flip_test,
            "flip_shift": flip_shift,
            "codec": codec,
            "refine": refine,
        }
        changes: dict[str, Any] = {
            name: value for name, value in wanted.items() if value is not None
        }
        if self.decoder.in_graph:
            self._check_built_in(changes)
            return self
        return replace(self, decoder=replace(self.decoder, **changes))

    def calibrated(self) -> PoseModel:
        """The same model, with poses whose keypoint scores are probabilities in the end.

        Raises:
            ValueError: If its card does not say what its scores mean.
        """
        if self.card.calibration is None:
            raise ValueError(
                "the model's card does not say what its scores mean; pose-hrnet weights calibrate "
                "measures that on annotated images, and writes it into the card"
            )
        return replace(self, calibration=self.card.calibration)

    def finish(self, poses: Poses) -> Poses:
        """Finished poses as they are written: with probabilities, if the model is `calibrated`.

        The poses' own scores, by which AP ranks them, come from what heatmaps give, and stay.
        """
        if self.calibration is None:
            return poses
        return replace(poses, keypoint_scores=self.calibration(poses.keypoint_scores))

    @contextmanager
    def evaluating(self) -> Iterator[PoseModel]:
        """Evaluation mode while the block runs; the network is left in the mode it had."""
        was_training = self.network.training
        self.network.eval()
        try:
            yield self
        finally:
            self.network.train(was_training)

    def _check_built_in(self, changes: dict[str, Any]) -> None:
        decoder = self.decoder
        if changes.get("flip_test", decoder.flip_test) != decoder.flip_test:
            held = "holds" if decoder.flip_test else "does not hold"
            raise ValueError(
                f"the export {held} the flip test, which cannot be changed any more; export the "
                f"checkpoint {'without' if decoder.flip_test else 'with'} --flip-test"
            )
        shift = decoder.codec.flip_shift
        if changes.get("flip_shift", shift) != shift:
            raise ValueError(
                f"the export has its flip shift built in ({shift}), and {changes['flip_shift']} "
                "was asked for; leave it out"
            )
        if changes.get("codec", decoder.codec) != decoder.codec or not changes.get("refine", True):
            self.check_heatmaps()

    def check_heatmaps(self) -> None:
        """Refuse an export, which gives keypoints.

        Raises:
            ValueError: If the model is one.
        """
        if self.decoder.in_graph:
            raise ValueError(
                "the exported model holds its decoder, and gives no heatmaps to decode in other "
                "ways; use the checkpoint that it was made from"
            )


@torch.inference_mode()
def decode_each(
    model: PoseModel, decoders: Sequence[Decoder], crops: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Decode the same crops in several ways; the network sees each view once.

    Args:
        model: Gives the heatmaps.
        decoders: Of one crop alignment and input size. The network runs as the first of them
            would run it by itself, so that its result is the same to the bit.
        crops: ``(B, H, W, 3)`` uint8 RGB, on any device.

    Yields:
        What each decoder makes of the crops: keypoints ``(B, K, 2)`` in input pixels and scores
        ``(B, K)``, on the model's device.

    Raises:
        ValueError: If there are several decoders, and the model is an export.
    """
    images = model.images(crops)
    if len(decoders) == 1:
        yield decoders[0](model.network, images)
        return
    model.check_heatmaps()
    straight, mirrored = decoders[0].views(model.network, images)
    if mirrored is None and any(decoder.flip_test for decoder in decoders):
        mirrored = decoders[0].run(model.network, images.flip(-1))
    merged: dict[int | None, Tensor] = {}
    for decoder in decoders:
        if decoder.shift_cells not in merged:
            merged[decoder.shift_cells] = decoder.merge(straight, mirrored)
        heatmaps = merged[decoder.shift_cells]
        yield decoder.codec.decode(heatmaps, refine=decoder.refine)


def poses_of(
    frames: CropFrames,
    keypoints_input: Float32,
    keypoint_scores: Float32,
    *,
    boxes_xyxy: ArrayLike,
    scores: Float32,
    image_ids: Sequence[ImageId],
    skeleton: Skeleton,
) -> Poses:
    """What a model gives for N crops, as poses in image pixels.

    Args:
        frames: Where the crops lie.
        keypoints_input: ``(N, K, 2)`` input pixels.
        keypoint_scores: ``(N, K)``.
        boxes_xyxy: ``(N, 4)`` image pixels, those that were asked for.
        scores: ``(N,)`` of the poses.
        image_ids: N ids.
        skeleton: What the keypoints are called.

    Returns:
        N poses. Their areas are those of the padded crops, as official OKS-NMS uses them.
    """
    return Poses(
        image_ids=object_array(image_ids),
        keypoints_image=frames.to_image(keypoints_input).astype(np.float32),
        keypoint_scores=keypoint_scores,
        boxes_xyxy=np.asarray(boxes_xyxy).astype(np.float32),
        scores=scores,
        areas=frames.areas.astype(np.float32),
        skeleton=skeleton,
    )


def postprocess(poses: Poses, skeleton: Skeleton, test: EvaluateConfig) -> Poses:
    """Rescore each pose and remove the duplicates within an image, as the settings say.

    Args:
        poses: With the scores of their boxes.
        skeleton: Whose keypoints they have.
        test: Threshold of the keypoints that count, NMS and its threshold.
    """
    poses = rescore(poses, keypoint_threshold=test.keypoint_threshold)
    return remove_duplicates(poses, skeleton.sigmas, nms=test.nms, threshold=test.nms_threshold)
