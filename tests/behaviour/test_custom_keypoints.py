"""Five keypoints of one's own, from annotations to predictions, at the real command line."""

from __future__ import annotations

import csv
import json

import pytest
import torch

from pose_hrnet import COCO17, MPII16, load_model
from tests.helpers.command_line import run_here, set_options
from tests.helpers.training_runs import TINY, data_settings

NAMES = ("nose", "left_shoulder", "right_shoulder", "left_wrist", "right_wrist")


def keep_five(source, target):
    """The drawn annotations with five of their keypoints, shuffled, in category 3."""
    content = json.loads(source.read_text())
    rows = [COCO17.keypoint_names.index(name) for name in NAMES]
    for person in content["annotations"]:
        triples = [person["keypoints"][3 * k : 3 * k + 3] for k in rows]
        person["keypoints"] = [value for triple in triples for value in triple]
        person["num_keypoints"] = sum(triple[2] > 0 for triple in triples)
        person["category_id"] = 3
    category = {
        "id": 3,
        "name": "person",
        "keypoints": NAMES,
        "skeleton": [[2, 3], [2, 4], [3, 5]],
    }
    target.write_text(json.dumps(content | {"categories": [category]}))
    return target


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A drawn data set of 17 keypoints, its 5-keypoint twin, and a short training on that."""
    folder = tmp_path_factory.mktemp("five")
    run_here("data", "synthesize", "--output", folder / "drawn", "--images", 8, "--seed", 5)
    keep_five(folder / "drawn/annotations.json", folder / "five.json")
    _, log = train(folder, folder / "five.json", folder / "training")
    (folder / "log.txt").write_text(log)
    return folder


def train(folder, annotations, output, *settings, code=0):
    paths = data_settings(annotations, folder / "drawn/images")
    options = set_options(*TINY, "train.epochs=2", *paths, *settings)
    return run_here("train", "demo", "--output", output, *options, code=code)


def test_the_guesses_are_told_once_and_travel_in_the_checkpoint(folder):
    log = (folder / "log.txt").read_text()
    assert log.count("guessed flip pairs") == 1
    assert "left_shoulder-right_shoulder, left_wrist-right_wrist" in log
    for name in ("best.safetensors", "last.pt"):
        model = load_model(folder / "training" / name, backend="eager")
        assert model.card.skeleton.keypoint_names == NAMES
        assert model.card.skeleton.flip_index == (0, 2, 1, 4, 3)
        assert model.card.skeleton.links == ((1, 2), (1, 3), (2, 4))
        assert model.heatmaps(torch.zeros(1, 64, 32, 3, dtype=torch.uint8)).shape[1] == 5


def test_evaluate_score_validate_and_predict(folder, tmp_path):
    best, five = folder / "training/best.safetensors", folder / "five.json"
    data = ["--annotations", five, "--images", folder / "drawn/images"]
    out, _ = run_here("evaluate", "-c", best, *data, "--output", tmp_path / "eval")
    assert "COCO keypoints (OKS)" in out
    assert "AUC@30px" in out
    metrics = json.loads((tmp_path / "eval/metrics.json").read_text())
    assert metrics["metric"] == "coco"
    assert set(metrics["keypoint_metrics"]["per_keypoint"]) == set(NAMES)
    assert metrics["evaluated"]["flip_test"] is True
    results = json.loads((tmp_path / "eval/results.json").read_text())
    assert {len(row["keypoints"]) for row in results} == {15}
    assert {row["category_id"] for row in results} == {3}
    out, _ = run_here("score", tmp_path / "eval/results.json", "--annotations", five)
    assert f"{metrics['AR']:.3f}" in out
    out, _ = run_here("data", "validate", *data)
    assert "no errors" in out
    whole = ("predict", folder / "drawn/images", "--whole-image")
    run_here(*whole, "-c", best, "--output", tmp_path / "predicted")
    with (tmp_path / "predicted/keypoints.csv").open() as file:
        assert [row["keypoint"] for row in csv.DictReader(file)][:5] == list(NAMES)
    assert len(list((tmp_path / "predicted/overlays").iterdir())) == 8


def test_detector_boxes_have_no_pck_and_say_so(folder, tmp_path):
    content = json.loads((folder / "five.json").read_text())
    fields = ("image_id", "category_id", "bbox")
    rows = [{f: a[f] for f in fields} | {"score": 0.9} for a in content["annotations"]]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    out, _ = run_here(
        "evaluate", "-c", folder / "training/best.safetensors", "--annotations",
        folder / "five.json", "--images", folder / "drawn/images", "--output", tmp_path / "eval",
        "--boxes", tmp_path / "boxes.json",
    )  # fmt: skip
    assert "PCK, AUC and EPE need the annotated boxes" in " ".join(out.split())
    metrics = json.loads((tmp_path / "eval/metrics.json").read_text())
    assert list(metrics["keypoint_metrics"]) == ["left_out"]


def test_held_out_data_of_other_keypoints_is_told_as_such(folder, tmp_path):
    held_out = f"data.val.annotations={folder / 'drawn/annotations.json'}"
    _, error = train(folder, folder / "five.json", tmp_path / "run", held_out, code=2)
    assert "has 17 keypoints (nose, left_eye" in error
    assert "but the model is to learn 5 (nose, left_shoulder" in error
    assert "give data.val and data.train of the same keypoints" in error
    assert "checkpoint" not in error


def test_other_data_than_the_checkpoints_is_one_sentence(folder, tmp_path):
    drawn = folder / "drawn"
    _, error = run_here(
        "evaluate", "-c", folder / "training/best.safetensors", "--annotations",
        drawn / "annotations.json", "--images", drawn / "images", "--output", tmp_path, code=2,
    )  # fmt: skip
    assert "has 17 keypoints (nose, left_eye" in error
    assert "but the model predicts 5 (nose, left_shoulder" in error
    _, error = train(
        folder, folder / "five.json", tmp_path / "run", "data.skeleton=mpii16", code=2
    )
    assert "five.json has 5 keypoints" in error
    _, error = train(
        folder, folder / "five.json", tmp_path / "run", "data.skeleton=absent.yaml", code=2
    )
    assert "there is no skeleton file absent.yaml" in error


def test_pretrained_weights_of_other_keypoints_start_a_training(folder, tmp_path):
    """17 keypoints from 5: the rows of the same names are taken, and the rest of the weights."""
    best = folder / "training/best.safetensors"
    _, log = train(
        folder, folder / "drawn/annotations.json", tmp_path / "run", f"model.pretrained={best}"
    )
    assert "Head: 5 of 17 keypoints taken by name; left_eye, right_eye" in log
    model = load_model(tmp_path / "run/best.safetensors", backend="eager")
    assert model.card.skeleton.num_keypoints == 17


def test_a_list_of_data_sets_with_mpii_trains_and_scores_pckh(folder, tmp_path):
    """Drawn people as MPII rows, mixed with themselves as COCO, validated by PCKh."""
    content = json.loads((folder / "drawn/annotations.json").read_text())
    files = {image["id"]: image["file_name"] for image in content["images"]}
    rows = []
    for person in content["annotations"]:
        x, y, w, h = person["bbox"]
        points = dict(
            zip(
                COCO17.keypoint_names,
                zip(*[iter(person["keypoints"])] * 3, strict=True),
                strict=True,
            )
        )
        triples = [points.get(name, points["nose"]) for name in MPII16.keypoint_names]
        rows.append(
            {
                "image": files[person["image_id"]],
                "center": [x + w / 2, y + h / 2],
                "scale": h / 200,
                "joints": [triple[:2] for triple in triples],
                "joints_vis": [int(triple[2] > 0) for triple in triples],
                "head_box": [x, y, x + w / 4, y + h / 6],
            }
        )
    mpii = tmp_path / "valid.json"
    mpii.write_text(json.dumps(rows))
    images = str(folder / "drawn/images")
    sets = [
        {"annotations": str(mpii), "images": images},
        {
            "annotations": str(folder / "five.json"),
            "images": images,
            "mapping": {"head_top": "nose"},
            "repeat": 2,
        },
    ]
    run_folder = tmp_path / "run"
    _, log = train(folder, mpii, run_folder, f"data.train={json.dumps(sets)}")
    assert "five.json: 5 of 16 keypoints by name, without right_ankle" in log
    lines = (run_folder / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert 0 <= last["PCKh"] <= 1
    out, _ = run_here(
        "evaluate", "-c", run_folder / "best.safetensors", "--annotations", mpii,
        "--images", images, "--output", tmp_path / "eval",
    )  # fmt: skip
    assert "MPII (PCKh@0.5)" in out
    metrics = json.loads((tmp_path / "eval/metrics.json").read_text())
    assert metrics["PCKh"] == pytest.approx(last["PCKh"], abs=0.02)
    _, error = run_here("score", tmp_path / "eval/results.json", "--annotations", mpii, code=2)
    assert "score MPII with pose-hrnet evaluate" in error
    # The same run goes on where it was.
    _, log = run_here(
        "train", run_folder / "config.yaml", "--output", run_folder, "--resume",
        f"--set=data.val.images={images}",
    )  # fmt: skip
