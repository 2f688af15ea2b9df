"""What the sections of the configuration are made of: strict, frozen, and kinds of numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def in_order(ends: tuple[float, float]) -> tuple[float, float]:
    """The ends of a range, the lower one first."""
    low, high = ends
    if not 0 < low <= high:
        raise ValueError("expected two numbers above 0, the smaller first")
    return ends


Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[Share, Share], AfterValidator(in_order)]


def in_sentence(message: str) -> str:
    """What pydantic says of a fault, as the middle of a sentence.

    Before the words of a ValueError it puts some of its own, and each message begins with a
    capital.
    """
    text = message.removeprefix("Value error, ")
    return f"{text[:1].lower()}{text[1:]}"


class Section(BaseModel):
    """One mapping of the YAML file; an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=()
    )
