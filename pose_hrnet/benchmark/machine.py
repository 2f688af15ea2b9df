"""What a measurement was made on: processor, memory, versions, threads. No names, no paths."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import cv2
import psutil
import torch

from pose_hrnet.system.device import usable_cores
from pose_hrnet.system.extras import installed_version

_PACKAGES = (
    "torch", "numpy", "opencv-python", "opencv-python-headless", "pycocotools", "onnxruntime",
    "onnxruntime-gpu", "openvino",
)  # fmt: skip
# Of x86 and ARM: what convolutions in fp32, bf16 and int8 run on.
_INSTRUCTION_SETS = (
    "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx_vnni",
    "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip


def machine_facts() -> dict[str, Any]:
    """The facts of this machine and process that decide how fast it is; plain values for JSON.

    Returns:
        ``cpu`` its model; ``cores`` that this process may use; ``instruction_sets`` of those that
        matter here, and ``torch_capability``, what torch makes of them; ``memory_gib``; ``gpus``;
        ``os``; ``python``; ``packages`` with their versions, of those installed; ``threads``
        that torch and OpenCV use. What the system does not tell is None or empty.
    """
    info = _cpu_info()
    flags = set(info.get("flags", info.get("Features", "")).split())
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "instruction_sets": [name for name in _INSTRUCTION_SETS if name in flags],
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "os": _operating_system(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := installed_version(name))},
        "threads": {"torch": torch.get_num_threads(), "opencv": cv2.getNumThreads()},
    }


def describe(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts as names and short texts, for a table."""
    packages = facts["packages"].items()
    rows = [
        ("processor", f"{facts['cpu']}, {facts['cores']} cores"),
        ("instruction sets", ", ".join(facts["instruction_sets"]) or facts["torch_capability"]),
        ("memory", f"{facts['memory_gib']:.1f} GiB"),
        ("GPU", ", ".join(facts["gpus"]) or "none"),
        ("system", f"{facts['os']}, Python {facts['python']}"),
        ("packages", ", ".join(f"{name} {found}" for name, found in packages)),
        ("threads", ", ".join(f"{name} {count}" for name, count in facts["threads"].items())),
    ]
    return rows


def _cpu_info() -> dict[str, str]:
    """The first processor's entry of Linux's list; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.mac_ver()[0]}".strip()
