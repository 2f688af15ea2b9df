"""Drawn data: deterministic files, and labels that agree with the pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from pose_hrnet.data.synthetic import figures
from pose_hrnet.data.synthetic.canvas import CODES_PER_PERSON, Brush, Canvas, Part
from pose_hrnet.data.synthetic.clothing import sample_outfit

# Private: a mask of holes and islands cannot be ordered from the drawing.
from pose_hrnet.data.synthetic.dataset import _outlines, draw_scene, synthesize
from pose_hrnet.data.synthetic.painting import paint_figure
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.folders import FolderBusy, owned

IMAGES = 24
NAMES = COCO17.keypoint_names


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("drawn")
    synthesize(output, images=IMAGES, seed=3, workers=1)
    return output


@pytest.fixture(scope="module")
def coco(drawn: Path) -> COCO:
    return COCO(str(drawn / "annotations.json"))


@pytest.fixture(scope="module")
def people(coco: COCO) -> list[dict[str, Any]]:
    return list(coco.anns.values())


def keypoints_of(people: list[dict[str, Any]]) -> np.ndarray:
    return np.array([person["keypoints"] for person in people]).reshape(-1, 17, 3)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_same_seed_gives_the_same_bytes_for_any_number_of_workers(drawn: Path, tmp_path: Path):
    synthesize(tmp_path, images=IMAGES, seed=3, workers=2)
    assert len(contents(drawn)) == IMAGES + 1
    assert contents(tmp_path) == contents(drawn)


def test_other_seeds_and_indices_give_other_images():
    first, _ = draw_scene(0, 0)
    for other, _ in (draw_scene(1, 0), draw_scene(0, 1)):
        assert first.shape != other.shape or np.abs(first.astype(int) - other).mean() > 5


def test_progress_counts_every_image_and_no_temporary_file_stays(tmp_path: Path):
    counts: list[int] = []
    path = synthesize(tmp_path, images=3, seed=0, workers=1, progress=counts.append)
    assert counts == [1, 2, 3]
    assert sorted(contents(tmp_path)) == [
        "000000000001.jpg", "000000000002.jpg", "000000000003.jpg", path.name,
    ]  # fmt: skip


def test_a_smaller_set_leaves_nothing_of_a_larger_one(tmp_path: Path):
    fresh = synthesize(tmp_path / "fresh", images=1, seed=8, workers=1).parent
    synthesize(tmp_path / "used", images=3, seed=7, workers=1)
    (tmp_path / "used/images/mine.jpg").touch()
    synthesize(tmp_path / "used", images=1, seed=8, workers=1)
    assert contents(tmp_path / "used") == contents(fresh) | {"mine.jpg": b""}


def test_a_broken_off_run_leaves_no_labels_of_other_images(tmp_path: Path):
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    labels = synthesize(tmp_path, images=2, seed=7, workers=1)
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path, images=2, seed=8, workers=1, progress=stop)
    assert not labels.exists()
    assert sorted(contents(tmp_path)) == ["000000000001.jpg", "000000000002.jpg"]


def test_two_drawings_do_not_share_a_folder(tmp_path: Path):
    synthesize(tmp_path, images=1, seed=0)
    before = (tmp_path / "annotations.json").read_bytes()
    with owned(tmp_path), pytest.raises(FolderBusy, match="another process works in"):
        synthesize(tmp_path, images=1, seed=1)
    assert (tmp_path / "annotations.json").read_bytes() == before


def test_images_of_another_data_set_stay(tmp_path: Path):
    photograph = tmp_path / "images" / "000000000002.jpg"
    photograph.parent.mkdir()
    photograph.touch()
    other = {"info": {"description": "COCO", "images": 9}, "images": [], "annotations": []}
    (tmp_path / "annotations.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="is not of a drawn data set, and would be overwritten"):
        synthesize(tmp_path, images=1, seed=8, workers=1)
    assert photograph.exists()
    assert json.loads((tmp_path / "annotations.json").read_text()) == other


@pytest.mark.parametrize("wrong", [{"images": 0}, {"images": -2}, {"seed": -1}, {"workers": 0}])
def test_wrong_numbers_are_refused_before_anything_is_written(
    wrong: dict[str, int], tmp_path: Path
):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is {next(iter(wrong.values()))}"):
        synthesize(tmp_path / "new", **{"images": 1, "seed": 0, **wrong})
    assert not (tmp_path / "new").exists()


def test_ids_categories_and_images(drawn: Path, coco: COCO):
    content = json.loads((drawn / "annotations.json").read_text())
    assert [image["id"] for image in content["images"]] == list(range(1, IMAGES + 1))
    ids = [person["id"] for person in content["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    (category,) = content["categories"]
    assert tuple(category["keypoints"]) == NAMES
    assert np.array(category["skeleton"]).min() == 1
    assert np.array(category["skeleton"]).max() == COCO17.num_keypoints
    for image in content["images"]:
        pixels = cv2.imread(str(drawn / "images" / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)
        assert coco.getAnnIds(image["id"])


def test_keypoints_lie_in_the_image_or_are_zero(coco: COCO, people: list[dict[str, Any]]):
    for person, keypoints in zip(people, keypoints_of(people), strict=True):
        image = coco.imgs[person["image_id"]]
        labelled = keypoints[:, 2] > 0
        assert not keypoints[~labelled].any()
        assert (keypoints[:, :2] <= (image["width"] - 1, image["height"] - 1)).all()
        assert (keypoints >= 0).all()
        assert person["num_keypoints"] == labelled.sum()


def test_seen_keypoints_lie_on_the_person(coco: COCO, people: list[dict[str, Any]]):
    checked = 0
    for person, keypoints in zip(people, keypoints_of(people), strict=True):
        mask = cv2.dilate(coco.annToMask(person), np.ones((5, 5), np.uint8))
        x, y = np.rint(keypoints[keypoints[:, 2] == 2, :2]).astype(int).T
        assert mask[y, x].all()
        checked += len(x)
    assert checked > 200


def test_visibility_is_varied_and_most_keypoints_are_seen(people: list[dict[str, Any]]):
    named = [person for person in people if person["num_keypoints"]]
    shares = np.bincount(keypoints_of(named)[..., 2].astype(int).ravel(), minlength=3)
    shares = shares / shares.sum()
    assert shares[2] > 0.5
    assert shares[0] > 0.03
    assert shares[1] > 0.05


def test_box_area_and_outline_agree(coco: COCO, people: list[dict[str, Any]]):
    for person in people:
        mask = coco.annToMask(person)
        x, y, width, height = person["bbox"]
        rows, columns = np.nonzero(mask)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(found, (x, y, x + width, y + height), atol=2)
        slack = 0.06 * person["area"] + 8
        assert abs(int(mask.sum()) - person["area"]) < slack


def test_outlines_give_the_pixels_back_even_around_holes():
    mask = np.zeros((60, 80), np.uint8)
    cv2.circle(mask, (40, 30), 22, 1, -1)
    cv2.circle(mask, (36, 30), 9, 0, -1)
    mask[5:8, 2:9] = 1
    polygons = _outlines(mask, 10, 20)
    image = {"id": 1, "height": 90, "width": 100, "file_name": ""}
    coco = COCO()
    coco.imgs = {1: image}
    again = coco.annToMask({"image_id": 1, "segmentation": polygons})[20:80, 10:90]
    assert np.count_nonzero(again != mask) < 0.02 * mask.sum()


def test_crowds_are_run_lengths_without_keypoints():
    scenes = (draw_scene(5, index)[1] for index in range(300))
    crowd = next(person for scene in scenes for person in scene if person["iscrowd"])
    counts = crowd["segmentation"]["counts"]
    assert sum(counts) == np.prod(crowd["segmentation"]["size"])
    assert sum(counts[1::2]) == crowd["area"]
    assert crowd["num_keypoints"] == 0


def test_the_left_is_on_the_right_of_the_image_from_the_front_and_not_from_behind():
    rng = np.random.default_rng(0)
    left, right = np.transpose(COCO17.flip_pairs[2:7:4])  # shoulders and hips
    for _ in range(20):
        stance, pose = figures.sample_pose(rng)
        front = figures.pose_figure(figures.sample_build(rng), stance, pose)
        back = front.turned(figures.rotation(1, 180))
        assert (front.keypoints[left, 0] > front.keypoints[right, 0]).all()
        assert (back.keypoints[left, 0] < back.keypoints[right, 0]).all()
        assert front.face_normals[0, 2] * back.face_normals[0, 2] < 0


def test_who_shows_both_eyes_has_the_left_one_on_the_right():
    scenes = (draw_scene(11, index)[1] for index in range(40))
    keypoints = keypoints_of([person for scene in scenes for person in scene])
    upright = keypoints[:, 0, 1] < keypoints[:, 11:13, 1].min(axis=1) - 10
    eyes = keypoints[upright & (keypoints[:, 1:3, 2] == 2).all(axis=1)]
    assert len(eyes) > 10
    assert (eyes[:, 1, 0] > eyes[:, 2, 0]).all()


def test_poses_keep_the_joint_limits_and_the_lengths_of_the_bones():
    rng = np.random.default_rng(1)
    for _ in range(200):
        stance, pose = figures.sample_pose(rng)
        for joint, (low, high) in figures.LIMITS.items():
            assert (getattr(pose, joint) >= low).all(), joint
            assert (getattr(pose, joint) <= high).all(), joint
        build = figures.sample_build(rng)
        figure = figures.pose_figure(build, stance, pose).turned(figures.rotation(0, 40))
        for start, end, length in (
            (figure.shoulder, figure.elbow, build.upper_arm),
            (figure.elbow, figure.wrist, build.forearm),
            (figure.hip, figure.knee, build.thigh),
            (figure.knee, figure.ankle, build.shank),
        ):
            np.testing.assert_allclose(np.linalg.norm(end - start, axis=1), length)


def test_painted_parts_lie_under_their_keypoints():
    """An upright person from the front: every keypoint lies on the part of its own side."""
    pose = figures.Pose(
        pelvis_pitch=np.zeros(()), spine=np.zeros(3), neck=np.zeros(3),
        shoulder=np.tile((40.0, 0, 0), (2, 1)), elbow=np.zeros(2),
        hip=np.tile((0, 12.0, 0), (2, 1)), knee=np.zeros(2), ankle=np.zeros(2),
    )  # fmt: skip
    figure = figures.pose_figure(figures.Build(), "stand", pose)
    canvas = Canvas.blank(400, 500)
    brush = Brush(canvas, 400.0, (200.0, 250.0), person=2)
    paint_figure(brush, figure, sample_outfit(np.random.default_rng(0), "run"))
    x, y = np.rint(brush.to_image(figure.keypoints)).astype(int).T
    codes = canvas.codes[y, x]
    assert (codes // CODES_PER_PERSON == 2).all()
    parts = codes % CODES_PER_PERSON
    assert (parts[:5] == Part.HEAD).all()
    for joint, allowed in ((7, (4, 6)), (9, (6, 8)), (13, (10, 12)), (15, (12, 14))):
        assert parts[joint] in allowed
        assert parts[joint + 1] - 1 in allowed


def test_painting_is_as_exact_as_the_keypoints():
    """A ball painted at a sub-pixel place has its centre of mass there."""
    canvas = Canvas.blank(60, 60)
    brush = Brush(canvas, 1.0, (30.3, 29.6), person=1)
    brush.capsule(np.zeros(3), np.zeros(3), (12.0, 12.0), np.full(3, 255.0), Part.HEAD)
    weight = canvas.image[..., 0].astype(float)
    rows, columns = np.indices(weight.shape)
    centre = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(centre, (30.3, 29.6), atol=0.15)
