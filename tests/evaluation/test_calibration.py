"""Scores beside what they stand for, and the curve that makes probabilities of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.config.data import DataSet
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.evaluation.calibration import (
    BINS,
    Reliability,
    calibrate,
    fit_calibration,
    keypoint_reliability,
    keypoint_scores,
    person_reliability,
)
from pose_hrnet.evaluation.diagnosis.kinds import classify_keypoints
from pose_hrnet.evaluation.diagnosis.scene import Scene
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.evaluation.metrics.coco_ap import match_results
from pose_hrnet.evaluation.statistics.bootstrap import bootstrap
from pose_hrnet.inference.load import load_model
from pose_hrnet.keypoints.calibration import Calibration
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.load import save_model
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.coco_files import annotate, detect
from tests.helpers.command_line import run_here
from tests.helpers.networks import card_of, tiny
from tests.helpers.oracle import Oracle, make_card
from tests.helpers.pose_models import pose_model


def drawn(seed, count, curve):
    """N scores, and similarities that reach 0.5 as often as a curve of the score says."""
    rng = np.random.default_rng(seed)
    scores = rng.random(count)
    return scores, np.where(rng.random(count) < curve(scores), 0.9, 0.1)


def reliability(scores, similarity, images=50):
    image = np.arange(len(scores)) % images
    return Reliability.of(image, scores, similarity >= 0.5, similarity, images)


def error(scores, similarity):
    every = reliability(scores, similarity)
    return float(every.weighted(np.ones((1, every.images), int))[0, 0])


def test_the_expected_error_is_the_mean_gap_of_ten_bins():
    scores = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 1.2, -3.0])
    similarity = np.array([0.9, 0.1, 0.9, 0.9, 0.1, 0.5, 0.0])
    every = reliability(scores, similarity)
    low, high = every.bins
    assert (low.low, low.high, low.count, low.right) == (0.0, 0.1, 3, pytest.approx(1 / 3))
    assert (high.count, high.right) == (4, 0.75)
    assert high.score == pytest.approx((3 * 0.95 + 1) / 4)
    assert low.similarity == pytest.approx(1 / 3)
    gaps = abs(0.1 / 3 - 1 / 3) * 3 + abs(high.score - 0.75) * 4
    assert error(scores, similarity) == pytest.approx(gaps / 7)
    assert every.outside == pytest.approx(2 / 7)
    assert every.count == 7


def test_it_is_small_for_probabilities_and_what_it_is_for_others():
    assert error(*drawn(0, 20_000, lambda s: s)) < 0.02
    assert error(*drawn(0, 20_000, np.sqrt)) == pytest.approx(1 / 6, abs=0.02)
    assert np.isnan(error(np.empty(0), np.empty(0)))


def test_its_interval_comes_of_drawn_images():
    scores, similarity = drawn(0, 2000, np.sqrt)
    interval = bootstrap(reliability(scores, similarity), replicates=200).intervals().values["ECE"]
    assert interval.low < error(scores, similarity) < interval.high
    assert interval.high - interval.low < 0.08


@pytest.mark.parametrize("curve", [np.sqrt, np.square, lambda s: 0.3 + 0.4 * s])
def test_a_fitted_curve_is_the_one_that_drew(curve):
    fitted = fit_calibration(*drawn(1, 50_000, curve))
    at = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(fitted(at), curve(at), atol=0.03)
    scores, similarity = drawn(2, 20_000, curve)
    assert error(fitted(scores), similarity) < 0.015


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(ValueError, match=r"199 labelled keypoints .* are too few"):
        fit_calibration(*drawn(0, 199, np.sqrt))
    with pytest.raises(ValueError, match="all keypoints have the score 1, which says nothing"):
        fit_calibration(np.ones(500), np.ones(500))
    fit_calibration(*drawn(0, 200, np.sqrt))


def test_keypoints_and_persons_of_a_results_file(tmp_path):
    """Labelled keypoints of results with a person; results, but for those that take a crowd."""
    rng = np.random.default_rng(0)
    keypoints = np.column_stack([rng.uniform(0, 200, (17, 2)), np.full(17, 2.0)]).round()
    keypoints[3] = 0
    one = annotate(1, 1, keypoints, 20_000.0, [0, 0, 200, 200])
    crowd = annotate(2, 1, aside(keypoints), 20_000.0, [500, 0, 200, 200])
    crowd["iscrowd"] = 1
    other = annotate(3, 2, keypoints, 20_000.0, [0, 0, 200, 200])
    truth = {
        "images": [{"id": 1}, {"id": 2}, {"id": 3}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [one, crowd, other],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    moved = keypoints.copy()
    moved[:2, 0] += 1000
    moved[:, 2] = np.arange(17) / 20
    far = aside(moved, 3000)
    results = [detect(1, moved, 0.95), detect(1, aside(moved), 0.9), detect(3, far, 0.35)]
    matched = match_results(path, results)
    scene = Scene.of(matched, COCO17.flip_index, None)
    errors = classify_keypoints(scene)
    scores, similarity = keypoint_scores(scene, errors)
    assert len(scores) == 16
    assert (similarity < 0.5).sum() == 2
    points = keypoint_reliability(matched, scene, errors)
    assert points.counts.sum(axis=1).tolist() == [16, 0, 0]
    assert points.right.sum() == 14
    persons = person_reliability(matched, scene)
    assert persons.counts.sum(axis=1).tolist() == [1, 0, 1]
    assert persons.right.sum() == 1
    assert persons.similarity.sum() == pytest.approx(14 / 16, abs=1e-6)
    assert persons.counts.shape == (3, BINS)


def aside(keypoints, pixels=500):
    return keypoints + np.array([pixels, 0, 0])


def oracle(data, calibration=None):
    """A model that knows the answers, once."""
    card = replace(make_card(), calibration=calibration)
    people = labelled_people(load_people(data.annotations))
    return pose_model(Oracle(people, data.images, card), card)


@pytest.fixture
def data(tmp_path):
    people = make_people(20)
    return DataSet(
        annotations=write_annotations(people, tmp_path / "people.json"),
        images=write_images(people, tmp_path / "images"),
    )


def test_calibrated_scores_are_probabilities_and_ap_is_the_same(data):
    curve, test = Calibration((0.0, 1.0), (0.25, 0.75)), EvaluateConfig(nms="none")
    plain = evaluate(oracle(data), data, test)
    calibrated = evaluate(oracle(data, curve).calibrated(), data, test)
    assert calibrated.scores == plain.scores
    assert calibrated.provenance["calibrated"]
    np.testing.assert_array_equal(calibrated.poses.scores, plain.poses.scores)
    np.testing.assert_allclose(
        calibrated.poses.keypoint_scores, curve(plain.poses.keypoint_scores)
    )
    with pytest.raises(ValueError, match=r"weights calibrate"):
        oracle(data).calibrated()
    measured, evaluation = calibrate(oracle(data), data)
    assert evaluation.scores == evaluate(oracle(data), data).scores
    assert measured.probabilities[-1] > 0.9


def test_weights_calibrate_writes_what_calibrated_reads(data, tmp_path, monkeypatch):
    network = tiny()
    path, output = tmp_path / "tiny.safetensors", tmp_path / "out.safetensors"
    save_model(path, network.state_dict(), card_of(network))
    options = ("--annotations", data.annotations, "--images", data.images)
    _, said = run_here("weights", "calibrate", path, *options, "-o", tmp_path / "o.pt", code=2)
    assert "becomes a .safetensors file; name it o.safetensors" in said
    _, said = run_here("weights", "calibrate", "w.onnx", *options, "-o", output, code=2)
    assert "w.onnx is an exported model; give the checkpoint" in said
    answers = oracle(data)
    monkeypatch.setattr("pose_hrnet.inference.load.load_model", lambda path: answers)
    said, _ = run_here("weights", "calibrate", path, *options, "-o", output, "--workers", 0)
    assert f"20 persons of people.json; written to {output}" in said
    monkeypatch.undo()
    model = load_model(output, backend="eager").calibrated()
    assert model.calibration == calibrate(oracle(data), data)[0]
    for command in (
        ("evaluate", *options, "--workers", 0, "-o", tmp_path / "e"),
        ("predict", data.images, "--whole-image", "-o", tmp_path / "p", "--no-overlays"),
    ):
        command = (*command, "--calibrated", "--backend", "eager")
        _, said = run_here(*command, "-c", path, code=2)
        assert "the model's card does not say what its scores mean" in said
        run_here(*command, "-c", output)
        rows = json.loads((tmp_path / command[0][0] / "results.json").read_text())
        found = {score for row in rows for score in row["keypoints"][2::3]}
        assert all(model.calibration.probabilities[0] - 1e-6 <= each <= 1 for each in found)


def test_a_yaml_card_gets_its_calibration(data, tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "some.onnx").touch()
    card = folder / "some.yaml"
    card.write_text("input_wh: [96, 128]  # by hand\ncodec: dark\nblur_kernel: 3\n")
    answers = oracle(data)
    monkeypatch.setattr("pose_hrnet.inference.load.load_model", lambda path: answers)
    output = tmp_path / "calibrated.yaml"
    options = ("--annotations", data.annotations, "--images", data.images, "--workers", 0)
    run_here("weights", "calibrate", card, *options, "-o", output)
    before, after = ModelCard.read_yaml(card), ModelCard.read_yaml(output)
    assert before.calibration is None
    assert after.calibration == calibrate(oracle(data), data)[0]
    assert (after.codec, after.skeleton) == (before.codec, before.skeleton)
    assert "model: models/some.onnx" in output.read_text()
