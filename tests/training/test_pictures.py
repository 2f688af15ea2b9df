"""The pictures show the best and the worst persons, and the network's heatmaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.config.data import DataSet
from pose_hrnet.config.files import load_config
from pose_hrnet.evaluation.evaluate import load_evaluation_set
from pose_hrnet.evaluation.matching import MIN_KEYPOINTS, Match, best_and_worst, match_best
from pose_hrnet.keypoints.geometry import xywh_to_xyxy
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.pictures import TALL, Showcase
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.pose_models import pose_model


def poses_of(people, shift):
    """The annotated poses, each moved by its number of pixels."""
    moved = people.keypoints_image + np.asarray(shift, np.float32)[:, None, None]
    n = len(people)
    return Poses(
        image_ids=object_array(people.image_ids),
        keypoints_image=moved,
        keypoint_scores=np.ones((n, 17), np.float32),
        boxes_xyxy=xywh_to_xyxy(people.boxes_xywh).astype(np.float32),
        scores=np.ones(n, np.float32),
        areas=people.areas,
    )


def test_each_person_gets_the_pose_of_highest_oks_in_the_image():
    people = make_people(6)
    poses = poses_of(people, [0, 1, 2, 4, 8, 16])
    match = match_best(people, poses[[5, 4, 3, 2, 1, 0]], COCO17.sigmas)
    assert match.pose.tolist()[:4] == [5, 4, 3, 2]
    assert match.oks[0] == pytest.approx(1)
    assert match.oks[:4].tolist() == sorted(match.oks[:4], reverse=True)


def test_a_person_without_a_pose_in_the_image_has_none():
    people = make_people(6)
    poses = poses_of(people, np.zeros(6))[[0, 1, 4]]
    match = match_best(people, poses, COCO17.sigmas)
    assert (match.pose[2:4] == -1).all()
    assert (match.oks[2:4] == 0).all()
    # The other person of its image has one, which is no reason to have none.
    assert match.pose[5] == 2


def test_best_and_worst_by_numbers():
    people = make_people(8)
    oks = np.array([0.5, 0.9, 0.1, 1.0, 0.3, 0.7, 0.0, 0.2])
    visibility = people.visibility.copy()
    visibility[3, MIN_KEYPOINTS - 1 :] = 0  # nearly unlabelled persons say little
    visibility[6, MIN_KEYPOINTS - 1 :] = 0
    people = replace(people, visibility=visibility)
    best, worst = best_and_worst(people, Match(oks, np.arange(8)), 2)
    assert best.tolist() == [1, 5]
    assert worst.tolist() == [2, 7]
    best, worst = best_and_worst(people, Match(oks, np.arange(8)), 12)
    assert best.tolist() == [1, 5, 0]
    assert worst.tolist() == [2, 7, 4]
    visibility[:, 2:] = 0
    best, worst = best_and_worst(replace(people, visibility=visibility), Match(oks, oks), 1)
    assert (best.tolist(), worst.tolist()) == ([3], [6])


@pytest.fixture(params=["annotated boxes", "detected boxes"])
def showcase(tmp_path, request):
    people = make_people(9)
    data = DataSet(
        annotations=write_annotations(people, tmp_path / "people.json"),
        images=write_images(people, tmp_path / "images"),
    )
    config = load_config("demo", ["model.width=8", "model.stem_width=8", "model.branch_blocks=1",
        f"data.train.annotations={data.annotations}", "codec.input_wh=[96, 128]"])  # fmt: skip
    model, card = build_model(config)
    held_out = load_evaluation_set(data, COCO17)
    if request.param == "detected boxes":
        boxes = data.model_copy(update={"boxes": tmp_path / "detections.json"})
        held_out = replace(held_out, data=boxes, people=people[:1])
    return people, pose_model(model, card), Showcase(held_out)


def test_pictures_of_all_kinds(showcase):
    people, model, showcase = showcase
    model.network.train()
    pictures = showcase.pictures(model, poses_of(people, np.arange(9) * 3))
    assert model.network.training
    height, pair = 28 + TALL + 4, 2 * 192 + 2 + 4
    assert {name: image.shape for name, image in pictures.items()} == {
        "best_predictions": (2 * height, 4 * pair, 3),
        "worst_predictions": (height, 4 * pair, 3),
        "heatmaps": (2 * height, 4 * pair, 3),
    }
    # The best is exact: both sides of its pair show the same.
    tiles = {name: image[30 : 30 + TALL, 2 : pair - 2] for name, image in pictures.items()}
    best, worst = tiles["best_predictions"], tiles["worst_predictions"]
    assert (best[:, :192] == best[:, 194:]).all()
    assert not (worst[:, :192] == worst[:, 194:]).all()
    # The right is the network's own: an untrained one has not the targets.
    assert not (tiles["heatmaps"][:, :192] == tiles["heatmaps"][:, 194:]).all()


def test_unreadable_images_are_passed_over(showcase):
    people, model, showcase = showcase
    for path in showcase.held_out.data.images.iterdir():
        path.unlink()
    assert set(showcase.pictures(model, poses_of(people, np.zeros(9)))) == {"heatmaps"}
