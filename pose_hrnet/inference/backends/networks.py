"""Networks for inference: folded, compiled, recorded, or run by another program.

What a checkpoint's network becomes maps ``(B, 3, H, W)`` uint8 RGB crops to ``(B, K, h, w)``
float32 heatmaps, as the network that went in, so that flip test, decoder and evaluation are the
same for all. `eager` in fp32 runs the layers as they are, and is the reference that the others
agree with.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise
from threading import Lock
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from pose_hrnet.inference.backends.choose import Choice
from pose_hrnet.inference.backends.convert import converted_session
from pose_hrnet.inference.backends.sessions import Session
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import normalised
from pose_hrnet.system.choices import Arithmetic, AxisOrder, ColourOrder
from pose_hrnet.system.device import pick_device
from pose_hrnet.system.text import one_line

log = logging.getLogger(__name__)


_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


# Largest difference of a heatmap, over the largest value, up to which two programs agree.
_AGREEMENT = {"fp32": 1e-3, "bf16": 0.1, "fp16": 0.02}


def accelerate(
    network: nn.Module, card: ModelCard, choice: Choice, device: str = "auto"
) -> tuple[nn.Module, torch.device]:
    """The network as the choice says, and where it takes its crops.

    Args:
        network: Layers of torch with buffers `mean` and `std`: uint8 crops to heatmaps.
        card: Its input size.
        choice: From `choose`.
        device: As of `choose`.

    Raises:
        ValueError: If a package is missing, or the network cannot be converted.
    """
    network = network.eval()
    if choice.backend in ("openvino", "onnx"):
        session = converted_session(
            FoldedNetwork(network), card.codec.input_wh, choice.backend, device, choice.precision
        )
        return SessionNetwork(session).eval(), session.device
    where = pick_device(device)
    if choice.backend == "eager" and choice.precision == "fp32":
        return channels_last(network.to(where)), where
    folded = FoldedNetwork(network, _DTYPES[choice.precision]).to(where)
    if choice.backend == "compile":
        return CompiledNetwork(folded, card.codec.input_wh).eval(), where
    return (CudaGraphNetwork(folded).eval() if where.type == "cuda" else folded), where


@torch.inference_mode()
def agrees(
    fast: nn.Module,
    where: torch.device,
    reference: nn.Module,
    card: ModelCard,
    precision: Arithmetic,
) -> bool:
    """Whether a network gives, for a crop of noise, the heatmaps of the reference on the CPU.

    Args:
        fast: What is to prove itself.
        where: Takes its crops.
        reference: The layers that it was made from.
        card: Their input size.
        precision: The arithmetic of `fast`, which decides how near is near.
    """
    width, height = card.codec.input_wh
    generator = torch.Generator().manual_seed(0)
    crop = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=generator)
    expected = reference(crop)
    limit = _AGREEMENT[precision] * float(expected.abs().max())
    return bool((fast(crop.to(where)).cpu() - expected).abs().max() <= limit)


class FoldedNetwork(nn.Module):
    """A copy for inference: batch norms inside the convolutions, weights cast once for all.

    Pixels are normalised in float32, and the last convolution computes in it: in the steps of
    1/256 that bf16 has, neighbouring cells of a heatmap would be equal.

    Args:
        network: Layers of torch with buffers `mean` and `std`.
        dtype: Of the weights and in between.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        layers = folded(network).requires_grad_(False)
        for name in ("mean", "std"):
            self.register_buffer(name, cast(Tensor, getattr(layers, name)).clone())
        self.layers = channels_last(layers.to(dtype))
        if dtype != torch.float32:
            last = [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)][-1]
            last.float().register_forward_pre_hook(_in_float32)
        self.eval()  # compiled code is of one mode, and evaluation would ask for the other

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` uint8 RGB -> ``(B, K, h, w)`` float32 heatmaps."""
        values = normalised(images, self.mean, self.std, network="the network")
        heatmaps: Tensor = self.layers(values.to(self.dtype))
        return heatmaps


def folded(network: nn.Module) -> nn.Module:
    """A copy in which each convolution that a batch norm follows has taken it in.

    In the networks here a batch norm is always registered right after the convolution that it
    normalises.
    """
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(norm, nn.BatchNorm2d) and isinstance(
                conv, nn.Conv2d | nn.ConvTranspose2d
            ):
                transposed = isinstance(conv, nn.ConvTranspose2d)
                fused = torch.nn.utils.fuse_conv_bn_eval(conv, norm, transpose=transposed)
                setattr(parent, name, fused)
                setattr(parent, norm_name, nn.Identity())
    return network


class SessionNetwork(nn.Module):
    """A converted network, which another program runs.

    Args:
        session: From `converted_session`.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` uint8 RGB -> ``(B, K, h, w)`` float32 heatmaps."""
        return self.session.run_images(images)[0]


class CompiledNetwork(nn.Module):
    """A network that torch.compile has turned into machine code for any batch size.

    Args:
        network: What to compile; its weights are frozen.
        input_wh: Size of the crops, for the first run, which compiles.

    Raises:
        ValueError: If the compiler fails.
    """

    def __init__(self, network: FoldedNetwork, input_wh: tuple[int, int]) -> None:
        super().__init__()
        self.on_cuda = network.mean.is_cuda
        options: dict[str, Any] = {"freezing": True}
        if self.on_cuda:
            options["triton.cudagraphs"] = True
        self.compiled = torch.compile(network, dynamic=True, options=options)
        width, height = input_wh
        log.info("compiling the network, which takes about a minute")
        # torch may choose other convolutions from 16 crops on, which is compiled by itself.
        for count in (4, 32):
            size = (count, 3, height, width)
            crops = torch.zeros(size, dtype=torch.uint8, device=network.mean.device)
            try:
                self(crops)
            except Exception as error:  # the compilers' errors have no common base
                raise ValueError(
                    f"the network cannot be compiled ({one_line(error)}); use backend eager"
                ) from error

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` uint8 RGB -> ``(B, K, h, w)`` float32 heatmaps."""
        # Always a fresh tensor of the same kind, and never of one crop: else compiled again.
        size = _rounded_up(len(images)) if self.on_cuda else max(len(images), 2)
        filled = torch.cat([images, images[:1].expand(size - len(images), -1, -1, -1)])
        heatmaps: Tensor = self.compiled(filled.contiguous(memory_format=torch.channels_last))
        heatmaps = heatmaps[: len(images)]
        return heatmaps.clone() if self.on_cuda else heatmaps  # the next run reuses its memory


class CudaGraphNetwork(nn.Module):
    """A network on CUDA, recorded as a CUDA graph for each batch size.

    HRNet's hundreds of small layers take longer to launch than to compute, one crop above all.

    Args:
        network: What to record.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._recorded: dict[tuple[int, ...], tuple[Any, Tensor, Tensor]] = {}
        self._turn = Lock()

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` uint8 RGB -> ``(B, K, h, w)`` float32 heatmaps."""
        shape = (_rounded_up(len(images)), *images.shape[1:])
        with self._turn:  # all callers share the memory of a graph
            if shape not in self._recorded:
                self._recorded[shape] = self._record(images.new_zeros(shape))
            graph, crops, heatmaps = self._recorded[shape]
            crops[: len(images)] = images
            graph.replay()
            return heatmaps[: len(images)].clone()

    def _record(self, crops: Tensor) -> tuple[Any, Tensor, Tensor]:
        crops = crops.contiguous(memory_format=torch.channels_last)
        # PyTorch has not typed it.
        side = torch.cuda.Stream(crops.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(crops.device))
        with torch.cuda.stream(side):  # the libraries choose their algorithms outside of it
            for _ in range(3):
                self.network(crops)
        torch.cuda.current_stream(crops.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            heatmaps = self.network(crops)
        return graph, crops, heatmaps


class ExportedNetwork(nn.Module):
    """An export of ours: maps ``(B, 3, H, W)`` uint8 crops to keypoints and scores."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints ``(B, K, 2)`` in input pixels, and scores ``(B, K)``."""
        keypoints_input, scores, *_ = self.session.run_images(images)
        return keypoints_input, scores


class ForeignNetwork(nn.Module):
    """A pose model of others: normalises as its card says, and picks its outputs."""

    def __init__(self, session: Session, card: ModelCard) -> None:
        super().__init__()
        self.session, self.card = session, card
        wanted = card.output if isinstance(card.output, tuple) else (card.output,)
        self.positions = [_position(each, session.output_names) for each in wanted]

    def picked(self, images: Tensor) -> tuple[Tensor, ...]:
        """``(B, 3, H, W)`` uint8 RGB -> heatmaps ``(B, K, h, w)``, or SimCC's two vectors."""
        card = self.card
        values = foreign_pixels(
            images,
            colour=card.colour,
            scale=card.scale,
            mean=card.mean,
            std=card.std,
            axes=card.layout,
        )
        parts = list(run_parts(self.session, values))
        return tuple(torch.cat([part[at] for part in parts]) for at in self.positions)

    def forward(self, images: Tensor) -> Tensor:
        """What the codec reads: heatmaps ``(B, K, h, w)``, or both vectors, ``(B, K, X + Y)``."""
        picked = self.picked(images)
        return picked[0] if len(picked) == 1 else torch.cat(picked, dim=-1)


def _position(output: int | str, names: Sequence[str]) -> int:
    if isinstance(output, str) and output not in names:
        raise ValueError(f"output {output!r} is not among its outputs {', '.join(names)}")
    position = output if isinstance(output, int) else names.index(output)
    if not 0 <= position < len(names):
        raise ValueError(f"output {position} is not among its {len(names)} outputs")
    return position


def foreign_pixels(
    images: Tensor,
    *,
    colour: ColourOrder,
    scale: float,
    mean: Sequence[float],
    std: Sequence[float],
    axes: AxisOrder,
) -> Tensor:
    """What a model of others takes: ``(pixels * scale - mean) / std``.

    On the CPU by NumPy, in this thread: torch's threads would wait for one another, spinning, at
    cores that the network's runtime keeps busy with other images.

    Args:
        images: ``(B, 3, H, W)`` uint8 RGB.
        colour: Order of its channels.
        scale: Factor on the pixel values.
        mean: Subtracted then, in its order of channels.
        std: Divides them then.
        axes: Order of its axes.

    Returns:
        float32, in the order of `axes`.
    """
    if images.device.type == "cpu":
        pixels = images.numpy()[:, ::-1] if colour == "BGR" else images.numpy()
        values = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
    else:
        values = images.flip(1).float() if colour == "BGR" else images.float()
    if scale != 1:
        values = values * scale
    if any(mean) or any(each != 1 for each in std):
        middle, spread = (values.new_tensor(each)[:, None, None] for each in (mean, std))
        values = (values - middle) / spread
    return values if axes == "NCHW" else values.permute(0, 2, 3, 1)


def run_parts(session: Session, values: Tensor) -> Iterator[Sequence[Tensor]]:
    """The outputs for a batch, in parts of the size that the file insists on, or in one.

    Args:
        session: The file.
        values: Its input, ``(B, ...)``.
    """
    values = values.to(session.input_dtype).contiguous()
    size = session.input_shape[0] or max(len(values), 1)
    for part in torch.split(values, size):
        if short := size - len(part):
            outputs = session.run(torch.cat([part, part[:1].expand(short, -1, -1, -1)]))
            yield [output[: len(part)] for output in outputs]
        else:
            yield session.run(part)


def _rounded_up(count: int) -> int:
    """A batch size of few: powers of two, then multiples of eight."""
    return 1 << max(count - 1, 0).bit_length() if count <= 8 else -(-count // 8) * 8


def channels_last(network: nn.Module) -> nn.Module:
    """Convolution weights in the order that images of interleaved channels are read in."""
    # Not in the stubs, but documented: nn.Module.to(memory_format=...).
    return cast(nn.Module, cast(Any, network).to(memory_format=torch.channels_last))


def _in_float32(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.float() for value in inputs)
