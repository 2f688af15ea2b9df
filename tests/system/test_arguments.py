"""Slips of the pen in what public functions are called with are refused, before any work."""

from __future__ import annotations

import numpy as np
import pytest

from pose_hrnet import (
    COCO17,
    DataSet,
    HeatmapCodec,
    HRNet,
    PoseEstimator,
    compare_settings,
    evaluate,
    export_model,
    load_config,
    load_model,
    score_file,
    train,
)
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.deploy.bulk.columns import BulkEstimator
from pose_hrnet.inference.detector import load_detector
from pose_hrnet.inference.video.frames import Window
from pose_hrnet.inference.video.stream import Following
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.arguments import check_choice, check_count, check_flag
from pose_hrnet.system.choices import Backend
from tests.helpers.pose_models import pose_model

DATA = DataSet(annotations="none.json", images="none")
TEST = EvaluateConfig()


@pytest.mark.parametrize("load", [load_model, PoseEstimator.from_pretrained, load_detector])
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (
            {"backend": "opnvino"},
            "backend is 'opnvino'; did you mean openvino? "
            "use one of auto, eager, compile, openvino, onnx",
        ),
        ({"backend": None}, "backend is None; use one of auto, eager, compile, openvino, onnx"),
        ({"precision": "fp8"}, "precision is 'fp8'; use one of auto, fp32, bf16, fp16"),
    ],
)
def test_what_runs_a_model_is_one_of_the_choices(load, argument, said):
    with pytest.raises(ValueError, match=r"^" + said.replace("?", r"\?")):
        load("none.safetensors", **argument)


@pytest.mark.parametrize("size", [0, -1, 2.5, "8", True, None])
def test_a_batch_has_at_least_one_crop(size):
    said = f"^batch_size is {size!r}; expected a whole number from 1 on$"
    for make in (PoseEstimator, PoseEstimator.from_pretrained, BulkEstimator.load):
        with pytest.raises(ValueError, match=said):
            make("none.safetensors", batch_size=size)


def test_a_flip_test_is_on_or_off():
    said = "^flip_test is 'no'; expected True or False$"
    with pytest.raises(ValueError, match=said):
        load_model("none.safetensors", flip_test="no")
    with pytest.raises(ValueError, match=said):
        model().with_test_settings(flip_test="no")
    with pytest.raises(ValueError, match=r"^flip_shift is -1; expected a whole number from 0 on$"):
        model().with_test_settings(flip_shift=-1)


def test_exports_have_a_format_and_a_bound(tmp_path):
    for arguments, said in [
        ((model(), "a.onx", "onx"), "^fmt is 'onx'; did you mean onnx"),
        (("default", "a.onnx", "onnx"), "^model is 'default'; expected PoseModel: load_model"),
    ]:
        with pytest.raises(ValueError, match=said):
            export_model(*arguments)
    with pytest.raises(ValueError, match=r"^bound is -1; expected a number above 0$"):
        export_model(model(), tmp_path / "a.onnx", "onnx", bound=-1)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("default", DATA, TEST), {}, "model is 'default'; expected PoseModel: load_model"),
        ((None, "val.json", TEST), {}, "data is 'val.json'; expected DataSet: DataSet"),
        ((None, DATA, {"nms": "oks"}), {}, "test is .*; expected EvaluateConfig"),
        ((None, DATA, TEST), {"workers": -1}, "workers is -1; expected a whole number from 0"),
        ((None, DATA, TEST), {"evaluator": "fst"}, "evaluator is 'fst'; did you mean fast"),
    ],
)
def test_an_evaluation_gets_what_it_needs(arguments, options, said):
    given = (arguments[0] or model(), *arguments[1:])
    with pytest.raises(ValueError, match=f"^{said}"):
        evaluate(*given, **options)
    with pytest.raises(ValueError, match=f"^{said}"):
        compare_settings(*given, ["flip"], **options)


def test_only_what_can_be_compared_is():
    with pytest.raises(ValueError, match=r"^one of compared is 'flp'; did you mean flip"):
        compare_settings(model(), DATA, TEST, ["flp"])
    with pytest.raises(ValueError, match=r"^compared is 'flip'; expected a list, such as"):
        compare_settings(model(), DATA, TEST, "flip")


def test_files_are_scored_by_a_metric_that_there_is():
    with pytest.raises(ValueError, match=r"^metric is 'crowdpos'; did you mean crowdpose"):
        score_file("none.json", "none.json", metric="crowdpos")
    with pytest.raises(ValueError, match=r"^evaluator is 'quick'; use one of fast, pycocotools$"):
        score_file("none.json", "none.json", evaluator="quick")
    with pytest.raises(FileNotFoundError, match=r"^none\.json"):  # paths may be text
        score_file("none.json", "none.json")


def test_a_training_gets_what_it_needs(tmp_path):
    with pytest.raises(ValueError, match=r"^config is 'coco_w32.*expected Config: load_config"):
        train("coco_w32_256x192_udp", tmp_path)
    config = load_config("demo")
    with pytest.raises(ValueError, match=r"^resume is True; use one of never, auto, must$"):
        train(config, tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"^loggers is 'wandb'; expected a list, such as"):
        train(config, tmp_path, loggers="wandb")
    with pytest.raises(ValueError, match=r"^one of loggers is 'tensorbord'; did you mean tens"):
        train(config, str(tmp_path), loggers=["tensorbord"])


def test_frames_are_taken_by_whole_numbers():
    with pytest.raises(ValueError, match=r"^every is 1\.5; expected a whole number from 1 on$"):
        Window(every=1.5)
    with pytest.raises(
        ValueError, match=r"^detect_every is 0; expected a whole number from 1 on$"
    ):
        Following(detect_every=0)


def test_what_is_right_passes():
    for value in ("auto", "openvino"):
        check_choice("backend", value, Backend)
    for count in (1, 7, np.int64(3)):
        check_count("batch_size", count)
    check_flag("flip_test", False)


def model():
    network = HRNet(2, stem_width=2, stem_blocks=1, branch_blocks=1)
    return pose_model(
        network, ModelCard(network.architecture, COCO17, HeatmapCodec("udp", (32, 32)))
    )
