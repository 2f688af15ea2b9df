"""Good runs, states, recordings, persons to calibrate with, MPII's and CrowdPose's files; tiny."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import yaml
from scipy.io import savemat

from pose_hrnet.inference.video.container import has_pyav
from pose_hrnet.keypoints.skeleton import CROWDPOSE14, MPII16, Skeleton
from pose_hrnet.models.weights.load import save_model
from tests.fuzz.children import end_of
from tests.helpers import mpii_files
from tests.helpers.networks import card_of, tiny
from tests.helpers.videos import write_video

DOTS = 14
"""Persons to calibrate with: all keypoints lie on the one dot of their image."""
SIZE_WH = (160, 120)
VIDEOS = ("clip.mp4", "clip.avi", "clip.webm", "clip.ts", "clip.mkv")


def write_trained(folder: Path) -> None:
    """Write all of it into a folder whose ``recipe.yaml`` and ``people.json`` are there."""
    code, said = end_of(["train", "recipe.yaml", "--output=trained"], folder / "log")
    if code:
        raise RuntimeError(said)
    (folder / "log").unlink()
    _write_runs(folder)
    _write_dots(folder)
    _write_mpii(folder)
    _write_crowdpose(folder)
    joints = np.tile(np.array([20.0, 30.0, 1.0])[:, None, None], (1, 14, 2))
    (folder / "lsp").mkdir()
    savemat(folder / "lsp/joints.mat", {"joints": joints})
    if has_pyav():
        (folder / "videos").mkdir()
        for name in VIDEOS:
            write_video(folder / "videos" / name, [number / 5 for number in range(8)], SIZE_WH)


def _write_runs(folder: Path) -> None:
    """Two runs, and what `evaluate` leaves of one of them."""
    names = ("config.yaml", "metrics.jsonl", "origin.json")
    for run in ("a", "b"):
        (folder / "runs" / run / "val").mkdir(parents=True)
        for name in names:
            shutil.copy(folder / "trained" / name, folder / "runs" / run / name)
    for name in ("results.json", "metrics.json"):
        scored = json.loads((folder / "trained" / name).read_bytes())
        if name == "metrics.json":
            scored["evaluated"]["annotations"] = "people.json"
            scored["evaluated"]["checkpoint"] = "runs/a/best.safetensors"
        (folder / "runs/a/val" / name).write_text(json.dumps(scored))
    (folder / "runs/a/best.safetensors").touch()
    path = folder / "runs/b/config.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["optimizer"]["lr"] = 0.5
    path.write_text(yaml.safe_dump(settings))


def _write_dots(folder: Path) -> None:
    """Persons whom `other.onnx` finds, whose heatmaps are the brightness."""
    (folder / "dots").mkdir()
    content = json.loads((folder / "people.json").read_bytes())
    content |= {"images": [], "annotations": []}
    for number in range(1, DOTS + 1):
        x, y, name = 40 + 4 * number, 40 + 2 * number, f"{number}.png"
        image = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
        cv2.circle(image, (x, y), 14, (115 + 10 * number,) * 3, -1)
        cv2.imwrite(str(folder / "dots" / name), image)
        width, height = SIZE_WH
        content["images"].append({"id": number, "file_name": name, "width": width,
                                  "height": height})  # fmt: skip
        content["annotations"].append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [20, 20, 100, 80],
             "area": 8000, "iscrowd": 0, "num_keypoints": 17, "keypoints": [x, y, 2] * 17}
        )  # fmt: skip
    (folder / "dots.json").write_text(json.dumps(content))


def _write_mpii(folder: Path) -> None:
    mpii_files.write(folder / "mpii.json", *(mpii_files.row(f"00000{n}.png") for n in (1, 2, 3)))
    joints = np.tile(mpii_files.JOINTS, (3, 1, 1))
    mpii_files.write_mat(folder / "gt_valid.mat", joints, np.zeros((3, 16)), [50.0, 60.0, 70.0])
    _write_model(folder / "mpii.safetensors", MPII16)


def _write_crowdpose(folder: Path) -> None:
    """CrowdPose's form of the same persons, of its 14 keypoints, and results on them."""
    content = json.loads((folder / "people.json").read_bytes())
    results = json.loads((folder / "results.json").read_bytes())
    for image in content["images"]:
        image["crowdIndex"] = 0.5
    for person in (*content["annotations"], *results):
        person["keypoints"] = person["keypoints"][: 3 * 14]
    for person in content["annotations"]:
        person["num_keypoints"] = 14
    content["categories"] = [
        {"id": 1, "name": "person", "keypoints": list(CROWDPOSE14.keypoint_names), "skeleton": []}
    ]
    (folder / "crowdpose.json").write_text(json.dumps(content))
    (folder / "crowdpose_results.json").write_text(json.dumps(results))
    _write_model(folder / "crowdpose.safetensors", CROWDPOSE14)


def _write_model(path: Path, skeleton: Skeleton) -> None:
    network = tiny(num_keypoints=skeleton.num_keypoints)
    save_model(path, network.state_dict(), card_of(network, skeleton=skeleton))
