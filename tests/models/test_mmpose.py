"""What MMPose configurations say is read from their source, which never runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pose_hrnet.keypoints.skeleton import COCO17, CROWDPOSE14, MPII16, Skeleton
from pose_hrnet.models.weights.mmpose import FileSettings, read_config, read_settings
from tests.helpers.mmpose_files import CONFIG_0X, CONFIG_1X, UDP_1X, changed, data_set

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def of_1x(*changes: tuple[str, str], **meta: Any) -> FileSettings:
    return read_settings({"cfg": changed(CONFIG_1X, changes), **meta})


def of_0x(*changes: tuple[str, str]) -> FileSettings:
    return read_settings({"config": changed(CONFIG_0X, changes)})


def test_a_published_configuration_of_1x() -> None:
    assert of_1x() == FileSettings(
        (192, 256), "gaussian", 2.0, 11, flip_shift=1, bgr=False, box_padding=1.25, **IMAGENET
    )


def test_a_published_configuration_of_0x() -> None:
    settings = of_0x()
    skeleton = settings.skeleton
    assert settings == FileSettings(
        (192, 256), "gaussian", 2.0, 11, flip_shift=1, bgr=False, skeleton=skeleton, **IMAGENET
    )
    assert skeleton is not None
    assert skeleton.name == "hand"
    assert skeleton.keypoint_names == ("wrist", "left_tip", "right_tip")
    assert skeleton.flip_pairs == ((1, 2),)
    assert skeleton.links == ((0, 1),)
    assert skeleton.upper_body == (0,)
    assert skeleton.sigmas == (0.03, 0.04, 0.04)
    assert skeleton.joint_weights == (1.0, 1.5, 1.5)


DARK_1X = (
    ("(192, 256, )", "(288, 384, )"),
    ("sigma=2", "sigma=3, unbiased=True, blur_kernel_size=17"),
)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        (UDP_1X, "codec", "udp"),
        (UDP_1X, "flip_shift", 0),
        (DARK_1X, "codec", "dark"),
        (DARK_1X, "sigma", 3.0),
        (DARK_1X, "blur_kernel", 17),
        (DARK_1X, "input_wh", (288, 384)),
        ([("'MSRAHeatmap'", "'mmpose.MSRAHeatmap'")], "codec", "gaussian"),
        ([(", shift_heatmap=True", "")], "flip_shift", 0),
        ([("bgr_to_rgb=True", "bgr_to_rgb=False")], "bgr", True),
        ([("bgr_to_rgb=True,", "")], "bgr", True),
        ([("bgr_to_rgb=True", "rgb_to_bgr=True")], "bgr", False),
        ([("data_preprocessor", "other")], "bgr", None),
        ([("CenterScale'", "CenterScale', padding=1.4")], "box_padding", 1.4),
        ([("sigma=2", "sigma=-2")], "sigma", None),
        ([("(192, 256, )", "(192, 'x')")], "input_wh", None),
        ([("103.53]", "f(x)]")], "mean", None),
    ],
)
def test_variants_of_1x(changes: Any, field: str, expected: Any) -> None:
    assert getattr(of_1x(*changes), field) == expected


UDP_0X = (
    ("shift_heatmap=True", "shift_heatmap=False, target_type='GaussianHeatmap', use_udp=True"),
)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        (UDP_0X, "codec", "udp"),
        (UDP_0X, "flip_shift", 0),
        ([("'default'", "'unbiased'"), ("kernel=11", "kernel=17")], "codec", "dark"),
        ([("'default'", "'unbiased'"), ("kernel=11", "kernel=17")], "blur_kernel", 17),
        ([("'default'", "True, unbiased_decoding=True")], "codec", "dark"),
        ([("[192, 256]", "[288, 384]"), ("sigma=2", "sigma=3")], "input_wh", (288, 384)),
        ([("[192, 256]", "256")], "input_wh", (256, 256)),
        ([("sigma=2", "sigma=3")], "sigma", 3.0),
        ([("FromFile'", "FromFile', channel_order='bgr'")], "bgr", True),
        ([("LoadImageFromFile", "LoadSomething")], "bgr", None),
    ],
)
def test_variants_of_0x(changes: Any, field: str, expected: Any) -> None:
    assert getattr(of_0x(*changes), field) == expected


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (of_1x(("MSRAHeatmap", "SimCCLabel")), "codec SimCCLabel"),
        (of_1x(*UDP_1X, ("sigma=2", "heatmap_type='combined'")), "'combined' target"),
        (of_1x(("'heatmap'", "'udp_combined'")), "flip mode 'udp_combined'"),
        (of_0x(("True, mod", "True, target_type='CombinedTarget', mod")), "CombinedTarget"),
        (of_0x(("'default'", "'megvii'")), "'megvii'"),
    ],
)
def test_what_cannot_be_decoded_is_named(settings: FileSettings, what: str) -> None:
    assert what in str(settings.undecodable)


def test_the_keypoints_of_1x() -> None:
    skeleton = of_1x(dataset_meta=data_set(("left", "right", "tip"))).skeleton
    assert skeleton is not None
    assert (skeleton.name, skeleton.keypoint_names) == ("tools", ("left", "right", "tip"))
    assert skeleton.flip_index == (1, 0, 2)
    assert skeleton.links == ((0, 2),)
    assert skeleton.upper_body == (2,)
    assert skeleton.sigmas == (0.1, 0.1, 0.079)  # without float32's tail
    assert skeleton.joint_weights == (1.0, 1.2, 1.0)


def test_cocos_keypoints_are_ours() -> None:
    meta = data_set(COCO17.keypoint_names, sigmas=np.array(COCO17.sigmas, np.float32))
    assert of_1x(dataset_meta=meta).skeleton is COCO17


@pytest.mark.parametrize("known", [MPII16, CROWDPOSE14], ids=lambda skeleton: skeleton.name)
def test_other_known_keypoints_are_ours_too(known: Skeleton) -> None:
    ones = [1.0] * known.num_keypoints
    meta = data_set(known.keypoint_names, sigmas=ones, dataset_keypoint_weights=ones)
    assert of_1x(dataset_meta=meta).skeleton is known


def test_flip_pairs_have_the_left_first_where_names_tell() -> None:
    names = ("right_hand", "left_hand", "b", "a")
    other = {"sigmas": [0.1] * 4, "dataset_keypoint_weights": [1.0] * 4}
    meta = data_set(names, flip_pairs=[(0, 1), (3, 2)], **other)
    skeleton = of_1x(dataset_meta=meta).skeleton
    assert skeleton is not None
    assert skeleton.flip_pairs == ((1, 0), (2, 3))


@pytest.mark.parametrize(
    "broken",
    [{"flip_pairs": [(0, 9)]}, {"sigmas": [0.1]}, {"keypoint_id2name": {"0": "left"}}, {"x": 1}],
)
def test_a_broken_description_says_nothing(broken: dict[str, Any]) -> None:
    meta = data_set(("left", "right", "tip"), **broken)
    if broken == {"x": 1}:
        del meta["sigmas"]
    assert of_1x(dataset_meta=meta).skeleton is None


def test_literals_are_read_and_nothing_is_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    text = (
        "a = dict({0: 'x'}, b=[1, -2.5, (True, None)])\n"
        f"c = __import__('os').mkdir({str(sprung)!r})\n"
        f"d = dict(e=open({str(sprung)!r}, 'w'), f=1)\n"
        f"open({str(sprung)!r}, 'w')\nfor i in range(3): g = i\nh[0] = 1\ni = x.y\n"
    )
    assert read_config(text) == {
        "a": {0: "x", "b": [1, -2.5, (True, None)]}, "c": None, "d": {"e": None, "f": 1}, "i": None
    }  # fmt: skip
    assert not sprung.exists()


@pytest.mark.parametrize(
    "text",
    [
        "no python", "a = (", "a = " + "(" * 5000, "a = " + "-" * 20_000 + "1", "\0",
        "a = {[]: 1}", "a = 1" + "0" * 10_000, " " * 3_000_000 + "a = 1",
    ],
    ids=["words", "open", "nested", "minus", "null", "unhashable", "digits", "long"],
)  # fmt: skip
def test_other_texts_say_nothing(text: str) -> None:
    assert read_settings({"cfg": text}) == read_settings({}) == FileSettings()


def test_values_of_other_types_say_nothing() -> None:
    endless: dict[str, Any] = {"type": "x"}
    endless["self"] = endless
    for config in (None, 3, b"a = 1", {"model": 3}, {"model": {"head": [1]}}, endless):
        assert read_settings({"cfg": config, "dataset_meta": config}).codec is None
