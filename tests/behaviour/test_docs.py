"""README and docs: short, with links that lead somewhere and names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pose_hrnet import Config, load_config
from pose_hrnet.config.files import config_names, known_keys

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text)
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_paths_recipes_and_settings_exist(page):
    text = page.read_text(encoding="utf-8")
    modules = re.findall(r"pose_hrnet(?:\.[a-z_0-9]+)+", text)
    assert [m for m in modules if not is_module(m)] == []
    scripts = re.findall(r"\b(?:tools|tests|configs|notebooks)/[\w/]+\.\w+", text)
    assert [script for script in scripts if not (ROOT / script).exists()] == []
    trained = re.findall(r"pose(?:-hrnet|_hrnet) train ([a-z]\w+)(?:\s|$)", text)
    assert set(trained) <= set(config_names())
    for override in re.findall(r"--set '?([^\s'`]+=(?:\{[^}]*\}|[^\s'`]+))", text):
        if "section.key" not in override:
            load_config("demo", [override])


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_settings_named_in_a_sentence_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    dotted = re.findall(r"`([a-z]\w*(?:\.\w+)+)(?:[:=][^`]*)?`", text)
    named = {key for key in dotted if key.split(".")[0] in Config.model_fields}
    assert {key for key in named if not key.endswith((".py", ".yaml"))} <= set(known_keys())


def test_yaml_examples_are_yaml():
    for page in PAGES:
        for text in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            yaml.safe_load(text)


def test_the_example_of_plain_onnx_runtime_gives_our_keypoints(tmp_path, monkeypatch):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import cv2
    import numpy as np

    from pose_hrnet import PoseEstimator, load_model
    from pose_hrnet.deploy.export import export_model
    from pose_hrnet.keypoints.codec import HeatmapCodec
    from pose_hrnet.keypoints.skeleton import COCO17
    from pose_hrnet.models.card import ModelCard
    from tests.helpers.networks import ColourMix
    from tests.helpers.pose_models import pose_model

    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import json.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (45, 20, 3), np.uint8)
    cv2.imwrite("photo.jpg", cv2.resize(noise, (200, 450)))
    for name in ("udp", "gaussian"):
        card = ModelCard({"num_keypoints": 17}, COCO17, HeatmapCodec(name, (64, 96)))
        model = pose_model(ColourMix().eval(), card, flip_test=False)
        export_model(model, tmp_path / "best.onnx", "onnx")
        found: dict[str, np.ndarray] = {}
        exec(code, found)
        estimator = PoseEstimator(load_model(tmp_path / "best.onnx", device="cpu"))
        expected = estimator("photo.jpg", [[24, 30, 180, 420]]).keypoints_image[0]
        assert np.abs(found["keypoints_image"] - expected).max() < 0.5


def test_the_table_of_networks_is_that_of_the_recipes():
    """Stale: tools/write_networks.py writes it."""
    page = (ROOT / "docs/networks.md").read_text(encoding="utf-8")
    table = page.partition("<!-- networks: tools/write_networks.py -->\n")[2].split("<!-- end")[0]
    rows = [re.split(r" *\| *", line[2:-2]) for line in table.splitlines()[2:]]
    found = {row[1].strip("`"): row for row in rows}
    expected = [name for name in config_names() if name.startswith("coco_")]
    assert list(found) == expected
    for name, (_, _, parameters, gflops, _, stride, seen, published, source) in found.items():
        notes = load_config(name).recipe
        assert (parameters, gflops) == (f"{notes.parameters:.1f}", f"{notes.gflops:.1f}")
        assert published == ("" if notes.published is None else str(notes.published))
        assert source == (notes.source or "").partition(", arXiv")[0]
        assert stride in ("1", "4", "8", "16", "32")
        assert seen == "all" or int(seen.replace(",", "")) > 100
