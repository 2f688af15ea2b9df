"""Model files whose weights lie in other files."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from pose_hrnet.inference.backends.sessions import check_parts, open_onnx, open_openvino

onnx = pytest.importorskip("onnx")


def write_model(path, location):
    """A convolution whose weights lie in another file, which is not written."""
    weights = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [2, 3, 4, 4], [0.01] * 96)
    data = np.full(96, 0.01, np.float32).tobytes()
    weights.ClearField("float_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        weights.external_data.add(key=key, value=value)
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["image", "w"], ["heatmaps"], strides=[4, 4])],
        "g",
        [onnx.helper.make_tensor_value_info("image", kind, ["n", 3, 16, 16])],
        [onnx.helper.make_tensor_value_info("heatmaps", kind, ["n", 2, 4, 4])],
        [weights],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return data


@pytest.mark.parametrize("name", ["weights.bin", "parts/weights.bin"])
def test_weights_in_the_models_folder_are_read(tmp_path, name):
    data = write_model(tmp_path / "model.onnx", name)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    found = open_onnx(tmp_path / "model.onnx").run(torch.ones(1, 3, 16, 16))[0]
    torch.testing.assert_close(found, torch.full((1, 2, 4, 4), 0.48))


@pytest.mark.parametrize("open_file", [open_onnx, open_openvino])
@pytest.mark.parametrize("name", ["../weights.bin", "parts/../../x", "/etc/passwd", "/dev/zero"])
def test_weights_elsewhere_are_not_read(tmp_path, name, open_file):
    write_model(tmp_path / "model.onnx", name)
    with pytest.raises(ValueError, match="and only files in its folder are read; save it with"):
        open_file(tmp_path / "model.onnx")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize("open_file", [open_onnx, open_openvino])
def test_nobody_waits_for_a_fifo(tmp_path, open_file):
    os.mkfifo(tmp_path / "weights.bin")
    write_model(tmp_path / "model.onnx", "weights.bin")
    with pytest.raises(OSError, match="it is a FIFO"):
        open_file(tmp_path / "model.onnx")
    (tmp_path / "weights.xml").write_text("<net/>")
    with pytest.raises(OSError, match="it is a FIFO"):
        open_openvino(tmp_path / "weights.xml")


def test_missing_weights_are_named(tmp_path):
    write_model(tmp_path / "model.onnx", "weights.bin")
    with pytest.raises(FileNotFoundError, match=r"weights\.bin does not exist; check the path"):
        check_parts(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"\n\x08location")
    with pytest.raises(ValueError, match="has weights in another file"):
        check_parts(tmp_path / "model.onnx")
