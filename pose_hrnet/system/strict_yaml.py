"""YAML, strictly: a key that stands twice, or values that multiply, are errors that name the line.

Nothing but plain values comes out of it: tags that would make objects are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pose_hrnet.system.inputs import read_input, shown_path
from pose_hrnet.system.text import one_line, shown

LARGEST_YAML = 2**24
"""Bytes; recipes have some 700."""
_DEEPEST = 50
_MOST_VALUES = 100_000
"""With everything counted as often as aliases repeat it."""
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path) -> Any:
    """The values of a YAML file.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be read.
        ValueError: If it is not UTF-8 or no YAML, has a key twice in one mapping, or is nested or
            repeated beyond measure; names the line.
    """
    data = read_input(path, LARGEST_YAML)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{shown_path(path)} is not UTF-8 in line {line}; save it as UTF-8"
        ) from None
    return parse_yaml(text, shown_path(path))


def parse_yaml(text: str, owner: str) -> Any:
    """The values of a YAML text.

    Args:
        text: The text.
        owner: Names it in errors.

    Raises:
        ValueError: As `read_yaml`.
    """
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark else ""
        problem = one_line(ValueError(error.problem or error.context or "it is damaged"), 200)
        raise ValueError(f"{owner} is not valid YAML{where}: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"{owner} is not valid YAML in line {line}: {error.reason}") from None


class _Loader(yaml.SafeLoader):
    """Counts what it composes, before values are made of it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._extents: dict[int, tuple[int, int]] = {}
        """Of each finished node how many values are in it, and how deep."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._extents:
                raise yaml.composer.ComposerError(None, None, "a value that holds itself", mark)
            return node
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"nested over {_DEEPEST} deep", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._extents[id(node)] = self._extent(node, mark)
        return node

    def _extent(self, node: Any, mark: Any) -> tuple[int, int]:
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            children = [each for pair in node.value for each in pair]
        inner = [self._extents[id(child)] for child in children]
        count = 1 + sum(values for values, _ in inner)
        deep = 1 + max((depth for _, depth in inner), default=0)
        if count > _MOST_VALUES or deep > _DEEPEST:
            problem = f"over {_MOST_VALUES:,} values, or {_DEEPEST} levels of them, by aliases"
            raise yaml.composer.ComposerError(None, None, problem, mark)
        return count, deep

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # such as of !!int "", or a number of 5,000 digits
            kind = node.tag.rsplit(":")[-1]
            problem = f"{shown(node.value)} cannot be read as {kind} ({one_line(error, 100)})"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


def _check_keys(node: Any) -> None:
    """Refuse a key that stands twice in a mapping: the first one would be dropped in silence."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        name = key.tag, key.value
        if name in lines:
            problem = (
                f"the key {shown(key.value)} stands twice, first in line {lines[name] + 1}; "
                "keep one of them"
            )
            raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
        lines[name] = key.start_mark.line


__all__ = ["parse_yaml", "read_yaml"]
