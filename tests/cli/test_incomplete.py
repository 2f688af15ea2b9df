"""Exit code 1 where some of the images could not be read: the same rule in every command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pose_hrnet.data.shards.reader import read_index
from pose_hrnet.data.shards.store import ShardStore
from pose_hrnet.models.weights.load import save_model
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.command_line import run_here
from tests.helpers.detectors import write_card, write_constant
from tests.helpers.networks import card_of, tiny


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Six persons in three images, one of which is damaged."""
    folder = tmp_path_factory.mktemp("incomplete")
    people = make_people(6)
    write_annotations(people, folder / "people.json")
    write_images(people, folder / "images")
    (folder / "images/000002.png").write_bytes(b"\x89PNG")
    network = tiny()
    save_model(folder / "model.safetensors", network.state_dict(), card_of(network))
    return folder


def said(files, *arguments):
    out, error = run_here(*arguments, code=1)
    assert "000002.png" in error + out
    return " ".join(out.split())


def test_evaluate(files, tmp_path):
    command = ("evaluate", "-c", files / "model.safetensors", "--workers", 0, "--images",
               files / "images", "--annotations", files / "people.json", "-o",
               tmp_path)  # fmt: skip
    out = said(files, *command)
    assert "unreadable images 1 instead of 0" in out
    assert len(json.loads((tmp_path / "results.json").read_text())) == 4
    assert "flip" in said(files, *command, "--compare", "flip")


def test_evaluate_with_a_detector(files, tmp_path):
    found = np.zeros((1, 3, 6), np.float32)
    found[0, 0] = 8, 4, 40, 60, 0.9, 0
    write_constant(tmp_path / "detector.onnx", {"found": found})
    write_card(tmp_path / "detector.yaml", layout="end2end")
    out = said(
        files, "evaluate", "-c", files / "model.safetensors", "--workers", 0,
        "--images", files / "images", "--annotations", files / "people.json",
        "-o", tmp_path / "out", "--detector", tmp_path / "detector.yaml",
    )  # fmt: skip
    assert "2 persons in 2 images; 1 could not be read; " in out
    assert (tmp_path / "out/metrics.json").is_file()


def test_shard(files, tmp_path):
    out = said(
        files, "data", "shard", "--annotations", files / "people.json", "--images",
        files / "images", "--output", tmp_path, "--size", "64x32", "--workers", 1,
    )  # fmt: skip
    assert "4 persons in 1 shard" in out
    assert len(read_index(ShardStore(str(tmp_path))).people) == 4


def test_shard_of_images_outside_of_the_folder(files, tmp_path):
    content = json.loads((files / "people.json").read_text())
    content["images"][1]["file_name"] = "../other/000002.png"
    (tmp_path / "people.json").write_text(json.dumps(content))
    out = said(
        files, "data", "shard", "--annotations", tmp_path / "people.json", "--images",
        files / "images", "--output", tmp_path / "out", "--size", "64x32", "--workers", 1,
    )  # fmt: skip
    assert "4 persons in 1 shard" in out


def test_report(files, tmp_path):
    persons = json.loads((files / "people.json").read_text())["annotations"]
    keys = ("image_id", "category_id", "keypoints")
    results = [{**{key: person[key] for key in keys}, "score": 0.9} for person in persons]
    (tmp_path / "results.json").write_text(json.dumps(results))
    out = said(
        files, "report", tmp_path / "results.json", "--annotations", files / "people.json",
        "--images", files / "images", "-o", tmp_path / "report.html",
    )  # fmt: skip
    assert "1 image of those that were to be shown could not be read" in out
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize("sizes", [True, False])
def test_convert(files, tmp_path, sizes):
    content = json.loads((files / "people.json").read_text())
    if not sizes:
        for image in content["images"]:
            del image["width"], image["height"]
    (tmp_path / "people.json").write_text(json.dumps(content))
    source = ("data", "convert", tmp_path / "people.json", "--images", files / "images")
    out = said(files, *source, "--to", "yolo", "--output", tmp_path / "yolo")
    assert "4 persons in 2 images" in out
    for folder in ("images", "labels"):
        found = sorted(path.stem for path in (tmp_path / "yolo" / folder / "train").iterdir())
        assert found == ["000001", "000003"]
    (tmp_path / "yolo/images/train/000003.png").unlink()
    (tmp_path / "yolo/images/train/000002.png").write_bytes(b"")
    out = said(files, "data", "convert", tmp_path / "yolo", "--output", tmp_path / "back")
    assert "2 persons in 1 image" in out
    if sizes:  # no image need be opened
        run_here(*source, "--output", tmp_path / "coco")
    else:
        assert "4 persons in 2 images" in said(files, *source, "--output", tmp_path / "coco")
