"""Poses, boxes and heatmaps on images show what they should, and leave the images alone."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet.visualize.poses import (
    LEFT,
    PERSONS,
    RIGHT,
    draw_boxes,
    draw_poses,
)

NOSE, LEFT_EYE, RIGHT_EYE = 0, 1, 2
LEFT_SHOULDER, RIGHT_SHOULDER = 5, 6
LEFT_ELBOW, LEFT_WRIST = 7, 9
RIGHT_ELBOW, RIGHT_WRIST = 8, 10


@pytest.fixture
def image():
    return np.zeros((120, 160, 3), np.uint8)


def arms(score=1.0):
    points, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    points[0, [LEFT_ELBOW, LEFT_WRIST]] = [[20, 30], [20, 90]]
    points[0, [RIGHT_ELBOW, RIGHT_WRIST]] = [[120, 30], [120, 90]]
    scores[0, [LEFT_ELBOW, LEFT_WRIST, RIGHT_ELBOW, RIGHT_WRIST]] = score
    return points, scores


def person(height, left=50.0):
    """Shoulders, an arm and a face, as high as asked for."""
    points, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    shape = {
        NOSE: (0, 0.04), LEFT_EYE: (0.015, 0.03), RIGHT_EYE: (-0.015, 0.03),
        LEFT_SHOULDER: (0.12, 0.2), RIGHT_SHOULDER: (-0.12, 0.2), LEFT_ELBOW: (0.15, 0.6),
        LEFT_WRIST: (0.15, 1.0),
    }  # fmt: skip
    for k, (x, y) in shape.items():
        points[0, k], scores[0, k] = (left + height * x, 5 + height * y), 1.0
    return points, scores


def test_limbs_are_coloured_by_side(image):
    drawn = draw_poses(image, *arms(), thickness=3)
    np.testing.assert_allclose(drawn[60, 20], LEFT, atol=8)
    np.testing.assert_allclose(drawn[60, 120], RIGHT, atol=8)
    assert image.max() == 0


def test_limbs_fade_with_their_score_and_vanish_below_the_threshold(image):
    strong, weak = (draw_poses(image, *arms(s))[60, 20].astype(int).sum() for s in (0.9, 0.3))
    assert 0 < weak < 0.7 * strong
    assert draw_poses(image, *arms(0.1)).max() == 0


def test_what_joins_the_sides_has_the_colour_of_the_person(image):
    (one, scores), (two, _) = person(100, 40), person(100, 120)
    drawn = draw_poses(
        image, np.concatenate([one, two]), np.concatenate([scores] * 2), thickness=3
    )
    np.testing.assert_allclose(drawn[25, 40], PERSONS[0], atol=8)
    np.testing.assert_allclose(drawn[25, 120], PERSONS[1], atol=8)


@pytest.mark.parametrize("height", [100, 400, 1000])
def test_limbs_are_as_wide_as_the_person_is_large(height):
    canvas = np.full((height + 10, height, 3), 128, np.uint8)
    points, scores = person(height, height / 2)
    row = draw_poses(canvas, points, scores)[round(5 + 0.8 * height)]
    coloured = (np.abs(row.astype(int) - LEFT).sum(axis=1) < 60).sum()
    assert max(1, height / 110 - 1.5) <= coloured <= height / 110 + 1.5


def test_the_face_of_a_small_person_stays_free_and_that_of_a_large_one_has_joints():
    touched = []
    for height in (60, 600):
        canvas = np.full((height + 10, height, 3), 128, np.uint8)
        drawn = draw_poses(canvas, *person(height, height / 2))
        face = drawn[: round(5 + 0.1 * height)]
        touched.append(bool((face != 128).any()))
    assert touched == [False, True]


def test_joints_stand_out_of_their_limbs(image):
    drawn = draw_poses(image, *arms(), thickness=4)
    across = (drawn[88:93, 10:31] != 0).any(axis=(0, 2)).sum()
    assert across > (drawn[60, 10:31] != 0).any(axis=1).sum()


@pytest.mark.filterwarnings("error")
def test_poses_outside_the_image_do_not_fail(image):
    points, scores = arms()
    boxes = np.array([[-1e9, -20, 1e9, 50]])
    draw_poses(image, points + 1000, scores, boxes_xyxy=boxes, labels=["1"])
    draw_poses(image, points - 60, scores, labels=["1"])
    draw_poses(image, np.where(np.arange(2) > 0, points * 1e28, points), scores)
    draw_poses(image, np.empty((0, 17, 2)), np.empty((0, 17)))


def test_boxes_and_labels_have_the_colour_of_the_person(image):
    drawn = draw_poses(image, *arms(), boxes_xyxy=[[40, 60, 100, 110]], labels=["7"])
    np.testing.assert_array_equal(drawn[110, 70], PERSONS[0])
    np.testing.assert_array_equal(drawn[58, 41], PERSONS[0], "the label's ground")
    boxed = draw_boxes(image, [[10, 10, 50, 60]])
    assert boxed[10, 30].min() > 200


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"image": "photo.jpg"}, r"the image is a str; expected \(H, W, 3\) uint8 RGB"),
        ({"image": np.zeros((9, 9))}, r"the image has shape \(9, 9\) and type float64"),
        (
            {"keypoints_image": np.zeros((2, 14, 2))},
            r".* of skeleton coco17 has shape \(2, 14, 2\)",
        ),
        ({"keypoints_image": np.zeros((17, 2))}, r"keypoints_image .*expected \(any, 17, 2\)"),
        ({"keypoints_image": ["a"]}, r"keypoints_image .* is \['a'\]; expected numbers"),
        ({"keypoint_scores": np.zeros((1, 17))}, r"keypoint_scores .*expected \(2, 17\)"),
        ({"boxes_xyxy": [[0, 0, 9, 9]]}, r"boxes_xyxy has shape \(1, 4\), expected \(2, 4\)"),
        ({"labels": ["a"]}, r"labels is \['a'\]; expected a list with one for each of 2 persons"),
        ({"labels": "ab"}, "labels is 'ab'; expected a list"),
        ({"min_score": "0.2"}, "min_score is '0.2'; expected a finite number"),
        ({"thickness": 0}, "thickness is 0; expected a number above 0"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(image, changed, said):
    given = {"image": image, "keypoints_image": np.zeros((2, 17, 2))}
    given |= {"keypoint_scores": np.ones((2, 17))}
    with pytest.raises(ValueError, match=f"^{said}"):
        draw_poses(**(given | changed))
    assert draw_poses(image, [], []).shape == image.shape
    with pytest.raises(ValueError, match=r"^boxes_xyxy has shape \(4,\), expected \(any, 4\)$"):
        draw_boxes(image, [0, 0, 3, 3])
