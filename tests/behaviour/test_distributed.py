"""Two gloo processes do what one does, and end in one sentence where one of them fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pose_hrnet import COCO17, HeatmapCodec
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.load import save_model
from pose_hrnet.system.distributed import (
    World,
)
from tests.helpers import process_worker
from tests.helpers.builders import make_people, write_annotations, write_images

ROOT = Path(__file__).resolve().parents[2]
WORKER = ROOT / "tests/helpers/process_worker.py"
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="PyTorch is built without torch.distributed"
)


def start(*arguments):
    """Start two processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        [sys.executable, *launcher, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(started, code=0):
    """Standard output and error of what was started, each in one line."""
    out, err = started.communicate(timeout=200)
    assert started.returncode == code, err
    return " ".join(out.split()), " ".join(err.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained network, and 23 persons who stand about where it sees them."""
    folder = tmp_path_factory.mktemp("processes")
    people = make_people(23)
    write_images(people, folder / "images")
    write_annotations(people, folder / "people.json")
    model = process_worker.network()
    codec = HeatmapCodec("gaussian", (32, 64))
    card = ModelCard(architecture=model.architecture, skeleton=COCO17, codec=codec)
    save_model(folder / "model.safetensors", model.state_dict(), card)
    evaluate(folder, "first")
    rng = np.random.default_rng(0)
    truth = json.loads((folder / "people.json").read_text())
    found = json.loads((folder / "first/results.json").read_text())
    by_image = {}
    for result in found:
        by_image.setdefault(result["image_id"], []).append(result["keypoints"])
    for person in truth["annotations"]:
        if by_image.get(person["image_id"]):
            points = np.array(by_image[person["image_id"]].pop(0)).reshape(17, 3)
            noise = rng.normal(0, 0.1 * np.sqrt(person["area"]) * rng.uniform(), (17, 2))
            points = np.concatenate([points[:, :2] + noise, np.full((17, 1), 2)], axis=1)
            person["keypoints"] = points.ravel().tolist()
    (folder / "people.json").write_text(json.dumps(truth))
    (folder / "images/000012.png").write_bytes(b"no image")
    return folder


def options(folder, output):
    return [
        "--checkpoint", folder / "model.safetensors", "--annotations", folder / "people.json",
        "--images", folder / "images", "--batch-size", 4, "--workers", 0, "--device", "cpu",
        "--output", folder / output,
    ]  # fmt: skip


def evaluate(folder, output, code=0):
    command = [sys.executable, "-m", "pose_hrnet", "evaluate", *options(folder, output)]
    done = subprocess.run(
        list(map(str, command)), check=False, timeout=200, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr


@pytest.fixture(scope="module")
def found(folder):
    """What two processes found, by rank."""
    said(start(WORKER, "checks", folder))
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_two_processes_evaluate_to_the_bit_as_one(folder):
    evaluate(folder, "one", code=1)
    out, err = said(start(ROOT / "tools/evaluate.py", *options(folder, "two")), code=1)
    results = [(folder / name / "results.json").read_bytes() for name in ("one", "two")]
    assert results[0] == results[1]
    one, two = (json.loads((folder / n / "metrics.json").read_text()) for n in ("one", "two"))
    assert one["evaluated"].pop("processes") == 1
    assert two["evaluated"].pop("processes") == 2
    assert one == two
    assert 0.1 < one["AP"] < 0.95
    assert one["evaluated"]["unreadable_images"] == 1
    assert out.count("COCO keypoints (OKS)") == 1
    assert err.count("1 image could not be read") == 1


def test_what_processes_tell_each_other(found):
    for talks in (rank["talks"] for rank in found):
        assert talks["gather"] == [{"rank": 0}, {"rank": 1}]
        assert talks["mean"].tolist() == [1.5, 15.0]
        assert talks["any"] == [True, False]
        assert talks["on_main"] == "made by 0"
        assert "invalid literal" in talks["error"]
        assert talks["copied"].tolist() == [5.0, 5.0, 5.0]
        assert "is one for 2 processes" in talks["device"]
        assert "for GPUs only" in talks["sync"]


@pytest.mark.parametrize("name", ["one", "accumulated"])
def test_gradients_are_those_of_one_process_with_the_same_global_batch(found, name):
    expected = process_worker.gradients(process_worker.network(), [slice(0, 8)])
    for rank in found:
        for parameter, gradient in rank["learns"][name].items():
            scale = expected[parameter].abs().max()
            worst = (gradient - expected[parameter]).abs().max()
            assert worst <= 1e-5 * scale + 1e-9, parameter
    for parameter, gradient in found[0]["learns"][name].items():
        assert torch.equal(gradient, found[1]["learns"][name][parameter])


def test_gradients_stay_in_their_process_but_in_the_last_pass_of_a_step(found):
    kept = [rank["learns"]["kept"] for rank in found]
    assert any(not torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_the_main_process_has_all_running_statistics_there_are_to_save(found):
    """Each process has its own after a step, and takes the main one's before the next."""
    own = [rank["learns"]["own statistics"] for rank in found]
    after = [rank["learns"]["next statistics"] for rank in found]
    assert not torch.equal(own[0], own[1])
    assert torch.equal(after[0], after[1])  # the same batch in both


def test_two_processes_compare_as_one(found, folder):
    expected = process_worker.compares(World.alone(), folder)
    assert len(expected["rows"]) == 8
    for rank in found:
        assert rank["compares"]["evaluated"].pop("processes") == 2
    expected["evaluated"].pop("processes")
    assert found[0]["compares"] == found[1]["compares"] == expected


def test_one_sentence_if_a_process_fails(folder):
    sentences = {
        "bad input": "none.pt: there is no such checkpoint file",
        "dies": "process 0 of 2 ",  # lost the other, or was told before it noticed
        "dies_unnoticed": "process 1 of 2 was told to end (SIGTERM)",
        "fails_alone": "process 1: disk 1 is full",
    }
    # All at once, for they mostly wait.
    runs = {name: start(WORKER, name, folder) for name in list(sentences)[1:]}
    bad = [*options(folder, "bad"), "--checkpoint", "none.pt"]
    runs["bad input"] = start("-m", "pose_hrnet", "evaluate", *bad)
    for name, sentence in sentences.items():
        _, err = said(runs[name], code=1)
        assert f"error: {sentence}" in err
        assert err.count(sentence) == 1
        assert err.count("error: ") == (2 if name == "fails_alone" else 1)  # and who lost it
        assert err.count("Traceback") == 1  # torchrun's own
