"""The pictures show the best and the worst persons, and the network's heatmaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.config.data import DataSet
from pose_hrnet.config.files import load_config
from pose_hrnet.evaluation.evaluate import load_evaluation_set
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.pictures import TALL, Showcase
from tests.helpers.builders import make_people, make_poses, write_annotations, write_images
from tests.helpers.pose_models import pose_model
from tests.helpers.training_runs import NETWORK


@pytest.fixture(params=["annotated boxes", "detected boxes"])
def showcase(tmp_path, request):
    people = make_people(9)
    data = DataSet(
        annotations=write_annotations(people, tmp_path / "people.json"),
        images=write_images(people, tmp_path / "images"),
    )
    config = load_config("demo", [*NETWORK,
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
    pictures = showcase.pictures(model, make_poses(people, np.arange(9) * 3))
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
    assert set(showcase.pictures(model, make_poses(people, np.zeros(9)))) == {"heatmaps"}
