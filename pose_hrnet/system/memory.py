"""Memory that a call takes at most, that can be used, and that the process holds."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

SAMPLE_SECONDS = 0.002
"""Between two looks at the process's memory on the CPU."""


def peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Bytes held at most during a call: by tensors on CUDA, by the process on the CPU.

    Returns:
        None where that cannot be measured.
    """
    gc.collect()  # or what earlier work left behind counts, and not where it goes in the midst
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu":
        call()
        return None
    peak, ends = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ends.wait(SAMPLE_SECONDS):
            peak = max(peak, resident_memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        call()
    finally:
        ends.set()
        watcher.join()
    return max(peak, resident_memory())


def usable_memory(device: torch.device) -> int | None:
    """Bytes that this process could hold: what it holds already, and what is free.

    Returns:
        None where the system does not say.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device)
    return resident_memory() + _free_memory() if device.type == "cpu" else None


def resident_memory() -> int:
    """Bytes of RAM that this process holds.

    Without what is mapped from files (libraries, data), where the system tells that apart: it
    takes that back when it likes, and reads it again.
    """
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def _free_memory() -> int:
    """Bytes of RAM that can be had: of the machine, or of the container if that is less."""
    free = int(psutil.virtual_memory().available)
    for folder, limit, used in (
        ("", "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        group = Path("/sys/fs/cgroup", folder)
        try:
            taken = int((group / used).read_text()) - _cached_files(group / "memory.stat")
            free = min(free, int((group / limit).read_text()) - taken)
        except (OSError, ValueError):  # no such version of cgroups, or "max": no limit
            continue
    return max(0, free)


def _cached_files(statistics: Path) -> int:
    """Bytes of a container's memory that files were read into, and that can be had back."""
    rows = dict(line.split() for line in statistics.read_text().splitlines())
    return int(rows.get("inactive_file", 0))
