"""A run learns, resumes to the same weights, and refuses what would lose work."""

from __future__ import annotations

import gc
import itertools
import json
import multiprocessing
import pkgutil
import signal
from contextlib import nullcontext
from dataclasses import asdict

import pytest
import torch

from pose_hrnet.config.files import load_config
from pose_hrnet.config.training import OptimizerConfig
from pose_hrnet.models.weights.load import load_network
from pose_hrnet.system.interrupts import Interrupted
from pose_hrnet.training.loop import TrainingRun
from pose_hrnet.training.memory import BatchTooLarge
from pose_hrnet.training.optimizer import build_optimizer, rate_schedule
from pose_hrnet.training.report import METRICS, read_metrics
from pose_hrnet.training.run_folder import EpochPart, Progressed
from pose_hrnet.training.states import StateWriter
from pose_hrnet.training.step import TrainingStep
from pose_hrnet.training.train import train
from tests.helpers.builders import make_people, write_annotations
from tests.helpers.training_runs import Killed, assert_same_run, dies_at, tiny_settings, weights


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing ends."""
    folder = tmp_path_factory.mktemp("whole")
    train(load_config("demo", tiny_settings(folder)), folder / "run", device="cpu")
    return folder / "run"


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("pose_hrnet.training.step.TrainingStep.__call__", 0),
        ("pose_hrnet.training.step.TrainingStep.__call__", 4),
        ("pose_hrnet.training.train.StateWriter.save", 1),
        ("pose_hrnet.training.train.StateWriter.save", 2),
        ("pose_hrnet.training.states.torch.save", 0),
        ("pose_hrnet.training.states.torch.save", 2),
        ("pose_hrnet.training.loop.evaluate", 0),
        ("pose_hrnet.training.states.save_model", 0),
        ("pose_hrnet.training.train.Report.show", 1),
    ],
)
def test_resumed_run_equals_the_uninterrupted_one(whole, tmp_path, where, call):
    config = load_config(whole / "config.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, dies_at(call, pkgutil.resolve_name(where)))
        with pytest.raises(Killed):
            train(config, tmp_path / "parts", device="cpu")
    train(config, tmp_path / "parts", device="cpu", resume="auto")
    assert_same_run(whole, tmp_path / "parts")


def test_runs_of_earlier_versions_keep_their_best_score():
    earlier = {"epoch": 3, "step": 9, "best_ap": 0.5, "lines": []}
    assert Progressed.from_dict(earlier) == Progressed(3, 9, best_score=0.5)
    done = Progressed(1, 2, 0.25, part=EpochPart(1, 4, 0.5))
    assert Progressed.from_dict(asdict(done)) == done


@pytest.mark.parametrize(
    ("network", "architecture"),
    [
        (["model.head=v2"], {"name": "hrnet", "head": "v2", "width": 8}),
        (["model={name: resnet, depth: 18, width: 8}"], {"name": "resnet", "width": 8}),
    ],
    ids=["hrnet v2", "resnet"],
)
def test_every_network_trains_and_comes_back(settings, tmp_path, network, architecture):
    codec = ["codec.name=udp", "codec.blur_kernel=7", "train.epochs=1"]
    if architecture["name"] != "hrnet":  # has none of its settings
        settings = [each for each in settings if not each.startswith("model.")]
    best = train(load_config("demo", [*settings, *network, *codec]), tmp_path, device="cpu")
    loaded = load_network(best)
    assert architecture.items() <= loaded.network.architecture.items()
    assert (loaded.card.codec.name, loaded.card.codec.blur_kernel) == ("udp", 7)


def test_run_leaves_what_it_promises(settings, tmp_path):
    settings = [*settings, "train.report=true"]
    best = train(load_config("demo", settings), tmp_path / "run", device="cpu")
    names = {path.name for path in (tmp_path / "run").iterdir()} - {"tensorboard", ".lock"}
    pictures = {"curve.png", "best_predictions.png", "worst_predictions.png"}
    scored = {"results.json", "metrics.json", "report.html", "origin.json"}
    assert names == {"best.safetensors", "config.yaml", "last.pt", "metrics.jsonl",
                     "last.previous.pt", *scored, *pictures}  # fmt: skip
    lines = read_metrics(tmp_path / "run/metrics.jsonl")
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert ["AP" in line for line in lines] == [False, True, True]
    assert lines[-1]["step"] == 9
    for path in (best, tmp_path / "run/last.pt"):
        card = load_network(path).card
        assert card.codec.input_wh == (32, 64)
        assert card.skeleton.num_keypoints == 17
    config = load_config(tmp_path / "run/config.yaml")
    assert config == load_config("demo", settings)


def test_a_state_is_loaded_as_it_was_scored(settings, tmp_path):
    """Where there is a moving average, by that; the last epoch is the best of one."""
    config = load_config("demo", [*settings, "train.epochs=1", "train.ema_decay=0.9"])
    best = load_network(train(config, tmp_path, device="cpu")).network.state_dict()
    last = load_network(tmp_path / "last.pt").network.state_dict()
    assert all(torch.equal(value, last[name]) for name, value in best.items())
    raw, _ = weights(tmp_path)
    assert not torch.equal(raw["conv1.weight"], last["conv1.weight"])


def test_a_run_tells_what_it_does_and_what_came_of_it(settings, tmp_path, caplog):
    caplog.set_level("INFO", "pose_hrnet")
    told = []
    config = load_config("demo", settings)
    train(config, tmp_path / "run", device="cpu", loggers=[], tell=told.append)
    start, end = told
    assert dict(start.rows)["steps"] == "3 in an epoch, 9 in all"
    assert dict(end.rows)["pictures"] == "curve.png, best_predictions.png, worst_predictions.png"
    assert dict(end.rows)["best"].startswith("epoch ")
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert ["AP " in line for line in lines] == [False, True, True]
    assert [line.endswith(" left") for line in lines] == [True, True, False]
    assert not (tmp_path / "run/tensorboard").exists()


def test_a_batch_too_large_for_memory_is_told_with_one_that_fits(settings, tmp_path, monkeypatch):
    whole_step = TrainingStep.__call__

    def step(self, batches, *arguments):
        if len(batches[0].pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole_step(self, batches, *arguments)

    monkeypatch.setattr(TrainingStep, "__call__", step)
    monkeypatch.setattr(
        "pose_hrnet.training.memory.peak_memory", lambda run, device: run() and 2e9
    )
    monkeypatch.setattr("pose_hrnet.training.memory.usable_memory", lambda device: 4e9)
    # As much for two crops as for one: all that is known is that 4 are too many.
    message = r"batch size 4 does not fit .*: train.batch_size=2 train.accumulate=2 would fit"
    with pytest.raises(BatchTooLarge, match=message):
        train(load_config("demo", settings), tmp_path / "run", device="cpu")


def test_an_evaluation_too_large_for_memory_goes_on_with_a_smaller_batch(
    settings, tmp_path, monkeypatch
):
    def no_memory(*_arguments, **_settings):
        raise torch.OutOfMemoryError("CUDA out of memory")

    config = load_config("demo", [*settings, "test.batch_size=8"])
    with monkeypatch.context() as patch:
        patch.setattr("pose_hrnet.training.loop.evaluate", no_memory)
        with pytest.raises(BatchTooLarge, match=r"test.batch_size 8 does not fit into the memory"):
            train(config, tmp_path / "run", device="cpu")
    smaller = load_config("demo", [*settings, "test.batch_size=2"])
    train(smaller, tmp_path / "run", device="cpu", resume="must")
    assert len(read_metrics(tmp_path / "run/metrics.jsonl")) == 3


@pytest.mark.parametrize("fails", [False, True])
def test_no_process_is_left_behind(settings, tmp_path, monkeypatch, fails):
    gc.disable()  # a later collection of garbage would hide one
    try:
        if fails:
            dies = dies_at(2, StateWriter.save)
            monkeypatch.setattr("pose_hrnet.training.train.StateWriter.save", dies)
        with pytest.raises(Killed) if fails else nullcontext() as _error:  # keeps its frames
            train(load_config("demo", [*settings, "data.workers=1"]), tmp_path, device="cpu")
        assert multiprocessing.active_children() == []
    finally:
        gc.enable()


def test_loss_falls_on_a_batch_that_is_seen_again_and_again(settings, tmp_path):
    quiet = ["augment.flip_probability=0", "augment.rotation_probability=0", "augment.scale_std=0"]
    steady = ["train.epochs=25", "train.evaluate_every=25", "train.batch_size=10"]
    train(load_config("demo", [*settings, *quiet, *steady]), tmp_path / "run", device="cpu")
    losses = [line["loss"] for line in read_metrics(tmp_path / "run/metrics.jsonl")]
    assert losses[-1] < 0.8 * losses[0]


def test_loss_section_decides_the_loss(settings, tmp_path):
    choices = {
        "mse": [],
        "official": ["loss.keypoint_weights=official"],
        "ohkm": ["loss.name=ohkm"],
        "ohkm17": ["loss.name=ohkm", "loss.top_k=17"],
        "awing": ["loss.name=awing"],
    }
    first = {}
    for name, changes in choices.items():
        config = load_config("demo", [*settings, "train.epochs=1", *changes])
        train(config, tmp_path / name, device="cpu")
        first[name] = read_metrics(tmp_path / name / "metrics.jsonl")[0]["loss"]
    assert first["mse"] < first["official"] < 2 * first["mse"]
    assert first["ohkm"] > first["mse"]
    assert first["ohkm17"] == pytest.approx(first["mse"], rel=1e-4)
    assert first["awing"] > 10 * first["mse"]


def test_loss_settings_that_do_not_fit_stop_before_the_data_is_read(settings, tmp_path):
    for change, message in (
        ("loss.keypoint_weights=[1, 2]", "has 2 numbers for the 17 keypoints of skeleton"),
        ("loss={name: ohkm, top_k: 18}", "loss.top_k is 18; expected 1 to 17"),
    ):
        missing = ["data.train.annotations=missing.json", "data.skeleton=coco17"]
        config = load_config("demo", [*settings, *missing, change])
        with pytest.raises(ValueError, match=message):
            train(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_held_out_boxes_are_those_that_evaluate_takes(settings, tmp_path):
    """Whatever number the person category has."""
    people = json.loads((tmp_path / "people.json").read_text())
    for row in (*people["annotations"], *people["categories"]):
        row["category_id" if "bbox" in row else "id"] = 7
    (tmp_path / "people.json").write_text(json.dumps(people))
    boxes = [
        {"image_id": p["image_id"], "category_id": 7, "bbox": p["bbox"], "score": 0.9}
        for p in people["annotations"]
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    found = [f"data.val.boxes={tmp_path / 'boxes.json'}", "train.epochs=1"]
    assert train(load_config("demo", [*settings, *found]), tmp_path / "run", device="cpu").exists()


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(settings, tmp_path):
    config = load_config("demo", [*settings, "train.epochs=1"])
    train(config, tmp_path, device="cpu")
    with pytest.raises(ValueError, match="holds a training run already; pass --resume"):
        train(config, tmp_path, device="cpu")
    other = load_config("demo", [*settings, "train.epochs=1", "optimizer.lr=0.5"])
    with pytest.raises(ValueError, match=r"optimizer.lr \(0.0012 before, 0.5 now\)"):
        train(other, tmp_path, device="cpu", resume="auto")
    longer = load_config("demo", [*settings, "train.epochs=2"])
    with pytest.raises(ValueError, match=r"train.epochs \(1 before, 2 now\)"):
        train(longer, tmp_path, device="cpu", resume="auto")


def test_a_new_run_moves_aside_what_it_would_write_over(whole, tmp_path, caplog):
    """What `evaluate` left there, weights whose states were deleted, somebody's own settings."""
    short = ["train.epochs=1", "train.evaluate_every=1"]
    config = load_config(whole / "config.yaml", short)
    own = {"last.pt", "last.previous.pt", ".lock"}
    written = {path.name for path in whole.iterdir() if path.is_file()} - own - {"origin.json"}
    names = written | {"report.html", "comparison.json"}
    assert {"results.json", "metrics.json", "best.safetensors", "config.yaml"} < names
    for name in names:
        (tmp_path / name).write_text("mine")
    train(config, tmp_path, device="cpu", loggers=[])
    for name in names:
        assert (tmp_path / f"{name}.1").read_text() == "mine"
        assert f"{name}.1" in caplog.text
    for name in own:  # as a run leaves it that was killed before its first save
        (tmp_path / name).unlink(missing_ok=True)
    train(config, tmp_path, device="cpu", loggers=[])
    assert not (tmp_path / "config.yaml.2").exists()


def test_a_run_with_a_step_schedule_can_be_made_longer(settings, tmp_path):
    settings = [*settings, "optimizer.schedule=step"]
    train(load_config("demo", [*settings, "train.epochs=1"]), tmp_path / "run", device="cpu")
    longer = load_config("demo", [*settings, "train.epochs=3"])
    train(longer, tmp_path / "run", device="cpu", resume="auto")
    train(longer, tmp_path / "whole", device="cpu")
    (model_a, _), (model_b, _) = weights(tmp_path / "run"), weights(tmp_path / "whole")
    assert all(torch.equal(value, model_b[name]) for name, value in model_a.items())


def test_other_persons_and_damaged_files_are_refused(settings, tmp_path):
    config = load_config("demo", [*settings, "train.epochs=1"])
    train(config, tmp_path / "run", device="cpu")
    write_annotations(make_people(8), tmp_path / "people.json")
    with pytest.raises(ValueError, match="was started on other persons"):
        train(config, tmp_path / "run", device="cpu", resume="auto")
    write_annotations(make_people(10), tmp_path / "people.json")
    for name in ("last.pt", "last.previous.pt"):
        (tmp_path / "run" / name).write_bytes(b"cut short")
    with pytest.raises(ValueError, match=r"last\.pt is damaged .*last\.previous\.pt is damaged"):
        train(config, tmp_path / "run", device="cpu", resume="auto")


def test_wrong_folders_are_noticed_before_training(settings, tmp_path):
    config = load_config("demo", [*settings, f"data.train.images={tmp_path / 'elsewhere'}"])
    with pytest.raises(ValueError, match="none of the first images"):
        train(config, tmp_path / "run", device="cpu")
    config = load_config("demo", [*settings, "data.val.annotations=missing.json"])
    with pytest.raises(FileNotFoundError, match=r"missing\.json does not exist"):
        train(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_step_schedule_warms_up_and_drops():
    config = OptimizerConfig(lr=1.0, step_epochs=(2, 3), warmup_steps=4)
    rate = rate_schedule(config, steps_per_epoch=10, epochs=4)
    assert [rate(s, 0) for s in (0, 1, 3, 19, 20, 30)] == pytest.approx(
        [0.25, 0.5, 1, 1, 0.1, 0.01]
    )


def test_cosine_schedule_ends_at_zero():
    rate = rate_schedule(OptimizerConfig(lr=2.0, schedule="cosine"), 10, 4)
    assert [rate(s, 0) for s in (0, 20, 40)] == pytest.approx([2.0, 1.0, 0.0])


def test_a_schedule_in_minutes_is_stretched_over_them():
    cosine = rate_schedule(OptimizerConfig(lr=2.0, schedule="cosine"), 10, 4, minutes=2)
    assert [cosine(0, s) for s in (0, 60, 120, 130)] == pytest.approx([2.0, 1.0, 0.0, 0.0])
    step = rate_schedule(OptimizerConfig(lr=1.0, step_epochs=(2, 3)), 10, 4, minutes=2)
    assert [step(0, s) for s in (59, 60, 90)] == pytest.approx([1, 0.1, 0.01])


def test_a_run_in_minutes_ends_when_they_are_over(settings, tmp_path, monkeypatch):
    """Each look at the clock takes 1/8 s: 3 for a step, 3 more for the end of a whole epoch."""
    clock = itertools.count(0, 0.125)
    monkeypatch.setattr("pose_hrnet.training.loop.perf_counter", lambda: next(clock))
    limits = ["train.minutes=0.035", "train.epochs=100000", "train.evaluate_every=100000"]
    train(load_config("demo", [*settings, *limits]), tmp_path, device="cpu")
    lines = read_metrics(tmp_path / METRICS)
    assert [(line["step"], line["seconds"]) for line in lines] == [(3, 1.5), (5, 0.88)]
    assert lines[-1]["lr"] == 0
    assert ["AP" in line for line in lines] == [False, True]
    assert (tmp_path / "best.safetensors").exists()
    # The time is used up: nothing is left to do for a resumed run.
    train(load_config("demo", [*settings, *limits]), tmp_path, device="cpu", resume="auto")
    assert read_metrics(tmp_path / METRICS) == lines


def test_a_run_in_minutes_that_is_stopped_by_its_last_step_is_concluded(
    settings, tmp_path, monkeypatch
):
    clock = itertools.count(0, 0.125)
    monkeypatch.setattr("pose_hrnet.training.loop.perf_counter", lambda: next(clock))
    limits = ["train.minutes=0.005", "train.epochs=100000", "train.evaluate_every=100000"]
    asked = iter([signal.SIGTERM])  # behind the first step, when 0.3 s are over
    # Private: the signal arrives between this very step and the next look at the clock.
    monkeypatch.setattr(TrainingRun, "_asked_to_stop", lambda run: next(asked, None))
    config = load_config("demo", [*settings, *limits])
    with pytest.raises(Interrupted):
        train(config, tmp_path, device="cpu")
    assert read_metrics(tmp_path / METRICS) == []
    train(config, tmp_path, device="cpu", resume="must")
    (line,) = read_metrics(tmp_path / METRICS)
    assert line["step"] == 1
    assert "AP" in line


def test_the_clock_of_a_run_does_not_round():
    done = Progressed(part=EpochPart(steps=1, samples=4, loss_sum=1.0, seconds=0.3049))
    done.finish_epoch(0.0)
    assert done.lines[0]["seconds"] == 0.3
    assert done.seconds == 0.3049


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_weight_decay_reaches_every_optimiser(name):
    parameter = torch.nn.Linear(1, 1, bias=False)
    config = OptimizerConfig(name=name, lr=0.1, weight_decay=0.5)
    optimizer = build_optimizer(parameter, config)
    before = parameter.weight.item()
    parameter.weight.grad = torch.zeros_like(parameter.weight)
    optimizer.step()
    assert abs(parameter.weight.item()) < abs(before)


def test_the_report_of_a_run_is_of_its_best_weights(settings, tmp_path):
    config = load_config("demo", [*settings, "train.report=true"])
    told = []
    train(config, tmp_path / "run", device="cpu", loggers=[], tell=told.append)
    best = max(line.get("AP", -1) for line in read_metrics(tmp_path / "run/metrics.jsonl"))
    facts = json.loads((tmp_path / "run/metrics.json").read_text())
    assert facts["AP"] == best
    assert facts["evaluated"]["checkpoint"] == "best.safetensors"
    page = (tmp_path / "run/report.html").read_text()
    assert f"AP is {best:.3f}" in page
    assert "run on people.json" in page
    assert dict(told[-1].rows)["report"] == "report.html"
