"""Keypoints as model cards and indexes of shards have them, validated whole."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from pose_hrnet.config.base import Section
from pose_hrnet.keypoints.skeleton import Skeleton

MOST_KEYPOINTS = 1000

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Index: TypeAlias = Annotated[int, Field(ge=0, lt=MOST_KEYPOINTS)]
Pairs: TypeAlias = Annotated[tuple[tuple[Index, Index], ...], Field(max_length=MOST_KEYPOINTS)]


class SkeletonFile(Section):
    """The fields of a `Skeleton`, which checks that they fit each other."""

    name: Name
    keypoint_names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MOST_KEYPOINTS)]
    flip_pairs: Pairs
    links: Pairs
    sigmas: tuple[Annotated[float, Field(gt=0, le=10)], ...]
    upper_body: tuple[Index, ...]
    joint_weights: tuple[Annotated[float, Field(ge=0, le=1000)], ...]

    def skeleton(self) -> Skeleton:
        """The keypoints.

        Raises:
            ValueError: If the fields do not fit each other.
        """
        return Skeleton(**self.model_dump())
