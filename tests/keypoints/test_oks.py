"""OKS and OKS-NMS against the official numbers, plain loops, and their own properties."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from pose_hrnet.evaluation.metrics.coco_ap import score_results
from pose_hrnet.keypoints.oks import (
    keypoint_similarities,
    oks_matrix,
    oks_nms,
    rescore,
    soft_oks_nms,
    times,
)
from pose_hrnet.keypoints.records import Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17

SIGMAS = COCO17.sigmas


def draw_poses(seed, images=12, persons=3, copies=5, image_id=int):
    """Noisy copies of a few persons per image, rows shuffled, scores all different."""
    rng = np.random.default_rng(seed)
    n = images * persons * copies
    centres = rng.uniform(0, 300, (images, persons, 1, 17, 2))
    noise = rng.normal(0, 1, (images, persons, copies, 17, 2))
    spread = rng.uniform(0, 12, (images, persons, copies, 1, 1))
    corners = rng.uniform(0, 100, (n, 2))
    poses = Poses(
        image_ids=object_array([image_id(i) for i in np.repeat(range(images), n // images)]),
        keypoints_image=(centres + noise * spread).reshape(n, 17, 2).astype(np.float32),
        keypoint_scores=rng.random((n, 17), dtype=np.float32),
        boxes_xyxy=np.hstack([corners, corners + 50]).astype(np.float32),
        scores=(rng.permutation(n) + 1).astype(np.float32) / n,
        areas=rng.uniform(1000, 9000, n).astype(np.float32),
    )
    # Uneven numbers of poses per image, as a detector gives.
    return poses[rng.permutation(n)[: n * 2 // 3]]


def oks_of_two(poses, i, j):
    """The official formula, one keypoint after the other."""
    area = (float(poses.areas[i]) + float(poses.areas[j])) / 2
    total = 0.0
    for k, sigma in enumerate(SIGMAS):
        dx, dy = np.float64(poses.keypoints_image[i, k]) - poses.keypoints_image[j, k]
        total += np.exp(-(dx**2 + dy**2) / (2 * sigma) ** 2 / (area + np.spacing(1)) / 2)
    return total / len(SIGMAS)


def rows_of(poses, chosen):
    """Row numbers in `poses` of the chosen rows (scores differ between all rows)."""
    row = {score: i for i, score in enumerate(poses.scores.tolist())}
    return [row[score] for score in chosen.scores.tolist()]


def nms_by_loops(poses, threshold):
    kept = []
    for image in dict.fromkeys(poses.image_ids):
        here = [i for i in range(len(poses)) if poses.image_ids[i] == image]
        chosen = []
        for i in sorted(here, key=lambda i: -poses.scores[i]):
            if all(oks_of_two(poses, i, j) <= threshold for j in chosen):
                chosen.append(i)
        kept += chosen
    return kept


def soft_nms_by_loops(poses, threshold, cap):
    taken, decayed = [], []
    for image in dict.fromkeys(poses.image_ids):
        scores = {
            i: float(poses.scores[i]) for i in range(len(poses)) if poses.image_ids[i] == image
        }
        for _ in range(min(len(scores), cap)):
            best = max(scores, key=lambda i: scores[i])
            taken.append(best)
            decayed.append(scores.pop(best))
            for i in scores:
                scores[i] *= np.exp(-(oks_of_two(poses, best, i) ** 2) / threshold)
    return taken, decayed


def test_oks_is_one_for_the_same_pose_and_symmetric():
    poses = draw_poses(0)
    both = poses.keypoints_image, poses.areas
    oks = oks_matrix(*both, *both, SIGMAS)
    assert oks.shape == (len(poses), len(poses))
    assert oks.dtype == np.float64
    np.testing.assert_array_equal(np.diag(oks), 1.0)
    np.testing.assert_array_equal(oks, oks.T)
    assert oks.min() >= 0
    assert 0.05 < oks[oks < 1].max() < 1


def test_oks_of_one_sigma_step_has_the_value_of_the_formula():
    """Moving each keypoint by 2 sigma sqrt(area), that is k sqrt(area), gives exp(-1/2)."""
    area = 5000.0
    pose = np.random.default_rng(0).uniform(0, 200, (1, 17, 2))
    step = 2 * np.array(SIGMAS)[:, None] * np.sqrt(area) * [0.6, 0.8]
    oks = oks_matrix(pose, [area], pose + step, [area], SIGMAS)
    assert oks.item() == pytest.approx(np.exp(-0.5), abs=1e-12)
    mean_area = oks_matrix(pose, [area / 2], pose + step, [area * 3 / 2], SIGMAS)
    assert mean_area.item() == pytest.approx(np.exp(-0.5), abs=1e-12)


def test_oks_against_the_official_formula_in_loops():
    poses = draw_poses(1, images=1)
    a, b = poses[:4], poses[4:]
    oks = oks_matrix(a.keypoints_image, a.areas, b.keypoints_image, b.areas, SIGMAS)
    expected = [[oks_of_two(poses, i, j) for j in range(4, len(poses))] for i in range(4)]
    np.testing.assert_allclose(oks, expected, atol=1e-14)


def test_oks_on_ground_truth_is_that_of_pycocotools():
    rng = np.random.default_rng(2)
    truth = rng.uniform(0, 200, (3, 17, 3))
    truth[..., 2] = rng.integers(0, 3, (3, 17))
    found = truth[rng.integers(0, 3, 5), :, :2] + rng.normal(0, 4, (5, 17, 2))
    areas = rng.uniform(1000, 9000, 3)
    evaluation = COCOeval(iouType="keypoints")
    # Private: in pycocotools, whose annotations come from files otherwise.
    evaluation._gts[1, 1] = [
        {"keypoints": t.ravel(), "bbox": [0, 0, 1, 1], "area": area}
        for t, area in zip(truth, areas, strict=True)
    ]
    evaluation._dts[1, 1] = [
        {"keypoints": np.insert(f, 2, 1, axis=1).ravel(), "score": -i} for i, f in enumerate(found)
    ]
    oks = oks_matrix(truth[..., :2], areas, found, None, SIGMAS, visible=truth[..., 2])
    np.testing.assert_allclose(oks.T, evaluation.computeOks(1, 1), atol=1e-14)


def test_oks_counts_only_the_visible_keypoints():
    pose = np.zeros((2, 17, 2))
    moved = pose.copy()
    moved[:, 5:] += 1e4
    visible = np.zeros((2, 17))
    visible[0, :6] = 2
    oks = oks_matrix(pose, [100.0, 100.0], moved, None, SIGMAS, visible=visible)
    np.testing.assert_allclose(oks, [[5 / 6, 5 / 6], [0, 0]])


def test_oks_is_the_mean_of_what_each_keypoint_has():
    poses = draw_poses(3)
    both = poses.keypoints_image, poses.areas
    each = keypoint_similarities(*both, *both, SIGMAS)
    assert each.shape == (len(poses), len(poses), 17)
    np.testing.assert_allclose(each.mean(axis=-1), oks_matrix(*both, *both, SIGMAS))


def test_oks_takes_batch_axes():
    poses = draw_poses(3)[:24]
    keypoints = poses.keypoints_image.reshape(4, 6, 17, 2)
    areas = poses.areas.reshape(4, 6)
    batched = oks_matrix(keypoints, areas, keypoints, areas, SIGMAS)
    one_by_one = [oks_matrix(k, a, k, a, SIGMAS) for k, a in zip(keypoints, areas, strict=True)]
    np.testing.assert_array_equal(batched, one_by_one)


def test_oks_of_a_pose_without_area_is_finite():
    pose = np.zeros((1, 17, 2))
    assert oks_matrix(pose, [0.0], pose, [0.0], SIGMAS).item() == 1
    assert oks_matrix(pose, [0.0], pose + 1, [0.0], SIGMAS).item() == 0


def test_a_wrong_number_of_sigmas_is_refused():
    poses = draw_poses(4)
    with pytest.raises(ValueError, match="16 sigmas for poses of 17"):
        oks_nms(poses, SIGMAS[:-1])
    with pytest.raises(ValueError, match="give one sigma per keypoint"):
        soft_oks_nms(poses[:1], SIGMAS[:1])


def test_rescore_is_box_score_times_the_mean_above_the_threshold():
    poses = draw_poses(5)[:3]
    keypoint_scores = np.zeros((3, 17), dtype=np.float32)
    keypoint_scores[0, :3] = 0.9, 0.5, 0.1
    keypoint_scores[1] = 0.2
    keypoint_scores[2] = 0.8
    before = replace(
        poses, keypoint_scores=keypoint_scores, scores=np.array([0.5, 1.0, 0.25], np.float32)
    )
    after = rescore(before, keypoint_threshold=float(np.float32(0.2)))
    np.testing.assert_allclose(after.scores, [0.5 * 0.7, 0.0, 0.25 * 0.8], rtol=1e-6)
    assert after.scores.dtype == np.float32
    assert before.scores[0] == 0.5
    np.testing.assert_allclose(rescore(before, keypoint_threshold=0).scores[0], 0.25, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_scores_beyond_single_precision_stay_numbers():
    poses = replace(draw_poses(5)[:3], scores=np.array([1e30, -1e30, 0.5], np.float32))
    scores = times(poses, [1e20, 1e20, 0.5]).scores
    assert scores.dtype == np.float32
    most = np.finfo(np.float32).max
    assert scores.tolist() == [most, -most, 0.25]
    high = replace(poses, keypoint_scores=np.full((3, 17), 1e20, np.float32))
    assert np.isfinite(rescore(high).scores).all()


@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_nms_is_that_of_plain_loops(threshold):
    poses = draw_poses(6)
    kept = rows_of(poses, oks_nms(poses, SIGMAS, threshold=threshold))
    assert kept == nms_by_loops(poses, threshold)
    assert len(kept) < len(poses)


@pytest.mark.parametrize(("cap", "threshold"), [(4, 0.9), (1000, 0.5)])
def test_soft_nms_is_that_of_plain_loops(cap, threshold):
    poses = draw_poses(7)
    options = {"threshold": threshold, "max_per_image": cap if cap < 1000 else None}
    taken, decayed = soft_nms_by_loops(poses, threshold, cap)
    assert rows_of(poses, soft_oks_nms(poses, SIGMAS, **options)) == taken
    soft = soft_oks_nms(poses, SIGMAS, **options, decay_scores=True)
    np.testing.assert_allclose(soft.scores, decayed, rtol=1e-6)
    np.testing.assert_array_equal(soft.keypoints_image, poses.keypoints_image[taken])


def test_nms_keeps_the_best_of_duplicates():
    pose = draw_poses(8)[:1]
    copies = replace(pose[[0, 0, 0]], scores=np.array([0.4, 0.9, 0.6], np.float32))
    assert oks_nms(copies, SIGMAS).scores.tolist() == [np.float32(0.9)]
    assert len(oks_nms(copies, SIGMAS, threshold=1.0)) == 3  # OKS at the threshold stays
    apart = replace(copies, image_ids=object_array([1, "1", 2]))
    assert len(oks_nms(apart, SIGMAS)) == 3


def test_a_suppressed_pose_suppresses_nothing():
    """Of a chain of three, the middle goes with the first, and the last stays."""
    pose = draw_poses(9)[:1]
    chain = pose[[0, 0, 0]]
    step = np.float32([[[0]], [[3]], [[6]]]) * np.float32([1, 0])
    chain = replace(
        chain,
        keypoints_image=chain.keypoints_image + step,
        scores=np.array([0.9, 0.8, 0.7], np.float32),
        areas=np.full(3, 5000, np.float32),
    )
    both = chain.keypoints_image, chain.areas
    oks = oks_matrix(*both, *both, SIGMAS)
    threshold = (oks[0, 1] + oks[0, 2]) / 2
    kept = oks_nms(chain, SIGMAS, threshold=threshold)
    np.testing.assert_array_equal(kept.scores, chain.scores[[0, 2]])


def test_soft_nms_never_raises_a_score_and_keeps_all_without_a_cap():
    poses = draw_poses(10)
    soft = soft_oks_nms(poses, SIGMAS, max_per_image=None, decay_scores=True)
    assert len(soft) == len(poses)
    before = {k.tobytes(): s for k, s in zip(poses.keypoints_image, poses.scores, strict=True)}
    lost = [
        before[k.tobytes()] - s for k, s in zip(soft.keypoints_image, soft.scores, strict=True)
    ]
    assert min(lost) >= 0
    assert max(lost) > 0.1


def test_the_official_soft_nms_reports_the_scores_from_before_and_caps_at_20():
    poses = draw_poses(11, images=2, persons=5, copies=10)
    soft = soft_oks_nms(poses, SIGMAS)
    assert {len([i for i in soft.image_ids if i == image]) for image in (0, 1)} == {20}
    assert set(soft.scores.tolist()) <= set(poses.scores.tolist())


@pytest.mark.parametrize("options", [{"threshold": 0}, {"max_per_image": 0}])
def test_soft_nms_refuses_settings_without_meaning(options):
    with pytest.raises(ValueError, match="give a threshold above 0"):
        soft_oks_nms(draw_poses(12), SIGMAS, **options)


@pytest.mark.parametrize("nms", [oks_nms, soft_oks_nms])
@pytest.mark.parametrize("image_id", [int, str])
def test_nms_does_not_depend_on_the_order_of_rows(nms, image_id):
    poses = draw_poses(13, image_id=image_id)
    shuffled = poses[np.random.default_rng(0).permutation(len(poses))]
    assert set(rows_of(poses, nms(poses, SIGMAS))) == set(rows_of(poses, nms(shuffled, SIGMAS)))


@pytest.mark.parametrize("nms", [oks_nms, soft_oks_nms])
def test_images_do_not_interact(nms):
    poses = draw_poses(14)
    together = nms(poses, SIGMAS)
    for image in set(poses.image_ids):
        alone = nms(poses[poses.image_ids == image], SIGMAS)
        here = together[together.image_ids == image]
        np.testing.assert_array_equal(alone.keypoints_image, here.keypoints_image)
        np.testing.assert_array_equal(alone.scores, here.scores)


@pytest.mark.parametrize("nms", [oks_nms, soft_oks_nms])
def test_no_poses_and_one_pose_pass(nms):
    poses = draw_poses(15)
    assert len(nms(poses[:0], SIGMAS)) == 0
    assert nms(poses[:1], SIGMAS).scores.tolist() == poses.scores[:1].tolist()


@pytest.mark.parametrize("nms", [oks_nms, soft_oks_nms])
def test_equal_scores_keep_the_earlier_row_and_nothing_is_mutated(nms):
    poses = replace(draw_poses(16), scores=np.full(120, 0.5, np.float32))
    copy = replace(poses, scores=poses.scores.copy(), areas=poses.areas.copy())
    first = nms(poses, SIGMAS, threshold=0.5)[0].keypoints_image
    np.testing.assert_array_equal(first, poses.keypoints_image[:1])
    np.testing.assert_array_equal(poses.scores, copy.scores)
    np.testing.assert_array_equal(poses.areas, copy.areas)


def load_reference(shared):
    """The reference predictions as `Poses` with box scores, and what is expected of them."""
    reference = json.loads((shared / "reference/oks_ap_coco_sample.json").read_text())
    rows = reference["predictions"]
    triples = np.array([r["keypoints"] for r in rows], np.float32).reshape(-1, 17, 3)
    poses = Poses(
        image_ids=object_array([r["image_id"] for r in rows]),
        keypoints_image=triples[..., :2],
        keypoint_scores=triples[..., 2],
        boxes_xyxy=np.zeros((len(rows), 4), np.float32),
        scores=np.array([r["box_score"] for r in rows], np.float32),
        areas=np.array([r["area"] for r in rows], np.float32),
    )
    return poses, reference["expected"]


@pytest.mark.parametrize(("nms", "key"), [(oks_nms, "nms"), (soft_oks_nms, "soft_nms")])
def test_the_official_code_keeps_the_same_poses_in_the_same_order(shared, nms, key):
    poses, expected = load_reference(shared)
    kept = nms(rescore(poses), SIGMAS)
    official = expected[key]["kept"]
    assert list(kept.image_ids) == [row["image_id"] for row in official]
    # The stored predictions are rounded to 4 decimals, so that means of scores differ by 5e-5.
    np.testing.assert_allclose(kept.scores, [row["score"] for row in official], atol=2e-5)
    first = np.array([row["first_keypoint"] for row in official])
    np.testing.assert_allclose(kept.keypoints_image[:, 0], first[:, :2], atol=1e-4)
    np.testing.assert_allclose(kept.keypoint_scores[:, 0], first[:, 2], atol=1e-4)


@pytest.mark.parametrize(("nms", "key"), [(oks_nms, "nms"), (soft_oks_nms, "soft_nms")])
def test_rescoring_nms_and_scoring_give_the_official_numbers(shared, nms, key):
    poses, expected = load_reference(shared)
    kept = nms(rescore(poses), COCO17.sigmas)
    keypoints = np.dstack([kept.keypoints_image, kept.keypoint_scores])
    results = [
        {"image_id": image_id, "category_id": 1, "keypoints": triples.ravel().tolist(), "score": s}
        for image_id, triples, s in zip(
            kept.image_ids, keypoints, kept.scores.tolist(), strict=True
        )
    ]
    scores = score_results(shared / "coco_sample/person_keypoints.json", results)
    official = list(expected[key]["stats"].values())
    np.testing.assert_allclose(list(scores.values.values()), official, atol=1e-6)
