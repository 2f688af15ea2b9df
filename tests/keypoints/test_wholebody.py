"""The keypoints of COCO-WholeBody, by what their places in a picture say."""

from __future__ import annotations

from pose_hrnet.keypoints.skeleton import COCO17, WHOLEBODY133

NAMES = WHOLEBODY133.keypoint_names


def test_the_parts_are_where_the_annotations_have_them():
    assert len(NAMES) == 133
    assert NAMES[:17] == COCO17.keypoint_names
    assert WHOLEBODY133.sigmas[:17] == COCO17.sigmas
    places = {17: "left_big_toe", 22: "right_heel", 23: "face-0", 90: "face-67"}
    places |= {91: "left_hand_root", 92: "left_thumb1", 112: "right_hand_root"}
    places |= {132: "right_pinky_finger4"}
    assert {at: NAMES[at] for at in places} == places
    assert WHOLEBODY133.sigmas[91:112] == WHOLEBODY133.sigmas[112:]


def test_left_and_right_exchange():
    index = WHOLEBODY133.flip_index
    assert sorted(index) == list(range(133))
    own = {NAMES[k] for k, other in enumerate(index) if k == other}
    middle = (8, 27, 28, 29, 30, 33, 51, 57, 62, 66)  # of a face, from the chin to the lips
    assert own == {"nose", *(f"face-{k}" for k in middle)}
    for k, name in enumerate(NAMES):
        if name.startswith("left_"):
            assert NAMES[index[k]] == name.replace("left_", "right_")
    swaps = {0: 16, 17: 26, 21: 22, 31: 35, 36: 45, 39: 42, 40: 47, 48: 54, 55: 59, 60: 64, 65: 67}
    for a, b in swaps.items():
        assert NAMES[index[NAMES.index(f"face-{a}")]] == f"face-{b}"


def test_limbs_are_mmposes():
    assert len({frozenset(link) for link in WHOLEBODY133.links}) == len(WHOLEBODY133.links) == 65
    named = {frozenset(NAMES[k] for k in link) for link in WHOLEBODY133.links}
    assert {frozenset(COCO17.keypoint_names[k] for k in link) for link in COCO17.links} <= named
    assert frozenset(("right_wrist", "right_thumb1")) in named
    assert frozenset(("left_ankle", "left_heel")) in named
