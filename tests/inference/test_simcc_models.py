"""ONNX files in the layout of RTMPose, RTMW and DWPose run by their card."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from pose_hrnet import PoseEstimator, load_model
from pose_hrnet.evaluation.settings import compare_settings
from pose_hrnet.keypoints.skeleton import COCO17, SKELETONS
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
ort = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

WIDTH, HEIGHT = 12, 16


def write_model(path, count=17, ratio=2, names=("simcc_x", "simcc_y"), batch="batch"):
    """As MMDeploy writes RTMPose: ``input`` to ``simcc_x`` (B, K, 2 W) and ``simcc_y``."""
    random = np.random.default_rng(0)
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes, weights, outputs = [], [], []
    for name, axis, side in zip(names, (2, 3), (WIDTH, HEIGHT), strict=True):
        bins = side * ratio
        weight = random.normal(0, 0.3, (3 * side, count * bins)).astype(np.float32)
        weights += [
            onnx.numpy_helper.from_array(weight, f"{name}.weight"),
            onnx.numpy_helper.from_array(np.array([axis]), f"{name}.axis"),
            onnx.numpy_helper.from_array(np.array([0, -1]), f"{name}.flat"),
            onnx.numpy_helper.from_array(np.array([0, count, bins]), f"{name}.shape"),
        ]
        nodes += [
            helper.make_node(
                "ReduceMean", ["input", f"{name}.axis"], [f"{name}.mean"], keepdims=0
            ),
            helper.make_node("Reshape", [f"{name}.mean", f"{name}.flat"], [f"{name}.row"]),
            helper.make_node("MatMul", [f"{name}.row", f"{name}.weight"], [f"{name}.bins"]),
            helper.make_node("Reshape", [f"{name}.bins", f"{name}.shape"], [name]),
        ]
        outputs.append(helper.make_tensor_value_info(name, kind, [batch, count, bins]))
    inputs = [helper.make_tensor_value_info("input", kind, [batch, 3, HEIGHT, WIDTH])]
    graph = helper.make_graph(nodes, "rtmpose", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def write_card(path, **keys):
    path.write_text(yaml.safe_dump({"input_wh": [WIDTH, HEIGHT], "codec": "simcc", **keys}))
    return path


@pytest.fixture
def model(tmp_path):
    write_model(tmp_path / "rtmpose.onnx")
    return SimpleNamespace(
        onnx=tmp_path / "rtmpose.onnx", card=write_card(tmp_path / "rtmpose.yaml")
    )


def some_crops(count=5):
    random = np.random.default_rng(1)
    return torch.from_numpy(random.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8))


def published(path, crops, *, flip):
    """What MMPose makes of these crops: its normalisation, flip test and decoder."""
    session = ort.InferenceSession(str(path))

    def run(pixels):
        values = (pixels / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
        values = values.transpose(0, 3, 1, 2).astype(np.float32)
        rows = [session.run(["simcc_x", "simcc_y"], {"input": each[None]}) for each in values]
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    x, y = run(crops.numpy())
    if flip:
        index = list(COCO17.flip_index)
        flipped_x, flipped_y = run(crops.numpy()[:, :, ::-1])
        x = (x + flipped_x[:, index, ::-1]) / 2
        y = (y + flipped_y[:, index]) / 2
    scores = np.minimum(x.max(-1), y.max(-1))
    points = np.stack([x.argmax(-1), y.argmax(-1)], -1).astype(np.float32)
    points[scores <= 0] = -1
    return points / 2, scores


@pytest.mark.parametrize("flip", [False, True], ids=["plain", "flip"])
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_points_are_those_of_the_published_decoder(model, backend, flip):
    if backend == "openvino":
        pytest.importorskip("openvino", reason="needs the extra openvino")
    crops = some_crops()
    expected_points, expected_scores = published(model.onnx, crops, flip=flip)
    loaded = load_model(model.card, backend=backend, flip_test=flip)
    points, scores = loaded(crops)
    np.testing.assert_array_equal(points, expected_points)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-5)
    assert "SimCC model" in loaded.summary


def test_a_file_that_insists_on_one_crop(tmp_path):
    write_model(tmp_path / "one.onnx", batch=1)
    loaded = load_model(write_card(tmp_path / "one.yaml"), backend="onnx", flip_test=True)
    crops = some_crops()
    points, _ = loaded(crops)
    np.testing.assert_array_equal(points, published(tmp_path / "one.onnx", crops, flip=True)[0])


def test_whole_bodies(tmp_path):
    write_model(tmp_path / "dwpose.onnx", count=133)
    loaded = load_model(write_card(tmp_path / "dwpose.yaml", skeleton="wholebody133"))
    poses = PoseEstimator(loaded)(
        np.zeros((60, 50, 3), np.uint8), boxes_xyxy=[[5, 5, 40, 50], [0, 0, 20, 20]]
    )
    assert poses.keypoints_image.shape == (2, 133, 2)
    assert loaded.card.skeleton == SKELETONS["wholebody133"]


def test_a_person_is_cropped_and_mapped_back_as_mmpose_does(model):
    """``TopdownAffine`` without UDP: the box, 1.25 times as wide, to the whole input."""
    image = np.random.default_rng(2).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    loaded = load_model(model.card, backend="onnx", flip_test=False)
    box = np.array([10.0, 8.0, 40.0, 70.0])
    poses = PoseEstimator(loaded)(image, boxes_xyxy=[box])
    centre, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * 1.25
    size = np.maximum(size, [size[1] * WIDTH / HEIGHT, size[0] * HEIGHT / WIDTH])
    inside = (poses.keypoints_image[0] - centre + size / 2) / size * [WIDTH, HEIGHT]
    bins = 2 * inside
    np.testing.assert_allclose(bins, bins.round(), atol=1e-3)


FAULTS = {
    "heatmaps said": (
        {}, {"codec": "gaussian"}, r"if these are SimCC's vectors, the card needs codec: simcc"
    ),
    "names": ({"names": ("x", "y")}, {}, "output 'simcc_x' is not among its outputs x, y"),
    "count": ({"count": 26}, {}, r"have shapes \[\(26, 24\), \(26, 32\)\] .* says 17 keypoints"),
    "ratio": ({"ratio": 3}, {}, "correct skeleton, input_wh, split_ratio or output in the card"),
    "exchanged": ({}, {"output": ["simcc_y", "simcc_x"]}, "have shapes"),
    "one output": ({}, {"output": 0}, "output is 0; codec simcc has two, of x and of y"),
    "two outputs": (
        {}, {"codec": "dark", "output": [0, 1]}, "codec dark has one, of the heatmaps"
    ),
    "sigma": ({}, {"sigma": 2.0}, "codec simcc has no sigma; leave that out"),
    "split": ({}, {"codec": "dark", "split_ratio": 2}, "codec dark has no split_ratio"),
    "alignment": ({}, {"alignment": "udp"}, "alignment is 'udp', but codec 'simcc' crops"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_card_that_does_not_fit_is_one_sentence(case, tmp_path):
    made, keys, sentence = FAULTS[case]
    write_model(tmp_path / "some.onnx", **made)
    with pytest.raises(ValueError, match=sentence) as error:
        load_model(write_card(tmp_path / "some.yaml", **keys), backend="onnx")
    assert "\n" not in str(error.value)


def test_outputs_by_other_names_and_another_ratio(tmp_path):
    write_model(tmp_path / "some.onnx", ratio=3, names=("x", "y"))
    card = write_card(tmp_path / "some.yaml", output=["x", 1], split_ratio=3)
    points, _ = load_model(card, backend="onnx")(some_crops())
    np.testing.assert_allclose(points * 3, (points * 3).round(), atol=1e-5)


def test_heatmaps_of_it_are_not_compared(model):
    loaded = load_model(model.card, backend="onnx")
    with pytest.raises(ValueError, match="this needs heatmaps; predict and evaluate take it"):
        _ = loaded.card.heatmap_codec
    assert callable(compare_settings)
