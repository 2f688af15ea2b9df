"""A dry run finds what would stop a training, and leaves nothing behind."""

from __future__ import annotations

import itertools
import re
import shutil

import pytest
import torch
from typer.testing import CliRunner

from pose_hrnet.cli.app import app
from pose_hrnet.cli.tables import print_checks
from pose_hrnet.config.files import load_config
from pose_hrnet.training.dry_run import dry_run
from pose_hrnet.training.memory import StepMemory
from pose_hrnet.training.train import train
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.training_runs import TINY

DRY_RUN = "pose_hrnet.training.dry_run"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """As fast, and with as much memory, as the tests say: each look at the clock takes 10 ms."""
    clock = itertools.count(0, 0.01)
    monkeypatch.setattr(f"{DRY_RUN}.perf_counter", lambda: next(clock))
    monkeypatch.setattr(f"{DRY_RUN}.usable_memory", lambda device: 10**15)


def checked(settings, output, **options):
    return {
        c.name: c for c in dry_run(load_config("demo", settings), output, device="cpu", **options)
    }


def faults(checks):
    return [name for name, check in checks.items() if check.result == "fault"]


def test_a_run_that_would_work(settings, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    checks = checked([*settings, "train.accumulate=2"], tmp_path / "new/run")
    assert faults(checks) == []
    assert sorted(tmp_path.rglob("*")) == before
    details = {name: check.detail for name, check in checks.items()}
    assert details["training data"] == "10 persons to learn from in 5 images"
    assert details["loading"].startswith("10 crops read by no processes, ")
    assert "4 crops took" in details["training step"]
    assert "for 3 of them with 2 evaluations" in details["speed"]
    print_checks(list(checks.values()))
    assert "training step" in capsys.readouterr().out


def test_missing_images_and_what_depends_on_them(settings, tmp_path):
    for part in ("train", "val"):
        checks = checked([*settings, f"data.{part}.images={tmp_path}"], tmp_path / "run")
        name = "training data" if part == "train" else "validation data"
        assert faults(checks) == [name]
        assert "none of the first images" in checks[name].detail
        assert checks["speed"].result == "left out"
    assert checks["training step"].result == "OK"


def test_images_that_are_scored_and_learnt_from(settings, tmp_path, caplog):
    """By their files, whatever the annotations and the folder are called."""
    shutil.copy(tmp_path / "people.json", tmp_path / "val.json")
    same = [*settings, f"data.val.annotations={tmp_path / 'val.json'}"]
    same += [f"data.val.images={tmp_path}/images/../images"]
    check = checked(same, tmp_path / "run")["validation data"]
    assert check.result == "note"
    words = f"5 of the 5 images of {tmp_path / 'val.json'} are learnt from too"
    assert words in check.detail
    train(load_config("demo", [*same, "train.epochs=1"]), tmp_path / "run", device="cpu")
    assert words in caplog.text

    shutil.copytree(tmp_path / "images", tmp_path / "others")
    other = [*settings, f"data.val.images={tmp_path / 'others'}"]
    caplog.clear()
    assert checked(other, tmp_path / "run2")["validation data"].result == "OK"
    train(load_config("demo", [*other, "train.epochs=1"]), tmp_path / "run2", device="cpu")
    assert "learnt from too" not in caplog.text


def test_missing_annotations_leave_out_nearly_all(settings, tmp_path):
    checks = checked([*settings, "data.train.annotations=none.json"], tmp_path / "run")
    assert faults(checks) == ["training data"]
    assert checks["training step"].detail == "needs the training data"


def test_some_unreadable_images_are_a_note_and_many_a_fault(settings, tmp_path, monkeypatch):
    first, *others = sorted((tmp_path / "images").iterdir())
    first.write_bytes(b"")
    monkeypatch.setattr(f"{DRY_RUN}.BAD_SHARE", 0.2)
    checks = checked(settings, tmp_path / "run")
    assert faults(checks) == []
    assert checks["loading"].result == checks["validation data"].result == "note"
    assert "2 of 10 could not be read" in checks["loading"].detail
    others[0].unlink()
    assert faults(checked(settings, tmp_path / "run")) == ["validation data", "loading"]


def test_folders_that_cannot_take_a_run(settings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    checks = checked(settings, tmp_path / "file/run")
    assert faults(checks) == ["output folder"]
    assert "is a file, not a folder" in checks["output folder"].detail
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert "has 0 MB free, but" in checked(settings, tmp_path / "new")["output folder"].detail


def test_a_run_that_is_there_goes_on_or_says_why_not(settings, tmp_path):
    folder = tmp_path / "run"
    train(load_config("demo", settings), folder, device="cpu")
    assert faults(checked(settings, folder)) == ["earlier run"]
    assert "pass --resume" in checked(settings, folder)["earlier run"].detail
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for resume in ("auto", "must"):
        checks = checked(settings, folder, resume=resume)
        assert faults(checks) == []
        assert checks["earlier run"].detail == "goes on after epoch 3 of 3"
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    checks = checked([*settings, "optimizer.lr=0.5"], folder, resume="auto")
    assert "optimizer.lr (0.0012 before, 0.5 now)" in checks["earlier run"].detail
    checks = checked(settings, tmp_path / "new", resume="must")
    assert "holds no run to resume" in checks["earlier run"].detail


def test_a_missing_compiler_is_noticed(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    checks = checked([*settings, "train.compile=true"], tmp_path / "run")
    assert faults(checks) == ["training step"]
    assert "needs the compiler no-such-compiler" in checks["training step"].detail


def test_weights_loggers_and_losses_that_do_not_fit(settings, tmp_path, monkeypatch):
    # Private: what is installed here is no part of the test.
    monkeypatch.setattr("pose_hrnet.training.loggers._is_installed", lambda name: False)
    changes = ["model.pretrained=none.pth", "loss.keypoint_weights=[1, 2]"]
    checks = checked([*settings, *changes], tmp_path / "run", loggers=["wandb"])
    assert faults(checks) == ["training data", "loggers", "starting weights"]
    assert "pip install 'pose-hrnet[wandb]'" in checks["loggers"].detail


def test_a_batch_that_is_too_large_is_not_tried(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{DRY_RUN}.measure", lambda *arguments: StepMemory(2e9, 1e9))
    monkeypatch.setattr(f"{DRY_RUN}.usable_memory", lambda device: int(6e9))
    steps = []
    monkeypatch.setattr(f"{DRY_RUN}.peak_memory", lambda call, device: steps.append(call))
    checks = checked([*settings, "train.batch_size=64"], tmp_path / "run")
    assert faults(checks) == ["training step"]
    assert checks["training step"].detail == (
        "batch size 10 needs about 12.0 GB, and 6.0 GB can be used on cpu: train.batch_size=2 "
        "train.accumulate=5 would fit, and keeps the effective batch of 10"
    ), "no batch is larger than the data set of 10 persons"
    assert steps == []
    assert checks["evaluation"].detail == "needs the training step"


@pytest.mark.parametrize(
    ("per_crop", "words"),
    [(1.0, "the whole data set in one batch"), (5e8, "batch size 7")],
)
def test_what_would_fit_is_no_more_than_there_is(settings, tmp_path, monkeypatch, per_crop, words):
    monkeypatch.setattr(f"{DRY_RUN}.measure", lambda *arguments: StepMemory(2e9, per_crop))
    monkeypatch.setattr(f"{DRY_RUN}.usable_memory", lambda device: int(6e9))
    detail = checked(settings, tmp_path / "run")["training step"].detail
    assert detail.endswith(f"; {words} would still fit")
    assert detail.count("fit") == 1


def test_one_of_anything_is_singular(tmp_path):
    people = make_people(1)
    images = write_images(people, tmp_path / "images")
    annotations = write_annotations(people, tmp_path / "people.json")
    data = [
        f"--set=data.{part}={{annotations: {annotations}, images: {images}}}"
        for part in ("train", "val")
    ]
    tiny = [f"--set={setting}" for setting in (*TINY, "train.epochs=1")]
    command = ["train", "demo", "-o", str(tmp_path / "run"), *data, *tiny]
    dry = CliRunner().invoke(app, [*command, "--dry-run"])
    run = CliRunner().invoke(app, command)
    assert (dry.exit_code, run.exit_code) == (0, 0), dry.output + run.output
    said = " ".join((dry.stdout + run.stdout).split())
    for words in (
        "1 person to learn from in 1 image", "1 person to predict", "1 crop read by",
        "1 crop took", "with 1 evaluation", "training for 1 epoch",
        "1 person in 1 image, 17.0 keypoints each", "trained for 1 epoch",
        "1 annotated box in 1 image, every 2 epochs",
    ):  # fmt: skip
        assert re.search(rf"\b{words}\b", said), words
    assert not re.search(r"\b1 (persons|images|crops|epochs|evaluations|boxes)\b", said)


def test_memory_that_ends_in_the_step_is_a_fault(settings, tmp_path, monkeypatch):
    def fails(run, size, device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried")

    monkeypatch.setattr(f"{DRY_RUN}.measure", fails)
    checks = checked(settings, tmp_path / "run")
    assert "memory does not suffice: CUDA out of memory" in checks["training step"].detail


def test_a_slow_machine_looks_at_fewer_crops(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{DRY_RUN}.STEP_SECONDS", 1e-9)
    monkeypatch.setattr(f"{DRY_RUN}.STARVED", 1e9)
    checks = checked(settings, tmp_path / "run")
    assert "2 crops took" in checks["training step"].detail
    assert "so that a batch of 4 should take" in checks["training step"].detail
    assert checks["evaluation"].detail.startswith("2 crops")
    assert checks["speed"].result == "note"
    assert "starved" in checks["speed"].detail
