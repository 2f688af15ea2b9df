"""Files appear whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pose_hrnet.system.files import (
    cache_folder,
    check_room,
    draft_folder,
    put_in_place,
    remove_temporaries,
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


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".last.pt.123.tmp", ".last.pt.mine.tmp", "last.pt.123.tmp", "last.pt"):
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".last.pt.mine.tmp", "last.pt.123.tmp", "last.pt"}


def test_drafts_are_put_in_place_or_leave_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "model.onnx"

    def fail() -> None:
        with draft_folder(target) as drafts:
            (drafts / "model.onnx").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with draft_folder(target) as drafts:
        assert drafts.parent == tmp_path  # the nearest folder that there is: the same disk
        (drafts / "model.onnx").write_text("weights")
        put_in_place(drafts, target.parent)
    assert target.read_text() == "weights"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_room_is_asked_for_before_anything_is_written(tmp_path: Path) -> None:
    check_room(tmp_path / "not" / "there" / "yet", 1)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        check_room(tmp_path / "file" / "run", 1)
    with pytest.raises(OSError, match=r"but the run needs about 1,000,000,000,000 MB"):
        check_room(tmp_path, 10**18)


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
