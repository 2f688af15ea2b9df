"""Results files of any program, scored against files as other programs write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pose_hrnet.evaluation.scorer import score_file
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.coco_files import make_results, make_truth, raw_pycocotools


def save(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def floats(value):
    """Every integer as a float, as pandas and NumPy write them."""
    if isinstance(value, dict):
        return {key: floats(each) for key, each in value.items()}
    if isinstance(value, list):
        return [floats(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_whole_numbers_may_be_floats_or_text(tmp_path):
    truth = make_truth()
    results = make_results(truth, noise=4)
    files = {
        name: save(tmp_path / f"{name}.json", content)
        for name, content in {
            "truth": truth,
            "truth_floats": floats(truth),
            "results": results,
            "results_floats": floats(results),
            "results_text": [{**row, "score": str(row["score"])} for row in results],
        }.items()
    }
    expected = score_file(files["truth"], files["results"])[0]
    assert 0.1 < expected.values["AP"] < 1
    for people in ("truth", "truth_floats"):
        for found in ("results", "results_floats", "results_text"):
            scores = score_file(files[people], files[found])[0]
            assert scores.values == expected.values
            assert scores.notes == ()


def test_annotations_that_give_no_number_are_an_error_with_the_reason(tmp_path):
    truth = make_truth()
    results = save(tmp_path / "results.json", make_results(truth, noise=4))
    for row in truth["annotations"]:
        row["image_id"] += 0.5
    path = save(tmp_path / "truth.json", truth)
    with pytest.raises(
        ValueError, match=r"nothing in .*truth.json can be scored: .*Expected `int.*\$.image_id"
    ):
        score_file(path, results)


def in_categories(truth, results):
    """Persons and results of categories 1 and 2 by turns; the keypoints are the same."""
    names = list(COCO17.keypoint_names)
    truth["categories"] = [{"id": i, "name": f"kind {i}", "keypoints": names} for i in (1, 2)]
    for rows in (truth["annotations"], results):
        for at, row in enumerate(rows):
            row["category_id"] = 1 + at % 2


def test_every_category_is_scored_as_pycocotools_does_or_the_one_that_is_asked_for(tmp_path):
    truth = make_truth()
    results = make_results(truth, noise=4)
    in_categories(truth, results)
    files = save(tmp_path / "truth.json", truth), save(tmp_path / "results.json", results)
    raw = raw_pycocotools(*files)
    assert score_file(*files)[0].values == pytest.approx(raw)
    assert score_file(*files, skeleton="coco17")[0].values == pytest.approx(raw)
    of_each = [score_file(*files, category=f"kind {i}")[0].values["AP"] for i in (1, 2)]
    assert of_each[0] != of_each[1]
    assert sum(of_each) / 2 == pytest.approx(raw["AP"])
    assert score_file(*files, category="all")[0].values == pytest.approx(raw)


@pytest.mark.parametrize("keep", [None, []])
def test_without_categories_those_of_the_annotations_stand_in(tmp_path, keep):
    truth = make_truth()
    results = save(tmp_path / "results.json", make_results(truth, noise=4))
    expected = score_file(save(tmp_path / "truth.json", truth), results)[0].values
    del truth["categories"]
    truth |= {} if keep is None else {"categories": keep}
    assert score_file(save(tmp_path / "none.json", truth), results)[0].values == expected


def test_exchanged_files_and_other_lists_are_called_what_they_are(tmp_path):
    truth = make_truth()
    results = save(tmp_path / "results.json", make_results(truth, noise=4))
    with pytest.raises(ValueError, match=r"is a list of results .are two files exchanged"):
        score_file(results, save(tmp_path / "truth.json", truth))
    for row, what in (
        ({"image_id": 1, "bbox": [1, 2, 3, 4]}, "a list of detections"),
        ({"id": 1, "data": {}, "annotations": []}, "a list of Label Studio's tasks"),
        ({"id": 1}, "a list of others with 'id' in each"),
        (3, "a list, but not of objects"),
    ):
        other = save(tmp_path / "other.json", [row])
        with pytest.raises(ValueError, match=f"other.json is {what}.*no annotation file; give"):
            score_file(other, results)


def test_image_ids_of_results_may_be_the_names_that_the_annotations_give(tmp_path):
    truth = make_truth()
    results = make_results(truth, noise=4)
    for image in truth["images"]:
        image["file_name"] = f"val/{image['id'] * 7}.jpg"
    annotations = save(tmp_path / "truth.json", truth)
    expected = score_file(annotations, save(tmp_path / "ids.json", results))[0]
    for named in ("val/{}.jpg", "{}.jpg"):
        rows = [row | {"image_id": named.format(row["image_id"] * 7)} for row in results]
        scores = score_file(annotations, save(tmp_path / "names.json", rows))[0]
        assert scores.values == expected.values
        (note,) = scores.notes
        assert "has file names for image ids" in note
