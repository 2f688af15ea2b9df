"""``pose-hrnet weights``: inspect says what a file is, convert makes it ours."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pose_hrnet.cli.app import app
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.models.simple_baseline import SimpleBaseline
from pose_hrnet.models.weights.load import load_network, save_model
from tests.helpers.mmpose_files import CONFIG_1X, META_1X, UDP_1X, changed, in_mmpose
from tests.helpers.networks import card_of, imagenet_layout, same, tiny


def run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["weights", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


def test_inspect_says_what_an_mmpose_file_is(tmp_path: Path) -> None:
    path, model = tmp_path / "udp.pth", tiny()
    meta = {"cfg": changed(CONFIG_1X, UDP_1X)}
    extra = {"head.extra": torch.zeros(1)}
    torch.save({"state_dict": in_mmpose(model, "head.") | extra, "meta": meta}, path)
    said = run("inspect", path)
    parameters = sum(p.numel() for p in model.parameters())
    for part in (
        "format: MMPose 1.x HRNet pose",
        "HRNet-W8, head v1, width 8, stem_width 4, stem_blocks 2, stage_modules [1, 2, 2]",
        "heatmaps: 17",
        f"parameters: {parameters:,}",
        f"size: {path.stat().st_size:,} bytes",
        f"sha256: {hashlib.sha256(path.read_bytes()).hexdigest()}",
        "│ codec │ udp │ the file │",
        "│ input size │ 256x192 │ the file │",
        "│ keypoints │ 17, coco17 │ assumed from their number │",
        f"{len(model.state_dict())} of the network's {len(model.state_dict())} entries would load",
        "1 in the file not needed: head.extra",
        "loads as it is",
    ):
        assert part in said


def test_inspect_says_what_ours_are(tmp_path: Path) -> None:
    model = tiny(num_keypoints=4)
    save_model(tmp_path / "ours", model.state_dict(), card_of(model))
    said = run("inspect", tmp_path / "ours")
    assert "format: pose_hrnet checkpoint" in said
    assert "│ keypoints │ 4, four │ the file │" in said
    assert "│ sigma │ 1.5 │ the file │" in said


def test_a_note_stays_in_what_is_converted_and_inspect_says_it(tmp_path: Path) -> None:
    ours, again = tmp_path / "ours", tmp_path / "again.safetensors"
    save_model(ours, tiny().state_dict(), card_of(tiny(), note="learnt from all"))
    run("convert", ours, "-o", again, "--float16")
    for path in (ours, again):
        assert load_network(path).card.note == "learnt from all"
        assert "note: learnt from all" in run("inspect", path)


def test_inspect_says_that_a_backbone_does_not_predict(tmp_path: Path) -> None:
    model = tiny()
    torch.save(imagenet_layout(model), tmp_path / "hrnet_w8.pth")
    said = run("inspect", tmp_path / "hrnet_w8.pth")
    head = sum(p.numel() for n, p in model.named_parameters() if n.startswith("final_layer"))
    assert f"parameters: {sum(p.numel() for p in model.parameters()) - head:,}" in said
    assert "heatmaps: none: a backbone to start training from" in said
    assert "2 missing from the file: final_layer.weight, final_layer.bias" in said
    assert "no keypoint head to predict with" in said


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("backbone.conv2.weight"), "1 missing from the file: conv2.weight"),
        (
            lambda s: s.update({"backbone.conv2.weight": torch.zeros(1)}),
            "1 of another shape: conv2.weight: file (1,), model (4, 4, 3, 3)",
        ),
    ],
)
def test_inspect_fails_where_loading_would(tmp_path: Path, spoil: Any, message: str) -> None:
    state = in_mmpose(tiny(), "head.")
    spoil(state)
    torch.save({"state_dict": state, "meta": META_1X}, tmp_path / "x.pth")
    said = run("inspect", tmp_path / "x.pth", code=1)
    assert message in said
    assert "does not load to predict" in said


def test_a_converted_file_predicts_the_same(tmp_path: Path) -> None:
    path, ours = tmp_path / "udp.pth", tmp_path / "new" / "ours.safetensors"
    meta = {"cfg": changed(CONFIG_1X, UDP_1X)}
    torch.save({"state_dict": in_mmpose(tiny(), "head."), "meta": meta}, path)
    said = run("convert", path, "--output", ours)
    assert "│ codec │ udp │ the file │" in said
    assert f"entries written to {ours}" in said
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    before, after = (PoseEstimator(p)(image, [[5, 5, 60, 85]]) for p in (path, ours))
    assert np.array_equal(before.keypoints_image, after.keypoints_image)
    assert np.array_equal(before.keypoint_scores, after.keypoint_scores)


def test_the_channel_order_is_said_and_given(tmp_path: Path) -> None:
    path, ours = tmp_path / "pose_resnet_18_256x192.pth", tmp_path / "ours.safetensors"
    torch.save(SimpleBaseline(18).state_dict(), path)
    turned = "│ colour │ BGR, its weights turned to RGB │ assumed, as in the official recipes │"
    assert turned in run("inspect", path)
    assert turned in run("convert", path, "-o", ours, "--border-true")
    assert "│ colour │ RGB │ the file │" in run("inspect", ours)
    assert load_network(ours).card.codec.border_true
    assert "│ colour │ RGB │ given │" in run("convert", path, "-o", ours, "--colour", "RGB")
    kept = load_network(ours).network.state_dict()["conv1.weight"]
    assert torch.equal(kept, torch.load(path)["conv1.weight"])


def test_converted_to_float16_it_takes_half_the_room_and_predicts_nearly_the_same(
    tmp_path: Path,
) -> None:
    model = tiny()
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_model(whole, model.state_dict(), card_of(model))
    run("convert", whole, "--output", half, "--float16")
    loaded = load_network(half).network.state_dict()
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    for name, values in load_network(whole).network.state_dict().items():
        assert loaded[name].dtype == values.dtype
        torch.testing.assert_close(loaded[name], values, rtol=1e-3, atol=1e-6)


def test_a_checkpoint_is_not_written_over_by_what_it_is_converted_to(tmp_path: Path) -> None:
    model, file = tiny(), tmp_path / "whole.safetensors"
    save_model(file, model.state_dict(), card_of(model))
    before = file.read_bytes()
    said = run("convert", file, "--output", file, "--float16", code=2)
    assert f"{file} is read here, and would be written over" in said
    assert file.read_bytes() == before


def test_what_float16_does_not_hold_is_not_written(tmp_path: Path) -> None:
    model = tiny()
    with torch.no_grad():
        model.bn1.running_var[0] = 1e6
    save_model(tmp_path / "whole.safetensors", model.state_dict(), card_of(model))
    half = tmp_path / "half.safetensors"
    said = run("convert", tmp_path / "whole.safetensors", "-o", half, "--float16", code=2)
    assert "bn1.running_var has a number that float16 does not hold" in said
    assert not half.exists()


def test_convert_writes_safetensors_under_no_other_name(tmp_path: Path) -> None:
    torch.save(tiny().state_dict(), tmp_path / "pose_hrnet_w8_256x192.pth")
    said = run("convert", tmp_path / "pose_hrnet_w8_256x192.pth", "-o", tmp_path / "x.pth", code=2)
    assert "a safetensors file is written; name it x.safetensors" in said
    assert not (tmp_path / "x.pth").exists()


def test_convert_takes_what_the_file_does_not_say(tmp_path: Path) -> None:
    model, ours = tiny(num_keypoints=3), tmp_path / "ours.safetensors"
    torch.save(model.state_dict(), tmp_path / "best.pth")
    names = ["left_tip", "right_tip", "base"]
    category = {"id": 1, "name": "pliers", "keypoints": names, "skeleton": [[1, 3]]}
    annotations = {"images": [], "annotations": [], "categories": [category]}
    (tmp_path / "pliers.json").write_text(json.dumps(annotations))
    options = ["--codec", "dark", "--input-size", "64x96", "--sigma", 1, "--blur-kernel", 7]
    said = run(
        "convert", tmp_path / "best.pth", "-o", ours,
        *options, "--annotations", tmp_path / "pliers.json",
    )  # fmt: skip
    assert "│ input size │ 64x96 │ given │" in said
    assert "│ flip shift │ 1 │ assumed, as in the official recipes │" in said
    loaded = load_network(ours)
    assert same(loaded.network, model)
    assert loaded.card.codec == HeatmapCodec("dark", (96, 64), 1.0, blur_kernel=7)
    assert loaded.card.skeleton.keypoint_names == tuple(names)
    assert loaded.card.skeleton.flip_index == (1, 0, 2)


@pytest.mark.parametrize("command", ["inspect", "convert"])
@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"just text", "this is no checkpoint, it begins with b'just text'"),
        (b"PK\x03\x04 cut", "cut short, damaged or no checkpoint"),
        (b"\x08\x07\x12\x07pytorch", "looks like an ONNX model"),
        (None, "there is no such checkpoint file"),
    ],
)
def test_other_files_end_in_one_sentence(
    tmp_path: Path, command: str, contents: bytes | None, message: str
) -> None:
    path = tmp_path / "x.pth"
    if contents is not None:
        path.write_bytes(contents)
    output = [] if command == "inspect" else ["--output", tmp_path / "ours"]
    said = run(command, path, *output, code=2)
    assert said.startswith("error: ")
    assert message in said
    assert not (tmp_path / "ours").exists()


def test_a_size_that_is_none_is_named(tmp_path: Path) -> None:
    torch.save(tiny().state_dict(), tmp_path / "x.pth")
    said = run(
        "convert", tmp_path / "x.pth", "-o", tmp_path / "y", "--input-size", "256", code=2
    )  # fmt: skip
    assert "--input-size is '256'; expected HEIGHTxWIDTH, such as 256x192" in said
