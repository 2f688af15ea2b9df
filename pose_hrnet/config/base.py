"""What the sections of the configuration are made of: strict, frozen, and kinds of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pose_hrnet.system.strict_yaml import read_yaml
from pose_hrnet.system.text import one_line, shown


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


MOST_FAULTS = 5
"""That are told of one file."""
_EXPECTED = {
    "tuple_type": "expected a list, such as [192, 256]",
    "list_type": "expected a list",
    "dict_type": "expected keys and values",
    "model_type": "expected a section of keys and values",
    "model_attributes_type": "expected a section of keys and values",
    "path_type": "expected a path",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
}
"""What a field of another type expects, in place of pydantic's words, which are about Python."""


def in_words(fault: Any) -> str:
    """What stands behind the key of a pydantic fault: ``' = 0: expected ...'``."""
    given = "" if isinstance(fault["input"], dict) else f" = {shown(fault['input'])}"
    return f"{given}: {_EXPECTED.get(fault['type']) or in_sentence(fault['msg'])}"


def explain_faults(error: ValidationError) -> str:
    """The faults of values that a section without others was to be made of, in one sentence."""
    faults = []
    for fault in error.errors()[:MOST_FAULTS]:
        whole = "" if isinstance(fault["input"], dict) else "the whole"
        where = ".".join(shown(str(part)).strip("'") for part in fault["loc"]) or whole
        known = {
            "missing": f"key {where!r} is missing",
            "extra_forbidden": f"unknown key {where!r}",
        }
        faults.append(known.get(fault["type"], f"{where}{in_words(fault)}".removeprefix(": ")))
    more = error.error_count() - MOST_FAULTS
    return "; ".join([*faults, f"and {more} more"] if more > 0 else faults)


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
        raise ValueError(f"{path}: {explain_faults(error)}") from None
