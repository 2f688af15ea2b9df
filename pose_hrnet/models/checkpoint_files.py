"""Checkpoint files to tensors and back; the one place that meets untrusted bytes.

Reads safetensors and torch files (state dicts, bare or wrapped, with the prefixes of
DistributedDataParallel and torch.compile) without unpickling arbitrary code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pose_hrnet.files import replace_file

_CARD_KEY = "pose_hrnet"
"""Where safetensors metadata holds the card, as JSON."""


@dataclass(frozen=True, eq=False)
class CheckpointFile:
    """What a checkpoint file holds.

    Attributes:
        path: The file.
        tensors: The state dict, without prefixes, on the CPU.
        card: The model card as plain values; None in files that are not ours.
        found_under: The key of a torch file that held the state dict; None if it was the whole.
    """

    path: Path
    tensors: dict[str, Tensor]
    card: dict[str, Any] | None
    found_under: str | None


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write one safetensors file, whole or not at all.

    Args:
        path: Where to; its folder is made.
        tensors: A state dict.
        card: Plain values, stored as JSON in the metadata.

    Raises:
        OSError: If the file cannot be written.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        # Not safetensors' own writer, whose files only their owner may read.
        temporary.write_bytes(save(plain, {"format": "pt", _CARD_KEY: json.dumps(card)}))


def read_checkpoint(path: Path) -> CheckpointFile:
    """Read a safetensors or torch file; the content decides which, not the name.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If the file cannot be opened.
        ValueError: If it is empty, cut short, no checkpoint, holds no state dict, or would have to
            run code to load.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such checkpoint file; check the path")
    with path.open("rb") as file:
        head = file.read(9)
    if not head:
        raise ValueError(f"{path}: the file is empty (0 bytes); download or copy it again")
    if head[8:] == b"{":  # eight bytes of header length, then the header in JSON
        return _read_safetensors(path)
    if head.startswith((b"PK", b"\x80")):  # a zip archive, or before torch 1.6 a pickle
        return _read_torch(path)
    raise ValueError(
        f"{path}: this is no checkpoint, it begins with {head!r}; "
        "give a .safetensors, .pt or .pth file (a download may have saved a web page instead)"
    )


def few(names: Iterable[str]) -> str:
    """Three of the names for a message, and dots for the rest."""
    every = list(names)
    return ", ".join(every[:3]) + (", ..." if len(every) > 3 else "")


def _read_safetensors(path: Path) -> CheckpointFile:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        card = dict(json.loads(metadata[_CARD_KEY])) if _CARD_KEY in metadata else None
    except (SafetensorError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: the safetensors file is cut short or damaged ({error}); "
            "download or copy it again"
        ) from error
    return CheckpointFile(path, _without_prefixes(tensors), card, None)


def _read_torch(path: Path) -> CheckpointFile:
    contents = _load_tensors_only(path)
    if _is_state_dict(contents):
        return CheckpointFile(path, _without_prefixes(contents), None, None)
    if isinstance(contents, Mapping):
        # The official training checkpoint has the first two, our training state the last.
        for key in ("best_state_dict", "state_dict", "model"):
            if _is_state_dict(contents.get(key)):
                card = contents.get("card")
                card = dict(card) if isinstance(card, Mapping) else None
                return CheckpointFile(path, _without_prefixes(contents[key]), card, key)
        found = f"a dict with the keys {few(map(repr, contents)) or 'none'}"
    else:
        found = f"an object of type {type(contents).__name__}"
    raise ValueError(
        f"{path}: this torch file holds no state dict, but {found}; "
        "save model.state_dict() in the program that wrote it"
    )


def _load_tensors_only(path: Path) -> Any:
    # Official training checkpoints hold the validation AP as a NumPy scalar; these make only that.
    scalar = np.float64(0).__reduce__()[0]
    allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        type(np.dtype(np.float32)),
        type(np.dtype(np.float64)),
    ]
    with path.open("rb") as file:
        try:
            with torch.serialization.safe_globals(allowed):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged bytes can raise anything while they are decoded
            unsafe = re.search(r"GLOBAL (\S+)", str(error))
            if unsafe is None:
                raise ValueError(
                    f"{path}: the torch file is cut short, damaged or no checkpoint "
                    f"({type(error).__name__}); download or copy it again"
                ) from error
            raise ValueError(
                f"{path}: this file contains Python objects ({unsafe[1]}), which could run any "
                "code, and is not loaded; if you trust it, load it in the environment that made "
                "it and save only the state_dict"
            ) from error


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def _without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off what DistributedDataParallel and torch.compile put before every name."""
    tensors = dict(state)
    for prefix in ("module.", "_orig_mod.", "module."):  # either may have wrapped the other
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors
