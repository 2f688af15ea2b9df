"""Settings in words: recipes in full, and docs/configuration.md."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pose_hrnet.config.files import config_names, known_keys, load_config, parse_config
from pose_hrnet.config.reference import configuration_page, recipe_in_full

PAGE = Path(__file__).resolve().parents[2] / "docs/configuration.md"


@pytest.mark.parametrize("name", config_names())
def test_a_recipe_in_full_is_the_same_recipe(name):
    config = load_config(name)
    text = recipe_in_full(config)
    values = yaml.safe_load(text)
    assert values == config.model_dump(mode="json")
    assert parse_config(values, source="printed") == config
    assert max(map(len, text.splitlines())) <= 99


def test_every_setting_has_its_meaning_beside_it():
    lines = recipe_in_full(load_config("coco_w32_256x192")).splitlines()
    assert (
        f"{'  workers: 8':<34}# Loader processes, one per core at most; 0: the main one loads."
        in lines
    )
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if ": " in line.split("#")[0]:
            assert "  # " in line or following.lstrip().startswith("# "), line


def test_several_data_sets_are_a_list():
    sets = "[{annotations: a.json, images: a}, {annotations: b.json, images: b, repeat: 2}]"
    config = load_config("demo", [f"data.train={sets}"])
    text = recipe_in_full(config)
    assert "    - annotations: a.json" in text
    assert parse_config(yaml.safe_load(text), source="printed") == config


def test_the_page_is_that_of_the_docstrings():
    assert PAGE.read_text(encoding="utf-8") == configuration_page(), "stale; run `make docs`"


def test_the_page_holds_every_key():
    page = configuration_page()
    missing = [key for key in known_keys() if f"`{key}`" not in page]
    assert missing == []
    assert (
        "| `train.batch_size` | whole number > 0 <= 65536 | `128` | Crops per forward pass" in page
    )
    assert "| `loss.keypoint_weights` | `official` or list of: number or null | `null` |" in page
    assert "| `model.width` | whole number > 0 <= 512 in steps of 4 |" in page
    assert "| `augment.hue` | number >= 0 <= 0.5 | `0.05` |" in page
