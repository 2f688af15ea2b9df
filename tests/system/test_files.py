"""Files appear whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pose_hrnet.models.weights.zoo import find_entry, kept_file
from pose_hrnet.system.files import (
    cache_folder,
    replace_file,
    write_json,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("before")

    def fail() -> None:
        with replace_file(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "before"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with replace_file(path, keep=tmp_path / "earlier.txt") as temporary:
        temporary.write_text("after")
    assert path.read_text() == "after"
    assert (tmp_path / "earlier.txt").read_text() == "before"


def test_json_is_plain_and_a_nan_is_null(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    write_json(path, {"a": np.float32(0.5), "b": np.arange(3), "c": float("nan")})
    assert json.loads(path.read_text()) == {"a": 0.5, "b": [0, 1, 2], "c": None}
    with pytest.raises(TypeError, match="object has no JSON form"):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text())["a"] == 0.5


def test_the_cache_is_where_the_user_has_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("POSE_HRNET_CACHE", str(tmp_path))
    assert cache_folder("shards") == tmp_path / "shards"
    assert cache_folder("shards") != cache_folder("networks")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep caches elsewhere")
def test_the_cache_of_before_is_still_the_place(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("POSE_HRNET_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("shards") == tmp_path / ".cache/pose-hrnet/shards"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_folder("shards") == tmp_path / "caches/pose-hrnet/shards"


def test_without_a_home_folder_there_is_no_cache_and_a_sentence(monkeypatch):
    monkeypatch.delenv("POSE_HRNET_CACHE", raising=False)

    def homeless(*_, **__):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pose_hrnet.system.files.user_cache_path", homeless)
    with pytest.raises(OSError, match=r"no folder to keep weights in .* set POSE_HRNET_CACHE"):
        cache_folder("weights")
    assert kept_file(find_entry("coco_w32_256x192")) is None
