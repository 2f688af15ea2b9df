"""Cards of others are read whole or refused in one sentence, by whatever reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from pose_hrnet.models.build import build_network
from pose_hrnet.models.card import ExportFacts, ModelCard, card_path
from pose_hrnet.models.weights.files import read_checkpoint
from pose_hrnet.models.weights.inspect import inspect_weights
from pose_hrnet.models.weights.load import initialise, load_network
from tests.helpers.networks import card_of, tiny

LAUGHS: Any = ["x"]
for _ in range(30):
    LAUGHS = [LAUGHS] * 10
DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]

HOSTILE: dict[str, Any] = {
    "mean": [0.5, 0.5], "std": [0, 1, 1], "box_padding": -1, "box_padding ": 1e30,
    "codec.input_wh": [32_000_000, 64], "codec.sigma": float("nan"), "codec.stride": 0,
    "codec.stride ": 10**6, "codec.blur_kernel": 2.5, "codec.name": [], "codec": None,
    "skeleton": [], "skeleton.sigmas": {}, "skeleton.flip_pairs": [[0, 10**5000]],
    "skeleton.links": [[0]], "skeleton.keypoint_names": [None] * 17, "colour": 3,
    "format": LAUGHS, "architecture": 5, "architecture.width": 10**6,
    "architecture.branch_blocks": 1_000_000, "architecture.stage_modules": [[1], 1, 1],
    "architecture.num_keypoints": "17", "architecture.name": ["hrnet"],
    "architecture.stem_width": 10**5000, "mean ": LAUGHS, "std ": DEEP,
    "calibration": [1, 2], "calibration ": {"scores": [0.1, 0.1], "probabilities": [0, 1]},
    "calibration  ": {"scores": [0, 1], "probabilities": [0.5, 0.4]},
    "calibration   ": {"scores": [0.0] * 9999, "probabilities": [0.0] * 9999},
    "calibration    ": {"scores": [0, 1], "probabilities": [0, 1], "code": "x"},
    "note": 3, "note ": "x" * 501,
}  # fmt: skip
"""Values by the dotted key of a card that they stand at."""


def changed(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(values))
    *path, last = key.strip().split(".")
    section = copy
    for part in path:
        section = section[part]
    section[last] = value
    return copy


@pytest.mark.parametrize(("key", "value"), HOSTILE.items(), ids=list(HOSTILE))
def test_a_hostile_card_is_one_short_sentence_for_all_readers(tmp_path: Path, key, value) -> None:
    network = tiny()
    card = changed(card_of(network).to_dict(), key, value)
    path = tmp_path / "some.pt"
    torch.save({"model": network.state_dict(), "card": card}, path)
    said = set()
    for read in (load_network, inspect_weights, lambda file: initialise(tiny(), file)):
        with pytest.raises(ValueError, match=r"some\.pt: ") as error:
            read(path)
        said.add(str(error.value))
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600 + len(str(path))
        if key.startswith("architecture."):  # a network is there already in `initialise`
            break
    assert len(said) == 1


@pytest.mark.parametrize("card", ["[" * 100_000, '["\\ud800"]', "1" * 5000, "nul", "[]", "5"])
def test_a_card_that_is_no_json_is_one_sentence(tmp_path: Path, card) -> None:
    path = tmp_path / "some.safetensors"
    path.write_bytes(save(dict(tiny().state_dict()), {"format": "pt", "pose_hrnet": card}))
    for read in (load_network, inspect_weights):
        with pytest.raises(ValueError, match=r"some.safetensors: the .*(card|file)") as error:
            read(path)
        assert len(str(error.value)) < 400 + len(str(path))


def test_cards_beside_exports_are_read_whole(tmp_path: Path) -> None:
    facts = ExportFacts("onnx", True, False, "fp32", {"torch": "2"})
    card = card_of(tiny())
    own = ModelCard.from_dict(card.to_dict(), facts)
    own.write_beside(tmp_path / "a.onnx")
    assert ModelCard.read_beside(tmp_path / "a.onnx") == own
    good = json.loads(card_path(tmp_path / "a.onnx").read_text())
    for key, value in {
        "flip_test": 7, "weights": "int3", "versions": [], "measured": 5, "checkpoint": [],
        "checkpoint.mean": [1], "pose_hrnet_export": 2, "format": "xla", "quantisation": 1,
    }.items():  # fmt: skip
        card_path(tmp_path / "a.onnx").write_text(json.dumps(changed(good, key, value)))
        with pytest.raises(ValueError, match=r"a\.onnx\.json is no card of an exported") as error:
            ModelCard.read_beside(tmp_path / "a.onnx")
        assert len(str(error.value)) < 400 + len(str(tmp_path))


def test_a_note_is_kept_on_one_line_and_old_cards_have_none() -> None:
    old = card_of(tiny()).to_dict()
    assert "note" not in old
    assert ModelCard.from_dict(old).note == ""
    assert ModelCard.from_dict({**old, "note": "learnt\n from all "}).note == "learnt from all"
    with pytest.raises(ValueError, match="note has 501 characters; give at most 500"):
        card_of(tiny(), note="x" * 501)  # else a file would be written that nothing reads


def test_tensors_that_are_declared_larger_than_stored_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    torch.save({"conv1.weight": torch.zeros(1).expand(10**5, 10**5)}, path)
    with pytest.raises(ValueError, match=r"tensors in it are declared to have 40\.0 GB"):
        read_checkpoint(path)
    torch.save({"conv1.weight": torch.eye(4).to_sparse()}, path)
    with pytest.raises(ValueError, match=r"'conv1\.weight' is no plain tensor of real numbers"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "sizes",
    [
        {"width": 512}, {"branch_blocks": 64, "stage_modules": [64, 64, 64], "width": 1},
        {"width": True}, {"width": 2.5}, {"stage_modules": 3}, {"num_keypoints": 10**6},
    ],
)  # fmt: skip
def test_networks_beyond_measure_are_not_built(sizes) -> None:
    with pytest.raises(ValueError, match=r"whole number|per stage|are built"):
        build_network(sizes)
