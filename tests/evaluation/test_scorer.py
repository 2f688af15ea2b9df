"""Results files of any program, scored against files as other programs write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pose_hrnet.evaluation.scorer import score_file
from tests.helpers.coco_files import make_results, make_truth


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
