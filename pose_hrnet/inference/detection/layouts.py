"""Outputs of detection networks -> boxes and scores of persons, batch by batch.

What a network gives is told by the shapes of its outputs, since their names differ from one
exporter to the next. B images, N boxes, C classes:

yolox_raw    ``(B, N, 5 + C)``: on the grids of strides 8, 16 and 32, offset of the centre from
             the cell, logarithm of the size, objectness, classes (YOLOX, exported as it is).
yolo         ``(B, 4 + C, N)``: centre, size in input pixels, classes (Ultralytics, from YOLOv8).
end2end      ``(B, N, 6)``: corners in input pixels, score, class (YOLOv10, exports with NMS); or
             ``(B, N, 5)`` and the classes ``(B, N)`` (RTMDet and YOLOX of MMDeploy).
detr         ``(B, N, 4)`` centre and size as parts of the input, and ``(B, N, C)`` logits
             (RF-DETR, DETR); or classes ``(B, N)``, corners in input pixels ``(B, N, 4)``, and
             scores ``(B, N)`` (D-FINE, RT-DETR).
torchvision  of one image: corners in input pixels ``(N, 4)``, classes ``(N,)``, scores ``(N,)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pose_hrnet.inference.detection.card import DetectorCard
from pose_hrnet.models.yolox import STRIDES
from pose_hrnet.system.choices import DetectorLayout
from pose_hrnet.system.text import counted

EXPECTED: dict[DetectorLayout, str] = {
    "yolox_raw": "one output (B, N, 5 + classes), N the cells of strides 8, 16 and 32",
    "yolo": "one output (B, 4 + classes, N)",
    "end2end": "one output (B, N, 6), or two, (B, N, 5) and (B, N)",
    "detr": "boxes (B, N, 4) and logits (B, N, classes), or labels, boxes and scores",
    "torchvision": "boxes (N, 4), labels (N,) and scores (N,)",
}


def read_outputs(
    card: DetectorCard, outputs: Sequence[Tensor], input_wh: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """What a network gave for a batch, as boxes of persons.

    Args:
        card: Says the layout, and which class is a person.
        outputs: All outputs, in any order.
        input_wh: Size of the images that went in.

    Returns:
        ``(B, N, 4)`` left, top, right and bottom in input pixels, and ``(B, N)`` scores, which are
        0 for other classes.

    Raises:
        ValueError: If the outputs are not of the layout: which shapes they have, and which layout
            they may be.
    """
    layout = card.layout
    if not _is(layout, outputs, input_wh):
        raise ValueError(_sentence(layout, outputs, input_wh))
    first = outputs[0]
    if layout == "yolox_raw":
        return _grid_boxes(first, input_wh), first[..., 4] * _column(first[..., 5:], card, 0)
    if layout == "yolo":
        rows = first.transpose(1, 2)
        return _corners(rows[..., :4]), _column(rows[..., 4:], card, 0)
    if layout == "torchvision":
        outputs = [output[None] for output in outputs if output.ndim <= 2]
    if layout == "end2end":
        rows = next(output for output in outputs if output.ndim == 3)
        labels = rows[..., 5] if rows.shape[2] == 6 else _flat(outputs)[0]
        return rows[..., :4], _of_class(rows[..., 4], labels, card, 0)
    boxes = _boxes(outputs)
    if len(flat := _flat(outputs)) >= 2:
        labels, scores = sorted(flat[:2], key=torch.is_floating_point)
        usual = 1 if layout == "torchvision" else 0
        return boxes, _of_class(scores, labels, card, usual)
    logits = next(output for output in outputs if output is not boxes and output.ndim == 3)
    values = logits.softmax(-1) if card.activation == "softmax" else logits.sigmoid()
    width, height = input_wh
    sizes = boxes.new_tensor([width, height, width, height])
    # With COCO's own ids, of which persons are 1, there are 91 of them.
    return _corners(boxes) * sizes, _column(values, card, 1 if logits.shape[2] >= 90 else 0)


def _is(layout: DetectorLayout, outputs: Sequence[Tensor], input_wh: tuple[int, int]) -> bool:
    """Whether outputs have the shapes of a layout."""
    shapes = [tuple(output.shape) for output in outputs]
    ranks = [len(shape) for shape in shapes]
    if layout == "torchvision":
        return (2, 4) in [(len(s), s[-1]) for s in shapes if s] and ranks.count(1) >= 2
    if ranks.count(3) == 0 or 4 in ranks:
        return False
    width, height = input_wh
    _, second, third = shapes[ranks.index(3)]
    if layout == "yolox_raw":
        cells = sum((width // stride) * (height // stride) for stride in STRIDES)
        return len(outputs) == 1 and second == cells and third > 5
    if layout == "yolo":
        return len(outputs) == 1 and 4 < second < third
    if layout == "end2end":
        if len(outputs) == 1:
            return third == 6
        return third == 5 and ranks.count(2) == 1
    fours = [shape for shape in shapes if len(shape) == 3 and shape[2] == 4]
    return len(fours) == 1 and (ranks.count(2) == 2 or ranks.count(3) == 2)


def _sentence(layout: DetectorLayout, outputs: Sequence[Tensor], input_wh: tuple[int, int]) -> str:
    """What is wrong with outputs that are not of the layout."""
    shapes = ", ".join(str(tuple(output.shape)) for output in outputs)
    said = f"{counted(len(outputs), 'output')} of shape {shapes}"
    if any(output.ndim == 4 for output in outputs):
        return (
            f"it gives {said}, which look like heatmaps or masks and are no boxes; give a "
            "detector, and a pose model as --checkpoint"
        )
    others = [other for other in EXPECTED if _is(other, outputs, input_wh)]
    advice = f"they look like layout: {' or '.join(others)}" if others else "export it otherwise"
    return f"it gives {said}, but layout {layout} is {EXPECTED[layout]}; {advice}"


def _grid_boxes(rows: Tensor, input_wh: tuple[int, int]) -> Tensor:
    """``(B, N, 5 + C)`` of YOLOX -> ``(B, N, 4)`` corners."""
    width, height = input_wh
    cells, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        cells.append(torch.stack([x, y], dim=-1).reshape(-1, 2))
        strides.append(torch.full((len(cells[-1]), 1), stride))
    starts, steps = torch.cat(cells).to(rows), torch.cat(strides).to(rows)
    # Not torch's on the CPU, which MKL hands to threads that wait for busy cores: 15 ms for 0.1.
    logs = rows[..., 2:4]
    sizes = torch.from_numpy(np.exp(logs.numpy())) if logs.device.type == "cpu" else logs.exp()
    return _corners(torch.cat([(rows[..., :2] + starts) * steps, sizes * steps], dim=-1))


def _corners(boxes: Tensor) -> Tensor:
    """``(..., 4)`` centre and size -> left, top, right, bottom."""
    centres, halves = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centres - halves, centres + halves], dim=-1)


def _column(classes: Tensor, card: DetectorCard, usual: int) -> Tensor:
    """``(B, N, C)`` -> ``(B, N)`` of persons."""
    person = usual if card.person is None else card.person
    if person >= classes.shape[-1]:
        raise ValueError(
            f"it has {counted(classes.shape[-1], 'class')}, and its card says that class {person} "
            "is a person; correct person in the card"
        )
    return classes[..., person]


def _of_class(scores: Tensor, labels: Tensor, card: DetectorCard, usual: int) -> Tensor:
    return scores * (labels.round() == (usual if card.person is None else card.person))


def _flat(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Those with one number for a box."""
    return [output for output in outputs if output.ndim == 2]


def _boxes(outputs: Sequence[Tensor]) -> Tensor:
    return next(output for output in outputs if output.ndim == 3 and output.shape[2] == 4)
