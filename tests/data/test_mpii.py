"""MPII: rows become people in the official crops, and PCKh is the official one."""

from __future__ import annotations

import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from pose_hrnet.config.data import DataSet
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.formats.mpii import read_mpii
from pose_hrnet.data.people import annotated_people, read_annotations
from pose_hrnet.data.validation.validate import validate
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.evaluation.metrics.pckh import MpiiTruth, score_mpii
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.keypoints.skeleton import MPII16
from pose_hrnet.models.card import ModelCard
from tests.helpers import mpii_files as files
from tests.helpers.builders import write_images
from tests.helpers.oracle import INPUT_WH, Oracle
from tests.helpers.pose_models import pose_model

INDEX = {name: k for k, name in enumerate(MPII16.keypoint_names)}


def poses_at(joints):
    """Poses in pixels from 0."""
    count = len(joints)
    return Poses(
        image_ids=object_array(["a.png"] * count),
        keypoints_image=np.asarray(joints, np.float32),
        keypoint_scores=np.ones((count, 16), np.float32),
        boxes_xyxy=np.zeros((count, 4), np.float32),
        scores=np.ones(count, np.float32),
        areas=np.ones(count, np.float32),
    )


def test_crops_are_the_official_ones(tmp_path):
    people = read_mpii(
        files.write(tmp_path / "valid.json", files.row(), files.row("b.png"))
    ).people
    frames = CropFrames.of_boxes(people.boxes_xywh, (256, 256), "official")
    # Official: centre (50, 60 + 15 * 0.5) - 1, and 200 * 0.5 * 1.25 pixels on each side.
    np.testing.assert_allclose(frames.centers_image, [[49, 66.5]] * 2)
    np.testing.assert_allclose(frames.sizes_wh, [[125, 125]] * 2)
    np.testing.assert_allclose(people.keypoints_image[0], files.JOINTS - 1)
    assert people.images.file_names == ("a.png", "b.png")


def test_joints_that_are_not_visible_are_not_labelled(tmp_path):
    hidden = files.row(joints_vis=[0] + [1] * 15)
    (path,) = [
        files.write(tmp_path / "valid.json", hidden, files.row(joints=None, joints_vis=None))
    ]
    people = read_mpii(path).people
    assert people.visibility.tolist() == [[0] + [2] * 15, [0] * 16]
    assert people.keypoints_image[0, 0].tolist() == [0, 0]


def test_bad_rows_are_left_out_and_the_others_keep_their_numbers(tmp_path, caplog):
    path = files.write(
        tmp_path / "valid.json",
        files.row(center=[-1, -1], scale=-1),
        files.row("b.png"),
        {"image": "c.png"},
        files.row("d.png", joints=[[1, 2]] * 15),
        files.row("e.png"),
    )
    with caplog.at_level(logging.WARNING):
        assert annotated_people(read_annotations(path), MPII16).ids.tolist() == [1, 4]
    assert "3 rows left out: no center and scale (1: 0), malformed row (1: 2)" in caplog.text
    assert read_mpii(path).rows == 5
    with pytest.raises(ValueError, match="has no usable person"):
        read_mpii(files.write(path, files.row(scale=0)))
    path.write_text('{"images": []}')
    with pytest.raises(ValueError, match="is not MPII annotations"):
        read_mpii(path)


def test_a_file_is_checked_before_it_is_used(tmp_path):
    path = files.write(tmp_path / "valid.json", files.row(), files.row("b.png"))
    report = validate(path)
    assert (report.images, report.persons, report.training_persons) == (2, 2, 2)
    assert not report.findings  # its regions may end beyond an image, whose size it does not say
    far = files.row("b.png", center=[5000.0, 60.0])
    files.write(path, files.row(joints_vis=[0] * 16), far, files.row(scale=-1))
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    report = validate(path, tmp_path)
    assert [(each.severity, each.kind, each.examples) for each in report] == [
        ("error", "no center and scale", ("2",)),
        ("error", "image file is missing", ("b.png",)),
        ("warning", "labelled keypoint far from the box", ("1",)),
    ]
    assert report.training_persons == 1


def shifted():
    """Two persons, 15 pixels being half of person 0's head and 3 a tenth; errors by joint."""
    found = np.stack([files.JOINTS - 1] * 2)
    errors = {"right_ankle": 15.0, "left_ankle": 15.2, "head_top": 3.0, "left_knee": 3.2,
              "right_knee": 3.4, "pelvis": 99.0}  # fmt: skip
    for name, error in errors.items():
        found[0, INDEX[name], 0] += error
    found[1, INDEX["left_wrist"], 1] += 40  # of a head of 60: wrong
    found[1, INDEX["right_wrist"], 1] += 20  # right at 0.5, wrong at 0.1
    return found


def expect(values):
    # Person 0 misses the left ankle of 14 joints that count, person 1 the left wrist of 13: its
    # left ankle is not labelled.
    assert values["PCKh"] == pytest.approx(25 / 27)
    assert values["Ankle"] == pytest.approx((0 / 1 + 2 / 2) / 2)
    assert values["Wrist"] == pytest.approx((1 / 2 + 1) / 2)
    assert values["Head"] == values["Knee"] == values["Hip"] == values["Shoulder"] == 1
    # At a tenth: person 0 loses ankles and knees (4 of 14), person 1 the wrists (2 of 13).
    assert values["PCKh@0.1"] == pytest.approx(21 / 27)
    # The official "@0.1" is at 0.11, 3.3 pixels, where the left knee counts.
    assert values["Mean@0.1"] == pytest.approx(22 / 27)


MISSING = [[1 if i == 1 and k == INDEX["left_ankle"] else 0 for k in range(16)] for i in range(2)]


def test_pckh_by_hand_with_head_boxes_of_the_file(tmp_path):
    path = files.write(
        tmp_path / "valid.json",
        files.row(),
        files.row(joints_vis=(1 - np.array(MISSING[1])).tolist(), head_box=[[0, 0], [60, 80]]),
    )
    scores = score_mpii(MpiiTruth.of(read_mpii(path)), poses_at(shifted()), [0, 1])
    expect(scores.values)
    assert scores.counts == {"persons": 2, "labelled_joints": 31, "not_predicted": 0}
    assert scores.per_joint["pelvis"]["PCKh@0.5"] == 0.5
    assert next(iter(scores.values)) == "PCKh"


def test_pckh_by_hand_with_the_official_mat(tmp_path):
    rows = [files.row(head_box=None, joints_vis=[0] * 16)] * 2
    path = files.write(tmp_path / "valid.json", *rows)
    mat = files.write_mat(tmp_path / "gt_valid.mat", [files.JOINTS] * 2, MISSING, [50, 100])
    expect(score_mpii(MpiiTruth.of(read_mpii(path), mat), poses_at(shifted()), [0, 1]).values)
    # The rows of poses, not their order, say whose they are; who has none is wrong.
    swapped = poses_at(shifted())[[1, 0]]
    expect(score_mpii(MpiiTruth.of(read_mpii(path), mat), swapped, [1, 0]).values)
    alone = score_mpii(MpiiTruth.of(read_mpii(path), mat), swapped[:1], [1])
    assert alone.values["PCKh"] == pytest.approx(12 / 27)
    assert alone.counts["not_predicted"] == 1


def test_what_is_never_labelled_is_minus_one_and_unknown_heads_are_told(tmp_path):
    vis = [0] * 9 + [1] + [0] * 6
    path = files.write(
        tmp_path / "valid.json", files.row(joints_vis=vis), files.row(head_box=None)
    )
    scores = score_mpii(MpiiTruth.of(read_mpii(path)), poses_at([files.JOINTS - 1] * 2), [0, 1])
    assert (scores.values["PCKh"], scores.values["Head"], scores.values["Wrist"]) == (1, 1, -1)
    assert scores.notes == ("1 person without a head size, not scored",)


def test_missing_head_sizes_and_wrong_mats_are_one_sentence(tmp_path):
    path = files.write(tmp_path / "valid.json", files.row(head_box=None))
    with pytest.raises(ValueError, match=r"has no head_box.*give the official gt_valid\.mat"):
        MpiiTruth.of(read_mpii(path))
    mat = files.write_mat(tmp_path / "gt_valid.mat", [files.JOINTS] * 2, MISSING, [50, 100])
    with pytest.raises(ValueError, match="has 2 persons, but the annotations have 1 row;"):
        MpiiTruth.of(read_mpii(path), mat)
    mat.write_bytes(b"no mat")
    with pytest.raises(ValueError, match=r"is not MPII's gt_valid\.mat"):
        MpiiTruth.of(read_mpii(path), mat)
    with pytest.raises(FileNotFoundError, match=r"absent\.mat does not exist"):
        MpiiTruth.of(read_mpii(path), tmp_path / "absent.mat")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("pos_gt_src", (14, 2, 1)), ("jnt_missing", (16, 2)), ("headboxes_src", (1, 2, 1))],
)
def test_mats_of_other_shapes_are_one_sentence(tmp_path, name, shape):
    path, mat = files.write(tmp_path / "valid.json", files.row()), tmp_path / "gt_valid.mat"
    files.write_mat(mat, [files.JOINTS], [[0] * 16], [50])
    content = {key: value for key, value in loadmat(mat).items() if not key.startswith("__")}
    savemat(mat, content | {name: np.zeros(shape)})
    with pytest.raises(ValueError, match=rf"gt_valid.mat: {name} has the shape .*\(16, 2, N\)"):
        MpiiTruth.of(read_mpii(path), mat)


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damaged_mats_are_one_sentence(tmp_path, damage):
    path, mat = files.write(tmp_path / "valid.json", files.row()), tmp_path / "gt_valid.mat"
    files.write_mat(mat, [files.JOINTS], [[0] * 16], [50])
    content = {key: value for key, value in loadmat(mat).items() if not key.startswith("__")}
    savemat(mat, content, do_compression=True)
    data = bytearray(mat.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[150] ^= 255
    mat.write_bytes(data)
    with pytest.raises(ValueError, match=r"^.*gt_valid\.mat is not MPII's [^\n]*$"):
        MpiiTruth.of(read_mpii(path), mat)


def test_a_network_that_knows_the_answers_scores_one(tmp_path):
    """Rows of several images in disorder, one left out: each prediction meets its person."""

    rng = np.random.default_rng(0)
    rows = []
    for image in ("a.png", "b.png", "c.png", "b.png", "a.png"):
        center = rng.uniform(60, 140, 2)
        joints = center + rng.uniform(-45, 45, (16, 2))
        rows.append(files.row(image, center=center.tolist(), joints=joints.tolist()))
    rows[1]["scale"] = -1
    path = files.write(tmp_path / "valid.json", *rows)
    people = read_mpii(path).people
    sized = replace(people.images, sizes_wh=np.full((3, 2), 200, np.int32))
    folder = write_images(replace(people, images=sized), tmp_path / "images")
    card = ModelCard({"num_keypoints": 16}, MPII16, HeatmapCodec("dark", INPUT_WH))
    evaluation = evaluate(
        pose_model(Oracle(people, folder, card), card, flip_test=False),
        DataSet(annotations=path, images=folder),
        EvaluateConfig(batch_size=2),
    )
    assert evaluation.metric == "mpii"
    assert evaluation.scores.values["PCKh"] == 1, "the row without a region does not count"
    assert evaluation.keypoint_metrics["EPE"] < 0.5
    assert evaluation.metrics()["per_joint"]["pelvis"]["PCKh@0.5"] == 1
    assert evaluation.scores.counts["persons"] == 4
    assert len(evaluation.results) == 4
    with pytest.raises(ValueError, match="to which the metric coco does not apply; use mpii"):
        evaluate(
            pose_model(Oracle(people, folder, card), card),
            DataSet(annotations=path, images=folder, metric="coco"),
        )
