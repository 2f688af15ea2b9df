"""Downloads from servers on the loopback that behave well and badly."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pose_hrnet.system import transfer as module
from pose_hrnet.system.download import download, is_offline, offline
from pose_hrnet.system.transfer import Source, check_address, shown_url
from tests.helpers.web import Web, serve

DATA = bytes(range(256)) * 4000
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    monkeypatch.delenv("POSE_HRNET_OFFLINE", raising=False)
    with serve() as server:
        yield server


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_good_file_comes_whole_and_its_hash_is_said(web: Web, tmp_path: Path) -> None:
    url = web.put("w.pth", DATA)
    origin = download("w", [Source(url, HASH[:8])], tmp_path / "w")
    assert (origin.url, origin.sha256) == (url, HASH)
    assert (tmp_path / "w").read_bytes() == DATA
    assert left(tmp_path) == ["w"]


def test_what_is_secret_in_an_address_is_not_kept(web: Web, tmp_path: Path) -> None:
    url = web.put("w.pth?token=secret", DATA)
    origin = download("w", [Source(url)], tmp_path / "w")
    assert (origin.url, origin.sha256) == (f"{web.url}/w.pth", HASH)
    assert left(tmp_path) == ["w"]


def test_a_file_without_announced_length_comes_whole(web: Web, tmp_path: Path) -> None:
    download("w", [Source(web.put("w", DATA, announces=False), HASH)], tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA


def test_a_wrong_file_is_refused_with_both_hashes_and_nothing_stays(
    web: Web, tmp_path: Path
) -> None:
    url = web.put("w", b"another")
    found = hashlib.sha256(b"another").hexdigest()
    message = f"{re.escape(url)} gave a file with the sha256 {found}, but {HASH} is published"
    with pytest.raises(ValueError, match=message):
        download("w", [Source(url, HASH)], tmp_path / "w")
    assert left(tmp_path) == []


def test_after_a_wrong_file_the_mirror_is_tried(
    web: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources = [Source(web.put("bad", b"another"), HASH[:8]), Source(web.put("w", DATA), HASH[:8])]
    assert download("w", sources, tmp_path / "w").url == f"{web.url}/w"
    assert f"but {HASH[:8]}... is published; trying the next address" in caplog.text
    assert left(tmp_path) == ["w"]


def test_a_file_cut_short_is_gone_on_with(web: Web, tmp_path: Path) -> None:
    url = web.put("w", DATA, cut_at=[1000, 500_000])
    download("w", [Source(url, HASH)], tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA
    assert web.asked == [("w", None), ("w", "bytes=1000-"), ("w", "bytes=501000-")]


def test_without_a_hash_it_is_gone_on_with_where_the_server_says_that_it_is_the_same(
    web: Web, tmp_path: Path
) -> None:
    url = web.put("w", DATA, cut_at=[1000], etag='"one"')
    assert download("w", [Source(url)], tmp_path / "w").sha256 == HASH
    assert web.asked == [("w", None), ("w", "bytes=1000-")]


def test_without_a_hash_and_a_tag_it_is_begun_again(web: Web, tmp_path: Path) -> None:
    (tmp_path / "w.unknown.part").write_bytes(b"of another file")
    url = web.put("w", DATA, cut_at=[1000])
    assert download("w", [Source(url)], tmp_path / "w").sha256 == HASH
    assert web.asked == [("w", None), ("w", None)]


def test_what_an_earlier_process_left_is_gone_on_with(web: Web, tmp_path: Path) -> None:
    (tmp_path / f"w.{HASH[:8]}.part").write_bytes(DATA[:70_000])
    download("w", [Source(web.put("w", DATA), HASH)], tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA
    assert web.asked == [("w", "bytes=70000-")]


@pytest.mark.parametrize("remains", [b"rubbish", DATA + b"more"])
def test_what_does_not_belong_to_it_is_thrown_away(
    web: Web, tmp_path: Path, remains: bytes
) -> None:
    (tmp_path / f"w.{HASH[:8]}.part").write_bytes(remains)
    download("w", [Source(web.put("w", DATA), HASH)], tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA
    assert left(tmp_path) == ["w"]


def test_a_whole_file_that_only_its_name_lacks_is_not_fetched_again(
    web: Web, tmp_path: Path
) -> None:
    (tmp_path / f"w.{HASH[:8]}.part").write_bytes(DATA)
    download("w", [Source(web.put("w", DATA), HASH)], tmp_path / "w")
    assert web.asked == []


def test_a_server_that_knows_no_ranges_gives_the_whole(web: Web, tmp_path: Path) -> None:
    url = web.put("w", DATA, cut_at=[1000], ranges=False)
    download("w", [Source(url, HASH)], tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA


def test_a_server_that_always_breaks_off_at_the_start_is_given_up(
    web: Web, tmp_path: Path
) -> None:
    url = web.put("w", DATA, cut_at=[0] * 20)
    with pytest.raises(ConnectionError, match="ended after 0 of 1,024,000 bytes"):
        download("w", [Source(url, HASH)], tmp_path / "w")
    assert len(web.asked) == 1


def test_after_a_404_the_mirror_is_tried(web: Web, tmp_path: Path) -> None:
    sources = [Source(f"{web.url}/gone", HASH), Source(web.put("w", DATA), HASH)]
    assert download("w", sources, tmp_path / "w").url == f"{web.url}/w"


def test_what_each_address_said_is_in_the_sentence(web: Web, tmp_path: Path) -> None:
    page = web.put("page", b"<html>", kind="text/html; charset=utf-8")
    hangs = web.put("hangs", DATA, hangs_at=0)
    busy = web.put("busy", status=503)
    sources = [Source(url, HASH) for url in (f"{web.url}/gone", page, hangs, busy)]
    with pytest.raises(ConnectionError) as caught:
        download("w", sources, tmp_path / "w")
    assert str(caught.value) == (
        f"w could not be downloaded: {web.url}/gone has no such file (404 Not Found); {page} "
        f"answered with a web page, not with a file; {hangs} broke off (no answer within 0 s); "
        f"{busy} refused to give the file (503 Service Unavailable); see to the connection, try "
        "again later, or fetch it by other means and give its path"
    )
    assert left(tmp_path) in ([], [f"w.{HASH[:8]}.part"])


def test_a_server_that_hangs_in_the_middle_is_left_and_its_part_used(
    web: Web, tmp_path: Path
) -> None:
    hangs, good = web.put("hangs", DATA, hangs_at=5000), web.put("w", DATA)
    web.pages["hangs"].ranges = False
    assert download("w", [Source(hangs, HASH), Source(good, HASH)], tmp_path / "w").url == good
    assert (tmp_path / "w").read_bytes() == DATA
    assert web.asked[-1] == ("w", "bytes=5000-")


def test_redirects_are_followed_to_places_that_are_taken(web: Web, tmp_path: Path) -> None:
    web.put("w", DATA, cut_at=[1000])
    url = web.put("moved", status=302, location=f"{web.url}/w")
    download("w", [Source(url, HASH)], tmp_path / "w")
    assert ("w", "bytes=1000-") in web.asked


@pytest.mark.parametrize("place", ["http://example.com/w", "file:///etc/passwd", "ftp://host/w"])
def test_redirects_to_other_places_are_not(web: Web, tmp_path: Path, place: str) -> None:
    url = web.put("moved", status=302, location=place)
    with pytest.raises(ConnectionError, match=r"place that is not taken|is not allowed"):
        download("w", [Source(url, HASH)], tmp_path / "w")


def test_redirects_in_a_circle_end(web: Web, tmp_path: Path) -> None:
    url = web.put("round", status=302, location=f"{web.url}/round")
    with pytest.raises(ConnectionError, match="refused to give the file"):
        download("w", [Source(url, HASH)], tmp_path / "w")


def test_nobody_listens(web: Web, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"could not be reached \(.*refused"):
        download("w", [Source("http://127.0.0.1:9/w", HASH)], tmp_path / "w")


def test_a_full_disk_is_seen_beforehand(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.put("w", DATA)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"has 0 MB free of the 1 needed; .* POSE_HRNET_CACHE"):
        download("w", [Source(url, HASH)], tmp_path / "w")
    assert left(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of processes are POSIX's")
def test_a_disk_that_fills_leaves_nothing(web: Web, tmp_path: Path) -> None:
    import resource

    url = web.put("w", DATA)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"takes no more \(File too large\).* make room"):
            download("w", [Source(url, HASH)], tmp_path / "w")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(tmp_path) == []


def test_offline_nothing_is_asked(web: Web, tmp_path: Path) -> None:
    url = web.put("w", DATA)
    with offline(), pytest.raises(ConnectionError, match=f"--offline.*{re.escape(url)}"):
        download("w", [Source(url, HASH)], tmp_path / "w")
    assert web.asked == []
    assert not is_offline()


@pytest.mark.parametrize(("value", "means"), [("1", True), ("0", False), ("", False)])
def test_the_variable(monkeypatch: pytest.MonkeyPatch, value: str, means: bool) -> None:
    monkeypatch.setenv("POSE_HRNET_OFFLINE", value)
    assert is_offline() is means


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/w.pth", "not encrypted"),
        ("ftp://example.com/w.pth", "no https address"),
        ("https:///w.pth", "no https address"),
        ("https://host:port/w.pth", "no address"),
        ("https://me:secret@host/w.pth", "name or password"),
    ],
)
def test_addresses_that_are_not_taken(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_address(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://me:secret@host:8443/a.jpg?key=secret#secret", "https://host:8443/a.jpg"),
        ("https://a@secret@host/b@c.jpg", "https://host/b@c.jpg"),
        ("https://host?secret=1", "https://host"),
        ("file:///photos/a.jpg", "file:///photos/a.jpg"),
        ("memory://Bucket/A.jpg", "memory://Bucket/A.jpg"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("http://[host/a?secret", "http://[host/a"),
        ("http://host:port/a", "http://host:port/a"),
        ("http://host/a\nb", "'http://host/a\\nb'"),
    ],
)
def test_an_address_is_shown_as_it_is_without_what_may_be_secret(url: str, text: str) -> None:
    assert shown_url(url) == text
