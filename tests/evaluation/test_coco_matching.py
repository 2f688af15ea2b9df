"""Matching all images at once gives what pycocotools' loop gives, to the last bit."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from pose_hrnet.data.formats.coco import read_coco
from pose_hrnet.data.formats.results import read_results

# Private: ten numbers could agree by chance; here it is every OKS, match and curve.
from pose_hrnet.evaluation.metrics import coco_matching
from pose_hrnet.evaluation.metrics.coco_ap import (
    _evaluate,
    _index,
    _person_rows,
    _result_rows,
    _sigmas,
    number_results,
    score_results,
)
from pose_hrnet.evaluation.metrics.coco_truth import Truth
from pose_hrnet.keypoints.skeleton import COCO17

CASES = 150
AREAS = [0, 500, 32**2, 3000, 96**2, 96**2 + 1e-4, 20_000, 50_000]


def draw_person(rng, image, category, num_keypoints):
    area = float(rng.choice(AREAS))
    side = max(area, 400) ** 0.5 * 1.3
    corner = rng.uniform(0, 200, 2)
    keypoints = rng.uniform((*corner, 0), (*corner + side, 1), (num_keypoints, 3)).round(1)
    keypoints[:, 2] = rng.integers(0, 3, num_keypoints)
    keypoints *= (keypoints[:, 2:] > 0) & (rng.random() > 0.15)  # some have none at all
    counted = int((keypoints[:, 2] > 0).sum())
    return {
        "image_id": image,
        "category_id": category,
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": counted if rng.random() > 0.1 else 0,
        "bbox": [*corner.tolist(), side, side],
        "area": area,
        "iscrowd": int(rng.random() < 0.15),
    }


def draw_truth(rng, num_keypoints):
    """Up to 6 images and 2 categories; some images without persons, some persons twice.

    The second may have fewer labels, so that one result fits both equally well, another one not.
    """
    images = range(1, int(rng.integers(2, 8)))
    persons = [
        draw_person(
            rng, image, int(rng.integers(1, 3)) if rng.random() < 0.1 else 1, num_keypoints
        )
        for image in images
        for _ in range(rng.integers(0, 6))
    ]
    for person in [copy.deepcopy(person) for person in persons if rng.random() < 0.3]:
        keypoints = np.reshape(person["keypoints"], (-1, 3))
        keypoints *= rng.random((num_keypoints, 1)) > rng.choice([0, 0.7])
        counted = min(person["num_keypoints"], int((keypoints[:, 2] > 0).sum()))
        persons.append(
            person | {"keypoints": keypoints.ravel().tolist(), "num_keypoints": counted}
        )
    rng.shuffle(persons)
    return {
        "images": [{"id": image} for image in images],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": [{"id": i, **person} for i, person in enumerate(persons, start=1)],
    }


def draw_results(rng, truth, num_keypoints):
    """Persons found exactly, nearly or not at all; scores and whole results are repeated."""
    persons, rows = truth["annotations"], []
    levels = rng.choice([1, 2, 10, 1000])
    for _ in range(rng.integers(1, 90) * (rng.random() > 0.1)):
        image, keypoints = int(rng.choice(truth["images"])["id"]), rng.random((num_keypoints, 3))
        keypoints *= 250
        if persons and rng.random() < 0.8:
            person = rng.choice(persons)
            image, keypoints = person["image_id"], np.reshape(person["keypoints"], (-1, 3)).copy()
            noise = rng.choice([0, 0, 0.02, 0.05, 0.15]) * max(person["area"], 100) ** 0.5
            moved = rng.random((num_keypoints, 1)) < rng.choice([0.2, 1])
            keypoints[:, :2] += moved * (rng.normal(0, 1, (num_keypoints, 2)) * noise).round()
        rows.append(
            {
                "image_id": image,
                "category_id": 1 if rng.random() < 0.9 else 2,
                "keypoints": keypoints.ravel().tolist(),
                "score": float(rng.integers(levels) / levels),
                "bbox": [0, 0, float(rng.choice(AREAS)), 1],
            }
        )
        if rng.random() < 0.2:
            rows.append(rows[rng.integers(len(rows))])
    return rows


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Drawn cases as `_evaluate` takes them."""
    drawn = []
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        k = int(rng.choice([17, 17, 4, 9, 14]))
        sigmas = _sigmas(None if k == 17 else rng.uniform(0.02, 0.15, k))
        content = draw_truth(rng, k)
        path = tmp_path_factory.mktemp("truth") / "truth.json"
        path.write_text(json.dumps(content))
        truth = Truth.of(read_coco(path), k)
        results = number_results(read_results(draw_results(rng, content, k), k), truth, k, [])
        count = int(rng.integers(1, len(content["images"]) + 1))
        images = sorted(rng.permutation(len(content["images"]))[:count] + 1)
        drawn.append((truth, results, [int(i) for i in images], sigmas))
    return drawn


def test_the_cases_have_what_makes_matching_hard(cases):
    persons = [truth.persons for truth, *_ in cases]
    assert sum(each.is_crowd.sum() for each in persons) > 50
    assert sum((each.num_keypoints == 0).sum() for each in persons) > 50
    assert sum((~each.keypoints[..., 2].any(axis=1)).sum() for each in persons) > 50
    per_image = [np.bincount(results.image_numbers) for _, results, *_ in cases]
    assert sum((counts > 20).sum() for counts in per_image) > 20
    assert any(0 in counts[1:] for counts in per_image)
    assert any(len(results) == 0 for _, results, *_ in cases)
    ties = [len(results) - len(np.unique(results.scores)) for _, results, *_ in cases]
    assert sum(ties) > 500
    assert any(len(images) < len(truth.image_numbers) for truth, _, images, _ in cases)


def test_every_match_and_curve_is_that_of_pycocotools(cases):
    for number, case in enumerate(cases):
        fast, told = _evaluate(*case, "fast")
        slow, _ = _evaluate(*case, "pycocotools")
        assert told.endswith("matched at once")
        for ours, theirs in zip(fast.evalImgs, slow.evalImgs, strict=True):
            assert (ours is None) == (theirs is None), number
            if ours is not None:
                np.testing.assert_array_equal(ours["dtMatches"], theirs["dtMatches"] > 0)
                np.testing.assert_array_equal(ours["dtIgnore"], theirs["dtIgnore"])
                np.testing.assert_array_equal(ours["dtScores"], theirs["dtScores"])
                np.testing.assert_array_equal(np.sort(ours["gtIgnore"]), theirs["gtIgnore"])
        for curve in ("precision", "recall", "scores"):
            np.testing.assert_array_equal(fast.eval[curve], slow.eval[curve])
        assert fast.stats.tolist() == slow.stats.tolist(), number


def test_every_oks_is_that_of_pycocotools(cases, monkeypatch):
    """Also in chunks: the order of additions decides the last bits."""
    monkeypatch.setattr(coco_matching, "_CHUNK", 50)
    compared = 0
    for truth, results, images, sigmas in cases:
        evaluation = COCOeval(
            _index(truth, _person_rows(truth.persons)),
            _index(truth, _result_rows(results)),
            "keypoints",
        )
        evaluation.params.imgIds, evaluation.params.kpt_oks_sigmas = images, sigmas
        evaluation._prepare()
        persons = coco_matching._persons_of(truth.persons, 1, images)
        found = results[results.category_numbers == 1]
        found = found[coco_matching.best_results(found, evaluation.params.maxDets[-1])[0]]
        oks = coco_matching.pair_up(persons, found, sigmas).oks
        expected = [evaluation.computeOks(image, 1) for image in images]
        expected = np.concatenate([np.ravel(values) for values in expected])
        np.testing.assert_array_equal(oks, expected)
        compared += len(oks)
    assert compared > 5000


def test_an_oks_that_is_not_a_number_is_left_to_pycocotools(cases, tmp_path):
    """A sigma of 0 divides 0 by 0 where the keypoint is found exactly."""
    rng = np.random.default_rng(0)
    content = draw_truth(rng, 17)
    (tmp_path / "truth.json").write_text(json.dumps(content))
    results = draw_results(rng, content, 17)
    sigmas = [0.0, *COCO17.sigmas[1:]]
    with np.errstate(all="ignore"):
        both = [
            score_results(tmp_path / "truth.json", results, sigmas=sigmas, evaluator=evaluator)
            for evaluator in ("fast", "pycocotools")
        ]
    assert both[0].values == both[1].values
    assert both[0].evaluator == both[1].evaluator
