"""A results file in, the same with tracks out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.inference.video.offline import Offline
from pose_hrnet.inference.video.smoothing import OneEuro
from pose_hrnet.inference.video.tracked import track_file
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.motion import poses_at, standing


def frame(index, *lefts, rate=25, **fields):
    """The rows of a frame."""
    poses = poses_at([standing(left) for left in lefts])
    poses = replace(poses, frame_index=np.full(len(lefts), index),
                    time_s=np.full(len(lefts), index / rate))  # fmt: skip
    return [row | {"image_id": index} | fields for row in poses.to_coco()]


def tracked(tmp_path, frames, **options):
    """The rows that come out."""
    path, output = tmp_path / "clip.poses.json", tmp_path / "clip.tracks.json"
    path.write_text(json.dumps([row for rows in frames for row in rows]))
    found = track_file(path, output, COCO17, **options)
    return json.loads(output.read_text()), found


def test_every_hit_of_a_track_has_its_id_and_rows_keep_what_they_held(tmp_path):
    frames = [frame(n, 10 + n, 300, colour="blue") for n in range(3)]
    rows, found = tracked(tmp_path, frames)
    assert [row["track_id"] for row in rows] == [1, 2] * 3
    assert [row | {"track_id": None} for row in rows] == [
        row | {"track_id": None} for rows in frames for row in rows
    ]
    assert found.tracks == {1: 3, 2: 3}


def test_who_is_seen_once_has_no_track_and_frames_without_persons_stay(tmp_path):
    nobody = {"image_id": 1, "category_id": 1, "keypoints": [], "score": 0.0, "frame_index": 1,
              "time_s": 0.04, "track_id": None}  # fmt: skip
    rows, found = tracked(tmp_path, [frame(0, 10), [nobody], frame(2, 300)])
    assert [row["track_id"] for row in rows] == [-1, None, -1]
    assert rows[1] == nobody
    assert found.tracks == {}


def test_results_of_other_programs_get_frames_and_times(tmp_path):
    rows = [row for n in range(3) for row in frame(n, 10)]
    for row in rows:
        del row["frame_index"], row["time_s"]
    rows, _ = tracked(tmp_path, [rows[::-1]], fps=10)
    assert [(r["frame_index"], r["time_s"], r["track_id"]) for r in rows] == [
        (0, 0.0, 1), (1, 0.1, 1), (2, 0.2, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("smooth", "name"),
    [
        (OneEuro, "one_euro "),
        (Offline, "savgol "),
        (lambda: Offline("butterworth"), "butterworth "),
    ],
)
def test_smoothed_rows_keep_the_raw_keypoints_and_name_the_filter(tmp_path, smooth, name):
    rng = np.random.default_rng(0)
    frames = [frame(n, 100 + rng.normal(0, 2)) for n in range(20)]
    rows, _ = tracked(tmp_path, frames, smooth=smooth())
    before = [row["keypoints"] for rows in frames for row in rows]
    assert [row["raw_keypoints"] for row in rows] == before
    assert {row["smoothing"].startswith(name) for row in rows} == {True}
    assert rows[7]["keypoints"] != before[7]
    assert rows[7]["bbox"][0] == pytest.approx(min(rows[7]["keypoints"][::3]))
    assert rows[7]["box"] == frames[7][0]["box"]
    # What is smoothed again is what was predicted.
    again, _ = tracked(tmp_path, [rows], smooth=smooth())
    assert again == rows


def test_a_gap_is_filled_up_to_the_stated_length(tmp_path):
    frames = [frame(n, 100 + 2 * n) if n not in (5, 6) else [] for n in range(14)]
    frames[5] = [{"image_id": 5, "keypoints": [], "score": 0.0, "frame_index": 5, "time_s": 0.2}]
    frames[6] = frame(6, 500)  # somebody else is there
    rows, found = tracked(tmp_path, frames, smooth=Offline(max_gap=0.2))
    assert found.filled == 2
    new = [row for row in rows if row.get("filled")]
    assert [(r["frame_index"], r["track_id"], r["raw_keypoints"]) for r in new] == [
        (5, 1, None), (6, 1, None),
    ]  # fmt: skip
    assert new[0]["keypoints"][0] == pytest.approx(standing(110).keypoints[0, 0], abs=0.1)
    assert [row["frame_index"] for row in rows] == sorted(row["frame_index"] for row in rows)
    assert tracked(tmp_path, frames, smooth=Offline(max_gap=0.1))[1].filled == 0


def test_nothing_is_written_where_the_file_is_no_recording(tmp_path):
    with pytest.raises(ValueError, match="holds no frames"):
        tracked(tmp_path, [])
    assert not (tmp_path / "clip.tracks.json").exists()
