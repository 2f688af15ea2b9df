"""Heatmap models of others: described by a YAML card, decoded by our codec."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from pose_hrnet import HRNet, PoseEstimator
from pose_hrnet.cli.app import app
from pose_hrnet.config.data import DataSet
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.inference.load import load_model
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17, SKELETONS
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.load import save_model
from tests.helpers.builders import make_people, write_annotations, write_images

SIZE_WH = (32, 48)
TINYPOSE = {
    "input_wh": [96, 128],
    "codec": "dark",
    "blur_kernel": 3,
    "alignment": "official",
    "flip_shift": 1,
}


class Blobs(torch.nn.Module):
    """Heatmap k is the k-th channel's brightness: shows scaling, channel order and layout."""

    def __init__(self, layout):
        super().__init__()
        self.layout = layout

    def forward(self, image):
        image = image.permute(0, 3, 1, 2) if self.layout == "NHWC" else image
        channels = torch.nn.functional.avg_pool2d(image, 4)
        return image.mean((1, 2, 3)), channels


THREE = {
    "name": "three",
    "keypoint_names": ["a", "b", "c"],
    "flip_pairs": [],
    "links": [],
    "sigmas": [0.05, 0.05, 0.05],
    "upper_body": [],
    "joint_weights": [1, 1, 1],
}


@cache
def converted(layout, batch):
    """The model in OpenVINO, with a mean before the heatmaps."""
    ov = pytest.importorskip("openvino")
    width, height = SIZE_WH
    sides = [3, height, width] if layout == "NCHW" else [height, width, 3]
    model = ov.convert_model(
        Blobs(layout), example_input=torch.zeros(1, *sides), input=[batch or -1, *sides]
    )
    model.outputs[1].get_tensor().set_names({"maps"})
    return model


def write_model(folder, layout="NCHW", batch=None):
    """Its file in IR."""
    model = converted(layout, batch)
    pytest.importorskip("openvino").save_model(model, folder / "blobs.xml", compress_to_fp16=False)
    return folder / "blobs.xml"


def write_card(path, **values):
    card = {"input_wh": list(SIZE_WH), "skeleton": THREE, "output": 1, **values}
    path.write_text(yaml.safe_dump(card))
    return path


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", [None, 2])
def test_pixels_are_normalised_as_the_card_says(layout, batch, tmp_path):
    model_file = write_model(tmp_path, layout, batch)
    card = write_card(
        tmp_path / "blobs.yaml", layout=layout, colour="BGR", mean=[0.1, 0.2, 0.3],
        std=[0.5, 1, 2], output="maps",
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)  # of others, two cells may be equally high
    crops = torch.randint(0, 255, (5, 48, 32, 3), dtype=torch.uint8, generator=generator)
    blue_green_red = crops.flip(-1).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.1, 0.2, 0.3], [0.5, 1, 2]))
    expected = torch.nn.functional.avg_pool2d((blue_green_red - mean) / std, 4)
    for path in (model_file, card):  # either names the other
        model = load_model(path)
        heatmaps = model.network(crops.permute(0, 3, 1, 2))
        torch.testing.assert_close(heatmaps, expected, atol=1e-5, rtol=1e-5)
    points, scores = load_model(card, flip_test=False)(crops)
    wanted = HeatmapCodec("gaussian", SIZE_WH).decode(expected)
    torch.testing.assert_close(points, wanted[0])
    torch.testing.assert_close(scores, wanted[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input_wh": [48, 48]}, "the model takes"),
        ({"layout": "NHWC"}, "the model takes"),
        ({"skeleton": "coco17"}, "17 keypoints"),
        ({"skeleton": "mpii16"}, "16 keypoints"),
        ({"skeleton": "coco18"}, "skeleton 'coco18' is unknown"),
        ({"stride": 8}, "stride 8"),
        ({"output": 0}, "output 0 has shape"),
        ({"output": 7}, "output 7 is not among its 2 outputs"),
        ({"output": "heat"}, "output 'heat' is not among"),
        ({"alignment": "udp"}, "give the codec that fits"),
        ({"colour": "YUV"}, "colour = 'YUV': input should be 'RGB' or 'BGR'"),
        ({"blurr": 3}, "blurr"),
        ({"blur_kernel": 4}, "odd"),
        ({"std": [0, 1, 1]}, "greater than or equal to 0.000001"),
        ({"model": "none.xml"}, "no such model file"),
    ],
)
def test_a_card_that_contradicts_the_model_is_one_sentence(values, message, tmp_path):
    write_model(tmp_path)
    card = write_card(tmp_path / "blobs.yaml", **values)
    with pytest.raises((ValueError, OSError), match=message) as error:
        load_model(card)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such model file"):
        load_model(tmp_path / "none.onnx")
    path = write_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="no card beside it"):
        load_model(path)
    write_card(tmp_path / "blobs.yaml")
    with pytest.raises(ValueError, match="cannot be run by backend onnx"):
        load_model(path, backend="onnx")
    with pytest.raises(ValueError, match="OpenVINO cannot use device"):
        load_model(path, device="cuda")
    path.with_suffix(".bin").unlink()
    path.write_text("<html/>")
    with pytest.raises(ValueError, match="OpenVINO cannot load this file"):
        load_model(path)
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="not valid YAML"):
        ModelCard.read_yaml(tmp_path / "bad.yaml")


def test_operators_that_are_not_supported(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    node = onnx.helper.make_node("Teleport", ["x"], ["y"], domain="elsewhere")
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 48, 32])
        for name in "xy"
    ]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("elsewhere", 1)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "odd.onnx"
    )
    write_card(tmp_path / "odd.yaml")
    with pytest.raises(ValueError, match="Teleport") as error:
        load_model(tmp_path / "odd.onnx")
    assert "\n" not in str(error.value)


def test_a_card_has_a_note(tmp_path):
    path = write_card(tmp_path / "a.yaml", note="learnt from val2017")
    assert ModelCard.read_yaml(path).note == "learnt from val2017"


def test_a_card_names_skeleton_and_flip_shift(tmp_path):
    for name, skeleton in SKELETONS.items():
        card = ModelCard.read_yaml(write_card(tmp_path / "a.yaml", skeleton=name))
        assert card.skeleton == skeleton
    shifts = [(None, "dark", 1), (None, "udp", 0), (0, "dark", 0), (2, "udp", 2)]
    for given, codec, expected in shifts:
        path = write_card(tmp_path / "a.yaml", codec=codec, flip_shift=given)
        assert ModelCard.read_yaml(path).codec.flip_shift == expected


@pytest.fixture(scope="module")
def hrnet_files(tmp_path_factory):
    """A small HRNet twice: as a checkpoint, and as plain ONNX heatmaps with a YAML card."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("hrnet")
    torch.manual_seed(0)
    blocks = {"stem_blocks": 1, "stage_modules": (1, 1, 1), "branch_blocks": 1}
    model = HRNet(8, stem_width=8, **blocks).eval()
    width, height = SIZE_WH
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, height, width),),  # floats: normalised outside, as most models are
        folder / "others.onnx",
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        external_data=False,
        verbose=False,
    )
    write_card(folder / "others.yaml", skeleton="coco17", codec="udp", output=0)
    card = ModelCard(model.architecture, COCO17, HeatmapCodec("udp", SIZE_WH))
    save_model(folder / "ours.safetensors", model.state_dict(), card)
    return folder


def command(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    return done.output


def test_an_onnx_heatmap_model_is_evaluated_and_predicts_as_its_checkpoint(hrnet_files, tmp_path):
    people = make_people(6)
    annotations = write_annotations(people, tmp_path / "people.json")
    images = write_images(people, tmp_path / "images")
    data = ["--annotations", annotations, "--images", images, "--workers", 0, "--nms", "none"]
    found = {}
    for name in ("ours.safetensors", "others.yaml", "others.onnx"):
        model, out = ["-c", hrnet_files / name], tmp_path / name
        command("evaluate", *model, *data, "-o", out, "--batch-size", 4)
        exact = ["--precision", "fp32", "--no-overlays"]
        command("predict", images, "--whole-image", *model, "-o", out / "predicted", *exact)
        # Not bf16, which the checkpoint alone could be run in:
        if not name.startswith("ours"):
            assert load_model(model[1], precision="auto").decoder.precision == "fp32"
        provenance = json.loads((out / "metrics.json").read_text())["evaluated"]
        assert (provenance["flip_test"], provenance["flip_shift_cells"]) == (True, 0)
        files = out / "results.json", out / "predicted/results.json"
        rows = [row["keypoints"] for file in files for row in json.loads(file.read_text())]
        found[name] = provenance["backend"], np.array(rows)
    assert found["ours.safetensors"][0] == "eager"
    assert found["ours.safetensors"][1].shape == (6 + 3, 51)
    for name in ("others.yaml", "others.onnx"):
        backend, keypoints = found[name]
        assert backend == "onnx"
        np.testing.assert_allclose(keypoints, found["ours.safetensors"][1], atol=0.02)


def test_heatmaps_of_others_can_be_compared(hrnet_files, tmp_path):
    people = make_people(4)
    data = ["--annotations", write_annotations(people, tmp_path / "people.json")]
    data += ["--images", write_images(people, tmp_path / "images"), "--workers", 0]
    model = ["-c", hrnet_files / "others.yaml"]
    out = command("evaluate", *model, *data, "-o", tmp_path, "--compare", "flip,codec")
    assert "16 crops" in out  # two views, two alignments
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert len(written["rows"]) == 8
    (own,) = [row for row in written["rows"] if row["own"]]
    assert (own["codec"], own["flip_shift"]) == ("udp", 0)


@pytest.fixture
def tinypose(shared, tmp_path):
    pytest.importorskip("openvino")
    model = shared / "models/tinypose_128x96/model.xml"
    if not model.is_file():
        pytest.skip("the PP-TinyPose model is absent")
    card = tmp_path / "tinypose.yaml"
    card.write_text(yaml.safe_dump({**TINYPOSE, "model": str(model)}))
    return card


def test_a_real_model_finds_real_keypoints(tinypose, shared):
    """The fixed batch of one in the file is freed, and flips agree."""
    from pose_hrnet.data.images import read_rgb
    from pose_hrnet.data.people import labelled_people, load_people

    people = labelled_people(load_people(shared / "coco_sample/person_keypoints.json"))
    row = int(np.argmax(people.areas))
    name = people.images.file_names[people.image_index[row]]
    x, y, width, height = people.boxes_xywh[row]
    estimator = PoseEstimator(tinypose)
    box = [x, y, x + width, y + height]
    poses = estimator(read_rgb(shared / "coco_sample" / name), [box] * 3)
    seen = people.visibility[row] == 2
    error = np.linalg.norm(poses.keypoints_image[0] - people.keypoints_image[row], axis=-1)[seen]
    assert np.median(error) < 0.05 * height
    np.testing.assert_allclose(poses.keypoints_image[0], poses.keypoints_image[2], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("part", "expected"), [("val", 0.611), ("train", 0.581)])
def test_average_precision_on_real_people(tinypose, shared, part, expected):
    data = DataSet(
        annotations=shared / f"coco/annotations/person_keypoints_{part}.json",
        images=shared / "coco" / part,
    )
    model = load_model(tinypose)
    evaluation = evaluate(model, data)
    assert evaluation.scores.values["AP"] == pytest.approx(expected, abs=0.005)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_networks_may_be_closed_in_any_order(tmp_path):
    model = write_model(tmp_path)
    program = f"""
import signal
from pathlib import Path
from pose_hrnet.inference.backends.sessions import open_openvino
caught = []
signal.signal(signal.SIGUSR1, lambda *_: caught.append("caught"))
first = open_openvino(Path({str(model)!r}))
second = open_openvino(Path({str(model)!r}))
del first
del second
signal.raise_signal(signal.SIGUSR1)
print(*caught)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "caught"), done.stderr
