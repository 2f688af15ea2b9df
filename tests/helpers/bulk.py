"""What the tests of bulk prediction share: a small model, and rows as a results file has them."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
from pathlib import Path

import numpy as np
import torch

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.weights.load import save_model


def save_small(path: Path) -> Path:
    """A checkpoint whose heatmaps have peaks, 64 x 96 pixels."""
    torch.manual_seed(0)
    model = HRNet(8, 17, stem_width=8, stem_blocks=1, stage_modules=(1, 1, 1), branch_blocks=1)
    for parameter in model.final_layer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    card = ModelCard(model.architecture, COCO17, HeatmapCodec("gaussian", (64, 96)))
    save_model(path, model.state_dict(), card)
    return path


def check_same(rows: list[dict], results: Path, bound: float = 1e-4) -> None:
    """Rows of persons are those of a results file of `predict`, in any order of the images."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        if row["person"] is not None:
            found.setdefault(Path(row["path"]).name, []).append(row)
    wanted: dict[str, list[dict]] = {}
    for result in json.loads(results.read_text()):
        wanted.setdefault(result["file_name"], []).append(result)
    assert found.keys() == wanted.keys()
    for name, persons in wanted.items():
        assert [row["person"] for row in found[name]] == list(range(len(persons)))
        for row, person in zip(found[name], persons, strict=True):
            triples = np.array(person["keypoints"]).reshape(-1, 3)
            left, top, width, height = person["box"]
            box = [left, top, left + width, top + height]
            assert np.abs(np.array(row["keypoints"]) - triples[:, :2]).max() <= bound
            assert np.abs(np.array(row["keypoint_scores"]) - triples[:, 2]).max() <= bound
            assert np.abs(np.array(row["box_xyxy"]) - box).max() <= 1e-3
            assert abs(row["score"] - person["score"]) <= bound


def write_archive(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    """A tar file of some names and their bytes."""
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


class Deadly(dict):
    """Boxes, in whose place the process dies that asks for those of some image.

    Args:
        name: How the path of that image ends.
        mark: A file that is made when it dies, and keeps it from dying once more; None: it dies
            each time.
    """

    def __init__(self, name: str, mark: Path | None = None) -> None:
        super().__init__()
        self.name, self.mark = name, mark

    def __reduce__(self):
        return Deadly, (self.name, self.mark)

    def get(self, path: str, usual=None):
        if path.endswith(self.name) and not (self.mark and self.mark.exists()):
            if self.mark:
                self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.array([[0, 0, 50, 60, 1.0]])


class SickOnce:
    """A detector that fails at every image in the first process that asks it, and in no other.

    Args:
        mark: A file that says which process that was.
    """

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self, images):
        if not self.mark.exists():
            self.mark.write_text(str(os.getpid()))
        if self.mark.read_text() == str(os.getpid()):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return [(np.array([[0, 0, 50, 60.0]]), np.ones(1)) for _ in images]
