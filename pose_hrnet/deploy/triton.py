"""A model repository of NVIDIA's Triton Inference Server: an ONNX export and its configuration.

The decoder is in the graph, so that clients send crops and get keypoints. What the configuration
says of inputs and outputs is read from the graph itself. Format:
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pose_hrnet.models.card import SUFFIXES
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.files import write_text
from pose_hrnet.system.text import shown

MAX_BATCH = 64
"""Crops of one run, of several requests together."""
MAX_DELAY_US = 2000
"""Microseconds that a request waits for others at most."""
CONFIG = "config.pbtxt"

_VERSION = "1"
_TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16", "uint8": "TYPE_UINT8"}


def repository_path(repository: Path, checkpoint: Path) -> Path:
    """Where a model lies in a repository: ``NAME/1/model.onnx``, under its checkpoint's name.

    Args:
        repository: Folder; need not exist.
        checkpoint: Gives the name.

    Raises:
        ValueError: If the repository has the suffix of a model file.
    """
    if repository.suffix.lower() in SUFFIXES.values():
        raise ValueError(
            f"{repository} ends in {repository.suffix}, but --triton writes a model repository; "
            "give a folder"
        )
    name = re.sub(r"[^\w.-]", "_", checkpoint.stem)
    return repository / name / _VERSION / "model.onnx"


def write_config(model: Path) -> Path:
    """Write the configuration of an ONNX file that lies in a repository.

    Args:
        model: ``.../NAME/1/model.onnx``.

    Returns:
        Its path, ``.../NAME/config.pbtxt``.

    Raises:
        OSError: If it cannot be written.
        ValueError: If the graph is none of `export_model`.
    """
    folder = model.parent.parent
    text = config_text(model, folder.name)
    write_text(folder / CONFIG, text)
    return folder / CONFIG


def config_text(model: Path, name: str) -> str:
    """The configuration of an ONNX file, in protobuf's text format.

    Args:
        model: The file.
        name: Of the model in the repository.

    Raises:
        ValueError: If the first axis of an input or output is not the batch, or its type is none
            that an export has.
    """
    graph = import_extra("onnx", "onnx").load(model, load_external_data=False).graph
    inputs = [_tensor(model, value) for value in graph.input]
    outputs = [_tensor(model, value) for value in graph.output]
    warm = "\n".join(
        f'    inputs {{ key: "{key}" value {{ data_type: {kind} dims: {dims} zero_data: true }} }}'
        for key, kind, dims in inputs
    )
    return f"""# Crops (B, height, width, 3), uint8 RGB, to keypoints in their pixels, and scores.
# How to cut crops, and the way back to the image: docs/export.md of pose_hrnet; input size,
# padding and skeleton: the JSON card beside the model.
name: "{name}"
backend: "onnxruntime"
max_batch_size: {MAX_BATCH}
input [
{_listed(inputs)}
]
output [
{_listed(outputs)}
]
dynamic_batching {{
  max_queue_delay_microseconds: {MAX_DELAY_US}
}}
instance_group [
  {{ count: 1 kind: KIND_AUTO }}
]
model_warmup [
  {{
    name: "one crop"
    batch_size: 1
{warm}
  }}
]
"""


def _listed(tensors: list[tuple[str, str, str]]) -> str:
    return ",\n".join(
        f'  {{ name: "{name}" data_type: {kind} dims: {dims} }}' for name, kind, dims in tensors
    )


def _tensor(model: Path, value: Any) -> tuple[str, str, str]:
    """Name, type and axes behind the batch, of an input or output."""
    helper = import_extra("onnx.helper", "onnx")
    kind = value.type.tensor_type
    found = str(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    batch, *sides = kind.shape.dim
    if batch.dim_value or not all(side.dim_value for side in sides) or found not in _TYPES:
        shape = [side.dim_param or side.dim_value for side in kind.shape.dim]
        raise ValueError(
            f"{model}: {value.name} is {found} of shape {shown(shape)}; Triton's batches need a "
            "first axis of any length and others that are known, so export the checkpoint again"
        )
    return value.name, _TYPES[found], f"[ {', '.join(str(side.dim_value) for side in sides)} ]"


__all__ = ["CONFIG", "config_text", "repository_path", "write_config"]
