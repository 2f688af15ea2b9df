"""``pose-hrnet evaluate`` and its kin as a user sees them: short words, the whole in the JSON."""

from __future__ import annotations

import json
import shutil
from unittest.mock import Mock

import pytest

from pose_hrnet.cli.options import expected_crops
from pose_hrnet.evaluation.statistics import results
from pose_hrnet.evaluation.statistics.bootstrap import bootstrap
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17, MPII16
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.weights.load import save_model
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.command_line import run_here
from tests.helpers.mpii_files import row as mpii_row
from tests.helpers.mpii_files import write as write_mpii
from tests.helpers.opened import opened_files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tiny checkpoint, and a data set of three persons on two images and of one on one."""
    folder = tmp_path_factory.mktemp("evaluate")
    model = HRNet(width=8, num_keypoints=17, stem_width=8, stem_blocks=1, branch_blocks=1)
    card = ModelCard(model.architecture, COCO17, HeatmapCodec("gaussian", (64, 96), sigma=1.5))
    save_model(folder / "tiny.safetensors", model.state_dict(), card)
    for name, persons in (("three", 3), ("one", 1)):
        write_annotations(make_people(persons), folder / f"{name}.json")
    write_images(make_people(3), folder / "images")
    return folder


def evaluate(files, output, *options, name="three"):
    """What the command says, white space aside, and ``metrics.json``."""
    out, _ = run_here(
        *("evaluate", "-c", files / "tiny.safetensors", "--annotations", files / f"{name}.json"),
        *("--images", files / "images", "--output", output, "--workers", 0, "--device", "cpu"),
        *("--backend", "eager", *options),
    )
    return " ".join(out.split()), json.loads((output / "metrics.json").read_text())


def test_what_produced_the_numbers_is_short_and_the_json_holds_all(files, tmp_path):
    said, metrics = evaluate(files, tmp_path)
    assert "predicted 3 persons of three.json (2 images), in the annotated boxes" in said
    assert "codec gaussian, sigma 1.5, 96x64 -> 24x16" in said
    assert "not as usual nothing" in said
    assert "{" not in said
    facts = metrics["evaluated"]
    assert facts["codec"]["blur_kernel"] == 11
    assert facts["nms_area"] == "padded crop (official)"
    assert facts["checkpoint"] == str(files / "tiny.safetensors")
    changed = ("--nms", "none", "--flip-shift", 3, "--keypoint-threshold", 0.4)
    said, metrics = evaluate(files, tmp_path, *changed)
    assert "flip shift cells 3 instead of 1, nms none instead of oks, " in said
    assert "keypoint threshold 0.4 instead of 0.2" in said
    assert metrics["evaluated"]["flip_shift_cells"] == 3
    said, _ = evaluate(files, tmp_path, "--no-flip-test")
    assert "not as usual flip test False instead of True /" in said


@pytest.mark.parametrize("compare", [(), ("--compare", "flip,codec,nms")])
def test_annotations_are_read_once(files, tmp_path, compare):
    """Besides the looks at whether it is a list, and at how many boxes there may be."""
    with opened_files() as opened:
        evaluate(files, tmp_path, *compare)
    assert opened.count("three.json") == 3


def test_a_report_and_intervals_read_them_once_more_together(files, tmp_path):
    counts = []
    for options in (["--report"], ["--report", "--intervals"]):
        with opened_files() as opened:
            evaluate(files, tmp_path, *options)
        counts.append(opened.count("three.json"))
    assert counts[0] == counts[1]


def test_persons_without_a_label_are_not_expected(tmp_path):
    rows = [{"bbox": [1, 2, 3, 4], "num_keypoints": count} for count in (0, 17, 0, 10)]
    (tmp_path / "people.json").write_text(json.dumps({"annotations": rows}))
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    assert expected_crops(tmp_path / "people.json") == 2
    assert expected_crops(tmp_path / "people.json", tmp_path / "boxes.json") == 4
    assert expected_crops(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("name", "content"),
    [("bad.json", '{"a": 3'), ("bad.json", '{"a": 3}'), ("bad.csv", "a,b\n1,2\n")],
)
def test_what_is_no_box_file_is_said_before_the_model_is_loaded(files, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    (tmp_path / "no_model.safetensors").write_bytes(b"")
    _, error = run_here(
        *("evaluate", "-c", tmp_path / "no_model.safetensors", "--images", files / "images"),
        *("--annotations", files / "three.json", "--boxes", tmp_path / name),
        *("--output", tmp_path / "out"),
        code=2,
    )
    assert f"error: {tmp_path / name}" in error
    assert not (tmp_path / "out").exists()


def test_boxes_are_those_of_predict(files, tmp_path):
    """Images by name or by id, and no score or category where there is nothing to say."""
    people = make_people(3)
    images = [people.images.file_names[row] for row in people.image_index]
    by_id = [{"image_id": i, "category_id": 1, "score": 1.0} for i in people.image_ids]
    by_name = [{"file_name": name} for name in images]
    found = []
    for key, rows in (("id", by_id), ("name", by_name)):
        boxes = tmp_path / f"{key}.json"
        entries = zip(rows, people.boxes_xywh.tolist(), strict=True)
        boxes.write_text(json.dumps([{**row, "bbox": box} for row, box in entries]))
        said, _ = evaluate(files, tmp_path / key, "--boxes", boxes)
        assert f"3 persons of three.json (2 images), in the boxes of {key}.json" in said
        found.append((tmp_path / key / "results.json").read_bytes())
    assert found[0] == found[1]
    weights = files / "tiny.safetensors"
    run_here(
        *("predict", files / "images", "-c", weights, "--boxes", tmp_path / "name.json"),
        *("--output", tmp_path / "predicted", "--no-overlays"),
    )
    assert len(json.loads((tmp_path / "predicted/results.json").read_text())) == 3


def test_compare_says_whose_poses_are_kept(files, tmp_path):
    said, _ = evaluate(files, tmp_path, "--compare", "flip,shift,codec,nms")
    rows = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert len(rows) == 48
    assert all(0 <= row["AP"] <= 1 for row in rows)
    assert f"{tmp_path / 'comparison.json'}: the scores of all 48" in said
    assert f"and of the own one, whose poses alone are kept: {tmp_path / 'metrics.json'}" in said


def test_one_is_no_plural(files, tmp_path):
    said, _ = evaluate(files, tmp_path / "out", name="one")
    assert "1 person of one.json (1 image)" in said
    annotations = files / "one.json"
    said, _ = run_here("score", tmp_path / "out/results.json", "--annotations", annotations)
    assert "1 image, 1 person, 1 result, 1 image with results; " in said
    image = files / "images" / make_people(1).images.file_names[0]
    whole = ("predict", image, "--whole-image")
    said, _ = run_here(*whole, "-c", files / "tiny.safetensors", "-o", tmp_path / "p")
    assert "1 person in 1 image; 0 images could not be read" in said


def test_room_for_all_results_is_asked_for_before_anything_is_predicted(
    tmp_path, files, monkeypatch
):
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "score": 1.0}] * 1000
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    usage = shutil.disk_usage(tmp_path)._replace(free=1_400_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    _, error = run_here(
        "evaluate", "-c", "none.safetensors", "--annotations", files / "three.json",
        "--images", files, "--boxes", tmp_path / "boxes.json", "-o", tmp_path / "out", code=2,
    )  # fmt: skip
    assert "has 1 MB free, but the run needs about 2 MB for results; make room" in error


def test_the_report_is_written_on_request(files, tmp_path):
    said, metrics = evaluate(files, tmp_path, "--report")
    page = (tmp_path / "report.html").read_text()
    assert str(tmp_path / "report.html") in said
    assert f"AP is {metrics['AP']:.3f}" in page
    assert str(files / "tiny.safetensors") in page
    assert "data:image/jpeg" in page


def test_a_report_and_intervals_are_of_the_same_draws(files, tmp_path, monkeypatch):
    drawn = []

    def drawing(statistic, **options):
        drawn.append(statistic)
        return bootstrap(statistic, **options)

    monkeypatch.setattr(results, "bootstrap", drawing)
    matched = Mock(wraps=results.match_results)
    monkeypatch.setattr(results, "match_results", matched)
    _, metrics = evaluate(files, tmp_path, "--report", "--intervals")
    assert len(drawn) == matched.call_count == 1
    ap = metrics["intervals"]["values"]["AP"]
    said = f"AP is {ap['value']:.3f}, 95 % interval {ap['low']:.3f} to {ap['high']:.3f}"
    assert said in (tmp_path / "report.html").read_text()


def test_intervals_stand_in_the_metrics(files, tmp_path):
    _, metrics = evaluate(files, tmp_path, "--intervals")
    found = metrics["intervals"]
    facts = {"units": 2, "unit": "image", "replicates": 1000, "seed": 0, "level": 0.95}
    assert {name: found[name] for name in facts} == facts
    assert "2 images are few" in found["notes"][0]
    for name in ("AP", "AP50", "AR"):
        assert found["values"][name]["value"] == pytest.approx(metrics[name], abs=1e-12)
        assert found["values"][name]["low"] <= metrics[name] <= found["values"][name]["high"]
    assert {"PCK@0.1", "OKS nose", "PCK@0.1 left_wrist"} < {*found["values"]}
    _, metrics = evaluate(files, tmp_path)
    assert "intervals" not in metrics


def test_mpii_has_no_intervals_and_the_metrics_say_why(files, tmp_path):
    model = HRNet(width=8, num_keypoints=16, stem_width=8, stem_blocks=1, branch_blocks=1)
    card = ModelCard(model.architecture, MPII16, HeatmapCodec("gaussian", (64, 96), sigma=1.5))
    save_model(tmp_path / "tiny.safetensors", model.state_dict(), card)
    (tmp_path / "images").symlink_to(files / "images")
    write_mpii(tmp_path / "mpii.json", mpii_row(next((files / "images").iterdir()).name))
    said, metrics = evaluate(tmp_path, tmp_path / "out", "--intervals", name="mpii")
    reason = metrics["intervals"]["left_out"]
    assert reason.startswith("PCKh of ")
    assert f"note: there are no intervals: {reason}" in said


def test_intervals_of_an_evaluation_and_of_a_results_file(files, tmp_path):
    said, metrics = evaluate(files, tmp_path, "--intervals")
    assert f"AP │ {metrics['AP']:.3f} [" in said
    assert "2 images are few: under 100" in said
    assert "not with another training seed" in said
    score = ("score", tmp_path / "results.json", "--annotations", files / "three.json")
    _, err = run_here(*score, "--intervals", "--cluster", "folder", code=2)
    assert "have the same folder, '', so that there is nothing to draw from" in err
    out, _ = run_here(*score, "--intervals")
    assert f"AP │ {metrics['AP']:.3f} [" in " ".join(out.split())
    assert "PCK@0.2" in out
    (tmp_path / "none.json").write_text("[]")
    out, _ = run_here("score", tmp_path / "none.json", *score[2:], "--intervals")
    assert "none.json has no result: every person counts as missed" in " ".join(out.split())
    _, err = run_here(*score, "--cluster", "folder", code=2)
    assert "--cluster says what intervals are drawn of; give --intervals, too" in err
