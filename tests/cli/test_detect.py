"""``pose-hrnet detect``, and detectors in predict and evaluate."""

from __future__ import annotations

import json

import pytest
import torch

from pose_hrnet.models.weights.load import save_model
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.command_line import run_here
from tests.helpers.detectors import official_yolox
from tests.helpers.networks import card_of, tiny
from tests.helpers.web import serve


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Images with annotations, a pose network, and a detector that finds something everywhere."""
    folder = tmp_path_factory.mktemp("detect")
    people = make_people(4)
    write_images(people, folder / "images")
    write_annotations(people, folder / "three.json")
    torch.manual_seed(0)
    network = tiny()
    save_model(folder / "tiny.safetensors", network.state_dict(), card_of(network))
    yolox = official_yolox(folder / "yolox.pth")
    for level in range(3):  # in the middle of a cell, 64 pixels large, and sure
        for conv, value in ((yolox.head.obj_preds, 4.0), (yolox.head.cls_preds, 4.0)):
            torch.nn.init.constant_(conv[level].bias, value)
        torch.nn.init.constant_(yolox.head.reg_preds[level].bias, 2.0 - 0.7 * level)
    torch.save({"model": yolox.state_dict()}, folder / "yolox.pth")
    yolox.head.obj_preds.requires_grad_(False)
    for level in range(3):
        torch.nn.init.constant_(yolox.head.obj_preds[level].bias, -30.0)
    torch.save({"model": yolox.state_dict()}, folder / "blind.pth")
    return folder


def test_boxes_of_detect_are_what_predict_and_evaluate_read(files, tmp_path):
    boxes, data = tmp_path / "boxes.json", ["--annotations", files / "three.json"]
    found = ("--detector", files / "yolox.pth", "--backend", "eager")
    said, _ = run_here("detect", files / "images", *found, *data, "-o", boxes)
    assert "yolox.pth (YOLOX-8, eager, fp32)" in said
    assert "boxes that score at least 0.02: what AP is scored with" in said
    rows = json.loads(boxes.read_text())
    assert f"{len(rows)} persons in " in said.replace(",", "")
    assert {row["category_id"] for row in rows} == {1}
    model = ("-c", files / "tiny.safetensors", "--backend", "eager", "-o", tmp_path / "out")
    run_here("predict", files / "images", "--boxes", boxes, "--no-overlays", *model)
    assert len(json.loads((tmp_path / "out/results.json").read_text())) == len(rows)
    said, _ = run_here("predict", files / "images", "--no-overlays", *found, *model[:2],
                       "-o", tmp_path / "new", "--detector-threshold", 0.02)  # fmt: skip
    assert "boxes that score at least 0.02: as asked for" in said
    assert len(json.loads((tmp_path / "new/results.json").read_text())) == len(rows)


def test_what_is_no_image_is_said_before_a_model_is_looked_for(files, tmp_path):
    text, other, out = tmp_path / "a.txt", tmp_path / "b.yaml", tmp_path / "out"
    text.write_text("no image")
    other.write_text("a: 1")
    nowhere = ("--detector", tmp_path / "none.yaml", "-o", out)
    for command in ("predict", "detect"):
        _, error = run_here(command, text, *nowhere, code=2)
        assert "a.txt is not an image that can be opened" in error
        _, error = run_here(command, text, other, *nowhere, code=2)
        assert "none of 2 files is an image: image " in error
        _, error = run_here(command, text, files / "images/000001.png", *nowhere, code=2)
        assert "none.yaml" in error
        assert not out.exists()


def test_addresses_and_patterns_are_inputs_of_both_commands(files, tmp_path, monkeypatch):
    monkeypatch.chdir(files)
    model = ("-c", files / "tiny.safetensors", "--backend", "eager", "-o", tmp_path / "out")
    found = ("--detector", files / "yolox.pth", "--backend", "eager")
    with serve() as web:
        address = web.put("one/photo", (files / "images/000001.png").read_bytes())
        run_here("predict", address, "images/*2.png", "--whole-image", *model)
        rows = json.loads((tmp_path / "out/results.json").read_text())
        assert [row["file_name"] for row in rows] == ["photo.png", "000002.png"]
        assert (tmp_path / "out/downloads/photo.png").is_file()
        assert (tmp_path / "out/overlays/photo.jpg").is_file()
        run_here("detect", address, "images/*2.png", *found, "-o", tmp_path / "boxes.json")
        named = {row["file_name"] for row in json.loads((tmp_path / "boxes.json").read_text())}
        assert named == {"photo.png", "000002.png"}
        new = tmp_path / "new"
        for what in (f"{web.url}/gone.jpg", address):
            offline = ("--offline",) if what == address else ()
            _, error = run_here("predict", what, *model[:-1], new, *offline, code=2)
            assert ("has no such file (404" in error) != (what == address)
        assert not new.exists()
    _, error = run_here("predict", "images/*.jpg", *model, code=2)
    assert "no file is found by images/*.jpg; correct it" in error


def test_no_person_is_said_and_no_error(files, tmp_path):
    blind = ("--detector", files / "blind.pth", "--backend", "eager")
    said, _ = run_here("detect", files / "images", *blind, "-o", tmp_path / "boxes.json")
    assert "0 persons in 2 images, none in 2 of them; 0 could not be read" in said
    assert json.loads((tmp_path / "boxes.json").read_text()) == []
    model = ("-c", files / "tiny.safetensors", "-o", tmp_path / "out")
    said, _ = run_here("predict", files / "images", *blind, *model)
    assert "boxes that score at least 0.4: what suits pictures" in said
    assert "0 persons in 2 images, none in 2 of them; 0 images could not be read" in said


def test_evaluate_says_what_a_detectors_boxes_cost(files, tmp_path):
    data = ("--annotations", files / "three.json", "--images", files / "images", "--workers", 0)
    model = ("-c", files / "tiny.safetensors", "--backend", "eager", "-o", tmp_path / "out")
    found = ("--detector", files / "yolox.pth", "--device", "cpu")
    said, _ = run_here("evaluate", *data, *model, *found)
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    best = metrics["evaluated"]["with_annotated_boxes"]["AP"]
    assert (
        f"AP {metrics['AP']:.3f} with the detector's boxes, {best:.3f} with the annotated ones: "
        f"its boxes cost {best - metrics['AP']:.3f}" in said
    )
    assert metrics["evaluated"]["boxes"] == str(tmp_path / "out/boxes.json")
    assert metrics["evaluated"]["detector_threshold"] == 0.02
    run_here("evaluate", *data, *model[:-1], tmp_path / "plain")
    plain = json.loads((tmp_path / "plain/metrics.json").read_text())
    assert plain["AP"] == best
    said, _ = run_here("evaluate", *data, *model[:-1], tmp_path / "no", *found[2:],
                       "--detector", files / "blind.pth")  # fmt: skip
    assert "0 persons in 2 images, none in 2 of them" in said
    metrics = json.loads((tmp_path / "no/metrics.json").read_text())
    assert metrics["AP"] == metrics["AR"] == 0
    assert metrics["evaluated"]["persons_predicted"] == 0
    assert metrics["evaluated"]["with_annotated_boxes"]["AP"] == best
    assert json.loads((tmp_path / "no/results.json").read_text()) == []
    assert f"AP 0.000 with the detector's boxes, {best:.3f} with the annotated" in said
    _, error = run_here("evaluate", *data, *model, *found, "--boxes", "b.json", code=2)
    assert "--boxes and --detector both say where persons are" in error
    _, error = run_here("evaluate", *data, *model, "--detector-threshold", 0.3, code=2)
    assert "--detector-threshold does nothing without --detector" in error


def test_offline_and_without_a_detector_the_three_ways_on_are_named(files, tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_HRNET_OFFLINE", "1")
    monkeypatch.setenv("POSE_HRNET_CACHE", str(tmp_path / "cache"))
    model = ("-c", files / "tiny.safetensors", "-o", tmp_path / "out")
    _, error = run_here("predict", files / "images", *model, code=2)
    assert "no detector of persons is at hand: yolox_s is not on this machine" in error
    for way in ("--boxes FILE", "--detector CARD", "--whole-image"):
        assert way in error
    assert not (tmp_path / "out/results.json").exists()
    said, _ = run_here("predict", files / "images", *model, "--whole-image")
    assert "each image is taken for one person, as asked for" in said
    _, error = run_here("detect", files / "images", "-o", tmp_path / "b.json", code=2)
    assert "give the card of one that you have as --detector" in error
    for name, what in (
        ("yolo_s", "no detector of that name is known"),
        ("coco_w32_256x192", "is no detector of persons"),
        (files / "three.json", "this is no checkpoint"),
        (files / "tiny.safetensors", "of no detector that is known"),
    ):
        _, error = run_here("predict", files / "images", *model, "--detector", name, code=2)
        assert what in error


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_results_are_not_written_over_the_boxes_that_they_are_of(files, tmp_path, command):
    boxes = tmp_path / "results.json"
    boxes.write_text("[]")
    data = [files / "images"] if command == "predict" else ["--images", files / "images"]
    _, error = run_here(
        command, *data, "-c", files / "tiny.safetensors", "--annotations", files / "three.json",
        "--boxes", boxes, "-o", tmp_path, code=2,
    )  # fmt: skip
    assert f"{boxes} is read here, and would be written over" in error
    assert [path.read_text() for path in tmp_path.iterdir()] == ["[]"]


@pytest.mark.parametrize("kind", ["image", "annotations"])
def test_what_detect_reads_is_not_written_over(files, kind):
    image = next((files / "images").iterdir())
    target = image if kind == "image" else files / "three.json"
    before = target.read_bytes()
    _, error = run_here(
        "detect", files / "images", "--detector", files / "yolox.pth", "--backend", "eager",
        "--annotations", files / "three.json", "-o", target, code=2,
    )  # fmt: skip
    assert f"{target} is read here, and would be written over" in error
    assert target.read_bytes() == before
