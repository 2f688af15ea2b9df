"""Every setting in words, from the docstrings of the fields: a recipe in full, and the manual."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pose_hrnet.config.files import sections_of
from pose_hrnet.config.recipe import Config

COMMENT_COLUMN, LINE = 34, 99
KINDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    NoneType: "null",
}


def recipe_in_full(config: Config) -> str:
    """A configuration as YAML that states every setting, each with what it means beside it.

    Reading it again gives the same configuration.
    """
    lines: list[str] = []
    for name, field in Config.model_fields.items():
        section = getattr(config, name)
        lines += ["", f"# {_meaning(field, type(section))}", f"{name}:"]
        lines += _stated(section, config.model_dump(mode="json")[name], "  ")
    return "\n".join(lines[1:]) + "\n"


def _stated(section: BaseModel, values: dict[str, Any], indent: str) -> Iterator[str]:
    """The lines of a section; `values` are its plain ones."""
    for name, field in type(section).model_fields.items():
        value, key = getattr(section, name), f"{indent}{name}:"
        if isinstance(value, BaseModel):
            yield from _commented(key, _meaning(field, type(value)))
            yield from _stated(value, values[name], indent + "  ")
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            yield from _commented(key, _meaning(field, type(value[0])))
            for each, plain in zip(value, values[name], strict=True):
                first, *rest = _stated(each, plain, indent + "    ")
                yield from [f"{indent}  - {first.lstrip()}", *rest]
        else:
            text = yaml.safe_dump(values[name], default_flow_style=True, width=10**6)
            text = text.removesuffix("\n").removesuffix("\n...")
            yield from _commented(f"{key} {text}", _meaning(field))


def _commented(text: str, comment: str) -> Iterator[str]:
    """A line with a comment that goes on below where it is long."""
    rows = wrap(comment, LINE - COMMENT_COLUMN - 2, break_on_hyphens=False)
    if len(text) > COMMENT_COLUMN - 2:
        yield text
    else:
        yield f"{text:<{COMMENT_COLUMN}}# {rows.pop(0)}"
    yield from (f"{'':<{COMMENT_COLUMN}}# {row}" for row in rows)


def configuration_page() -> str:
    """docs/configuration.md: every section, and every setting's type, default and meaning."""
    lines = [
        "# Configuration",
        "",
        "Every setting of a YAML file, and of `--set section.key=value`. Made by `make docs` from "
        "the docstrings in `pose_hrnet/config/`; what a file leaves out has the default below, "
        "which is the official recipe. `pose-hrnet recipes NAME` prints a recipe in full.",
    ]
    for name, field in Config.model_fields.items():
        for section in _sections(field):
            # Sections that stand for one another are told apart by their name.
            several = len(_sections(field)) > 1
            kind = f", `name: {section.model_fields['name'].default}`" if several else ""
            lines += ["", f"## `{name}`{kind}", "", _without_markup(section.__doc__ or ""), ""]
            lines += ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
            lines += _rows(section, f"{name}.")
    return "\n".join(lines) + "\n"


def _rows(section: type[BaseModel], prefix: str) -> Iterator[str]:
    """The rows of a section, and of the sections inside it, each setting once."""
    for name, field in section.model_fields.items():
        key, inner = f"{prefix}{name}", _sections(field)
        default = "" if field.is_required() else f"`{_plain(field.get_default())}`"
        kind = "section" if inner else _kind(field.annotation, field.metadata)
        yield f"| `{key}` | {kind} | {default} | {_meaning(field)} |"
        seen: set[str] = set()
        for each in inner:
            rows = [row for row in _rows(each, f"{key}.") if row not in seen]
            seen |= set(rows)
            yield from rows


def _sections(field: FieldInfo) -> list[type[BaseModel]]:
    """The sections that a field may hold, in the order of their names."""
    return sorted(sections_of(field.annotation), key=lambda section: section.__name__)


def _kind(annotation: Any, bounds: list[Any]) -> str:
    """What a setting takes, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0], [*inner[1:], *bounds])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if origin in (Union, UnionType):
        return " or ".join(_kind(each, bounds if each is not NoneType else []) for each in inner)
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return f"list of: {_kind(inner[0], [])}"
        return f"[{', '.join(_kind(each, []) for each in inner)}]"
    if origin is dict:
        return f"{{{': '.join(_kind(each, []) for each in inner)}}}"
    return KINDS[annotation] + "".join(_bound(bound) for bound in bounds)


def _bound(bound: Any) -> str:
    """A limit of a number, as it follows the number's name."""
    if isinstance(bound, FieldInfo):
        return "".join(_bound(each) for each in bound.metadata)
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "in steps of"}
    return "".join(
        f" {sign} {getattr(bound, key)}" for key, sign in signs.items() if hasattr(bound, key)
    )


def _plain(value: Any) -> str:
    """A default as YAML writes it."""
    if isinstance(value, BaseModel):
        return "as below"
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def _meaning(field: FieldInfo, section: type[BaseModel] | None = None) -> str:
    """What a field's docstring says, or else the first sentence of its section's."""
    text = field.description or ((section and section.__doc__) or "").split("\n\n")[0]
    return _without_markup(text)


def _without_markup(text: str) -> str:
    """A docstring as Markdown, on one line a paragraph."""
    paragraphs = re.split(r"\n\s*\n", text.strip().replace("``", "`"))
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
