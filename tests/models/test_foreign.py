"""Checkpoints of every toolkit give the same heatmaps as ours, and say what they do not hold."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.models.weights.load import initialise, load_network, save_model
from tests.helpers.mmpose_files import (
    CONFIG_0X,
    CONFIG_1X,
    META_1X,
    UDP_1X,
    changed,
    data_set,
    in_mmpose,
)
from tests.helpers.networks import FOUR, same, tiny


def heatmaps(model: HeatmapNetwork) -> Tensor:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        return model.eval()(images)


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize("network", ["HRNet", "ResNet"])
@pytest.mark.parametrize(
    ("head", "meta", "kind"),
    [
        (None, {}, "official {} pose"),
        (
            "keypoint_head.",
            {"config": CONFIG_0X, "mmpose_version": "0.29.0"},
            "MMPose 0.x {} pose",
        ),
        ("head.", META_1X, "MMPose 1.x {} pose"),
    ],
    ids=["official", "0.x", "1.x"],
)
def test_every_layout_gives_the_same_heatmaps(
    tmp_path: Path, networks: Any, network: str, head: str | None, meta: Any, kind: str
) -> None:
    model, path = networks[network], tmp_path / "epoch_210.pth"
    state = model.state_dict() if head is None else in_mmpose(model, head)
    torch.save({"state_dict": state, "meta": meta}, path)
    loaded = load_network(path)
    official_resnet = network == "ResNet" and head is None  # takes BGR: test_foreign_colours
    if not official_resnet:
        assert torch.equal(heatmaps(loaded.network), heatmaps(model))
    assert loaded.report.kind == kind.format(type(model).__name__)
    assert loaded.card.architecture == model.architecture
    assert loaded.report.missing == loaded.report.left_over == loaded.report.mismatched == ()

    converted = tmp_path / "ours.safetensors"
    save_model(converted, loaded.network.state_dict(), loaded.card)
    ours = load_network(converted)
    assert torch.equal(heatmaps(ours.network), heatmaps(loaded.network))
    assert ours.card == loaded.card


def test_unmatched_entries_are_reported_by_the_files_names(tmp_path: Path) -> None:
    state = in_mmpose(tiny(), "head.")
    lost = "backbone.stage3.1.branches.0.0.bn1.num_batches_tracked"
    del state[lost]
    extra = {
        "head.loss.weight": torch.zeros(3),
        "ema_backbone_conv1_weight": torch.ones(1),
    }
    torch.save({"state_dict": state | extra}, tmp_path / "hrnet.pth")
    report = load_network(tmp_path / "hrnet.pth").report
    assert report.left_over == tuple(extra)
    assert report.missing == (lost.removeprefix("backbone."),)
    del state["head.final_layer.bias"]
    torch.save({"state_dict": state}, tmp_path / "hrnet.pth")
    with pytest.raises(
        ValueError, match=r"MMPose 1.x HRNet pose\): 1 .* missing \(final_layer.bi"
    ):
        load_network(tmp_path / "hrnet.pth")


@pytest.mark.parametrize(
    "name",
    [
        "backbone.layer1.0.se_layer.conv1.weight",
        "backbone.stage2.0.branches.0.0.attention.weight",
        "backbone.stem.0.weight",
        "head.conv_layers.0.weight",
    ],
)
def test_networks_with_more_to_them_do_not_predict(tmp_path: Path, name: str) -> None:
    state = in_mmpose(tiny(), "head.")
    torch.save({"state_dict": {**state, name: torch.zeros(1)}}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=rf"another network .* 1 entry more .*\({name}\)"):
        load_network(tmp_path / "x.pth")
    # V1 predicts from the finest stream; what stage 4 gives besides is not looked at.
    unseen = "backbone.stage4.1.fuse_layers.1.0.0.0.weight"
    torch.save({"state_dict": {**state, unseen: torch.zeros(1)}}, tmp_path / "x.pth")
    assert load_network(tmp_path / "x.pth").report.left_over == (unseen,)


@pytest.mark.parametrize(
    ("wrap", "found_under"),
    [
        # MMEngine swaps the two before it saves: "state_dict" holds the averaged weights.
        (
            lambda best, other: {
                "meta": META_1X,
                "state_dict": best,
                "ema_state_dict": {"steps": torch.tensor(9), **prefixed(other, "module.")},
            },
            "state_dict",
        ),
        (
            lambda best, _: {
                "ema_state_dict": {"steps": torch.tensor(9), **prefixed(best, "module.")}
            },
            "ema_state_dict",
        ),
        (lambda best, other: {"state_dict": other, "state_dict_ema": best}, "state_dict_ema"),
        (lambda best, other: {"model": other, "model_ema": best}, "model_ema"),
        (lambda best, _: {"state_dict": prefixed(best, "module.")}, "state_dict"),
        (lambda best, _: {"state_dict": prefixed(best, "model.module.")}, "state_dict"),
        (lambda best, _: {"n_averaged": torch.tensor(3), **prefixed(best, "module.")}, None),
    ],
    ids=["mmengine", "averages alone", "timm", "model_ema", "parallel", "lightning", "torch"],
)
def test_of_several_weights_the_averaged_ones_are_taken(
    tmp_path: Path, wrap: Any, found_under: str | None
) -> None:
    best, other = tiny(seed=1), tiny(seed=2)
    torch.save(wrap(in_mmpose(best, "head."), in_mmpose(other, "head.")), tmp_path / "x.pth")
    loaded = load_network(tmp_path / "x.pth")
    assert same(loaded.network, best)
    assert loaded.report.left_over == ()
    if found_under:
        assert f"Weights taken from {found_under!r}" in loaded.report.notes


def test_the_file_says_how_to_decode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = changed(CONFIG_1X, (*UDP_1X, ("(192, 256, )", "(288, 384, )"), ("sigma=2", "sigma=3")))
    meta = {"cfg": cfg, "dataset_meta": data_set(COCO17.keypoint_names, sigmas=COCO17.sigmas)}
    torch.save({"state_dict": in_mmpose(tiny(), "head."), "meta": meta}, tmp_path / "256x192.pth")
    with caplog.at_level(logging.INFO):
        loaded = load_network(tmp_path / "256x192.pth")
    assert loaded.card == ModelCard(
        loaded.network.architecture, COCO17, HeatmapCodec("udp", (288, 384), 3.0, blur_kernel=11)
    )
    assert {s.origin for s in loaded.report.settings} == {"the file"}
    assert loaded.report.notes == ("Weights taken from 'state_dict'",)
    assert caplog.messages == []


def test_what_the_file_does_not_say_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "hrnet_w32_coco_384x288_dark-307dafc2_20210203.pth"
    torch.save({"state_dict": in_mmpose(tiny(), "keypoint_head.")}, path)
    with caplog.at_level(logging.INFO):
        codec = load_network(path).card.codec
    assert codec == HeatmapCodec("dark", (288, 384), 3.0, blur_kernel=17)
    (message,) = caplog.messages
    assert (
        "sigma 3.0, blur kernel 17, flip shift 1, colour RGB, mean (0.485, 0.456, 0.406)"
        in message
    )
    assert "box padding 1.25 (assumed, as in the published MMPose recipes)" in message
    assert "input size 384x288, codec dark (the file's name)" in message


def test_what_is_given_wins(tmp_path: Path) -> None:
    path = tmp_path / "udp_384x288.pth"
    state = in_mmpose(tiny(num_keypoints=4), "head.")
    torch.save({"state_dict": state, "meta": META_1X}, path)
    with pytest.raises(ValueError, match=r"found 4 keypoints.*convert --annotations"):
        load_network(path)
    loaded = load_network(path, skeleton=FOUR, codec="dark", input_wh=(96, 64), sigma=1.0)
    assert "(given)" not in loaded.report.summary()
    assert "codec dark (given)" in map(str, loaded.report.settings)
    codec = HeatmapCodec("dark", (96, 64), 1.0, blur_kernel=11)
    assert (loaded.card.codec, loaded.card.skeleton) == (codec, FOUR)
    save_model(tmp_path / "ours", loaded.network.state_dict(), loaded.card)
    again = load_network(tmp_path / "ours", codec="udp", sigma=2.0, blur_kernel=7).card
    assert again.codec == HeatmapCodec("udp", (96, 64), 2.0, blur_kernel=7)


def test_an_unusual_flip_shift_travels(tmp_path: Path) -> None:
    meta = {"cfg": changed(CONFIG_1X, (("shift_heatmap=True", "shift_heatmap=False"),))}
    torch.save({"state_dict": in_mmpose(tiny(), "head."), "meta": meta}, tmp_path / "x.pth")
    loaded = load_network(tmp_path / "x.pth")
    assert loaded.card.codec.flip_shift == 0
    save_model(tmp_path / "ours", loaded.network.state_dict(), loaded.card)
    assert load_network(tmp_path / "ours").card.codec.flip_shift == 0
    assert load_network(tmp_path / "ours", codec="dark").card.codec.flip_shift == 1
    # Cards without one stay readable by earlier versions.
    assert "own_flip_shift" not in HeatmapCodec().to_dict()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MSRAHeatmap", "SimCCLabel", "names the codec SimCCLabel, which is not decoded here"),
        ("'heatmap'", "'udp_combined'", "flip mode 'udp_combined'"),
    ],
)
def test_other_targets_start_training_and_do_not_predict(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    source, model = tiny(seed=1), tiny(seed=2)
    meta = {"cfg": CONFIG_1X.replace(old, new)}
    torch.save({"state_dict": in_mmpose(source, "head."), "meta": meta}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=message):
        load_network(tmp_path / "x.pth")
    initialise(model, tmp_path / "x.pth")
    assert same(model, source)


def test_timms_features_start_training(tmp_path: Path) -> None:
    source, model = tiny(seed=1), tiny(seed=2)
    state = source.state_dict()
    for name in ("final_layer.weight", "final_layer.bias"):
        del state[name]
    save_file(state, tmp_path / "model.safetensors")
    report = initialise(model, tmp_path / "model.safetensors")
    assert report.kind == "HRNet backbone"
    assert report.missing == ("final_layer.weight", "final_layer.bias")
    with pytest.raises(ValueError, match=r"\(HRNet backbone, width 8\) has no keypoint head"):
        load_network(tmp_path / "model.safetensors")


def test_variants_of_a_backbone_start_training_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {n: v for n, v in tiny().state_dict().items() if not n.startswith("final_layer.")}
    heads = {"classifier.weight": torch.zeros(1), "final_layer.0.weight": torch.zeros(1)}
    save_file(state | heads, tmp_path / "plain")
    save_file(state | {"layer1.0.se.fc1.weight": torch.zeros(1)}, tmp_path / "se")
    initialise(tiny(seed=2), tmp_path / "plain")
    assert caplog.messages == []
    initialise(tiny(seed=2), tmp_path / "se")
    assert "no place for 1 entry of the file's backbone (layer1.0.se" in caplog.text


class HistoryBuffer:
    """Pickles as MMEngine's log of a training run does, a method by name included."""

    def __init__(self) -> None:
        self.methods = {"mean": HistoryBuffer.mean}
        self.values = np.arange(3.0)

    def mean(self) -> float:
        raise AssertionError("nothing of a file is called")

    __setstate__ = mean


def test_training_states_of_mmengine_load_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("mmengine.logging.history_buffer")
    vars(module)["HistoryBuffer"] = HistoryBuffer
    monkeypatch.setattr(HistoryBuffer, "__module__", module.__name__)
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    model, path = tiny(), tmp_path / "best_coco_AP_epoch_210.pth"
    contents = {
        "meta": {**META_1X, "dataset_meta": data_set(COCO17.keypoint_names)},
        "state_dict": in_mmpose(model, "head."),
        "message_hub": {"log_scalars": {"loss": HistoryBuffer()}},
        "optimizer": {"state": {}, "param_groups": [{"lr": 5e-4}]},
    }
    torch.save(contents, path)
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    assert {"builtins.getattr", f"{module.__name__}.HistoryBuffer"} < set(unsafe)
    assert same(load_network(path).network, model)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("backbone.conv1.weight", "rpn_head.rpn_conv.weight", "bbox_head.fc_cls.weight"),
         "an object detector"),
        (("backbone.body.conv1.weight", "rpn.head.conv.weight"), "an object detector"),
        (("backbone.patch_embed.proj.weight", "keypoint_head.final_layer.weight"), "ViTPose"),
        (("backbone.encoder.layer.0.attention.attention.query.weight",), "ViTPose"),
        (("backbone.stem.0.conv.weight", "backbone.stage1.1.attention.fc.weight",
          "head.cls_x.weight"), "RTMPose"),
        (("stage2.0.branches.0.0.conv1.weight", "final_layers.0.weight"), "HigherHRNet"),
        (("steps",), "the file's 0 entries"),
        (("wte.weight", "ln.bias"), r"no network that is known here \(ln.bias, wte.weight\)"),
        (("layer1.0.conv1.weight", "layer2.0.conv1.weight", "layer4.0.conv1.weight"),
         "a ResNet with 1, 1, 0, 1 blocks, which is none of depth 18, 34, 50, 101, 152"),
    ],
)  # fmt: skip
def test_other_networks_are_one_sentence(
    tmp_path: Path, names: tuple[str, ...], what: str
) -> None:
    save_file({name: torch.ones(1) for name in names}, tmp_path / "other.safetensors")
    for read in (load_network, lambda path: initialise(tiny(), path)):
        with pytest.raises(ValueError, match=what) as raised:
            read(tmp_path / "other.safetensors")
        assert "other.safetensors: " in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_programs_are_one_sentence(tmp_path: Path) -> None:
    script = torch.jit.script(torch.nn.Linear(2, 2))
    torch.jit.save(script, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model.pt: this is a TorchScript program"):
        load_network(tmp_path / "model.pt")
