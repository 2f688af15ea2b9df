"""The demo in small, twice: the second run reuses the first."""

from __future__ import annotations

import json

import cv2
import pytest

from pose_hrnet import load_model
from pose_hrnet.cli import demo
from pose_hrnet.cli.demo import run_demo
from pose_hrnet.system.folders import FolderBusy, owned
from pose_hrnet.training.report import read_metrics


def test_demo_leaves_everything_and_is_reused(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "HELD_OUT_IMAGES", 4)
    first = run_demo(tmp_path, images=6, epochs=1)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["AP"] == first.scores.values["AP"]
    assert set(metrics["seconds"]) == {"draw", "train", "evaluate", "predict and draw"}
    assert cv2.imread(str(tmp_path / "predictions.png")) is not None
    assert cv2.imread(str(tmp_path / "training/curve.png")) is not None
    load_model(tmp_path / "training/best.safetensors", backend="eager")
    assert isinstance(json.loads((tmp_path / "results.json").read_text()), list)

    image = tmp_path / "data/train/images/000000000001.jpg"
    before = (image.stat().st_mtime_ns, (tmp_path / "training/last.pt").stat().st_mtime_ns)
    second = run_demo(tmp_path, images=6, epochs=1)
    after = (image.stat().st_mtime_ns, (tmp_path / "training/last.pt").stat().st_mtime_ns)
    assert before == after
    assert second.scores.values == first.scores.values


@pytest.mark.parametrize("content", ["[]", "{", ""])
def test_what_is_no_drawn_data_set_is_kept(tmp_path, content):
    path = tmp_path / "data/train/annotations.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ValueError, match="json is not of a drawn data set, and would be overwr"):
        run_demo(tmp_path, images=6, epochs=1)
    assert path.read_text() == content


def test_other_data_or_settings_start_the_training_afresh(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "HELD_OUT_IMAGES", 4)
    for images, epochs in ((6, 1), (8, 1), (8, 2)):
        run_demo(tmp_path, images=images, epochs=epochs)
        lines = read_metrics(tmp_path / "training/metrics.jsonl")
        assert len(lines) == epochs
    aside = [read_metrics(tmp_path / f"training.{n}/metrics.jsonl") for n in (1, 2)]
    assert [len(lines) for lines in aside] == [1, 1]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for busy in ("", "training"):
        with owned(tmp_path / busy), pytest.raises(FolderBusy, match="another process works in"):
            run_demo(tmp_path, images=8, epochs=1)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert {p: t for p, t in after.items() if p.is_file()} == {
        p: t for p, t in before.items() if p.is_file()
    }
