"""Two processes train as one, and what a signal or a kill interrupts goes on to the same end."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pose_hrnet import evaluate, load_config, load_model, train
from pose_hrnet.training.report import read_metrics
from pose_hrnet.training.run_folder import EpochPart, Progressed, at_other_batch
from pose_hrnet.training.states import read_newest_state
from pose_hrnet.training.step import TrainingStep
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.training_runs import TINY, assert_same_run, data_settings

ROOT = Path(__file__).resolve().parents[2]
WORKER = ROOT / "tests/helpers/training_worker.py"
PATIENCE = 200
PERSONS, EPOCHS, STEPS = 23, 2, 6
"""Six steps of 2 crops for each of 2 processes; the last one has 3 crops left."""
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="PyTorch is built without torch.distributed"
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Persons so large that even an untrained network's guesses count; one image is none."""
    folder = tmp_path_factory.mktemp("data")
    people = make_people(PERSONS)
    images = write_images(people, folder / "images")
    (images / "000005.png").write_bytes(b"no image")
    annotations = write_annotations(replace(people, areas=people.areas * 30), folder / "p.json")
    return [
        *data_settings(annotations, images), *TINY, "train.batch_size=2",
        f"train.epochs={EPOCHS}", "train.evaluate_every=1", "train.save_every=2",
    ]  # fmt: skip


class Run:
    """A training that torchrun starts in two processes."""

    def __init__(self, folder, settings, *, restarts=0, hold=0, script=WORKER) -> None:
        self.folder = folder
        self.trace = Path(tempfile.mkdtemp(prefix="trace", dir=folder.parent))
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        command = [] if script.parent.name == "tools" else ["train"]
        self.process = subprocess.Popen(
            [sys.executable, *launcher, f"--max-restarts={restarts}", script, *command, "demo",
             "--output", folder, "--resume", "--device=cpu",
             *(f"--set={setting}" for setting in settings)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TRACE": str(self.trace), "HOLD": str(hold)},
        )  # fmt: skip

    def steps(self, rank):
        """What a process has noted of its steps."""
        path = self.trace / f"{rank}.steps"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait_for(self, ready):
        """Until `ready` is true; a test that waits for ever is ended from outside."""
        while not ready():
            if self.process.poll() is not None:
                pytest.fail(f"the run ended too early: {self.process.communicate()[1]}")
            time.sleep(0.01)

    def pid_at_step(self, number, rank):
        """The process of a rank, once it has done so many steps."""
        self.wait_for(lambda: len(self.steps(rank)) >= number)
        return self.steps(rank)[-1]["pid"]

    def wait_for_signal(self, rank):
        """Until a process has handled one."""
        self.wait_for((self.trace / f"{rank}.signal").exists)

    def go_on(self):
        """Let go the processes that are held."""
        (self.trace / "go").touch()

    def said(self, code=0):
        """Standard output and error, each in one line, of a run that has ended."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == code, err
        return " ".join(out.split()), " ".join(err.split())

    def ends(self):
        """What both processes had at the end."""
        return [torch.load(self.trace / f"{rank}.end", weights_only=False) for rank in (0, 1)]


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """The run of two processes that nobody interrupts."""
    run = Run(tmp_path_factory.mktemp("whole") / "run", settings)
    run.out, run.err = run.said()
    return run


def test_both_processes_end_with_the_same_weights_and_numbers(whole):
    first, second = whole.ends()
    for name, value in first["parameters"].items():
        assert torch.equal(value, second["parameters"][name]), name
    scores = [[(line["loss"], line["AP"]) for line in end["lines"]] for end in (first, second)]
    assert scores[0] == scores[1]


def test_every_person_is_learnt_from_once_in_an_epoch(whole):
    pairs = list(zip(whole.steps(0), whole.steps(1), strict=True))
    assert len(pairs) == EPOCHS * STEPS
    for epoch in range(EPOCHS):
        rows = [
            row for pair in pairs[epoch * STEPS :][:STEPS] for one in pair for row in one["rows"]
        ]
        assert len(rows) == PERSONS + 1  # one fills up the last step
        assert set(rows) == set(range(PERSONS))


def test_the_lines_of_epochs_are_of_all_processes(whole):
    lines = read_metrics(whole.folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == [STEPS * n for n in range(1, EPOCHS + 1)]
    pairs = list(zip(whole.steps(0), whole.steps(1), strict=True))
    weights = [4] * (STEPS - 1) + [3]
    for number, line in enumerate(lines):
        part = pairs[number * STEPS :][:STEPS]
        losses = [(first["loss"] + second["loss"]) / 2 for first, second in part]
        total = sum(loss * weight for loss, weight in zip(losses, weights, strict=True))
        assert line["loss"] == pytest.approx(total / PERSONS)
        rows = [row for pair in part for one in pair for row in one["rows"]]
        assert line["unreadable"] == sum(row in (8, 9) for row in rows)  # two to an image


def test_two_processes_learn_as_one_that_accumulates_their_batches(
    whole, settings, tmp_path, monkeypatch
):
    """Batch norm sees the same batches then; the last step of an epoch differs by its filling."""
    losses, learn = [], TrainingStep.__call__

    def noted(self, batches, rate):
        losses.append(float(loss := learn(self, batches, rate)))
        return loss

    monkeypatch.setattr(TrainingStep, "__call__", noted)
    config = load_config("demo", [*settings, "train.accumulate=2"])
    train(config, tmp_path / "one", device="cpu")
    pairs = zip(whole.steps(0), whole.steps(1), strict=True)
    both = [(first["loss"] + second["loss"]) / 2 for first, second in pairs]
    assert losses[: STEPS - 1] == pytest.approx(both[: STEPS - 1], rel=1e-3)
    assert min(abs(a / b - 1) for a, b in itertools.pairwise(losses)) > 2e-3


def test_scores_are_those_of_one_process_with_the_same_weights(whole, settings):
    model = load_model(whole.folder / "best.safetensors", backend="eager", device="cpu")
    config = load_config("demo", settings)
    evaluation = evaluate(model, config.data.val, config.test)
    lines = read_metrics(whole.folder / "metrics.jsonl")
    best = max(lines, key=lambda line: line["AP"])
    expected = dict(evaluation.scores.values)
    assert {name: best[name] for name in expected} == expected
    assert 0.01 < best["AP"] < 0.99


def test_a_run_of_two_speaks_with_one_voice(whole):
    assert whole.out.count("training for 2 epochs") == 1
    assert "4 crops per step (2 crops x 2 processes)" in whole.out
    assert whole.out.count("trained for 2 epochs") == 1
    assert [whole.err.count(f"epoch {n}/2:") for n in (1, 2)] == [1, 1]
    assert "Traceback" not in whole.err
    left = {path.name for path in whole.folder.iterdir()}
    assert {"best.safetensors", "config.yaml", "last.pt", "metrics.jsonl", "curve.png"} <= left
    assert not [name for name in left if name.endswith(".tmp")]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_both_and_resuming_ends_the_same(
    settings, whole, tmp_path, rank
):
    run = Run(tmp_path / "run", settings, hold=STEPS + 1)
    os.kill(run.pid_at_step(STEPS + 1, rank), signal.SIGTERM)
    run.wait_for_signal(rank)
    run.go_on()
    _, err = run.said(code=1)  # torchrun's, to whom any exit of a process is a failure
    assert err.count("saved; the same command with --resume goes on") == 1
    assert "error:" not in err.replace("error_file:", "")
    progressed = read_newest_state(run.folder)["progressed"]
    assert progressed["step"] == STEPS + 1
    assert (progressed["part"]["steps"], progressed["part"]["samples"]) == (1, 4)
    again = Run(run.folder, settings, script=ROOT / "tools/train.py")
    _, err = again.said()
    assert err.count("resumed at epoch") == 1
    assert_same_run(whole.folder, run.folder)


def test_a_killed_process_is_started_again_and_the_run_ends_the_same(settings, whole, tmp_path):
    run = Run(tmp_path / "run", settings, restarts=1, hold=STEPS + 3)
    os.kill(run.pid_at_step(STEPS + 3, 1), signal.SIGKILL)
    run.go_on()
    _, err = run.said()
    assert err.count("error: process 0 of 2 ") == 1  # lost the other, or was told
    assert err.count("resumed at epoch 2 of 2") == 1
    assert len({step["pid"] for step in run.steps(1)}) == 2
    assert_same_run(whole.folder, run.folder)
    assert not list(run.folder.glob(".*.tmp"))


def test_what_two_processes_accumulate_goes_on_in_one(settings, tmp_path):
    """8 crops in a step: 2 processes x 2 batches x 2 crops, then 1 x 1 x 8."""
    run = Run(tmp_path / "run", [*settings, "train.accumulate=2"], hold=4)
    for rank in (0, 1):
        run.pid_at_step(4, rank)
    run.process.terminate()  # which torchrun passes on
    for rank in (0, 1):
        run.wait_for_signal(rank)
    run.go_on()
    run.process.communicate(timeout=PATIENCE)
    state = read_newest_state(run.folder)
    done = Progressed.from_dict(state["progressed"])
    assert state["processes"] == 2
    assert (done.step, done.part.steps, done.part.samples) == (4, 1, 8)
    assert {len(run.steps(rank)[0]["rows"]) for rank in (0, 1)} == {4}

    learn, rows = TrainingStep.__call__, []

    def noted(self, batches, rate):
        rows.append([int(row) for batch in batches for row in batch.rows])
        return learn(self, batches, rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", noted)
        config = load_config("demo", [*settings, "train.batch_size=8"])
        train(config, run.folder, device="cpu", resume="must")
    lines = read_metrics(run.folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == [3, 6]
    before = done.part.steps
    parts = [run.steps(rank)[done.step - before : done.step] for rank in (0, 1)]
    epoch = [row for part in parts for step in part for row in step["rows"]]
    for step in rows[: 3 - before]:
        epoch += step
    assert sorted(epoch) == list(range(PERSONS))


def test_a_run_may_go_on_with_other_batches():
    """100 persons, 4 to a step, then 8: the rate falls as if all steps had had 8."""
    done = Progressed(epoch=2, step=55, part=EpochPart(steps=5, samples=20))
    moved = at_other_batch(done, 8, persons=100, steps_per_epoch=13)
    assert (moved.epoch, moved.part.samples) == (2, 20)
    assert moved.part.steps == 13 - 10  # 80 persons are left: ten steps
    assert moved.step == 2 * 13 + 3
    assert at_other_batch(done, 4, persons=100, steps_per_epoch=25) == done
