"""Prediction of files: images, folders and box files in; JSON, CSV and overlays out."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil

import cv2
import numpy as np
import pytest

from pose_hrnet import PoseEstimator, load_model
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.formats.detections import load_boxes
from pose_hrnet.data.images import read_rgb
from pose_hrnet.evaluation.evaluate import USUAL
from pose_hrnet.inference.detector import load_detector
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats.writer import USUAL_OUTPUTS, Outputs
from tests.helpers.builders import make_people, write_images

PLAIN = Outputs(draw_above=None)
"""No overlays."""


@pytest.fixture
def folder(tmp_path):
    return write_images(make_people(6), tmp_path / "photos")


def test_files_get_results_csv_and_overlays(estimator, folder, tmp_path):
    done = predict_files(estimator, [folder], tmp_path / "out")
    assert (done.images, done.persons, done.failures) == (3, 3, ())
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert [row["image_id"] for row in results] == ["000001.png", "000002.png", "000003.png"]
    assert [row["file_name"] for row in results] == ["000001.png", "000002.png", "000003.png"]
    assert results[0]["box"] == [0, 0, 320, 240]
    assert len(results[0]["keypoints"]) == 51
    rows = list(csv.DictReader((tmp_path / "out/keypoints.csv").open()))
    assert len(rows) == 3 * 17
    assert rows[1]["keypoint"] == "left_eye"
    assert float(rows[1]["x"]) == pytest.approx(results[0]["keypoints"][3], abs=1e-3)
    overlay = cv2.imread(str(tmp_path / "out/overlays/000002.jpg"))
    assert overlay.shape == (240, 320, 3)


@pytest.mark.parametrize("key", ["file_name", "image_id"])
def test_box_file_decides_who_is_predicted(estimator, folder, tmp_path, key):
    name = "000002.png" if key == "file_name" else 2
    entry = {key: name, "bbox": [10, 10, 50, 80], "score": 0.5, "category_id": 1}
    (tmp_path / "boxes.json").write_text(json.dumps([entry, {**entry, "score": 0.25}]))
    done = predict_files(
        estimator,
        [folder],
        tmp_path / "out",
        boxes=tmp_path / "boxes.json",
        outputs=PLAIN,
    )
    assert (done.images, done.persons) == (3, 2)
    first, second = json.loads((tmp_path / "out/results.json").read_text())
    assert first["score"] == pytest.approx(2 * second["score"])
    assert not (tmp_path / "out/overlays").exists()


def test_one_unreadable_image_is_reported_and_the_rest_is_done(estimator, folder, tmp_path):
    (folder / "000002.png").write_bytes(b"\x89PNG but not really")
    done = predict_files(estimator, [folder], tmp_path / "out")
    assert (done.images, done.persons, len(done.failures)) == (2, 2, 1)
    assert "000002.png" in done.failures[0]


def test_same_names_in_two_folders_keep_their_overlays(estimator, folder, tmp_path):
    other = write_images(make_people(2), tmp_path / "more")
    predict_files(estimator, [folder, other], tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out/overlays").iterdir())
    assert names == ["000001.jpg", "000001_2.jpg", "000002.jpg", "000003.jpg"]


@pytest.mark.parametrize("outputs", [USUAL_OUTPUTS, PLAIN])
def test_overlays_of_an_earlier_run_are_moved_aside(estimator, folder, tmp_path, outputs, caplog):
    """With what others put there, and when no new ones are drawn; none of them is an input."""
    out = folder / "out"
    predict_files(estimator, [folder], out)
    (out / "overlays/mine.txt").write_text("of the user")
    predict_files(estimator, [folder / "000002.png"], out, outputs=outputs)
    assert f"the overlays of an earlier run are moved to {out / 'overlays.1'}" in caplog.text
    drawn = ["000001.jpg", "000002.jpg", "000003.jpg", "mine.txt"]
    assert sorted(path.name for path in (out / "overlays.1").iterdir()) == drawn
    now = [path.name for path in (out / "overlays").glob("*")]
    assert now == (["000002.jpg"] if outputs is USUAL_OUTPUTS else [])
    assert [path.name for path in out.glob("*.1")] == ["overlays.1"]  # the results are renewed
    done = predict_files(estimator, [folder], tmp_path / "again")
    assert done.images == 3


def test_a_folder_of_that_name_that_no_run_made_stays(estimator, folder, tmp_path):
    (tmp_path / "out/overlays").mkdir(parents=True)
    (tmp_path / "out/overlays/mine.txt").write_text("of the user")
    predict_files(estimator, [folder / "000002.png"], tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out/overlays").iterdir())
    assert names == ["000002.jpg", "mine.txt"]


def test_bad_inputs_are_one_sentence(estimator, folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        predict_files(estimator, [tmp_path / "nowhere"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="there is no image in"):
        predict_files(estimator, [tmp_path / "empty"], tmp_path / "out")
    boxes = tmp_path / "boxes.json"
    boxes.write_text("[")
    with pytest.raises(ValueError, match="is not JSON"):
        load_boxes(boxes)
    boxes.write_text('[{"image_id": 1, "bbox": [1, 2, 3, 4]}, {"bbox": [1, 2, 3, 4]}]')
    with pytest.raises(
        ValueError, match=r"detection '#1' .*: it has neither image_id nor file_name"
    ):
        load_boxes(boxes)
    boxes.write_text('[{"image_id": 999, "bbox": [1, 2, 3, 4]}]')
    with pytest.raises(ValueError, match="no image has boxes in"):
        predict_files(estimator, [folder], tmp_path / "out", boxes=boxes)
    assert not (tmp_path / "out").exists()


def write_boxes(path, *entries):
    path.write_text(json.dumps([{"bbox": [10, 10, 50, 80], **entry} for entry in entries]))
    return path


def result_ids(output):
    return [row["image_id"] for row in json.loads((output / "results.json").read_text())]


def test_poses_of_a_detector_are_rescored_and_thinned_as_in_an_evaluation(
    estimator, folder, tmp_path
):
    boxes = write_boxes(tmp_path / "boxes.json", *[{"image_id": 1, "score": 0.5}] * 2)
    persons = {}
    for name, test in (("all", None), ("none", EvaluateConfig(nms="none")), ("oks", USUAL)):
        out = tmp_path / name
        predict_files(estimator, [folder], out, boxes=boxes, outputs=PLAIN, test=test)
        persons[name] = json.loads((out / "results.json").read_text())
    assert [len(found) for found in persons.values()] == [2, 2, 1]
    scores = np.array(persons["oks"][0]["keypoints"]).reshape(-1, 3)[:, 2]
    assert persons["all"][0]["score"] == pytest.approx(0.5 * scores.mean(), rel=1e-3)
    counted = scores[scores > USUAL.keypoint_threshold]
    expected = 0.5 * counted.mean() if counted.size else 0
    assert persons["oks"][0]["score"] == pytest.approx(expected, abs=1e-3)
    assert persons["none"][0]["score"] == persons["oks"][0]["score"]


def test_bad_boxes_are_left_out_with_one_warning(estimator, folder, tmp_path, caplog):
    nan = float("nan")
    bad = [
        *({"image_id": 1, "bbox": [1, 2, *wh]} for wh in ((0, 5), (5, 0), (5, -3), (5, nan))),
        {"image_id": 1, "bbox": [float("inf"), 2, 3, 4]},
        {"image_id": 1, "score": nan},
        {"image_id": 1, "bbox": [None, 2, 3, 4]},
    ]
    boxes = write_boxes(tmp_path / "boxes.json", {"image_id": 2}, *bad, {"image_id": 1})
    done = predict_files(estimator, [folder], tmp_path / "out", boxes=boxes, outputs=PLAIN)
    assert done.persons == 2
    assert result_ids(tmp_path / "out") == ["000001.png", "000002.png"]
    warning, _ = caplog.messages
    assert "left out 7 of 9 person boxes" in warning
    assert "entry 1 (image 1, box [1, 2, 0, 5])" in warning
    with pytest.raises(ValueError, match="no usable person box: of 7 entries, 7 with"):
        load_boxes(write_boxes(boxes, *bad))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\xff", "is not JSON"),
        ("3", "is not a list of COCO detections, COCO annotations"),
        ('{"image_id": 1}', "'image_id' is no list of boxes; expected a list of COCO detections"),
        ('{"a.png": [[1, 2, 3]]}', "'a.png' has a box that is not four numbers, or five"),
        (
            '[{"image_id": 1}]',
            "detection '#0' .* missing required field `bbox`; expected",
        ),
        ('[{"image_id": [1], "bbox": [1, 2, 3, 4]}]', "got `array` - at `.*image_id`"),
    ],
)
def test_a_file_that_is_no_list_of_boxes_is_refused(tmp_path, text, message):
    (tmp_path / "boxes.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        load_boxes(tmp_path / "boxes.json")


def test_only_persons_are_read(tmp_path, caplog):
    dog, person = {"image_id": 1, "category_id": 18}, {"image_id": 1, "category_id": 1}
    boxes = write_boxes(tmp_path / "boxes.json", dog, person, {"image_id": 2}, dog)
    assert [box.image_id for box in load_boxes(boxes)] == [1, 2]
    cat = {"image_id": 1, "category_id": 17}
    with pytest.raises(ValueError, match="of 2 entries, 0 with category_id 1"):
        load_boxes(write_boxes(boxes, dog, cat))
    # A detector of one class may count from 0, or as it likes.
    assert len(load_boxes(write_boxes(boxes, dog, dog))) == 2
    assert "all boxes are of category 18, taken for persons" in caplog.messages[-1]


def test_overlays_of_an_earlier_run_are_no_input(estimator, folder):
    for _ in range(2):
        assert predict_files(estimator, [folder], folder / "out").images == 3
    assert predict_files(estimator, [folder], folder, outputs=PLAIN).images == 3
    with pytest.raises(ValueError, match="not at 6 pictures of earlier runs"):
        predict_files(estimator, [folder / "out"], folder / "out")


def test_images_without_boxes_do_not_pile_up(estimator, folder, tmp_path, monkeypatch):
    """Batches are of three crops or images: one is run, two wait, and one is being read."""
    for number in range(4, 40):
        shutil.copy(folder / "000001.png", folder / f"{number}.png")
    read, in_memory = [], []

    class Bar:
        done = 0

        def advance(self):
            self.done += 1

        @contextlib.contextmanager
        def task(self, name, total, unit):
            yield self

    bar = Bar()

    def watch(path):
        read.append(path)
        in_memory.append(len(read) - bar.done)
        return read_rgb(path)

    monkeypatch.setattr("pose_hrnet.inference.files.read_rgb", watch)
    boxes = write_boxes(tmp_path / "boxes.json", {"image_id": 39})
    done = predict_files(
        estimator,
        [folder],
        tmp_path / "out",
        boxes=boxes,
        outputs=PLAIN,
        progress=bar,
    )
    assert (done.images, done.persons, bar.done) == (39, 1, 39)
    assert max(in_memory) <= 4 * 3


def test_what_fails_in_the_other_threads_is_raised(estimator, folder, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("as if it had failed")

    monkeypatch.setattr("pose_hrnet.inference.written.draw_poses", refuse)
    with pytest.raises(RuntimeError, match="as if"):
        predict_files(estimator, [folder], tmp_path / "out")
    boxes = [[[1, 2, 30, 40]], [[5, 5, 1, 9]]]
    with pytest.raises(ValueError, match="box 0 is"):
        estimator.predict_images([np.zeros((60, 60, 3), np.uint8)] * 2, boxes)


def test_order_and_failures_are_the_same_however_batches_fall(checkpoint, folder, tmp_path):
    """Damaged images first, in between and last."""
    for number in (0, 2, 9):
        (folder / f"{number:06}.png").write_bytes(b"no image")
    written = []
    for size in (1, 2, 16):
        model = load_model(checkpoint, backend="eager", device="cpu")
        estimator = PoseEstimator(model, batch_size=size)
        out = tmp_path / str(size)
        done = predict_files(estimator, [folder], out)
        assert [sentence.count(".png") for sentence in done.failures] == [1, 1, 1]
        assert result_ids(out) == ["000001.png", "000003.png"]
        assert sorted(p.name for p in (out / "overlays").iterdir()) == ["000001.jpg", "000003.jpg"]
        rows = json.loads((out / "results.json").read_text())
        written.append([row["keypoints"] for row in rows])
    np.testing.assert_allclose(written[1], written[0], atol=0.01)
    np.testing.assert_allclose(written[2], written[0], atol=0.01)


def test_a_detector_says_who_is_predicted(estimator, folder, tmp_path):
    counts = iter([2, 0, 1])
    detector = load_detector(
        lambda images: [[[10, 10, 60, 90, 0.5], [20, 5, 90, 90, 0.45]][: next(counts)]
                        for _ in images]
    )  # fmt: skip
    done = predict_files(estimator, [folder], tmp_path / "out", boxes=detector)
    assert (done.images, done.persons, done.empty, done.failures) == (3, 3, 1, ())
    results = json.loads((tmp_path / "out/results.json").read_text())
    image = read_rgb(folder / "000001.png")
    alone = estimator(image, [[10, 10, 60, 90], [20, 5, 90, 90]])
    assert [row["image_id"] for row in results] == ["000001.png", "000001.png", "000003.png"]
    assert results[0]["keypoints"] == pytest.approx(alone.flat_keypoints[0].tolist(), abs=1e-3)
    assert results[1]["score"] == pytest.approx(alone.scores[1] * 0.45, rel=1e-4)
    assert len(list((tmp_path / "out/overlays").iterdir())) == 3


def test_no_person_found_is_counted_and_no_error(estimator, folder, tmp_path):
    nobody = load_detector(lambda images: [[] for _ in images])
    done = predict_files(estimator, [folder], tmp_path / "out", boxes=nobody)
    assert (done.images, done.persons, done.empty) == (3, 0, 3)
    assert json.loads((tmp_path / "out/results.json").read_text()) == []
