"""The value objects check their shapes and select rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.keypoints.records import Images, Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton
from tests.helpers.builders import make_people


def test_rows_are_selected_in_every_column_and_images_are_shared():
    people = make_people(5)
    for rows, expected in (
        ([3, 1], [3, 1]),
        (slice(1, 3), [1, 2]),
        (people.image_index == 1, [2, 3]),
        (4, [4]),
    ):
        chosen = people[rows]
        assert chosen.ids.tolist() == [people.ids[i] for i in expected]
        np.testing.assert_array_equal(chosen.keypoints_image, people.keypoints_image[expected])
        assert chosen.images is people.images
    assert len(people[[]]) == 0


def test_wrong_shapes_are_named_with_what_was_expected():
    people = make_people(5)
    with pytest.raises(
        ValueError, match=r"People.boxes_xywh has shape \(4, 4\), expected \(5, 4\)"
    ):
        replace(people, boxes_xywh=people.boxes_xywh[:4])
    with pytest.raises(ValueError, match=r"Poses.scores has shape \(1,\), expected \(2,\)"):
        Poses(
            image_ids=object_array([1, "a"]),
            keypoints_image=np.zeros((2, 17, 2), np.float32),
            keypoint_scores=np.zeros((2, 17), np.float32),
            boxes_xyxy=np.zeros((2, 4), np.float32),
            scores=np.zeros(1, np.float32),
            areas=np.zeros(2, np.float32),
        )
    with pytest.raises(ValueError, match="2 file names for 1 ids"):
        Images(ids=(1,), file_names=("a", "b"), sizes_wh=np.zeros((1, 2), np.int32))


def test_ids_keep_their_type():
    assert [type(i) for i in object_array([1, "000001", 3])] == [int, str, int]


def test_coco17_is_consistent():
    for left, right in COCO17.flip_pairs:
        a, b = COCO17.keypoint_names[left], COCO17.keypoint_names[right]
        assert (a.removeprefix("left_"), b.removeprefix("right_")) == (b[6:], a[5:])
        assert COCO17.sigmas[left] == COCO17.sigmas[right]
    flipped = [COCO17.flip_index[i] for i in COCO17.flip_index]
    assert flipped == list(range(17))
    assert Skeleton.from_dict(COCO17.to_dict()) == COCO17


def test_bad_skeletons_are_refused():
    with pytest.raises(ValueError, match="has 16 sigmas for 17 keypoints"):
        replace(COCO17, sigmas=COCO17.sigmas[1:])
    with pytest.raises(ValueError, match=r"names keypoint indices \[17\]"):
        replace(COCO17, links=((0, 17),))
