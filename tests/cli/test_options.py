"""Options: choices from `system.choices`, defaults from the settings that they set."""

from __future__ import annotations

import pytest

from pose_hrnet import __version__
from pose_hrnet.cli.options import given
from pose_hrnet.config.recipe import EvaluateConfig
from tests.helpers.command_line import run_here


def test_what_is_not_given_is_not_passed_on():
    assert given(nms=None, batch_size=3, flip_test=False) == {"batch_size": 3, "flip_test": False}


@pytest.mark.parametrize("setting", ["batch_size", "nms", "nms_threshold"])
def test_the_help_of_evaluate_tells_the_defaults_of_the_settings(setting):
    out, _ = run_here("evaluate", "--help")
    words = " ".join(out.replace("│", " ").split()).split(f"--{setting.replace('_', '-')} ")[1]
    default = EvaluateConfig.model_fields[setting].default
    assert f"[default: {default}]" in words.split(" --")[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "demo", "-o", "x", "--logger", "wandb", "--logger", "wnadb"],
        ["benchmark", "lodaing"],
        ["benchmark", "--backends", "eager,tensorrt"],
    ],
)
def test_lists_of_choices_name_what_is_none_of_them(arguments):
    _, error = run_here(*arguments, code=2)
    assert f"{arguments[-1].rpartition(',')[2]!r}; give one or more of " in error


def test_nms_without_boxes_is_refused(tmp_path):
    """An image is one crop then: there is nothing to remove."""
    arguments = ["predict", tmp_path, "-c", "none.safetensors", "-o", tmp_path / "out"]
    _, error = run_here(*arguments, "--nms", "oks", code=2)
    assert "--nms does nothing without --boxes; give both, or neither" in error
    assert not (tmp_path / "out").exists()


def test_version_and_short_help():
    assert run_here("--version")[0].strip() == __version__
    assert run_here("score", "-h") == run_here("score", "--help")
