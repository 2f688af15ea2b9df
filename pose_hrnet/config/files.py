"""Finds the YAML file of a run, and reads it strictly, with dotted overrides."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pose_hrnet.config.base import MOST_FAULTS, in_sentence, in_words
from pose_hrnet.config.recipe import Config
from pose_hrnet.system.defaults import ListedName
from pose_hrnet.system.inputs import check_input
from pose_hrnet.system.strict_yaml import parse_yaml, read_yaml
from pose_hrnet.system.text import shown


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
    if path.exists() and not path.is_dir():
        check_input(path)
        return path
    recipes, name = config_names(), path.name.removesuffix(".yaml")
    if name in recipes and len(path.parts) == 1:
        return recipes[name]
    begun = sorted((each for each in recipes if name and each.startswith(name)), key=len)
    near = begun or difflib.get_close_matches(name, recipes, n=1)
    raise FileNotFoundError(
        f"no configuration {shown(str(name_or_path), 300)}: it is "
        f"{'a folder' if path.is_dir() else 'neither a file nor a recipe'}; "
        + (f"the nearest recipe is {near[0]!r}" if near else f"recipes are {', '.join(recipes)}")
    )


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration, strictly.

    Args:
        name_or_path: A YAML file, or the name of a recipe (see `config_names`).
        overrides: Dotted assignments such as ``model.width=48``; the value is read as YAML. With
            another ``model.name`` the file's section, which is of its own network, does not count.

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
    changed = reduce(_override, overrides, values)
    if _network(changed) != _network(values):
        changed = reduce(_override, overrides, {**values, "model": {}})
    config = parse_config(changed, source=str(path), overrides=overrides)
    named = config.model.pretrained
    keys = {override.partition("=")[0] for override in overrides}
    if (
        named is None
        or path not in config_names().values()
        or {"model", "model.pretrained"} & keys
    ):
        return config
    # A recipe that ships means the list, whatever lies in the current folder.
    model = config.model.model_copy(update={"pretrained": ListedName(named)})
    return config.model_copy(update={"model": model})


def parse_config(values: dict[str, Any], *, source: str, overrides: Sequence[str] = ()) -> Config:
    """Validate plain values.

    Args:
        values: By section.
        source: Names them in errors.
        overrides: Assignments that are among them, named where they are at fault.

    Raises:
        ValueError: As `load_config`.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        faults: dict[str, list[str]] = {}
        for fault in error.errors()[:MOST_FAULTS]:
            origin = _origin(fault, overrides) or source
            faults.setdefault(origin, []).append(_explain(fault))
        said = "; ".join(f"{origin}: {'; '.join(each)}" for origin, each in faults.items())
        more = error.error_count() - MOST_FAULTS
        raise ValueError(f"{said}; and {more} more" if more > 0 else said) from None


def _origin(fault: Any, overrides: Sequence[str]) -> str | None:
    """The assignments that a fault is of: the last one that it lies in, or that lies in it.

    A fault of a section as a whole is of those whose keys its words name, or else of all of them.
    """
    where = "." + ".".join(map(str, fault["loc"])) + "."
    section = ".".join(_walk(fault["loc"])[0])
    whole = fault["type"] == "value_error"
    words = in_sentence(fault["msg"])
    # A fault of two sections has no place; its words begin with the key.
    begun = "" if fault["loc"] else f".{words.partition(' ')[0]}."
    found: dict[str, str] = {}
    for assignment in overrides:
        key = f".{assignment.partition('=')[0]}."
        inside = _within(where, key) or _within(key, where) or (whole and _within(key, section))
        if inside or (begun and _within(begun, key)):
            said = assignment if len(assignment) <= 80 else f"{assignment[:77]}..."
            found = {other: each for other, each in found.items() if not other.startswith(key)}
            found[key] = f"--set {said}"
    if not whole or begun:
        return [*found.values()][-1] if found else None
    known = set(re.findall(r"\w+", words))
    named = [
        said
        for key, said in found.items()
        if key.strip(".").rpartition(".")[2] in known or _within(section, key)
    ]
    return " ".join(named or found.values()) or None


def _within(inner: str, outer: str) -> bool:
    """Whether a dotted name is another one or lies below it; of unions both name the branch."""
    parts = iter(inner.strip(".").split("."))
    return all(part in parts for part in outer.strip(".").split("."))


def _override(values: dict[str, Any], assignment: str) -> dict[str, Any]:
    """A copy of nested values with one dotted assignment made."""
    key, separator, text = assignment.partition("=")
    if not separator or not key:
        raise ValueError(f"override {shown(assignment)} is not of the form section.key=value")
    head, _, rest = key.partition(".")
    if not rest:
        return {**values, head: parse_yaml(text, f"the value {shown(text)} of an override")}
    inner = values.get(head)
    if isinstance(inner, list):
        raise ValueError(
            f"{head} is a list, which {shown(assignment)} cannot reach into; give it whole"
        )
    return {**values, head: _override(inner if isinstance(inner, dict) else {}, f"{rest}={text}")}


def _network(values: Mapping[str, Any]) -> Any:
    """The name of the network, as far as the section is one."""
    section = values.get("model")
    return section.get("name", "hrnet") if isinstance(section, dict) else "hrnet"


def _explain(fault: Any) -> str:
    """One sentence for one pydantic fault."""
    unknown = fault["type"] == "extra_forbidden"
    *inside, last = fault["loc"] if unknown else (*fault["loc"], None)
    keys, sections = _walk(inside)
    where = ".".join([*keys, last] if unknown else keys)
    if unknown:
        prefix = "".join(f"{key}." for key in keys if not key.isdigit())
        # A key of another network is none of this one's; one of another section may be meant.
        known = [key for section in sections for key in known_keys(section, prefix)]
        known += [key for key in known_keys() if not key.startswith(prefix)]
        same = [key for key in known if key.endswith(f".{last}")]  # in another section
        near = difflib.get_close_matches(f"{prefix}{last}", same or known, n=1, cutoff=0) or ["?"]
        names = [name for section in sections for name in _names_of(section)]
        of = f" where {prefix}name is {names[0]}" if f"{prefix}{last}" in known_keys() else ""
        return f"unknown key {shown(where, 100)}{of}; the nearest known key is {near[0]!r}"
    if fault["type"] == "missing" and str(keys[-1]).isdigit() and isinstance(fault["input"], list):
        return f"{'.'.join(keys[:-1])} = {shown(fault['input'])}: expected more values"
    if fault["type"] == "missing":
        return f"key {shown(where, 100)} is missing"
    if fault["type"] == "union_tag_invalid":
        key = fault["ctx"]["discriminator"].strip("'")
        choices = fault["ctx"]["expected_tags"]
        return f"{where}.{key} = {shown(fault['ctx']['tag'])}: input should be one of {choices}"
    # A fault of several fields together names them itself.
    return f"{where}{in_words(fault)}".removeprefix(": ")


def _walk(location: Sequence[str | int]) -> tuple[list[str], set[type[BaseModel]]]:
    """The keys of a file on the way to a fault, and the sections that it may lie in."""
    keys: list[str] = []
    sections: set[type[BaseModel]] = {Config}
    for part in location:
        fields = [section.model_fields.get(str(part)) for section in sections]
        found = {s for field in fields if field for s in sections_of(field.annotation)}
        if any(fields) or isinstance(part, int) or not sections:
            keys.append(str(part))
            sections = found if any(fields) else sections
        else:  # the branch of a union, which pydantic names, and is none of the file's keys
            named = {section for section in sections if part in _names_of(section)}
            sections = named or sections
    return keys, sections


def _names_of(section: type[BaseModel]) -> tuple[Any, ...]:
    """What a union tells a section by."""
    name = section.model_fields.get("name")
    return get_args(name.annotation) if name else ()


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
