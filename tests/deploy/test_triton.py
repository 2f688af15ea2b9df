"""A model repository of Triton: its configuration says what the graph says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pose_hrnet import load_model
from pose_hrnet.deploy.triton import config_text, repository_path
from tests.helpers.bulk import save_small
from tests.helpers.command_line import run_here
from tests.helpers.detectors import write_constant

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triton")
    save_small(folder / "my model.safetensors")
    said, _ = run_here(
        "export", "--checkpoint", folder / "my model.safetensors", "--triton", "--heatmaps",
        "--no-check", "--output", folder / "repository",
    )  # fmt: skip
    assert str(folder / "repository/my_model/config.pbtxt") in said
    return folder / "repository"


def test_the_repository_is_laid_out_as_triton_wants_it(repository):
    files = {path.relative_to(repository).as_posix() for path in repository.rglob("*.*")}
    assert files == {
        "my_model/config.pbtxt", "my_model/1/model.onnx", "my_model/1/model.onnx.json"
    }  # fmt: skip


def test_inputs_and_outputs_are_those_of_the_graph(repository):
    text = (repository / "my_model/config.pbtxt").read_text()
    graph = onnx.load(repository / "my_model/1/model.onnx").graph
    said = re.findall(r'name: "(\w+)" data_type: (\w+) dims: \[ ([\d, ]+) \]', text)
    assert said == [
        ("crops", "TYPE_UINT8", "96, 64, 3"), ("keypoints", "TYPE_FP32", "17, 2"),
        ("scores", "TYPE_FP32", "17"), ("heatmaps", "TYPE_FP32", "17, 24, 16"),
    ]  # fmt: skip
    values = [*graph.input, *graph.output]
    assert [value.name for value in values] == [name for name, _, _ in said]
    for value, (_, _, dims) in zip(values, said, strict=True):
        batch, *sides = value.type.tensor_type.shape.dim
        assert not batch.dim_value
        assert ", ".join(str(side.dim_value) for side in sides) == dims


def test_protobuf_reads_it_as_a_model_configuration(repository):
    configs = pytest.importorskip(
        "tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed"
    )
    text_format = pytest.importorskip("google.protobuf.text_format")
    text = (repository / "my_model/config.pbtxt").read_text()
    config = text_format.Parse(text, configs.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("my_model", "onnxruntime", 64)
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    assert [(each.name, list(each.dims)) for each in config.input] == [("crops", [96, 64, 3])]
    assert config.input[0].data_type == configs.TYPE_UINT8
    assert {configs.DataType.Name(each.data_type) for each in config.output} == {"TYPE_FP32"}
    assert list(config.model_warmup[0].inputs["crops"].dims) == [96, 64, 3]
    assert config.instance_group[0].kind == configs.ModelInstanceGroup.KIND_AUTO


def test_a_batch_as_large_as_the_configuration_allows_runs(repository):
    """As Triton runs it, by ONNX Runtime; and the card beside it loads."""
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    path = repository / "my_model/1/model.onnx"
    session = runtime.InferenceSession(path)
    crops = np.random.default_rng(0).integers(0, 256, (64, 96, 64, 3), np.uint8)
    keypoints, scores, heatmaps = session.run(None, {"crops": crops})
    assert (keypoints.shape, scores.shape) == ((64, 17, 2), (64, 17))
    assert heatmaps.shape == (64, 17, 24, 16)
    assert load_model(path, device="cpu").card.skeleton.num_keypoints == 17


def test_what_cannot_be_a_repository_is_refused(tmp_path):
    save_small(tmp_path / "a.safetensors")
    weights = ["--checkpoint", tmp_path / "a.safetensors", "--triton"]
    _, said = run_here(
        "export", *weights, "--format", "openvino", "--output", tmp_path / "b", code=2
    )
    assert "--triton needs --format onnx, and the format is openvino" in said
    _, said = run_here("export", *weights, "--output", tmp_path / "b.onnx", code=2)
    assert "--triton writes a model repository; give a folder" in said
    assert repository_path(tmp_path, tmp_path / "a b.pth") == tmp_path / "a_b/1/model.onnx"
    write_constant(tmp_path / "c.onnx", {"boxes": np.zeros((1, 3, 4), np.float32)})
    with pytest.raises(ValueError, match=r"c\.onnx: images is float32 of shape \[1, 3, 64, 96\]"):
        config_text(tmp_path / "c.onnx", "c")
    assert not (tmp_path / "b").exists()
