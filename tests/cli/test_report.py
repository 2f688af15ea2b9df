"""``pose-hrnet report`` as a user sees it."""

from __future__ import annotations

import json

import pytest

from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.command_line import run_here


@pytest.fixture
def files(tmp_path):
    people = make_people(4)
    write_annotations(people, tmp_path / "people.json")
    write_images(people, tmp_path / "images")
    rows = [
        {
            "image_id": people.image_ids[row],
            "category_id": 1,
            "score": 0.5,
            "keypoints": [v for x, y in people.keypoints_image[row].tolist() for v in (x, y, 0.9)],
        }
        for row in range(4)
    ]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/results.json").write_text(json.dumps(rows))
    return tmp_path


def report(files, *options, code=0, results="run"):
    output = files / "out/report.html"
    said = run_here(
        "report", files / results, "--annotations", files / "people.json", "-o", output, *options,
        code=code,
    )  # fmt: skip
    assert output.exists() == (code == 0)
    return said


def test_the_page_of_a_folder_or_a_file_is_written_and_said_in_sentences(files):
    out, _ = report(files, "--images", files / "images")
    assert "4 of 4 persons are found at OKS 0.1, 0 are not" in out
    assert "2 images are few" in (files / "out/report.html").read_text()
    assert str(files / "out/report.html") in out
    page = (files / "out/report.html").read_text()
    assert page.count("data:image/jpeg") >= 4
    out, _ = report(files, "--against", files / "run/results.json", results="run/results.json")
    assert "A is run, B is run. B and A are equal in AP, AR, PCK and OKS." in " ".join(out.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--images", "nowhere"), "nowhere: there is no such folder of images; check the path"),
        (("--against", "nowhere.json"), "nowhere.json"),
        (("--against", "."), "is a folder without results.json"),
        (("--skeleton", "mpii16"), "51 keypoint values"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_nothing_is_written(files, options, said):
    _, error = report(files, *options, code=2)
    assert said in error


def test_results_of_another_data_set_are_named(files):
    content = json.loads((files / "run/results.json").read_text())
    for row in content:
        row["image_id"] += 100
    (files / "other.json").write_text(json.dumps(content))
    _, error = report(files, results="other.json", code=2)
    assert "4 of 4 entries of" in error
    assert "does not list, such as 101, 102" in error


@pytest.mark.parametrize("name", ["run/results.json", "people.json", "other.json"])
def test_what_is_read_is_not_written_over(files, name):
    (files / "other.json").write_bytes((files / "run/results.json").read_bytes())
    before = (files / name).read_bytes()
    _, error = run_here(
        "report", files / "run", "--annotations", files / "people.json", "--against",
        files / "other.json", "-o", files / name, code=2,
    )  # fmt: skip
    assert f"{files / name} is read here, and would be written over" in error
    assert (files / name).read_bytes() == before
