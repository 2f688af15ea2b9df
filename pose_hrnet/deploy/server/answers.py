"""What became of images -> the answer: JSON of ours, COCO results, OpenPose, a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import Any

from starlette.responses import Response

from pose_hrnet.deploy.server.contract import Model, Options
from pose_hrnet.deploy.server.limits import Refused
from pose_hrnet.deploy.server.pipeline import Posed
from pose_hrnet.inference.formats.openpose import openpose_people
from pose_hrnet.keypoints.exchange import persons
from pose_hrnet.keypoints.records import object_array
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.files import encode_json
from pose_hrnet.system.text import in_utf8

ERRORS, OMITTED = "Pose-Errors", "Pose-Errors-Omitted"
"""Headers of answers whose format has no place for an image's error: the first ones, by the number
of their image, and how many more there are."""
_ERROR_CHARACTERS = 3500
"""Of a header: proxies take 4,096 of a line at least."""


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
            return Response(images[0].overlay, media_type="image/jpeg")
        if options.format == "json":
            content: Any = {
                "model": self.model.model_dump(),
                "images": [image_answer(each) for each in images],
            }
            return json_response(content)
        if options.format == "coco":
            content = [row for number, each in enumerate(images, 1) for row in _coco(number, each)]
        else:
            content = [self._openpose(each) for each in images]
            content = content[0] if len(images) == 1 else content
        return json_response(content, _error_headers(images))

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


def _error_headers(images: Sequence[Posed]) -> dict[str, str]:
    """The sentences by the numbers that they name, from 1, as far as a header holds them."""
    said = {str(n): str(each.refused) for n, each in enumerate(images, 1) if each.refused}
    lengths = accumulate(len(json.dumps({number: words})) for number, words in said.items())
    count = sum(length <= _ERROR_CHARACTERS for length in lengths)
    headers = {ERRORS: json.dumps(dict(islice(said.items(), count)))} if said else {}
    return headers | ({OMITTED: str(len(said) - count)} if count < len(said) else {})


def _coco(number: int, posed: Posed) -> list[dict[str, Any]]:
    """Results, whose image id is the number of the image in its request, from 1."""
    if posed.poses is None:
        return []
    ids = object_array([number] * len(posed.poses))
    return replace(posed.poses, image_ids=ids).to_coco()


__all__ = ["ERRORS", "OMITTED", "Answers", "image_answer", "json_response", "problem"]
