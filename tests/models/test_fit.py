"""Rows of the head go by the names of their keypoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pose_hrnet.keypoints.skeleton import CROWDPOSE14
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.weights.load import initialise, load_network, save_model
from tests.helpers.networks import OFFICIAL_NAME, TINY_SIZES, card_of, tiny


@pytest.mark.parametrize("names", [("d", "x", "b"), ("d", "c", "b", "a"), ("a", "b", "c", "d")])
def test_head_rows_are_taken_by_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    source, path = tiny(num_keypoints=4), tmp_path / "four.safetensors"
    save_model(path, source.state_dict(), card_of(source))
    target = tiny(num_keypoints=len(names), seed=2)
    before = target.state_dict()["final_layer.weight"].clone()
    report = initialise(target, path, names)
    for row, name in enumerate(names):
        old = "abcd".find(name)
        expected = source.final_layer.weight[old] if old >= 0 else before[row]
        assert torch.equal(target.final_layer.weight[row], expected), name
        if old >= 0:
            assert target.final_layer.bias[row] == source.final_layer.bias[old]
    assert torch.equal(target.conv1.weight, source.conv1.weight)
    assert report.mismatched == ()
    assert ("x start anew" in report.summary()) == ("x" in names)
    assert ("Head:" in report.summary()) == (names != ("a", "b", "c", "d"))


def test_head_rows_are_taken_by_name_in_any_spelling(tmp_path: Path) -> None:
    source, path = tiny(num_keypoints=16), tmp_path / OFFICIAL_NAME
    torch.save(source.state_dict(), path)
    target = tiny(num_keypoints=3)
    report = initialise(target, path, ["LKnee", "ankle.right", "r_ankle_2"])
    ours, theirs = target.final_layer.weight, source.final_layer.weight
    assert torch.equal(ours[:2], theirs[[4, 0]])
    assert "Head: 2 of 3 keypoints taken by name" in report.summary()
    assert "r_ankle_2 start anew" in report.summary()


def test_official_heads_are_known_by_their_size(tmp_path: Path) -> None:
    source, path = tiny(num_keypoints=16), tmp_path / OFFICIAL_NAME
    torch.save(source.state_dict(), path)
    assert load_network(path).card.skeleton.name == "mpii16"
    target = tiny(num_keypoints=2)
    report = initialise(target, path, ["tail", "right_knee"])
    assert torch.equal(target.final_layer.weight[1], source.final_layer.weight[1])
    assert "taken by name (names assumed from their number: mpii16); tail" in report.summary()


def test_v2_heads_are_taken_by_name_from_v2_and_start_anew_from_v1(tmp_path: Path) -> None:
    names = CROWDPOSE14.keypoint_names
    for head in ("v1", "v2"):
        torch.manual_seed(1)
        source = HRNet(8, 17, head=head, **TINY_SIZES)
        save_model(tmp_path / head, source.state_dict(), card_of(source))
        target = HRNet(8, 14, head="v2", **TINY_SIZES)
        before = target.state_dict()["head.3.weight"].clone()
        report = initialise(target, tmp_path / head, names)
        after = target.state_dict()["head.3.weight"]
        if head == "v1":
            assert torch.equal(after, before)
            assert "Head:" not in report.summary()
        else:
            old = source.state_dict()["head.3.weight"]
            assert torch.equal(after[names.index("left_hip")], old[11])
            assert torch.equal(after[names.index("neck")], before[names.index("neck")])
            assert "Head: 12 of 14 keypoints taken by name; head, neck" in report.summary()
