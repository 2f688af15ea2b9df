"""How many of our files one real batch enters: few enough to be read in one sitting.

Files of `pose_hrnet.system` do not count: no pose and no model stands in them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pose_hrnet
from pose_hrnet.config.files import load_config
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.training.train import train
from tests.helpers.networks import card_of, tiny
from tests.helpers.pose_models import pose_model
from tests.helpers.training_runs import tiny_settings

PACKAGE = f"{Path(pose_hrnet.__file__).parent}/"
FROM_DISK_TO_LOSS = 11
FROM_FORWARD_TO_AP = 13
# Among them rules for bad rows and reading of rows, which stand once for every kind of file
# (persons, rows), keypoints matched by name (skeleton), and PCK.
OF_A_WHOLE_EVALUATION = 24


def place_of(frame) -> tuple[str, str] | None:
    """File and function of a frame, if it is ours."""
    file = frame.f_code.co_filename
    return (file[len(PACKAGE) :], frame.f_code.co_name) if file.startswith(PACKAGE) else None


def outward(frame):
    """The places of a frame and of its callers."""
    while frame is not None:
        if place := place_of(frame):
            yield place
        frame = frame.f_back


def files_entered(run, *, outermost: str, first: tuple[str, str], last: tuple[str, str]):
    """Our files, in order, that a run enters from the call of one function to the end of another.

    Args:
        run: Called once, and followed.
        outermost: File of the function that the first one is called on behalf of; it and all
            between them count.
        first: File and function where following begins, at the first call.
        last: Where it ends, at the first return.
    """
    files: dict[str, None] = {}
    begun = ended = False

    def watch(frame, event, _):
        nonlocal begun, ended
        place = None if ended else place_of(frame)
        if place is None:
            return
        if event == "call" and not begun and place == first:
            begun = True
            callers = list(dict.fromkeys(file for file, _ in outward(frame)))
            files.update(dict.fromkeys(reversed(callers[: callers.index(outermost) + 1])))
        elif event == "call" and begun and all(name != "<module>" for _, name in outward(frame)):
            files[place[0]] = None
        elif event == "return" and begun and place == last:
            ended = True

    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(None)
    assert begun, f"{first} was not called"
    assert ended, f"{last} did not return"
    return [file for file in files if not file.startswith("system/")]


def check(files, most):
    assert len(files) <= most, f"{len(files)} files, at most {most}: {', '.join(files)}"


def test_a_batch_enters_few_files_from_disk_to_loss(tmp_path):
    settings = ["train.epochs=1", "train.batch_size=10", "codec.name=dark"]
    config = load_config("demo", [*tiny_settings(tmp_path), *settings])
    files = files_entered(
        lambda: train(config, tmp_path / "run", loggers=()),
        outermost="training/loop.py",
        first=("data/crops.py", "batch"),
        last=("training/losses.py", "weighted_mse"),
    )
    check(files, FROM_DISK_TO_LOSS)


def evaluated(tmp_path, **window):
    """The files of an evaluation of one batch."""
    data = load_config("demo", tiny_settings(tmp_path)).data.val
    test = load_config("demo", ["test.batch_size=64"]).test
    network = tiny()
    model = pose_model(network, card_of(network))
    return files_entered(
        lambda: evaluate(model, data, test),
        outermost="evaluation/evaluate.py",
        **window,
    )


def test_a_batch_enters_few_files_from_forward_to_ap(tmp_path):
    first, last = ("models/hrnet.py", "forward"), ("evaluation/metrics/coco_ap.py", "score_poses")
    files = evaluated(tmp_path, first=first, last=last)
    check(files, FROM_FORWARD_TO_AP)


def test_a_whole_evaluation_enters_few_files(tmp_path):
    whole = ("evaluation/evaluate.py", "evaluate")
    check(evaluated(tmp_path, first=whole, last=whole), OF_A_WHOLE_EVALUATION)
