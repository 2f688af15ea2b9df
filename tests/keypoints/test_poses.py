"""`Poses` as an object that one works with."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pose_hrnet import COCO17, Poses, draw_poses
from tests.helpers.builders import make_people, make_poses

KEYPOINTS = ("keypoints_image", "keypoint_scores")


@pytest.fixture
def poses():
    return replace(make_poses(make_people(3), [0, 5, 9]), skeleton=COCO17)


def test_persons_are_counted_indexed_and_gone_through(poses):
    assert len(poses) == len(list(poses)) == 3
    for row, person in enumerate(poses):
        assert len(person) == 1
        assert person.skeleton is COCO17
        np.testing.assert_array_equal(person.keypoints_image[0], poses.keypoints_image[row])
    assert len(poses[-1]) == 1
    assert len(poses[poses.scores > 2]) == 0
    with pytest.raises(IndexError):
        poses[3]


def test_parts_are_joined_in_order(poses):
    joined = Poses.concatenate([poses[2], poses[:2]])
    assert joined.image_ids.tolist() == [poses.image_ids[i] for i in (2, 0, 1)]
    assert joined.skeleton is COCO17
    with pytest.raises(ValueError, match=r"^Poses of no keypoints cannot be joined"):
        Poses.concatenate([])
    fewer = Poses(
        poses.image_ids,
        *(getattr(poses, name)[:, :14] for name in KEYPOINTS),
        *(getattr(poses, name) for name in ("boxes_xyxy", "scores", "areas")),
    )
    with pytest.raises(ValueError, match=r"^Poses of \[14, 17\] keypoints cannot be joined"):
        Poses.concatenate([poses, fewer])
    with pytest.raises(ValueError, match=r"^Poses.keypoint_scores is a list; expected an array"):
        replace(poses, keypoint_scores=[[1.0] * 17] * 3)


def test_repr_says_what_there_is(poses):
    lines = repr(poses).splitlines()
    assert lines[0] == "Poses: 3 persons, 17 keypoints (coco17)"
    assert len(lines) == 4
    assert f"score {poses.scores[1]:.2f}" in lines[2]
    many = Poses.concatenate([poses] * 5)
    assert repr(many).splitlines()[-1] == "  ... and 5 more"


def test_plot_draws_on_the_image_that_was_predicted_or_is_given(poses):
    image = np.full((300, 300, 3), 90, np.uint8)
    expected = draw_poses(image, poses.keypoints_image, poses.keypoint_scores)
    np.testing.assert_array_equal(poses.plot(image), expected)
    np.testing.assert_array_equal(replace(poses, image=image).plot(), expected)
    with pytest.raises(ValueError, match="give plot"):
        poses.plot()
    plain = poses.plot(image, min_score=2)
    assert (plain == 90).all()


def test_what_plot_cannot_draw_is_said(poses):
    with pytest.raises(ValueError, match=r"the image is a str; expected \(H, W, 3\) uint8 RGB"):
        poses.plot("photo.jpg")
    with pytest.raises(ValueError, match="expected a list with one for each of 3 persons"):
        poses.plot(np.full((300, 300, 3), 90, np.uint8), labels=["one"])


def test_a_notebook_shows_the_picture(poses):
    # Private: the name is IPython's.
    assert poses._repr_png_() is None
    image = np.full((60, 80, 3), (200, 10, 10), np.uint8)
    shown = replace(poses[:0], image=image)._repr_png_()
    decoded = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)
    assert decoded[0, 0].tolist() == [10, 10, 200]


def test_json_has_the_keypoints_by_name(poses):
    first = json.loads(poses.to_json())[0]
    assert list(first["keypoints"]) == list(COCO17.keypoint_names)
    x, y, score = first["keypoints"]["left_wrist"]
    np.testing.assert_allclose([x, y], poses.keypoints_image[0, 9], atol=0.0051)
    assert score == pytest.approx(float(poses.keypoint_scores[0, 9]), abs=1e-4)
    nameless = json.loads(replace(poses, skeleton=None).to_json())[0]
    assert list(nameless["keypoints"])[:2] == ["0", "1"]


def test_other_libraries_get_the_columns_or_a_sentence_names_the_extra(poses, monkeypatch):
    given = SimpleNamespace(DataFrame=dict, KeyPoints=lambda **columns: columns)
    monkeypatch.setitem(sys.modules, "pandas", given)
    monkeypatch.setitem(sys.modules, "supervision", given)
    table = poses.to_dataframe()
    assert {len(column) for column in table.values()} == {3 * 17}
    row = 17 + 9
    assert table["keypoint"][row] == "left_wrist"
    assert (table["x"][row], table["person"][row]) == (poses.keypoints_image[1, 9, 0], 1)
    keypoints = poses.to_supervision()
    np.testing.assert_array_equal(keypoints["xy"], poses.keypoints_image)
    for module, method in (("pandas", "to_dataframe"), ("supervision", "to_supervision")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ValueError, match=rf"pose-hrnet\[{module}\]"):
            getattr(poses, method)()
