"""Finds the YAML file of a run, and reads it strictly, with dotted overrides."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pose_hrnet.config.base import in_sentence
from pose_hrnet.config.recipe import Config
from pose_hrnet.system.files import read_yaml


def config_names() -> dict[str, Path]:
    """The recipes that ship with the package, by name."""
    package = Path(__file__).resolve().parents[1]
    # Installed inside the package; at the top of the repository in a source tree.
    installed = package / "configs"
    folder = installed if installed.is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(name_or_path: str | Path) -> Path:
    """The YAML file of this path, or of the recipe of this name.

    Raises:
        FileNotFoundError: If there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    recipes, name = config_names(), path.name.removesuffix(".yaml")
    if name in recipes and len(path.parts) == 1:
        return recipes[name]
    near = difflib.get_close_matches(name, recipes, n=1)
    raise FileNotFoundError(
        f"no configuration {str(name_or_path)!r}: it is neither a file nor a recipe; "
        + (f"the nearest recipe is {near[0]!r}" if near else f"recipes are {', '.join(recipes)}")
    )


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration, strictly.

    Args:
        name_or_path: A YAML file, or the name of a recipe (see `config_names`).
        overrides: Dotted assignments such as ``model.width=48``; the value is read as YAML.

    Raises:
        FileNotFoundError: If there is no such file or recipe.
        ValueError: If the YAML is malformed, a key is unknown or missing, or a value is out of
            its range; one sentence per fault, with the nearest known key.
    """
    path = find_config(name_or_path)
    values = read_yaml(path) or {}
    if not isinstance(values, dict):
        raise ValueError(
            f"{path} holds a {type(values).__name__}; expected sections such as data:"
        )
    for override in overrides:
        values = _override(values, override)
    return parse_config(values, source=str(path))


def parse_config(values: dict[str, Any], *, source: str) -> Config:
    """Validate plain values; `source` names them in errors.

    Raises:
        ValueError: As `load_config`.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_explain(fault) for fault in error.errors())
        raise ValueError(f"{source}: {faults}") from None


def _override(values: dict[str, Any], assignment: str) -> dict[str, Any]:
    """A copy of nested values with one dotted assignment made."""
    key, separator, text = assignment.partition("=")
    if not separator or not key:
        raise ValueError(f"override {assignment!r} is not of the form section.key=value")
    head, _, rest = key.partition(".")
    if not rest:
        try:
            return {**values, head: yaml.safe_load(text)}
        except yaml.YAMLError:
            raise ValueError(f"the value {text!r} of an override is not valid YAML") from None
    inner = values.get(head)
    if isinstance(inner, list):
        raise ValueError(
            f"{head} is a list, which {assignment!r} cannot reach into; give it whole"
        )
    return {**values, head: _override(inner if isinstance(inner, dict) else {}, f"{rest}={text}")}


def _explain(fault: Any) -> str:
    """One sentence for one pydantic fault."""
    # Pydantic also names the branch of a union, which is none of the file's keys.
    branches = ("one", "several", "cut out")
    where = ".".join(str(part) for part in fault["loc"] if part not in branches)
    if fault["type"] == "extra_forbidden":
        known = known_keys()
        near = difflib.get_close_matches(where, known, n=1, cutoff=0) or ["?"]
        return f"unknown key {where!r}; the nearest known key is {near[0]!r}"
    if fault["type"] == "missing":
        return f"key {where!r} is missing"
    # A fault of several fields together names them itself.
    given = "" if isinstance(fault["input"], dict) else f" = {fault['input']!r}"
    return f"{where}{given}: {in_sentence(fault['msg'])}"


def dotted_keys(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted name; a list of sections has their numbers for names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(number): section for number, section in enumerate(value)}
        found |= dotted_keys(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def known_keys(section: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Dotted names of every field, sections included."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        keys.append(prefix + name)
        for inner in sections_of(field.annotation):
            keys += known_keys(inner, f"{prefix}{name}.")
    return keys


def sections_of(annotation: Any) -> set[type[BaseModel]]:
    """The sections that a field of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {inner for part in get_args(annotation) for inner in sections_of(part)}
