"""The ten COCO numbers: pycocotools' own on good data, a sentence on anything odd."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from pycocotools.cocoeval import Params

# Private: that COCO's own sigmas are taken to the last bit shows in no score of these sizes.
from pose_hrnet.evaluation.metrics.coco_ap import COCO_METRICS, _sigmas, score_results
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.coco_files import K, annotate, detect, make_results, make_truth, raw_pycocotools


@pytest.fixture
def save(tmp_path):
    """Write JSON into the test's folder and return its path."""

    def write(name, content):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        return path

    return write


def test_perfect_results_score_one(save):
    truth = make_truth()
    scores = score_results(save("truth", truth), make_results(truth, noise=0))
    assert tuple(scores.values) == COCO_METRICS
    assert list(scores.values.values()) == pytest.approx([1.0] * 10, abs=1e-12)
    assert scores.counts == {"images": 6, "persons": 10, "results": 10, "images_with_results": 5}
    assert scores.notes == ()


def test_ten_numbers_of_two_persons_are_those_worked_out_by_hand(save):
    """A medium person found exactly, and a large one found with an OKS of 0.72."""
    square = np.full((K, 3), 2.0)
    square[:, :2] = np.stack(np.divmod(np.arange(K), 4), axis=1) * 15 + 20
    large = square * [5, 5, 1]
    areas = 60.0**2, 300.0**2
    # d = u k sqrt(area) in every keypoint gives an OKS of exp(-u^2 / 2).
    step = np.sqrt(-2 * np.log(0.72)) * 2 * np.array(COCO17.sigmas) * np.sqrt(areas[1])
    truth = {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 1}],
        "annotations": [
            annotate(1, 1, square, areas[0], [0, 0, 1, 1]),
            annotate(2, 2, large, areas[1], [0, 0, 1, 1]),
        ],
    }
    found = (square, 0.9), (large + np.stack([step, 0 * step, 0 * step], axis=1), 0.8)
    results = [detect(i, *pose) for i, pose in enumerate(found, start=1)]
    values = score_results(save("truth", truth), results).values
    # At the 5 thresholds above 0.72 the first result gives precision 1 up to a recall of 0.5, that
    # is at 51 of 101 recalls; the second is then a false positive, among the large ones only.
    half = 51 / 101
    by_hand = [(1 + half) / 2, 1, half, 1, 0.5, 0.75, 1, 0.5, 1, 0.5]
    assert list(values.values()) == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("noise", [1, 3, 6, 12])
@pytest.mark.parametrize("boxed", [False, True])
def test_numbers_are_bit_equal_to_pycocotools_on_the_files(save, noise, boxed):
    truth = make_truth(seed=noise, images=30)
    results = make_results(truth, noise) + make_results(truth, 3 * noise, seed=2)
    for result in results if boxed else []:
        result["bbox"] = [10, 10, 20 * noise, 40]
    files = save("truth", truth), save("results", results)
    expected = raw_pycocotools(*files)
    assert score_results(*files).values == expected
    assert score_results(files[0], results, sigmas=COCO17.sigmas).values == expected
    assert 0 < expected["AP"] < 1


def test_sigmas_rounded_in_the_last_bit_are_coco_s():
    """pycocotools computes 0.26 / 10, which is not 0.026; its own array keeps scores bit-equal."""
    own = Params("keypoints").kpt_oks_sigmas
    assert not np.array_equal(own, COCO17.sigmas)
    np.testing.assert_array_equal(_sigmas(COCO17.sigmas), own)
    np.testing.assert_array_equal(_sigmas([0.1, 0.2]), [0.1, 0.2])


def test_text_ids_and_a_subset_of_the_images(save):
    truth = make_truth(images=12, image_id=lambda i: f"frame_{i}")
    files = save("truth", truth), save("results", make_results(truth, 6))
    subset = ["frame_3", "frame_10", "frame_2"]
    assert score_results(*files).values == raw_pycocotools(*files)
    scores = score_results(*files, image_ids=subset)
    assert scores.values == raw_pycocotools(*files, image_ids=subset)
    assert scores.counts == {"images": 3, "persons": 6, "results": 6, "images_with_results": 3}


def test_custom_sigmas_score_another_skeleton(save):
    truth = make_truth(num_keypoints=4)
    sigmas = (0.05, 0.1, 0.05, 0.2)
    files = save("truth", truth), save("results", make_results(truth, 8))
    scores = score_results(*files, sigmas=sigmas)
    assert scores.values == raw_pycocotools(*files, sigmas=sigmas)
    with pytest.raises(ValueError, match=r"12 keypoint values .* 17 OKS sigmas ask for 51"):
        score_results(*files)


def test_nothing_is_printed_and_the_results_are_left_alone(save, capsys):
    truth = make_truth()
    results = make_results(truth, 3)
    before = copy.deepcopy(results)
    score_results(save("truth", truth), results)
    assert results == before
    assert capsys.readouterr() == ("", "")


def test_no_results_score_zero(save):
    scores = score_results(save("truth", make_truth()), [])
    assert list(scores.values.values()) == [0.0] * 10
    assert scores.counts["results"] == 0


def test_a_size_without_persons_is_explained(save):
    truth = make_truth()
    for annotation in truth["annotations"]:
        annotation["area"] = 5000.0
    scores = score_results(save("truth", truth), make_results(truth, 0))
    assert [name for name, value in scores.values.items() if value == -1] == ["APL", "ARL"]
    (note,) = scores.notes
    assert note.startswith("APL and ARL are -1: no person with keypoints")


def test_no_keypoints_anywhere_is_explained(save):
    truth = make_truth()
    results = make_results(truth, 0)
    for annotation in truth["annotations"]:
        annotation |= {"num_keypoints": 0, "keypoints": [0] * 51}
    scores = score_results(save("truth", truth), results)
    assert set(scores.values.values()) == {-1}
    assert scores.counts["persons"] == 0
    assert scores.notes[0].startswith("all ten numbers are -1")


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("area", "their box area stands in"),
        ("iscrowd", "0 stands in"),
        ("num_keypoints", "labelled keypoints were counted"),
        ("bbox", "extent of their labelled keypoints"),
        ("id", "new ids stand in"),
        ("categories", "those of its annotations stand in"),
    ],
)
def test_a_missing_field_is_filled_in_and_told(save, field, told):
    truth = make_truth()
    del truth["annotations"][-1]  # the crowd: without iscrowd it would be a person
    results = make_results(truth, 5)
    complete = score_results(save("truth", truth), results).values
    truth.pop(field, None)
    for annotation in truth["annotations"]:
        annotation.pop(field, None)
    scores = score_results(save("lacking", truth), results)
    (note,) = scores.notes
    assert "lacking.json" in note
    assert told in note
    if field == "area":
        assert scores.values["AP"] > complete["AP"]
    else:
        assert scores.values == complete


def test_a_missing_area_is_that_of_the_box_and_a_present_one_stays(save):
    truth = make_truth()
    results = make_results(truth, 5)
    boxed = copy.deepcopy(truth)
    for annotation in boxed["annotations"][:4]:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
        del truth["annotations"][annotation["id"] - 1]["area"]
    scores = score_results(save("lacking", truth), results)
    assert scores.values == raw_pycocotools(save("boxed", boxed), save("results", results))
    assert scores.notes[0].startswith("4 of 12 annotations")


def test_an_area_of_zero_is_told(save):
    truth = make_truth()
    truth["annotations"][0]["area"] = 0
    scores = score_results(save("truth", truth), make_results(truth, 3))
    assert "1 of 12 annotations" in scores.notes[0]
    assert "area of 0" in scores.notes[0]
    assert scores.values["AR"] < 1


@pytest.mark.parametrize("ids", [range(12), [7] * 12, [f"a{i}" for i in range(12)]])
def test_annotation_ids_do_not_change_the_numbers(save, ids):
    """pycocotools takes a match with annotation 0 for no match (cocoapi pull request 332)."""
    truth = make_truth()
    results = make_results(truth, 0)
    for annotation, new in zip(truth["annotations"], ids, strict=True):
        annotation["id"] = new
    scores = score_results(save("truth", truth), results)
    assert scores.values["AP"] == pytest.approx(1, abs=1e-12)
    assert len(scores.notes) == (0 if ids[0] == "a0" else 1)


def test_annotations_on_unlisted_images_are_told(save):
    truth = make_truth()
    truth["annotations"].append(truth["annotations"][0] | {"id": 99, "image_id": 123456})
    scores = score_results(save("truth", truth), make_results(make_truth(), 0))
    assert scores.values["AP"] == pytest.approx(1, abs=1e-12)
    assert "1 row left out: unknown image id (1: 99); they do not count" in scores.notes[0]


def test_images_that_the_annotations_lack_are_refused(save):
    truth = make_truth()
    results = make_results(truth, 0)
    path = save("truth", truth)
    as_text = [result | {"image_id": str(result["image_id"])} for result in results]
    with pytest.raises(ValueError, match=r"10 of 10 entries .* 5 image ids .*write '5' as 5"):
        score_results(path, as_text)
    padded = [result | {"image_id": f"{result['image_id']:012d}"} for result in results]
    with pytest.raises(ValueError, match="write '000000000005' as 5"):
        score_results(path, padded)
    results[3]["image_id"] = 777
    with pytest.raises(ValueError, match=r"1 of 10 .* such as 777; give the annotations of the"):
        score_results(path, results)
    with pytest.raises(ValueError, match="1 of 2 entries of image_ids"):
        score_results(path, [], image_ids=[5, 6])
    with pytest.raises(ValueError, match="image_ids is empty"):
        score_results(path, [], image_ids=[])


def test_other_categories_are_refused_or_told(save):
    truth = make_truth()
    results = make_results(truth, 0)
    path = save("truth", truth)
    results[0]["category_id"] = 0
    scores = score_results(path, results)
    assert scores.notes[0].startswith("1 of 10 entries")
    assert scores.values == raw_pycocotools(path, save("results", results))
    with pytest.raises(ValueError, match=r"category \[0\], but .* lists \[1\]"):
        score_results(path, [result | {"category_id": 0} for result in results])


def test_boxes_on_some_results_only_are_told(save):
    truth = make_truth()
    path, results = save("truth", truth), make_results(truth, 6)
    expected = score_results(path, results).values
    results[0]["bbox"] = [0, 0, 1, 1]
    scores = score_results(path, results)
    assert scores.values == expected
    assert scores.notes[0].startswith("only 1 of 10 entries")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"keypoints": [1.0] * 50},
            r"result 2 .* has 50 keypoint values; expected x, y and score",
        ),
        ({"score": float("nan")}, "result 2 .* not all finite"),
        ({"keypoints": [1.0] * 50 + [float("inf")]}, "result 2 .* not all finite"),
        ({"score": "high"}, r"is not a list of COCO keypoint results .* at `\$\[2\].score`"),
        ({"image_id": None}, r"at `\$\[2\].image_id`"),
    ],
)
def test_a_malformed_result_is_named(save, change, message):
    truth = make_truth()
    results = make_results(truth, 0)
    results[2] |= change
    with pytest.raises(ValueError, match=message):
        score_results(save("truth", truth), results)


@pytest.mark.parametrize("field", ["image_id", "category_id", "keypoints", "score"])
def test_a_result_without_a_field_is_named(save, field):
    truth = make_truth()
    results = make_results(truth, 0)
    del results[4][field]
    with pytest.raises(
        ValueError, match=rf"bad\.json .* missing required field `{field}` .*\[4\]"
    ):
        score_results(save("truth", truth), save("bad", results))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"bad\.json does not exist; give the path of a list of COCO keypoint results"),
        ("", r"bad\.json is not a list of COCO keypoint results"),
        ("[{", r"bad\.json is not a list"),
        ('{"annotations": []}', r"bad\.json is not a list .* Expected `array`, got `object`"),
        ('[{"score": NaN}]', r"bad\.json is not a list .*JSON has no NaN"),
    ],
)
def test_a_bad_results_file_is_named(save, tmp_path, text, message):
    path = tmp_path / "bad.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError if path.exists() else FileNotFoundError, match=message):
        score_results(save("truth", make_truth()), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not a COCO annotation file"),
        ({"images": []}, "missing required field `annotations`"),
        ({"images": [], "annotations": []}, "lists no images"),
        ({"images": [{}], "annotations": []}, "lists no images"),
    ],
)
def test_a_bad_annotation_file_is_named(save, content, message):
    with pytest.raises(ValueError, match=message):
        score_results(save("truth", content), [])
    with pytest.raises(FileNotFoundError, match=r"absent\.json does not exist"):
        score_results(save("truth", content).with_name("absent.json"), [])


def test_numbers_of_the_published_example_results(shared):
    folder = shared / "coco_scale"
    truth = folder / "person_keypoints_val2014_100_recovered.json"
    results = folder / "person_keypoints_val2014_fakekeypoints100_results.json"
    scores = score_results(truth, results)
    published = [0.372, 0.636, 0.348, 0.384, 0.386, 0.514, 0.734, 0.504, 0.508, 0.522]
    assert [round(value, 3) for value in scores.values.values()] == published
    assert scores.values == raw_pycocotools(truth, results)
    assert scores.notes == ()
