"""A network of torch layers converted for OpenVINO and ONNX Runtime to run.

Tracing and converting HRNet-W32 takes OpenVINO about ten seconds, so that what came out is kept in
the user's cache folder, under the digest of the weights; only the latest few stay.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pose_hrnet.inference.backends.sessions import Session, open_onnx, open_openvino
from pose_hrnet.system.choices import ExportFormat, Precision
from pose_hrnet.system.extras import import_extra, installed_version
from pose_hrnet.system.files import cache_folder
from pose_hrnet.system.text import one_line

log = logging.getLogger(__name__)

PACKAGES: Mapping[ExportFormat, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "torch": (),
}
"""What writes and runs a format, besides torch: the extra of its name."""

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
    import_packages(backend)
    if backend == "onnx":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            with _converting(backend):
                model = onnx_program(traced(_Rows(network), input_wh), ["heatmaps"])
                model.save(path, external_data=False)
            return open_onnx(path, device)
    name = f"{_digest(network, input_wh)}.xml"
    session = _kept_session(name, device, precision)
    if session is not None:
        return session
    with _converting(backend):
        log.info("converting the network for OpenVINO, once for these weights: some seconds")
        model = _to_openvino(network, input_wh)
    # The file, if there is one, so that all runs of these weights are the same.
    return open_openvino(_keep(model, name) or model, device, precision)


def traced(network: nn.Module, input_wh: tuple[int, int]) -> ExportedProgram:
    """A network that takes ``(B, H, W, 3)`` uint8 crops as a graph for any batch size."""
    width, height = input_wh
    # Two crops: torch.export takes a batch of one for a constant.
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    with torch.no_grad():
        return torch.export.export(
            network.eval(), (example,), dynamic_shapes=({0: Dim("batch", min=1)},)
        )


def import_packages(fmt: ExportFormat) -> None:
    """Import all that a format needs, before time is spent on it.

    Raises:
        ValueError: If a package is missing, with the command that installs it.
    """
    for package in PACKAGES[fmt]:
        import_extra(package, fmt)


def onnx_program(program: ExportedProgram, outputs: Sequence[str]) -> torch.onnx.ONNXProgram:
    """What `traced` gave, as an ONNX program from ``crops`` to these outputs, any batch size."""
    written = torch.onnx.export(
        program, dynamo=True, input_names=["crops"], output_names=outputs, verbose=False
    )
    if written is None:
        raise RuntimeError("the exporter gave nothing back")
    graph = written.model.graph
    for value in (*graph.inputs, *graph.outputs):
        if value.shape is not None:
            value.shape[0] = "batch"
    return written


def openvino_model(program: ExportedProgram, input_wh: tuple[int, int]) -> Any:
    """What `traced` gave, as an OpenVINO model for any batch size."""
    ov = import_extra("openvino", "openvino")
    with _logging_as_it_was():
        model = ov.convert_model(program)
    width, height = input_wh
    model.reshape([-1, height, width, 3])
    return model


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """The converter silences warnings of the whole process, and leaves it so where it fails."""
    root = logging.getLogger()
    level, filters, handlers = root.level, [*root.filters], [*root.handlers]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters, root.handlers = filters, handlers


@contextmanager
def _converting(backend: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the converters' errors have no common base
        raise ValueError(
            f"the network cannot be converted for {backend} ({one_line(error)}); use backend eager"
        ) from error


def _to_openvino(network: nn.Module, input_wh: tuple[int, int]) -> Any:
    return openvino_model(traced(_Rows(network), input_wh), input_wh)


def _digest(network: nn.Module, input_wh: tuple[int, int]) -> str:
    """Of all that the converted network depends on."""
    versions = (installed_version("pose-hrnet"), version("torch"), version("openvino"))
    digest = hashlib.sha256(repr((input_wh, versions)).encode())
    digest.update(repr(network).encode())
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy())
    return digest.hexdigest()[:32]


def _kept_session(name: str, device: str, precision: Precision) -> Session | None:
    """What an earlier run kept, opened; None if there is nothing, or nothing that can be read."""
    try:
        kept = cache_folder("openvino") / name
        if not (kept.is_file() and kept.with_suffix(".bin").is_file()):
            return None
        session = open_openvino(kept, device, precision)
    except (OSError, RuntimeError, ValueError) as error:
        log.info("%s; converting the network again", one_line(error))
        return None
    with suppress(OSError):  # a cache that is read-only serves as well
        os.utime(kept)  # the latest used are kept
    return session


def _keep(model: Any, name: str) -> Path | None:
    """Put a model into the cache, and take the oldest out; None, and no error, if it cannot."""
    ov = import_extra("openvino", "openvino")
    try:
        path = cache_folder("openvino") / name
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
    except (OSError, RuntimeError) as error:  # no room, no right to, not even a home folder
        reason = (error.strerror if isinstance(error, OSError) else None) or one_line(error)
        log.info("the converted network is not kept (%s)", reason)
        return None
    return path
