"""The summaries say what is true of the run, in words that fit a screen."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pose_hrnet.config.files import load_config
from pose_hrnet.config.training import OptimizerConfig, TrainConfig
from pose_hrnet.system.distributed import World
from pose_hrnet.system.progress import SILENT
from pose_hrnet.system.text import duration, speed
from pose_hrnet.training.assemble import Assembly, build_model
from pose_hrnet.training.report import TIMED_STEPS, WARM_UP_STEPS, Report
from pose_hrnet.training.summary import (
    Facts,
    epoch_in_words,
    log_facts,
    result_facts,
    schedule_in_words,
    summarize,
)
from tests.helpers.builders import make_people, write_annotations, write_images

LINE = {
    "epoch": 3, "loss": 4.12e-4, "lr": 1e-3, "seconds": 10.0, "samples_per_second": 34.0,
    "data_wait": 0.03, "unreadable": 0,
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    people = make_people(10)
    people.visibility[:5, 10:] = 0
    learned, scored = (
        write_annotations(part, tmp_path / f"{name}.json")
        for name, part in (("train", people), ("val", make_people(6)))
    )
    images = write_images(people, tmp_path / "images")
    return load_config("demo", [
        f"data.train.annotations={learned}", f"data.train.images={images}",
        f"data.val.annotations={scored}", f"data.val.images={images}",
        "train.batch_size=2", "train.accumulate=2", "train.precision=fp32", "train.epochs=7",
        "optimizer.lr=1e-3", "optimizer.lr_batch=32",
    ])  # fmt: skip


def summary_of(config, processes=1):
    return summarize(Assembly(config, torch.device("cpu"), World(size=processes)))


def test_facts_are_those_of_the_run(config):
    summary = summary_of(config)
    assert (summary.training_persons, summary.training_images) == (10, 5)
    assert summary.keypoints_per_person == pytest.approx((5 * 10 + 5 * 17) / 10)
    assert (summary.validation_boxes, summary.validation_images) == (6, 3)
    model, _ = build_model(config)
    assert summary.parameters == sum(p.numel() for p in model.parameters())
    assert (summary.model, summary.precision) == ("HRNet-W28", "fp32")
    assert (summary.effective_batch, summary.steps_per_epoch) == (4, 3)
    four = summary_of(config, processes=4)
    assert (four.effective_batch, four.steps_per_epoch) == (16, 1)
    rows = dict(summary.facts(config).rows)
    assert rows["train"] == "10 persons in 5 images, 13.5 keypoints each"
    assert rows["batch"] == "4 crops per step (2 crops x 2 batches)"
    assert dict(four.facts(config).rows)["batch"].endswith("(2 crops x 2 batches x 4 processes)")
    assert rows["learning rate"] == "adamw 0.000125 = 0.001 x 4 / 32, warm-up of 50 steps"
    assert rows["steps"] == "3 in an epoch, 21 in all"
    assert rows["input"].startswith("128x96 (height x width), codec udp")


def test_summary_fits_a_screen(config, tmp_path):
    facts = summary_of(config).facts(config, place="at epoch 170 of 210, step 4,000 of 4,683")
    assert len(facts.rows) < 22
    short = [value for name, value in facts.rows if name != "data"]
    assert max(map(len, short)) <= 80 - 18


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "x 0.1 at epochs 170 and 200 of 210"),
        ({"step_epochs": (100,)}, "x 0.1 at epoch 100 of 210"),
        ({"step_epochs": (300,)}, "the same throughout"),
        ({"schedule": "cosine"}, "cosine to 0 at epoch 210"),
    ],
)
def test_schedule_in_words(settings, words):
    assert schedule_in_words(OptimizerConfig(**settings), TrainConfig(epochs=210)) == words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "x 0.1 at epochs 170 and 200 of 210, or 81% and 95% of the time"),
        ({"schedule": "cosine"}, "cosine to 0 when the time is up, or at epoch 210 if sooner"),
    ],
)
def test_schedule_by_the_clock_in_words(settings, words):
    train = TrainConfig(epochs=210, minutes=2)
    assert schedule_in_words(OptimizerConfig(**settings), train) == words


def test_a_run_in_minutes_says_what_may_end_it_and_how_it_resumes(config):
    train = config.train.model_copy(update={"minutes": 2.0})
    facts = summary_of(config).facts(config.model_copy(update={"train": train}))
    rows = dict(facts.rows)
    assert facts.title == "training for 2 min, at most 7 epochs"
    assert rows["steps"] == "3 in an epoch, as time allows, 21 at most"
    assert rows["if resumed"] == "goes on by the clock, so not to the very same weights"
    assert len(rows) < 22
    assert max(len(value) for name, value in rows.items() if name != "data") <= 80 - 18
    assert "if resumed" not in dict(summary_of(config).facts(config).rows)


def test_time_left_is_that_to_whichever_end_comes_first(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "pose_hrnet")
    monkeypatch.setattr("pose_hrnet.training.report.time.perf_counter", lambda: 0.0)
    for minutes, left in ((0.25, "5 s left"), (60.0, "24 s left")):
        report = Report(tmp_path, 0, epochs=5, minutes=minutes)
        report.began = -6.0  # an epoch took so long, and four are to come
        report.show([{**LINE, "epoch": 1}])
        assert caplog.messages[-1].endswith(left)


def test_numbers_in_words():
    assert [duration(s) for s in (12.3, 240, 12_000, 190_000)] == [
        "12 s", "4 min", "3 h 20 min", "2 d 4 h",
    ]  # fmt: skip
    assert duration(3 * 3600 - 1) == "3 h 00 min"
    assert [speed(s) for s in (1234.5, 34.4, 2.44)] == [
        "1,234 crops/s",
        "34 crops/s",
        "2.4 crops/s",
    ]


def test_a_line_for_each_epoch():
    assert epoch_in_words({**LINE, "AP": 0.5123}, 10, 12_000.0) == (
        "epoch 3/10: loss 4.12e-04, AP 0.512, 34 crops/s, 3 h 20 min left"
    )
    bad = epoch_in_words({**LINE, "unreadable": 2, "data_wait": 0.13}, 3)
    assert bad == "epoch 3/3: loss 4.12e-04, 34 crops/s, wait 13%, 2 unreadable"


def test_an_epoch_is_one_line_of_a_terminal():
    """80 columns, of which the level of a message takes nine."""
    line = {**LINE, "epoch": 170, "PCKh": 0.905, "samples_per_second": 1234.0}
    assert len(epoch_in_words(line, 210, 190_000.0)) <= 80 - 9


def test_results_name_the_first_best_epoch():
    lines = [{**LINE, "epoch": e, "AP": ap, "AR": 0.6} for e, ap in ((1, 0.4), (2, 0.5), (3, 0.5))]
    lines += [{**LINE, "epoch": 4, "data_wait": 0.43}, {**LINE, "epoch": 5, "AP": 0.3, "AR": 0.2}]
    rows = dict(result_facts(lines, Path("run/best.safetensors")).rows)
    assert rows["best"] == "epoch 2: AP 0.500, AR 0.600"
    assert rows["last"] == "AP 0.300"
    assert rows["learning took"] == "50 s, 34 crops/s"
    assert rows["waiting for data"] == "11% of it"
    assert rows["weights"].endswith("best.safetensors")


def test_time_left_is_told_once_the_first_steps_are_timed(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "pose_hrnet")
    clock = iter(range(10_000))
    monkeypatch.setattr("pose_hrnet.training.report.time.perf_counter", lambda: next(clock) * 0.5)
    report = Report(tmp_path, 0, epochs=10)
    with SILENT.task("epoch 1", 1000, "samples") as bar:
        timed = report.timed(bar, 1000, 0)
        for _ in range(WARM_UP_STEPS + TIMED_STEPS - 1):
            timed.advance(8)
        assert "left" not in caplog.text
        timed.advance(8)
        # 8 crops in each half second, which the clock gives for each look at it.
        assert "about 10 min of learning left at 16 crops/s" in caplog.text
        timed.advance(8)
        assert caplog.text.count("left") == 1
        assert report.timed(bar, 1000, 1) is bar


def test_logged_facts_are_one_entry(caplog):
    caplog.set_level(logging.INFO, "pose_hrnet")
    log_facts(Facts("title", (("a", "1"), ("long name", "2"))))
    assert [r.getMessage() for r in caplog.records] == ["title\n  a          1\n  long name  2"]


def test_pretrained_and_shards_are_named(config):
    summary = summary_of(config)
    model = config.model.model_copy(update={"pretrained": Path("weights.pth")})
    other = config.model_copy(update={"model": model})
    assert dict(summary.facts(other).rows)["start from"] == "weights.pth"
    assert dict(replace(summary, gflops=7.12).facts(config).rows)["model"].endswith("7.1 GFLOPs")
