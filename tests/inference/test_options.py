"""What is asked of the models, and that both of them get it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pose_hrnet import PoseEstimator
from pose_hrnet.inference.options import ModelOptions
from pose_hrnet.system.defaults import PICTURES


@pytest.fixture
def asked(monkeypatch):
    """How the models were loaded, by what loaded them."""
    found = {}

    def load(name):
        def loaded(source, **options):
            found[name] = {"source": source, **options}
            return SimpleNamespace(card=None, threshold=0, summary="", calibrated=lambda: name)

        monkeypatch.setattr(f"pose_hrnet.inference.options.{name}", loaded)

    load("load_model")
    load("load_detector")
    return found


def test_both_run_at_the_same_place(asked):
    options = ModelOptions("a.pth", "yolox_s", 0.7, "onnx", "bf16", "cuda:1", flip_test=False)
    options.load_model(crops=9)
    options.load_detector()
    model, detector = asked["load_model"], asked["load_detector"]
    assert (model["source"], model["crops"], model["flip_test"]) == ("a.pth", 9, False)
    assert (detector["source"], detector["threshold"]) == ("yolox_s", 0.7)
    for name in ("backend", "device"):
        assert model[name] == detector[name] == getattr(options, name)
    assert (model["precision"], detector["precision"]) == ("bf16", "auto")


def test_exact_arithmetic_is_of_both_and_boxes_suit_pictures(asked):
    ModelOptions(detector="yolox_s", precision="fp32").load_detector()
    assert asked["load_detector"]["precision"] == "fp32"
    assert asked["load_detector"]["threshold"] == PICTURES


def test_without_a_detector_there_is_none_and_scores_can_be_calibrated(asked):
    assert ModelOptions().load_detector() is None
    assert ModelOptions(calibrated=True).load_model() == "load_model"


def test_a_detector_runs_where_pretrained_weights_run(asked, monkeypatch):
    monkeypatch.setattr(PoseEstimator, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(PoseEstimator, "summary", "")
    PoseEstimator.from_pretrained("a.pth", detector="yolox_s", device="cuda:1", backend="eager")
    for each in asked.values():
        assert (each["device"], each["backend"]) == ("cuda:1", "eager")
