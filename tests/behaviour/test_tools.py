"""Tools of a checkout: what they draw, and what they say where that cannot be."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pose_hrnet.cli.console import one_sentence_errors

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch):
    """Imports a tool by its name."""
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module


def person(number, shift):
    """An annotation, and a result in its box that is so many pixels off."""
    places = np.random.default_rng(number).uniform(10, 90, (17, 2)).round()
    box = [0, 0, 100, 100]
    rows = [[*(places + moved).ravel().tolist()] for moved in (0, shift)]
    truth, found = (
        [v for x, y in zip(r[::2], r[1::2], strict=True) for v in (x, y, 2)] for r in rows
    )
    known = {"image_id": number, "keypoints": truth, "bbox": box, "area": 5000, "id": 10 + number}
    return known, {"image_id": number, "keypoints": found, "box": box, "score": 1.0}


@pytest.fixture
def failures(tool, tmp_path, capfd):
    """Calls the tool in a folder with results and annotations of three persons."""
    app = typer.Typer()
    app.command()(one_sentence_errors(tool("draw_failures").main))
    known, found = zip(*(person(number, 10 * number) for number in range(3)), strict=True)
    (tmp_path / "val.json").write_text(json.dumps({"annotations": known}))
    (tmp_path / "results.json").write_text(json.dumps(found))
    of_predict = [{k: v for k, v in row.items() if k != "box"} for row in found]
    (tmp_path / "predicted.json").write_text(json.dumps(of_predict))

    def call(*words):
        done = CliRunner().invoke(app, [*words])
        return done.exit_code, capfd.readouterr().err + done.output

    return call


def test_failures_are_drawn_by_their_ids_or_the_worst_first(failures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for picture, options in (
        ("one.png", ["--count", "1"]),
        ("worst.png", ["--persons", "12="]),
        ("all.png", []),
    ):
        assert failures("results.json", "val.json", picture, *options)[0] == 0
    one, worst, every = (cv2.imread(f"{name}.png") for name in ("one", "worst", "all"))
    np.testing.assert_array_equal(one, worst)
    assert (every[:, : one.shape[1] // 3] == one[:, : one.shape[1] // 3]).all()
    assert every[:, -one.shape[1] // 3 :].std() > 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.json", "val.json"], "none.json does not exist; check the path"),
        (["predicted.json", "val.json"], "no result of predicted.json is in a box of val.json"),
        (["val.json", "val.json"], "val.json is no file of COCO's results"),
        (["results.json", "results.json"], "results.json is no file of COCO's annotations"),
        (["results.json", "val.json", "--persons", "7=x"], "has no pose of annotation 7 of val"),
        (["results.json", "val.json", "--persons", "x"], "--persons has 'x'; expected ids"),
    ],
)
def test_what_shows_no_failures_is_said(failures, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, output = failures(*words[:2], "out.png", *words[2:])
    assert code == 2
    assert said in " ".join(output.split())
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "hrnet"], "--output is missing; name a folder, or give --scale-only"),
        (["--scale-only", "--input", "foo"], "--input is 'foo'; expected HEIGHTxWIDTH"),
        (["--scale-only", "--input", "130x90"], "both sides must be multiples of 4"),
        (
            ["--scale-only", "--input", "64x64", "--only", "unet_valid"],
            "--input 64x64 for unet_valid: codec.input_wh is [64, 64]; a unet of valid",
        ),
        (["--scale-only", "--gmacs", "0"], "--gmacs is 0; expected a number above 0"),
        (["--scale-only", "--only", "unett"], "--only has 'unett'; give one or more of hrnet"),
    ],
)
def test_what_is_not_measured_is_said(tool, capfd, words, said):
    done = CliRunner().invoke(tool("measure_networks").app, words)
    assert done.exit_code == 2
    assert said in " ".join((capfd.readouterr().err + done.output).split())


def test_sizes_are_told_without_a_folder(tool, capfd):
    words = ["--scale-only", "--only", "hourglass_1", "--input", "64x64", "--gmacs", "0.02"]
    done = CliRunner().invoke(tool("measure_networks").app, words)
    assert done.exit_code == 0
    assert "hourglass_1: {'name': 'hourglass'" in capfd.readouterr().out + done.output


def test_labels_of_points_stand_apart_in_their_order(tool):
    spread = tool("measure_networks").spread
    values = [0.5, 0.001, 0.0, 0.4, 0.002, *[0.0] * 20]
    heights = spread(values)
    assert 0 <= min(heights) <= max(heights) <= 1
    assert np.diff(sorted(heights)).min() > 0.029
    np.testing.assert_array_equal(np.argsort(heights, kind="stable")[-2:], [3, 0])
    assert spread([0.1]) == [0.0]
    assert spread([]) == []
