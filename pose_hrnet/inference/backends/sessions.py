"""Exported files opened by the programs that run them: ONNX Runtime and OpenVINO.

Each opener returns a `Session`, a function on tensors and what the file says about its input.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pose_hrnet.system.choices import Precision, Runner
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.inputs import check_input, open_input
from pose_hrnet.system.text import one_line, shown


@dataclass(frozen=True)
class Session:
    """A model file that is ready to run.

    Attributes:
        backend: What runs it.
        device: Where its inputs are expected.
        input_shape: Four sizes; None where any will do.
        input_dtype: Type of its input.
        output_names: In the order of the outputs.
        run: From the input, on the device, to the outputs.
    """

    backend: Runner
    device: torch.device
    input_shape: tuple[int | None, ...]
    input_dtype: torch.dtype
    output_names: tuple[str, ...]
    run: Callable[[Tensor], Sequence[Tensor]]

    def run_images(self, images: Tensor) -> Sequence[Tensor]:
        """Run what takes ``(B, H, W, 3)`` on ``(B, 3, H, W)`` crops."""
        # They were made in that order; the permutation of a permutation copies nothing.
        return self.run(images.permute(0, 2, 3, 1).contiguous())


Rows: TypeAlias = Mapping[str, Sequence[int]]
"""Inputs besides the images, by name: what is given for each image, as int64."""
NO_ROWS: Rows = {}


_LOCATION = re.compile(rb"\n\x08location(?:\x12(.)(.{0,128}))?", re.DOTALL)
"""ONNX's name of a file with weights: key and value of a `StringStringEntryProto`."""


def check_parts(path: Path) -> None:
    """Refuse a model file that is no regular one, or has its weights in such, or elsewhere.

    A runtime opens what an ONNX file names as it is: another user's file, or a FIFO, for ever.

    Args:
        path: An ONNX file, or OpenVINO's .xml, which has its .bin beside it.

    Raises:
        OSError: If a file is missing, or no regular one.
        ValueError: If weights are in no file of the model's folder.
    """
    check_input(path)
    if path.suffix.lower() != ".onnx":
        if os.path.lexists(weights := path.with_suffix(".bin")):
            check_input(weights)
        return
    with open_input(path) as file:
        if not os.fstat(file.fileno()).st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = {(each[1], each[2]) for each in _LOCATION.finditer(content)}
    for length, value in found:
        name = None if length is None else value[: length[0]].decode("utf-8", "replace")
        if name is None or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(
                f"{path} has weights in {'another file' if name is None else shown(name)}, and "
                "only files in its folder are read; save it with its weights in one file"
            )
        check_input(path.parent / name)


def open_onnx(path: Path, device: str = "auto", rows: Rows = NO_ROWS) -> Session:
    """Open an ONNX file with ONNX Runtime.

    Args:
        path: The file.
        device: ``auto``: CUDA where this ONNX Runtime has it; ``cpu``; ``cuda``; ``cuda:1``.
        rows: What it may take besides the images.

    Raises:
        ValueError: If the extra is missing, the file is no model or has operators that are not
            supported, or the device is not available.
    """
    ort = import_extra("onnxruntime", "onnx")
    wanted = device.partition(":")[0]
    cuda = "CUDAExecutionProvider" in ort.get_available_providers()
    if wanted not in ("auto", "cpu", "cuda") or (wanted == "cuda" and not cuda):
        raise ValueError(
            f"this ONNX Runtime cannot use device {device!r} (it has "
            f"{', '.join(ort.get_available_providers())}); use cpu, or install onnxruntime-gpu"
        )
    providers: list[Any] = ["CPUExecutionProvider"]
    if cuda and wanted != "cpu":
        number = device.partition(":")[2] or "0"
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": number}))
    check_parts(path)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions have no common base
        raise _cannot_run(path, "ONNX Runtime", error) from None
    named = {each.name: each for each in session.get_inputs()}
    only = _one_input(path, [each for name, each in named.items() if name not in rows])
    given = {name: row for name, row in rows.items() if name in named}
    kinds = {
        "tensor(float)": torch.float32,
        "tensor(float16)": torch.float16,
        "tensor(uint8)": torch.uint8,
    }

    def run(values: Tensor) -> list[Tensor]:
        more = {name: _repeated(row, len(values)) for name, row in given.items()}
        outputs = session.run(None, {only.name: values.numpy(), **more})
        return [torch.from_numpy(output) for output in outputs]

    return Session(
        "onnx",
        torch.device("cpu"),
        tuple(side if isinstance(side, int) else None for side in only.shape),
        _known_dtype(path, kinds, only.type),
        tuple(output.name for output in session.get_outputs()),
        run,
    )


@cache
def openvino_core() -> Any:
    """OpenVINO's runtime, one `openvino.Core` for the whole process.

    The CPU plugin of a Core gives its thread another stack for signal handlers, and puts back the
    one before it when it goes. Two that do not go in the opposite order leave a stack that is no
    more, and the next signal (a loader process that ends) kills the process.

    Raises:
        ValueError: If OpenVINO is missing.
    """
    return import_extra("openvino", "openvino").Core()


def open_openvino(
    source: Any, device: str = "auto", precision: Precision = "fp32", rows: Rows = NO_ROWS
) -> Session:
    """Open an OpenVINO IR (.xml with its .bin) or an ONNX file with OpenVINO.

    A batch size that is fixed in the file is freed where the operators allow it.

    Args:
        source: The file's Path, or an `openvino.Model` in memory.
        device: ``auto`` or ``cpu``: the CPU; others are named to OpenVINO as they are (``GPU``).
        precision: ``bf16`` and ``fp16`` let it compute so; otherwise fp32, which OpenVINO by
            itself does not keep to on CPUs that multiply bf16. Layers that were quantised to int8
            stay so with either.
        rows: What it may take besides the images.

    Raises:
        ValueError: As `open_onnx`.
    """
    core = openvino_core()
    target = "CPU" if device in ("auto", "cpu") else device.upper()
    if target.partition(".")[0] not in core.available_devices:
        raise ValueError(
            f"OpenVINO cannot use device {device!r}; it has {', '.join(core.available_devices)}"
        )
    kind = {"bf16": "bf16", "fp16": "f16"}.get(precision, "f32")
    hint = {"INFERENCE_PRECISION_HINT": kind}
    path = source if isinstance(source, Path) else Path("the converted network")
    if source is path:
        check_parts(path)
    try:
        model = core.read_model(source) if isinstance(source, Path) else source
        only = _one_input(path, _images_of(model, rows))
        fixed = only.partial_shape[0].is_static
        if fixed and len(only.partial_shape) == 4 and len(model.inputs) == 1:
            model = _with_free_batch(core, path, model)
            (only,) = model.inputs
        given = {name: row for name, row in rows.items() if len(model.inputs) > 1}
        compiled = core.compile_model(model, target, hint)
    except RuntimeError as error:
        raise _cannot_run(path, "OpenVINO", error) from None
    kinds = {"f32": torch.float32, "f16": torch.float16, "u8": torch.uint8}
    turn = Lock()

    def run(values: Tensor) -> list[Tensor]:
        with turn:  # it refuses a second caller while it serves one
            more = {name: _repeated(row, len(values)) for name, row in given.items()}
            outputs = compiled({only.any_name: values.numpy(), **more} if more else values.numpy())
        return [torch.from_numpy(outputs[position]) for position in range(len(outputs))]

    return Session(
        "openvino",
        torch.device("cpu"),
        tuple(side.get_length() if side.is_static else None for side in only.partial_shape),
        _known_dtype(path, kinds, only.element_type.get_type_name()),
        tuple(output.any_name if output.names else "" for output in compiled.outputs),
        run,
    )


def _with_free_batch(core: Any, path: Path, model: Any) -> Any:
    """The model with any batch size, or as it was where an operator insists on its own."""
    shape = model.inputs[0].partial_shape
    shape[0] = -1
    try:
        model.reshape(shape)
    except RuntimeError:
        return core.read_model(path)
    # An operator that insists on one image may put the images of a batch one behind the other.
    free = all(output.partial_shape[0].is_dynamic for output in model.outputs)
    return model if free else core.read_model(path)


def _images_of(model: Any, rows: Rows) -> list[Any]:
    """Its inputs but for those rows."""
    return [each for each in model.inputs if not (each.names & rows.keys())]


def _repeated(row: Sequence[int], count: int) -> NDArray[np.int64]:
    return np.tile(np.asarray(row, np.int64), (count, 1))


def _one_input(path: Path, inputs: Sequence[Any]) -> Any:
    if len(inputs) != 1:
        raise ValueError(
            f"{path}: the model has {len(inputs)} inputs; expected one, the image; "
            "export it without the others"
        )
    return inputs[0]


def _known_dtype(path: Path, kinds: dict[str, torch.dtype], found: str) -> torch.dtype:
    if found not in kinds:
        raise ValueError(f"{path}: the model's input is of type {found}; use {', '.join(kinds)}")
    return kinds[found]


def _cannot_run(path: Path, runtime: str, error: Exception) -> ValueError:
    return ValueError(
        f"{path}: {runtime} cannot load this file ({one_line(error)}); it is no model, is "
        "damaged, or has operators that this version does not support"
    )
