"""The keypoint set that a model predicts: names, left/right pairs, limbs, OKS sigmas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from pose_hrnet.keypoints import wholebody
from pose_hrnet.system.text import counted


@dataclass(frozen=True)
class Skeleton:
    """One keypoint set; every per-keypoint fact of the package is looked up here.

    Attributes:
        name: Short name, such as ``coco17``.
        keypoint_names: One name per keypoint, in the order of every ``K`` axis.
        flip_pairs: Index pairs that exchange under a horizontal flip (left, right).
        links: Index pairs joined by a limb when drawn.
        sigmas: OKS standard deviation per keypoint over sqrt(area) (COCO: ``k = 2 sigma``).
        upper_body: Indices above and at the shoulders, elbows and wrists, for half-body crops.
        joint_weights: Weight of each keypoint in the loss, where a recipe wants different ones.

    Raises:
        ValueError: If a per-keypoint tuple has the wrong length, an index is out of range, a
            name stands twice, or a keypoint is in two flip pairs.
    """

    name: str
    keypoint_names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    links: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    upper_body: tuple[int, ...]
    joint_weights: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.keypoint_names)
        for field in ("sigmas", "joint_weights"):
            found = len(getattr(self, field))
            if found != count:
                raise ValueError(
                    f"skeleton {self.name!r} has {found} {field} for "
                    f"{counted(count, 'keypoint')}; give one per keypoint"
                )
        indices = [i for pair in (*self.flip_pairs, *self.links) for i in pair]
        indices += self.upper_body
        wrong = sorted({i for i in indices if not 0 <= i < count})
        if wrong:
            raise ValueError(
                f"skeleton {self.name!r} names keypoint indices {wrong}, "
                f"but has keypoints 0 to {count - 1}"
            )

        twice = {n for n in self.keypoint_names if self.keypoint_names.count(n) > 1}
        if twice:
            raise ValueError(
                f"skeleton {self.name!r} has several keypoints called {sorted(twice)}; "
                "give each its own name"
            )
        paired = [i for pair in self.flip_pairs for i in pair]
        if len(set(paired)) < len(paired):
            names = sorted({self.keypoint_names[i] for i in paired if paired.count(i) > 1})
            raise ValueError(
                f"skeleton {self.name!r} has {names} in more than one flip pair; "
                "a keypoint exchanges with one other"
            )

    @property
    def num_keypoints(self) -> int:
        """Length of every ``K`` axis."""
        return len(self.keypoint_names)

    @cached_property
    def flip_index(self) -> tuple[int, ...]:
        """``(K,)`` permutation that exchanges left and right: ``flipped = values[flip_index]``."""
        index = list(range(self.num_keypoints))
        for left, right in self.flip_pairs:
            index[left], index[right] = right, left
        return tuple(index)

    def reads(self, names: Sequence[str]) -> bool:
        """Whether a file's keypoints can be read as these, one by one.

        Names may be missing altogether. Otherwise their number is the same, at least half of them
        are these in some spelling, and no name of these stands at another place.
        """
        if not names:
            return True
        found = [spelling_of(name) for name in names]
        expected = [spelling_of(name) for name in self.keypoint_names]
        if len(found) != len(expected):
            return False
        others = [name for name, own in zip(found, expected, strict=True) if name != own]
        return 2 * len(others) <= len(expected) and not {*others} & {*expected}

    def renames(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Of a file's keypoints that it `reads`, those of another name, and its own name."""
        return [
            (name, own)
            for name, own in zip(names, self.keypoint_names, strict=bool(names))
            if spelling_of(name) != spelling_of(own)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, as a checkpoint or a JSON card stores them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Skeleton:
        """Inverse of `to_dict`; accepts lists where tuples were."""

        def frozen(value: Any) -> Any:
            return tuple(frozen(v) for v in value) if isinstance(value, list | tuple) else value

        return cls(**{key: frozen(value) for key, value in values.items()})


COCO17 = Skeleton(
    name="coco17",
    keypoint_names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
        "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    links=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7),
        (6, 8), (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    # Standard deviations of human annotations, from the COCO keypoint evaluation (pycocotools).
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
    upper_body=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    # Official HRNet `joints_weight`: limb ends count more where a recipe asks for it.
    joint_weights=(
        1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.2, 1.2, 1.5, 1.5, 1.0, 1.0, 1.2, 1.2, 1.5, 1.5,
    ),
)  # fmt: skip
"""The 17 COCO person keypoints (Lin et al., ECCV 2014)."""

MPII16 = Skeleton(
    name="mpii16",
    keypoint_names=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "pelvis", "thorax", "upper_neck", "head_top",
        "right_wrist", "right_elbow", "right_shoulder",
        "left_shoulder", "left_elbow", "left_wrist",
    ),
    flip_pairs=((5, 0), (4, 1), (3, 2), (15, 10), (14, 11), (13, 12)),
    links=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9),
        (8, 12), (12, 11), (11, 10), (8, 13), (13, 14), (14, 15),
    ),
    # MPII has none: COCO's for the joints of that name, its hips' for the pelvis and its
    # shoulders' for thorax, neck and head. PCKh, by which MPII is scored, does not use them.
    sigmas=(
        0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079, 0.079, 0.079,
        0.062, 0.072, 0.079, 0.079, 0.072, 0.062,
    ),
    upper_body=(7, 8, 9, 10, 11, 12, 13, 14, 15),
    joint_weights=(
        1.5, 1.2, 1.0, 1.0, 1.2, 1.5, 1.0, 1.0, 1.0, 1.0, 1.5, 1.2, 1.0, 1.0, 1.2, 1.5,
    ),
)  # fmt: skip
"""The 16 MPII joints (Andriluka et al., CVPR 2014), in the order of the official JSON files."""

CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    keypoint_names=(
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
        "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
        "left_ankle", "right_ankle", "head", "neck",
    ),
    flip_pairs=((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)),
    # Not the file's own, which are COCO's and name keypoints 15 to 17 that it does not have.
    links=(
        (10, 8), (8, 6), (11, 9), (9, 7), (6, 7), (0, 6), (1, 7), (0, 1), (0, 2), (2, 4),
        (1, 3), (3, 5), (12, 13), (13, 0), (13, 1),
    ),
    # Of CrowdPose's evaluation (crowdposetools).
    sigmas=(
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
        0.089, 0.089, 0.079, 0.079,
    ),
    upper_body=(0, 1, 2, 3, 4, 5, 12, 13),
    joint_weights=(
        1.0, 1.0, 1.2, 1.2, 1.5, 1.5, 1.0, 1.0, 1.2, 1.2, 1.5, 1.5, 1.0, 1.0,
    ),
)  # fmt: skip
"""The 14 CrowdPose keypoints (Li et al., CVPR 2019)."""

WHOLEBODY133 = Skeleton(
    name="wholebody133",
    keypoint_names=wholebody.NAMES,
    flip_pairs=wholebody.FLIP_PAIRS,
    links=wholebody.LINKS,
    sigmas=wholebody.SIGMAS,
    upper_body=wholebody.UPPER_BODY,
    joint_weights=(1.0,) * len(wholebody.NAMES),
)
"""The 133 keypoints of COCO-WholeBody (Jin et al., ECCV 2020)."""

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, MPII16, CROWDPOSE14, WHOLEBODY133)}
"""The keypoint sets that are known by name."""


def words_of(name: str) -> tuple[str, ...]:
    """``LShoulder``, ``left_eye`` and ``eye.L`` in lower-case words."""
    parts = re.findall(r"[A-Z](?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+", name)
    return tuple(part.lower() for part in parts)


def spelling_of(name: str) -> str:
    """What a name's spellings have in common: of ``LShoulder`` and ``shoulder.left`` the same."""
    words = sorted(words_of(name), key=lambda word: word not in ("left", "right", "l", "r"))
    return re.sub(r"^(left|right)", lambda side: side[0][0], "".join(words))


def places_by_name(wanted: Sequence[str], given: Sequence[str]) -> list[int]:
    """Where keypoints stand among others: by their very names, else by another spelling; or -1."""
    place = {spelling_of(name): k for k, name in enumerate(given)}
    place |= {name: k for k, name in enumerate(given)}
    return [place.get(name, place.get(spelling_of(name), -1)) for name in wanted]


def known_skeleton(names: Sequence[str]) -> Skeleton | None:
    """The one of `SKELETONS` with exactly these keypoints in this order."""
    return next((s for s in SKELETONS.values() if s.keypoint_names == tuple(names)), None)


def official_skeleton(num_keypoints: int) -> Skeleton | None:
    """The keypoint set of official weights: COCO's, MPII's or CrowdPose's, by its size."""
    return next((s for s in SKELETONS.values() if s.num_keypoints == num_keypoints), None)


_OTHER_SIDE = {"left": "right", "l": "r", "right": "left", "r": "l"}


def guess_flip_pairs(
    names: Sequence[str],
) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    """Pair names that differ in left and right alone.

    Understood are a word of its own (``left_eye``, ``eye_left``, ``leftEye``, ``L-eye``,
    ``eye.l``) and a beginning or an end without a gap (``lefteye``, ``leye``, ``eyeright``) where
    the other side is there, too.

    Returns:
        Index pairs (left, right), and the names with a side in them whose other side is missing.
    """
    words = [words_of(name) for name in names]
    place = {key: k for k, key in enumerate(words)}
    joined = {name.lower(): k for k, name in enumerate(names)}
    found: dict[int, int] = {}

    def pair(left: int, right: int | None) -> None:
        """Take two for a pair, if neither is in one yet."""
        if right is not None and left != right and not {left, right} & {*found, *found.values()}:
            found[left] = right

    # Of a name with two sides, as LeftEyeRightCorner, both change: the mirrored left eye is a
    # right one, and its right corner a left one. Where no such name is there, the first changes.
    for both in (True, False):
        for k, key in enumerate(words):
            sides = [at for at, word in enumerate(key) if word in _OTHER_SIDE]
            if sides and key[sides[0]] in ("left", "l"):
                changed = sides if both else sides[:1]
                other = [_OTHER_SIDE[w] if at in changed else w for at, w in enumerate(key)]
                pair(k, place.get(tuple(other)))
    for name, k in joined.items():
        for left in ("left", "l"):
            if name.startswith(left):
                pair(k, joined.get(_OTHER_SIDE[left] + name.removeprefix(left)))
        if name.endswith("left"):
            pair(k, joined.get(name.removesuffix("left") + "right"))
    paired = {*found, *found.values()}
    lonely = [
        names[k] for k, key in enumerate(words) if k not in paired and {*key} & {*_OTHER_SIDE}
    ]
    return tuple(sorted(found.items())), tuple(lonely)
