"""Which runs are continued, from where, and what is said about it."""

from __future__ import annotations

import logging
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from pose_hrnet.cli.app import app
from pose_hrnet.config.files import load_config
from pose_hrnet.models.weights.load import load_network, save_model
from pose_hrnet.system.folders import FolderBusy, owned
from pose_hrnet.system.progress import SILENT
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.dry_run import dry_run
from pose_hrnet.training.run_folder import RunMismatch, fingerprint, load_run
from pose_hrnet.training.states import BEST, LAST, PREVIOUS
from pose_hrnet.training.train import train
from tests.helpers.builders import make_people
from tests.helpers.training_runs import assert_same_run

PEOPLE = make_people(3)


def saved_run(folder, config, **changes):
    """A folder that holds a state of this configuration, with some values changed or left out."""
    values = config.model_dump(mode="json")
    for key, value in changes.items():
        section, name = key.split("__")
        if value is None:
            del values[section][name]
        else:
            values[section][name] = value
    torch.save({"config": values, "people": fingerprint(PEOPLE)}, folder / LAST)


def test_settings_that_came_later_than_a_run_had_their_default(tmp_path):
    config = load_config("demo", ["train.ema_decay=null"])
    saved_run(tmp_path, config, train__ema_decay=None, train__accumulate=None)
    assert load_run(tmp_path, config, PEOPLE, "auto") is not None
    other = load_config("demo", ["train.ema_decay=null", "train.accumulate=2"])
    with pytest.raises(RunMismatch, match=r"train.accumulate \(1 before, 2 now\)"):
        load_run(tmp_path, other, PEOPLE, "auto")


def test_a_setting_that_is_no_more_is_named(tmp_path):
    saved_run(tmp_path, load_config("demo"), train__joint_weights=True)
    with pytest.raises(RunMismatch, match=r"train.joint_weights \(True before, None now\)"):
        load_run(tmp_path, load_config("demo"), PEOPLE, "auto")


def test_what_does_not_change_a_step_may_change(tmp_path):
    saved_run(tmp_path, load_config("demo"))
    config = load_config("demo", ["train.save_every=7", "data.workers=0"])
    assert load_run(tmp_path, config, PEOPLE, "must") is not None


@pytest.mark.parametrize(("minutes", "may"), [("null", True), ("9", False)])
def test_more_epochs_stretch_a_step_schedule_over_minutes(tmp_path, minutes, may):
    """And leave one over epochs as it is."""
    settings = ["optimizer.schedule=step", f"train.minutes={minutes}"]
    saved_run(tmp_path, load_config("demo", settings))
    with nullcontext() if may else pytest.raises(RunMismatch, match=r"train.epochs \(4 before"):
        load_run(tmp_path, load_config("demo", [*settings, "train.epochs=9"]), PEOPLE, "auto")


def test_never_auto_and_must(tmp_path):
    config = load_config("demo")
    assert load_run(tmp_path, config, PEOPLE, "never") is None
    assert load_run(tmp_path, config, PEOPLE, "auto") is None
    with pytest.raises(ValueError, match="holds no run to resume; check --output"):
        load_run(tmp_path, config, PEOPLE, "must")
    saved_run(tmp_path, config)
    (tmp_path / LAST).rename(tmp_path / PREVIOUS)  # as after a kill between two renamings
    with pytest.raises(RunMismatch, match="holds a training run already; pass --resume"):
        load_run(tmp_path, config, PEOPLE, "never")
    for resume in ("auto", "must"):
        assert load_run(tmp_path, config, PEOPLE, resume) is not None


class Enough(BaseException):
    """Ends a run at its second step."""


class SecondStepEnds:
    """Watches a run, and ends it when it has done another step after the first."""

    def __init__(self) -> None:
        self.steps = 0

    @contextmanager
    def task(self, name, total, unit):
        yield self if unit == "samples" else SILENT

    def advance(self, amount=1, note=""):
        self.steps += 1
        if self.steps == 2:
            raise Enough

    def advance_to(self, done):
        pass


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_goes_on_after_any_step(settings, tmp_path, accumulate):
    """Three batches, the last one smaller: three steps, or two with the last one smaller."""
    changes = ["train.save_every=1", "train.epochs=2", f"train.accumulate={accumulate}"]
    config = load_config("demo", [*settings, *changes])
    train(config, tmp_path / "whole", device="cpu")
    steps = 2 * -(-3 // accumulate)
    state = torch.load(tmp_path / "whole" / LAST, weights_only=True)
    assert state["progressed"]["step"] == steps
    for number in range(1, steps):
        with pytest.raises(Enough):
            train(
                config, tmp_path / "parts", device="cpu", resume="auto", progress=SecondStepEnds()
            )
        state = torch.load(tmp_path / "parts" / LAST, weights_only=True)
        assert state["progressed"]["step"] == number
    train(config, tmp_path / "parts", device="cpu", resume="must")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_what_a_resumed_run_starts_from_is_its_save(settings, tmp_path):
    config = load_config("demo", [*settings, "train.save_every=1", "train.epochs=2"])
    told, run = [], tmp_path / "run"
    with pytest.raises(Enough):
        train(config, run, device="cpu", progress=SecondStepEnds(), tell=told.append)
    dry = {c.name: c.detail for c in dry_run(config, run, resume="must", device="cpu")}
    assert dry["earlier run"] == "goes on at epoch 1 of 2, step 1 of 3"
    assert dry["starting weights"] == "those of the earlier run"
    train(config, run, device="cpu", resume="must", tell=told.append)
    began, resumed, _ = (dict(facts.rows) for facts in told)
    assert began["start from"] == "random weights"
    assert resumed["goes on from"] == "the save at epoch 1 of 2, step 1 of 3"
    assert "random" not in str(resumed)


def test_the_card_passes_on_what_the_starting_weights_say_of_themselves(settings, tmp_path):
    changes = [*settings, "train.save_every=1", "train.epochs=2"]
    begin, run = tmp_path / "begin.safetensors", tmp_path / "run"
    model, card = build_model(load_config("demo", changes))
    save_model(begin, model.state_dict(), replace(card, note="Never report its AP."))
    config = load_config("demo", [*changes, f"model.pretrained={begin}"])
    with pytest.raises(Enough):
        train(config, run, device="cpu", progress=SecondStepEnds())
    begin.unlink()
    train(config, run, device="cpu", resume="must")
    assert load_network(run / BEST)[1].note == "Never report its AP."


def test_a_finished_run_says_so_and_does_nothing(settings, tmp_path, caplog):
    config = load_config("demo", [*settings, "train.epochs=1"])
    train(config, tmp_path, device="cpu")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir() if p.suffix in (".pt", ".jsonl")}
    caplog.clear()
    with caplog.at_level(logging.INFO):
        train(config, tmp_path, device="cpu", resume="auto")
    assert f"the run in {tmp_path} is finished: 1 of 1 epoch, best AP" in caplog.text
    assert "samples/s" not in caplog.text
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "never"),
        (["--resume"], "auto"),
        (["--resume", "--set=train.epochs=1"], "auto"),
        (["--resume", "auto"], "auto"),
        (["--resume=must"], "must"),
        (["--resume", "never"], "never"),
    ],
)
def test_resume_alone_means_auto(monkeypatch, options, expected):
    seen = []

    def noted(config, output, *, resume, **_):
        seen.append(resume)
        return output

    monkeypatch.setattr("pose_hrnet.training.train.train", noted)
    assert CliRunner().invoke(app, ["train", "-o", "x", "demo", *options]).exit_code == 0
    assert CliRunner().invoke(app, ["train", "-o", "x", *options, "demo"]).exit_code == 0
    assert seen == [expected, expected]
    assert CliRunner().invoke(app, ["train", "demo", "-o", "x", "--resume=yes"]).exit_code == 2


def test_two_trainings_do_not_share_a_folder(tmp_path):
    refused = pytest.raises(FolderBusy, match="another process works in")
    with owned(tmp_path), refused, owned(tmp_path):
        pass
    with owned(tmp_path):  # let go of, also after an error
        pass


def test_a_run_that_is_at_work_stays_as_it_is(settings, tmp_path):
    """Before its first save its folder looks empty; another command must not write there."""
    folder = tmp_path / "run"
    config = load_config("demo", settings)
    with owned(folder):
        (folder / "config.yaml").write_text("the first run's")
        before = sorted(folder.iterdir())
        with pytest.raises(FolderBusy, match="another process works in"):
            train(config, folder, device="cpu")
        assert sorted(folder.iterdir()) == before
        assert (folder / "config.yaml").read_text() == "the first run's"


@pytest.mark.parametrize("state", [5, {}, {"config": 5}, {"config": {"train": {}}}, [1]])
def test_a_state_of_something_else_is_one_sentence(tmp_path, state):
    torch.save(state, tmp_path / LAST)
    with pytest.raises(ValueError, match=r"last\.pt is no state of a training that can go on"):
        load_run(tmp_path, load_config("demo"), PEOPLE, "auto")


class Code:
    def __reduce__(self):
        return print, ("it ran",)


def test_a_state_with_code_is_refused_without_advice_to_run_it(tmp_path, capsys):
    torch.save({"config": Code()}, tmp_path / LAST)
    with pytest.raises(ValueError, match=r"last\.pt: this file contains Python objects") as error:
        load_run(tmp_path, load_config("demo"), PEOPLE, "auto")
    assert "weights_only" not in str(error.value)
    assert capsys.readouterr().out == ""
