"""The 133 keypoints of COCO-WholeBody (Jin et al., ECCV 2020), which RTMW and DWPose predict.

17 of the body as COCO's, 6 of the feet, 68 of the face as 300-W counts them, and 21 of each hand.
Names, limbs and order are MMPose's; the standard deviations are those of COCO-WholeBody's
evaluation.
"""

from __future__ import annotations

from itertools import pairwise

BODY = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
FEET = tuple(
    f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")
)
FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
HAND = ("hand_root", *(f"{finger}{joint}" for finger in FINGERS for joint in (1, 2, 3, 4)))
NAMES = (
    *BODY,
    *FEET,
    *(f"face-{point}" for point in range(68)),
    *(f"left_{part}" for part in HAND),
    *(f"right_{part}" for part in HAND),
)
_PLACE = {name: k for k, name in enumerate(NAMES)}

# Of a face the low numbers are the person's right; in each range both sides add up to a number.
_FACE_PAIRS = (
    *((16 - k, k) for k in range(8)),
    *((43 - k, k) for k in range(17, 22)),
    (35, 31), (34, 32),
    (45, 36), (44, 37), (43, 38), (42, 39), (47, 40), (46, 41),
    (54, 48), (53, 49), (52, 50), (55, 59), (56, 58),
    (64, 60), (63, 61), (65, 67),
)  # fmt: skip
FLIP_PAIRS = (
    *(
        (k, _PLACE[name.replace("left_", "right_", 1)])
        for k, name in enumerate(NAMES)
        if name.startswith("left_")
    ),
    *((_PLACE[f"face-{left}"], _PLACE[f"face-{right}"]) for left, right in _FACE_PAIRS),
)


def _limbs() -> list[tuple[str, str]]:
    limbs = [("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")]
    limbs += [("left_eye", "right_eye")]
    for side in ("left_", "right_"):
        ankle, knee, hip, shoulder, elbow, wrist, eye, ear = (
            side + part
            for part in ("ankle", "knee", "hip", "shoulder", "elbow", "wrist", "eye", "ear")
        )
        limbs += [(ankle, knee), (knee, hip), (hip, shoulder), (shoulder, elbow), (elbow, wrist)]
        limbs += [("nose", eye), (eye, ear), (ear, shoulder)]
        limbs += [(ankle, side + part) for part in ("big_toe", "small_toe", "heel")]
        for finger in FINGERS:
            joints = [wrist, *(f"{side}{finger}{joint}" for joint in (1, 2, 3, 4))]
            limbs += pairwise(joints)
    return limbs


LINKS = tuple((_PLACE[a], _PLACE[b]) for a, b in _limbs())
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026,
    0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031,
)  # fmt: skip
SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089,
    0.068, 0.066, 0.066, 0.092, 0.094, 0.094,
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037,
    0.038, 0.043, 0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013,
    0.015, 0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009,
    0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009, 0.008,
    0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008,
    0.008, 0.010, 0.008,
    *_HAND_SIGMAS, *_HAND_SIGMAS,
)  # fmt: skip
UPPER_BODY = (*range(11), *range(len(BODY) + len(FEET), len(NAMES)))
