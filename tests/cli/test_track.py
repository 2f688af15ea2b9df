"""``pose-hrnet track``, as it is typed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.command_line import run_here
from tests.helpers.motion import poses_at, standing


@pytest.fixture
def clip(tmp_path):
    """Results of ten frames of two persons, one of whom is away in one frame."""
    rows = []
    for index in range(10):
        people = [standing(100 + 4 * index), *([standing(400)] if index != 5 else [])]
        frames = np.full(len(people), index)
        poses = replace(poses_at(people), frame_index=frames, time_s=frames / 25)
        rows += [row | {"image_id": index} for row in poses.to_coco()]
    path = tmp_path / "clip.poses.json"
    path.write_text(json.dumps(rows))
    return path


def test_tracks_stand_beside_the_results(clip):
    out, _ = run_here("track", clip)
    rows = json.loads(clip.with_name("clip.poses.tracks.json").read_text())
    assert [row["track_id"] for row in rows] == [1, 2] * 5 + [1] + [1, 2] * 4
    assert "19 poses in 10 frames, 0.4 s" in out
    assert "2 tracks; 0 poses in none" in out


def test_smoothing_and_gaps(clip, tmp_path):
    output = tmp_path / "new" / "tracks.json"
    out, _ = run_here("track", clip, "-o", output, "--smooth", "savgol", "--fill-gaps", 0.1)
    rows = json.loads(output.read_text())
    assert len(rows) == 20
    assert sum(row.get("filled", False) for row in rows) == 1
    assert {row["smoothing"].split()[0] for row in rows} == {"savgol"}
    assert "1 pose filled in" in out


def test_scores_that_begin_no_track_are_said(clip):
    out, _ = run_here("track", clip, "--high-score", 0.95)
    assert "0 tracks; 19 poses in none" in out
    assert "the best score is 0.9; tracks begin with two frames of 0.95 and above" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fps", 25], "have their times (time_s); leave --fps out"),
        (["--fill-gaps", 0.2], "--fill-gaps does nothing with --smooth none"),
        (
            ["--skeleton", "mpii16"],
            "has 51 values in keypoints; expected x, y and score of the 16",
        ),
        (["--low-score", 0.5], "expected 0 <= low_score <= high_score"),
        (["-o", "clip.poses.json"], "is read here, and would be written over"),
    ],
)
def test_bad_options_are_one_sentence(clip, monkeypatch, options, said):
    monkeypatch.chdir(clip.parent)
    before = clip.read_bytes()
    _, error = run_here("track", clip, *options, code=2)
    assert said in error
    assert clip.read_bytes() == before
    assert {path.name for path in clip.parent.iterdir()} == {clip.name}


def test_a_missing_file_is_one_sentence(tmp_path):
    _, error = run_here("track", tmp_path / "no.json", code=2)
    assert "no.json does not exist" in error
