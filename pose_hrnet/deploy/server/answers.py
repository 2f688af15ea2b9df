"""What became of images -> the answer: JSON of ours, COCO results, OpenPose, a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import cv2
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from pose_hrnet.deploy.server.limits import Refused
from pose_hrnet.deploy.server.pipeline import Posed
from pose_hrnet.inference.formats.openpose import openpose_people
from pose_hrnet.keypoints.exchange import persons
from pose_hrnet.keypoints.records import ImageId, object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.defaults import LOWEST_SCORE, QUALITY
from pose_hrnet.system.files import encode_json
from pose_hrnet.system.text import in_utf8

AnswerFormat: TypeAlias = Literal["json", "coco", "openpose"]
ERRORS = "Pose-Errors"
"""Header of answers whose format has no place for an image's error."""


class Options(BaseModel):
    """The query of a request for poses."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    format: AnswerFormat = "json"
    """json, as described here; coco: a list of COCO results; openpose: OpenPose's JSON, for
    several images a list of them."""
    overlay: Literal["jpeg"] | None = None
    """jpeg: the image with its poses drawn, in place of JSON."""
    min_score: float = Field(LOWEST_SCORE, allow_inf_nan=False)
    """Keypoints below it are not drawn."""
    boxes: str | None = Field(None, max_length=60_000)
    """JSON: persons' boxes in pixels; for a body that is an image a list of
    [left, top, right, bottom], for a form a list of such lists, one for each image; null: the
    detector's."""


class Model(BaseModel):
    """Which model predicted."""

    name: str
    hash: str
    """SHA-256 of its file."""


class Person(BaseModel):
    """A pose."""

    score: float
    box_xyxy: list[float] = Field(min_length=4, max_length=4)
    """Left, top, right, bottom in pixels."""
    keypoints: dict[str, list[float]]
    """By name: x and y in pixels, and score."""


class AnsweredImage(BaseModel):
    """What became of an image of the request."""

    name: str | None
    width: int
    height: int
    error: str | None
    poses: list[Person]


class Answer(BaseModel):
    """Poses of the images of a request, in its order."""

    model: Model
    images: list[AnsweredImage]


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


@dataclass(frozen=True)
class Answers:
    """Makes answers.

    Attributes:
        model: Which one predicts.
        skeleton: Whose keypoints.
    """

    model: Model
    skeleton: Skeleton

    def of(self, images: Sequence[Posed], options: Options) -> Response:
        """The answer about images, as it was asked for.

        Raises:
            Refused: The error of an image that came alone.
        """
        if len(images) == 1 and images[0].refused is not None:
            raise images[0].refused
        if options.overlay is not None:
            return _overlay(images, options.min_score)
        if options.format == "json":
            content: Any = {
                "model": self.model.model_dump(),
                "images": [_image(each) for each in images],
            }
            return _json(content)
        if options.format == "coco":
            content = [row for each in _named(images) for row in _coco(each)]
        else:
            content = [self._openpose(each) for each in images]
            content = content[0] if len(images) == 1 else content
        errors = {
            str(place): str(each.refused)
            for place, each in enumerate(images)
            if each.refused is not None
        }
        return _json(content, {ERRORS: json.dumps(errors)} if errors else None)

    def _openpose(self, posed: Posed) -> dict[str, Any] | None:
        return None if posed.poses is None else openpose_people(posed.poses, self.skeleton)


def problem(refused: Refused) -> Response:
    """The answer in place of poses."""
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    if refused.unread:
        headers["Connection"] = "close"
    return _json({"error": str(refused)}, headers, refused.status)


def _json(content: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    return Response(encode_json(content), status, headers, "application/json")


def _image(posed: Posed) -> dict[str, Any]:
    found = [] if posed.poses is None else persons(posed.poses)
    for person in found:
        del person["image_id"]
    return {
        "name": None if posed.name is None else in_utf8(posed.name),
        "width": posed.width,
        "height": posed.height,
        "error": None if posed.refused is None else str(posed.refused),
        "poses": found,
    }


def _named(images: Sequence[Posed]) -> list[tuple[ImageId, Posed]]:
    """With their image ids: file names, if each has one of its own, else numbers from 0."""
    names = [posed.name for posed in images]
    own = None not in names and len(set(names)) == len(names)
    return [
        (in_utf8(posed.name) if own and posed.name else place, posed)
        for place, posed in enumerate(images)
    ]


def _coco(named: tuple[ImageId, Posed]) -> list[dict[str, Any]]:
    image_id, posed = named
    if posed.poses is None:
        return []
    ids = object_array([image_id] * len(posed.poses))
    return replace(posed.poses, image_ids=ids).to_coco()


def _overlay(images: Sequence[Posed], min_score: float) -> Response:
    if len(images) != 1 or images[0].poses is None or images[0].image is None:
        raise Refused(400, f"overlay is of one image, and {len(images)} came; send one")
    drawn = images[0].poses.plot(images[0].image, min_score=min_score)
    bgr = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
    try:
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    except cv2.error:
        raise Refused(422, "the image is longer than the 65,500 pixels of a JPEG") from None
    return Response(data.tobytes(), media_type="image/jpeg")


__all__ = ["Answer", "Answers", "Model", "Options", "Problem", "problem"]
