"""YAML is read, or refused in one sentence with the line; nothing in it multiplies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pose_hrnet.config.files import load_config
from pose_hrnet.data.formats.skeletons import read_skeleton_file
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.strict_yaml import parse_yaml, read_yaml

READERS = [read_yaml, load_config, read_skeleton_file, ModelCard.read_yaml]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", "is not valid YAML in line 3: expected"),
        (b"a: 1\n\tb: 2\n", "is not valid YAML in line 2: found character"),
        (b"a: 1\nb: \x00\n", "is not valid YAML in line 2: special characters"),
        ("a: 1\nb: Größe\n".encode("latin-1"), "is not UTF-8 in line 2; save it as UTF-8"),
    ],
    ids=["open", "tab", "null", "latin-1"],
)
@pytest.mark.parametrize("read", READERS)
def test_bad_yaml_is_one_sentence(tmp_path: Path, read, content, message) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{path} {message}")) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_good_yaml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes("\ufeffsize: Größe\n".encode())
    assert read_yaml(path) == {"size": "Größe"}


LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "x0: &x0 [1]\n" + "".join(f"x{i}: &x{i} [*x{i - 1}]\n" for i in range(1, 3000))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "line 4: the key 'b' stands twice, first in line 2"),
        ("a: 1\n'a': 2\n", "line 2: the key 'a' stands twice"),
        ("a: {b: 1, b: 2}", "line 1: the key 'b' stands twice"),
        ("a: " + "[" * 2000, "line 1: nested over 50 deep"),
        ("a:\n" + "".join(" " * i + "- \n" for i in range(1, 200)), "nested over 50 deep"),
        (LAUGHS, "line 5: over 100,000 values"),
        (CHAIN, "levels of them, by aliases"),
        ("a: &a [*a]", "line 1: a value that holds itself"),
        ('a: !!int ""', "line 1: '' cannot be read as int"),
        ("a: !!float x", "line 1: 'x' cannot be read as float"),
        ("a: 2001-99-99", "'2001-99-99' cannot be read as timestamp"),
        ("a: " + "1" * 5000, "cannot be read as int (Exceeds the limit"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("{[1]: 2}", "found unhashable key"),
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_hostile_yaml_is_one_short_sentence(tmp_path: Path, read, content, message) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read(path)
    assert str(error.value).startswith(f"{path} is not valid YAML")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


def test_aliases_and_merges_that_mean_well_are_read() -> None:
    text = "base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\nlist: [*b, *b]\n"
    base = {"x": 1, "y": 2}
    expected = {"base": base, "more": {"x": 1, "y": 3}, "list": [base, base]}
    assert parse_yaml(text, "text") == expected
