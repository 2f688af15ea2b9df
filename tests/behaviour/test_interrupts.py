"""Signals and kills, sent to the real command line: what was learnt is not lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pose_hrnet import HeatmapCodec, load_config, train
from pose_hrnet.data.crops import CropDataset
from pose_hrnet.data.loader import crop_loader, end_workers
from pose_hrnet.system.interrupts import SIGNALS, Interrupted
from pose_hrnet.system.progress import SILENT
from pose_hrnet.training.states import read_newest_state
from tests.helpers.builders import make_people
from tests.helpers.training_runs import assert_same_run, tiny_settings

PATIENCE = 120
"""Seconds; other work may share the machine."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A run of 2 epochs of 12 steps: 24 persons, 2 to a step."""
    tiny = tiny_settings(tmp_path_factory.mktemp("data"), persons=24)
    return [*tiny, "train.batch_size=2", "train.epochs=2", "train.save_every=5"]


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """The run that nobody interrupts."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(load_config("demo", settings), folder, device="cpu")
    return folder


WATCHED = """
import os, time
from pathlib import Path
from pose_hrnet.system.interrupts import Interrupts
import torch
from pose_hrnet.training.step import TrainingStep
from pose_hrnet.cli.app import main

TRACE = Path(os.environ["TRACE"])
learn, save, handle = TrainingStep.__call__, torch.save, Interrupts._handle

def note(word):
    with TRACE.open("a") as file:
        file.write(word + "\\n")

def hold(point):
    while point == os.environ["HOLD"] and not Path(f"{TRACE}.go").exists():
        time.sleep(0.01)

def learn_and_note(self, batches, rate):
    loss = learn(self, batches, rate)
    note("step")
    hold(f"step {TRACE.read_text().count('step')}")
    return loss

def save_and_note(state, file):
    save(state, file)
    file.flush()
    content = Path(file.name).read_bytes()
    file.truncate(len(content) // 2)
    note("half a save")
    hold("half a save")
    file.seek(0)
    file.write(content)

def handle_and_note(self, number, frame):
    handle(self, number, frame)
    note("signal")

TrainingStep.__call__, torch.save = learn_and_note, save_and_note
# Private: nothing else says that it was called.
Interrupts._handle = handle_and_note
main()
"""
"""The command line, but steps, saves and signals are noted in a file, and it can be held at one.
"""


class Run:
    """A training at the command line, in a session of its own, as from a terminal.

    Args:
        folder: Of the run.
        settings: Its overrides.
        hold: ``step 14``, say, or ``half a save``: there it waits for `go_on`.
    """

    def __init__(self, folder: Path, settings: list[str], *, hold: str = "") -> None:
        self.folder = folder
        file, name = tempfile.mkstemp(prefix="trace", dir=folder.parent)
        os.close(file)
        self.trace = Path(name)
        arguments = [f"--set={setting}" for setting in settings]
        self.process = subprocess.Popen(
            [sys.executable, "-c", WATCHED, "train", "demo", "--output", str(folder), "--resume",
             "--device=cpu", *arguments],
            env={**os.environ, "TRACE": name, "HOLD": hold},
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def wait_for(self, word: str, count: int = 1) -> None:
        """Until that was noted so often; a test that waits for ever is ended from outside."""
        while self.trace.read_text().count(word) < count:
            if self.process.poll() is not None:
                pytest.fail(f"the run ended too early: {self.process.communicate()[1]}")
            time.sleep(0.005)

    def go_on(self) -> None:
        """Let it go on where it is held."""
        Path(f"{self.trace}.go").touch()

    def end(self) -> tuple[int, str]:
        """Exit code and standard error, in one line."""
        error = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode, " ".join(error.split())


def alive_in_group(group: int) -> list[str]:
    """State of each process of a group that has not ended; the dead may wait to be collected."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [state for number, state in rows if int(number) == group and state[0] != "Z"]


def finish(folder: Path, settings: list[str]) -> None:
    train(load_config("demo", settings), folder, device="cpu", resume="must")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_in_an_epoch_saves_and_resuming_ends_the_same(
    settings, whole, tmp_path, number, code
):
    """It goes to the whole group, as Ctrl-C does: loader processes must stay out of it."""
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("the tests run under nohup, which is to outlive the terminal")
    run = Run(tmp_path / "run", [*settings, "data.workers=1"], hold="step 14")
    run.wait_for("step", 14)
    os.killpg(run.process.pid, number)
    run.wait_for("signal")
    run.go_on()
    ended, error = run.end()
    assert ended == code
    progressed = read_newest_state(tmp_path / "run")["progressed"]
    assert (progressed["epoch"], progressed["step"]) == (1, 14)
    assert (progressed["part"]["steps"], progressed["part"]["samples"]) == (2, 4)
    place = "stopped at epoch 2 of 2, step 2 of 12"
    assert error.endswith(f"{place}; saved; the same command with --resume goes on")
    assert "Traceback" not in error
    finish(tmp_path / "run", settings)
    assert_same_run(whole, tmp_path / "run")


def test_a_second_signal_exits_at_once(settings, tmp_path):
    run = Run(tmp_path / "run", [*settings, "data.workers=1"], hold="step 1")
    run.wait_for("step")
    run.process.terminate()
    run.wait_for("signal")
    assert run.process.poll() is None  # the first one lets the step finish, which it does not
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(PATIENCE) == 130
    while alive_in_group(run.process.pid):
        time.sleep(0.01)
    assert "Traceback" not in run.end()[1]


def test_a_signal_in_an_evaluation_abandons_it_and_resuming_does_it_again(settings, tmp_path):
    """In this process, and with a signal of its own."""
    config = load_config("demo", [*settings, "train.evaluate_every=1"])
    train(config, tmp_path / "whole", device="cpu")

    class SignalsItself:
        @contextmanager
        def task(self, name, total, unit):
            if name == "predict":
                signal.raise_signal(signal.SIGTERM)
            yield SILENT

    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(Interrupted, match=r"^stopped after epoch 1 of 2; saved") as stop:
        train(config, tmp_path / "run", device="cpu", progress=SignalsItself())
    assert stop.value.exit_code == 143
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert not (tmp_path / "run/best.safetensors").exists()
    train(config, tmp_path / "run", device="cpu", resume="must")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_kill_9_at_any_moment_and_in_the_midst_of_a_save(settings, whole, tmp_path):
    folder = tmp_path / "run"
    run = Run(folder, settings, hold="step 24")
    run.wait_for("step", random.randint(11, 24))  # saved at 5, 10, 12, 17, 22
    run.process.kill()
    assert run.end()[0] == -signal.SIGKILL

    run = Run(folder, settings, hold="half a save")
    run.wait_for("half a save")
    run.process.kill()
    run.end()
    (half_written,) = folder.glob(".*.tmp")

    finish(folder, settings)
    assert_same_run(whole, folder)
    assert not half_written.exists()


def test_a_disk_that_fills_up_ends_no_run_and_loses_nothing(settings, whole, tmp_path):
    """A limit on the size of files, put on the running process, stands for the disk."""
    resource = pytest.importorskip("resource", reason="limits are a matter of Unix")
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux limits another process")
    folder = tmp_path / "run"
    run = Run(folder, settings, hold="step 12")
    run.wait_for("step", 12)
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    run.go_on()
    code, error = run.end()
    assert code == 2
    assert "could not be saved" in error
    assert "Traceback" not in error
    assert error.endswith("the same command with --resume goes on from there")
    assert 5 <= read_newest_state(folder)["progressed"]["step"] < 24
    finish(folder, settings)
    assert_same_run(whole, folder)


def in_own_mounts(commands: str, folder: Path) -> None:
    """Run shell commands where a small disk can be mounted; skip where that is not allowed."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare, which gives a process mounts of its own, is not installed")
    mount = f"mount -t tmpfs -o size=400k none {folder}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs rights that this user does not have")
    script = f"set -e; {mount}; {commands}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_small_or_read_only_disk_is_noticed_before_training(settings, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    arguments = ["train", "demo", "-o", f"{disk}/run", *(f"--set={each}" for each in settings)]
    program = f"""
import subprocess
from typer.testing import CliRunner
from pose_hrnet.cli.app import app
for _ in range(2):
    done = CliRunner().invoke(app, {arguments!r})
    print(done.exit_code, " ".join(done.output.split()))
    subprocess.run(["mount", "-o", "remount,ro", {str(disk)!r}], check=True)
"""
    (tmp_path / "program.py").write_text(program)
    in_own_mounts(f"{sys.executable} {tmp_path}/program.py > {tmp_path}/said", disk)
    small, fixed = (tmp_path / "said").read_text().splitlines()
    assert re.fullmatch(
        r"2 error: the disk of \S+disk has 0 MB free, but the run needs about \d+ MB for "
        "states and weights; make room, or choose another place",
        small,
    )
    assert re.fullmatch(r"2 error: \S+disk cannot be written to \(read-only.*another place", fixed)


def test_a_disk_that_is_really_full_keeps_the_state_before(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    program = f"""
import torch
from pathlib import Path
from pose_hrnet.training.states import StateWriter, read_newest_state
disk = Path({str(disk)!r})
writer = StateWriter(disk)
for number in (1, 2, 3, 4):
    state = {{"number": number, "weights": torch.full((20_000,), float(number))}}
    if number == 3:
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True: file.write(bytes(4096))
            except OSError: pass
    writer.save(state)
    try: writer.finish()
    except OSError as error: print(number, error)
    if number == 3: ballast.unlink()
    kept = read_newest_state(disk)
    assert kept["number"] == (2 if number == 3 else number), kept["number"]
    assert (kept["weights"] == kept["number"]).all()
assert {{path.name for path in disk.iterdir()}} == {{"last.pt", "last.previous.pt"}}
"""
    (tmp_path / "program.py").write_text(program)
    in_own_mounts(f"{sys.executable} {tmp_path}/program.py > {tmp_path}/said", disk)
    said = (tmp_path / "said").read_text()
    assert said.startswith("3 the last state of the run could not be saved in")
    assert "No space left on device" in said


def test_loader_processes_leave_signals_to_the_main_one_until_it_insists(settings):
    data = load_config("demo", settings).data.val
    crops = CropDataset(make_people(24), data.images, HeatmapCodec(input_wh=(32, 64)), 1.25)
    loader = crop_loader(crops, batch_size=1, workers=1)
    batches = iter(loader)
    next(batches)
    (worker,) = multiprocessing.active_children()
    for number in SIGNALS:
        os.kill(worker.pid, number)
    assert sum(len(batch.pixels) for batch in batches) == 23
    with suppress(RuntimeError):  # PyTorch may notice, or not
        os.kill(worker.pid, signal.SIGTERM)
        worker.join(PATIENCE)
    assert worker.exitcode == -signal.SIGTERM
    end_workers(loader)
