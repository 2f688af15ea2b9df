"""INT8 exports keep their score, say what they cost, and leave coordinates in floating point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pose_hrnet import HRNet
from pose_hrnet.cli.app import app
from pose_hrnet.config.data import DataSet
from pose_hrnet.deploy.export import export_model
from pose_hrnet.deploy.int8 import export_int8, prepare
from pose_hrnet.deploy.quantise import (
    inner_operations,
    is_convolution,
    quantise,
    stretches,
    with_floats,
)
from pose_hrnet.inference.backends.sessions import openvino_core
from pose_hrnet.inference.load import load_model
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.load import load_network, save_model
from tests.helpers.pose_models import pose_model

SIZE_WH = (64, 96)
COLOURS = Skeleton("colours", ("red", "green", "blue"), (), (), (0.1,) * 3, (), (1.0,) * 3)
COUNT = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One person to an image: a red, a green and a blue spot."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    width, height = 80, 120
    x, y = np.arange(width), np.arange(height)[:, None]
    images, annotations = [], []
    for number in range(1, COUNT + 1):
        points = rng.uniform(0.25, 0.75, (3, 2)) * [width, height]
        spots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 60) for px, py in points]
        picture = np.stack(spots, axis=-1) * 230 + rng.uniform(0, 15, (height, width, 3))
        name = f"{number}.png"
        cv2.imwrite(str(folder / name), picture[..., ::-1].astype(np.uint8))
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        annotations.append(
            {
                "id": number, "image_id": number, "category_id": 1, "iscrowd": 0,
                "bbox": [5, 5, 70, 110], "area": 7700, "num_keypoints": 3,
                "keypoints": np.column_stack([points, [2] * 3]).ravel().tolist(),
            }
        )  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COLOURS.keypoint_names)}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / "people.json").write_text(json.dumps(content))
    return DataSet(annotations=folder / "people.json", images=folder)


def passing(layer):
    """Make a convolution pass on each channel, averaged over the kernel."""
    with torch.no_grad():
        layer.weight.zero_()
        for c in range(3):
            layer.weight[c, c] = 1 / layer.weight[0, 0].numel()
        if layer.bias is not None:  # random, else
            layer.bias.zero_()
    return layer


class Straight(torch.nn.Module):
    """Passes the colours on: quick to trace.

    Args:
        loud: What the first layer multiplies the red of a channel by that nothing reads; it leaves
            next to nothing of 255 steps to the other channels.
    """

    def __init__(self, loud=0.0):
        super().__init__()
        channels = [3, 4, 4, 4, 4, 4]
        self.layers = torch.nn.ModuleList(
            passing(torch.nn.Conv2d(i, o, 3, stride=2 if place < 2 else 1, padding=1))
            for place, (i, o) in enumerate(pairwise(channels))
        )
        self.final_layer = passing(torch.nn.Conv2d(4, 3, 1))
        self.layers[0].weight.data[3, 0] = loud

    def forward(self, images):
        x = images / 255
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.final_layer(x)


def straight(codec="udp", loud=0.0, flip_test=False):
    card = ModelCard({"num_keypoints": 3}, COLOURS, HeatmapCodec(codec, SIZE_WH))
    return pose_model(Straight(loud).eval(), card, flip_test=flip_test)


def small_hrnet(path):
    """The checkpoint of an HRNet whose finest stream passes the colours on."""
    torch.manual_seed(0)
    blocks = {"stem_blocks": 1, "stage_modules": (1, 1, 1), "branch_blocks": 1}
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    model = HRNet(4, 3, stem_width=4, **blocks)  # other layers start near zero
    model.normalise_with(**plain)
    for layer in (
        model.conv1, model.conv2, model.layer1[0].downsample[0], model.transition1[0][0],
        model.final_layer,
    ):  # fmt: skip
        passing(layer)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(layer.bias, 0.01)
    codec = HeatmapCodec("udp", SIZE_WH)
    card = ModelCard(model.architecture, COLOURS, codec, mean=plain["mean"], std=plain["std"])
    save_model(path, model.state_dict(), card)


def command(*arguments, code=0):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


def read(path):
    return pytest.importorskip("openvino").Core().read_model(path)


def rounded(model):
    """Names of the operations that read rounded values."""
    return {
        op.get_friendly_name()
        for op in model.get_ops()
        for value in op.input_values()
        if value.get_node().get_type_name() == "FakeQuantize"
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory, data):
    """What the command line makes of the small network, with what it says."""
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    folder = tmp_path_factory.mktemp("out")
    small_hrnet(folder / "small.safetensors")
    arguments = [
        "export", "-c", folder / "small.safetensors", "--format", "openvino", "--int8",
        "--annotations", data.annotations, "--images", data.images, "--flip-test", "-o", folder,
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pose_hrnet", *map(str, arguments)],
        env={**os.environ, "CUDA_HOME": "/usr"},  # a compiler of CUDA's, perhaps without a GPU
        capture_output=True, text=True, check=True, timeout=280,
    )  # fmt: skip
    ours = ("INFO     tracing the network and ", "INFO     comparing it with the checkpoint ")
    others = [line for line in done.stderr.splitlines() if not line.startswith(ours)]
    assert others == []  # no warnings of the libraries
    return folder / "small.xml", " ".join(done.stdout.split())


def convolutions_of(path):
    """Names of the convolutions in the checkpoint beside an export."""
    state = load_network(path.with_name("small.safetensors")).network.state_dict()
    return {name.removesuffix(".weight") for name, value in state.items() if value.ndim == 4}


def test_every_convolution_is_quantised_and_nothing_outside_them(exported):
    model = read(exported[0])
    convolutions = {op.get_friendly_name(): op for op in model.get_ops() if is_convolution(op)}
    assert convolutions.keys() == convolutions_of(exported[0])
    assert convolutions.keys() <= rounded(model)
    assert rounded(model) <= {op.get_friendly_name() for op in inner_operations(model)}
    for op in convolutions.values():
        assert weight_type(op) == "i8"


def weight_type(op):
    """The type that a layer's weights are stored in."""
    node = op.input_value(1).get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return node.get_element_type().get_type_name()


def test_the_card_and_the_table_hold_both_scores(exported):
    path, said = exported
    card = ModelCard.read_beside(path)
    facts = card.export.quantisation
    assert (card.export.weights, facts["metric"], facts["layers_in_floating_point"]) == (
        "int8",
        "AP",
        [],
    )
    assert facts["before"] > 0.95
    assert facts["before"] - facts["after"] <= facts["max_drop"] == 0.002
    assert facts["calibration"]["crops"] == facts["calibration"]["images"] == COUNT // 2
    sizes = [path.with_suffix(suffix).stat().st_size for suffix in (".xml", ".bin")]
    assert facts["bytes"][1] == sum(sizes)
    assert facts["layers"] == len(convolutions_of(path))
    assert 0 < facts["difference"]["keypoints_median"] < 2
    assert {"nncf", "openvino", "torch"} <= set(card.export.versions)
    assert f"│ AP │ {facts['before']:.4f} │ {facts['after']:.4f} │" in said
    assert f"convolutions in floating point: 0 of {facts['layers']}" in said
    written = {file.name for file in path.parent.iterdir()}
    assert written == {"small.safetensors", "small.xml", "small.bin", "small.xml.json"}


def test_evaluate_and_predict_take_it(exported, data, tmp_path):
    where = ["--annotations", data.annotations, "--images", data.images]
    out = command("evaluate", "-c", exported[0], *where, "--workers", 0, "-o", tmp_path / "scores")
    assert "openvino export, int8" in out
    metrics = json.loads((tmp_path / "scores/metrics.json").read_text())
    assert metrics["AP"] > 0.95
    assert (metrics["evaluated"]["weights"], metrics["evaluated"]["precision"]) == ("int8", "fp32")
    command(
        "predict",
        data.images,
        "--whole-image",
        "-c",
        exported[0],
        "-o",
        tmp_path / "poses",
        "--no-overlays",
    )
    assert len(json.loads((tmp_path / "poses/results.json").read_text())) == COUNT


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """`straight(loud=1e5)`, exported once for all."""
    pytest.importorskip("openvino")
    path = tmp_path_factory.mktemp("loud") / "a.xml"
    return export_model(straight(loud=1e5), path, "openvino")


@pytest.fixture
def exports_are_loud(loud, monkeypatch):
    """An export, which takes seconds to trace and convert, is a copy of `loud`."""
    pytest.importorskip("nncf")

    def copied(checkpoint, path, *_, **__):
        path.parent.mkdir()
        for file in loud.path.parent.iterdir():
            shutil.copy(file, path.parent)
        return replace(loud, path=path)

    monkeypatch.setattr("pose_hrnet.deploy.int8.export_model", copied)


def test_options_and_benchmarks_take_it(exported):
    path, _ = exported
    said = command("benchmark", "model", "-c", path, "--quick", "--batches", 1, "--device", "cpu")
    assert "small.xml: openvino, fp32: which runs .xml files, with INT8 layers" in said
    model = load_model(path, device="cpu", precision="bf16")
    assert (model.decoder.precision, model.weights) == ("bf16", "int8")
    assert load_model(path, device="cpu", precision="auto").decoder.precision == "fp32"
    with pytest.raises(ValueError, match="cannot be run by backend onnx"):
        load_model(path, backend="onnx")


def test_layers_that_hurt_are_returned(data, tmp_path, exports_are_loud):
    """Neither the first layer's weights nor what it gives the second can be rounded."""
    path = tmp_path / "out/a.xml"
    done = export_int8(straight(loud=1e5), path, data)
    facts = done.card.export.quantisation
    assert facts["after"] >= facts["before"] - 0.002 > 0.9
    assert facts["layers_in_floating_point"] == ["layers.0", "layers.1"]
    layers = {op.get_friendly_name(): op for op in read(path).get_ops() if is_convolution(op)}
    types = {name: weight_type(op) for name, op in layers.items()}
    kept = set(facts["layers_in_floating_point"])
    assert types == {name: "f32" if name in kept else "i8" for name in types}
    assert kept.isdisjoint(rounded(read(path)))


def test_a_bound_that_cannot_be_kept_leaves_no_file(data, tmp_path, exports_are_loud, monkeypatch):
    monkeypatch.setattr("pose_hrnet.deploy.quantise.stretches", lambda inner: [set()] * 4)
    with pytest.raises(ValueError, match=r"the score falls from .* allow more with --max-drop"):
        export_int8(straight(loud=1e5), tmp_path / "out/a.xml", data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "codec", ["dark", *(pytest.param(c, marks=pytest.mark.slow) for c in ("gaussian", "udp"))]
)
def test_the_decoder_stays_in_floating_point(codec, tmp_path):
    """And all that is rounded can be returned: the graph is then the original's."""
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    source = tmp_path / "float.xml"
    export_model(straight(codec, flip_test=True), source, "openvino")
    crops = np.random.default_rng(0).integers(0, 255, (8, 96, 64, 3), np.uint8)
    quantise(source, tmp_path / "int8.xml", crops, lambda file: 1.0, before=1.0, max_drop=0.0)
    original, quantised = read(source), read(tmp_path / "int8.xml")
    inner = {op.get_friendly_name() for op in inner_operations(original)}
    assert {"layers.0", "final_layer"} <= rounded(quantised) <= inner
    models = original, quantised, with_floats(quantised, original, inner)
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    runs = [openvino_core().compile_model(model, "CPU", hint)(crops) for model in models]
    for place in range(2):
        assert not np.array_equal(runs[0][place], runs[1][place])
        np.testing.assert_array_equal(runs[0][place], runs[2][place])


def test_stretches_share_the_layers_out(exported):
    inner = inner_operations(read(exported[0]))
    runs = stretches(inner)
    assert set.union(*runs) == {op.get_friendly_name() for op in inner}
    assert sum(map(len, runs)) == len(inner)
    layers = {op.get_friendly_name() for op in inner if is_convolution(op)}
    assert [len(run & layers) for run in runs] == [1] * len(layers)


def test_nobody_is_calibrated_and_scored_on(data, tmp_path):
    card = ModelCard({"num_keypoints": 3}, COLOURS, HeatmapCodec("udp", SIZE_WH))
    boxes = [{"image_id": i, "category_id": 1, "bbox": [5, 5, 70, 110], "score": 0.9}
             for i in range(1, COUNT + 1)]  # fmt: skip
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    detected = data.model_copy(update={"boxes": tmp_path / "boxes.json"})
    for given in (data, detected):
        prepared = prepare(card, given, None, 10, tmp_path)
        assert prepared.crops.shape == (10, 96, 64, 3)
        content = json.loads(prepared.scored.annotations.read_text())
        left = {image["id"] for image in content["images"]}
        assert len(left) == COUNT - 10
        assert {row["image_id"] for row in content["annotations"]} == left
    assert {row["image_id"] for row in json.loads(prepared.scored.boxes.read_text())} == left
    other = prepare(card, data, data, COUNT, tmp_path)
    assert (len(other.crops), other.scored) == (COUNT, data)
    with pytest.raises(ValueError, match=r"gives 5 calibration crops .* needs at least 8"):
        prepare(card, data, None, 5, tmp_path)


def test_what_cannot_be_quantised_is_one_sentence(data, tmp_path, monkeypatch):
    small_hrnet(tmp_path / "a.safetensors")
    openvino = ["--format", "openvino"]
    where = ["--annotations", data.annotations, "--images", data.images]
    arguments = ["export", "-c", tmp_path / "a.safetensors", "-o", tmp_path / "new/out"]
    for options, message in (
        (["--int8", *where], "--int8 needs --format openvino, and the format is onnx"),
        (["--int8", *openvino], "give --annotations and --images"),
        (["--int8", *openvino, *where, "--calibration-images", data.images], "belong together"),
        (["--max-drop", 0.002], "--max-drop does nothing without --int8; give both, or"),
        ([*openvino, "--calibration-crops", 9], "--calibration-crops does nothing without"),
        ([*where, "--calibration-images", data.images], "--calibration-images does nothing"),
        (["--workers", 0], "--workers does nothing without --int8"),
    ):  # fmt: skip
        assert message in command(*arguments, *options, code=2)
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(
        ValueError, match=r"nncf cannot be .* pip install 'pose-hrnet\[openvino\]'"
    ):
        export_int8(straight(), tmp_path / "new/out/a.xml", data)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_refused_export_leaves_no_folder(data, tmp_path):
    pytest.importorskip("nncf")
    small_hrnet(tmp_path / "a.safetensors")
    said = command(
        "export", "-c", tmp_path / "a.safetensors", "--format", "openvino", "--int8",
        "--annotations", data.annotations, "--images", data.images, "--calibration-crops", 5,
        "-o", tmp_path / "new/out", code=2,
    )  # fmt: skip
    assert "gives 5 calibration crops" in said
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_network_that_scores_nothing_is_refused(data, tmp_path, exports_are_loud, monkeypatch):
    # Private: a score of 0 cannot be had from a network that is checked before.
    monkeypatch.setattr("pose_hrnet.deploy.int8._score", lambda *_: (0.0, "AP"))
    with pytest.raises(ValueError, match=r"AP on .* is 0\.0000, so that no drop can be measured"):
        export_int8(straight(), tmp_path / "out/a.xml", data)
    assert list(tmp_path.iterdir()) == []


def test_cards_of_before_are_read(exported, tmp_path):
    content = json.loads(Path(f"{exported[0]}.json").read_text())
    del content["quantisation"]
    (tmp_path / "a.xml.json").write_text(json.dumps(content))
    assert ModelCard.read_beside(tmp_path / "a.xml").export.quantisation is None
