"""What poses of frames say beside those of photographs, in each form."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.keypoints.records import Poses
from tests.helpers.builders import make_people, make_poses

POSES = make_poses(make_people(3), [0, 1, 2])
TRACKED = replace(
    POSES,
    track_ids=np.array([2, -1, 1]),
    frame_index=np.array([4, 4, 5]),
    time_s=np.array([0.16, 0.16, 0.2]),
)
OF_VIDEO = [
    {"track_id": 2, "frame_index": 4, "time_s": 0.16},
    {"track_id": -1, "frame_index": 4, "time_s": 0.16},
    {"track_id": 1, "frame_index": 5, "time_s": 0.2},
]


def of_video(row):
    return {name: row[name] for name in OF_VIDEO[0]}


def test_results_say_track_frame_and_time_where_there_are():
    rows = TRACKED.to_coco()
    assert [of_video(row) for row in rows] == OF_VIDEO
    rest = [{k: v for k, v in row.items() if k not in OF_VIDEO[0]} for row in rows]
    assert rest == POSES.to_coco()


def test_json_says_them():
    assert [of_video(row) for row in json.loads(TRACKED.to_json())] == OF_VIDEO
    assert json.loads(POSES.to_json())[0].keys() == {"image_id", "score", "box_xyxy", "keypoints"}


def test_a_table_says_them():
    pytest.importorskip("pandas")
    table = TRACKED.to_dataframe()
    first = table[table.keypoint == table.keypoint[0]]
    assert first[list(OF_VIDEO[0])].to_dict("records") == OF_VIDEO


def test_raw_keypoints_are_written_beside_smoothed_ones():
    moved = replace(
        POSES,
        keypoints_image=POSES.keypoints_image + 1,
        raw_keypoints_image=POSES.keypoints_image,
        smoothing="a filter",
    )
    rows = moved[[1, 0]].to_coco()
    assert [row["smoothing"] for row in rows] == ["a filter"] * 2
    assert [r["raw_keypoints"] for r in rows] == [r["keypoints"] for r in POSES[[1, 0]].to_coco()]


def test_columns_of_video_are_selected_and_joined_with_the_others():
    assert TRACKED[[2, 0]].track_ids.tolist() == [1, 2]
    assert TRACKED[TRACKED.track_ids > 0].time_s.tolist() == [0.16, 0.2]
    assert [pose.frame_index.tolist() for pose in TRACKED] == [[4], [4], [5]]
    joined = Poses.concatenate([POSES[[]], TRACKED, TRACKED[:1], POSES[:0]])
    assert joined.track_ids.tolist() == [2, -1, 1, 2]
    assert "track 2, score 1.00" in repr(joined)
    assert Poses.concatenate([POSES, POSES]).track_ids is None


def test_tracked_and_other_poses_are_not_joined():
    with pytest.raises(ValueError, match=r"1 of 2 parts have no (track_ids|frame_index|time_s);"):
        Poses.concatenate([TRACKED, POSES])
    with pytest.raises(ValueError, match=r"Poses.track_ids has shape \(2,\), expected \(3,\)"):
        replace(POSES, track_ids=np.array([1, 2]))
