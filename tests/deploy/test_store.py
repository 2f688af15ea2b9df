"""Where rows may go."""

from __future__ import annotations

import errno

import pytest

from pose_hrnet.deploy.bulk.store import PROBE, Folder, ObjectStore, check_store


@pytest.mark.parametrize("url", ["sftp://host/out", "hdfs://host/out", "ftp://host/out"])
def test_stores_whose_files_are_seen_half_written_are_refused(url):
    with pytest.raises(ValueError, match=r"can be seen before they are whole; give a folder"):
        ObjectStore(url)
    with pytest.raises(ValueError, match=r"host/out cannot be written to"):
        check_store(url)


def test_rights_to_remove_are_not_needed_and_no_folder_is_made(monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    kind = type(fsspec.filesystem("memory"))
    for name in ("makedirs", "mkdir", "rm_file", "_rm", "rm"):
        monkeypatch.setattr(kind, name, lambda *_, **__: 1 / 0)
    check_store("memory://bucket/locked")
    assert ObjectStore("memory://bucket/locked").sizes() == {PROBE: 5}


def test_files_and_their_bytes(tmp_path):
    pytest.importorskip("fsspec")
    for store in (Folder(tmp_path), ObjectStore("memory://bucket/sizes/")):
        store.write("a", b"12")
        store.create("a", b"123")
        store.create("b", b"1")
        assert store.sizes() == {"a": 2, "b": 1}
    assert Folder(tmp_path / "none").sizes() == ObjectStore("memory://none/there").sizes() == {}


@pytest.mark.parametrize(
    "error", [TypeError("mode"), OSError(errno.ENOSYS, "If-None-Match is not implemented")]
)
def test_a_store_that_cannot_create_gets_its_file_all_the_same(monkeypatch, error):
    fsspec = pytest.importorskip("fsspec")
    kind = type(fsspec.filesystem("memory"))
    usual = kind.pipe_file

    def without_modes(self, path, value, **modes):
        if modes:
            raise error
        usual(self, path, value)

    monkeypatch.setattr(kind, "pipe_file", without_modes)
    store = ObjectStore(f"memory://bucket/plain/{type(error).__name__}")
    store.create("a", b"1")
    store.create("a", b"22")
    assert store.read("a") == b"1"


def test_a_store_that_does_not_take_the_file_says_so(monkeypatch):
    fsspec = pytest.importorskip("fsspec")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", full)
    with pytest.raises(OSError, match=r"memory://bucket/full cannot be written .*no space left"):
        ObjectStore("memory://bucket/full").create("a", b"1")
