"""Loggers get the numbers and pictures of a run, go on where it goes on, and cannot stop it."""

from __future__ import annotations

import errno
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from pose_hrnet.cli.app import app
from pose_hrnet.system.folders import NotWritten
from pose_hrnet.training import loggers
from pose_hrnet.training.loggers import Loggers, check_loggers, open_loggers

SETTINGS = {"model": {"width": 8, "stage_modules": [1, 1]}, "train": {"epochs": 3}}
PICTURE = np.full((6, 4, 3), 200, np.uint8)


def tell(output, name, *, epoch=1, finished=0):
    """What a run of one epoch tells a logger."""
    (logger,) = open_loggers([name], output, SETTINGS, finished)
    logger.scalars(epoch, {"loss": 0.5, "PCKh@0.1": 0.25, "epoch": epoch})
    logger.picture("heatmaps", PICTURE, epoch)
    logger.close()


class Recorder:
    """A module, and the runs that it makes; remembers every call by name."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments, **settings):
            self.calls.append((name, arguments, settings))
            return self if name == "init" else SimpleNamespace(info=SimpleNamespace(run_id="m7"))

        return call

    def named(self, name):
        return [
            (arguments, settings) for called, arguments, settings in self.calls if called == name
        ]


@pytest.fixture
def fake(monkeypatch, request):
    recorder = Recorder()
    recorder.id = "w7"
    monkeypatch.setitem(sys.modules, request.param, recorder)
    # Private: what is installed here is no part of the tests.
    monkeypatch.setattr(loggers, "_is_installed", lambda name: True)
    for variable in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(variable, raising=False)
    return recorder


@pytest.mark.parametrize("fake", ["wandb"], indirect=True)
def test_wandb_goes_on_in_the_same_run(fake, tmp_path):
    tell(tmp_path, "wandb")
    ((_, first),) = fake.named("init")
    assert first["project"] == "pose_hrnet"
    assert first["config"] == {"model.width": 8, "model.stage_modules": [1, 1], "train.epochs": 3}
    assert first["id"] is None
    assert json.loads((tmp_path / "loggers.json").read_text()) == {"wandb": "w7"}
    (scalars, _), (picture, _) = fake.named("log")
    assert scalars[0] == {"loss": 0.5, "PCKh@0.1": 0.25, "epoch": 1}
    assert set(picture[0]) == {"heatmaps", "epoch"}
    assert fake.named("Image")[0][0][0] is PICTURE
    assert fake.named("finish")
    tell(tmp_path, "wandb", epoch=2, finished=1)
    again = fake.named("init")[1][1]
    assert (again["id"], again["resume"]) == ("w7", "allow")


@pytest.mark.parametrize("fake", ["mlflow"], indirect=True)
def test_mlflow_goes_on_in_the_same_run(fake, tmp_path):
    tell(tmp_path, "mlflow")
    assert fake.named("set_experiment")[0][0] == ("pose_hrnet",)
    assert fake.named("log_params")[0][0][0]["model.width"] == "8"
    ((values,), step) = fake.named("log_metrics")[0]
    assert values == {"loss": 0.5, "PCKh_0.1": 0.25, "epoch": 1}
    assert step == {"step": 1}
    (image, name), _ = fake.named("log_image")[0]
    assert image is PICTURE
    assert name == "heatmaps/0001.png"
    tell(tmp_path, "mlflow", epoch=2, finished=1)
    assert fake.named("start_run")[1][1]["run_id"] == "m7"
    assert len(fake.named("log_params")) == 1
    assert len(fake.named("end_run")) == 2


@pytest.mark.parametrize("content", [b"", b'{"wandb": "w7', b"[]", b'{"wandb": 7}', b"\xff"])
def test_damaged_ids_are_one_sentence_before_anything_is_read(content, tmp_path, monkeypatch):
    monkeypatch.setattr(loggers, "_is_installed", lambda name: True)
    (tmp_path / "loggers.json").write_bytes(content)
    command = ["train", "demo", "-o", str(tmp_path), "--resume", "--logger", "wandb"]
    done = CliRunner().invoke(app, [*command, "--set", "data.train.annotations=none.json"])
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert said.startswith(f"error: {tmp_path / 'loggers.json'} is damaged (")
    assert 'expected the ids of remote runs, {"wandb": "1a2b3c"} say: restore it, or rem' in said
    dry = CliRunner().invoke(app, [*command, "--dry-run"])
    assert "loggers.json is damaged" in " ".join(dry.stdout.split())


def test_real_mlflow_keeps_numbers_and_pictures(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    for epoch in (1, 2):
        tell(tmp_path, "mlflow", epoch=epoch, finished=epoch - 1)
    run_id = json.loads((tmp_path / "loggers.json").read_text())["mlflow"]
    client = mlflow.MlflowClient()
    assert [m.step for m in client.get_metric_history(run_id, "loss")] == [1, 2]
    assert client.get_run(run_id).data.params["train.epochs"] == "3"
    assert len(client.list_artifacts(run_id, "heatmaps")) == 2


def test_real_wandb_writes_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for epoch in (1, 2):
        tell(tmp_path, "wandb", epoch=epoch, finished=epoch - 1)
    run_id = json.loads((tmp_path / "loggers.json").read_text())["wandb"]
    folders = sorted((tmp_path / "wandb").glob(f"offline-run-*-{run_id}"))
    assert folders
    assert list(folders[0].glob("files/media/images/heatmaps*.png"))


def test_tensorboard_has_scalars_settings_and_pictures(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tell(tmp_path, "tensorboard")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 0.5)]
    (picture,) = events.Images("heatmaps")
    assert (picture.width, picture.height) == (4, 6)
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_a_missing_package_is_one_sentence_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "no_such_logger").mkdir()  # as wandb leaves a folder `wandb` behind
    with pytest.raises(ValueError, match=r"pip install 'pose-hrnet\[no_such_logger\]'"):
        check_loggers(["no_such_logger"], tmp_path)
    check_loggers([], tmp_path)
    monkeypatch.setattr(loggers, "_is_installed", lambda name: False)
    assert open_loggers(None, tmp_path, SETTINGS, 0) == []


def test_a_logger_that_fails_is_left_out_and_the_others_go_on(caplog):
    class Failing:
        def scalars(self, step, values):
            raise ConnectionError("no server")

    class Working(Failing):
        def __init__(self):
            self.got = []

        def scalars(self, step, values):
            self.got.append((step, values))

    working = Working()
    both = Loggers([Failing(), working])
    both.scalars(1, {"loss": 1.0})
    both.scalars(2, {"loss": 0.5})
    assert [step for step, _ in working.got] == [1, 2]
    assert caplog.text.count("no server") == 1


def test_tensorboard_on_a_full_disk_names_its_folder(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", full)
    with pytest.raises(NotWritten, match=r"tensorboard could not be written \(No space left"):
        tell(tmp_path, "tensorboard")
