"""YAML files are read, or refused in one sentence with the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pose_hrnet.config.files import load_config
from pose_hrnet.data.formats.skeletons import read_skeleton_file
from pose_hrnet.system.files import read_yaml


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
@pytest.mark.parametrize("read", [read_yaml, load_config, read_skeleton_file])
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
