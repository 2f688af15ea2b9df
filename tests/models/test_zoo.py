"""The list of published weights says what it should, and names are found in it."""

from __future__ import annotations

import re

import pytest

from pose_hrnet.config.files import config_names, load_config
from pose_hrnet.keypoints.skeleton import Skeleton, guess_flip_pairs
from pose_hrnet.models.weights.fetch import fetch
from pose_hrnet.models.weights.load import load_network
from pose_hrnet.models.weights.zoo import entry_of_address, find_entry, zoo
from pose_hrnet.system.text import format_size
from pose_hrnet.system.transfer import check_address

MMPOSE = "https://download.openmmlab.com/mmpose/"


def test_names_addresses_and_hashes_are_well_formed() -> None:
    for name, entry in zoo().items():
        assert re.fullmatch(r"[a-z0-9_]+", name), name
        assert entry.licence, name
        for source in entry.sources:
            check_address(source.url)
            assert source.sha256 is None or re.fullmatch("[0-9a-f]{8}|[0-9a-f]{64}", source.sha256)
        if entry.kind == "pose":
            assert entry.network, name
            assert entry.input, name
            assert entry.codec, name
            assert entry.score, name
            assert entry.metric, name


def test_no_two_names_stand_for_one_file() -> None:
    urls = [source.url for entry in zoo().values() for source in entry.sources]
    assert len(urls) == len(set(urls))


def test_facts_are_taken_from_names() -> None:
    entry = find_entry("coco_w48_384x288_udp")
    said = (entry.network, entry.input, entry.codec, entry.score, entry.sources[0].sha256)
    assert said == ("HRNet-W48", "384x288", "udp", 0.773, "70d7ab01")
    assert entry.sources[0].url.startswith(f"{MMPOSE}v1/body_2d_keypoint/topdown_heatmap/coco/td")
    assert find_entry("mpii_res50_256x256").network == "ResNet-50"
    assert find_entry("coco_res101_256x192_dark").codec == "dark"
    # Which knows persons alone, and not the 80 classes of the detectors beside it.
    assert find_entry("keypointrcnn_resnet50_fpn").metric == "person box AP"


def test_the_file_that_mmpose_links_for_two_models_stands_once() -> None:
    assert "coco_res101_384x288" not in zoo()


def test_published_recipes_have_weights_of_their_name() -> None:
    """Those of HRNet and SimpleBaseline; few of the networks beside them are published."""
    official = {
        name for name in config_names() if load_config(name).model.name in ("hrnet", "resnet")
    }
    assert len(official) > 15
    assert official - {"demo", "default", "finetune", "coco_w32_256x192_best"} <= set(zoo())


def test_the_weights_in_the_package_are_what_the_list_says() -> None:
    entry = find_entry("default")
    network, card, _ = load_network(fetch(entry))
    found = (network.label, format_size(card.codec.input_wh), card.codec.name)
    assert found == (entry.network, entry.input, entry.codec)


def test_keypoints_that_the_list_names_are_paired_as_their_names_say() -> None:
    skeletons = {e.skeleton for e in zoo().values() if isinstance(e.skeleton, Skeleton)}
    assert {s.name for s in skeletons} == {"ap10k", "aic", "animalpose", "posetrack18"}
    for skeleton in skeletons:
        told, odd = guess_flip_pairs(skeleton.keypoint_names)
        assert odd == ()
        assert set(told) == set(skeleton.flip_pairs)


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"nearest names are coco_w32_256x192, .*weights list"):
        find_entry("COCO_w32_256x193")
    with pytest.raises(ValueError, match="'zzz'; pose-hrnet weights list has them all"):
        find_entry("zzz")


@pytest.mark.parametrize(
    ("address", "name", "file", "sha256"),
    [
        ("https://h/a/hrnet-0123abcd_20200101.pth", "hrnet-0123abcd_20200101",
         "hrnet-0123abcd_20200101.pth", "0123abcd"),
        ("https://h/best-20240131.pth", "best-20240131", "best-20240131.pth", None),
        ("https://h/w-0123abcd.pth?download=1", "w-0123abcd", "w-0123abcd.pth", "0123abcd"),
        (f"https://h/w.pth#sha256={'AB' * 32}", "w", "w.pth", "ab" * 32),
        ("https://h/..%2F..%2Fpasswd", "passwd", "passwd", None),
        ("https://h/%2e%2e", "file", "file", None),
        ("https://h/", "file", "file", None),
        ("https://h/a b?c.safetensors", "a_b", "a_b", None),
    ],
)  # fmt: skip
def test_an_address_is_an_entry(address: str, name: str, file: str, sha256: str | None) -> None:
    entry = entry_of_address(address)
    assert (entry.name, entry.file, entry.sources[0].sha256) == (name, file, sha256)


def test_an_address_of_the_list_is_its_entry() -> None:
    entry = find_entry("ap10k_w32_256x256")
    assert entry_of_address(entry.sources[0].url) == entry
    assert entry_of_address(f"{entry.sources[0].url}#sha256={'0' * 64}") != entry


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://h/w.pth#sha256=12", "expected #sha256= and 64 hexadecimal digits"),
        ("https://h/model.xml", "names files beside it"),
        ("http://h/w.pth", "not encrypted"),
        ("s3://bucket/w.pth", "no https address"),
    ],
)
def test_other_addresses_are_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        entry_of_address(address)
