"""The installed command, as a user runs it: help, exit codes, one-sentence errors, files."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pose_hrnet import load_config
from pose_hrnet.cli.app import app, demo
from pose_hrnet.config.files import find_config
from pose_hrnet.data.images import read_rgb
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.command_line import run, run_here, set_options
from tests.helpers.training_runs import TINY, data_settings

COMMANDS = [
    "demo", "train", "evaluate", "score", "predict", "export", "recipes",
    "benchmark",
    "data synthesize", "data validate", "data preview",
    "weights inspect", "weights convert",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(command):
    out, _ = run_here(*command.split(), "--help")
    assert f"pose-hrnet {command.split()[0]}" in out
    assert "Example" in out


def on(drawn):
    """Settings that learn from a drawn data set."""
    return data_settings(drawn / "annotations.json", drawn / "images")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A drawn data set and a tiny training run, both made at the command line."""
    folder = tmp_path_factory.mktemp("run")
    run_here("data", "synthesize", "--output", folder / "drawn", "--images", 8, "--seed", 3)
    tiny = set_options(*on(folder / "drawn"), *TINY, "train.epochs=1")
    run_here("train", "demo", "--output", folder / "training", *tiny)
    return folder


def test_train_evaluate_score_predict(run_folder):
    drawn, best = run_folder / "drawn", run_folder / "training/best.safetensors"
    data = ["--annotations", drawn / "annotations.json"]
    out, _ = run_here(
        "evaluate", "-c", best, *data, "--images", drawn / "images", "--workers", 0,
        "--output", run_folder / "eval",
    )  # fmt: skip
    assert "AP50" in out
    assert "annotated boxes" in out
    metrics = json.loads((run_folder / "eval/metrics.json").read_text())
    out, _ = run_here("score", run_folder / "eval/results.json", *data)
    assert f"{metrics['AR']:.3f}" in out
    assert "at once" in out
    slow = ["--evaluator", "pycocotools"]
    out, _ = run_here("score", run_folder / "eval/results.json", *data, *slow)
    assert f"{metrics['AR']:.3f}" in out
    assert "at once" not in out
    output = ["--output", run_folder / "predicted"]
    out, _ = run_here("predict", drawn / "images", "-c", best, "--whole-image", *output)
    assert "8 persons in 8 images" in out
    assert len(list((run_folder / "predicted/overlays").iterdir())) == 8


def test_dry_run_says_what_would_stop_a_training(run_folder, tmp_path):
    drawn = run_folder / "drawn"
    command = ["train", "demo", "--dry-run", *set_options(*on(drawn), *TINY)]
    out, _ = run_here(*command, "--output", tmp_path / "run")
    assert "output folder" in out
    assert "fault" not in out
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    _, said = run_here(*command, "--output", tmp_path / "file/run", code=2)
    assert f"{tmp_path / 'file'} is a file, not a folder" in said
    elsewhere = f"--set=data.val.images={tmp_path}"
    out, _ = run_here(*command, "--output", tmp_path / "run", elsewhere, code=2)
    assert out.count("fault") == 1


def test_export_looks_for_its_files_before_it_loads_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr("pose_hrnet.inference.load.load_model", lambda *_, **__: 1 / 0)
    command = ["export", "-c", "default", "--format", "openvino", "-o", tmp_path / "out"]
    (tmp_path / "a.json").write_text("{}")
    for name, images, sentence in (
        ("absent.json", tmp_path, "absent.json does not exist"),
        ("a.json", tmp_path / "absent", "there is no such folder of images"),
    ):
        said = run_here(*command, "--annotations", tmp_path / name, "--images", images, code=2)[1]
        assert sentence in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command", ["train", "train --dry-run", "data preview", "data shard"], ids=lambda c: c
)
def test_the_demo_recipe_without_its_data_says_what_draws_it(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(find_config("demo"), "mine.yaml")
    for recipe in ("demo", "mine.yaml"):
        said = " ".join(run_here(*command.split(), recipe, "--output", "out.png", code=2))
        sentence = (
            "runs/demo/data/train/annotations.json does not exist; `pose-hrnet demo`, started in "
            "this folder, draws it"
        )
        assert sentence in " ".join(said.split())


def test_the_demo_draws_where_its_recipe_looks():
    output = inspect.signature(demo).parameters["output"].default
    assert load_config("demo").data.train.annotations == output / "data/train/annotations.json"


def test_a_misspelt_recipe_names_the_nearest(tmp_path):
    _, error = run_here("train", "coco_w32_256x129", "--output", tmp_path / "run", code=2)
    assert error.endswith("nor a recipe; the nearest recipe is 'coco_w32_256x192'")


def test_predict_with_an_unreadable_image_exits_with_1(run_folder, tmp_path):
    good = next((run_folder / "drawn/images").iterdir())
    (tmp_path / "bad.jpg").write_bytes(b"")
    best = run_folder / "training/best.safetensors"
    out, error = run(
        *("predict", good, tmp_path / "bad.jpg", "--whole-image"),
        *("-c", best, "-o", tmp_path / "out"),
        code=1,
    )
    assert "; 1 image could not be read" in " ".join(out.split())
    assert "bad.jpg" in error
    assert len(json.loads((tmp_path / "out/results.json").read_text())) == 1


def test_validate_says_what_is_wrong_and_exits_with_1(tmp_path):
    people = make_people(4)
    annotations = write_annotations(people, tmp_path / "people.json")
    images = write_images(people, tmp_path / "images")
    out, _ = run_here("data", "validate", "--annotations", annotations, "--images", images)
    assert "no errors" in out
    (images / "000001.png").unlink()
    out, _ = run_here("data", "validate", "--annotations", annotations, "--images", images, code=1)
    assert "error" in out


def test_preview_draws_what_training_would_see(run_folder, tmp_path):
    drawn = run_folder / "drawn"
    data = [
        f"--set=data.train.annotations={drawn / 'annotations.json'}",
        f"--set=data.train.images={drawn / 'images'}",
    ]
    out, _ = run_here("data", "preview", "demo", *data, "-o", tmp_path / "new/a.png", "--count", 3)
    assert out.strip().endswith("a.png")
    assert read_rgb(tmp_path / "new/a.png").shape[1] > 3 * 2 * 192
    more = ["--each", "--count", 2, "--epoch", 4, "--seed", 9]
    run_here("data", "preview", "demo", *data, "-o", tmp_path / "each.jpg", *more)
    assert read_rgb(tmp_path / "each.jpg").shape[1] > 11 * 192


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nonsense", "-o", "x"], "no configuration 'nonsense'"),
        (
            ["train", "demo", "-o", "x", "--set", "model.widht=1"],
            "nearest known key is 'model.width'",
        ),
        (["predict", "x.jpg", "-c", "none.pt", "-o", "x"], "x.jpg does not exist"),
        (
            [
                *("evaluate", "-c", "none.pt", "-o", "x", "--annotations", "none.json"),
                *("--images", "x", "--compare", "flip,shft"),
            ],
            "--compare has 'shft'; give one or more of flip, shift, codec, nms",
        ),
        (["score", "none.json", "--annotations", "none.json"], "none.json"),
        (["data", "validate", "--annotations", "none.json"], "none.json does not exist"),
        (["data", "preview", "demo", "-o", "x.png"], "annotations.json does not exist"),
        (
            [
                *("train", "demo", "-o", "x", "--set", "data.skeleton=coco17"),
                *("--set", "loss.keypoint_weights=[1, 2, 3]"),
            ],
            "loss.keypoint_weights has 3 numbers for the 17 keypoints",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, error = run_here(*arguments, code=2)
    assert message in error
    assert error.startswith("error:")
    assert list(tmp_path.iterdir()) == []


def killed(worker):
    os.kill(os.getpid(), signal.SIGKILL)


def faulty(worker):
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("begin", [killed, faulty])
def test_a_killed_loader_process_is_one_sentence_and_a_fault_is_not(
    begin, run_folder, tmp_path, monkeypatch
):
    # Private: it is the first thing that a loader process does.
    monkeypatch.setattr("pose_hrnet.data.loader._set_up_worker", begin)
    done = CliRunner().invoke(app, [
        "evaluate", "-c", str(run_folder / "training/best.safetensors"), "--workers", "1",
        "--annotations", str(run_folder / "drawn/annotations.json"),
        "--images", str(run_folder / "drawn/images"), "--output", str(tmp_path / "out"),
    ])  # fmt: skip
    said = " ".join(done.stderr.split())
    if begin is killed:
        assert done.exit_code == 2
        assert said.count("error:") == 1
        assert "a loader process was ended from outside (DataLoader worker (pid" in said
        assert "use fewer workers or smaller batches" in said
    else:
        assert "a fault of ours" in str(done.exception)
        assert "ended from outside" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "x", "-c", "y", "-o", "z", "--backend", "tensorrt"],
        ["weights", "convert", "x", "-o", "z", "--codec", "tensorrt"],
    ],
)
def test_an_unknown_choice_is_told_in_plain_words(arguments):
    _, error = run_here(*arguments, code=2)
    words = " ".join(error.replace("│", " ").split())
    assert f"Invalid value for '{arguments[-2]}': 'tensorrt' is not one of '" in words


def test_tools_are_the_commands():
    from pathlib import Path

    tools = Path(__file__).resolve().parents[2] / "tools"
    for name in ("train", "evaluate", "predict"):
        done = subprocess.run(
            [sys.executable, tools / f"{name}.py", "--help"], capture_output=True, text=True
        )
        assert done.returncode == 0
        assert f"tools/{name}.py" in done.stdout
