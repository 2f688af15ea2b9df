"""Each network has settings of its own, which are what its class takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pose_hrnet.config.files import load_config, parse_config, sections_of
from pose_hrnet.config.networks import settings_of
from pose_hrnet.config.recipe import Config
from pose_hrnet.models.build import NETWORKS, build_network

DATA = {"train": {"shards": "s"}, "val": {"annotations": "a", "images": "i"}}
NETWORK_SETTINGS = {
    section.model_fields["name"].default: section
    for section in sections_of(Config.model_fields["model"].annotation)
}
SAVED_ONCE = {
    "name": "hrnet", "depth": 50, "head": "v1", "width": 32, "stem_width": 64, "stem_blocks": 4,
    "stage_modules": [1, 4, 3], "branch_blocks": 4, "pretrained": None,
}  # fmt: skip
"""The model of a run as versions saved it that gave all networks' fields to each."""


def model_of(values: dict[str, Any]) -> Any:
    return parse_config({"data": DATA, "model": values}, source="test").model


def test_every_network_has_settings_which_build_it() -> None:
    assert set(NETWORK_SETTINGS) == set(NETWORKS)
    for name in NETWORKS:
        architecture = model_of({"name": name}).architecture(5)
        with torch.device("meta"):
            network = build_network(architecture)
        assert type(network) is NETWORKS[name]
        assert network.architecture == {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in architecture.items()
        }


def test_an_architecture_as_settings_is_the_network_that_it_came_from() -> None:
    for name in NETWORKS:
        network = model_of({"name": name, "pretrained": "weights.pth"})
        line = settings_of(network.architecture(5), Path("weights.pth")) or ""
        assert "\n" not in line
        assert model_of(yaml.safe_load(line)) == network


@pytest.mark.parametrize("odd", [{}, {"name": "vit"}, {"name": "hrnet", "width": "w" * 1000}])
def test_an_architecture_that_no_recipe_has_is_not_told_as_settings(odd: dict[str, Any]) -> None:
    assert settings_of({**odd, "num_keypoints": 5, "x": 1}, Path("weights.pth")) is None


def test_a_network_without_a_name_is_an_hrnet() -> None:
    assert model_of({"width": 48}) == model_of({"name": "hrnet", "width": 48})
    assert load_config("demo").model.name == "hrnet"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "resnet", "stem_width": 32},
            "unknown key 'model.stem_width' where model.name is resnet; "
            "the nearest known key is 'model.width'",
        ),
        ({"depth": 101}, "unknown key 'model.depth' where model.name is hrnet; the nearest"),
        ({"name": "resnet", "depht": 50}, "'model.depht'; the nearest known key is 'model.depth'"),
        ({"name": "resnet", "depth": 51}, "model.depth = 51: input should be 18, 34, 50, 101 or"),
        ({"name": "vit"}, "model.name = 'vit': input should be one of 'hrnet', 'resnet'"),
    ],
)
def test_a_network_has_no_fields_of_another(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model_of(values)


def test_runs_saved_with_the_fields_of_all_networks_load() -> None:
    assert model_of(SAVED_ONCE) == model_of({"name": "hrnet"})
    assert model_of({**SAVED_ONCE, "width": 48}).width == 48
    assert model_of({**SAVED_ONCE, "name": "resnet", "depth": 101}).depth == 101
    with pytest.raises(ValueError, match=r"'model\.head' where model\.name is resnet"):
        model_of({**SAVED_ONCE, "name": "resnet", "width": 48})


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "hrnet"])
def test_another_network_begins_with_its_own_defaults(name: str) -> None:
    """None of the file's sizes and weights, which are of the file's own network."""
    found = load_config("coco_w48_256x192", [f"model.name={name}"])
    assert found.model == model_of({"name": name})
    assert found.codec == load_config("coco_w48_256x192").codec


@pytest.mark.parametrize("at", [0, 1])
def test_what_is_set_beside_the_name_counts(at: int) -> None:
    overrides = ["model.width=8"]
    overrides.insert(at, "model.name=unet")
    assert load_config("coco_w48_256x192", overrides).model == model_of(
        {"name": "unet", "width": 8}
    )


def test_the_files_own_name_changes_nothing() -> None:
    file = load_config("coco_w48_256x192")
    assert load_config("coco_w48_256x192", ["model.name=hrnet"]) == file
    back = ["model.name=unet", "model.name=hrnet"]
    assert load_config("coco_w48_256x192", back) == file


@pytest.mark.parametrize(
    ("recipe", "override", "message"),
    [
        (
            "litehrnet18_256x192",
            "model.width=41",
            "model.width = 41: input should be a multiple of 2",
        ),
        (
            "w48psap_256x192_udp",
            "model.width=30",
            "model.width = 30: input should be a multiple of 4",
        ),
        (
            "w48psap_256x192_udp",
            "model.stem_width=2",
            "model.stem_width = 2: input should be a multi",
        ),
        (
            "w48ocr_256x192",
            "model.context_width=1",
            "model.context_width = 1: input should be",
        ),
        (
            "vitposeb_256x192_udp",
            "model.width=100",
            "model: heads is 12, which does not divide width 100; give a number that does",
        ),
        (
            "vitposeb_256x192_udp",
            "codec.input_wh=[200, 256]",
            r"codec.input_wh is \[200, 256\]; a vitpose takes multiples of 16, the sides of",
        ),
        (
            "unetvalid_256x192",
            "codec.input_wh=[92, 128]",
            r"codec.input_wh is \[92, 128\]; a unet of valid convolutions takes sides of at",
        ),
    ],
)
def test_what_a_network_does_not_take_is_said_when_the_settings_are_read(
    recipe: str, override: str, message: str
) -> None:
    said = re.escape(f"--set {override}: ") + message
    with pytest.raises(ValueError, match=f"^{said}"):
        load_config(f"coco_{recipe}", [override])


@pytest.mark.parametrize(
    ("settings", "least", "refused"),
    [
        ({"name": "unet", "padding": "valid", "width": 2}, (96, 96), (92, 96)),
        ({"name": "vitpose", "width": 12, "depth": 1}, (16, 32), (24, 32)),
    ],
)
def test_settings_take_the_crops_that_the_network_takes(
    settings: dict[str, Any], least: tuple[int, int], refused: tuple[int, int]
) -> None:
    network = build_network({**settings, "num_keypoints": 1}).eval()
    section = model_of(settings)
    section.check_input(least)
    with pytest.raises(ValueError, match="input_wh"):
        section.check_input(refused)
    with torch.inference_mode():
        network(torch.zeros(1, 3, *least))
        with pytest.raises(ValueError, match="got images of height"):
            network(torch.zeros(1, 3, *refused))
