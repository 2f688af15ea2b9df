"""What is asked and what is answered, as OpenAPI describes it; in words: docs/serving.md."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pose_hrnet.deploy.server.bodies import IMAGE_TYPES, MULTIPART
from pose_hrnet.system.defaults import LOWEST_SCORE

AnswerFormat: TypeAlias = Literal["json", "coco", "openpose"]


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


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": what}
    for status, what in {
        400: "The request cannot be read.",
        401: "The token is missing or wrong.",
        403: "A page of another site asks.",
        408: "The body came too slowly.",
        413: "The body or its image is too large.",
        415: "The body is no image that is taken.",
        421: "The server is not called so.",
        422: "The image is damaged, or an option is not one.",
        503: "Too much waits already; Retry-After says when to try again.",
    }.items()
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGE_TYPES},
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        },
                        "boxes": {
                            "type": "string",
                            "description": "JSON: for each image a list of "
                            "[left, top, right, bottom], or null.",
                        },
                    },
                }
            },
        },
    }
}


__all__ = ["BODY", "PROBLEMS", "Answer", "Model", "Options", "Problem"]
