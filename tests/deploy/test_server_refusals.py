"""What `pose-hrnet serve` refuses: what is bad, what is not allowed, and what is too much."""

from __future__ import annotations

import io
import json
import zlib

import PIL.Image
import pytest
from starlette.testclient import TestClient

from pose_hrnet.deploy.server.guard import LOOPBACK, SECURITY_HEADERS
from pose_hrnet.deploy.server.limits import Limits
from tests.helpers.png import chunk, png
from tests.helpers.serving import JPEG, error_of, picture, post, serving


def in_jpeg(junk):
    """A JPEG with something in front of its first segment."""
    return b"\xff\xd8" + junk + picture()[2:]


def png_of(width, height, rows=b"", more=0):
    """A PNG whose header says so, of these pixels, with so many empty chunks."""
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return png(width, height, pixels, *[chunk(b"IDAT", b"")] * more)


def animation(kind):
    stream = io.BytesIO()
    frames = [PIL.Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 400, "is empty"),
        (b"#!/bin/sh", 415, "its format is none of JPEG, MPO, PNG, WEBP"),
        (picture(kind="GIF"), 415, "its format is none of"),
        (picture(kind="TIFF"), 415, "its format is none of"),
        (picture(kind="BMP"), 415, "its format is none of"),
        (picture()[:-300], 422, "is truncated or damaged"),
        (picture(kind="PNG")[:-300], 422, "is truncated or damaged"),
        (picture(kind="WEBP")[:-300], 422, "not an image that can be opened"),
        (png_of(8000, 7000), 413, "8,000 x 7,000 pixels"),
        (png_of(60_000, 60_000), 413, "too large"),
        (png_of(2**31 - 1, 2**31 - 1), 413, "too large"),
        (png_of(64, 64, rows=b"short"), 422, "truncated"),
        (animation("PNG"), 422, "is an animation of 2 frames"),
        (animation("WEBP"), 422, "is an animation of 2 frames"),
        (picture() + 101 * b"\xff\xda\x00\x02", 422, "is a JPEG in 102 scans"),
        (in_jpeg(b"\xff\xfe\x00\x02" * 30_000), 422, "more than 20,000 parts"),
        (in_jpeg(b"\xff" * 30_000), 422, "more than 20,000 parts"),
        (in_jpeg(b"\xff\xfe\x00\x02" + bytes(30_000)), 422, "more than 20,000 parts"),
        (in_jpeg(b"\xff\x00" * 30_000), 422, "more than 20,000 parts"),
        (png_of(8, 8, rows=bytes(200), more=30_000), 422, "more than 20,000 parts"),
    ],
)
def test_a_bad_image_alone_is_a_sentence(client, data, status, words):
    assert words in error_of(post(client, data), status)


def test_a_file_may_be_called_as_it_likes_and_no_path_is_opened(client):
    files = {"image": ("/etc/passwd", b"file:///etc/passwd")}
    (sentence,) = client.post("/v1/poses", files=files).json().values()
    assert "root:" not in sentence
    assert "is not an image" in sentence
    answer = client.post("/v1/poses", files={"image": ("x" * 300 + "\x1b[31m", picture())})
    assert len(answer.json()["images"][0]["name"]) == 100


@pytest.mark.parametrize(
    ("boxes", "status", "words"),
    [
        ("x", 400, "boxes is not a list of [left, top, right, bottom], or null"),
        ("[[1,2,3]]", 400, "boxes is not"),
        ('[["1","2","3","4"]]', 400, "boxes is not"),
        ("[[1,2,3,NaN]]", 400, "boxes is not"),
        ("[[1,2,3,1e999]]", 400, "boxes is not"),
        ("[" * 5000, 400, "boxes is not"),
        ("[[[1,2,3,4]]]", 400, "boxes is not"),
        ("[[1,2,1,4]]", 422, "image number 1: box 0 is"),
        ("[[0,0,1e308,1e308]]", 422, "none beyond 1e+09 pixels"),
        (json.dumps([[10, 5, 40, 45]] * 301), 422, "has 301 boxes, and at most 300"),
    ],
)
def test_bad_boxes_are_a_sentence(client, boxes, status, words):
    assert words in error_of(post(client, picture(), boxes=boxes), status)


def test_boxes_and_images_are_as_many(client):
    files = {"image": ("a.jpg", picture())}
    for boxes in ("[]", "[[], []]"):
        answer = client.post("/v1/poses", files=files, data={"boxes": boxes})
        assert "for 1 image; give one for each" in error_of(answer, 400)
    twice = client.post("/v1/poses", files=files, data={"boxes": "[[]]"}, params={"boxes": "[[]]"})
    assert "given twice" in error_of(twice, 400)


@pytest.mark.parametrize(
    ("headers", "body", "status", "words"),
    [
        ({"content-type": "application/json"}, b"{}", 415, "'application/json'"),
        ({"content-type": "image/gif"}, b"GIF89a", 415, "'image/gif'"),
        ({"content-type": "text/plain"}, b"http://10.0.0.1/a.jpg", 415, "'text/plain'"),
        ({**JPEG, "content-encoding": "gzip"}, b"x", 415, "compressed"),
        ({"content-type": "multipart/form-data"}, b"x", 400, "boundary"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"x", 400, "cannot be read"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--b--\r\n", 400, "no file named"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--b\r\n", 400, "breaks off"),
    ],
)
def test_a_body_of_another_kind_is_refused(client, headers, body, status, words):
    answer = client.post("/v1/poses", content=body, headers=headers)
    assert words in error_of(answer, status)


def test_a_form_that_breaks_off_is_not_taken_for_its_first_part(client):
    request = client.build_request(
        "POST", "/v1/poses", files=[("image", ("a.jpg", picture()))] * 2
    )
    whole = request.read()
    for cut in (len(whole) - 1500, len(whole) - 4):
        answer = client.post("/v1/poses", content=whole[:cut], headers=dict(request.headers))
        assert "breaks off" in error_of(answer, 400)


@pytest.mark.parametrize(
    "files",
    [
        [("picture", ("a.jpg", b"x"))],
        [("boxes", ("a.json", b"[]"))],
        [("image", (None, "x"))],
        [("image", ("a.jpg", b"x"))] * 17,
        [("boxes", (None, "[]"))] * 5,
    ],
)
def test_a_form_has_images_and_boxes_and_nothing_else(client, files):
    error_of(client.post("/v1/poses", files=files), 400)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"format": "xml"}, "format"),
        ({"overlay": "png"}, "overlay"),
        ({"min_score": "nan"}, "min_score"),
        ({"formt": "coco"}, "formt"),
    ],
)
def test_an_option_that_is_none_is_a_sentence(client, query, words):
    assert words in error_of(post(client, picture(), **query), 422)


def test_an_overlay_of_several_images_is_refused_before_any_is_posed(estimator):
    files = [("image", ("a.jpg", picture()))] * 2
    with serving(estimator) as server, TestClient(server.app) as client:
        answer = client.post("/v1/poses", files=files, params={"overlay": "jpeg"})
        assert "overlay is of one image, and 2 came" in error_of(answer, 400)
        assert b"\npose_images_total 0.0\n" in server.metrics.text()


def test_every_answer_is_for_this_origin_alone(client):
    for answer in (client.get("/"), client.get("/nothing"), post(client, b""), client.put("/")):
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
    for path in ("/docs", "/redoc", "/static/../app.py", "/static/%2e%2e/app.py", "//etc/passwd"):
        error_of(client.get(path), 404)
    error_of(client.get("/v1/poses"), 405)


def test_pages_of_other_sites_may_not_ask(client):
    headers = {**JPEG, "origin": "https://example.com"}
    answer = client.post("/v1/poses", content=picture(), headers=headers)
    assert "other sites" in error_of(answer, 403)
    error_of(client.post("/v1/poses", content=b"", headers={"origin": "null"}), 403)
    own = {**JPEG, "origin": "http://testserver"}
    assert client.post("/v1/poses", content=picture(), headers=own).status_code == 200


def test_a_name_that_leads_here_from_elsewhere_is_refused(estimator):
    with serving(estimator, hosts=LOOPBACK) as server, TestClient(server.app) as client:
        for host in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
            assert client.get("/v1/model", headers={"host": host}).status_code == 200
        for host in ("evil.example", "127.0.0.1.evil.example", "[::1", ""):
            error_of(client.get("/v1/model", headers={"host": host}), 421)


def test_with_a_token_only_the_page_and_the_probes_are_open(estimator):
    with serving(estimator, token="s3cret-token") as server, TestClient(server.app) as client:
        for path in ("/", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        for path in ("/v1/model", "/metrics", "/openapi.json", "/v1/nothing"):
            for shown in (None, "Bearer wrong", "Basic s3cret-token", "Bearer", "s3cret-token"):
                headers = {} if shown is None else {"authorization": shown}
                answer = client.get(path, headers=headers)
                assert "Bearer TOKEN" in error_of(answer, 401)
                assert answer.headers["www-authenticate"] == "Bearer"
        assert post(client, picture()).status_code == 401
        headers = {"authorization": "Bearer s3cret-token"}
        assert client.get("/v1/model", headers=headers).status_code == 200


def test_beyond_the_queue_the_answer_says_when_to_come_again(estimator):
    limits = Limits(max_queue=2)
    with serving(estimator, limits=limits) as server, TestClient(server.app) as client:
        files = [("image", ("a.jpg", picture()))] * 2
        with server.admission.admit(1):
            answer = client.post("/v1/poses", files=files)
        assert "try again" in error_of(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
        assert client.post("/v1/poses", files=files).status_code == 200
        assert post(client, picture()).status_code == 200
        assert (
            server.admission.images
            == server.admission.body_bytes
            == server.admission.pixels.taken
            == 0
        )


def test_what_never_fits_is_not_told_to_come_again(estimator):
    limits = Limits(max_queue=2, body_bytes=1_000_000)
    with serving(estimator, limits=limits) as server, TestClient(server.app) as client:
        files = [("image", ("a.jpg", picture()))] * 3
        many = client.post("/v1/poses", files=files)
        assert "3 images came at once, and at most 2 may wait here" in error_of(many, 413)
        large = post(client, bytes(1_000_001))
        assert "more than 1 MB" in error_of(large, 413)
        assert "retry-after" not in {*many.headers, *large.headers}
        assert server.admission.images == server.admission.body_bytes == 0


def test_bodies_in_memory_are_bounded(estimator):
    limits = Limits(body_bytes=10_000)
    with serving(estimator, limits=limits) as server, TestClient(server.app) as client:
        with server.admission.body() as other:
            other.add(9_000)
            assert "try again" in error_of(post(client, picture()), 503)
        assert post(client, picture()).status_code == 200
        assert server.admission.body_bytes == 0
