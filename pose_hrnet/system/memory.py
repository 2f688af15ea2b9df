"""Memory that a call takes at most, that can be used, and that the process holds."""

from __future__ import annotations

import gc
import mmap
import threading
from collections.abc import Callable
from pathlib import Path

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
    if device.type != "cpu" or resident_memory() is None:
        call()
        return None
    peak, ends = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ends.wait(SAMPLE_SECONDS):
            peak = max(peak, resident_memory() or 0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        call()
    finally:
        ends.set()
        watcher.join()
    return max(peak, resident_memory() or 0)


def usable_memory(device: torch.device) -> int | None:
    """Bytes that this process could hold: what it holds already, and what is free.

    Returns:
        None where the system does not say.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device)
    resident = resident_memory()
    free_here = _free_memory() if device.type == "cpu" else None
    return None if resident is None or free_here is None else resident + free_here


def resident_memory() -> int | None:
    """Bytes of RAM that this process holds; None where the system does not say (no Linux).

    Without what is mapped from files (libraries, data): the system takes that back when it likes,
    and reads it again.
    """
    try:
        resident, from_files = Path("/proc/self/statm").read_text().split()[1:3]
    except OSError:
        return None
    return (int(resident) - int(from_files)) * mmap.PAGESIZE


def _free_memory() -> int | None:
    """Bytes of RAM that can be had: of the machine, or of the container if that is less."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = {name: int(rest.split()[0]) for name, rest in (x.split(":") for x in lines)}
    free = kilobytes.get("MemAvailable", kilobytes["MemFree"]) * 1024
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
