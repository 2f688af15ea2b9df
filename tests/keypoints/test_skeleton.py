"""Facts of the known keypoint sets agree with one another; sets that do not are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pose_hrnet.keypoints.skeleton import (
    COCO17,
    CROWDPOSE14,
    MPII16,
    SKELETONS,
    WHOLEBODY133,
    Skeleton,
    guess_flip_pairs,
    known_skeleton,
    official_skeleton,
    spelling_of,
)


@pytest.mark.parametrize("known", SKELETONS.values(), ids=SKELETONS)
def test_known_sets_agree_with_themselves(known):
    names = known.keypoint_names
    values = np.arange(known.num_keypoints)
    flipped = values[list(known.flip_index)]
    assert flipped[list(known.flip_index)].tolist() == values.tolist()  # twice is identity
    assert (flipped != values).sum() == 2 * len(known.flip_pairs)
    assert known_skeleton(names) is known
    assert known_skeleton(names[::-1]) is None
    assert official_skeleton(len(names)) is known
    if known is WHOLEBODY133:  # a face has numbers, and feet the published sigmas
        return
    for left, right in known.flip_pairs:
        assert names[left].replace("left", "right") == names[right]
        for facts in (known.sigmas, known.joint_weights):
            assert facts[left] == facts[right]
        assert (left in known.upper_body) == (right in known.upper_body)
    linked = {frozenset(link) for link in known.links}
    assert linked == {frozenset(known.flip_index[i] for i in link) for link in linked}
    assert set(range(len(names))) == {i for link in linked for i in link}


def test_a_set_comes_back_from_json():
    for known in SKELETONS.values():
        assert Skeleton.from_dict(json.loads(json.dumps(known.to_dict()))) == known


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigmas": (0.1,) * 16}, "'coco17' has 16 sigmas for 17 keypoints"),
        ({"joint_weights": ()}, "0 joint_weights for 17 keypoints; give one per keypoint"),
        ({"links": ((0, 17),)}, r"indices \[17\], but has keypoints 0 to 16"),
        ({"upper_body": (-1,)}, r"indices \[-1\]"),
        ({"keypoint_names": ("nose",) * 17}, r"several keypoints called \['nose'\]"),
        ({"flip_pairs": ((1, 2), (3, 2))}, r"\['right_eye'\] in more than one flip pair"),
    ],
)
def test_sets_that_contradict_themselves_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(COCO17, **change)


def test_spellings_of_one_name_are_the_same():
    for names in (
        ("LShoulder", "left_shoulder", "shoulder.left", "l-shoulder", "shoulderLeft"),
        ("nose", "Nose"),
    ):
        assert len({spelling_of(name) for name in names}) == 1, names
    assert spelling_of("left_eye") != spelling_of("right_eye")


def test_the_official_orders():
    assert MPII16.keypoint_names[9] == "head_top"
    assert MPII16.keypoint_names[6:8] == ("pelvis", "thorax")
    assert sorted(tuple(sorted(p)) for p in MPII16.flip_pairs) == [
        (0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)
    ]  # fmt: skip
    assert CROWDPOSE14.sigmas[6] == 0.107
    assert CROWDPOSE14.keypoint_names[12:] == ("head", "neck")


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("left_x", "right_x"), [(0, 1)]),
        (("right_x", "mid", "left_x"), [(2, 0)]),
        (("x_left", "x_right"), [(0, 1)]),
        (("L-x", "R-x", "L-y", "R-y"), [(0, 1), (2, 3)]),
        (("x.l", "x.r"), [(0, 1)]),
        (("lx", "rx"), [(0, 1)]),
        (("lsho", "rsho", "lelb", "relb", "head"), [(0, 1), (2, 3)]),
        (("LShoulder", "RShoulder"), [(0, 1)]),
        (("leftEye", "rightEye"), [(0, 1)]),
        (("lefteye", "righteye"), [(0, 1)]),
        (("eyeleft", "eyeright"), [(0, 1)]),
        (("Left Hip", "Right Hip"), [(0, 1)]),
        (("fore_left_paw", "fore_right_paw", "left_tail", "right_tail"), [(0, 1), (2, 3)]),
        (("lip", "leg", "red", "nose"), []),
        (
            ("REyeRightCorner", "REyeLeftCorner", "LEyeRightCorner", "LEyeLeftCorner"),
            [(2, 1), (3, 0)],
        ),
        (("LeftEyeLeft", "LeftEyeRight", "RightEyeLeft"), [(1, 2)]),
        (("left_hand_right", "right_hand_right"), [(0, 1)]),
    ],
)  # fmt: skip
def test_flip_pairs_from_names(names, pairs):
    assert list(guess_flip_pairs(names)[0]) == pairs
