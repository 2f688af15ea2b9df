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


class CocoResult(BaseModel):
    """A pose in COCO's results."""

    image_id: int
    """Number of the image in the request, from 1."""
    category_id: int
    keypoints: list[float]
    score: float
    bbox: list[float] = Field(min_length=4, max_length=4)
    box: list[float] = Field(min_length=4, max_length=4)


class OpenPose(BaseModel):
    """An image in OpenPose's JSON."""

    version: float
    people: list[dict[str, Any]]


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


class State(BaseModel):
    """How a server is."""

    status: str


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """The statuses of errors of an operation: those of all, and more."""
    statuses = (400, 401, 403, 421, 500, *more)
    return {each: {"model": Problem, "description": _MEANING[each]} for each in sorted(statuses)}


_MEANING = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    403: "A page of another site asks.",
    408: "The body came too slowly.",
    413: "The body or its image is too large.",
    415: "The body is no image that is taken.",
    421: "The server is not called so.",
    422: "The image is damaged, or an option is not one.",
    500: "The model cannot predict it; the server's log says why.",
    503: "Too much waits already; Retry-After says when to try again.",
}
POSES: Any = Answer | list[CocoResult | OpenPose | None] | OpenPose
"""What is answered about images, by the format that was asked for."""
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
"""And where an overlay was."""
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}
STATES = problems() | {503: {"model": State, "description": "It cannot, or takes none."}}
"""Of the probes."""
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


__all__ = [
    "BODY", "PICTURE", "POSES", "STATES", "TEXT", "Model", "Options", "Problem", "State",
    "problems",
]  # fmt: skip
