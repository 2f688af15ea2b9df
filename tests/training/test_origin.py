"""What a run was made with."""

from __future__ import annotations

import subprocess

import pytest
import torch

from pose_hrnet.system.extras import __version__
from pose_hrnet.training.origin import ORIGIN, add_origin, commit_of, read_origin


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
    command = ["git", *who, "-C", str(folder), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_a_checkout_and_whether_it_is_changed(tmp_path):
    file = tmp_path / "__init__.py"
    file.write_text("")
    git(tmp_path, "init")
    assert commit_of(tmp_path) is None  # git does not keep it
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "tag", "-a", "v1", "-m", "v1")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert commit_of(tmp_path) == commit
    file.write_text("changed")
    assert commit_of(tmp_path) == f"{commit}-dirty"
    assert commit_of(tmp_path / "nowhere") is None


def test_an_installed_package_has_none(tmp_path):
    (tmp_path / "__init__.py").write_text("")
    assert commit_of(tmp_path) is None


def test_without_git_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) is None


def test_each_part_of_a_run_adds_its_own(tmp_path):
    add_origin(tmp_path, "cpu")
    add_origin(tmp_path, "cuda:0")
    parts = read_origin(tmp_path)
    assert [part["device"] for part in parts] == ["cpu", "cuda:0"]
    assert {part["version"] for part in parts} == {__version__}
    assert parts[0]["torch"] == torch.__version__
    assert parts[0]["started"].endswith("+00:00")


@pytest.mark.parametrize("content", ["{", "{}", "[1]", "\udcff"])
def test_a_damaged_file_is_as_none(tmp_path, content):
    (tmp_path / ORIGIN).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert read_origin(tmp_path) == []
    if content == "[1]":
        return
    add_origin(tmp_path, "cpu")
    assert len(read_origin(tmp_path)) == 1
    assert (tmp_path / f"{ORIGIN}.1").is_file()
