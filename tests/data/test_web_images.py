"""Images by address: what is fetched, what it is called, and what is refused in one sentence."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from pose_hrnet.data import web_images
from pose_hrnet.data.images import ImageError
from pose_hrnet.data.web_images import keep_web_image, read_web_image
from pose_hrnet.system import download, transfer
from tests.helpers.web import Web, serve


@pytest.fixture
def web():
    with serve() as web:
        yield web


def picture(kind="JPEG", colour="red") -> bytes:
    stream = BytesIO()
    Image.new("RGB", (32, 24), colour).save(stream, kind)
    return stream.getvalue()


def test_an_image_is_fetched_whatever_is_said_of_its_length(web: Web):
    assert read_web_image(web.put("a.jpg", picture(), kind="image/jpeg")) == picture()
    assert read_web_image(web.put("b.jpg", picture(), announces=False)) == picture()
    web.put("old.jpg", status=302, location=f"{web.url}/a.jpg")
    assert read_web_image(f"{web.url}/old.jpg") == picture()


def test_the_name_is_that_of_the_address_and_nothing_is_written_over(web: Web, tmp_path):
    red, blue = picture(), picture(colour="blue")
    kept = keep_web_image(web.put("x/photo.jpg", red), tmp_path / "got")
    assert kept == tmp_path / "got" / "photo.jpg"
    assert keep_web_image(web.put("y/photo.jpg", red), tmp_path / "got") == kept
    other = keep_web_image(web.put("z/photo.jpg", blue), tmp_path / "got")
    assert (other.name, other.read_bytes(), kept.read_bytes()) == ("photo_2.jpg", blue, red)
    web.put("image?id=3", picture("PNG"))
    assert keep_web_image(f"{web.url}/image?id=3", tmp_path).name == "image.png"
    web.put("..%2F..%2Fup.php", picture("WEBP"))
    up = keep_web_image(f"{web.url}/..%2F..%2Fup.php", tmp_path)
    assert up == tmp_path / "up.php.webp"
    web.put("", red)
    assert keep_web_image(f"{web.url}/", tmp_path).name == "image.jpg"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"status": 404}, r"has no such file \(404 Not Found\); check the address"),
        ({"status": 503}, r"refused to give the file \(503"),
        ({"kind": "text/html"}, "answered with a web page, not with a file"),
        ({"cut_at": [200]}, "broke off after 200 of"),
        ({"status": 302, "location": "file:///etc/passwd"}, r"refused to give the file \(302"),
        ({"hangs_at": 10}, "broke off .no answer within|gave only 10 bytes"),
    ],
)
def test_what_the_web_gives_instead_is_one_sentence(web: Web, options, said, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.2)
    address = web.put("a.jpg", picture(), **options)
    with pytest.raises(ConnectionError, match=said) as caught:
        read_web_image(address)
    assert str(caught.value).startswith(f"{web.url}/a.jpg ")
    assert "give its path" in str(caught.value)


def test_a_file_that_is_too_large_or_too_slow_is_not_read_to_its_end(web: Web, monkeypatch):
    monkeypatch.setattr(web_images, "LARGEST", 100)
    for announces in (True, False):
        address = web.put("a.jpg", picture() * 99, announces=announces)
        with pytest.raises(ConnectionError, match="or more, and at most 0 MB are read"):
            read_web_image(address)
    monkeypatch.setattr(web_images, "LARGEST", 10**6)
    monkeypatch.setattr(download, "_LONGEST", -1.0)
    with pytest.raises(ConnectionError, match="takes longer than"):
        read_web_image(web.put("b.jpg", picture()))


@pytest.mark.parametrize("data", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_only_images_are_taken_and_nothing_else_is_kept(web: Web, tmp_path, data):
    with pytest.raises(ImageError, match=r"image http://127.*/a\.jpg is "):
        keep_web_image(web.put("a.jpg", data), tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_addresses_that_are_not_taken(web: Web, monkeypatch):
    for address in ("ftp://host/a.jpg", "file:///etc/passwd", "http:///a.jpg"):
        with pytest.raises(ValueError, match="is no http or https address; give https://"):
            read_web_image(address)
    with pytest.raises(ValueError, match="holds a user's name or password"):
        read_web_image("https://me:secret@host/a.jpg")
    monkeypatch.setenv("POSE_HRNET_OFFLINE", "1")
    with pytest.raises(ConnectionError, match="is not opened, because nothing is downloaded"):
        read_web_image(web.put("a.jpg", picture()))
    assert web.asked == []
