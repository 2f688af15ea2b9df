"""Good inputs of every kind, tiny, which the campaigns change; and the commands that read them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import PIL.Image
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper

from pose_hrnet.config.data import TrainingSet
from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.formats.skeletons import find_skeleton
from pose_hrnet.data.shards.writer import StoredCrops, write_shards
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ExportFacts
from pose_hrnet.models.weights.load import save_model
from pose_hrnet.training.data import training_persons
from tests.fuzz.foreign import write_foreign
from tests.fuzz.trained import write_trained
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.networks import card_of, tiny
from tests.helpers.training_runs import TINY

PERSONS = 6


def make_kit(folder: Path) -> Path:
    """Write all of it, the same bytes each time; returns the folder."""
    people = make_people(PERSONS, size_wh=(160, 120))
    people.boxes_xywh[:] = np.minimum(people.boxes_xywh, [60, 30, 80, 80])
    write_images(people, folder / "images")
    annotations = write_annotations(people, folder / "people.json")
    rows = json.loads(annotations.read_text())["annotations"]
    boxes = [
        {"image_id": r["image_id"], "category_id": 1, "bbox": r["bbox"], "score": 0.9}
        for r in rows
    ]
    results = [
        {"image_id": r["image_id"], "category_id": 1, "keypoints": r["keypoints"], "score": 0.9}
        for r in rows
    ]
    (folder / "boxes.json").write_text(json.dumps(boxes))
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "before.json").write_text(json.dumps(results[::-1]))
    _write_pictures(folder / "pictures")
    _write_models(folder)
    _write_export(folder)
    _write_shards(folder, annotations)
    write_foreign(folder)
    (folder / "recipe.yaml").write_text(_recipe())
    (folder / "skeleton.yaml").write_text(yaml.safe_dump(_skeleton(), sort_keys=False))
    write_trained(folder)
    return folder


def _write_pictures(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(cv2.resize(coarse, (64, 48)))
    for suffix in ("jpg", "png", "webp", "bmp", "gif", "tif", "ppm"):
        image.save(folder / f"a.{suffix}")
    image.save(folder / "progressive.jpg", progressive=True, quality=80)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("P").save(folder / "palette.png", transparency=0)
    PIL.Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 250).save(folder / "16.png")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", exif=exif)


def _write_models(folder: Path) -> None:
    network = tiny()
    card = card_of(network)
    save_model(folder / "model.safetensors", network.state_dict(), card)
    torch.save(network.state_dict(), folder / "model.pth")
    torch.save(
        {"state_dict": {f"module.{n}": v for n, v in network.state_dict().items()}, "epoch": 3},
        folder / "pose_hrnet_w8_256x192.pth",
    )
    weight = numpy_helper.from_array(np.full((17, 3, 4, 4), 0.01, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["heatmaps"], strides=[4, 4])],
        "heatmaps",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 64, 48])],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["n", 17, 16, 12])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "other.onnx")
    card_text = "model: other.onnx\ninput_wh: [48, 64]\ncodec: dark\nblur_kernel: 3\n"
    (folder / "other.yaml").write_text(card_text + "mean: [0.4, 0.4, 0.4]\nbox_padding: 1.25\n")


def _write_export(folder: Path) -> None:
    """A graph with the inputs and outputs of an export of ours, and its card."""
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    points = numpy_helper.from_array(np.full((1, 17, 2), 0.3, np.float32), "points")
    shape = numpy_helper.from_array(np.array([-1, 17]), "shape")
    ones = numpy_helper.from_array(np.full((1, 17), 0.01, np.float32), "ones")
    flat = numpy_helper.from_array(np.array([-1, 1]), "flat")
    nodes = [
        helper.make_node("Cast", ["crops"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["floats", "axes"], ["sums"], keepdims=1),
        helper.make_node("Reshape", ["sums", "flat"], ["one"]),
        helper.make_node("Mul", ["one", "ones"], ["scores"]),
        helper.make_node("Mul", ["sums3", "points"], ["keypoints"]),
    ]
    nodes.insert(3, helper.make_node("Squeeze", ["sums", "last"], ["sums3"]))
    last = numpy_helper.from_array(np.array([3]), "last")
    graph = helper.make_graph(
        nodes,
        "export",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", 128, 96, 3])],
        [
            helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["n", 17, 2]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 17]),
        ],
        [axes, points, shape, ones, flat, last],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "exported.onnx")
    facts = ExportFacts("onnx", True, False, "fp32", {"torch": "2"})
    card_of(tiny(), export=facts).write_beside(folder / "exported.onnx")


def _write_shards(folder: Path, annotations: Path) -> None:
    sets = (TrainingSet(annotations=annotations, images=folder / "images"),)
    skeleton = find_skeleton(None, annotations, None)
    people, images, _ = training_persons(sets, skeleton)
    stored = StoredCrops((32, 64), AugmentConfig(), skeleton, persons_per_shard=4)
    write_shards(people, images, folder / "shards", stored, workers=1)


def _recipe() -> str:
    settings: dict[str, dict[str, object]] = {}
    for setting in (*TINY, "train.epochs=1", "train.batch_size=2"):
        name, _, value = setting.partition("=")
        section, key = name.split(".")
        settings.setdefault(section, {})[key] = yaml.safe_load(value)
    data = {"annotations": "people.json", "images": "images"}
    settings["model"] = {"name": "hrnet", **settings["model"]}
    settings["codec"] = {"name": "gaussian", **settings["codec"]}
    settings["data"] |= {"train": data, "val": dict(data)}
    return yaml.safe_dump(settings, sort_keys=False)


def _skeleton() -> dict[str, object]:
    fields = json.loads(json.dumps(COCO17.to_dict()))
    names = fields.pop("keypoint_names")
    for key in ("flip_pairs", "links"):
        fields[key] = [[names[i] for i in pair] for pair in fields[key]]
    return {"keypoints": names, **fields, "upper_body": [names[i] for i in fields["upper_body"]]}
