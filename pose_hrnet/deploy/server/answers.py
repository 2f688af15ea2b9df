"""What became of images -> the answer: JSON of ours, COCO results, OpenPose, a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from pose_hrnet.deploy.server.contract import Model, Options
from pose_hrnet.deploy.server.limits import Refused
from pose_hrnet.deploy.server.pipeline import Posed
from pose_hrnet.inference.formats.openpose import openpose_people
from pose_hrnet.keypoints.exchange import persons
from pose_hrnet.keypoints.records import ImageId, object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.files import encode_json
from pose_hrnet.system.text import in_utf8

ERRORS = "Pose-Errors"
"""Header of answers whose format has no place for an image's error."""


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
            if len(images) != 1:
                raise Refused(400, f"overlay is of one image, and {len(images)} came; send one")
            return Response(images[0].overlay, media_type="image/jpeg")
        if options.format == "json":
            content: Any = {
                "model": self.model.model_dump(),
                "images": [image_answer(each) for each in images],
            }
            return json_response(content)
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
        return json_response(content, {ERRORS: json.dumps(errors)} if errors else None)

    def _openpose(self, posed: Posed) -> dict[str, Any] | None:
        return None if posed.poses is None else openpose_people(posed.poses, self.skeleton)


def problem(refused: Refused) -> Response:
    """The answer in place of poses."""
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return json_response({"error": str(refused)}, headers, refused.status)


def json_response(
    content: Any, headers: dict[str, str] | None = None, status: int = 200
) -> Response:
    """Plain values as an answer."""
    return Response(encode_json(content), status, headers, "application/json")


def image_answer(posed: Posed) -> dict[str, Any]:
    """An image of `Answer`."""
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


__all__ = ["ERRORS", "Answers", "image_answer", "json_response", "problem"]
