"""The recipes are what their names say, and the command lists them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pose_hrnet.config.files import config_names, load_config, parse_config
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.complexity import complexity
from pose_hrnet.training.train import other_batch

ROOT = Path(__file__).resolve().parents[2]

PUBLISHED = {
    "coco_w32_256x192": 74.4, "coco_w32_384x288": 75.8,
    "coco_w48_256x192": 75.1, "coco_w48_384x288": 76.3,
    "coco_w32_256x192_dark": 75.6, "coco_w32_384x288_dark": 76.6,
    "coco_w48_256x192_dark": 76.4, "coco_w48_384x288_dark": 76.8,
    "coco_w32_256x192_udp": 76.2, "coco_w32_384x288_udp": 76.8,
    "coco_w48_256x192_udp": 76.8, "coco_w48_384x288_udp": 77.3,
    "coco_w48psap_256x192_udp": 78.9, "coco_w48psap_384x288_udp": 79.5,
    "coco_w48psas_384x288_udp": 79.4,
    "coco_hourglass8_256x192": 66.9,
    "coco_litehrnet18_256x192": 64.8, "coco_litehrnet18_384x288": 67.6,
    "coco_litehrnet30_256x192": 67.2, "coco_litehrnet30_384x288": 70.4,
    "coco_vitposes_256x192_udp": 73.8, "coco_vitposeb_256x192_udp": 75.8,
    "coco_vitposebsimple_256x192_udp": 75.5,
    "coco_res50_256x192": 70.4, "mpii_w32_256x256": 90.3, "mpii_w48_256x256": 90.1,
}  # fmt: skip


REPEATED = ("hrnet", "resnet")
"""Networks whose official training the recipes repeat, to the crops of a step."""


def network_of(token: str) -> str:
    """The network that a part of a recipe's name stands for, such as ``w48psap``."""
    names = {
        r"w\d+": "hrnet", r"w\d+psa[ps]": "hrnet_psa", r"w\d+ocr": "hrnet_ocr",
        r"res\d+": "resnet",
        r"litehrnet\d+": "lite_hrnet", r"hourglass\d": "hourglass", r"fcn\d+s": "fcn",
        r"fcn\w+res\d+": "fcn_resnet", r"unet(valid)?": "unet", "deconvnet": "deconvnet",
        "segnet": "segnet", r"fcdensenet\d+": "fc_densenet", "dilatednet": "dilated_net",
        "deeplabv1": "deeplab_v1", r"deeplabv2res\d+": "deeplab_v2",
        r"deeplabv3res\d+": "deeplab_v3", r"deeplabv3plusres\d+": "deeplab_v3plus",
        r"pspnetres\d+": "pspnet", r"vitpose\w+": "vitpose",
    }  # fmt: skip
    (found,) = (name for pattern, name in names.items() if re.fullmatch(pattern, token))
    return found


@pytest.mark.parametrize("name", sorted(set(config_names()) - {"demo", "default", "finetune"}))
def test_names_say_what_recipes_are(name: str) -> None:
    config = load_config(name)
    data, network, size, *codec = name.split("_")
    assert config.model.name == network_of(network)
    numbers = {
        str(value)
        for key, value in config.model
        if key in ("width", "depth", "stacks") or (key == "variant" and "res" not in network)
    }
    for number in re.findall(r"(?<=w|t)\d+|(?<=res)\d+|(?<=glass)\d|(?<=fcn)\d+s", network):
        assert number in numbers or config.model.name == "fcn_resnet"
    assert size == "{1}x{0}".format(*config.codec.input_wh)
    assert config.codec.name == {"best": "udp"}.get(*codec, *codec) if codec else "gaussian"
    assert config.data.train.annotations.parts[1] == data
    assert (config.codec.sigma, config.codec.blur_kernel) == (
        (3.0, 17) if size == "384x288" else (2.0, 11)
    )


def test_published_numbers() -> None:
    notes = {name: load_config(name).recipe for name in config_names()}
    assert {n: note.published for n, note in notes.items() if note.published} == PUBLISHED
    for note in notes.values():
        if note.published is None:
            assert note.source is None
        else:
            assert note.metric
            assert note.source


def test_what_quotes_a_number_has_its_settings_or_names_what_is_otherwise() -> None:
    for name in PUBLISHED:
        config = load_config(name)
        step = config.train.batch_size * config.train.accumulate
        assert "# Deviations: " in config_names()[name].read_text().partition("recipe:")[0]
        if config.model.name not in REPEATED:
            continue
        assert config.recipe.crops_per_step == step
        assert config.train.precision == "fp32"
        comments = config_names()[name].read_text().partition("recipe:")[0]
        assert other_batch(config, step) is None
        told = other_batch(config, 4 * step) or ""
        assert f"learns from {4 * step} crops" in told
        assert f"published with {step} crops a step" in told
        if "MMPose" in (config.recipe.source or ""):
            per_gpu = 32 if config.model.width == 48 and name.startswith("coco") else 64
            assert (config.train.batch_size, step) == (per_gpu, 8 * per_gpu)
            assert (config.optimizer.lr, config.optimizer.warmup_steps) == (5e-4, 500)
            assert "0.5 and 80 degrees" in comments.replace("\n# ", " ")
        else:
            assert step == (96 if name.startswith("coco_w48_384x288") else 128)
            assert (config.optimizer.lr, config.optimizer.warmup_steps) == (1e-3, 0)
    scaled = load_config("coco_w32_256x192", ["optimizer.lr_batch=128"])
    assert other_batch(scaled, 512) is None


@pytest.mark.parametrize("others", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_costs_are_those_of_the_networks(others: bool) -> None:
    counted, page = {}, (ROOT / "docs/networks.md").read_text(encoding="utf-8")
    for name in config_names():
        config = load_config(name)
        if (config.model.name in REPEATED) is others:
            continue
        architecture = config.model.architecture(COCO17.num_keypoints)
        key = str((architecture, config.codec.input_wh))
        counted[key] = cost = counted.get(key) or complexity(architecture, config.codec.input_wh)
        assert config.recipe.parameters == pytest.approx(cost.parameters / 1e6, abs=0.05)
        assert config.recipe.gflops == pytest.approx(cost.published_gflops, abs=0.05)
        if name.startswith("coco_"):  # tools/write_networks.py writes them
            (said,) = re.findall(rf"`{name}` \| [\d.]+ \| [\d.]+ \| ([\d.]+) \|", page)
            products = cost.multiply_adds / 1e9
            assert said == f"{products:.{1 if products >= 1 else 2}f}"


def run(*arguments: str) -> str:
    """What the command prints, in a process that has no torch."""
    code = "import sys; sys.modules['torch'] = None; from pose_hrnet.cli.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_command_lists_them_without_torch() -> None:
    heading, *lines = run("recipes").splitlines()
    rows = {line.split()[0]: re.split(r" {2,}", line) for line in lines}
    assert re.split(r" {2,}", heading) == [
        "name", "model", "input", "codec", "GFLOPs", "params", "published", "source"
    ]  # fmt: skip
    assert sorted(rows) == sorted(config_names())
    assert rows["coco_w48_384x288_dark"] == [
        "coco_w48_384x288_dark", "hrnet", "384x288", "dark", "32.9", "63.6M",
        "76.8 COCO val2017 AP", "Zhang et al., CVPR 2020, arXiv:1910.06278",
    ]  # fmt: skip
    assert rows["coco_res50_256x192"][1:6] == ["resnet", "256x192", "gaussian", "9.0", "34.0M"]
    assert rows["mpii_w32_256x256"][6] == "90.3 MPII val PCKh@0.5"
    assert "no number is published" in rows["coco_w32_256x192_best"][-1]


def test_the_command_prints_one_in_full() -> None:
    text = run("recipes", "coco_w32_256x192_udp")
    assert parse_config(yaml.safe_load(text), source="printed") == load_config(
        "coco_w32_256x192_udp"
    )
    assert "# Learning rate after the warm-up" in text
