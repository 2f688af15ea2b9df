"""The examples of docs/data_sets.md work as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from pose_hrnet import Config
from pose_hrnet.config.files import known_keys, parse_config
from pose_hrnet.data.formats.skeletons import find_skeleton
from pose_hrnet.data.people import load_people

TEXT = (Path(__file__).resolve().parents[2] / "docs/data_sets.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
SETTINGS = [example for example in EXAMPLES if example.startswith("data:")]


@pytest.mark.parametrize("text", SETTINGS)
def test_settings_load(text):
    config = parse_config(yaml.safe_load(text), source="docs")
    assert len(config.data.training_sets) == text.count("annotations: ") - 1


def test_settings_named_in_a_sentence_exist():
    dotted = re.findall(r"`([a-z]\w*(?:\.\w+)+)(?:[:=] [^`]*)?`", TEXT)
    named = {key for key in dotted if key.split(".")[0] in Config.model_fields}
    assert {"data.train", "model.pretrained"} <= named <= set(known_keys())


def test_annotations_and_skeleton_fit_together(tmp_path):
    (content,) = re.findall(r"```json\n(.*?)```", TEXT, flags=re.DOTALL)
    annotations = tmp_path / "train.json"
    annotations.write_text(json.dumps(json.loads(content)))
    (text,) = [example for example in EXAMPLES if example not in SETTINGS]
    (tmp_path / "torso.yaml").write_text(text)
    skeleton = find_skeleton(str(tmp_path / "torso.yaml"), annotations)
    assert skeleton.flip_pairs == find_skeleton(None, annotations).flip_pairs == ((1, 2),)
    assert len(load_people(annotations, skeleton=skeleton)) == 1
