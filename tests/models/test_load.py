"""Checkpoints: ours come back equal, official ones load as they are, bad ones in one sentence."""

from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from pose_hrnet.config.files import load_config
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.build import build_network
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.weights.load import initialise, load_network, save_model
from tests.helpers.networks import (
    FOUR,
    OFFICIAL_NAME,
    TINY_SIZES,
    card_of,
    imagenet_layout,
    same,
    tiny,
)

# Ours


def test_save_then_load_is_equal(tmp_path: Path) -> None:
    normalisation: dict[str, Any] = {"mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
    model = HRNet(8, 4, **TINY_SIZES).eval()
    model.normalise_with(**normalisation)
    model.load_state_dict(tiny(num_keypoints=4).state_dict())
    card = card_of(model, **normalisation, box_padding=1.1)
    path = tmp_path / "new" / "model.safetensors"
    save_model(path, model.state_dict(), card)
    loaded = load_network(path)
    assert loaded.card == card
    assert same(loaded.network, model)
    assert not loaded.network.training
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded.network(images), model(images))
    assert loaded.report.kind == "pose_hrnet checkpoint"
    assert loaded.report.missing == loaded.report.left_over == loaded.report.mismatched == ()
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = tiny(), tmp_path / "model.safetensors"
    save_model(path, model.state_dict(), card_of(model))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_model(path, tiny(seed=2).state_dict(), card_of(model))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_training_state_loads(tmp_path: Path) -> None:
    model = tiny()
    state = {
        "card": card_of(model).to_dict(),
        "model": {f"_orig_mod.{n}": v for n, v in model.state_dict().items()},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3}]},
        "epoch": 3,
    }
    torch.save(state, tmp_path / "last.pt")
    loaded = load_network(tmp_path / "last.pt")
    assert same(loaded.network, model)
    assert loaded.card == card_of(model)
    assert loaded.report.kind == "pose_hrnet training state"


def test_arguments_win_over_the_card(tmp_path: Path) -> None:
    model, path = tiny(num_keypoints=4), tmp_path / "model.safetensors"
    save_model(path, model.state_dict(), card_of(model))
    other = replace(FOUR, name="other")
    card = load_network(path, skeleton=other, input_wh=(64, 64)).card
    assert card == card_of(model, skeleton=other, codec=HeatmapCodec("gaussian", (64, 64), 1.5))
    with pytest.raises(ValueError, match=r"has 4 keypoints, but skeleton 'coco17' has 17"):
        load_network(path, skeleton=COCO17)
    with pytest.raises(ValueError, match=r"codec has input 64x62 .*multiples of the stride"):
        load_network(path, input_wh=(62, 64))


def test_card_survives_json() -> None:
    card = card_of(tiny(num_keypoints=4), box_padding=1.4)
    assert ModelCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card


def test_unreadable_cards_are_named() -> None:
    values = card_of(tiny()).to_dict()
    with pytest.raises(ValueError, match=r"format 2, but this pose_hrnet reads format 1; use"):
        ModelCard.from_dict({**values, "format": 2})
    with pytest.raises(ValueError, match=r"format None"):
        ModelCard.from_dict({})
    with pytest.raises(ValueError, match=r"damaged: key 'codec' is missing; save"):
        ModelCard.from_dict({k: v for k, v in values.items() if k != "codec"})
    with pytest.raises(ValueError, match="colour order 'BGR'"):
        ModelCard.from_dict({**values, "colour": "BGR"})
    newer = {**values["architecture"], "attention": True}
    with pytest.raises(ValueError, match=r"attention.*newer pose_hrnet"):
        ModelCard.from_dict({**values, "architecture": newer}).build()


# Official pose checkpoints


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("wrap", "found_under"),
    [
        (lambda state: state, None),
        (lambda state: {f"module.{n}": v for n, v in state.items()}, None),
        (lambda state: {"state_dict": state}, "state_dict"),
        (lambda state: {"model": state, "epoch": 1}, "model"),
    ],
    ids=["plain", "prefixed", "state_dict", "model"],
)
def test_official_layouts(
    tmp_path: Path, wrap: Any, found_under: str | None, zipped: bool
) -> None:
    model, path = tiny(), tmp_path / OFFICIAL_NAME
    torch.save(wrap(model.state_dict()), path, _use_new_zipfile_serialization=zipped)
    loaded = load_network(path)
    assert same(loaded.network, model)
    assert loaded.card == ModelCard(
        model.architecture, COCO17, HeatmapCodec("gaussian", (192, 256), sigma=2.0)
    )
    report = loaded.report
    assert report.kind == "official HRNet pose"
    assert set(report.used) == set(model.state_dict())
    assert any("(the file's name)" in note for note in report.notes)
    assert any(repr(found_under) in note for note in report.notes) == (found_under is not None)


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_official_training_checkpoint_prefers_the_best(tmp_path: Path, core: str) -> None:
    best, last = tiny(seed=1), tiny(seed=2)
    contents = {
        "epoch": 210,
        "model": "pose_hrnet",
        "state_dict": {f"module.{n}": v for n, v in last.state_dict().items()},
        "best_state_dict": best.state_dict(),
        "perf": np.float64(0.744),
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5, "betas": (0.9, 0.999)}]},
    }
    torch.save(contents, tmp_path / "written.pth")
    # The NumPy of the file's time named its modules otherwise.
    path = tmp_path / "checkpoint.pth"
    with zipfile.ZipFile(tmp_path / "written.pth") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("data.pkl"):
                module = np.float64(0).__reduce__()[0].__module__
                assert module.encode() in data
                data = data.replace(module.encode(), f"{core}.multiarray".encode())
            new.writestr(name, data)
    loaded = load_network(path)
    assert same(loaded.network, best)
    assert "'best_state_dict'" in loaded.report.summary()


@pytest.mark.parametrize(
    ("name", "given", "input_wh", "sigma", "said"),
    [
        ("pose_hrnet_w48_384x288.pth", None, (288, 384), 3.0, "the file's name"),
        ("pose_hrnet_w32_256x256.pth", None, (256, 256), 2.0, "the file's name"),
        (
            "best.pth",
            None,
            (192, 256),
            2.0,
            "256x192, codec gaussian, sigma 2.0, .*assumed, as in the official",
        ),
        ("run_100x200.pth", None, (192, 256), 2.0, "256x192, .*assumed"),
        ("pose_hrnet_w32_256x192.pth", (288, 384), (288, 384), 3.0, r"384x288 \(given\)"),
    ],
)
def test_input_size_of_official_files(
    tmp_path: Path, name: str, given: Any, input_wh: Any, sigma: float, said: str
) -> None:
    torch.save(tiny().state_dict(), tmp_path / name)
    loaded = load_network(tmp_path / name, input_wh=given)
    # Gaussian decoding does not blur; the kernel is there for comparison with those that do.
    kernel = 17 if sigma == 3 else 11
    assert loaded.card.codec == HeatmapCodec("gaussian", input_wh, sigma, blur_kernel=kernel)
    told = f"{loaded.report} {' '.join(map(str, loaded.report.settings))}"
    assert re.search(said, told)


def test_other_keypoints_need_a_skeleton(tmp_path: Path) -> None:
    model, path = tiny(num_keypoints=4), tmp_path / OFFICIAL_NAME
    torch.save(model.state_dict(), path)
    with pytest.raises(ValueError, match=r"found 4 keypoints.*pass skeleton="):
        load_network(path)
    assert load_network(path, skeleton=FOUR).card.skeleton == FOUR


def test_counters_that_old_files_lack_are_no_fault(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / OFFICIAL_NAME
    counters = [n for n in model.state_dict() if n.endswith("num_batches_tracked")]
    torch.save({n: v for n, v in model.state_dict().items() if n not in counters}, path)
    loaded = load_network(path)
    assert list(loaded.report.missing) == counters
    assert f"{len(counters)} missing from the file" in loaded.report.summary()


def test_a_model_with_holes_is_refused(tmp_path: Path) -> None:
    path, state = tmp_path / OFFICIAL_NAME, tiny().state_dict()
    absent = {n: v for n, v in state.items() if n != "stage3.1.branches.0.0.conv1.weight"}
    torch.save(absent, path)
    with pytest.raises(ValueError, match=r"no complete network.*: 1 entry missing \(stage3.1"):
        load_network(path)
    torch.save(state | {"transition2.2.0.0.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"1 of another shape \(transition2.2.0.0.weight: file"):
        load_network(path)


def test_imagenet_weights_do_not_predict(tmp_path: Path) -> None:
    torch.save(imagenet_layout(tiny()), tmp_path / "hrnetv2_w8_imagenet_pretrained.pth")
    with pytest.raises(ValueError, match=r"HRNet, width 8\) has no keypoint head.*pretrained"):
        load_network(tmp_path / "hrnetv2_w8_imagenet_pretrained.pth")


# Pretrained weights


def test_imagenet_weights_start_a_model(tmp_path: Path) -> None:
    source, model, path = tiny(seed=1), tiny(seed=2), tmp_path / "hrnet_w32-36af842e.pth"
    torch.save(imagenet_layout(source), path)
    head = model.final_layer.weight.clone()
    report = initialise(model, path)
    expected = {n: v for n, v in source.state_dict().items() if not n.startswith("final_layer")}
    assert all(torch.equal(model.state_dict()[n], v) for n, v in expected.items())
    assert torch.equal(model.final_layer.weight, head)
    assert report.kind == "ImageNet HRNet"
    assert set(report.used) == set(expected)
    assert report.missing == ("final_layer.weight", "final_layer.bias")
    assert set(report.left_over) == {
        "stage4.1.fuse_layers.1.0.0.0.weight", "incre_modules.0.0.conv1.weight",
        "final_layer.0.weight", "classifier.weight",
    }  # fmt: skip
    assert f"{len(expected)} of {len(expected) + 2} entries taken" in report.summary()
    assert "4 in the file not needed (stage4.1" in report.summary()


@pytest.mark.parametrize("ours", [True, False])
def test_another_keypoint_count_leaves_the_head(tmp_path: Path, ours: bool) -> None:
    source, model, path = tiny(), tiny(num_keypoints=4, seed=2), tmp_path / "source"
    if ours:
        save_model(path, source.state_dict(), card_of(source))
    else:
        torch.save(source.state_dict(), path)
    head = model.final_layer.weight.clone()
    report = initialise(model, path)
    assert report.mismatched == (
        "final_layer.weight: file (17, 8, 1, 1), model (4, 8, 1, 1)",
        "final_layer.bias: file (17,), model (4,)",
    )
    assert torch.equal(model.final_layer.weight, head)
    assert torch.equal(model.conv1.weight, source.conv1.weight)


def test_another_width_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    model, before = tiny(width=8), tiny(width=8)
    torch.save(imagenet_layout(tiny(width=12)), tmp_path / "w12.pth")
    with pytest.raises(
        ValueError, match=r"width 12\) fits only \d+ of the \d+ .*\(hrnet, width 8\)"
    ):
        initialise(model, tmp_path / "w12.pth")
    assert same(model, before)


@pytest.mark.parametrize("width", [8, 16])
def test_of_a_file_of_ours_the_network_is_told_as_settings_that_fit_it(
    tmp_path: Path, width: int
) -> None:
    source, path = tiny(width=12), tmp_path / "w12.safetensors"
    save_model(path, source.state_dict(), card_of(source))
    with pytest.raises(ValueError, match=r"fits only .*, or set the file's own network") as caught:
        initialise(tiny(width=width), path)
    settings = yaml.safe_load(str(caught.value).partition("own network, model: ")[2])
    config = load_config("coco_res50_256x192", [f"model={json.dumps(settings)}"])
    assert config.model.pretrained is not None
    report = initialise(build_network(config.model.architecture(17)), config.model.pretrained)
    assert (report.missing, report.left_over, report.mismatched) == ((), (), ())


# Files that are no checkpoints
