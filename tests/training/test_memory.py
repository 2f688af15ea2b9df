"""What does not fit is told together with what would."""

from __future__ import annotations

import pytest
import torch

from pose_hrnet.config.training import TrainConfig
from pose_hrnet.system.text import gigabytes
from pose_hrnet.training import memory
from pose_hrnet.training.memory import (
    HEADROOM,
    BatchTooLarge,
    StepMemory,
    batch_advice,
    explain_out_of_memory,
    explain_out_of_memory_in_evaluation,
    is_out_of_memory,
    measure,
)

CPU = torch.device("cpu")


def test_a_line_through_two_measurements_gives_the_largest_batch():
    fit = StepMemory.through((4, 140), (8, 180))
    assert (fit.base, fit.per_crop) == (100, 10)
    assert fit.needed(32) == 420
    usable = 1000 / HEADROOM
    assert fit.largest_batch(usable) == 90
    assert fit.needed(fit.largest_batch(usable)) <= HEADROOM * usable < fit.needed(91)
    assert fit.largest_batch(50) == 0


def test_advice_keeps_the_effective_batch():
    assert batch_advice(50, 96, 1) == (
        "train.batch_size=48 train.accumulate=2 would fit, and keeps the effective batch of 96"
    )
    assert "train.batch_size=16 train.accumulate=6" in batch_advice(20, 48, 2)
    assert batch_advice(40, 47, 1) == "batch size 40 would fit"
    assert "not even a batch of 1" in batch_advice(0, 32, 1)


def test_measures_what_a_step_holds(monkeypatch):
    """From two sizes: what it holds anyway, and what each crop adds."""
    held = []
    monkeypatch.setattr(memory, "peak_memory", lambda call, device: call() or held[-1])
    fit = measure(lambda size: held.append(100 + 32 * size), 32, CPU)
    assert (fit.base, fit.per_crop) == (100, 32)


def test_knows_failed_allocations():
    cpu = RuntimeError(
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"
    )
    for error in (torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), cpu):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("sizes do not match"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_names_the_batch_that_would_fit(monkeypatch):
    monkeypatch.setattr(memory, "usable_memory", lambda device: int(1000 / HEADROOM) + 1)

    def run(size):  # 100 bytes and 10 more for each crop, of which only some fit
        if 100 + 10 * size > 1000:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(size)

    sizes = []
    monkeypatch.setattr(memory, "peak_memory", lambda call, device: call() or 100 + 10 * sizes[-1])
    expected = (
        r"batch size 128 does not fit into the memory of cpu \(0 MB can be used\): "
        r"train.batch_size=64 train.accumulate=4 would fit, and keeps the effective batch of 256$"
    )
    with (
        pytest.raises(BatchTooLarge, match=expected),
        explain_out_of_memory(run, TrainConfig(batch_size=128, accumulate=2), CPU),
    ):
        run(128)


def test_names_the_batch_that_would_fit_in_an_evaluation(monkeypatch):
    monkeypatch.setattr(memory, "usable_memory", lambda device: int(1000 / HEADROOM) + 1)
    sizes = []

    def run(size):
        if 10 * size > 1000:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        sizes.append(size)

    monkeypatch.setattr(memory, "peak_memory", lambda call, device: call() or 10 * sizes[-1])
    with (
        pytest.raises(BatchTooLarge, match=r"test.batch_size 128 does .*: 100 would fit, with wh"),
        explain_out_of_memory_in_evaluation(run, 128, CPU),
    ):
        run(128)
    with (
        pytest.raises(RuntimeError, match="shapes"),
        explain_out_of_memory_in_evaluation(run, 8, CPU),
    ):
        raise RuntimeError("shapes")


def test_measuring_starts_over_with_fewer_crops_where_a_quarter_does_not_fit(monkeypatch):
    tried = []

    def run(size):
        tried.append(size)
        if size > 5:
            raise MemoryError

    monkeypatch.setattr(memory, "peak_memory", lambda call, device: call() or tried[-1] * 7)
    assert measure(run, 64, CPU) == StepMemory(0, 7)
    assert max(tried[-2:]) == 4
    assert measure(lambda size: run(6), 64, CPU) is None


def test_other_errors_pass():
    with (
        pytest.raises(RuntimeError, match="shapes"),
        explain_out_of_memory(int, TrainConfig(), CPU),
    ):
        raise RuntimeError("shapes")
    assert [gigabytes(size) for size in (3.44e9, 5e6)] == ["3.4 GB", "5 MB"]
