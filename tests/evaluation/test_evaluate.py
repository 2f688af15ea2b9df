"""A network that knows the answers scores 1; whatever decides the numbers is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from pose_hrnet import PoseEstimator
from pose_hrnet.config.data import DataSet
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.images import read_rgb
from pose_hrnet.data.people import (
    labelled_people,
    load_people,
    people_to_predict,
    read_annotations,
)
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.evaluation.metrics.coco_ap import score_results
from pose_hrnet.evaluation.scorer import METRICS, score_file
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.choices import AnnotationKind
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.oracle import Oracle, make_card
from tests.helpers.pose_models import pose_model


@pytest.fixture
def data(tmp_path):
    people = make_people(12)
    return DataSet(
        annotations=write_annotations(people, tmp_path / "people.json"),
        images=write_images(people, tmp_path / "images"),
    )


def run(data, test, card=None):
    card = card or make_card()
    people = labelled_people(load_people(data.annotations))
    return evaluate(pose_model(Oracle(people, data.images, card), card), data, test)


@pytest.mark.parametrize("flip_test", [False, True])
def test_perfect_heatmaps_score_one(data, flip_test):
    evaluation = run(data, EvaluateConfig(flip_test=flip_test, batch_size=5, nms="none"))
    assert evaluation.scores.values["AP"] == pytest.approx(1.0)
    assert evaluation.scores.values["AR"] == pytest.approx(1.0)


def test_wrong_flip_shift_costs_ap(data):
    """The most frequent cause of an AP below the paper's must be visible in the number."""
    right = run(data, EvaluateConfig(nms="none"), make_card("gaussian"))
    wrong = run(data, EvaluateConfig(flip_shift=3, nms="none"), make_card("gaussian"))
    assert wrong.scores.values["AP"] < right.scores.values["AP"] - 0.05
    assert wrong.provenance["flip_shift_cells"] == 3
    assert right.provenance["flip_shift_cells"] == 1


def test_crops_are_cut_for_the_codec_that_decodes_them(data):
    """A card of another alignment changes nothing, neither for `evaluate` nor in Python."""
    udp, card = make_card("udp"), make_card("gaussian")
    people = labelled_people(load_people(data.annotations))
    image, box = read_rgb(data.images / people.images.file_names[0]), [[5, 5, 60, 90]]

    def oracle(card):
        return pose_model(Oracle(people, data.images, udp), card)

    test = EvaluateConfig(nms="none")
    own, other = oracle(udp), oracle(card).with_test_settings(codec=udp.codec)
    found = [evaluate(model, data, test).poses.keypoints_image for model in (own, other)]
    np.testing.assert_array_equal(*found)
    own, other = oracle(udp), oracle(card).with_test_settings(codec=udp.codec)
    found = [PoseEstimator(model)(image, box).keypoints_image for model in (own, other)]
    np.testing.assert_array_equal(*found)


def test_files_hold_the_numbers_and_what_made_them(data, tmp_path):
    evaluation = run(data, EvaluateConfig())
    evaluation.with_provenance({"checkpoint": "c.pt"}).write(tmp_path / "out")
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["AP"] == evaluation.scores.values["AP"]
    facts = metrics["evaluated"]
    assert facts["checkpoint"] == "c.pt"
    assert facts["boxes"] == "ground truth"
    assert (facts["images"], facts["persons_predicted"]) == (6, 12)
    assert facts["codec"]["name"] == "dark"
    rescored = score_results(data.annotations, tmp_path / "out/results.json")
    assert rescored.values == evaluation.scores.values
    assert facts["evaluator"] == rescored.evaluator


@pytest.mark.parametrize("name", ["comparison.json", "report.html"])
def test_what_is_of_other_poses_does_not_stay_beside_new_ones(data, tmp_path, caplog, name):
    for number in (1, 2):
        (tmp_path / name).write_text(f"{number}")
        run(data, EvaluateConfig()).write(tmp_path)
        assert caplog.messages[-1].endswith(f"{name}.{number}")
    assert not (tmp_path / name).exists()
    assert (tmp_path / f"{name}.1").read_text() == "1"
    assert not [*tmp_path.glob("results.json.*")]  # what is renewed is not kept


def test_each_person_keeps_its_category_and_only_those_asked_for_are_scored(data, tmp_path):
    content = json.loads(data.annotations.read_text())
    (category,) = content["categories"]
    content["categories"] = [category | {"id": i, "name": f"kind {i}"} for i in (3, 4)]
    for at, row in enumerate(content["annotations"]):
        row["category_id"] = 3 + at % 2
    data.annotations.write_text(json.dumps(content))
    test = EvaluateConfig(nms="none")
    together = run(data, test)
    assert {row["category_id"] for row in together.results} == {3, 4}
    assert together.scores.values["AP"] == pytest.approx(1.0)
    people = labelled_people(load_people(data.annotations, category="kind 4"))
    card = make_card()
    model = pose_model(Oracle(people, data.images, card), card)
    alone = evaluate(model, data.model_copy(update={"category": "kind 4"}), test)
    assert {row["category_id"] for row in alone.results} == {4}
    assert alone.scores.counts["persons"] == len(people) < len(together.results)
    assert alone.scores.values["AP"] == pytest.approx(1.0)


def predicted(data, **settings):
    return people_to_predict(read_annotations(data.annotations), data.boxes, COCO17, **settings)


def test_detections_replace_the_annotated_boxes_and_scores_count(data, tmp_path):
    people = labelled_people(load_people(data.annotations))
    detections = [
        {"image_id": image, "category_id": 1, "bbox": box.tolist(), "score": 0.5}
        for image, box in zip(people.image_ids, people.boxes_xywh, strict=True)
    ]
    weak = {**detections[0], "score": 0.01}
    (tmp_path / "boxes.json").write_text(json.dumps([*detections, weak]))
    with_boxes = data.model_copy(update={"boxes": tmp_path / "boxes.json"})
    assert len(predicted(with_boxes)) == 13
    assert len(predicted(with_boxes, min_box_score=0.1)) == 12
    evaluation = run(with_boxes, EvaluateConfig(min_box_score=0.1))
    assert evaluation.poses.scores.max() <= 0.5 + 1e-6
    assert evaluation.provenance["boxes"].endswith("boxes.json")


def doubled(data, folder):
    """The data set with a detector that finds everyone twice, and the persons it finds."""
    people = labelled_people(load_people(data.annotations))
    people = people[np.repeat(np.arange(len(people)), 2)]
    detections = [
        {"image_id": image, "category_id": 1, "bbox": box.tolist(), "score": 0.9}
        for image, box in zip(people.image_ids, people.boxes_xywh, strict=True)
    ]
    (folder / "boxes.json").write_text(json.dumps(detections))
    return data.model_copy(update={"boxes": folder / "boxes.json"}), people


def test_duplicate_boxes_are_removed_by_nms(data, tmp_path):
    with_boxes, people = doubled(data, tmp_path)
    card = make_card()
    evaluation = evaluate(pose_model(Oracle(people, data.images, card), card), with_boxes)
    assert evaluation.provenance["persons_predicted"] == 24
    assert evaluation.provenance["poses_after_nms"] == 12
    assert evaluation.scores.values["AP"] == pytest.approx(1.0)


def test_soft_nms_as_published_sinks_duplicates_in_the_reported_scores(data, tmp_path):
    """The official soft NMS reports the scores from before the decay, and so changes nothing."""
    with_boxes, people = doubled(data, tmp_path)
    card, scores = make_card(), {}
    for nms in ("none", "soft_oks", "soft_oks_decayed"):
        model = pose_model(Oracle(people, data.images, card), card)
        evaluation = evaluate(model, with_boxes, EvaluateConfig(nms=nms))
        assert evaluation.provenance["nms"] == nms
        scores[nms] = np.sort(evaluation.poses.scores)
    np.testing.assert_array_equal(scores["soft_oks"], scores["none"])
    # One of each pair keeps about its score, the other is multiplied by exp(-1 / 0.9); others in
    # the image, unlike as they are, lower both a little.
    first, second = scores["soft_oks_decayed"][12:], scores["soft_oks_decayed"][:12]
    np.testing.assert_allclose(first, scores["none"][12:], rtol=0.1)
    np.testing.assert_allclose(second, scores["none"][:12] * np.exp(-1 / 0.9), rtol=0.1)


def test_an_unreadable_image_is_counted_and_all_unreadable_is_an_error(data):
    names = load_people(data.annotations).images.file_names
    (data.images / names[-1]).write_bytes(b"no image")
    evaluation = run(data, EvaluateConfig(flip_test=False, batch_size=12))
    assert evaluation.provenance["unreadable_images"] == 1
    assert evaluation.provenance["persons_predicted"] == 10
    assert 0 < evaluation.scores.values["AP"] < 1
    for name in names:
        (data.images / name).unlink()
    with pytest.raises(ValueError, match="none of the images"):
        run(data, EvaluateConfig(flip_test=False))


def test_category_of_the_file_is_used(data):
    content = json.loads(data.annotations.read_text())
    content["categories"][0]["id"] = 7
    for annotation in content["annotations"]:
        annotation["category_id"] = 7
    data.annotations.write_text(json.dumps(content))
    evaluation = run(data, EvaluateConfig(nms="none"))
    assert {row["category_id"] for row in evaluation.results} == {7}
    assert evaluation.scores.values["AP"] == pytest.approx(1.0)


def test_string_ids_work(data):
    content = json.loads(data.annotations.read_text())
    for image in content["images"]:
        image["id"] = f"image {image['id']}"
    for annotation in content["annotations"]:
        annotation["image_id"] = f"image {annotation['image_id']}"
    data.annotations.write_text(json.dumps(content))
    assert run(data, EvaluateConfig(nms="none")).scores.values["AP"] == pytest.approx(1.0)


def test_model_is_left_in_the_mode_it_had(data):
    card = make_card()
    model = Oracle(labelled_people(load_people(data.annotations)), data.images, card).train()
    evaluate(pose_model(model, card), data)
    assert model.training


def test_official_scores_of_the_sample_detections(shared: Path):
    """Detector boxes of the official file: read whole, none lost."""
    sample = shared / "coco_sample"
    data = DataSet(
        annotations=sample / "person_keypoints.json",
        images=sample,
        boxes=sample / "person_detections.json",
    )
    people = predicted(data)
    assert len(people) == 118
    assert len(predicted(replace_boxes(data))) == 12


def replace_boxes(data):
    return data.model_copy(update={"boxes": None})


def test_no_person_left_is_one_sentence(tmp_path):
    people = make_people(2)
    nobody = replace(people, visibility=np.zeros_like(people.visibility))
    annotations = write_annotations(nobody, tmp_path / "people.json")
    data = DataSet(annotations=annotations, images=tmp_path)
    with pytest.raises(ValueError, match="has no person to predict"):
        predicted(data)


def test_every_metric_has_its_facts(data):
    assert set(METRICS) == set(get_args(AnnotationKind))
    for metric, said in (
        ("mpii", "PCKh of .* needs to know whose pose each result is"),
        ("wingspan", "metric is 'wingspan'; use one of auto, coco, crowdpose, mpii"),
    ):
        with pytest.raises(ValueError, match=said):
            score_file(data.annotations, data.annotations, metric=metric)
