"""The recipes differ where their names say so and nowhere else, and the command lists them."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from pose_hrnet.config.files import config_names, flat, load_config

SIZE = {"codec.input_wh", "codec.sigma", "codec.blur_kernel"}
LESS_AUGMENTED = {
    "augment.half_body_probability", "augment.scale_std", "augment.rotation_std"
}  # fmt: skip
FILES = {
    f"data.{part}.{key}" for part in ("train", "val") for key in ("annotations", "images")
} | {"data.val.head_sizes"}  # fmt: skip
SIBLINGS = [
    ("coco_w32_256x192", "coco_w32_384x288", SIZE),
    ("coco_w48_256x192", "coco_w48_384x288", SIZE | {"train.batch_size"}),
    ("coco_w32_256x192", "coco_w48_256x192", {"model.width"}),
    *(
        (f"coco_{size}", f"coco_{size}_{codec}", {"codec.name"})
        for size in ("w32_256x192", "w32_384x288", "w48_256x192", "w48_384x288")
        for codec in ("dark", "udp")
    ),
    (
        "coco_w32_256x192_udp",
        "coco_w32_256x192_best",
        {f"optimizer.{key}" for key in ("name", "weight_decay", "schedule", "step_epochs")}
        | {
            "optimizer.warmup_steps",
            "train.epochs",
            "train.batch_size",
            "augment.dropout_probability",
        },
    ),
    (
        "coco_w32_256x192",
        "coco_res50_256x192",
        LESS_AUGMENTED | {"model.name", "optimizer.step_epochs", "train.epochs"},
    ),
    ("coco_w32_256x192", "mpii_w32_256x256", LESS_AUGMENTED | FILES | {"codec.input_wh"}),
    ("mpii_w32_256x256", "mpii_w48_256x256", {"model.width"}),
]
PUBLISHED = {
    "coco_w32_256x192": 74.4, "coco_w32_384x288": 75.8,
    "coco_w48_256x192": 75.1, "coco_w48_384x288": 76.3,
    "coco_w32_256x192_dark": 75.6, "coco_w32_384x288_dark": 76.6,
    "coco_w48_256x192_dark": 76.4, "coco_w48_384x288_dark": 76.8,
    "coco_w32_256x192_udp": 76.2, "coco_w32_384x288_udp": 76.8,
    "coco_w48_256x192_udp": 76.8, "coco_w48_384x288_udp": 77.3,
    "coco_res50_256x192": 70.4, "mpii_w32_256x256": 90.3, "mpii_w48_256x256": 90.1,
}  # fmt: skip


def settings(name: str) -> dict[str, Any]:
    """Everything but the notes, which decide nothing."""
    values = flat(load_config(name).model_dump(mode="json"))
    return {key: value for key, value in values.items() if not key.startswith("recipe.")}


@pytest.mark.parametrize(
    ("one", "other", "keys"), SIBLINGS, ids=lambda v: v if isinstance(v, str) else "keys"
)
def test_siblings_differ_only_where_they_should(one: str, other: str, keys: set[str]) -> None:
    a, b = settings(one), settings(other)
    assert {key for key in a if a[key] != b[key]} == keys


def test_every_recipe_has_a_sibling() -> None:
    assert {name for pair in SIBLINGS for name in pair[:2]} == set(config_names()) - {"demo"}


@pytest.mark.parametrize("name", sorted(set(config_names()) - {"demo"}))
def test_names_say_what_recipes_are(name: str) -> None:
    config = load_config(name)
    data, network, size, *codec = name.split("_")
    assert config.model.name == ("resnet" if network == "res50" else "hrnet")
    if config.model.name == "hrnet":
        assert network == f"w{config.model.width}"
    assert size == "{1}x{0}".format(*config.codec.input_wh)
    assert config.codec.name == {"best": "udp"}.get(*codec, *codec) if codec else "gaussian"
    assert config.data.train.annotations.parts[1] == data
    assert (config.codec.sigma, config.codec.blur_kernel) == (
        (3.0, 17) if size == "384x288" else (2.0, 11)
    )


def test_published_numbers() -> None:
    notes = {name: load_config(name).recipe for name in config_names()}
    assert {n: note.published for n, note in notes.items() if note.published} == PUBLISHED
    for name, note in notes.items():
        if note.published is None:
            assert note.source is None
        else:
            assert note.metric
            assert note.source
            header = config_names()[name].read_text().split("recipe:")[0]
            assert f"# Published: {note.metric} {note.published} ({note.source})," in header


def test_the_command_lists_them() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pose_hrnet", "recipes"],
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    heading, *lines = done.stdout.splitlines()
    rows = {line.split()[0]: re.split(r" {2,}", line) for line in lines}
    assert re.split(r" {2,}", heading) == [
        "name", "model", "input", "codec", "GFLOPs", "params", "published", "source"
    ]  # fmt: skip
    assert sorted(rows) == sorted(config_names())
    assert rows["coco_w48_384x288_dark"] == [
        "coco_w48_384x288_dark", "HRNet-W48", "384x288", "dark", "32.9", "63.6M",
        "76.8 COCO val2017 AP", "Zhang et al., CVPR 2020, arXiv:1910.06278",
    ]  # fmt: skip
    assert rows["coco_res50_256x192"][1:6] == [
        "SimpleBaseline-50", "256x192", "gaussian", "9.0", "34.0M"
    ]  # fmt: skip
    assert rows["mpii_w32_256x256"][6] == "90.3 MPII val PCKh@0.5"
    assert "no number is published" in rows["coco_w32_256x192_best"][-1]
