"""Checkpoint files to tensors and back; the one place that meets untrusted bytes.

Reads safetensors and torch files (state dicts, bare or wrapped, with the prefixes of
DistributedDataParallel, torch.compile and averaged models) without running code that they hold.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pose_hrnet.system.files import replace_file
from pose_hrnet.system.inputs import (
    UNPACKED,
    UNPACKED_ANYWAY,
    check_unpacked,
    open_input,
    parse_json,
)
from pose_hrnet.system.text import few, gigabytes, one_line, shown

_CARD_KEY = "pose_hrnet"
"""Where safetensors metadata holds the card, as JSON."""
_SOURCE_KEY = "source"
"""And where the weights came from."""

# Keys under which torch files hold a state dict; the first that is there counts. Official training
# checkpoints have the best weights beside the last, timm's the averaged ones beside the raw. With
# MMEngine it is the other way round: its hook saves the averaged weights as "state_dict" and the
# raw ones as "ema_state_dict". Our training state has "model" and, where it is the one that is
# scored, its average: "ema", with the state dict under "weights".
_STATE_DICTS = (
    "best_state_dict", "state_dict_ema", "model_ema", "ema", "state_dict", "model",
    "ema_state_dict",
)  # fmt: skip

_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Of wrappers, any of which may have wrapped another."""

# Objects that training checkpoints of other toolkits hold beside the weights, and that nothing
# here needs. They are read as None: neither their class nor their content is touched.
_PASSED_OVER = (
    "builtins.getattr",  # of MMEngine's log, to name methods
    "mmengine.logging.history_buffer.HistoryBuffer",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)

_FOREIGN = {
    b"<?xml": "an OpenVINO model, or other XML, whose weights cannot be read back",
    b"<": "a web page",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself (run git lfs pull)",
    b"\x89HDF": "an HDF5 file (Keras)",
    b"\x1f\x8b": "a gzip archive (unpack it)",
    b"\x08": "an ONNX model or another exported one, whose weights cannot be read back",
}
"""How files that are often taken for checkpoints begin."""


@dataclass(frozen=True, eq=False)
class CheckpointFile:
    """What a checkpoint file holds.

    Attributes:
        path: The file.
        tensors: The state dict, without prefixes, on the CPU.
        card: The model card as plain values; None in files that are not ours.
        found_under: The key of a torch file that held the state dict; None if it was the whole.
        meta: What an MMPose file says of its training, as plain values; empty in others.
        source: Of a file that was downloaded and converted: ``url`` and ``sha256`` of what came.
    """

    path: Path
    tensors: dict[str, Tensor]
    card: Any
    found_under: str | None
    meta: Mapping[Any, Any] = field(default_factory=dict)
    source: Mapping[str, str] | None = None


def write_checkpoint(
    path: Path,
    tensors: Mapping[str, Tensor],
    card: Mapping[str, Any] | None,
    *,
    source: Mapping[str, str] | None = None,
) -> None:
    """Write one safetensors file, whole or not at all.

    Args:
        path: Where to; its folder is made.
        tensors: A state dict.
        card: Plain values, stored as JSON in the metadata; None: a file without a card.
        source: ``url`` and ``sha256`` of the file that the weights came in; None: none is known.

    Raises:
        OSError: If the file cannot be written.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    told = {_CARD_KEY: card, _SOURCE_KEY: source}
    metadata = {key: json.dumps(value) for key, value in told.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        # Not safetensors' own writer, whose files only their owner may read.
        temporary.write_bytes(_sorted(save(plain, {"format": "pt", **metadata})))


def _sorted(data: bytes) -> bytes:
    """A safetensors file with its metadata in order: its writer has them in any."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def read_checkpoint(path: Path) -> CheckpointFile:
    """Read a safetensors or torch file; the content decides which, not the name.

    Args:
        path: Of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If the file cannot be opened.
        ValueError: If it is empty, cut short, no checkpoint, holds no state dict, or would have to
            run code to load.
    """
    if path.is_dir():
        raise FileNotFoundError(
            f"{path} is a folder; give a checkpoint file, such as the best.safetensors of a run"
        )
    try:
        with open_input(path) as file:
            head = file.read(32)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: there is no such checkpoint file; check the path"
        ) from None
    if not head:
        raise ValueError(f"{path}: the file is empty (0 bytes); download or copy it again")
    if head[8:9] == b"{":  # eight bytes of header length, then the header in JSON
        return _read_safetensors(path)
    if head.startswith((b"PK", b"\x80")):  # a zip archive, or before torch 1.6 a pickle
        return _read_torch(path)
    what = next((what for begin, what in _FOREIGN.items() if head.startswith(begin)), None)
    raise ValueError(
        f"{path}: this is no checkpoint, "
        + (f"but looks like {what}" if what else f"it begins with {head[:9]!r}")
        + "; give a .safetensors, .pt or .pth file"
    )


def _read_safetensors(path: Path) -> CheckpointFile:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            # No mapping: the open file has keys(), but cannot be iterated over itself.
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        card = parse_json(metadata[_CARD_KEY]) if _CARD_KEY in metadata else None
        source = dict(parse_json(metadata[_SOURCE_KEY])) if _SOURCE_KEY in metadata else None
    except (SafetensorError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path}: the safetensors file is cut short or damaged ({one_line(error)}); "
            "download or copy it again"
        ) from error
    tensors = _without_prefixes(tensors)
    return _checked(CheckpointFile(path, tensors, card, None, source=source))


def _read_torch(path: Path) -> CheckpointFile:
    contents = load_plain_values(path)
    if _is_state_dict(contents):
        return _checked(CheckpointFile(path, _without_prefixes(contents), None, None))
    if isinstance(contents, Mapping):
        for key in _STATE_DICTS:
            found = contents.get(key)
            if key == "ema" and isinstance(found, Mapping):
                found = found.get("weights", found)
            if _is_state_dict(found):
                card, meta = contents.get("card"), contents.get("meta")
                card = dict(card) if isinstance(card, Mapping) else None
                meta = meta if isinstance(meta, Mapping) else {}
                return _checked(CheckpointFile(path, _without_prefixes(found), card, key, meta))
        held = f"a dict with the keys {few(map(shown, contents)) or 'none'}"
    else:
        held = f"an object of type {type(contents).__name__}"
    raise ValueError(
        f"{path}: this torch file holds no state dict, but {held}; "
        "save model.state_dict() in the program that wrote it"
    )


def _checked(file: CheckpointFile) -> CheckpointFile:
    """The file, if its tensors are such as weights are.

    A tensor may be declared larger than what is stored, of one number repeated, or without any.
    """
    for name, value in file.tensors.items():
        dense = value.layout == torch.strided and value.device.type == "cpu"
        if not dense or value.is_complex() or value.is_quantized:
            raise ValueError(
                f"{file.path}: the entry {shown(name)} is no plain tensor of real numbers; save "
                "model.state_dict() on the CPU in the program that wrote it"
            )
    size = file.path.stat().st_size
    declared = sum(value.numel() * value.element_size() for value in file.tensors.values())
    if declared > max(UNPACKED * size, UNPACKED_ANYWAY):
        raise ValueError(
            f"{file.path} has {gigabytes(size)}, and tensors in it are declared to have "
            f"{gigabytes(declared)}; such a file is not read, because only a damaged or harmful "
            "one is so"
        )
    return file


class _PassedOver:
    """Stands for any object, and keeps nothing of it."""

    def __new__(cls, *_: Any) -> _PassedOver:
        return object.__new__(cls)

    def __setstate__(self, _: Any) -> None:
        pass


def _harmless() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What a file may call while it is loaded: NumPy's numbers and arrays, and `_PassedOver`."""
    scalar: Any = np.float64(0).__reduce__()[0]
    array: Any = np.empty(0).__reduce__()[0]
    dtypes = [
        type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "?", "u1", "i4", "i8", "U1", "O")
    ]
    named: list[tuple[Callable[..., Any], str]] = [(_PassedOver, name) for name in _PASSED_OVER]
    for core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
        named += [
            (scalar, f"{core}.multiarray.scalar"),
            (array, f"{core}.multiarray._reconstruct"),
        ]
    return [*named, np.ndarray, np.dtype, *dtypes]


class UnsafeFile(ValueError):
    """A file that would have to run code to be loaded."""


def load_plain_values(path: Path) -> Any:
    """What a torch file holds: tensors, numbers, texts, and lists and dicts of them.

    Raises:
        UnsafeFile: If it holds other objects.
        ValueError: If it is damaged, or unpacks to far more than its size.
    """
    with open_input(path) as file:
        check_unpacked(path, file)
        try:
            with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of pickle's protocols, which is no user's business
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged bytes can raise anything while they are decoded
            unsafe = re.search(r"GLOBAL (\S+)", str(error))
            if unsafe is not None:
                raise UnsafeFile(
                    f"{path}: this file contains Python objects ({unsafe[1][:100]}), which could "
                    "run any code, and is not loaded; if you trust it, load it in the environment "
                    "that made it and save only the state_dict"
                ) from error
            if "TorchScript" in str(error):
                raise ValueError(
                    f"{path}: this is a TorchScript program, not a checkpoint; "
                    "give the .pt or .pth file of weights that it was made from"
                ) from error
            raise ValueError(
                f"{path}: the torch file is cut short, damaged or no checkpoint "
                f"({type(error).__name__}); download or copy it again"
            ) from error


def _is_state_dict(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether most entries are tensors; a few others may stand beside them, but no mapping."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        return False
    tensors = sum(isinstance(each, Tensor) for each in value.values())
    return 2 * tensors > len(value) and not any(isinstance(e, Mapping) for e in value.values())


def _without_prefixes(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take off what wrappers put before the names of a network: DistributedDataParallel,
    torch.compile, averaged models (which also count their steps), Lightning.

    What else stands in the file, as a criterion's weights, keeps its name.
    """
    tensors = {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and name not in ("steps", "n_averaged")
    }
    while tensors:
        prefix = next((p for p in _PREFIXES if all(n.startswith(p) for n in tensors)), None)
        prefix = prefix or _network_prefix(tensors)
        if not prefix:
            break
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _network_prefix(names: Iterable[str]) -> str:
    """What stands before the first layers of the one network in a file; empty: nothing, or of
    several networks something else each."""
    known, first = {*names}, "conv1.weight"
    found = {name.removesuffix(first) for name in known if name.endswith(f".{first}")}
    found = {before for before in found if f"{before}layer1.0.{first}" in known}
    if len(found) != 1 or first in known:
        return ""
    return found.pop().removesuffix("backbone.")
