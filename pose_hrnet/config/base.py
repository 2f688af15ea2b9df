"""What the sections of the configuration are made of: strict, frozen, and kinds of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pose_hrnet.system.strict_yaml import read_yaml
from pose_hrnet.system.text import one_line


def in_order(ends: tuple[float, float]) -> tuple[float, float]:
    """The ends of a range, the lower one first."""
    low, high = ends
    if not 0 < low <= high:
        raise ValueError("expected two numbers above 0, the smaller first")
    return ends


Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
PositiveInt = Annotated[int, Field(gt=0, le=1_000_000)]
Side = Annotated[int, Field(gt=0, le=4096)]
"""Of a network's input in pixels."""
Cells = Annotated[float, Field(gt=0, le=100)]
"""Of a heatmap; a standard deviation in them."""
BlurKernel = Annotated[int, Field(gt=0, le=255)]
Shift = Annotated[int, Field(ge=0, le=64)]
"""In cells of a heatmap."""
Padding = Annotated[float, Field(gt=0, le=100)]
"""Factor on a box."""
Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[Share, Share], AfterValidator(in_order)]


def in_sentence(message: str) -> str:
    """What pydantic says of a fault, as the middle of a sentence.

    Before the words of a ValueError it puts some of its own, and each message begins with a
    capital.
    """
    text = one_line(message.removeprefix("Value error, "))
    return f"{text[:1].lower()}{text[1:]}"


class Section(BaseModel):
    """One mapping of the YAML file; an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )


_Section = TypeVar("_Section", bound=Section)


def read_section(path: Path, kind: type[_Section], what: str) -> _Section:
    """A YAML file that is one section, read strictly.

    Args:
        path: The file.
        kind: The section.
        what: What such a file is called, for errors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no YAML, or has unknown, missing or wrong values.
    """
    try:
        said = read_yaml(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such {what}; check the path") from None
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, e['loc'])) or 'the card'}: {in_sentence(e['msg'])}"
            for e in error.errors()
        ]
        raise ValueError(f"{path}: {'; '.join(faults)}") from None
