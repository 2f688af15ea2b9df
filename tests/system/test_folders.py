"""A folder is asked before it is written to, has one owner, and is left clean however one ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pose_hrnet.system.files import replace_file, write_text
from pose_hrnet.system.folders import (
    FolderBusy,
    NotWritten,
    check_file,
    check_not_over,
    check_room,
    draft_folder,
    move_aside,
    owned,
    put_in_place,
    remove_temporaries,
    temporary_file,
)


def writes_and_waits(block: str, folder: Path) -> subprocess.Popen[str]:
    """Another process that is in the midst of writing."""
    program = f"""
import sys, time
from pathlib import Path
from pose_hrnet.system.files import replace_file
from pose_hrnet.system.folders import draft_folder, owned
folder = Path({str(folder)!r})
with {block} as place:
    if place is not None and place.is_dir():
        (place / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.parametrize("block", ["replace_file(folder / 'a.txt')", "draft_folder(folder / 'a')"])
def test_what_a_killed_process_left_is_removed_but_no_living_ones(tmp_path: Path, block) -> None:
    others = [tmp_path / name for name in (".pose_hrnet-mine.tmp", ".last.pt.tmp", "b.tmp")]
    for path in others:
        path.touch()
    process = writes_and_waits(block, tmp_path)
    try:
        held = set(tmp_path.iterdir())
        assert len(held) > len(others)
        check_room(tmp_path)
        remove_temporaries(tmp_path)
        assert set(tmp_path.iterdir()) == held
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert set(tmp_path.iterdir()) == held
    check_room(tmp_path)  # as every command does that writes
    assert set(tmp_path.iterdir()) == set(others)


def test_a_folder_has_one_owner_who_lets_go_when_killed(tmp_path: Path) -> None:
    process = writes_and_waits("owned(folder)", tmp_path)
    try:
        with pytest.raises(FolderBusy, match="another process works in"), owned(tmp_path):
            pass
        with owned(tmp_path, ".other.lock"):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for _ in range(2):
        with owned(tmp_path):
            assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


def test_temporary_names_are_random_short_and_follow_no_link(tmp_path: Path, monkeypatch) -> None:
    names = set()
    for _ in range(3):
        with temporary_file(tmp_path) as path:
            names.add(path.name)
            assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert len(names) == 3
    longest = tmp_path / ("n" * 251 + ".txt")
    write_text(longest, "whole")
    assert longest.read_text() == "whole"

    victim = tmp_path / "victim"
    victim.write_text("kept")
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    (tmp_path / f".pose_hrnet-{'0' * 16}.tmp").symlink_to(victim)
    with pytest.raises(OSError, match="could not be written"):
        write_text(tmp_path / "new.txt", "text")
    assert victim.read_text() == "kept"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "make room"), (errno.EACCES, "change its rights"), (errno.EIO, "check the")],
)
def test_what_could_not_be_written_is_named(tmp_path: Path, number, words) -> None:
    path = tmp_path / "results.json"
    path.write_text("before")

    def fail() -> None:
        with replace_file(path):
            raise OSError(number, os.strerror(number))  # as of `write`: without a name

    with pytest.raises(NotWritten, match=rf"results.json could not be written .*{words}") as error:
        fail()
    assert error.value.no_room == (number == errno.ENOSPC)
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    assert path.read_text() == "before"


def test_what_is_aside_is_numbered(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "run").mkdir()
        assert move_aside(tmp_path / "run") == tmp_path / f"run.{number}"


def test_a_file_to_write_is_no_device_and_no_folder(tmp_path: Path) -> None:
    check_file(tmp_path / "new" / "some.json")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("folder", "a folder"), ("pipe", "no regular file")):
        with pytest.raises(OSError, match=f"{name} is {kind}, and cannot be replaced"):
            check_file(tmp_path / name)
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        check_file(tmp_path / "folder" / ".." / "pipe" / "some.json")


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


def test_a_file_that_is_read_is_not_written_over_under_any_name(tmp_path: Path) -> None:
    read, other = tmp_path / "read.json", tmp_path / "other.json"
    read.write_text("[]")
    check_not_over(other, read, None, tmp_path / "absent")  # nothing is there yet
    other.write_text("[]")
    check_not_over(other, read)
    check_not_over(None, read)
    (tmp_path / "link.json").symlink_to(read)
    for name in (read, tmp_path / "link.json", tmp_path / "x" / ".." / "read.json"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match="is read here, and would be written over"):
            check_not_over(name, other, read)


def test_a_folder_that_was_made_for_nothing_is_taken_away(tmp_path: Path) -> None:
    deep, there = tmp_path / "a/b", tmp_path / "there"
    there.mkdir()
    for folder in (deep, there):
        with owned(folder):
            assert folder.is_dir()
    assert list(tmp_path.iterdir()) == [there]
    with owned(deep):
        (deep.parent / "beside").touch()
    assert [path.name for path in deep.parent.iterdir()] == ["beside"]
    with owned(deep):
        (deep / "inside").touch()
    assert (deep / "inside").exists()
