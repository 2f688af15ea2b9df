"""Options: choices from `system.choices`, defaults from the settings that they set."""

from __future__ import annotations

import re
import shutil

import pytest
import typer
from typer.main import get_command

from pose_hrnet import __version__
from pose_hrnet.cli.app import app
from pose_hrnet.cli.options import given
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.system import defaults
from tests.helpers.command_line import run_here


def test_what_is_not_given_is_not_passed_on():
    assert given(nms=None, batch_size=3, flip_test=False) == {"batch_size": 3, "flip_test": False}


@pytest.mark.parametrize("setting", ["batch_size", "nms", "nms_threshold"])
def test_the_help_of_evaluate_tells_the_defaults_of_the_settings(setting):
    out, _ = run_here("evaluate", "--help")
    words = " ".join(out.replace("│", " ").split()).split(f"--{setting.replace('_', '-')} ")[1]
    default = EvaluateConfig.model_fields[setting].default
    assert re.search(rf"\[default: {default}[;\]]", words.split(" --")[0])


@pytest.mark.parametrize(
    ("command", "option", "said"),
    [
        ("predict", "--batch-size", f"[default: {defaults.CROPS_PER_PASS};"),
        ("predict", "--detector-threshold", f"{defaults.PICTURES} for pictures"),
        ("data shard", "--quality", f"[default: {defaults.QUALITY};"),
        ("data preview", "--count", f"[default: {defaults.PREVIEW_CROPS};"),
        ("export", "--max-drop", f"hurt stay; {defaults.MAX_DROP}."),
        ("benchmark", "--batches", "per call; 1,8,32."),
    ],
)
def test_the_help_tells_the_defaults_of_what_does_the_work(command, option, said):
    out, _ = run_here(*command.split(), "--help")
    assert said in " ".join(out.split()).split(f"{option} <")[1][:200]


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


def test_options_that_would_do_nothing_are_refused(tmp_path):
    arguments = ["predict", tmp_path, "-c", "none.safetensors", "-o", tmp_path / "out"]
    for options, said in (
        (("--nms", "oks", "--whole-image"), "--nms does nothing with --whole-image"),
        (("--min-box-score", 0.3), "--min-box-score does nothing without --boxes"),
        (
            ("--detector-threshold", 0.3, "--whole-image"),
            "--detector-threshold does nothing with --whole-image",
        ),
        (
            ("--detector-threshold", 0.3, "--boxes", "b.json"),
            "--detector-threshold does nothing with --boxes",
        ),
        (("--boxes", "b.json", "--whole-image"), "--boxes and --whole-image each say where"),
        (("--boxes", "b.json", "--detector", "d.yaml"), "--boxes and --detector each say where"),
    ):
        _, error = run_here(*arguments, *options, code=2)
        assert said in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [[], ["train"], ["train", "demo"], ["weights", "convert"]])
def test_a_command_line_that_lacks_something_gets_no_traceback(arguments):
    _, error = run_here(*arguments, code=2)
    assert not arguments or error.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["predict", "", "--output", "x"], "an argument"),
        (["predict", "a", "--output", "x", "--boxes="], "--boxes"),
        (["data", "validate", "--annotations", "x", "--images", ""], "--images"),
        (["train", "demo", "--set", ""], "--set"),
    ],
)
def test_an_empty_value_is_not_the_current_folder(arguments, name):
    _, error = run_here(*arguments, code=2)
    assert error == f"error: {name} is empty; give a value, or . for this folder"


def test_what_is_missing_is_told_in_the_words_of_the_help():
    _, error = run_here("predict", "x", code=2)
    assert "Missing option '--output' / '-o'. Folder to write to." in error
    _, error = run_here("data", "validate", code=2)
    assert "Missing option '--annotations'. COCO, CrowdPose or MPII keypoint JSON." in error
    _, error = run_here("predict", code=2)
    assert "Missing argument 'inputs'. Images, folders of images, patterns" in error


def test_every_unknown_option_is_named():
    _, error = run_here("predict", "x", "--bokses=y", "--output", "o", "--foo", 1, code=2)
    assert "No such options: --bokses, --foo (Possible options: --boxes" in error
    assert "No such option: --foo" in run_here("score", "a", "--foo", code=2)[1]


def leaf_commands(group, path=()):
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        yield from leaf_commands(command, (*path, name)) if inner else [((*path, name), command)]


def test_the_help_names_every_option_in_full_at_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for path, command in leaf_commands(typer.main.get_command(app)):
        out, _ = run_here(*path, "--help")
        assert max(map(len, out.splitlines())) <= 80
        for option in command.params:
            if option.param_type_name == "option":
                assert all(name in out.split("Options:")[1] for name in option.opts), path


def test_version_and_short_help():
    assert run_here("--version")[0].strip() == __version__
    assert run_here("score", "-h") == run_here("score", "--help")


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "shard", "-o", "x"],
        ["data", "synthesize", "-o", "x"],
        ["data", "validate", "--annotations", "x"],
        ["evaluate", "-c", "x", "--annotations", "x", "--images", "x", "-o", "x"],
        ["export", "-c", "x", "-o", "x"],
        ["weights", "calibrate", "x", "--annotations", "x", "--images", "x", "-o", "x"],
    ],
    ids=" ".join,
)
def test_workers_are_no_absurd_number(arguments):
    for count in (2**64, 100_000, -1):
        _, error = run_here(*arguments, "--workers", count, code=2)
        assert "for '--workers': input should be " in error


WRITERS = [
    ["train", "demo", "-o"],
    ["demo", "-o"],
    ["evaluate", "-c", "x", "--annotations", "x", "--images", "x", "-o"],
    ["predict", "x", "-o"],
    ["detect", "x", "-o"],
    ["export", "-c", "x", "-o"],
    ["weights", "convert", "x", "-o"],
    ["weights", "calibrate", "x", "--annotations", "x", "--images", "x", "-o"],
    ["data", "preview", "demo", "-o"],
    ["data", "shard", "-o"],
    ["data", "convert", "x", "-o"],
    ["data", "synthesize", "-o"],
    ["report", "x", "--annotations", "x", "-o"],
    ["compare", "x", "y", "--annotations", "x", "-o"],
    ["track", "x", "-o"],
    ["runs", "x", "--html"],
    ["bulk", "x", "-o"],
    ["benchmark", "--json"],
    ["benchmark", "--markdown"],
]


def test_the_list_of_what_writes_is_whole():
    found, commands = set(), [((), get_command(app))]
    while commands:
        path, command = commands.pop()
        inside = getattr(command, "commands", {}).items()
        commands += [((*path, name), inner) for name, inner in inside]
        written = [
            o for o in command.params if o.name in ("output", "json_file", "markdown", "html")
        ]
        found |= {(*path, option.opts[-1]) for option in written}
    listed = {(*each[: 2 if each[0] in ("weights", "data") else 1], each[-1]) for each in WRITERS}
    assert found == listed


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
def test_where_nothing_can_be_written_no_work_is_begun(arguments, tmp_path):
    if arguments[0] == "bulk":
        pytest.importorskip("ray")
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    for place, said in (
        ("", " is empty; give a value, or . for this folder"),
        (tmp_path / "file/out/x.png", "file is a file, not a folder; choose another place"),
    ):
        _, error = run_here(*arguments, place, code=2)
        assert error.startswith("error: ")
        assert said in error
    with pytest.MonkeyPatch.context() as patch:
        usage = shutil.disk_usage(tmp_path)._replace(free=1000)
        patch.setattr(shutil, "disk_usage", lambda folder: usage)
        _, error = run_here(*arguments, tmp_path / "out/x.png", code=2)
        assert "has 0 MB free, but the run needs about 1 MB" in error
    assert sorted(tmp_path.rglob("*")) == before
