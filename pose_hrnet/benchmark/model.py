"""A network under each backend, arithmetic and batch size: from uint8 crops to keypoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pose_hrnet.benchmark.timing import (
    Measurement,
    Pace,
    Variant,
    Work,
    measure,
    without_folders,
)
from pose_hrnet.config.data import CropShards
from pose_hrnet.config.recipe import Config
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.model import Decoder, PoseModel
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.complexity import complexity
from pose_hrnet.models.weights.load import load_network, save_model
from pose_hrnet.system.choices import Backend, Precision
from pose_hrnet.system.device import pick_device, usable_cores
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import format_size
from pose_hrnet.training.assemble import build_model

BASELINE = "plain fp32"
"""`PlainModel`: what all others are compared with."""

SIDE = 2048
"""Rows and columns of the matrices: enough work for all cores, in a fraction of a second."""


_TURNS = 5


Predict: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""``(B, H, W, 3)`` uint8 crops to ``(B, K, 2)`` keypoints and ``(B, K)`` scores on the CPU."""


@dataclass(frozen=True)
class PlainModel:
    """The network as it is written down: torch layers one by one, fp32, NCHW, nothing fused.

    Kept apart from the package's own way to run a checkpoint, so that what makes that faster
    shows.

    Attributes:
        network: In evaluation mode, contiguous, on the device.
        decoder: Flip test and codec.
        device: Where the network is.
    """

    network: nn.Module
    decoder: Decoder
    device: torch.device

    @torch.inference_mode()
    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """As of `PoseModel`."""
        # A permutation alone would be channels-last, and pass that on to every convolution.
        images = crops.to(self.device).permute(0, 3, 1, 2).contiguous()
        keypoints_input, scores = self.decoder(self.network, images)
        return keypoints_input.cpu(), scores.cpu()


@dataclass(frozen=True)
class ModelChoice:
    """What is compared.

    Attributes:
        checkpoint: Its layers are run by every backend; None: only the exported files.
        exported: Exported files, each with the runtime that it is for.
        backends: What runs the checkpoint.
        precisions: Arithmetic of each backend.
        batches: Numbers of crops in a call.
        flip_test: Average with the mirrored crop. None: no, and exported files as they are if
            there is no checkpoint to compare them with.
        device: As of `pick_device`.
    """

    checkpoint: Path | None
    exported: Sequence[Path] = ()
    backends: Sequence[Backend] = ("eager",)
    precisions: Sequence[Precision] = ("fp32",)
    batches: Sequence[int] = (1,)
    flip_test: bool | None = None
    device: str = "auto"

    @property
    def averages(self) -> bool | None:
        """The flip test that is asked of every variant; None: that of the exported files."""
        return bool(self.flip_test) if self.checkpoint is not None else self.flip_test

    def check_files(self) -> None:
        """See that all are there.

        Raises:
            FileNotFoundError: If one is missing.
        """
        for path in (self.checkpoint, *self.exported):
            if path is not None and not path.is_file():
                raise FileNotFoundError(f"{path}: there is no such model file; check the path")


@dataclass(frozen=True)
class _Loaded:
    """A variant's model, or what kept it from being loaded.

    Attributes:
        name: Of the variant.
        predict: The model.
        card: What belongs to it.
        seconds: Spent on loading it.
        error: Why there is none.
    """

    name: str
    predict: Predict | None
    card: ModelCard | None
    seconds: float
    error: Exception | None = None

    @property
    def note(self) -> str | None:
        """What runs it, where its name does not say that."""
        model = self.predict
        if not isinstance(model, PoseModel):
            return None
        said = self.name == f"{model.choice.backend} {model.choice.precision}"
        return None if said else f"{self.name}: {model.choice.summary}"

    def variant(self, crops: Tensor) -> Variant:
        return Variant(self.name, partial(self._work, crops), self.seconds)

    def _work(self, crops: Tensor) -> Work:
        if self.predict is None:
            raise self.error or ValueError(f"{self.name} was not loaded")
        return partial(self.predict, crops)


def random_checkpoint(config: Config, folder: Path) -> Path:
    """Write a checkpoint of a recipe's network with random weights, for a machine without any.

    Its batch statistics are those of a random crop: without them the signal fades from layer to
    layer, down to numbers so small that processors are slow at them.

    Raises:
        OSError: If the file cannot be written.
    """
    if not isinstance(config.data.train, CropShards):  # COCO's keypoints, without reading data
        data = config.data.model_copy(update={"skeleton": "coco17"})
        config = config.model_copy(update={"data": data})
    torch.manual_seed(0)
    network, card = build_model(config)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain average, here of one batch
    with torch.no_grad():
        network.train()(random_crops(card, 2).permute(0, 3, 1, 2))
    path = folder / "random.safetensors"
    save_model(path, network.state_dict(), card)
    return path


def random_crops(card: ModelCard, count: int) -> Tensor:
    """``(count, H, W, 3)`` uint8 of the card's input size."""
    width, height = card.codec.input_wh
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


def benchmark_model(
    choice: ModelChoice, pace: Pace, *, model_name: str, progress: Progress = SILENT
) -> list[Measurement]:
    """Time every variant at every batch size; at each of these, the variants take turns.

    Args:
        choice: What is compared.
        pace: How long to measure.
        model_name: Said of the model in the results.
        progress: Watches.

    Returns:
        A measurement for each batch size.

    Raises:
        ValueError: If not one of the models can be loaded, or the device is not present.
        FileNotFoundError: If a file is missing.
    """
    choice.check_files()
    loaded = _load_all(choice, progress)
    card = next((model.card for model in loaded if model.card is not None), None)
    if card is None:
        raise ValueError(f"none of the models can be run: {loaded[0].error}") from loaded[0].error
    crops = random_crops(card, max(choice.batches))
    size = format_size(card.codec.input_wh)
    flip = {None: "", True: ", flip test", False: ", no flip test"}[choice.averages]
    settings = {
        "model": model_name,
        "input_wh": list(card.codec.input_wh),
        "codec": card.codec.name,
        "flip_test": choice.averages,
        "device": str(pick_device(choice.device)),
    }
    threads, cores = torch.get_num_threads(), usable_cores()
    notes = [model.note for model in loaded if model.note is not None]
    if threads != cores:
        notes.append(f"threads of torch: {threads}, cores: {cores}; the runtimes choose their own")
    if choice.checkpoint is not None:
        notes.append(_limit(choice.checkpoint, choice))
    found = []
    for batch in choice.batches:
        rows = measure(
            [model.variant(crops[:batch]) for model in loaded],
            BASELINE,
            pace,
            name=f"model, batch {batch}",
            progress=progress,
        )
        title = f"{model_name} at {size}{flip}: crops to keypoints, batch {batch}"
        found.append(
            Measurement(
                "model",
                title,
                "crop",
                batch,
                BASELINE,
                rows,
                {**settings, "batch": batch},
                tuple(map(without_folders, notes)),
            )
        )
        loaded = [replace(model, seconds=0.0) for model in loaded]  # once for all batch sizes
    return found


def plain_model(
    checkpoint: Path, *, device: str = "auto", flip_test: bool = False
) -> tuple[PlainModel, ModelCard]:
    """A checkpoint as `PlainModel`, and its card.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or the device is not present.
    """
    where = pick_device(device)
    layers, card, _ = load_network(checkpoint)
    network = layers.float().to(where).to(memory_format=torch.contiguous_format)
    decoder = Decoder.of(card, flip_test=flip_test)
    return PlainModel(network.eval(), decoder, where), card


def _limit(checkpoint: Path, choice: ModelChoice) -> str:
    card = load_network(checkpoint).card
    passes = 2 if choice.averages else 1
    multiply_adds = complexity(card.architecture or {}, card.codec.input_wh).multiply_adds
    return limit_note(matrix_rates(pick_device(choice.device)), 2.0 * passes * multiply_adds)


def _load_all(choice: ModelChoice, progress: Progress) -> list[_Loaded]:
    """Every variant's model, the baseline's first."""
    loaders: dict[str, Callable[[], tuple[Predict, ModelCard]]] = {}
    flip, path, device = choice.averages, choice.checkpoint, choice.device
    if path is not None:
        loaders[BASELINE] = partial(plain_model, path, device=device, flip_test=bool(flip))
        for backend in choice.backends:
            for precision in choice.precisions:
                loaders[f"{backend} {precision}"] = partial(
                    _load_checkpoint, path, backend, device, precision, flip
                )
    for number, file in enumerate(choice.exported, start=1):
        name = file.name if file.name not in loaders else f"{file.name} ({number})"
        loaders[name] = partial(_load_export, file, device, flip)
    loaded = []
    with progress.task("load", len(loaders), "models") as bar:
        for name, load in loaders.items():
            bar.advance(0, note=name)
            loaded.append(_attempt(name, load))
            bar.advance(1, note=name)
    return loaded


def _attempt(name: str, load: Callable[[], tuple[Predict, ModelCard]]) -> _Loaded:
    began = perf_counter()
    try:
        predict, card = load()
    except Exception as error:  # the runtimes' and compilers' errors have no common base
        return _Loaded(name, None, None, 0.0, error)
    return _Loaded(name, predict, card, perf_counter() - began)


def _load_checkpoint(
    path: Path, backend: Backend, device: str, precision: Precision, flip_test: bool | None
) -> tuple[Predict, ModelCard]:
    model = load_model(
        path, backend=backend, device=device, precision=precision, flip_test=flip_test
    )
    return model, model.card


def _load_export(path: Path, device: str, flip_test: bool | None) -> tuple[Predict, ModelCard]:
    model = load_model(path, device=device, precision="auto", flip_test=flip_test)
    return model, model.card


def matrix_rates(device: torch.device, side: int = SIDE) -> dict[str, float]:
    """Operations per second, an addition and a multiplication being two, of matrix products.

    Args:
        device: Where to multiply.
        side: Rows and columns.

    Returns:
        By arithmetic: ``fp32``, ``bf16`` and ``int8``, those that PyTorch multiplies there.
    """
    values = torch.randn(side, side, device=device)
    whole = values.clamp(-4, 4).to(torch.int8)
    return {
        name: 2 * side**3 / seconds
        for name, matrix in (("fp32", values), ("bf16", values.bfloat16()), ("int8", whole))
        if (seconds := _seconds(matrix)) is not None
    }


def limit_note(rates: dict[str, float], operations: float) -> str:
    """What the rates mean for a network, in a sentence.

    Args:
        rates: Of `matrix_rates`.
        operations: Of one crop, both passes of a flip test counted.
    """
    speeds = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in rates.items())
    crops = ", ".join(f"{rate / operations:,.1f}" for rate in rates.values())
    return (
        f"matrix products run here at (GFLOP/s) {speeds}: with {operations / 1e9:,.1f} GFLOP for "
        f"a crop, about {crops} crops/s is what can be reached"
    )


def _seconds(matrix: Tensor) -> float | None:
    """Of the product of a matrix with itself; None where PyTorch has none for its type."""
    multiply = torch._int_mm if matrix.dtype == torch.int8 else torch.matmul
    turns = []
    try:
        for _ in range(_TURNS + 1):
            began = perf_counter()
            multiply(matrix, matrix)
            if matrix.device.type == "cuda":
                torch.cuda.synchronize(matrix.device)
            turns.append(perf_counter() - began)
    except RuntimeError:  # NotImplementedError is one
        return None
    return median(turns[1:])
