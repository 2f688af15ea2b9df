"""The page on a results file: what it says is so, whatever the results are."""

from __future__ import annotations

import json
import re
from unittest.mock import Mock

import numpy as np
import pytest

from pose_hrnet.data.formats.results import read_results
from pose_hrnet.evaluation.metrics.coco_ap import score_results
from pose_hrnet.evaluation.report.examples import of_kinds, worst_typical_best
from pose_hrnet.evaluation.report.numbers import collect
from pose_hrnet.evaluation.report.write import write_report
from pose_hrnet.evaluation.scorer import FileTruth
from pose_hrnet.evaluation.statistics.bootstrap import bootstrap
from pose_hrnet.evaluation.statistics.results import DrawnFile, MatchedFile
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.browser import PAPER, browse, check_sorted
from tests.helpers.builders import make_people, write_annotations, write_images

DRAWS = 50


def results_of(people, *, seed=0, noise=6.0):
    """A result for each person, some of whose keypoints are misplaced in every way."""
    rng, rows = np.random.default_rng(seed), []
    for row in range(len(people)):
        points = people.keypoints_image[row].astype(float)
        points += rng.normal(0, noise, points.shape) * rng.random((17, 1))
        if row % 4 == 1:
            points = points[list(COCO17.flip_index)]
        if row % 4 == 2:
            points[:5] = people.keypoints_image[row ^ 1][:5]
        scores = rng.random((17, 1))
        rows.append(
            {
                "image_id": people.image_ids[row],
                "category_id": 1,
                "score": round(float(scores.mean()), 3),
                "keypoints": np.hstack([points, scores]).ravel().tolist(),
            }
        )
    return rows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Annotations, images, and two results files, the second less noisy."""
    folder = tmp_path_factory.mktemp("report")
    people = make_people(24, seed=3)
    write_annotations(people, folder / "people.json")
    write_images(people, folder / "images")
    for name, noise in (("a", 8.0), ("b", 2.0)):
        (folder / f"{name}.json").write_text(json.dumps(results_of(people, noise=noise)))
    return folder


def report(folder, output, *, results="a.json", annotations="people.json", **options):
    truth = FileTruth.of(folder / annotations)
    for name in ("images", "against"):
        if name in options:
            options[name] = folder / options[name]
    return write_report(folder / results, truth, output, replicates=DRAWS, **options)


def numbers_of(folder):
    file = MatchedFile.of(FileTruth.of(folder / "people.json"), folder / "a.json")
    return collect(DrawnFile.of(file, replicates=DRAWS))


def checked(page):
    """No number that is none, and nothing from elsewhere."""
    text = re.sub(r"data:image/jpeg;base64,[\w+/=]*|<style>.*?</style>|<script>.*?</script>", "",
                  page.read_text("utf-8"), flags=re.S)  # fmt: skip
    words = re.sub(r"<[^>]*>", " ", text)
    assert not re.search(r"\bnan\b|\binf\b|None|-1\.000", words)
    assert not re.search(r"\bnan\b|\binf\b", text)
    return " ".join(words.split())


def test_a_page_loads_nothing_and_every_table_sorts(data, tmp_path):
    output = tmp_path / "report.html"
    report(data, output, images="images", against="b.json")
    for width, media in ((1280, "screen"), (500, "screen"), (PAPER, "print")):
        seen = browse(output, tmp_path, width=width, media=media)
        assert seen["errors"] == seen["blocked"] == seen["loaded"] == []
        assert seen["width"][0] <= seen["width"][1]
        assert all(seen["pictures"])
        assert len(seen["pictures"]) > 40
        assert all(seen["charts"])
        assert seen["cut"] == []
        assert len(seen["charts"]) >= 8
        assert len(seen["tables"]) >= 9
        for table in seen["tables"]:
            check_sorted(table)
    for heading in ("What changed", "Numbers", "What goes wrong", "Curves", "Scores", "Persons"):
        assert heading in seen["words"]


def test_the_page_says_what_the_numbers_say(data, tmp_path):
    output = tmp_path / "report.html"
    written = report(data, output, images="images")
    words = checked(output)
    scores = score_results(data / "people.json", data / "a.json").values
    assert f"AP is {scores['AP']:.3f}, 95 % interval" in written.findings[0]
    for name in ("AP50", "AP75", "AR"):
        assert f"{name} {scores[name]:.3f}" in words
    numbers = numbers_of(data)
    overall = numbers.diagnosis.overall
    assert f"{overall.found} of 24 persons are found at OKS 0.1" in words
    assert f"{100 * overall.shares['inversion']:.1f} % inversions" in words
    for group in numbers.diagnosis.groups:
        if group.by == "keypoint":
            shares = " ".join(f"{100 * share:.1f}" for share in group.shares.values())
            assert re.search(rf"{group.name} {group.keypoints} .* {re.escape(shares)}", words)
    assert numbers.precisions.mean() == pytest.approx(scores["AP"], abs=1e-12)


def test_against_says_which_is_better(data, tmp_path):
    output = tmp_path / "report.html"
    written = report(data, output, results="b.json", against="a.json")
    assert re.match(r"A is a\.json, B is b\.json\. (B is better by|It cannot be told)",
                    written.findings[0])  # fmt: skip
    words = checked(output)
    assert "Images that changed most" in words
    own = numbers_of(data).calibration_errors  # of A
    for what, error in zip(("keypoints", "persons"), own, strict=True):
        assert f"{what} {error.in_words()} 0." in words


def test_against_reads_and_draws_each_file_once(data, tmp_path, monkeypatch):
    read = []

    def reading(path, count):
        read.append(path.name)
        return read_results(path, count)

    monkeypatch.setattr("pose_hrnet.evaluation.statistics.results.read_results", reading)
    drawn = Mock(wraps=bootstrap)
    monkeypatch.setattr("pose_hrnet.evaluation.statistics.results.bootstrap", drawn)
    report(data, tmp_path / "report.html", against="b.json")
    assert sorted(read) == ["a.json", "b.json"]
    assert drawn.call_count == 2


def test_examples_are_who_they_are_said_to_be(data):
    numbers = numbers_of(data)
    errors = numbers.diagnosis.errors
    chosen = worst_typical_best(numbers)
    oks = {name: [errors.oks[each.error] for each in row] for name, row in chosen.items()}
    assert oks["worst"] == sorted(oks["worst"])
    assert oks["best"] == sorted(oks["best"], reverse=True)
    assert max(oks["worst"]) <= min(oks["typical"]) <= max(oks["typical"]) <= min(oks["best"])
    rows = [each.error for row in chosen.values() for each in row]
    assert len(rows) == len({*rows})
    kinds = of_kinds(numbers)
    assert kinds["inversion"]
    assert kinds["swap"]
    assert all("inversion" in each.words for each in kinds["inversion"])
    found = {*errors.person.tolist()}
    assert all(each.person not in found for each in kinds["not found"])


def test_evaluates_own_results_say_what_produced_them(data, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "results.json").write_text((data / "a.json").read_text())
    ap = score_results(data / "people.json", data / "a.json").values["AP"]
    facts = {"checkpoint": "some.safetensors", "flip_test": True, "codec": {"name": "udp"},
             "boxes": ["a", "list"], "nms": 1.0}  # fmt: skip
    for said, told in ((ap, True), (ap + 0.1, False), ("x", False)):
        (folder / "metrics.json").write_text(json.dumps({"AP": said, "evaluated": facts}))
        write_report(folder / "results.json", FileTruth.of(data / "people.json"),
                     tmp_path / "r.html", replicates=DRAWS)  # fmt: skip
        words = checked(tmp_path / "r.html")
        assert ("some.safetensors" in words) == told
        assert words.startswith("run on people.json")


def test_a_page_of_two_evaluations_says_what_produced_both(data, tmp_path):
    ap = score_results(data / "people.json", data / "a.json").values["AP"]
    codec = HeatmapCodec("udp", (64, 96)).to_dict()
    for name, flip in (("a", True), ("b", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text((data / "a.json").read_text())
        facts = {"checkpoint": "some.safetensors", "codec": codec, "flip_test": flip, "nms": None,
                 "flip_shift_cells": 1 if flip else None}  # fmt: skip
        (tmp_path / name / "metrics.json").write_text(json.dumps({"AP": ap, "evaluated": facts}))
    write_report(
        tmp_path / "b/results.json",
        FileTruth.of(data / "people.json"),
        tmp_path / "r.html",
        against=tmp_path / "a/results.json",
        replicates=DRAWS,
    )
    words = checked(tmp_path / "r.html")
    assert "checkpoint some.safetensors codec udp, sigma 2, blur 11, 96x64" in words
    assert "flip test no; of A yes flip shift cells none; of A 1 scored by" in words


@pytest.mark.parametrize("case", ["none matched", "one image", "all misses", "no results"])
def test_odd_results_make_a_page_without_nan(data, tmp_path, case):
    people = make_people(24, seed=3)
    rows = results_of(people)
    if case == "none matched":
        for row in rows:
            away = np.reshape(row["keypoints"], (-1, 3)) + np.array([9e4, 0, 0])
            row["keypoints"] = away.ravel().tolist()
    if case == "one image":
        people = make_people(1, seed=3)
        rows = results_of(people)
    if case == "all misses":
        rows = results_of(people, noise=150.0)
    if case == "no results":
        rows = []
    write_annotations(people, tmp_path / "people.json")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    output = tmp_path / "report.html"
    written = write_report(tmp_path / "a.json", FileTruth.of(tmp_path / "people.json"), output,
                           images=data / "images", replicates=DRAWS)  # fmt: skip
    words = checked(output)
    if case == "none matched":
        assert "0 of 24 persons are found at OKS 0.1, 24 are not; 24 results of 24 find" in words
        assert written.findings[0].startswith("AP is 0.000")
        assert re.search(
            r"no result of \S+a\.json comes near a person .* in pixels of these\?", words
        )
    if case == "one image":
        assert words.count("one image says nothing of others: there are no intervals") == 1
        assert "1,000 draws" not in words
    if case == "no results":
        assert "0 of 24 persons are found at OKS 0.1, 24 are not; there is no result." in words
        assert "a.json has no result: every person counts as missed." in words
    seen = browse(output, tmp_path)
    assert seen["errors"] == seen["blocked"] == []
    for table in seen["tables"]:
        check_sorted(table)


def test_what_is_odd_about_either_file_is_told(data, tmp_path):
    rows = results_of(make_people(24, seed=3))
    (tmp_path / "twice.json").write_text(json.dumps(rows[:20] + rows[:1]))
    truth = FileTruth.of(data / "people.json")
    for results, against in (("twice.json", None), (data / "a.json", tmp_path / "twice.json")):
        written = write_report(tmp_path / results, truth, tmp_path / "r.html", against=against,
                               replicates=DRAWS)  # fmt: skip
        assert any("1 of 21 results of" in note for note in written.notes)
    assert any("has no result on 2 images with persons where another" in n for n in written.notes)
    assert checked(tmp_path / "r.html").count("12 images are few") == 1


def test_no_folder_and_missing_images_are_a_sentence(data, tmp_path):
    output = tmp_path / "report.html"
    report(data, output)
    assert "No pictures: no folder of images was given. --images names it." in checked(output)
    (tmp_path / "empty").mkdir()
    truth = FileTruth.of(data / "people.json")
    written = write_report(data / "a.json", truth, output, images=tmp_path / "empty",
                           replicates=DRAWS)  # fmt: skip
    assert "No pictures: no image could be read from" in checked(output)
    assert any("could not be read from" in note for note in written.notes)


def test_what_cannot_be_reported_is_a_sentence_and_writes_nothing(data, tmp_path):
    output = tmp_path / "report.html"
    rows = json.loads((data / "a.json").read_text())
    for row in rows:
        row["image_id"] += 10_000
    (tmp_path / "other.json").write_text(json.dumps(rows))
    truth = FileTruth.of(data / "people.json")
    with pytest.raises(ValueError, match=r"image ids? that .*people\.json does not list"):
        write_report(tmp_path / "other.json", truth, output)
    with pytest.raises(ValueError, match=r"image ids? that .*people\.json does not list"):
        write_report(data / "a.json", truth, output, against=tmp_path / "other.json")
    assert not output.exists()


def test_duplicate_ids_are_told(data, tmp_path):
    content = json.loads((data / "people.json").read_text())
    for row in content["annotations"]:
        row["id"] = 7
    (tmp_path / "people.json").write_text(json.dumps(content))
    output = tmp_path / "report.html"
    written = write_report(data / "a.json", FileTruth.of(tmp_path / "people.json"), output,
                           replicates=DRAWS)  # fmt: skip
    assert any("no usable id" in note for note in written.notes)
    checked(output)
