"""Intervals and paired comparisons: exact where they can be, and right as often as they say."""

from __future__ import annotations

import copy
import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_hrnet.data.formats.coco import read_coco
from pose_hrnet.evaluation.metrics.coco_ap import COCO_METRICS, match_results
from pose_hrnet.evaluation.metrics.coco_truth import Truth
from pose_hrnet.evaluation.scorer import FileTruth
from pose_hrnet.evaluation.statistics.bootstrap import Interval, bootstrap
from pose_hrnet.evaluation.statistics.curves import Curves
from pose_hrnet.evaluation.statistics.keypoints import BestPoses
from pose_hrnet.evaluation.statistics.results import MatchedFile
from pose_hrnet.evaluation.statistics.weighted import Ratios
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.coco_files import make_results, make_truth


def written_out(truth, results, counts):
    """The files with each image as often as `counts` says, one after the other."""
    images, annotations, rows = [], [], []
    for image, count in zip(sorted(i["id"] for i in truth["images"]), counts, strict=True):
        for _ in range(count):
            new = {"image_id": len(images) + 1}
            images.append({"id": new["image_id"]})
            annotations += [a | new for a in truth["annotations"] if a["image_id"] == image]
            rows += [r | new for r in results if r["image_id"] == image]
    annotations = [a | {"id": number} for number, a in enumerate(annotations, start=1)]
    return truth | {"images": images, "annotations": annotations}, rows


def pycocotools_itself(truth, results):
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def matched(tmp_path, truth, results):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    return match_results(Truth.of(read_coco(path), 17), results)


def draw(seed, images=40):
    """Truth and results with many equal scores, also of one image, duplicates and misses."""
    rng = np.random.default_rng(seed)
    truth = make_truth(seed, images=images)
    results = make_results(truth, 6, seed=seed)
    for row in [row for row in results if rng.random() < 0.5]:
        points = np.reshape(row["keypoints"], (-1, 3)) + rng.normal(0, 4, (17, 3))
        results.append(row | {"keypoints": points.ravel().tolist()})
    results = [row for row in results if rng.random() > 0.1]
    levels = (1, 3, 10, 1000)[seed % 4]
    for row in results:
        row["score"] = round(float(rng.integers(1, levels + 1)) / levels, 3)
    rng.shuffle(results)
    return truth, results


@pytest.mark.parametrize("seed", range(4))
def test_weighted_numbers_are_pycocotools_of_the_images_written_out(tmp_path, seed):
    truth, results = draw(seed)
    curves = Curves.of(matched(tmp_path, truth, results))
    count = len(truth["images"])
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=5)
    weights[0] = np.random.default_rng(seed).integers(0, 8, count)
    found = curves.weighted(weights)
    assert curves.names == COCO_METRICS
    for row, counts in zip(found, weights, strict=True):
        expected = pycocotools_itself(*written_out(truth, results, counts))
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)


def test_the_drawn_files_have_ties_within_images(tmp_path):
    ties = [Curves.of(matched(tmp_path, *draw(seed))).categories[0].ties for seed in range(4)]
    assert [int((each >= 0).sum()) > 10 for each in ties[:3]] == [True] * 3


def saved(tmp_path, truth, results, name="results.json"):
    """Paths of both files."""
    paths = tmp_path / "truth.json", tmp_path / name
    for path, content in zip(paths, (truth, results), strict=True):
        path.write_text(json.dumps(content))
    return paths


def matched_file(tmp_path, truth, results):
    annotations, path = saved(tmp_path, truth, results)
    return MatchedFile.of(FileTruth.of(annotations), path)


def test_keypoint_numbers_by_hand(tmp_path):
    truth = make_truth(images=2)
    truth["annotations"] = truth["annotations"][:1]
    person = truth["annotations"][0]
    points = np.reshape(person["keypoints"], (-1, 3)).astype(float)
    labelled = points[:, 2] > 0
    side = max(person["bbox"][2:])
    moved = points.copy()
    moved[:, 0] += np.linspace(0.01, 0.3, 17) * side
    far = points + np.array([500, 500, 0])
    rows = [
        {"image_id": person["image_id"], "category_id": 1, "score": score}
        | {"keypoints": each.ravel().tolist()}
        for each, score in ((far, 0.9), (moved, 0.1))
    ]
    best = BestPoses.of(matched(tmp_path, truth, rows), COCO17.keypoint_names)
    assert best.pose.tolist() == [1]  # the nearer one, not the one of the higher score
    np.testing.assert_allclose(best.errors[0, labelled], np.linspace(0.01, 0.3, 17)[labelled])
    assert np.isnan(best.errors[0, ~labelled]).all()
    distance = np.linspace(0.01, 0.3, 17) * side
    oks = np.exp(-(distance**2) / (2 * person["area"] * (2 * np.array(COCO17.sigmas)) ** 2))
    np.testing.assert_allclose(best.similarity[0, labelled], oks[labelled])
    assert best.oks[0] == pytest.approx(oks[labelled].mean())
    once = np.ones((1, 2), int)
    pck = best.pck().weighted(once)[0]
    expected = [(np.linspace(0.01, 0.3, 17)[labelled] < t).mean() for t in (0.05, 0.1, 0.2)]
    np.testing.assert_allclose(pck, expected)
    similarity = best.by_keypoint()[0].weighted(once)[0]
    np.testing.assert_allclose(similarity, np.where(labelled, oks, np.nan))


def test_a_person_without_any_result_has_no_keypoint_right(tmp_path):
    best = matched_file(tmp_path, make_truth(), []).best
    assert best.pose.max() == -1
    assert best.pck().weighted(np.ones((1, 6), int)).tolist() == [[0, 0, 0]]


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    values = np.random.default_rng(0).normal(10, 2, (400, 1))
    draws = bootstrap(Ratios(("mean",), values, np.ones((400, 1))), replicates=4000)
    interval = draws.intervals().values["mean"]
    assert interval.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03 * half * 2)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03 * half * 2)


def test_a_seed_gives_the_same_draws_of_every_statistic_in_any_chunks(monkeypatch):
    values = np.random.default_rng(0).random((50, 2))
    one = bootstrap(Ratios(("a", "b"), values, np.ones((50, 2))), replicates=200, seed=3)
    monkeypatch.setattr("pose_hrnet.evaluation.statistics.bootstrap._COUNTS_AT_ONCE", 60)
    two = bootstrap(Ratios(("b",), values[:, 1:], np.ones((50, 1))), replicates=200, seed=3)
    np.testing.assert_allclose(one.draws[:, 1:], two.draws, rtol=1e-12)
    other = bootstrap(Ratios(("b",), values[:, 1:], np.ones((50, 1))), replicates=200, seed=4)
    assert np.abs(two.draws - other.draws).max() > 0.01


def test_clusters_are_drawn_whole():
    """Ten copies of each image are no more to know than the images."""
    values = np.random.default_rng(0).random((60, 1))
    once = bootstrap(Ratios(("x",), values, np.ones((60, 1))))
    copied = Ratios(("x",), np.repeat(values, 10, 0), np.ones((600, 1)))
    video = bootstrap(copied, clusters=[f"v{i // 10}" for i in range(600)], unit="video")
    np.testing.assert_allclose(once.draws, video.draws, rtol=1e-12)
    assert (video.units, video.unit) == (60, "video")
    apart = bootstrap(copied)
    assert np.ptp(apart.draws) < 0.6 * np.ptp(once.draws)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (1, "one image says nothing of others: there are no intervals"),
        (40, "40 images are few: under 100, intervals are themselves uncertain"),
        (100, None),
    ],
)
def test_few_images_are_told_of(images, told):
    values = np.random.default_rng(0).random((images, 1))
    found = bootstrap(Ratios(("x",), values, np.ones((images, 1)))).intervals()
    assert (found.values["x"].low is None) == (images == 1)
    assert [note.startswith(told) for note in found.notes] == [True] * (told is not None)


def test_no_interval_where_most_draws_have_nothing_to_count():
    below = np.zeros((200, 2))
    below[:, 0], below[0, 1] = 1, 1
    found = bootstrap(Ratios(("all", "rare"), below * 0.5, below)).intervals()
    assert found.values["rare"] == Interval(0.5)
    assert found.values["rare"].in_words() == "0.500 [-]"
    assert found.notes == ("no interval for rare: too few of the images have what is counted",)
    nothing = bootstrap(Ratios(("none",), 0 * below[:, :1], 0 * below[:, :1])).intervals()
    assert nothing.values["none"].in_words() == "-"


def test_all_numbers_of_a_file_are_those_that_score_gives(tmp_path):
    truth, results = draw(3)
    file = matched_file(tmp_path, truth, results)
    expected = file.truth.score(tmp_path / "results.json").values
    found = bootstrap(file.everything, replicates=20).intervals().values
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-12)
    assert [name for name in found if name.endswith("nose")] == ["OKS nose", "PCK@0.1 nose"]
    assert bootstrap(file.ap, replicates=20).draws.shape == (20, 1)


def test_crowdpose_has_intervals_of_its_own_numbers(tmp_path):
    truth = make_truth(images=12, num_keypoints=14)
    for at, image in enumerate(truth["images"]):
        image["crowdIndex"] = (0.05, 0.5, 0.9)[at % 3]
    results = make_results(truth, 6)
    annotations, path = saved(tmp_path, truth, results)
    file = MatchedFile.of(FileTruth.of(annotations, metric="crowdpose"), path)
    expected = file.truth.score(path).values
    found = bootstrap(file.metrics, replicates=20).intervals().values
    assert {name: value.value for name, value in found.items()} == pytest.approx(expected)
    assert all(value.low <= value.value <= value.high for value in found.values())


def test_nothing_to_score_is_a_sentence(tmp_path):
    truth = make_truth()
    for person in truth["annotations"]:
        person["iscrowd"] = 1
    with pytest.raises(ValueError, match="it has no person with keypoints, crowds aside"):
        matched_file(tmp_path, truth, [])
