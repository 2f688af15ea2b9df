"""Runs side by side, from what they leave in their folders."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from pose_hrnet.config.files import load_config
from pose_hrnet.evaluation.scorer import score_file
from pose_hrnet.training.origin import add_origin
from pose_hrnet.training.runs import read_runs, told_apart
from tests.helpers.browser import PAPER, browse, check_sorted
from tests.helpers.coco_files import make_results, make_truth
from tests.helpers.command_line import run_here
from tests.helpers.training_runs import tiny_settings


def make_run(folder, *settings, ap=(0.4, 0.6, 0.5), number="AP", seconds=100.0):
    """A folder as a run leaves it, without its weights."""
    folder.mkdir(parents=True)
    config = load_config("demo", [*tiny_settings(folder.parent / "data"), *settings])
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    lines = [
        {"epoch": at, "step": 3 * at, "loss": 1 / at, "lr": 1e-3, "seconds": seconds}
        | ({} if value is None else {number: value})
        for at, value in enumerate(ap, start=1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def evaluated(folder, weights, noise=3, **changed):
    """What `evaluate` leaves in a folder, of a run's weights."""
    folder.mkdir(exist_ok=True)
    truth = make_truth(images=30)
    results = make_results(truth, noise)
    (folder.parent / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    values = score_file(folder.parent / "truth.json", folder / "results.json")[0].values
    facts = {"annotations": str(folder.parent / "truth.json"), "checkpoint": str(weights)}
    facts = {"evaluated": facts | changed.pop("facts", {})}
    (folder / "metrics.json").write_text(json.dumps(values | facts | changed))
    return values


def test_what_each_came_to_and_what_differs(tmp_path):
    make_run(tmp_path / "runs/a", "optimizer.lr=0.001")
    make_run(tmp_path / "runs/b", "optimizer.lr=0.002", ap=(None, 0.7), seconds=50.5)
    (tmp_path / "runs/notes").mkdir()
    found = read_runs([tmp_path / "runs"])
    assert [run.name for run in found.runs] == ["a", "b"]
    assert [(run.number, run.best["epoch"], run.epochs) for run in found.runs] == [
        ("AP", 2, 3), ("AP", 2, 2)
    ]  # fmt: skip
    assert [run.seconds for run in found.runs] == [300, 101]
    assert found.differing == {"optimizer.lr": (0.001, 0.002)}
    assert found.notes == ()


def test_a_setting_of_a_later_version_had_its_default(tmp_path):
    folders = [make_run(tmp_path / name) for name in "ab"]
    settings = yaml.safe_load((folders[0] / "config.yaml").read_text())
    del settings["train"]["ema_decay"], settings["recipe"]
    default = load_config("coco_w32_256x192").train.ema_decay
    other = yaml.safe_load((folders[1] / "config.yaml").read_text())
    other["train"]["ema_decay"] = default
    for folder, content in zip(folders, (settings, other), strict=True):
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
    assert read_runs(folders).differing == {}


def test_results_of_evaluate_have_their_interval(tmp_path):
    folder = make_run(tmp_path / "a")
    expected = evaluated(folder / "val", folder / "best.safetensors")
    (run,) = read_runs([folder]).runs
    (each,) = run.evaluated
    assert each.interval.value == pytest.approx(expected["AP"])
    assert each.interval.low < expected["AP"] < each.interval.high
    (run,) = read_runs([folder], intervals=False).runs
    assert run.evaluated[0].interval.low is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"AP": 0.123}, "its AP against .* is not that of the metrics.json beside it"),
        ({"facts": {"annotations": "nowhere.json"}}, "nowhere.json does not exist"),
    ],
)
def test_an_interval_that_cannot_be_is_told_of(tmp_path, changed, told):
    folder = make_run(tmp_path / "a")
    evaluated(folder / "val", folder / "best.safetensors", **changed)
    found = read_runs([folder])
    (each,) = found.runs[0].evaluated
    assert each.interval.low is None
    assert found.notes[0].startswith(f"no interval for {folder / 'val/results.json'}: ")
    assert re.search(told, found.notes[0])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no FIFOs")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["origin.json", "config.yaml", "val/metrics.json"])
def test_a_fifo_among_a_runs_files_is_not_waited_for(tmp_path, name):
    folder = make_run(tmp_path / "a")
    evaluated(folder / "val", folder / "best.safetensors")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    (run,) = read_runs([folder], intervals=False).runs
    assert len(run.evaluated) == (name != "val/metrics.json")


def test_results_count_for_the_run_whose_weights_they_are_of(tmp_path):
    training = make_run(tmp_path / "demo/training")
    make_run(tmp_path / "demo/other")
    (training / "best.safetensors").write_bytes(b"")
    evaluated(tmp_path / "demo", training / "best.safetensors")
    evaluated(tmp_path / "demo/other/val", "training/best.safetensors")
    evaluated(training / "val", "demo/training/best.safetensors")
    evaluated(training / "test", "elsewhere/training/best.safetensors")
    other, run = read_runs([tmp_path / "demo"], intervals=False).runs
    assert [each.folder for each in run.evaluated] == [training / "val", tmp_path / "demo"]
    assert other.evaluated == ()
    rows, _ = run_here("runs", tmp_path / "demo", "--no-intervals")
    assert re.findall(r"AP 0\.\d{3} \[-\] in (\S+)", rows) == ["demo/training/val", "demo"]


def test_a_damaged_run_is_left_out_with_a_note(tmp_path):
    make_run(tmp_path / "runs/a")
    bad = make_run(tmp_path / "runs/b")
    (bad / "metrics.jsonl").write_text("{")
    c = make_run(tmp_path / "runs/c")
    (c / "config.yaml").write_text("a: [")
    found = read_runs([tmp_path / "runs"])
    assert [run.name for run in found.runs] == ["a", "c"]
    assert found.notes[0].startswith("b is left out: ")
    assert found.notes[1].startswith("the settings of c are not known: ")
    assert found.differing == {}
    (tmp_path / "runs/a/metrics.jsonl").write_text("[1]\n")
    with pytest.raises(ValueError, match="no run can be read: b is left out"):
        read_runs([bad])


def test_a_run_before_its_first_epoch_has_no_numbers(tmp_path):
    make_run(tmp_path / "a", ap=())
    out, _ = run_here("runs", tmp_path / "a")
    assert "nan" not in out
    assert out.count(" - ") >= 4


@pytest.mark.parametrize("ap", ["null", "NaN", '"high"'])
def test_epochs_without_a_number_are_not_the_best(tmp_path, ap):
    run = make_run(tmp_path / "a", ap=(None,))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "seconds": 1, "AP": ' + ap + "}\n")
        file.write('{"epoch": "three", "AP": 0.9}\n')
    out, _ = run_here("runs", run, "--html", tmp_path / "runs.html")
    assert "0.900" not in out
    assert "0.900" not in (tmp_path / "runs.html").read_text()
    (found,) = read_runs([run]).runs
    assert (found.number, found.best, found.epochs) == (None, None, 2)


def test_pckh_has_no_interval(tmp_path):
    folder = make_run(tmp_path / "a", number="PCKh", ap=(88.0, 90.0))
    (folder / "results.json").write_text("[]")
    facts = {
        "PCKh": 0.9,
        "evaluated": {"annotations": "mpii.json", "checkpoint": str(folder / "best.safetensors")},
    }
    (folder / "metrics.json").write_text(json.dumps(facts))
    found = read_runs([folder])
    assert found.runs[0].number == "PCKh"
    assert "there are none of PCKh" in found.notes[0]


@pytest.mark.parametrize(
    ("folder", "told"),
    [("nowhere", "there is no such folder of runs"), (".", "holds no training run; give the")],
)
def test_no_runs_are_a_sentence(tmp_path, folder, told):
    _, err = run_here("runs", tmp_path / folder, code=2)
    assert told in err


def test_names_tell_runs_apart():
    def named(*paths):
        return told_apart([Path(path) for path in paths])

    assert named("/x/a/training", "/x/b/training") == ["a", "b"]
    assert named("/x/a", "/x/a/b") == ["a", "a/b"]
    assert named("/x/a") == ["a"]
    assert named("/x/a/1", "/x/b/1", "/x/b/2") == ["a/1", "b/1", "b/2"]


def test_names_of_runs_do_not_command_the_terminal(tmp_path):
    make_run(tmp_path / "runs/\x1b[31mred[bold]", "optimizer.lr=0.001")
    make_run(tmp_path / "runs/b", "optimizer.lr=0.002")
    out, _ = run_here("runs", tmp_path / "runs")
    assert "\x1b" not in out
    assert out.count(r"\x1b[31mred[bold]") == 2


def test_the_table_shows_them(tmp_path):
    folder = make_run(tmp_path / "runs/a", "optimizer.lr=0.001")
    evaluated(folder / "val", folder / "best.safetensors")
    make_run(tmp_path / "runs/b", "optimizer.lr=0.002", ap=(0.3, None))
    out, _ = run_here("runs", tmp_path / "runs")
    assert "optimizer.lr" in out
    assert "AP 0.600" in out
    assert "2 of 3" in out
    assert "5 min" in out
    out, _ = run_here("runs", tmp_path / "runs/a", tmp_path / "runs/a")
    assert "no setting differs" not in out  # it is one run, named twice


def test_the_page_lays_the_curves_over_one_another(tmp_path):
    """Nine runs, one of them before its first epoch, one with a name that is no HTML."""
    for at in range(8):
        make_run(
            tmp_path / f"runs/<b>of_a_long_name_{at}",
            f"optimizer.lr=0.00{at + 1}",
            ap=(0.1 * at, 0.6),
        )
    make_run(tmp_path / "runs/new", ap=())
    evaluated(
        tmp_path / "runs/<b>of_a_long_name_0/val",
        tmp_path / "runs/<b>of_a_long_name_0/best.safetensors",
    )
    page = tmp_path / "runs.html"
    out, _ = run_here("runs", tmp_path / "runs", "--html", page)
    assert str(page) in out
    text = page.read_text()
    assert "<b>of" not in text
    assert "nan" not in text.lower().replace("tenant", "")
    assert text.count("<polyline") == 8 * 4
    for tick in ("1", "0.5", "0.2", "0.002", "0.001"):  # of losses from 1 to 1/3, and of the rate
        assert f">{tick}</text>" in text
    seen = browse(page, tmp_path)
    assert seen["errors"] == seen["blocked"] == seen["loaded"] == []
    assert all(seen["charts"])
    assert seen["cut"] == []
    assert len(seen["charts"]) == 4
    for table in seen["tables"]:
        check_sorted(table)
    printed = browse(page, tmp_path, width=PAPER, media="print")
    assert printed["width"][0] <= printed["width"][1]


@pytest.mark.parametrize(
    "name",
    ["a/metrics.jsonl", "a/config.yaml", "a/origin.json", "a/val/results.json",
     "a/val/metrics.json", "a/truth.json", "b/metrics.jsonl", "link.html"],
)  # fmt: skip
def test_the_page_is_not_written_over_what_is_read(tmp_path, name):
    folder = make_run(tmp_path / "a")
    evaluated(folder / "val", folder / "best.safetensors")
    add_origin(folder, "cpu")
    bad = make_run(tmp_path / "b")
    (bad / "metrics.jsonl").write_text("{")
    (tmp_path / "link.html").symlink_to(folder / "config.yaml")
    before = (tmp_path / name).read_bytes()
    _, err = run_here("runs", folder, bad, "--html", tmp_path / name, code=2)
    assert f"{tmp_path / name} is read here, and would be written over; choose another pl" in err
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("number", ["1e308", "1" + 400 * "0", "-1e999", "1e16"])
def test_numbers_that_only_damage_makes_are_none(tmp_path, number):
    run = make_run(tmp_path / "a", ap=(0.5,))
    keys = ", ".join(f'"{key}": {number}' for key in ("AP", "seconds", "loss", "lr"))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(f'{{"epoch": 2, {keys}}}\n{{"epoch": 3, {keys}}}\n{{"epoch": {number}}}\n')
    out, _ = run_here("runs", run, "--html", tmp_path / "runs.html")
    assert "AP 0.500" in out
    (found,) = read_runs([run]).runs
    assert (found.best["epoch"], found.epochs, found.seconds) == (1, 3, 100)
    assert not re.search(r"\d{20}|\bnan\b|\binf\b", (tmp_path / "runs.html").read_text())


def test_runs_without_any_epoch_make_a_page_without_charts(tmp_path):
    make_run(tmp_path / "a", ap=())
    run_here("runs", tmp_path / "a", "--html", tmp_path / "runs.html")
    assert "<svg" not in (tmp_path / "runs.html").read_text()
