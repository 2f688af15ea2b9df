"""The whole chain on real photographs: two persons are learnt by heart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pose_hrnet import COCO17, PoseEstimator, load_config, load_model, train
from pose_hrnet.data.images import read_rgb
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.keypoints.geometry import xywh_to_xyxy
from pose_hrnet.keypoints.oks import oks_matrix
from tests.helpers.training_runs import data_settings

STILL = [
    "augment.half_body_probability=0", "augment.scale_std=0", "augment.rotation_probability=0",
    "augment.flip_probability=0",
]  # fmt: skip
SHORT = [
    "train.epochs=250", "train.batch_size=2", "train.evaluate_every=250", "data.workers=0",
    "train.precision=fp32", "optimizer.warmup_steps=5", "optimizer.lr=0.002",
]  # fmt: skip


@pytest.mark.slow
def test_two_real_persons_are_overfitted(shared, tmp_path):
    folder = shared / "coco"
    content = json.loads((folder / "annotations/person_keypoints_val.json").read_text())
    full = [a for a in content["annotations"] if a["num_keypoints"] >= 15 and a["area"] > 100**2]
    content["annotations"] = [
        full[0],
        next(a for a in full if a["image_id"] != full[0]["image_id"]),
    ]
    annotations = tmp_path / "two.json"
    annotations.write_text(json.dumps(content))
    config = load_config("demo", [*data_settings(annotations, folder / "val"), *STILL, *SHORT])
    best = train(config, tmp_path / "run", device="cpu")
    # Mirrored persons were never seen, so that the flip test would add noise.
    estimator = PoseEstimator(load_model(best, precision="auto", flip_test=False))

    people = labelled_people(load_people(annotations))
    assert len(people) == 2
    for row in range(2):
        name = people.images.file_names[people.image_index[row]]
        image = read_rgb(folder / "val" / name)
        poses = estimator(image, xywh_to_xyxy(people.boxes_xywh[[row]]))
        labelled = people.visibility[[row]] > 0
        oks = oks_matrix(
            people.keypoints_image[[row]], people.areas[[row]], poses.keypoints_image, None,
            COCO17.sigmas, visible=labelled,
        )  # fmt: skip
        assert np.ndim(oks) == 2
        assert oks[0, 0] > 0.95
