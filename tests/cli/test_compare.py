"""``pose-hrnet compare`` as a user sees it."""

from __future__ import annotations

import json

import pytest

from tests.helpers.coco_files import make_results, make_truth
from tests.helpers.command_line import run_here


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    truth = make_truth(images=40)
    (folder / "truth.json").write_text(json.dumps(truth))
    for at, (name, noise) in enumerate((("a1", 3), ("a2", 3.3), ("b1", 9), ("b2", 8.6)), start=1):
        (folder / f"{name}.json").write_text(json.dumps(make_results(truth, noise, seed=at)))
    (folder / "run").mkdir()
    (folder / "run/results.json").write_text((folder / "a2.json").read_text())
    (folder / "empty").mkdir()
    return folder


def compare(folder, *names, code=0):
    paths = [name if name == "vs" else folder / name for name in names]
    return run_here(
        "compare", *paths, "--annotations", folder / "truth.json", "--replicates", 40, code=code
    )


def test_the_last_line_says_which_is_better(folder):
    out, _ = compare(folder, "b1.json", "a1.json")
    *lines, last = out.strip().splitlines()
    assert last.startswith("B is better by ")
    assert lines[0] == f"A  {folder / 'b1.json'}"
    assert "40 images, 78 persons" in out
    assert "not with another training seed" in out
    assert "note: 40 images are few" in out
    assert "one training each: another seed of the same recipe may differ as much" in out
    assert "nan" not in out


def test_a_folder_of_evaluate_stands_for_its_results(folder):
    assert f"B  {folder / 'run/results.json'}" in compare(folder, "a1.json", "run")[0]


def test_trainings_stand_between_vs(folder):
    out, _ = compare(folder, "b1.json", "b2.json", "vs", "a1.json", "a2.json")
    assert f"A  {folder / 'b1.json'} and 1 more training\n" in out
    assert "trainings of B: AP 0." in out
    assert "B is better by" in out
    assert ", over trainings " in out
    assert "another seed" not in out


def test_all_of_it_can_be_written(folder, tmp_path):
    truth, output = folder / "truth.json", tmp_path / "found.json"
    files = (folder / "a1.json", folder / "b1.json")
    run_here("compare", *files, "--annotations", truth, "--replicates", 20, "--output", output)
    found = json.loads(output.read_text())
    assert found["pairs"][0]["sentence"].startswith("A is better by")
    assert len(found["pairs"][0]["images"]) == 40 - 1  # one has a crowd and nobody labelled


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a1.json"], "compare needs the results of two models or more; give A.json B.json, or"),
        (["a1.json", "vs"], "compare needs the results of two models or more"),
        (["a1.json", "./a1.json"], "a1.json is given twice; give the results of different models"),
        (["a1.json", "empty"], "empty is a folder without results.json; give a results file"),
        (["a1.json", "none.json"], "none.json does not exist"),
        (["a1.json", "truth.json"], "truth.json is not a list of COCO keypoint results"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(folder, names, told):
    _, err = compare(folder, *names, code=2)
    assert told in err


@pytest.mark.parametrize("name", ["a1.json", "truth.json"])
def test_what_is_read_is_not_written_over(folder, name):
    before = (folder / name).read_bytes()
    _, error = run_here(
        "compare", folder / "a1.json", folder / "b1.json", "--annotations", folder / "truth.json",
        "-o", folder / name, code=2,
    )  # fmt: skip
    assert f"{folder / name} is read here, and would be written over" in error
    assert (folder / name).read_bytes() == before
