"""What detectors take and give: canvas, NMS, layouts, cards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pose_hrnet import load_model
from pose_hrnet.inference.detection.boxes import (
    Canvas,
    PersonBoxes,
    nms_scores,
    overlap,
    to_image,
)
from pose_hrnet.inference.detection.card import read_detector_card
from pose_hrnet.inference.detection.networks import FunctionDetector
from pose_hrnet.inference.detector import Detector, load_detector
from pose_hrnet.models.yolox import STRIDES
from tests.helpers.detectors import HEIGHT, WIDTH, write_card, write_constant

BOX = np.array([8.0, 4.0, 40.0, 60.0], np.float32)  # of the person, in input pixels
OTHER = np.array([50.0, 10.0, 90.0, 50.0], np.float32)
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def centred(box):
    return np.concatenate([(box[:2] + box[2:]) / 2, box[2:] - box[:2]])


def grid_rows():
    """YOLOX's raw output with one person, in the cell of its centre of the coarsest grid."""
    cells = [(x, y, s) for s in STRIDES for y in range(HEIGHT // s) for x in range(WIDTH // s)]
    rows = np.zeros((1, len(cells), 5 + 2), np.float32)
    for box, place, classes in ((BOX, (0, 1, 32), (0.8, 0)), (OTHER, (2, 0, 32), (0, 0.9))):
        x, y, stride = place
        middle, size = centred(box)[:2], centred(box)[2:]
        row = rows[0, cells.index(place)]
        row[:2], row[2:4] = middle / stride - (x, y), np.log(size / stride)
        row[4], row[5:] = 0.5 / 0.8, classes
    return rows


def yolo_rows(transposed=True):
    rows = np.zeros((1, 20, 4 + 2), np.float32)
    rows[0, 3] = [*centred(BOX), 0.5, 0.0]
    rows[0, 4] = [*centred(BOX + 1), 0.4, 0.0]  # a duplicate
    rows[0, 5] = [*centred(OTHER), 0.0, 0.9]
    return rows.transpose(0, 2, 1) if transposed else rows


def logit(p):
    return np.log(p / (1 - p))


WHOLE = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float32)
DETR = np.stack([centred(OTHER), centred(BOX)])[None] / WHOLE
NO = logit(1e-6)
COCO91 = np.full((1, 2, 91), NO, np.float32)
COCO91[0, 0, 3], COCO91[0, 1, 1] = logit(0.9), logit(0.5)
CLASSES80 = np.full((1, 2, 80), NO, np.float32)
CLASSES80[0, 0, 1], CLASSES80[0, 1, 0] = logit(0.9), logit(0.5)
CORNERS = np.stack([OTHER, BOX])
SCORES = np.array([0.9, 0.5], np.float32)


def ints(*values):
    return np.array(values, np.int64)


EXPORTS = {
    "yolox_raw": ("yolox_raw", {"output": grid_rows()}),
    "yolo": ("yolo", {"output0": yolo_rows()}),
    "end2end": (
        "end2end",
        {"output": np.concatenate([CORNERS, SCORES[:, None], [[2], [0]]], 1)[None]},
    ),
    "mmdeploy": (
        "end2end",
        {"dets": np.concatenate([CORNERS, SCORES[:, None]], 1)[None], "labels": ints([2, 0])},
    ),
    "rf-detr": ("detr", {"dets": DETR, "labels": COCO91}),
    "detr of 80 classes": ("detr", {"logits": CLASSES80, "boxes": DETR}),
    "d-fine": (
        "detr",
        {"labels": ints([2, 0]), "boxes": CORNERS[None] / WIDTH, "scores": SCORES[None]},
    ),
    "torchvision": ("torchvision", {"boxes": CORNERS, "labels": ints(3, 1), "scores": SCORES}),
}


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
@pytest.mark.parametrize("name", EXPORTS)
def test_every_layout_gives_the_person_where_it_is(tmp_path, name, backend):
    pytest.importorskip("onnxruntime" if backend == "onnx" else "openvino")
    layout, outputs = EXPORTS[name]
    outputs = {
        key: np.asarray(v, v.dtype if v.dtype.kind == "i" else "f4") for key, v in outputs.items()
    }
    rank = 3 if layout == "torchvision" else 4
    write_constant(tmp_path / "d.onnx", outputs, rank=rank, sizes=name == "d-fine")
    card = write_card(tmp_path / "d.yaml", layout, **({"input_wh": None} if rank == 3 else {}))
    detector = load_detector(card, threshold=0.3, backend=backend)
    assert isinstance(detector, Detector)
    for found in detector([IMAGE, IMAGE]):
        np.testing.assert_allclose(found.boxes_xyxy, [BOX], atol=1e-3)
        np.testing.assert_allclose(found.scores, [0.5], atol=1e-5)


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (33, 500), (7, 3)])
@pytest.mark.parametrize("fit", ["corner", "centre", "stretch"])
def test_a_point_of_the_canvas_goes_back_to_where_it_was(shape, fit):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pixels, placed = Canvas((416, 352), fit).place(image)
    assert pixels.shape == (352, 416, 3)
    height, width = shape
    scale, start = placed[:2], placed[2:]
    ends = np.concatenate([start, scale * (width, height) + start])
    assert (ends[:2] >= 0).all()
    assert (ends[2:] <= (416 + 1e-9, 352 + 1e-9)).all()
    np.testing.assert_allclose(to_image(ends[None], placed), [[0, 0, width, height]], atol=1e-9)
    if fit == "stretch":
        np.testing.assert_allclose(ends, [0, 0, 416, 352])
    if fit == "corner":
        assert (start == 0).all()
        assert (pixels[:, int(ends[2]) :] == 114).all()


def greedy(boxes, scores, iou):
    overlaps = overlap(boxes[None])[0]
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(overlaps[i, j] <= iou for j in kept):
            kept.append(i)
    return sorted(kept)


def test_nms_is_the_greedy_one_in_every_image():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(3, 60, 2, generator=generator) * 50
    boxes = torch.cat([corners, corners + 5 + 30 * torch.rand(3, 60, 2, generator=generator)], -1)
    scores = torch.rand(3, 60, generator=generator)
    scores[2, 5:] = 0  # an image with few
    kept = nms_scores(boxes, scores, threshold=0.2, iou=0.5)
    for image in range(3):
        rows = (scores[image] >= 0.2).nonzero()[:, 0]
        expected = rows[greedy(boxes[image, rows], scores[image, rows], 0.5)]
        assert kept[image].nonzero()[:, 0].tolist() == expected.tolist()
    assert nms_scores(boxes[:, :0], scores[:, :0], threshold=0.2, iou=0.5).shape == (3, 0)


def test_boxes_are_clipped_and_sorted_and_empty_ones_left_out():
    boxes = np.array([[-5, -5, 20, 30], [10, 10, 200, 40], [300, 0, 400, 10], [5, 5, 6, 6.0]])
    found = PersonBoxes.inside(IMAGE, boxes, np.array([0.5, 0.9, 0.8, 0.1]), 0.3)
    np.testing.assert_allclose(found.boxes_xyxy, [[10, 10, 96, 40], [0, 0, 20, 30]])
    np.testing.assert_allclose(found.scores, [0.9, 0.5])


def test_any_function_is_a_detector():
    def boxes_only(images):
        return [[[1, 2, 30, 40]] for _ in images]

    (found,) = load_detector(boxes_only)([IMAGE])
    np.testing.assert_allclose(found.boxes_xyxy, [[1, 2, 30, 40]])
    assert found.scores.tolist() == [1.0]
    for given in (([[1, 2, 30, 40]], [0.5]), np.array([[1, 2, 30, 40, 0.5]]), found):
        (again,) = FunctionDetector(lambda _, given=given: [given], 0.3)([IMAGE])
        assert again.scores.tolist() in ([0.5], [1.0])
    (none,) = load_detector(lambda _: [[]])([IMAGE])
    assert len(none) == 0
    detector = load_detector(boxes_only)
    assert load_detector(detector) is detector


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "gave boxes for 0 images of 1"),
        ([[[1, 2, 3]]], r"boxes of shape \(1, 3\)"),
        ([([[1, 2, 3, 4]], [0.5, 0.5])], r"scores of shape \(2,\)"),
        ([[[1, 2, np.nan, 4]]], "not finite"),
    ],
)
def test_a_function_that_gives_no_boxes_is_told_so(given, said):
    with pytest.raises(ValueError, match=said):
        load_detector(lambda _: given)([IMAGE])


@pytest.mark.parametrize(
    ("export", "layout", "said"),
    [
        ("yolo", "yolox_raw", "they look like layout: yolo$"),
        ("yolox_raw", "yolo", "they look like layout: yolox_raw$"),
        ("rf-detr", "end2end", "they look like layout: detr$"),
        ("mmdeploy", "detr", "they look like layout: end2end$"),
        ("end2end", "yolox_raw", r"1 output of shape \(1, 2, 6\), but layout yolox_raw is"),
    ],
)
def test_a_card_of_the_wrong_layout_names_the_right_one(tmp_path, export, layout, said):
    pytest.importorskip("onnxruntime")
    outputs = {
        k: np.asarray(v, v.dtype if v.dtype.kind == "i" else "f4")
        for k, v in EXPORTS[export][1].items()
    }
    write_constant(tmp_path / "d.onnx", outputs)
    with pytest.raises(ValueError, match=said):
        load_detector(write_card(tmp_path / "d.yaml", layout), backend="onnx")


def test_heatmaps_are_no_boxes(tmp_path):
    pytest.importorskip("onnxruntime")
    write_constant(tmp_path / "pose.onnx", {"heatmaps": np.zeros((1, 17, 16, 24), np.float32)})
    card = write_card(tmp_path / "pose.yaml", "yolo")
    with pytest.raises(ValueError, match=r"look like heatmaps or masks.*as --checkpoint"):
        load_detector(card, backend="onnx")


def test_cards_are_read_strictly(tmp_path):
    card = tmp_path / "d.yaml"
    for text, said in (
        ("layout: yolov3", "layout = 'yolov3': input should be 'yolox_raw'"),
        ("input_wh: [64, 64]", "key 'layout' is missing"),
        ("layout: yolo\nsice: 3", "unknown key 'sice'"),
        ("layout: NCHW\nskeleton: coco17", "it is the card of a pose model; give it as"),
        ("- 1", "d.yaml"),
    ):
        card.write_text(text)
        with pytest.raises(ValueError, match=said):
            read_detector_card(card)
    with pytest.raises(FileNotFoundError, match="there is no such detector card"):
        read_detector_card(tmp_path / "none.yaml")
    card.write_text("layout: yolo")
    with pytest.raises(ValueError, match="add the line model: FILE"):
        load_detector(card)
    card.write_text("layout: yolo\nmodel: gone.onnx")
    with pytest.raises(FileNotFoundError, match=r"gone.onnx: there is no such model file"):
        load_detector(card)
    with pytest.raises(ValueError, match="it is the card of a detector; give it as --detector"):
        load_model(card)


def test_a_class_that_is_not_there_is_told(tmp_path):
    pytest.importorskip("onnxruntime")
    write_constant(tmp_path / "d.onnx", {"output0": yolo_rows().copy()})
    with pytest.raises(ValueError, match="it has 2 classes, and its card says that class 7"):
        load_detector(write_card(tmp_path / "d.yaml", "yolo", person=7), backend="onnx")
    write_card(tmp_path / "d.yaml", "yolo", input_wh=[32, 32])
    with pytest.raises(ValueError, match="correct input_wh or axes"):
        load_detector(tmp_path / "d.yaml", backend="onnx")
