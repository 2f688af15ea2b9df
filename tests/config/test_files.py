"""Every recipe loads, every mistake is named, every setting is read somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from pose_hrnet.config.files import (
    config_names,
    dotted_keys,
    find_config,
    load_config,
    parse_config,
    sections_of,
)
from pose_hrnet.config.recipe import Config

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "configs").glob("*.yaml"))


NAMED = {"model.name", "model.width", "model.depth", "codec.name", "codec.input_wh"}
"""What the name of a recipe says; it stands in the file even where it is the default."""
OFFICIAL = {
    "optimizer.name": "adam", "optimizer.lr": 1e-3, "optimizer.weight_decay": 0,
    "optimizer.schedule": "step", "optimizer.step_epochs": [170, 200],
    "optimizer.step_factor": 0.1, "optimizer.warmup_steps": 0, "optimizer.clip_norm": None,
    "train.epochs": 210, "train.batch_size": 128, "train.accumulate": 1, "train.ema_decay": None,
    "codec.name": "gaussian", "codec.sigma": 2, "data.box_padding": 1.25, "loss.name": "mse",
    "augment.flip_probability": 0.5, "augment.scale_std": 0.35, "augment.rotation_std": 45,
    "augment.rotation_probability": 0.6, "augment.half_body_probability": 0.3,
    "augment.half_body_min_keypoints": 8, "augment.photometric_probability": 0,
    "augment.dropout_probability": 0, "model.width": 32, "model.stage_modules": [1, 4, 3],
    "model.branch_blocks": 4, "model.stem_width": 64, "model.stem_blocks": 4,
    "test.flip_test": True, "test.keypoint_threshold": 0.2, "test.nms": "oks",
    "test.nms_threshold": 0.9,
}  # fmt: skip
"""The official recipe (Sun et al., CVPR 2019), 4 GPUs with 32 crops each taken together."""


def leaves(section=Config, prefix=""):
    for name, field in section.model_fields.items():
        inner = sections_of(field.annotation)
        for each in inner:
            yield from leaves(each, f"{prefix}{name}.")
        if not inner:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe_loads_and_says_nothing_that_is_a_default(path):
    said = dotted_keys(yaml.safe_load(path.read_text()))
    settings = dotted_keys(load_config(path).model_dump(mode="json"))
    files = {key: said[key] for key in said if key.startswith(("data.train.", "data.val."))}
    # The model's name decides which other settings there are.
    bare = {**dotted_keys({"model": {"name": settings["model.name"]}}), **files}
    default = dotted_keys(parse_config(nested(bare), source="defaults").model_dump(mode="json"))
    repeated = {key for key in said if key in default and said[key] == default[key]}
    assert repeated - NAMED - set(files) == set()
    assert len(path.read_text().splitlines()) <= 40


def nested(values):
    sections = {}
    for key, value in values.items():
        *path, name = key.split(".")
        section = sections
        for part in path:
            section = section.setdefault(part, {})
        section[name] = value
    return sections


def test_the_defaults_are_the_official_recipe():
    settings = dotted_keys(load_config("coco_w32_256x192").model_dump(mode="json"))
    assert {key: settings[key] for key in OFFICIAL} == OFFICIAL


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe_is_found_by_name(path):
    assert find_config(path.stem) == config_names()[path.stem]


@pytest.mark.parametrize("name", ["coco_w32_256x192", "coco_w48_384x288"])
def test_recipe_names_say_what_they_are(name):
    config = load_config(name)
    width, size = name.removeprefix("coco_w").split("_")
    assert config.model.width == int(width)
    assert config.codec.input_wh == tuple(int(v) for v in reversed(size.split("x")))
    assert config.codec.sigma == (3 if size == "384x288" else 2)


def test_every_field_is_read_outside_the_config_module():
    """A setting that nothing reads would be silently ignored."""
    read = set()
    for path in (ROOT / "pose_hrnet").rglob("*.py"):
        if path.parent.name != "config":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            read |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    # A network's fields are handed over as they are: see test_model.
    keys = {key for key in leaves() if not key.startswith("model.")} | {"model.pretrained"}
    unread = [key for key in keys if key.split(".")[-1] not in read]
    assert unread == []


def test_overrides_are_typed_and_do_not_touch_the_rest():
    config = load_config(
        "demo", ["model.width=48", "optimizer.lr=3e-4", "codec.input_wh=[192, 256]"]
    )
    assert (config.model.width, config.optimizer.lr) == (48, 3e-4)
    assert config.codec.input_wh == (192, 256)
    assert config.train == load_config("demo").train


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.widht=48", "unknown key 'model.widht'; the nearest known key is 'model.width'"),
        ("model.width=[", "not valid YAML"),
        ("train.seed=-1", "train.seed = -1"),
        ("data.train.boxes=x.json", "unknown key 'data.train.boxes'"),
        ("train.batch_size=0", "train.batch_size = 0: input should be greater than 0"),
        ("train.precision=fp8", "train.precision = 'fp8'"),
        ("codec.input_wh=[190, 256]", "multiples of 4"),
        ("codec.blur_kernel=12", "blur_kernel is 12; expected an odd number"),
        ("model.name=vit", "model.name = 'vit'"),
        ("recipe.published=744", "recipe.published = 744"),
        ("model.width", "not of the form section.key=value"),
        ("data.train=null", "data.train"),
        ("loss.name=huber", "loss.name = 'huber': input should be 'mse', 'ohkm' or 'awing'"),
        ("loss.keypoint_weights=offical", "= 'offical': expected null, official, or a list of"),
        ("loss.keypoint_weights=[1, -1]", "expected null, official, or a list of one number"),
        ("train.keypoint_weights=true", "the nearest known key is 'loss.keypoint_weights'"),
        ("augment.dropout_size=[0.4, 0.2]", "augment.dropout_size = [0.4, 0.2]: expected two"),
        ("augment.photometric_probabilty=1", "nearest known key is 'augment.photometric_prob"),
        ("data.train=[]", "data.train"),
        (
            "data.train=[{annotations: a, images: b, repaet: 2}]",
            "unknown key 'data.train.0.repaet'; the nearest known key is 'data.train.repeat'",
        ),
        ("data.train=[{annotations: a}]", "key 'data.train.0.images' is missing"),
        (
            "data.train.shards=data/shards",
            "data.train: shards stand in place of annotations, images; give",
        ),
        (
            "data.train=[{annotations: a, images: b}, {shards: c, images: b}]",
            "data.train.1: shards stand in place of images",
        ),
        ("data.train={shards: c, category: a}", "shards stand in place of category"),
        (
            "data={train: {shards: c}, val: {annotations: a, images: b}, skeleton: mpii16}",
            "data: skeleton is mpii16, but shards bring the keypoints",
        ),
        ("data.decode=quick", "data.decode = 'quick'"),
        ("train.lr=1", "unknown key 'train.lr'; the nearest known key is 'optimizer.lr'"),
        ("codec.input_wh=100x100", "codec.input_wh = '100x100': expected a list, such as [192"),
        ("codec.input_wh=[100]", "codec.input_wh = [100]: expected more values"),
        ("train.epochs=many", "train.epochs = 'many': expected a whole number"),
        ("test.flip_test=maybe", "test.flip_test = 'maybe': expected true or false"),
        ("model=hrnet", "model = 'hrnet': expected a section of keys and values"),
        ("data.val.images=[a]", "data.val.images = ['a']: expected a path"),
        ("data.val.metric=pck", "data.val.metric = 'pck'"),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("(", r"\(")):
        load_config("demo", [override])


def test_an_override_is_blamed_for_its_own_fault_alone(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text((ROOT / "configs/demo.yaml").read_text() + "test: {batch_size: 0}\n")
    said = "--set train.epochs=x: train.epochs = 'x': expected a whole number"
    with pytest.raises(ValueError, match="expected a whole number") as raised:
        load_config(path, ["train.epochs=x", "train.seed=1"])
    assert sorted(str(raised.value).split("; ")) == sorted(
        [said, f"{path}: test.batch_size = 0: input should be greater than 0"]
    )
    with pytest.raises(
        ValueError, match=r"^--set codec.input_wh=\[190, 256\]: codec: input_wh is"
    ):
        load_config("demo", ["codec.input_wh=[190, 256]"])
    for overrides, said in (
        (["model.width=50", "model.depth=1"], ["model.width=50"]),
        (
            ["model.depth=1", "model.width=50", "model.heads=7"],
            ["model.width=50", "model.heads=7"],
        ),
        (
            ["model.width=50", "model.width=40", "model.heads=9"],
            ["model.width=40", "model.heads=9"],
        ),
        (
            ["model.heads=9", "model={name: vitpose, width: 50}"],
            ["model={name: vitpose, width: 50}"],
        ),
        (
            ["model={name: vitpose, width: 50}", "model.depth=1"],
            ["model={name: vitpose, width: 50}"],
        ),
    ):
        blamed = re.escape(" ".join(f"--set {override}" for override in said))
        with pytest.raises(ValueError, match=rf"^{blamed}: model: heads is"):
            load_config("demo", ["model.name=vitpose", *overrides])
    with pytest.raises(ValueError, match=r"^--set data.train.0.repeat=0|^--set data.train="):
        load_config("demo", ["data.train=[{annotations: a, images: b, repeat: 0}]"])


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("coco_w32", "coco_w32_256x192"),
        ("coco_w48_384", "coco_w48_384x288"),
        ("mpii", "mpii_w32_256x256"),
        ("coco_w32_256x912", "coco_w32_256x192"),
    ],
)
def test_the_recipe_that_begins_so_is_nearest(name, nearest):
    with pytest.raises(FileNotFoundError, match=f"the nearest recipe is '{nearest}'"):
        find_config(name)


def test_one_data_set_or_several():
    one = load_config("demo").data
    assert one.training_sets == (one.train,)
    sets = "[{annotations: a.json, images: a}, {annotations: b.json, images: b, repeat: 2}]"
    data = load_config("demo", [f"data.train={sets}"]).data
    assert [(str(s.annotations), s.repeat) for s in data.training_sets] == [
        ("a.json", 1),
        ("b.json", 2),
    ]
    with pytest.raises(ValueError, match=r"train is a list, which 'train.annotations=x'"):
        load_config("demo", [f"data.train={sets}", "data.train.annotations=x"])


def test_nested_settings_get_dotted_names():
    assert dotted_keys({"a": {"b": {"c": 1}}, "d": [1]}) == {"a.b.c": 1, "d": [1]}
    assert dotted_keys({"sets": [{"repeat": 1}, {"repeat": 2}]}) == {
        "sets.0.repeat": 1,
        "sets.1.repeat": 2,
    }


def test_missing_section_unknown_name_and_bad_yaml(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("model: {width: 32}\n")
    with pytest.raises(ValueError, match="key 'data' is missing"):
        load_config(path)
    path.write_text("model: [\n")
    with pytest.raises(ValueError, match="not valid YAML"):
        load_config(path)
    path.write_text("- 1\n")
    with pytest.raises(ValueError, match="holds a list"):
        load_config(path)
    with pytest.raises(FileNotFoundError, match="neither a file nor a recipe; recipes are coco"):
        load_config("nothing like them")


def test_a_category_holds_for_all_data_sets_that_name_none():
    sets = [
        "data.train=[{annotations: a, images: b}, {annotations: c, images: d, category: fish}]"
    ]
    data = load_config("demo", ["data.category=bison", *sets]).data
    assert [each.category for each in data.training_sets] == ["bison", "fish"]
    assert data.val.category == "bison"
