"""What memory a training step needs, and which batch would fit.

A step holds the same for any batch (weights, gradients, the optimiser's state, the program itself)
and as much again for every crop (what the backward pass needs of the forward pass). Two steps at
two sizes tell both, and both tell the largest batch.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch

from pose_hrnet.config.training import TrainConfig
from pose_hrnet.data.crops import CropBatch
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.memory import peak_memory, usable_memory
from pose_hrnet.system.text import gigabytes
from pose_hrnet.training.step import TrainingStep

HEADROOM = 0.92
"""Share of the memory that is counted on: allocators waste some, and batches differ a little."""


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


class BatchTooLarge(ValueError):
    """A step needs more memory than there is; says which batch would fit."""


@dataclass(frozen=True)
class StepMemory:
    """Bytes that a step needs: `base`, and `per_crop` for each crop of its batch."""

    base: float
    per_crop: float

    @classmethod
    def through(cls, small: tuple[int, int], large: tuple[int, int]) -> StepMemory:
        """The line through two measurements ``(batch size, bytes)``; the sizes differ."""
        per_crop = max(1.0, (large[1] - small[1]) / (large[0] - small[0]))
        return cls(large[1] - per_crop * large[0], per_crop)

    def needed(self, batch_size: int) -> float:
        """Bytes at a batch size."""
        return self.base + self.per_crop * batch_size

    def fits(self, batch_size: int, usable: float) -> bool:
        """Whether a batch fits into so many bytes, `HEADROOM` kept."""
        return self.needed(batch_size) <= HEADROOM * usable

    def largest_batch(self, usable: float) -> int:
        """The largest batch that fits into so many bytes, `HEADROOM` kept; may be 0."""
        return max(0, int((HEADROOM * usable - self.base) / self.per_crop))


def capped_to(config: TrainConfig, persons: int) -> TrainConfig:
    """The settings, but with all persons for a batch where there are fewer than it asks for."""
    if config.batch_size <= persons:
        return config
    return config.model_copy(update={"batch_size": persons, "accumulate": 1})


def batch_advice(largest: int, batch_size: int, accumulate: int) -> str:
    """What to do about a batch that does not fit.

    Args:
        largest: The largest batch that fits.
        batch_size: The one that does not.
        accumulate: Batches per optimiser step so far.
    """
    if largest < 1:
        return (
            "not even a batch of 1 would fit; choose a smaller network or input, or a larger "
            "machine"
        )
    divisor = max(d for d in range(1, largest + 1) if batch_size % d == 0)
    if 3 * divisor < largest:  # 47, say, is better changed than cut into single crops
        return f"batch size {largest} would fit"
    return (
        f"train.batch_size={divisor} train.accumulate={accumulate * batch_size // divisor} would "
        f"fit, and keeps the effective batch of {batch_size * accumulate}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is a failed allocation: CUDA's, the CPU allocator's or Python's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _OUT_OF_MEMORY
    )


@contextmanager
def explain_out_of_memory(
    run: Callable[[int], object] | None, config: TrainConfig, device: torch.device
) -> Iterator[None]:
    """Turn a failed allocation inside the block into a sentence that names a batch that fits.

    Args:
        run: Makes a training step on a batch of the given size; called after a failure, when the
            run is lost anyway. None: no batch is named, as where a step is one of several
            processes, of which the others do not take part.
        config: Says what the block uses.
        device: Where the step runs.

    Raises:
        BatchTooLarge: In place of the failed allocation.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        largest, usable = _fits_after(error, run, config.batch_size, device)
        if largest is None:
            advice = "take a smaller train.batch_size, and a larger train.accumulate"
        else:
            advice = batch_advice(largest, config.batch_size, config.accumulate)
        raise BatchTooLarge(
            f"a training step with batch size {config.batch_size} does not fit into the memory of "
            f"{device}{_of_size(usable)}: {advice}"
        ) from None


@contextmanager
def explain_out_of_memory_in_evaluation(
    run: Callable[[int], object], batch_size: int, device: torch.device
) -> Iterator[None]:
    """`explain_out_of_memory` where a training evaluates, for which the run was saved.

    Args:
        run: Predicts a batch of the given size; called after a failure.
        batch_size: The one that is predicted.
        device: Where the network runs.

    Raises:
        BatchTooLarge: In place of the failed allocation.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        largest, usable = _fits_after(error, run, batch_size, device)
        fits = f"{largest} would fit" if largest else "a smaller one may fit"
        raise BatchTooLarge(
            f"an evaluation with test.batch_size {batch_size} does not fit into the memory of "
            f"{device}{_of_size(usable)}: {fits}, with which --resume goes on"
        ) from None


def _fits_after(
    error: BaseException,
    run: Callable[[int], object] | None,
    batch_size: int,
    device: torch.device,
) -> tuple[int | None, int | None]:
    """The largest batch that fits, and the bytes that can be used; None where it is not known.

    Raises the error itself if it is no failed allocation.
    """
    if not is_out_of_memory(error):
        raise error
    # Their local variables hold the tensors that did not leave room for another.
    traceback.clear_frames(error.__traceback__)
    memory = None if run is None else measure(run, batch_size, device)
    usable = usable_memory(device)
    if memory is None or usable is None:
        return None, usable
    return min(memory.largest_batch(usable), batch_size - 1), usable


def trial(step: TrainingStep, card: ModelCard) -> Callable[[int], object]:
    """A training step on black crops, as a function of their number.

    The learning rate is 0, but batch norm's averages and the optimiser's moments do change.
    """

    def run(size: int) -> float:
        width, height = card.codec.input_wh
        keypoints = card.skeleton.num_keypoints
        batch = CropBatch(
            pixels=torch.zeros(size, height, width, 3, dtype=torch.uint8),
            keypoints_input=torch.full((size, keypoints, 2), min(width, height) / 2),
            visible=torch.ones(size, keypoints),
            affines=torch.zeros(size, 2, 3, dtype=torch.float64),
            rows=torch.zeros(size, dtype=torch.int64),
            readable=torch.ones(size, dtype=torch.bool),
        )
        return float(step([batch], 0.0))

    return run


def trial_prediction(model: PoseModel) -> Callable[[int], object]:
    """A prediction of black crops, as a function of their number; leaves the mode to evaluate."""

    def run(size: int) -> object:
        width, height = model.card.codec.input_wh
        model.network.eval()
        return model(torch.zeros(size, height, width, 3, dtype=torch.uint8))

    return run


def measure(
    run: Callable[[int], object], batch_size: int, device: torch.device
) -> StepMemory | None:
    """Measure steps at an eighth and a quarter of a batch size, smaller ones if those fail.

    Args:
        run: Makes a training step on a batch of the given size.
        batch_size: The size of interest.
        device: Where the step runs.

    Returns:
        None where not even two crops fit, or memory cannot be measured.
    """
    large = max(2, batch_size // 4)
    while True:
        try:
            run(1)  # allocates what stays: the optimiser's state, the libraries' own
            small_peak = peak_memory(partial(run, large // 2), device)
            large_peak = peak_memory(partial(run, large), device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
            if large == 2:
                return None
            large = max(2, large // 2)
            continue
        if small_peak is None or large_peak is None:
            return None
        return StepMemory.through((large // 2, small_peak), (large, large_peak))


def _of_size(usable: int | None) -> str:
    return "" if usable is None else f" ({gigabytes(usable)} can be used)"
