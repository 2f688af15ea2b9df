"""Several folders of shards, and annotated images, learned as one data set."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from pose_hrnet.config.files import load_config
from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.loader import crop_loader
from pose_hrnet.data.shards.reader import ShardSampler
from pose_hrnet.data.shards.writer import StoredCrops, write_shards
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.data import training_crops, training_data
from pose_hrnet.training.train import train
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.training_runs import TINY

SIZE = [f"augment.{name}=0" for name in ("half_body_probability", "scale_std")]


@pytest.fixture
def sources(tmp_path):
    """Two folders of shards, of 10 and 6 persons, and 4 annotated persons."""
    written = {}
    for name, persons in (("a", 10), ("b", 6), ("c", 4)):
        people = make_people(persons)
        images = write_images(people, tmp_path / name / "images", seed=persons)
        if name == "c":
            annotations = write_annotations(people, tmp_path / name / "people.json")
            written[name] = {"annotations": str(annotations), "images": str(images)}
        else:
            stored = StoredCrops((32, 64), AugmentConfig(), COCO17, persons_per_shard=4)
            write_shards(people, images, tmp_path / name / "shards", stored)
            written[name] = {"shards": str(tmp_path / name / "shards")}
    return written


def settings(sources, *parts):
    val = [f"data.val.{key}={value}" for key, value in sources["c"].items()]
    return [f"data.train={json.dumps(list(parts))}", *val, *TINY, "augment.flip_probability=0"]


def crops_of(config):
    _, card = build_model(config)
    data = training_data(config, card)
    return data, training_crops(config, card, data)


def test_every_source_gives_its_own_crops_as_often_as_it_says(sources):
    a, b, c = sources["a"], sources["b"], sources["c"]
    still = [*SIZE, "augment.rotation_probability=0"]
    config = load_config("demo", [*settings(sources, c, {**a, "repeat": 2}, b), *still])
    data, crops = crops_of(config)
    assert len(data.people) == 2 * 10 + 6 + 4
    order = [row for _, row in data.sampler]
    assert sorted(order) == list(range(30)), "each row once an epoch"
    alone = {
        name: crops_of(load_config("demo", [*settings(sources, sources[name]), *still]))[1]
        for name in "abc"
    }
    expected = [("a", row) for _ in range(2) for row in range(10)]
    expected += [("b", row) for row in range(6)] + [("c", row) for row in range(4)]
    for row, (name, at) in enumerate(expected):
        assert torch.equal(crops[0, row].pixels, alone[name][0, at].pixels), (row, name)
        assert torch.equal(crops[0, row].keypoints_input, alone[name][0, at].keypoints_input)
    assert all(crops[0, row].readable for row in order)


def test_batches_do_not_depend_on_workers(sources):
    config = load_config("demo", settings(sources, *sources.values()))
    data, crops = crops_of(config)
    batches = [
        list(crop_loader(crops, batch_size=4, workers=workers, sampler=data.sampler))
        for workers in (0, 2)
    ]
    for one, two in zip(*batches, strict=True):
        assert torch.equal(one.rows, two.rows)
        assert torch.equal(one.pixels, two.pixels)


def test_loose_persons_are_spread_over_the_epoch_and_shards_stay_few():
    sampler = ShardSampler(np.full(50, 100), loose=5000, buffer=300)
    order = np.array([row for _, row in sampler])
    assert len(sampler) == len(order) == 10_000
    assert Counter(order.tolist()).most_common(1)[0][1] == 1
    for part in np.split(order, 10):
        assert 400 < (part >= 5000).sum() < 600
    in_use = [len({row // 100 for row in part if row < 5000}) for part in np.split(order, 200)]
    assert max(in_use) <= 6


def test_shards_alone_have_the_order_that_they_had():
    counts = np.array([7, 11, 3])
    orders = [[row for _, row in ShardSampler(counts, **loose)] for loose in ({}, {"loose": 0})]
    assert orders[0] == orders[1]


def test_shards_of_other_keypoints_are_learned_by_name(sources, tmp_path):
    other = replace(
        COCO17, name="other", keypoint_names=("left_wrist", "nose", "tail"), flip_pairs=(),
        links=(), sigmas=(0.05,) * 3, upper_body=(), joint_weights=(1.0,) * 3,
    )  # fmt: skip
    people = make_people(5)
    images = write_images(people, tmp_path / "d" / "images", seed=5)
    named = [9, 0, 1]
    people = replace(
        people,
        keypoints_image=people.keypoints_image[:, named],
        visibility=people.visibility[:, named],
    )
    stored = StoredCrops((32, 64), AugmentConfig(), other)
    write_shards(people, images, tmp_path / "d" / "shards", stored)
    parts = [sources["a"], {"shards": str(tmp_path / "d" / "shards")}]
    data, _ = crops_of(load_config("demo", settings(sources, *parts)))
    seen = np.flatnonzero((data.people.visibility[10:] > 0).any(axis=0))
    assert data.people.visibility.shape == (15, 17)
    assert set(seen) <= {0, 9}, "nose and left wrist; no tail in COCO"


def test_a_mix_trains_at_another_size_of_the_same_aspect(sources, tmp_path, caplog):
    larger = ["codec.input_wh=[64, 128]", "train.epochs=1"]
    parts = settings(sources, {**sources["a"], "repeat": 2}, sources["b"], sources["c"])
    config = load_config("demo", [*parts, *larger])
    assert train(config, tmp_path / "run", device="cpu").exists()
    assert "was cut for an input of 64x32: crops of 128x64 show no more" in caplog.text
    with pytest.raises(ValueError, match=f"^{sources['a']['shards']} does not hold the crops"):
        crops_of(load_config("demo", [*parts, "codec.input_wh=[64, 64]"]))
