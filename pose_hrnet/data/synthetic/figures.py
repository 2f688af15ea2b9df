"""A small articulated 3-D person: proportions, poses within joint limits, forward kinematics.

Axes, for a person facing the viewer upright: x to the person's left (the viewer's right), y up,
z towards the viewer. Lengths are in units of the person's standing height, angles in degrees.
Proportions follow the segment lengths of Drillis and Contini (1966).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.keypoints.records import Float64

Range = tuple[float, float]

SIDES = np.array([1.0, -1.0])  # left, right: the sign of x


@dataclass(frozen=True)
class Build:
    """Segment lengths and thickness of one person, in units of standing height.

    Attributes:
        head: Half the height of the head; width and depth follow from it.
        neck: From the shoulder line to the chin.
        belly: From the hip joints to the waist.
        chest: From the waist to the shoulder line.
        shoulders: Half the distance between the shoulder joints.
        hips: Half the distance between the hip joints.
        upper_arm, forearm, hand, thigh, shank, foot: Segment lengths.
        girth: Thickness of trunk and limbs, 1 for an average person.
    """

    head: float = 0.072
    neck: float = 0.028
    belly: float = 0.10
    chest: float = 0.20
    shoulders: float = 0.118
    hips: float = 0.066
    upper_arm: float = 0.172
    forearm: float = 0.150
    hand: float = 0.085
    thigh: float = 0.240
    shank: float = 0.235
    foot: float = 0.125
    girth: float = 1.0


@dataclass(frozen=True, eq=False)
class Pose:
    """Joint angles in degrees; arrays of two rows are (left, right).

    Attributes:
        pelvis_pitch: Forward tilt of the pelvis.
        spine: ``(3,)`` forward bend, side bend, twist of chest on pelvis.
        neck: ``(3,)`` nod, turn, tilt of head on chest.
        shoulder: ``(2, 3)`` abduction, flexion, inward twist of the upper arm.
        elbow: ``(2,)`` flexion.
        hip: ``(2, 3)`` flexion, abduction, outward twist of the thigh.
        knee: ``(2,)`` flexion.
        ankle: ``(2,)`` plantar flexion (toes down).
    """

    pelvis_pitch: Float64
    spine: Float64
    neck: Float64
    shoulder: Float64
    elbow: Float64
    hip: Float64
    knee: Float64
    ankle: Float64


#: Lowest and highest natural angle of each joint; last axis as in `Pose`.
LIMITS: dict[str, tuple[ArrayLike, ArrayLike]] = {
    "pelvis_pitch": (-30, 75),
    "spine": ((-25, -25, -35), (60, 25, 35)),
    "neck": ((-35, -65, -25), (40, 65, 25)),
    "shoulder": ((-5, -45, -90), (175, 165, 90)),
    "elbow": (0, 145),
    "hip": ((-28, -12, -30), (125, 50, 45)),
    "knee": (0, 140),
    "ankle": (-20, 45),
}


class _Leg(NamedTuple):
    flex: Range
    abduct: Range
    knee: Range


class _Arm(NamedTuple):
    abduct: Range
    flex: Range
    twist: Range
    elbow: Range


class _Stance(NamedTuple):
    weight: float
    lead: _Leg
    other: _Leg
    pitch: Range
    bend: Range
    arms: tuple[str, ...]  # the arm actions that go with it


_ARMS = {
    "hang": _Arm((4, 14), (-10, 12), (0, 30), (3, 25)),
    "loose": _Arm((6, 25), (-15, 25), (0, 60), (20, 70)),
    "back": _Arm((4, 15), (-35, -15), (0, 30), (10, 45)),
    "front": _Arm((4, 15), (15, 40), (0, 30), (10, 60)),
    "akimbo": _Arm((38, 52), (-20, -5), (60, 80), (85, 110)),
    "wave": _Arm((70, 115), (-5, 10), (-90, -65), (35, 110)),
    "up": _Arm((135, 172), (-5, 10), (-40, 20), (3, 50)),
    "reach": _Arm((0, 20), (55, 110), (-20, 30), (3, 40)),
    "spread": _Arm((60, 100), (-10, 10), (-80, 20), (0, 30)),
    "hold": _Arm((5, 18), (10, 40), (0, 50), (80, 125)),
    "head": _Arm((85, 125), (0, 15), (-85, -60), (115, 140)),
    "fold": _Arm((2, 15), (15, 35), (55, 80), (75, 105)),
    "lap": _Arm((3, 14), (18, 40), (10, 35), (30, 70)),
}
_FREE = ("hang", "loose", "akimbo", "wave", "up", "reach", "spread", "hold", "head", "fold")
_STRAIGHT = _Leg((-5, 6), (0, 9), (0, 6))
_STANCES = {
    "stand": _Stance(0.26, _STRAIGHT, _STRAIGHT, (-3, 4), (-6, 8), (*_FREE, "hang", "hang")),
    "rest": _Stance(
        0.10, _Leg((5, 20), (3, 14), (10, 35)), _STRAIGHT, (-3, 5), (-6, 10), (*_FREE, "loose")
    ),
    "wide": _Stance(
        0.10, _Leg((-5, 8), (12, 28), (0, 10)), _Leg((-5, 8), (12, 28), (0, 10)),
        (-3, 5), (-6, 8), _FREE,
    ),
    "walk": _Stance(
        0.18, _Leg((15, 35), (-1, 5), (0, 18)), _Leg((-22, -5), (-1, 5), (5, 35)),
        (0, 6), (-3, 8), ("swing", "swing", "hold", "wave"),
    ),
    "run": _Stance(
        0.06, _Leg((40, 75), (-1, 6), (45, 100)), _Leg((-25, -5), (-1, 6), (20, 80)),
        (5, 12), (3, 15), ("swing",),
    ),
    "kick": _Stance(
        0.05, _Leg((35, 90), (0, 30), (10, 100)), _STRAIGHT, (-8, 5), (-8, 10), _FREE
    ),
    "sit": _Stance(
        0.11, _Leg((75, 95), (2, 16), (65, 100)), _Leg((75, 95), (2, 16), (65, 100)),
        (-10, 5), (-5, 18), ("lap", "lap", "lap", "hold", "fold", "wave", "up"),
    ),
    "squat": _Stance(
        0.04, _Leg((95, 120), (8, 25), (95, 130)), _Leg((95, 120), (8, 25), (95, 130)),
        (5, 25), (10, 30), ("reach", "lap", "hold"),
    ),
    "kneel": _Stance(
        0.03, _Leg((75, 95), (2, 12), (80, 100)), _Leg((-8, 8), (0, 8), (85, 105)),
        (-3, 6), (-5, 15), ("hang", "lap", "hold", "reach", "up"),
    ),
    "bend": _Stance(
        0.05, _Leg((30, 60), (2, 14), (0, 25)), _Leg((30, 60), (2, 14), (0, 25)),
        (28, 50), (15, 45), ("reach", "front", "hang", "loose"),
    ),
    "lie": _Stance(
        0.04, _Leg((-5, 50), (0, 14), (0, 60)), _Leg((-5, 20), (0, 14), (0, 25)),
        (-3, 3), (-8, 12), ("hang", "loose", "up", "head", "fold", "spread"),
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Figure:
    """A posed person in camera axes: x right, y up, z towards the viewer, pelvis at the origin.

    Attributes:
        build: The person's proportions.
        stance: Name of the stance, such as ``sit``.
        pelvis, chest, head: ``(3, 3)`` frames; columns are left, up and forward.
        waist, neck, skull: ``(3,)`` waist, mid-shoulder point and centre of the head.
        shoulder, elbow, wrist, fingers, hip, knee, ankle, heel, toe: ``(2, 3)`` left, right.
        face: ``(5, 3)`` nose, left eye, right eye, left ear, right ear.
        face_normals: ``(5, 3)`` unit outward directions of the face points.
    """

    build: Build
    stance: str
    pelvis: Float64
    chest: Float64
    head: Float64
    waist: Float64
    neck: Float64
    skull: Float64
    shoulder: Float64
    elbow: Float64
    wrist: Float64
    fingers: Float64
    hip: Float64
    knee: Float64
    ankle: Float64
    heel: Float64
    toe: Float64
    face: Float64
    face_normals: Float64

    @property
    def keypoints(self) -> Float64:
        """``(17, 3)`` points in the order of `pose_hrnet.keypoints.skeleton.COCO17`."""
        pairs = (self.shoulder, self.elbow, self.wrist, self.hip, self.knee, self.ankle)
        return np.concatenate((self.face, *pairs))

    @property
    def points(self) -> Float64:
        """``(P, 3)`` points that span the body, the top of the head included."""
        top = self.skull + self.build.head * self.head[:, 1]
        return np.concatenate((self.keypoints, top[None], self.fingers, self.heel, self.toe))

    def turned(self, rotation: Float64) -> Figure:
        """The same figure after a rotation about the pelvis.

        Args:
            rotation: ``(3, 3)`` rotation in camera axes.
        """
        frames = {name: rotation @ getattr(self, name) for name in ("pelvis", "chest", "head")}
        points = {
            name: getattr(self, name) @ rotation.T
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and name not in frames
        }
        return replace(self, **frames, **points)


def rotation(axis: int, degrees: ArrayLike) -> Float64:
    """``(..., 3, 3)`` right-handed rotations about one axis.

    Args:
        axis: 0, 1 or 2 for x, y or z.
        degrees: Angles of any shape.
    """
    angle = np.radians(np.asarray(degrees, dtype=np.float64))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., axis, axis] = 1
    matrix[..., i, i] = matrix[..., j, j] = np.cos(angle)
    matrix[..., j, i] = np.sin(angle)
    matrix[..., i, j] = -np.sin(angle)
    return matrix


def sample_build(rng: np.random.Generator) -> Build:
    """Draw proportions of a child or adult, slim or broad.

    Args:
        rng: Source of the random numbers.
    """
    base = Build()
    vary = {name: value * rng.normal(1, 0.035) for name, value in vars(base).items()}
    vary["girth"] = float(np.clip(rng.normal(1.05, 0.13), 0.8, 1.45))
    vary["shoulders"] *= rng.uniform(0.92, 1.1)
    vary["hips"] *= rng.uniform(0.95, 1.15)
    # A flat illustration's slightly large head; children's heads are larger still.
    vary["head"] *= rng.uniform(1.25, 1.5) if rng.random() < 0.2 else rng.uniform(1.0, 1.2)
    return Build(**vary)


def sample_pose(rng: np.random.Generator) -> tuple[str, Pose]:
    """Draw a stance and joint angles within `LIMITS`.

    Args:
        rng: Source of the random numbers.

    Returns:
        The stance's name and the pose.
    """
    weights = np.array([stance.weight for stance in _STANCES.values()])
    name = str(rng.choice(list(_STANCES), p=weights / weights.sum()))
    stance = _STANCES[name]
    legs = np.array([rng.uniform(*np.transpose(leg)) for leg in (stance.lead, stance.other)])
    first, second = (str(action) for action in rng.choice(stance.arms, 2))
    if first == "swing" or second == "swing":  # arms swing against the legs
        first, second = "back", "front"
    elif rng.random() < 0.45:
        second = first
    arms = np.array([rng.uniform(*np.transpose(_ARMS[action])) for action in (first, second)])
    if name == "run":
        arms[:, 3] += 60
    if rng.random() < 0.5:
        legs, arms = legs[::-1], arms[::-1]
    pitch = rng.uniform(*stance.pitch)
    legs[:, 0] += pitch if name in ("walk", "run", "stand", "wide") else 0
    pose = Pose(
        pelvis_pitch=np.asarray(pitch),
        spine=np.array([rng.uniform(*stance.bend), rng.normal(0, 5), rng.normal(0, 9)]),
        neck=np.array([rng.normal(3, 9), rng.normal(0, 22), rng.normal(0, 6)]),
        shoulder=arms[:, :3],
        elbow=arms[:, 3],
        hip=np.stack((legs[:, 0], legs[:, 1], rng.uniform(0, 22, 2)), axis=1),
        knee=legs[:, 2],
        ankle=rng.uniform(-8, 12, 2) + (30 if name == "kneel" else 0),
    )
    clipped = {joint: np.clip(getattr(pose, joint), *limits) for joint, limits in LIMITS.items()}
    return name, Pose(**clipped)


def pose_figure(build: Build, stance: str, pose: Pose) -> Figure:
    """Forward kinematics: joint angles to points, for a person facing the viewer.

    Args:
        build: Proportions.
        stance: Name that the figure carries on.
        pose: Joint angles.
    """
    pelvis = rotation(0, pose.pelvis_pitch)
    flex, side, twist = pose.spine
    chest = pelvis @ rotation(0, flex) @ rotation(2, side) @ rotation(1, twist)
    nod, turn, tilt = pose.neck
    head = chest @ rotation(1, turn) @ rotation(0, nod) @ rotation(2, tilt)

    waist = pelvis[:, 1] * build.belly
    neck = waist + chest[:, 1] * build.chest
    skull = neck + head @ np.array([0.0, build.neck + 0.9 * build.head, 0.12 * build.head])

    abduct, raise_, inward = pose.shoulder.T
    # A raised arm lifts its shoulder and draws it in.
    lift = np.sin(np.radians(np.clip(np.maximum(abduct, 0.6 * raise_), 0, 180)) / 2) ** 2
    out = SIDES * (build.shoulders - 0.022 * lift)
    local = np.stack((out, 0.035 * lift - 0.015, np.zeros(2)), axis=1)
    shoulder = neck + local @ chest.T
    arm = chest @ rotation(2, SIDES * abduct) @ rotation(0, -raise_) @ rotation(1, -SIDES * inward)
    lower_arm = arm @ rotation(0, -pose.elbow)
    elbow = shoulder - arm[..., 1] * build.upper_arm
    wrist = elbow - lower_arm[..., 1] * build.forearm

    hip = (SIDES[:, None] * build.hips) * pelvis[:, 0]
    flexion, spread, outward = pose.hip.T
    leg = pelvis @ rotation(0, -flexion) @ rotation(2, SIDES * spread)
    leg = leg @ rotation(1, SIDES * outward)
    lower_leg = leg @ rotation(0, pose.knee)
    knee = hip - leg[..., 1] * build.thigh
    ankle = knee - lower_leg[..., 1] * build.shank
    foot = lower_leg @ rotation(0, pose.ankle)
    sole = ankle - foot[..., 1] * 0.022

    # Nose, eyes and ears on the ellipsoid of the head, (left, up, forward) of its half axes.
    unit = np.array(
        [(0, -0.16, 1.06), (0.40, 0.10, 0.91), (-0.40, 0.10, 0.91), (1, -0.04, 0), (-1, -0.04, 0)]
    )
    normals = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    return Figure(
        build=build, stance=stance, pelvis=pelvis, chest=chest, head=head,
        waist=waist, neck=neck, skull=skull,
        shoulder=shoulder, elbow=elbow, wrist=wrist,
        fingers=wrist - lower_arm[..., 1] * build.hand,
        hip=hip, knee=knee, ankle=ankle,
        heel=sole - foot[..., 2] * 0.025, toe=sole + foot[..., 2] * (build.foot - 0.03),
        face=skull + (unit * head_axes(build)) @ head.T, face_normals=normals @ head.T,
    )  # fmt: skip


def head_axes(build: Build) -> Float64:
    """``(3,)`` half width, half height and half depth of the head."""
    return build.head * np.array([0.80, 1.0, 0.88])


def sample_figure(rng: np.random.Generator) -> Figure:
    """Draw a person: proportions, pose, and the side the viewer sees.

    The viewer stands anywhere around the person, a little above: yaw is uniform.

    Args:
        rng: Source of the random numbers.
    """
    stance, pose = sample_pose(rng)
    figure = pose_figure(sample_build(rng), stance, pose)
    view = rotation(0, rng.uniform(0, 18)) @ rotation(1, rng.uniform(-180, 180))
    roll = rng.normal(0, 4)
    if stance == "lie":
        roll = rng.choice((-1, 1)) * rng.uniform(70, 105)
    return figure.turned(rotation(2, roll) @ view)
