"""A network of torch layers converted in memory, for OpenVINO and ONNX Runtime to run.

Tracing and converting HRNet-W32 takes OpenVINO about ten seconds, so that what came out is kept in
the user's cache folder, under the digest of the weights; only the latest few stay.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pose_hrnet.backends import Session, import_extra, one_line, open_onnx, open_openvino
from pose_hrnet.device import Precision

log = logging.getLogger(__name__)

_KEPT = 4


class _Rows(nn.Module):
    """Takes crops as they are cut, ``(B, H, W, 3)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        heatmaps: Tensor = self.network(crops.permute(0, 3, 1, 2))
        return heatmaps


def converted_session(
    network: nn.Module,
    input_wh: tuple[int, int],
    backend: Literal["openvino", "onnx"],
    device: str = "auto",
    precision: Precision = "fp32",
) -> Session:
    """Convert a network for a program, and open it there.

    Args:
        network: Maps ``(B, 3, H, W)`` uint8 crops to heatmaps, in float32.
        input_wh: Size of the crops.
        backend: The program.
        device: As of `open_onnx` and `open_openvino`.
        precision: As of `open_openvino`.

    Returns:
        What maps ``(B, H, W, 3)`` uint8 crops to heatmaps, for any batch size.

    Raises:
        ValueError: If the program is not installed, or the network cannot be converted.
    """
    if backend == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            import_extra(package, "onnx")
        with tempfile.TemporaryDirectory() as folder, _converting(backend):
            path = Path(folder) / "network.onnx"
            torch.onnx.export(
                _trace(network, input_wh), f=path, dynamo=True, external_data=False, verbose=False
            )
            return open_onnx(path, device)
    import_extra("openvino", "openvino")
    kept = _cache_folder() / f"{_digest(network, input_wh)}.xml"
    if kept.is_file() and kept.with_suffix(".bin").is_file():
        try:
            session = open_openvino(kept, device, precision)
            os.utime(kept)  # the latest used are kept
            return session
        except ValueError as error:
            log.info("%s; converting the network again", error)
    with _converting(backend):
        model = _to_openvino(network, input_wh)
    # The file, if there is one, so that all runs of these weights are the same.
    return open_openvino(kept if _keep(model, kept) else model, device, precision)


@contextmanager
def _converting(backend: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the converters' errors have no common base
        raise ValueError(
            f"the network cannot be converted for {backend} ({one_line(error)}); use backend eager"
        ) from error


def _trace(network: nn.Module, input_wh: tuple[int, int]) -> ExportedProgram:
    width, height = input_wh
    # Two crops: torch.export takes a batch of one for a constant.
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    with torch.no_grad():
        return torch.export.export(
            _Rows(network).eval(), (example,), dynamic_shapes=({0: Dim("batch", min=1)},)
        )


def _to_openvino(network: nn.Module, input_wh: tuple[int, int]) -> Any:
    log.info("converting the network for OpenVINO, once for these weights: some seconds")
    ov = import_extra("openvino", "openvino")
    model = ov.convert_model(_trace(network, input_wh))
    width, height = input_wh
    model.reshape([-1, height, width, 3])
    return model


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pose_hrnet" / "openvino"


def _digest(network: nn.Module, input_wh: tuple[int, int]) -> str:
    """Of all that the converted network depends on."""
    digest = hashlib.sha256(repr((input_wh, version("torch"), version("openvino"))).encode())
    digest.update(repr(network).encode())
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy())
    return digest.hexdigest()[:32]


def _keep(model: Any, path: Path) -> bool:
    """Put a model into the cache, and take the oldest out; a disk that is full is no error."""
    ov = import_extra("openvino", "openvino")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            draft = Path(folder) / path.name
            ov.save_model(model, draft, compress_to_fp16=False)
            for suffix in (".bin", ".xml"):  # the one that is looked for last
                os.replace(draft.with_suffix(suffix), path.with_suffix(suffix))
        found = sorted(path.parent.glob("*.xml"), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in found[_KEPT:]:
            old.unlink(missing_ok=True)
            old.with_suffix(".bin").unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        log.info("the converted network is not kept in %s (%s)", path.parent, one_line(error))
        return False
    return True
